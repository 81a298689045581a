"""The check of a student's copy: inputs that may be shown, and hashes of what is right and of known mistakes.

``checks/psN.json`` is made from the instructor's modules by ``make course``. A hash says whether a result is right and
which mistake it is, and nothing else: it keeps answers from being copied. It does not keep them from being guessed,
where there are few; what must stay hidden is in the grader's key, of which a student has nothing.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from precsim.course.checking import Case, Exercise, Hint, fresh, told
from precsim.course.values import answered, encoded, revived

#: Of the function that makes guessing slow; measured: 2 ms a hash.
ROUNDS = 10_000
#: So many of the first inputs are shown with their values, as a statement shows examples.
EXAMPLES = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """An exercise as a student has it: its set and the name of the function; the rest is in ``checks/``."""

    set: str
    name: str

    @property
    def mistakes(self) -> Sequence[Hint]:
        """What is told of each known mistake."""
        return tuple(Hint(*pair) for pair in _stored(self.set)[self.name]["mistakes"])

    def cases(self) -> Sequence[Case]:
        """The inputs of the visible check, judged by hashes."""
        about = _stored(self.set)[self.name]
        return [
            _case(one, f"{self.set}/{self.name}/{number}", about["tolerance"])
            for number, one in enumerate(about["cases"])
        ]


def _case(one: dict[str, Any], salt: str, tolerance: float) -> Case:
    def fits(number: int, got: object) -> bool:
        return matches(got, one["known"][number], salt, tolerance)

    right = functools.partial(matches, wanted=one["right"], salt=salt, tolerance=tolerance)
    return Case(tuple(revived(one["args"])), right, fits, one["value"])


@functools.cache
def _stored(name: str) -> dict[str, Any]:
    file = importlib.resources.files("precsim.course") / "checks" / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))


def stored(name: str, exercises: Sequence[Exercise]) -> str:
    """Return what a student's copy has of a set's checks, as JSON; a line for each input."""
    parts = []
    for exercise in exercises:
        cases = [
            _kept(exercise, args, f"{name}/{exercise.name}/{number}", number < EXAMPLES)
            for number, args in enumerate(exercise.inputs())
        ]
        head = {"tolerance": exercise.tolerance, "mistakes": [[m.name, m.hint] for m in exercise.mistakes]}
        lines = ",\n   ".join(json.dumps(case, ensure_ascii=False) for case in cases)
        parts.append(f' "{exercise.name}": {json.dumps(head, ensure_ascii=False)[:-1]}, "cases": [\n   {lines}]}}')
    return "{\n" + ",\n".join(parts) + "}\n"


def _kept(exercise: Exercise, args: tuple[Any, ...], salt: str, example: bool) -> dict[str, Any]:
    truth = exercise.truth(*fresh(args))
    known = [answered(mistake.rule(*fresh(args))) for mistake in exercise.mistakes]
    return {
        "args": [encoded(argument) for argument in args],
        "value": told(truth) if example else "",
        "right": hashes(answered(truth), salt, exercise.tolerance),
        "known": [hashes(value, salt, exercise.tolerance) for value in known],
    }


def hashes(value: object, salt: str, tolerance: float) -> Any:
    """The hash of a result, of a list a list of hashes."""
    if isinstance(value, list):
        return [hashes(item, salt, tolerance) for item in value]
    return digest(next(spellings(value, tolerance)), salt)


def matches(got: object, wanted: Any, salt: str, tolerance: float) -> bool:
    """Whether a result is the one of these hashes, by the rules of `precsim.course.values.equal`.

    With a tolerance what differs by less is always accepted, what differs by more than twice as much never.

    Examples
    --------
    >>> right = hashes(2.0, "a", 1e-6)
    >>> [matches(x, right, "a", 1e-6) for x in (2, [2.0], 2 * (1 + 9e-7), 2 * (1 - 9e-7), 2 * (1 + 3e-6), "2")]
    [True, True, True, True, False, False]
    """
    if isinstance(wanted, list):
        return (
            isinstance(got, list)
            and len(got) == len(wanted)
            and all(matches(one, other, salt, tolerance) for one, other in zip(got, wanted, strict=True))
        )
    for _ in range(4):
        if not (isinstance(got, list) and len(got) == 1):
            break
        got = got[0]
    return any(digest(spelling, salt) == wanted for spelling in spellings(got, tolerance))


def spellings(value: object, tolerance: float) -> Iterator[str]:
    """Words for a result, the first its own: equal results share one. With a tolerance, those of its neighbors too.

    A number with a tolerance t is the whole part of ln|x| / t: numbers that differ by a share t are in the same or in
    neighboring cells.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{type(value).__name__} {value!r}"[:4000]
        return
    try:
        x = float(value)
    except OverflowError:  # an integer beyond every float
        yield f"integer {value:x}"
        return
    if math.isnan(x):
        yield "nan"
    elif not tolerance or x == 0 or math.isinf(x):
        yield (x + 0.0 if x else 0.0).hex()
    else:
        cell = math.floor(math.log(abs(x)) / math.log1p(tolerance))
        yield from (f"{x < 0} {cell + step}" for step in (0, -1, 1))


@functools.lru_cache(4096)
def digest(spelling: str, salt: str) -> str:
    """The hash of a word, as 16 digits."""
    made = hashlib.pbkdf2_hmac("sha256", spelling.encode(), salt.encode(), ROUNDS, 8)
    return made.hex()
