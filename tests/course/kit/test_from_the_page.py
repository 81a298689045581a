"""The set-up of the instructors' page, followed word for word: five students, grades, feedback, the file for Canvas."""

from __future__ import annotations

import csv
import json
import re

import pytest
from support.places import ROOT

from precsim.cli import main
from precsim.course.notebooks import Role, read

PAGE = (ROOT / "book" / "course" / "teaching.md").read_text(encoding="utf-8")
EXPORT = """Student,ID,SIS User ID,SIS Login ID,Section,Problem set 1 (101),Problem set 2 (102)
    Points Possible,,,,,,
"Right, Ada",1,s1,ada,A,,
"Half, Bob",2,s2,bob,A,,
"Wrong, Cleo",3,s3,cleo,A,,
"Slow, Dan",4,s4,dan,B,,
"Broken, Eve",5,s5,eve,B,,
"Missing, Fay",6,s6,fay,B,,
"""


def commands(**names: object) -> list[list[str]]:
    """The page's commands of precsim, with names for what it leaves to the reader."""
    block = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert block
    lines = [line.split()[1:] for line in block[1].splitlines() if line.startswith("precsim ")]
    return [[str(names.get(word, word)) for word in line] for line in lines]


def hand_in(folder, student: str, name: str, answers) -> None:
    """A notebook of the release in which a student has written answers, as `answers(number, solution, wrong)` says."""
    cells = read(ROOT / "exercises" / "src" / f"{name}.py")
    solutions = {c.exercise: c.text for c in cells if c.role is Role.ANSWER}
    wrong = {c.exercise: c.text for c in cells if c.role is Role.WRONG}
    book = json.loads((folder / "release" / name / f"{name}.ipynb").read_text())
    for number, exercise in enumerate(solutions):
        for cell in book["cells"]:
            if cell["id"] == f"{exercise}-answer".replace("_", "-"):
                cell["source"] = answers(number, solutions[exercise], wrong[exercise]) or cell["source"]
    path = folder / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(book))


@pytest.mark.slow
def test_a_class_from_the_page_alone(tmp_path, sandbox, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    folder, export = tmp_path / "class", tmp_path / "export.csv"
    export.write_text(EXPORT)
    steps = commands(CLASS=folder, **{"STUDENTS.csv": export, "EXPORT.csv": export})
    assert [step[1] for step in steps] == ["doctor", "init", "kit", "roster", "grade", "feedback", "canvas"]
    for step in steps[:4]:
        assert main(step) == 0, step
    for name in ("ps1", "ps2"):
        hand_in(folder, "ada", name, lambda number, solution, wrong: solution)
        hand_in(folder, "bob", name, lambda number, solution, wrong: "" if number else solution)
        hand_in(folder, "cleo", name, lambda number, solution, wrong: wrong)
    hand_in(folder, "dan", "ps1", lambda number, solution, wrong: "import os\n" + solution)
    hand_in(folder, "eve", "ps1", lambda number, solution, wrong: solution)
    (folder / "submitted" / "eve" / "ps1" / "ps1.ipynb").write_text('{"cells": [')
    assert main(steps[4]) == 1, "one could not be graded, and it is said which"
    assert "ps1 eve: failed, the notebook is not JSON" in capsys.readouterr().out
    for step in steps[5:]:
        assert main(step) == 0, step
    with (folder / "canvas.csv").open() as file:
        rows = {row["SIS Login ID"]: row for row in csv.DictReader(file)}
    whole = {"Problem set 1 (101)": "10", "Problem set 2 (102)": "19"}
    assert {title: rows["ada"][title] for title in whole} == whole
    assert rows["dan"]["Problem set 1 (101)"] == "10"
    assert [rows["bob"]["Problem set 1 (101)"], rows["eve"]["Problem set 1 (101)"]] == ["3", ""]
    assert float(rows["cleo"]["Problem set 2 (102)"]) < 10
    assert [rows["fay"][title] for title in whole] == ["", ""]
    page = (folder / "feedback" / "cleo" / "ps1" / "ps1.html").read_text()
    assert "Likely mistake" in page
    for step in ("report", "export"):
        assert main(["course", step, str(folder)]) == 0
    assert "flagged" in (folder / "report.html").read_text()
