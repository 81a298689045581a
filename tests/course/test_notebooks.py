"""The exercises: solutions pass, stubs fail as stubs, wrong answers get their hint, nothing leaks to students."""

from __future__ import annotations

import importlib
import re
from fractions import Fraction

import numpy as np
import pytest
from support.places import ROOT

from precsim.course import Exercise, Mistake, WrongAnswer, check, ps1
from precsim.course.__main__ import build, main, student_notebooks
from precsim.course.grading.keys import group_inputs, key_of
from precsim.course.notebooks import Cell, Edition, Role, assigned, dumps, minutes, notebook, read, stub
from precsim.course.values import equal

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
def test_the_solution_passes_the_check_and_every_group(name, cell, capsys):
    names = run(cell, cell.text, name)
    e = exercise(name, cell)
    check(e, names[cell.exercise])
    assert "right" in capsys.readouterr().out
    for group in SOURCES[name]:
        if group.role is Role.GROUP and group.exercise == cell.exercise:
            for args in group_inputs(group, SOURCES[name]):
                got, truth = np.asarray(names[cell.exercise](*args)).tolist(), e.truth(*args)
                assert equal(got, truth, e.tolerance), (group.group, args)


@pytest.mark.parametrize("name", SOURCES)
def test_every_exercise_has_inputs_that_no_notebook_shows(name):
    for e in SETS[name].EXERCISES:
        hidden = [c for c in SOURCES[name] if c.role is Role.GROUP and c.exercise == e.name]
        shown = {repr(args) for args in e.inputs()}
        assert any(repr(args) not in shown for cell in hidden for args in group_inputs(cell, SOURCES[name])), e.name


def test_groups_may_not_have_more_points_than_their_check():
    cells = [c for c in SOURCES["ps1"] if c.role is Role.GROUP]
    with pytest.raises(ValueError, match="decode: its groups have 3 points, its check has 2"):
        key_of("ps1", [Cell(Role.CHECK, "", "decode", 2), *cells])


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


@pytest.mark.parametrize("answer", [lambda code: None, lambda code: "1.0", lambda code: True, lambda code: [1.0, 2.0]])
def test_an_answer_that_is_no_number_is_wrong(answer):
    with pytest.raises(WrongAnswer, match="0 of 10 right"):
        check(ps1.DECODE, answer)


@pytest.mark.parametrize(
    "idiom", [np.float64, Fraction, lambda x: np.array([x]), lambda x: np.array([[x]]), lambda x: [x]]
)
def test_one_number_counts_in_every_idiom(idiom):
    check(Exercise("half", lambda x: x / 2, lambda: ((1.0,), (3.0,)), ()), lambda x: idiom(x / 2))


def test_zero_has_one_value():
    check(Exercise("zero", lambda x: -0.0, lambda: ((1.0,),), ()), lambda x: 0.0)
    check(Exercise("zero", lambda x: 0.0, lambda: ((1.0,),), ()), lambda x: -0.0)


def test_an_answer_that_changes_its_input_hurts_only_itself():
    table = [3.0, 1.0, 2.0]

    def answer(some):
        some.sort()
        some.pop()
        return some[0]

    e = Exercise("least", min, lambda: ((table,), (table,), (table,)), (Mistake("last", "no.", lambda t: t[-1]),))
    check(e, answer)
    assert table == [3.0, 1.0, 2.0]


def test_a_tolerance_is_relative_and_wrong_digits_beyond_it_count():
    e = Exercise("third", lambda x: x / 3, lambda: ((1.0,), (30.0,)), (), tolerance=1e-6)
    check(e, lambda x: x / 3 * (1 + 5e-7))
    with pytest.raises(WrongAnswer):
        check(e, lambda x: x / 3 * (1 + 2e-6))


def test_committed_notebooks_are_what_their_source_generates():
    generated = student_notebooks(ROOT / "exercises")
    assert sorted(generated) == sorted((ROOT / "exercises").glob("*.ipynb"))
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make course"


@pytest.mark.parametrize("name", SOURCES)
def test_students_see_no_solution_group_or_wrong_answer(name):
    text = dumps(notebook(SOURCES[name], Edition.STUDENT))
    for cell in SOURCES[name]:
        if cell.role not in (Role.ANSWER, Role.GROUP, Role.WRONG):
            continue
        kept = set(stub(cell).splitlines()) if cell.role is Role.ANSWER else set()
        secret = [line.strip() for line in cell.text.splitlines() if line not in kept and len(line.strip()) > 12]
        assert secret
        leaked = [line for line in secret if line in text and not line.startswith("def ")]
        assert not leaked
    assert "BEGIN" not in text


@pytest.mark.parametrize("name", SOURCES)
def test_every_statement_says_points_and_minutes_and_the_first_text_their_sums(name):
    texts = [c.source for c in notebook(SOURCES[name], Edition.STUDENT).cells if c.cell_type == "markdown"]
    said = [re.search(r"(?m)^## .*\((\d+) points?, (\d+) minutes\)$", text) for text in texts]
    points, taken = zip(*(tuple(map(int, found.groups())) for found in said if found), strict=True)
    assert list(points) == [c.points for c in SOURCES[name] if c.role is Role.CHECK]
    assert list(taken) == list(minutes(SOURCES[name]).values())
    assert texts[0].endswith(f"Together {sum(points)} points, about {sum(taken)} minutes.")


def test_about_is_read_and_not_run():
    with pytest.raises(ValueError, match="about f assigns constants only; it has 'import os'"):
        assigned(Cell(Role.ABOUT, "import os", "f"))
    with pytest.raises(ValueError, match="malformed"):
        assigned(Cell(Role.ABOUT, "minutes = open('/etc/passwd')", "f"))


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
        ('# %% exercise="f" role="group" group="a"\ninputs = []\n', "needs points="),
        ('# %% exercise="f" role="group" points=1\ninputs = []\n', "needs group="),
        ('# %% exercise="f" role="about"\nminutes = "ten"\n', "minutes = a whole number"),
        ('# %% exercise="f" role="anwser"\ndef f(): ...\n', "role must be .* got 'anwser'"),
        ('# %% role="check" points=1\nf()\n', "needs exercise="),
    ],
)
def test_a_bad_source_is_refused_by_name(tmp_path, text, message):
    source = tmp_path / "bad.py"
    source.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.py, cell 0: .*{message}|bad\.py, cell 0: {message}"):
        read(source)


def test_making_the_notebooks_twice_removes_nothing(tmp_path, monkeypatch, capsys):
    exercises, out = tmp_path / "exercises", tmp_path / "out"
    (exercises / "src").mkdir(parents=True)
    (exercises / "src" / "ps1.py").write_text((ROOT / "exercises/src/ps1.py").read_text())
    assert build(exercises, out, tmp_path / "book") == 0
    (out / "mine.txt").write_text("kept")
    assert build(exercises, out, tmp_path / "book") == 0
    assert (out / "mine.txt").read_text() == "kept"
    assert "sign * (1 + trailing / 8)" in (out / "key" / "ps1.ipynb").read_text()
    (out / "submitted" / "ada").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds a class"):
        build(exercises, out, tmp_path / "book")
    monkeypatch.setattr("sys.argv", ["course", "build", "--exercises", str(exercises), "--out", str(out)])
    with pytest.raises(SystemExit):
        main()
    assert "holds a class" in capsys.readouterr().err
    assert (out / "submitted" / "ada").is_dir()
