"""The exercises: solutions pass, stubs fail as stubs, wrong answers get their hint, nothing leaks to students."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from support.places import ROOT

from precsim.course import Exercise, Mistake, WrongAnswer, check, ps1
from precsim.course.__main__ import own_programs, student_notebooks
from precsim.course.notebooks import Cell, Edition, Role, dumps, notebook, read, stub, visible

SOURCES = {path.stem: read(path) for path in sorted((ROOT / "exercises" / "src").glob("*.py"))}
SETS = {name: importlib.import_module(f"precsim.course.{name}") for name in SOURCES}


def cells(role: Role) -> list:
    found = [(name, cell) for name, source in SOURCES.items() for cell in source if cell.role is role]
    return [pytest.param(name, cell, id=f"{name}-{cell.exercise}-{cell.mistake or role.value}") for name, cell in found]


def run(cell: Cell, text: str, name: str) -> dict:
    """The names that a cell defines after the set's plain cells."""
    names: dict = {}
    for plain in SOURCES[name]:
        if plain.role is Role.CODE and "import" in plain.text:
            exec(plain.text, names)
    exec(text, names)
    return names


def exercise(name: str, cell: Cell) -> Exercise:
    return next(e for e in SETS[name].EXERCISES if e.name == cell.exercise)


@pytest.mark.parametrize(("name", "cell"), cells(Role.ANSWER))
def test_the_solution_passes_visible_and_hidden_tests(name, cell):
    names = run(cell, cell.text, name)
    for other in SOURCES[name]:
        if other.role is Role.CHECK and other.exercise == cell.exercise:
            exec(other.text, names)


@pytest.mark.parametrize(("name", "cell"), cells(Role.ANSWER))
def test_the_stub_fails_only_as_not_implemented(name, cell):
    names = run(cell, stub(cell), name)
    with pytest.raises(NotImplementedError):
        check(exercise(name, cell), names[cell.exercise])


@pytest.mark.parametrize(("name", "cell"), cells(Role.WRONG))
def test_a_stored_wrong_answer_gets_its_hint(name, cell):
    names = run(cell, cell.text, name)
    with pytest.raises(WrongAnswer) as caught:
        check(exercise(name, cell), names[cell.exercise])
    assert caught.value.mistake is not None
    assert caught.value.mistake.name == cell.mistake
    assert caught.value.mistake.hint in str(caught.value)


@pytest.mark.parametrize("name", SOURCES)
def test_every_exercise_stores_two_wrong_answers_or_more(name):
    for e in SETS[name].EXERCISES:
        mistakes = {c.mistake for c in SOURCES[name] if c.role is Role.WRONG and c.exercise == e.name}
        assert len(mistakes) >= 2, e.name
        assert mistakes <= {m.name for m in e.mistakes}


@pytest.mark.parametrize("exercise", [e for s in SETS.values() for e in s.EXERCISES], ids=lambda e: e.name)
def test_every_known_mistake_differs_from_the_truth_and_from_the_other_mistakes(exercise):
    def outcomes(rule):
        return tuple(repr(rule(*args)) for args in exercise.inputs())

    kinds = [outcomes(exercise.truth), *(outcomes(m.rule) for m in exercise.mistakes)]
    assert len(set(kinds)) == len(kinds)


def test_an_unknown_mistake_gets_no_hint():
    e = Exercise("double", lambda x: 2 * x, lambda: ((1.0,), (2.0,)), (Mistake("same", "it must grow.", lambda x: x),))
    with pytest.raises(WrongAnswer, match=r"double\(1\) gave 7, the value is 2 \(0 of 2 right\)\.$"):
        check(e, lambda x: 7.0)
    with pytest.raises(WrongAnswer, match="it must grow"):
        check(e, lambda x: x)


@pytest.mark.parametrize("answer", [lambda code: None, lambda code: "1.0", lambda code: True, lambda code: [1.0]])
def test_an_answer_that_is_no_number_is_wrong(answer):
    with pytest.raises(WrongAnswer, match="0 of 10 right"):
        check(ps1.DECODE, answer)


def test_the_sign_of_zero_counts():
    e = Exercise("zero", lambda x: -0.0, lambda: ((1.0,),), ())
    assert check(e, lambda x: -0.0)
    with pytest.raises(WrongAnswer):
        check(e, lambda x: 0.0)


def test_a_tolerance_is_relative_and_wrong_digits_beyond_it_count():
    e = Exercise("third", lambda x: x / 3, lambda: ((1.0,), (30.0,)), (), tolerance=1e-6)
    assert check(e, lambda x: x / 3 * (1 + 5e-7))
    with pytest.raises(WrongAnswer):
        check(e, lambda x: x / 3 * (1 + 2e-6))


