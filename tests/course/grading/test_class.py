"""A class over time: nothing is lost, graded twice, or overwritten, whatever stops the run."""

from __future__ import annotations

import csv
import datetime
import io
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from support.places import ROOT
from support.submissions import ending_with, hand_in, in_call, instead, right, stubs

from precsim.cli import main
from precsim.course.grading import gradebook
from precsim.course.grading.channel import Limits
from precsim.course.grading.classroom import classroom, create, export, renew
from precsim.course.grading.marking import grade, grade_rows
from precsim.course.grading.records import Mark, Record, State, keep, kept
from precsim.course.grading.review import flags
from precsim.course.grading.sandbox import Place, Unsafe


def scores(school) -> dict[str, float]:
    with closing(sqlite3.connect(school.database)) as database:
        query = (
            "select s.student_id, sum(g.auto_score) from submitted_assignment s join submitted_notebook n on "
            "n.assignment_id = s.id join grade g on g.notebook_id = n.id group by s.student_id"
        )
        return dict(database.execute(query).fetchall())


# -- the folder ------------------------------------------------------------------------------------------------------


def test_a_class_is_made_once_and_then_only_added_to(new_class, school, ps1_only):
    (school.folder / "course.json").write_text('{"due": {}, "grace_minutes": 0}')
    hand_in(school.folder, "ada", right())
    (school.folder / "release" / "ps1" / "ps1.ipynb").write_text("mine")
    said: list[str] = []
    (school.folder / "release" / "ps1" / "ps1.ipynb").write_text(
        (new_class.folder / "release" / "ps1" / "ps1.ipynb").read_text()
    )
    create(school.folder, ps1_only, said.append)
    assert said == ["ps1: kept"]
    assert (school.folder / "course.json").read_text() == '{"due": {}, "grace_minutes": 0}'
    assert (school.folder / "submitted" / "ada" / "ps1" / "ps1.ipynb").exists()


@pytest.mark.parametrize(
    ("place", "words"), [("dist/class", "built and cleaned away"), ("full", "not empty and no class")]
)
def test_a_class_is_not_made_just_anywhere(tmp_path, ps1_only, place, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=words):
        create(tmp_path / place, ps1_only, print)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_what_is_no_class_is_refused_by_name(tmp_path, capsys):
    with pytest.raises(ValueError, match="is no class; make one with: precsim course init"):
        classroom(tmp_path)
    assert main(["course", "grade", str(tmp_path)]) == 2
    assert "is no class" in capsys.readouterr().err


def test_make_clean_refuses_a_class(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "dist" / "x" / "submitted").mkdir(parents=True)
    done = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "belongs to a class" in done.stdout
    assert (tmp_path / "dist" / "x" / "submitted").is_dir()
    (tmp_path / "dist" / "x" / "submitted").rmdir()
    assert subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True).returncode == 0
    assert not (tmp_path / "dist").exists()


# -- records and gradebook, without a sandbox ------------------------------------------------------------------------


def record(**changes) -> Record:
    about = {"student": "ada", "name": "ps1", "stamp": "1", "marks": (Mark("decode", 2, 3, "fine"),)}
    return Record(**(about | changes))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.GRADED),
        ({"late_minutes": 5}, State.LATE),
        ({"late_minutes": 5, "flags": ("imports gc",)}, State.FLAGGED),
        ({"reason": "not JSON", "marks": ()}, State.FAILED),
        ({"marks": ()}, State.FAILED),
    ],
)
def test_a_record_comes_back_as_it_was(tmp_path, changes, state):
    keep(tmp_path, record(**changes))
    assert kept(tmp_path, "ps1", "ada") == record(**changes)
    assert record(**changes).state is state
    assert (record(**changes).score is None) == (state is State.FAILED)


def test_an_old_record_is_kept_and_a_broken_one_is_no_record(tmp_path):
    keep(tmp_path, record())
    keep(tmp_path, record(stamp="2"))
    keep(tmp_path, record(stamp="2"))
    assert len(list((tmp_path / "old" / "ps1").iterdir())) == 1
    (tmp_path / "ps1" / "ada.json").write_text("{")
    assert kept(tmp_path, "ps1", "ada") is None


