"""Keys from the sources of problem sets: the instructor's step, the only one that computes truths."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from precsim.course.checking import Exercise, exercises_of
from precsim.course.grading.key import Case, Group, Key, KeyExercise
from precsim.course.notebooks import Cell, Role
from precsim.course.values import answered, encoded


def key_of(name: str, cells: Sequence[Cell]) -> Key:
    """Return the key of a problem set.

    Parameters
    ----------
    name : str
        Of the set and of its module in `precsim.course`: ``ps1``.
    cells : sequence of Cell
        The source. A cell with the role ``group`` defines ``inputs``, a list of the arguments of one call each. The
        points of a check that no group has are those of the inputs that students see.

    Raises
    ------
    ValueError
        This is a student's copy, the groups of an exercise have more points than its check, or a group has no inputs.
    """
    known = {e.name: e for e in exercises_of(name)}
    checks = {cell.exercise: cell for cell in cells if cell.role is Role.CHECK}
    return Key(name, tuple(_exercise(known[asked], checks[asked].points, cells) for asked in checks))


def group_inputs(cell: Cell, cells: Sequence[Cell]) -> list[tuple[Any, ...]]:
    """Inputs that a cell of the role ``group`` defines, after the imports of the set's plain cells."""
    names: dict[str, Any] = {}
    for plain in cells:
        if plain.role is Role.CODE and "import" in plain.text:
            exec(plain.text, names)
    exec(cell.text, names)
    inputs = [tuple(args) for args in names.get("inputs", ())]
    if not inputs:
        raise ValueError(f"the group {cell.group!r} of {cell.exercise} defines no inputs")
    return inputs


def _exercise(exercise: Exercise, points: int, cells: Sequence[Cell]) -> KeyExercise:
    hidden = [cell for cell in cells if cell.role is Role.GROUP and cell.exercise == exercise.name]
    left = points - sum(cell.points for cell in hidden)
    if left < 0:
        raise ValueError(f"{exercise.name}: its groups have {points - left} points, its check has {points}")
    groups = [Group("the inputs shown", left, _cases(exercise, exercise.inputs()))] if left else []
    groups += [Group(cell.group, cell.points, _cases(exercise, group_inputs(cell, cells))) for cell in hidden]
    hints = tuple(mistake.hint for mistake in exercise.mistakes)
    return KeyExercise(exercise.name, exercise.tolerance, hints, tuple(groups))


def _cases(exercise: Exercise, inputs: Sequence[tuple[Any, ...]]) -> tuple[Case, ...]:
    return tuple(
        Case(
            [encoded(argument) for argument in args],
            answered(exercise.truth(*copy.deepcopy(args))),
            [_of_mistake(mistake.rule, args) for mistake in exercise.mistakes],
        )
        for args in inputs
    )


def _of_mistake(rule: Any, args: tuple[Any, ...]) -> Any:
    """What a known mistake gives; None where it gives nothing, for it is known for the inputs shown only."""
    try:
        return answered(rule(*copy.deepcopy(args)))
    except (ArithmeticError, ValueError, LookupError, TypeError):
        return None
