"""Exercises that name the likely mistake: an answer is compared with the truth and with known wrong rules."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, SupportsFloat

from precsim.course.values import equal


class WrongAnswer(AssertionError):
    """An answer differs from the truth; the message shows one input and, if it is known, the likely mistake.

    Attributes
    ----------
    mistake : Mistake, Hint or None
        The rule that gives the same wrong results as the answer.
    """

    def __init__(self, message: str, mistake: Mistake | Hint | None) -> None:
        super().__init__(message)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class Hint:
    """What is told to whoever makes a known mistake, and its name; a student's copy has no more of it."""

    name: str
    hint: str


@dataclass(frozen=True, slots=True)
class Case:
    """One input of a visible check.

    Parameters
    ----------
    args : tuple
        Of the call.
    right : callable
        Whether a result, as plain data, is the right one.
    fits : callable
        Takes the number of a known mistake and a result: whether that mistake gives this result.
    value : str
        The right result in words; empty where it is not told.
    """

    args: tuple[Any, ...]
    right: Callable[[object], bool]
    fits: Callable[[int, object], bool]
    value: str


class Asked(Protocol):
    """A function to be written, as the check needs it: `Exercise`, or what a student's copy has in its place."""

    @property
    def name(self) -> str:
        """The name by which the function is called."""
        ...

    @property
    def mistakes(self) -> Sequence[Mistake | Hint]:
        """What is known to go wrong."""
        ...

    def cases(self) -> Sequence[Case]:
        """The inputs of the visible check, easy ones first."""
        ...


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

    def cases(self) -> Sequence[Case]:
        """The inputs of the visible check, judged by the truth and by the rules of the mistakes."""
        return [self._case(args) for args in self.inputs()]

    def _case(self, args: tuple[Any, ...]) -> Case:
        truth = self.truth(*fresh(args))

        def fits(number: int, got: object) -> bool:
            return equal(got, plain(self.mistakes[number].rule(*fresh(args))), self.tolerance)

        return Case(args, lambda got: equal(got, plain(truth), self.tolerance), fits, told(truth))


def exercises_of(name: str) -> Sequence[Exercise]:
    """The exercises of a problem set with what they know: the instructor's.

    Raises
    ------
    ValueError
        This is a student's copy, which has no truths.
    """
    module = importlib.import_module(f"precsim.course.{name}")
    if not hasattr(module, "EXERCISES"):
        raise ValueError(
            "this is a student's copy of precsim, which knows no answers; a class needs a clone of the project: "
            "make env there, then its precsim"
        )
    return module.EXERCISES


def check(exercise: Asked, answer: Callable[..., Any]) -> None:
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
    results = [(case, plain(answer(*fresh(case.args)))) for case in exercise.cases()]
    wrong = [(case, got) for case, got in results if not case.right(got)]
    if not wrong:
        sys.stdout.write(f"{exercise.name}: {len(results)} of {len(results)} right.\n")
        return
    case, got = wrong[0]
    mistake = _explain(exercise, case, got, results)
    truth = f"the value is {case.value}" if case.value else "which is not its value"
    message = (
        f"{exercise.name}({', '.join(map(told, case.args))}) gave {told(got)}, {truth}"
        f" ({len(results) - len(wrong)} of {len(results)} right)."
    )
    if mistake is not None:
        message += f" Likely mistake: {mistake.hint}"
    raise WrongAnswer(message, mistake)


def _explain(
    exercise: Asked, first: Case, got: object, results: Sequence[tuple[Case, object]]
) -> Mistake | Hint | None:
    candidates = [number for number in range(len(exercise.mistakes)) if first.fits(number, got)]
    best = max(candidates, key=lambda n: sum(case.fits(n, value) for case, value in results), default=None)
    return None if best is None else exercise.mistakes[best]


def fresh(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs of a call's own, which it may change."""
    return copy.deepcopy(args)


def plain(answer: Any) -> object:
    """An answer as plain data: arrays as lists, fractions and the like as floats; what is none of them as it is."""
    if isinstance(answer, list | tuple):
        return [plain(item) for item in answer]
    if hasattr(answer, "tolist"):
        return answer.tolist()
    if isinstance(answer, SupportsFloat) and not isinstance(answer, int):
        try:
            return float(answer)
        except (TypeError, ValueError):
            return answer
    return answer


def told(value: object) -> str:
    """A value as a message has it: six digits of a number, the beginning of what is long."""
    if isinstance(value, SupportsFloat) and not isinstance(value, int):
        try:
            return f"{float(value):.6g}"
        except (TypeError, ValueError):
            return repr(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
