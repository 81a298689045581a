"""Learning platforms: rosters come in, grades go out; what was not judged is blank, and nothing is a formula."""

from __future__ import annotations

import csv
import json

import pytest

from precsim.cli import main
from precsim.course.grading import gradebook
from precsim.course.grading.records import Mark, Record, keep
from precsim.course.kit.roster import students

CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,Problem set 1: codes (4711),Final Score
    Points Possible,,,,,10,(read only)
"Lovelace, Ada",11,a1,ada,One,,
"Babbage, Charles",12,a2,cb@x.org,Two,3,
"Nobody, Jane",13,a3,jane,One,,
"Student, Test",14,,,One,,
"""


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def graded(school):
    """Ada has 8 of 10 and is a day late, Charles failed, Jane is missing."""
    (school.folder / "canvas-export.csv").write_text(CANVAS, encoding="utf-8")
    due = {"due": {"ps1": "2027-01-15T12:00:00+01:00"}, "grace_minutes": 15}
    (school.folder / "course.json").write_text(json.dumps(due | {"late": {"percent_per_day": 10, "days": 3}}))
    (school.folder / "times.csv").write_text("student,set,submitted\nada,ps1,2027-01-16T11:00:00+01:00\n")
    main(["course", "roster", str(school.folder), str(school.folder / "canvas-export.csv")])
    key = school.key("ps1")
    marks = tuple(Mark(e.name, min(e.points, 3) - (e.name == "decode"), e.points, "") for e in key.exercises)
    with gradebook.opened(school.database) as book:
        for one in (Record("ada", "ps1", "1", marks), Record("cb@x.org", "ps1", reason="not JSON")):
            (school.folder / "submitted" / one.student / "ps1").mkdir(parents=True)
            gradebook.write(book, key, one)
            keep(school.folder / "graded", one)
    return school


def test_a_canvas_export_is_filled_and_only_what_was_judged(graded, capsys):
    assert main(["course", "canvas", str(graded.folder), str(graded.folder / "canvas-export.csv")]) == 0
    rows = read(graded.folder / "canvas.csv")
    assert list(rows[0]) == CANVAS.splitlines()[0].split(",")[:-1]
    points, ada, charles, jane, test = [row["Problem set 1: codes (4711)"] for row in rows]
    assert (points, ada, charles, jane, test) == ("10", "7.2", "", "", "")
    assert rows[0]["Student"].strip() == "Points Possible"
    assert "1 scores of ps1" in capsys.readouterr().out


def test_who_is_not_in_the_export_is_named(graded, capsys):
    (graded.folder / "canvas-export.csv").write_text(CANVAS.replace('"Lovelace, Ada",11,a1,ada,One,,\n', ""))
    assert main(["course", "canvas", str(graded.folder), str(graded.folder / "canvas-export.csv")]) == 1
    assert "no row there: ada" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("SIS Login ID", "Login", "has no column SIS Login ID; export it from Canvas"),
        ("Problem set 1: codes (4711)", "Problem set 10 (1)", "has no assignment named ps1"),
        (",10,(read", ",20,(read", "Canvas gives 20 points for ps1, the set has 10"),
    ],
)
def test_an_export_that_does_not_fit_is_refused(graded, capsys, old, new, words):
    (graded.folder / "canvas-export.csv").write_text(CANVAS.replace(old, new))
    assert main(["course", "canvas", str(graded.folder), str(graded.folder / "canvas-export.csv")]) == 2
    assert words in capsys.readouterr().err


def test_moodle_gets_addresses_and_scores(graded, tmp_path, capsys):
    assert main(["course", "moodle", str(graded.folder)]) == 1, "ada and jane have no address"
    assert read(graded.folder / "moodle.csv") == [{"Email address": "cb@x.org", "ps1": ""}]
    assert "no row there: ada, jane" in capsys.readouterr().err
    table = "First name,Surname,Username,Email address\nAda,Lovelace,ada,Ada@X.org\nJane,Nobody,jane,j@x.org\n"
    (tmp_path / "participants.csv").write_text(table)
    assert main(["course", "roster", str(graded.folder), str(tmp_path / "participants.csv")]) == 0
    assert "cb@x.org: not in participants.csv; stays in the roster" in capsys.readouterr().out
    assert main(["course", "moodle", str(graded.folder)]) == 0
    rows = read(graded.folder / "moodle.csv")
    assert rows[0] == {"Email address": "Ada@X.org", "ps1": "7.2"}, "capitals of an address count in Moodle"


def test_a_roster_is_only_added_to(school, tmp_path, capsys):
    table = tmp_path / "list.csv"
    table.write_text("\ufeffstudent,email\nbob,b@x.org\nada,\n", encoding="utf-8")
    for new in ("2 new, 2 in all", "0 new, 2 in all"):
        assert main(["course", "roster", str(school.folder), str(table)]) == 0
        assert new in capsys.readouterr().out
    table.write_text("student,email\nada,a@x.org\n")
    assert main(["course", "roster", str(school.folder), str(table)]) == 0
    assert [(r["student"], r["email"]) for r in read(school.folder / "roster.csv")] == [
        ("ada", "a@x.org"),
        ("bob", "b@x.org"),
    ]
    assert school.roster() == ["ada", "bob"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\nAda\n", "no student in a column student, SIS Login ID"),
        ("student\n../ada\n", r"'\.\./ada' cannot be the name of a folder"),
        ("", "no student"),
    ],
)
def test_a_list_without_names_of_folders_is_refused(tmp_path, text, words):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        students(tmp_path / "list.csv")