def test_the_gradebook_is_copied_once_a_day_and_ten_copies_stay(school):
    day = datetime.date(2027, 1, 1)
    for n in range(12):
        assert gradebook.back_up(school.database, school.folder / "backups", day + datetime.timedelta(n))
        assert not gradebook.back_up(school.database, school.folder / "backups", day + datetime.timedelta(n))
    copies = sorted(path.name for path in (school.folder / "backups").iterdir())
    assert copies[0] == "gradebook-2027-01-03.db"
    assert len(copies) == 10
    school.database.write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(ValueError, match="is damaged"):
        gradebook.back_up(school.database, school.folder / "backups", datetime.date(2028, 1, 1))
    assert sorted(path.name for path in (school.folder / "backups").iterdir()) == copies


def test_a_failure_is_blank_in_the_gradebook_and_points_by_hand_stay(school):
    key = school.key("ps1")
    marks = tuple(Mark(e.name, 1, e.points, "one") for e in key.exercises)
    with gradebook.opened(school.database) as book:
        gradebook.write(book, key, record(marks=marks))
        grade_of = book.find_grade("decode-check", "ps1", "ps1", "ada")
        assert (grade_of.auto_score, grade_of.needs_manual_grade) == (1, False)
        grade_of.manual_score = 2.5
        book.db.commit()
        gradebook.write(book, key, record(marks=marks))
        assert gradebook.totals(book) == {("ps1", "ada"): 4.5}
        gradebook.write(book, key, record(marks=(), reason="not JSON"))
        other = book.find_grade("round-e4m3-check", "ps1", "ps1", "ada")
        assert (other.auto_score, other.needs_manual_grade) == (None, True)
        assert book.find_comment("decode-answer", "ps1", "ps1", "ada").auto_comment == "Not graded: not JSON"


def test_a_cell_of_the_table_is_never_a_formula(tmp_path):
    rows = [{"student": "=cmd()", "score": None, "note": 'a,"b"'}, {"student": "-1", "score": 0.0, "note": "x"}]
    export(rows, tmp_path / "grades.csv")
    read = list(csv.reader(io.StringIO((tmp_path / "grades.csv").read_text())))
    assert read == [["student", "score", "note"], ["'=cmd()", "", 'a,"b"'], ["'-1", "0.0", "x"]]


# -- grading ---------------------------------------------------------------------------------------------------------


def test_what_was_graded_is_not_graded_again_until_it_changes(school, sandbox):
    hand_in(school.folder, "ada", right())
    hand_in(school.folder, "bob", stubs())
    said: list[str] = []
    grade(school, sandbox, say=said.append)
    assert sorted(said) == ["ps1 ada: graded, 10 of 10", "ps1 bob: graded, 0 of 10"]
    said.clear()
    assert [r.score for r in grade(school, sandbox, say=said.append)] == [10, 0]
    assert said == []
    with closing(sqlite3.connect(school.database)) as database, database:  # closed, and committed
        database.execute("update grade set auto_score = null")
    grade(school, sandbox, say=said.append)
    assert scores(school) == {"ada": 10, "bob": 0}, "a gradebook that was put back gets what the records know"
    assert said == []
    (school.folder / "submitted" / "bob" / "ps1" / "ps1.ipynb").write_text(json.dumps(right()))
    grade(school, sandbox, say=said.append)
    assert said == ["ps1 bob: graded, 10 of 10"]
    assert len(list((school.folder / "graded" / "old" / "ps1").iterdir())) == 1


def test_what_is_worth_reading_is_flagged_and_late_is_known_from_the_instructors_list(school, sandbox):
    hand_in(
        school.folder,
        "ada",
        instead("import gc\n" + next(c["source"] for c in right()["cells"] if c["id"] == "decode-answer")),
    )
    hand_in(school.folder, "bob", right())
    due = {"due": {"ps1": "2027-01-15T12:00:00+01:00"}, "grace_minutes": 15}
    (school.folder / "course.json").write_text(json.dumps(due))
    late = "student,set,submitted\nbob,ps1,2027-01-15T11:20:01+00:00\nada,ps1,2027-01-15T11:15:00+00:00\n"
    (school.folder / "times.csv").write_text(late)
    grade(school, sandbox)
    rows = {row["student"]: row for row in grade_rows(school)}
    assert (rows["ada"]["state"], rows["ada"]["flags"], rows["ada"]["score"]) == ("flagged", "imports gc", 10)
    assert (rows["ada"]["minutes_late"], rows["bob"]["minutes_late"]) == (0, 6)
    assert (rows["bob"]["state"], rows["bob"]["score"]) == ("late", 10)


