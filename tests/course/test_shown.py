"""The check of a student's copy says of every stored answer what the instructor's says, without knowing the truth."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from support.places import ROOT

from precsim.course import Exercise, Mistake, WrongAnswer, check
from precsim.course.__main__ import student_checks
from precsim.course.checking import exercises_of
from precsim.course.notebooks import Role, read
from precsim.course.shown import Shown, hashes, matches, stored
from precsim.course.values import equal

SOURCES = {path.stem: read(path) for path in sorted((ROOT / "exercises" / "src").glob("*.py"))}
ANSWERS = [
    pytest.param(name, cell, id=f"{name}-{cell.exercise}-{cell.mistake or 'solution'}")
    for name, source in SOURCES.items()
    for cell in source
    if cell.role in (Role.ANSWER, Role.WRONG)
]


def test_the_committed_checks_are_what_the_exercises_give():
    made = student_checks(ROOT / "exercises")
    assert set(made) == set((ROOT / "precsim" / "course" / "checks").iterdir())
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make course"


def said(exercise, answer) -> tuple[str, str]:
    """How many are right, and the mistake."""
    try:
        check(exercise, answer)
    except WrongAnswer as wrong:
        return str(wrong).partition(" right).")[0].rpartition("(")[2], wrong.mistake.name if wrong.mistake else ""
    return "all", ""


@pytest.mark.parametrize(("name", "cell"), ANSWERS)
def test_a_students_copy_says_what_the_instructors_says(name, cell, capsys):
    names: dict = {}
    for plain in SOURCES[name]:
        if plain.role is Role.CODE and "import" in plain.text:
            exec(plain.text, names)
    exec(cell.text, names)
    theirs = next(e for e in exercises_of(name) if e.name == cell.exercise)
    assert said(Shown(name, cell.exercise), names[cell.exercise]) == said(theirs, names[cell.exercise])


def test_the_values_of_two_examples_are_told_and_no_others(capsys):
    with pytest.raises(WrongAnswer, match=r"decode\(56\) gave 7, the value is 1 \(0 of 10 right\)\."):
        check(Shown("ps1", "decode"), lambda code: 7.0)
    with pytest.raises(WrongAnswer, match=r"decode\(64\) gave 7, which is not its value \(2 of 10 right\)\."):
        check(Shown("ps1", "decode"), lambda code: {56: 1.0, 60: 1.5}.get(code, 7.0))


def test_the_stub_passes_through():
    def stub(code):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        check(Shown("ps1", "decode"), stub)


VALUES = [0, -0.0, 1, 1.0, True, False, None, "1", "inf", math.inf, -math.inf, math.nan, 2**53, 2**53 + 1, 1e-300, -3.5]
VALUES += [[1.0], [[1.0]], [1.0, 2.0], [1, 2], [], [math.nan, "a"]]


@pytest.mark.parametrize("tolerance", [0.0, 1e-6])
def test_hashes_agree_where_values_are_equal(tolerance):
    """Every pair of values: by hashes exactly where the grader's rule says so (none of these is near another)."""
    for truth in VALUES:
        kept = hashes(truth, "salt", tolerance)
        for got in (*VALUES, 10**400):
            assert matches(got, kept, "salt", tolerance) == equal(got, truth, tolerance), (got, truth)


def test_a_tolerance_accepts_all_within_and_nothing_beyond_twice(monkeypatch):
    monkeypatch.setattr("precsim.course.shown.ROUNDS", 1)
    rng = np.random.default_rng(3)
    for truth in (rng.choice([-1, 1], 500) * np.exp(rng.uniform(-40, 40, 500))).tolist():
        kept = hashes(truth, "s", 1e-6)
        for share in (0.999e-6, -0.999e-6, rng.uniform(-1e-6, 1e-6)):
            assert matches(truth * (1 + share), kept, "s", 1e-6)
        for share in (2.1e-6, -2.1e-6, 1e-4):
            assert not matches(truth * (1 + share), kept, "s", 1e-6)


def test_the_file_has_no_value_beyond_the_examples():
    e = Exercise("f", lambda x: x * 12345.678, lambda: tuple((float(n),) for n in range(4)), (Mistake("m", "h", abs),))
    about = json.loads(stored("ps0", [e]))["f"]
    assert [case["value"] for case in about["cases"]] == ["0", "12345.7", "", ""]
    assert set(about["cases"][2]) == {"args", "value", "right", "known"}
    assert "24691" not in stored("ps0", [e])
    assert about["cases"][2]["right"] != about["cases"][3]["right"]


def test_a_students_copy_makes_no_class(monkeypatch):
    monkeypatch.delattr("precsim.course.ps1.EXERCISES")
    with pytest.raises(ValueError, match=r"a student's copy of precsim, which knows no answers; a class needs a clone"):
        exercises_of("ps1")
