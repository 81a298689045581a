"""What a notebook is worth: the judge calls the student's functions in a guest and compares plain data with the key.

The guest is not believed: it is only asked what a function returns. Nothing of the student's is imported, evaluated or
unpickled here, and this module needs the standard library only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from precsim.course.grading.channel import Guest, GuestFailure, Limits
from precsim.course.grading.key import Key, KeyExercise
from precsim.course.values import equal

#: What a student may be told of an exception; other names could carry an input out of the sandbox.
TELLING = frozenset(
    "ArithmeticError AssertionError AttributeError IndexError KeyError MemoryError NameError NotImplementedError "
    "OSError OverflowError RecursionError RuntimeError SyntaxError TypeError UnboundLocalError ValueError "
    "ZeroDivisionError".split()
)


class GuestDidNotStartError(OSError):
    """The sandbox or the guest's Python failed before any of the student's code ran: no score says anything."""


@dataclass(slots=True)
class CellOutput:
    """What a cell printed and drew, and the name of what it raised; None where it was not run to its end."""

    out: str = ""
    images: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass(slots=True)
class Result:
    """One exercise: which groups are right, the likely mistake, and why it ended early, if it did."""

    exercise: KeyExercise
    right: dict[str, bool] = field(default_factory=dict)
    hint: str = ""
    raised: str = ""
    ended: str = ""

    @property
    def score(self) -> int:
        """Points of the groups that are right."""
        return sum(group.points for group in self.exercise.groups if self.right.get(group.name))

    def comment(self) -> str:
        """What the student is told: groups and points, never an input or a value."""
        lines = []
        for group in self.exercise.groups:
            right = self.right.get(group.name, False)
            lines.append(f"{group.name}: {'right' if right else 'not right'}, {group.points * right} of {group.points}")
        if self.hint:
            lines.append(f"Likely mistake: {self.hint}")
        if self.raised:
            lines.append(f"For some input it raised {self.raised}.")
        if self.ended:
            lines.append(f"The calls ended early: {self.ended}.")
        return "\n".join(lines)


@dataclass(slots=True)
class Verdict:
    """What the judge found out about one notebook."""

    results: list[Result]
    cells: dict[int, CellOutput]
    remarks: list[str]

    @property
    def score(self) -> int:
        """Points of all exercises together."""
        return sum(result.score for result in self.results)


def judge(
    cells: Sequence[str],
    key: Key,
    command: Sequence[str],
    *,
    edition: str | None = None,
    limits: Limits | None = None,
) -> Verdict:
    """Run a notebook's code cells in a sandbox, call its functions, and compare.

    Parameters
    ----------
    cells : sequence of str
        Code in the order of the notebook.
    key : Key
        Inputs and truths.
    command : sequence of str
        Starts a guest in the sandbox.
    edition : str, optional
        Folder of the student edition, where the sandbox does not mount it over the package.
    limits : Limits, optional
        What the submission may use.

    Notes
    -----
    An exercise that ends its guest costs the others nothing: they are called in a new one, after the cells were run
    again. Cells that end it are skipped then, three at most.

    Raises
    ------
    GuestDidNotStartError
        The sandbox failed.
    """
    limits = limits or Limits()
    trial = _Trial(list(cells), key, list(command), edition, limits, time.monotonic() + limits.whole)
    trial.run()
    return Verdict(trial.results, trial.outputs, trial.remarks)


class _Trial:
    """One submission: guests are started again until every exercise was asked or the patience is at its end."""

    def __init__(
        self, cells: list[str], key: Key, command: list[str], edition: str | None, limits: Limits, deadline: float
    ) -> None:
        self.cells, self.command, self.edition, self.limits, self.deadline = cells, command, edition, limits, deadline
        self.results = [Result(exercise) for exercise in key.exercises]
        self.outputs: dict[int, CellOutput] = {}
        self.remarks: list[str] = []
        self.skip: list[int] = []
        self._left = list(self.results)

    def run(self) -> None:
        tries = self.limits.restarts + 1 + len(self.results)  # every exercise may end one guest, cells a few more
        for _ in range(tries):
            with Guest(self.command, self.limits, self.deadline) as guest:
                if self._cells(guest) and self._exercises(guest):
                    return
            if time.monotonic() > self.deadline:
                break
        for result in self._left:
            result.ended = result.ended or "the notebook had to be stopped before this exercise was called"
        self.remarks.append("stopped for good: not every exercise could be called")

    def _cells(self, guest: Guest) -> bool:
        """Run the cells; False if a cell ended the guest: the next one skips it."""
        try:
            guest.send({"cells": self.cells, "skip": self.skip, "edition": self.edition})
            if guest.receive(self.limits.start) != {"hello": True}:
                raise guest.out_of_turn()
        except GuestFailure as failure:
            if self.remarks:  # an earlier one did start: this is the notebook's doing, or its time is over
                self.deadline = 0.0
                return False
            raise GuestDidNotStartError(f"the guest did not start: {failure}") from None
        number = -1
        try:
            for number in range(len(self.cells)):
                if number in self.skip:
                    continue
                self._expect(guest, lambda message, n=number: message == {"cell": n}, self.limits.cell)
                said = self._expect(guest, lambda message, n=number: message.get("cell") == n, self.limits.cell)
                self.outputs[number] = _output(said)
            self._expect(guest, lambda message: message == {"ready": True}, self.limits.call)
        except GuestFailure as failure:
            self.skip.append(number)
            if len(self.skip) > self.limits.restarts:
                self.deadline = 0.0
            self.outputs[number] = CellOutput(error=f"stopped: {failure}")
            self.remarks.append(f"code cell {number + 1} was stopped: {failure}")
            return False
        return True

    def _exercises(self, guest: Guest) -> bool:
        """Call the functions that were not called yet; False if one ended the guest."""
        while self._left:
            result = self._left.pop(0)
            try:
                guest.send({"fork": True})
                self._expect(guest, lambda message: message == {"forked": True}, self.limits.call)
                if not self._examine(guest, result):
                    continue
                guest.send({"end": True})
                self._expect(guest, lambda message: message == {"left": True}, self.limits.call)
            except GuestFailure as failure:
                result.ended = str(failure)
                self.remarks.append(f"{result.exercise.name} was stopped: {failure}")
                return not self._left
        return True

    def _examine(self, guest: Guest, result: Result) -> bool:
        """Call one function on all inputs of all groups; False if the child in which it was called is gone."""
        exercise = result.exercise
        answers: list[tuple[Any, list[Any], bool]] = []  # value, what the mistakes give, right
        number = 0
        for group in exercise.groups:
            right = True
            for case in group.cases:
                number += 1
                guest.send({"id": number, "name": exercise.name, "args": case.args})
                said = guest.receive(self.limits.call)
                if said == {"left": True}:
                    result.ended = "the function ended its process"
                    return False
                if said.get("id") != number or isinstance(said["id"], bool) or len(said) != 2:
                    raise guest.out_of_turn()
                if "error" in said:
                    result.raised = _told(said["error"])
                    right = False
                    continue
                value = said.get("value")
                good = equal(value, case.truth, exercise.tolerance)
                answers.append((value, case.mistakes, good))
                right = right and good
            result.right[group.name] = right
        result.hint = _hint(exercise, answers)
        return True

    def _expect(self, guest: Guest, fits: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        message = guest.receive(seconds)
        if not fits(message):
            raise guest.out_of_turn()
        return message


def _told(error: object) -> str:
    return error if isinstance(error, str) and error in TELLING else "an exception"


def _output(said: dict[str, Any]) -> CellOutput:
    """What a cell's message says, as far as it has the right types."""
    out, images, error = said.get("out"), said.get("images"), said.get("error")
    return CellOutput(
        out if isinstance(out, str) else "",
        [image for image in images if isinstance(image, str)] if isinstance(images, list) else [],
        _told(error) if error is not None else None,
    )


def _hint(exercise: KeyExercise, answers: Sequence[tuple[Any, list[Any], bool]]) -> str:
    """The hint of the mistake that explains the first wrong answer, and of several the one that fits most answers."""
    first = next((mistakes for _, mistakes, good in answers if not good), None)
    if first is None:
        return ""
    wrong = next(value for value, _, good in answers if not good)

    def agrees(value: object, of_mistake: object) -> bool:
        return of_mistake is not None and equal(value, of_mistake, exercise.tolerance)

    candidates = [i for i in range(len(exercise.hints)) if agrees(wrong, first[i])]
    best = max(candidates, key=lambda i: sum(agrees(v, m[i]) for v, m, _ in answers), default=None)
    return "" if best is None else exercise.hints[best]
