"""Exercises that name the likely mistake: an answer is compared with the truth and with known wrong rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat


class WrongAnswer(AssertionError):
    """An answer differs from the truth; the message shows one input and, if it is known, the likely mistake.

    Attributes
    ----------
    mistake : Mistake or None
        The rule that gives the same wrong results as the answer.
    """

    def __init__(self, message: str, mistake: Mistake | None) -> None:
        super().__init__(message)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong rule that people do write, and the hint that helps whoever wrote it.

    Parameters
    ----------
    name : str
        Short name, by which a stored wrong answer says which hint it must get.
    hint : str
        Sentence for the student: what goes wrong, not what the solution is.
    rule : callable
        Takes the exercise's inputs and returns what an answer with this mistake returns.
    """

    name: str
    hint: str
    rule: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Exercise:
    """A function to be written, with inputs, the truth for them, and the mistakes that are known.

    Parameters
    ----------
    name : str
        Name of the function that the student writes.
    truth : callable
        Gives the right result for an input.
    inputs : callable
        Returns the arguments of the visible checks, easy ones first.
    mistakes : tuple of Mistake
        Tried in this order when an answer is wrong.
    tolerance : float
        Relative difference that still counts as equal: 0 where the right answer is exact, more where the order of
        operations decides the last digits.
    """

    name: str
    truth: Callable[..., Any]
    inputs: Callable[[], Sequence[tuple[Any, ...]]]
    mistakes: tuple[Mistake, ...]
    tolerance: float = 0.0


def check(exercise: Exercise, answer: Callable[..., Any]) -> str:
    """Compare an answer with the truth on the visible inputs; a wrong one is told its likely mistake.

    Parameters
    ----------
    exercise : Exercise
        What was to be written, for example `precsim.course.ps1.DECODE`.
    answer : callable
        The student's function. Exceptions that it raises, ``NotImplementedError`` of the empty stub
        among them, pass through.

    Returns
    -------
    str
        A sentence that says how many inputs were right: all.

    Raises
    ------
    WrongAnswer
        The answer differs from the truth for some input.

    Notes
    -----
    Two results are the same if they are equal words or equal numbers, within the exercise's tolerance; NaN equals NaN,
    and where the tolerance is 0 the signs of zeros agree. Among the known mistakes the one that agrees with most of the
    answer's results is named, if it explains the first wrong one.

    Examples
    --------
    >>> import precsim as ps
    >>> from precsim.course import ps1
    >>> check(ps1.DECODE, ps.FP8_E4M3.value)
    'decode: 10 of 10 right.'
    >>> check(ps1.DECODE, lambda code: abs(ps.FP8_E4M3.value(code)))
    Traceback (most recent call last):
        ...
    precsim.course.checking.WrongAnswer: decode(184) gave 1, the value is -1 (9 of 10 right). Likely mistake: ...
    """
    results = [(args, answer(*args), exercise.truth(*args)) for args in exercise.inputs()]
    wrong = [(args, got, true) for args, got, true in results if not _same(got, true, exercise.tolerance)]
    if not wrong:
        return f"{exercise.name}: {len(results)} of {len(results)} right."
    args, got, true = wrong[0]
    mistake = _explain(exercise, args, got, results)
    shown = ", ".join(map(_shown, args))
    message = (
        f"{exercise.name}({shown}) gave {_shown(got)}, the value is {_shown(true)}"
        f" ({len(results) - len(wrong)} of {len(results)} right)."
    )
    if mistake is not None:
        message += f" Likely mistake: {mistake.hint}"
    raise WrongAnswer(message, mistake)


def _explain(
    exercise: Exercise, first: tuple[Any, ...], got: object, results: Sequence[tuple[Any, Any, Any]]
) -> Mistake | None:
    candidates = [m for m in exercise.mistakes if _same(m.rule(*first), got, exercise.tolerance)]
    return max(
        candidates,
        key=lambda m: sum(_same(m.rule(*args), a, exercise.tolerance) for args, a, _ in results),
        default=None,
    )


def _same(one: object, other: object, tolerance: float = 0.0) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if not (isinstance(one, SupportsFloat) and isinstance(other, SupportsFloat)):
        return False
    a, b = float(one), float(other)
    if tolerance:
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance)
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


def _shown(value: object) -> str:
    if isinstance(value, SupportsFloat) and not isinstance(value, int):
        try:
            return f"{float(value):.6g}"
        except (TypeError, ValueError):
            return repr(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
