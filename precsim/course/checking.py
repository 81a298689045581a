"""Exercises that name the likely mistake: an answer is compared with the truth and with known wrong rules."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

from precsim.course.values import equal


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


def check(exercise: Exercise, answer: Callable[..., Any]) -> None:
    """Compare an answer with the truth on the visible inputs and print that all were right, or raise.

    Parameters
    ----------
    exercise : Exercise
        What was to be written, for example `precsim.course.ps1.DECODE`.
    answer : callable
        The student's function. Exceptions that it raises, ``NotImplementedError`` of the empty stub
        among them, pass through.

    Raises
    ------
    WrongAnswer
        The answer differs from the truth for some input. The message shows one, and the likely mistake.

    Notes
    -----
    Results are compared as the grader compares them (`precsim.course.values.equal`): 0 equals -0, NaN equals NaN, and
    an array of one number is that number. Each call gets inputs of its own, which it may change. Among the known
    mistakes the one that agrees with most of the answer's results is named, if it explains the first wrong one.

    Examples
    --------
    >>> import precsim as ps
    >>> from precsim.course import ps1
    >>> check(ps1.DECODE, ps.FP8_E4M3.value)
    decode: 10 of 10 right.
    >>> check(ps1.DECODE, lambda code: abs(ps.FP8_E4M3.value(code)))
    Traceback (most recent call last):
        ...
    precsim.course.checking.WrongAnswer: decode(184) gave 1, the value is -1 (9 of 10 right). Likely mistake: ...
    """
    results = [(args, _plain(answer(*_fresh(args))), exercise.truth(*_fresh(args))) for args in exercise.inputs()]
    wrong = [(args, got, true) for args, got, true in results if not _same(got, true, exercise.tolerance)]
    if not wrong:
        sys.stdout.write(f"{exercise.name}: {len(results)} of {len(results)} right.\n")
        return
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
    def agrees(mistake: Mistake, args: tuple[Any, ...], value: object) -> bool:
        return _same(value, mistake.rule(*_fresh(args)), exercise.tolerance)

    candidates = [m for m in exercise.mistakes if agrees(m, first, got)]
    return max(candidates, key=lambda m: sum(agrees(m, args, a) for args, a, _ in results), default=None)


def _fresh(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return copy.deepcopy(args)


def _plain(answer: Any) -> object:
    """An answer as plain data: arrays as lists, fractions and the like as floats; what is none of them as it is."""
    if isinstance(answer, list | tuple):
        return [_plain(item) for item in answer]
    if hasattr(answer, "tolist"):
        return answer.tolist()
    if isinstance(answer, SupportsFloat) and not isinstance(answer, int):
        try:
            return float(answer)
        except (TypeError, ValueError):
            return answer
    return answer


def _same(got: object, truth: object, tolerance: float) -> bool:
    return equal(got, _plain(truth), tolerance)


def _shown(value: object) -> str:
    if isinstance(value, SupportsFloat) and not isinstance(value, int):
        try:
            return f"{float(value):.6g}"
        except (TypeError, ValueError):
            return repr(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