def test_without_a_sandbox_every_record_says_so(school):
    hand_in(school.folder, "ada", right())
    (done,) = grade(school, Unsafe())
    assert done.score == 10
    assert done.sandbox == "none"
    assert "without a sandbox" in done.remarks[0]
    assert [row["sandbox"] for row in grade_rows(school)] == ["none"]


def test_without_a_sandbox_nothing_is_graded_unless_asked_for(school, monkeypatch, capsys):
    hand_in(school.folder, "ada", right())
    monkeypatch.setattr("precsim.course.grading.probe.KINDS", ())
    assert main(["course", "grade", str(school.folder)]) == 2
    assert "no sandbox holds here" in capsys.readouterr().err
    assert not (school.folder / "graded" / "ps1").exists()
    assert main(["course", "grade", str(school.folder), "--unsafe"]) == 0
    assert main(["course", "export", str(school.folder)]) == 0
    assert "ada,ps1,graded,10.0,10,0" in (school.folder / "grades.csv").read_text()


def test_a_class_in_a_folder_that_guests_may_read_is_refused(school, sandbox, monkeypatch):
    monkeypatch.setattr(
        "precsim.course.grading.marking.Place", lambda edition: Place(edition, package=school.folder.parent)
    )
    with pytest.raises(ValueError, match="which every guest may read"):
        grade(school, sandbox)


def test_a_fault_of_the_grader_costs_one_submission_only(school, sandbox, monkeypatch):
    def fails(sources):
        if "GRENADE" in "".join(sources):
            raise RecursionError
        return ()

    monkeypatch.setattr("precsim.course.grading.marking.flags", fails)
    hand_in(school.folder, "ada", right())
    hand_in(school.folder, "bob", ending_with("GRENADE = 1"))
    done = {record.student: record for record in grade(school, sandbox)}
    assert done["ada"].score == 10
    assert done["bob"].reason == "the grader failed: RecursionError"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import math, os", ("imports os",)),
        ("    from ctypes import CDLL", ("imports ctypes",)),
        ("!cat /etc/passwd", ("runs !",)),
        ("%%bash\nls", ("runs %%bash",)),
        ("x = eval('1')", ("uses eval",)),
        ("a" + ".b" * 10**5 + "(" * 10**5, ()),
        ("nearest = truth = inputs = 1; oslo = 2\nimport os_free", ()),
    ],
)
def test_what_is_flagged(source, found):
    assert flags([source]) == found


def test_what_was_stopped_is_flagged(school, sandbox):
    hand_in(school.folder, "ada", in_call("while True:\n    pass"))
    (done,) = grade(school, sandbox, limits=Limits(call=1.0))
    assert (done.state, done.score, done.flags) == (State.FLAGGED, 7, ("decode was stopped: it took more than 1 s",))


def test_two_at_once_are_refused(school, sandbox):
    import fcntl

    with (school.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process grades"):
            grade(school, sandbox)


def test_nbgraders_autograde_takes_the_same_path(school, sandbox):
    """By nbgrader's own command, which reads the class's nbgrader_config.py, and its own export."""
    hand_in(school.folder, "ada", right())
    hand_in(school.folder, "eve", instead("decode = ps1.DECODE.truth"))
    for command in (["autograde", "ps1"], ["generate_feedback", "ps1"], ["export"]):
        words = [sys.executable, "-m", "nbgrader", *command]
        done = subprocess.run(words, cwd=school.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    with (school.folder / "grades.csv").open() as file:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)} == {"ada": 10, "eve": 7}
    assert kept(school.folder / "graded", "ps1", "eve").sandbox == sandbox.name
    page = (school.folder / "feedback" / "eve" / "ps1" / "ps1.html").read_text()
    assert "subnormals and zero: not right, 0 of 1" in page