def test_committed_notebooks_are_what_their_source_generates():
    generated = student_notebooks(ROOT / "exercises")
    assert sorted(generated) == sorted((ROOT / "exercises").glob("*.ipynb"))
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make course"


@pytest.mark.parametrize("name", SOURCES)
def test_students_see_no_solution_hidden_test_or_wrong_answer(name):
    text = dumps(notebook(SOURCES[name], Edition.STUDENT))
    for cell in SOURCES[name]:
        shown = {Role.ANSWER: stub, Role.CHECK: visible}.get(cell.role)
        if shown is None and cell.role is not Role.WRONG:
            continue
        kept = set(shown(cell).splitlines()) if shown else set()
        secret = [line.strip() for line in cell.text.splitlines() if line not in kept and len(line.strip()) > 12]
        assert secret or cell.role is Role.CHECK
        leaked = [line for line in secret if line in text and not line.startswith("def ")]
        assert not leaked
    assert "BEGIN" not in text


def test_cell_identities_do_not_depend_on_the_edition():
    for source in SOURCES.values():
        editions = [[cell.id for cell in notebook(source, edition).cells] for edition in Edition]
        assert editions[0] == editions[1]
        assert len(set(editions[0])) == len(editions[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('# %% exercise="f" role="answer"\ndef f(): ...\n', "no ### BEGIN SOLUTION"),
        ('# %% exercise="f" role="answer"\ndef f():\n    ### BEGIN SOLUTION\n    return 1\n', "not closed"),
        ('# %% exercise="f" role="check"\nf()\n', "needs points="),
        ('# %% exercise="f" role="wrong"\ndef f(): ...\n', "needs mistake="),
        ('# %% exercise="f" role="anwser"\ndef f(): ...\n', "role must be .* got 'anwser'"),
        ('# %% role="check" points=1\nf()\n', "needs exercise="),
    ],
)
def test_a_bad_source_is_refused_by_name(tmp_path, text, message):
    source = tmp_path / "bad.py"
    source.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.py, cell 0: .*{message}|bad\.py, cell 0: {message}"):
        read(source)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_nbgrader_gives_full_points_to_the_solution_and_none_to_wrong_answers(name, tmp_path):
    """The whole round of a course, by nbgrader itself: release, submissions, grading, export."""
    import csv

    import nbformat

    build = [sys.executable, "-m", "precsim.course", "build", "--out", str(tmp_path / "out")]
    folder = tmp_path / "exercises"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / f"{name}.py").write_text((ROOT / "exercises/src" / f"{name}.py").read_text())
    subprocess.run([*build, "--exercises", str(folder)], cwd=ROOT, check=True, capture_output=True)
    course = tmp_path / "out" / "nbgrader"
    release = nbformat.read(course / f"release/{name}/{name}.ipynb", 4)
    assert [c.source for c in release.cells] == [c.source for c in nbformat.read(folder / f"{name}.ipynb", 4).cells]

    wrong = {c.exercise: c.text for c in SOURCES[name] if c.role is Role.WRONG}
    solved = {c.exercise: c.text for c in SOURCES[name] if c.role is Role.ANSWER}
    first = next(iter(solved))
    points = {
        cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points
        for cell in release.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    of_first = sum(v for k, v in points.items() if k.startswith(first.replace("_", "-")))
    assert 0 < of_first < sum(points.values())
    submissions = {"solved": solved, "wrong": wrong}
    if name == "ps1":  # what is left out or half done is graded in one way for all
        submissions |= {"stub": {}, "half": {first: solved[first]}}
    for student, answers in submissions.items():
        submission = nbformat.from_dict(release)
        for cell in submission.cells:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            for exercise_name, text in answers.items():
                if grade_id == f"{exercise_name}-answer".replace("_", "-"):
                    cell.source = text
        target = course / "submitted" / student / name / f"{name}.ipynb"
        target.parent.mkdir(parents=True)
        nbformat.write(submission, target)
        submission = release = nbformat.read(course / f"release/{name}/{name}.ipynb", 4)
    for command in (["autograde", name, "--create"], ["export"]):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command], cwd=course, env=own_programs(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    with (course / "grades.csv").open() as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    expected = {"solved": sum(points.values()), "stub": 0.0, "wrong": 0.0, "half": of_first}
    assert scores == {student: expected[student] for student in submissions}