def killed_and_finished(school, sandbox, times: int, seed: int) -> None:
    rng = random.Random(seed)
    students = [f"s{n}" for n in range(6)]
    for n, student in enumerate(students):
        hand_in(school.folder, student, right() if n % 2 else instead("decode = abs"))
    command = [sys.executable, "-m", "precsim.cli", "course", "grade", str(school.folder)]
    code = f"from precsim.cli import main; main({command[3:]!r})"
    for _ in range(times):
        running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, cwd=ROOT)
        time.sleep(rng.uniform(0.5, 4.0))
        running.send_signal(signal.SIGKILL)
        running.wait()
        for path in (school.folder / "graded").rglob("*.json"):
            json.loads(path.read_text())
    done = grade(school, sandbox)
    assert {r.student: r.score for r in done} == {s: 10 if n % 2 else 7 for n, s in enumerate(students)}
    assert scores(school) == {r.student: r.score for r in done}
    assert not (school.folder / "graded" / "old").exists(), "graded twice with another outcome"
    with closing(sqlite3.connect(school.database)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from submitted_assignment").fetchone() == (6,)


def test_a_run_that_is_killed_goes_on_where_it_was(school, sandbox):
    killed_and_finished(school, sandbox, times=2, seed=0)


@pytest.mark.slow
def test_kill_9_at_twenty_moments(school, sandbox):
    killed_and_finished(school, sandbox, times=20, seed=1)


# -- a key that is renewed -------------------------------------------------------------------------------------------


def test_a_renewed_key_takes_the_place_of_the_old_one_which_is_kept(school, tmp_path, capsys):
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "ps1.py"
    text = (ROOT / "exercises/src/ps1.py").read_text()
    source.write_text(text)
    assert main(["course", "renew", str(school.folder), "ps1", "--exercises", str(tmp_path)]) == 2
    assert "nothing to renew" in capsys.readouterr().err
    source.write_text(text.replace("(2.5, 3.2, 4.5, 6)", "(2.5, 3.3, 4.5, 6)"))
    before = school.key("ps1").digest()
    said: list[str] = []
    create(school.folder, tmp_path, said.append)
    assert said == ["ps1: kept; its source gives another key now: precsim course renew"]
    with gradebook.opened(school.database) as book:
        gradebook.write(book, school.key("ps1"), record())
    assert main(["course", "renew", str(school.folder), "ps1", "--exercises", str(tmp_path)]) == 0
    assert school.key("ps1").digest() != before
    old = school.folder / "key" / "old" / f"ps1-{before}"
    assert sorted(path.name for path in old.iterdir()) == ["key-ps1.json", "release-ps1", "source-ps1"]
    assert school.sets == ("ps1",)
    with gradebook.opened(school.database) as book:
        assert gradebook.totals(book) == {("ps1", "ada"): 2}, "grades stay until they are made again"
    assert main(["course", "renew", str(school.folder), "ps9", "--exercises", str(tmp_path)]) == 2
    assert "no problem set 'ps9'; this class has ps1" in capsys.readouterr().err


def test_work_that_was_graded_with_the_old_key_is_graded_again(school, sandbox, tmp_path):
    (tmp_path / "src").mkdir()
    text = (ROOT / "exercises/src/ps1.py").read_text()
    (tmp_path / "src" / "ps1.py").write_text(text.replace("(2.5, 3.2, 4.5, 6)", "(2.5, 3.3, 4.5, 6)"))
    hand_in(school.folder, "ada", right())
    grade(school, sandbox)
    renew(school, "ps1", tmp_path, lambda line: None)
    said: list[str] = []
    (done,) = grade(school, sandbox, say=said.append)
    assert said == ["ps1 ada: graded, 10 of 10"]
    assert done.key == school.key("ps1").digest()


# -- the release is tried first --------------------------------------------------------------------------------------


def test_where_the_release_itself_does_not_run_nobody_is_graded(school, sandbox):
    """A guest that could not import precsim gave everybody fewer points, and called them graded."""
    path = school.release("ps1")
    path.write_text(path.read_text().replace("import math", "import meth"))
    hand_in(school.folder, "ada", right())
    with pytest.raises(OSError, match=r"nothing of ps1 is graded, .*ModuleNotFoundError: .*'meth'"):
        grade(school, sandbox)
    assert not (school.folder / "graded" / "ps1").exists()
