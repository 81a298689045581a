"""Rows of a store: which columns its tables have, what each may hold, and a checksum over all that is kept of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from precsim.runs.run import TEXT, Evaluation, Run

__all__ = ["LATER", "LOOK", "RUN", "checksum", "kind", "looks_of", "misfit", "row_of", "values"]

#: Columns of the two tables, in their order.
RUN = tuple(name for name in Run.__slots__ if name != "evaluations")
LOOK = tuple(Evaluation.__slots__)
#: Columns that stores of earlier schemas may lack, with what their absence means.
LATER: dict[str, Any] = {
    field.name: field.default
    for record in (Run, Evaluation)
    for field in dataclasses.fields(record)
    if field.default is not dataclasses.MISSING
}

_TEXTS = TEXT | {"spec"}
_FLAGS = frozenset({"diverged", "holdout"})
_WHOLE = frozenset({"N", "D", "step", "steps", "seed", "language_seed", "batch_tokens"})
_CODES = {"text": "", "whole": "q", "flag": "?", "number": "d"}


def _sort(name: str) -> str:
    if name in _TEXTS:
        return "text"
    return "flag" if name in _FLAGS else "whole" if name in _WHOLE else "number"


def kind(name: str) -> str:
    """The type of a column in SQL."""
    return {"text": "TEXT NOT NULL", "number": "REAL"}.get(_sort(name), "INTEGER NOT NULL")


class _Layout:
    """How a row of one table becomes bytes: its numbers by `struct`, then its texts."""

    def __init__(self, names: Sequence[str]) -> None:
        sorts = [_sort(name) for name in names]
        self.names = tuple(names)
        self.numbers = [n for n, sort in enumerate(sorts) if sort == "number"]
        self.flags = [n for n, sort in enumerate(sorts) if sort == "flag"]
        self.wholes = [n for n, sort in enumerate(sorts) if sort == "whole"]
        self.texts = [n for n, sort in enumerate(sorts) if sort == "text"]
        self.others = [n for n, sort in enumerate(sorts) if sort != "text"]
        self.packed = struct.Struct("<" + "".join(_CODES[sort] for sort in sorts))

    def read(self, row: Sequence[Any]) -> list[Any]:
        """Values as a record has them. SQLite has no NaN: it keeps NULL instead, and only numbers can be NaN."""
        found = list(row)
        for n in self.numbers:
            if found[n] is None:
                found[n] = math.nan
        for n in self.wholes:
            if type(found[n]) is float and found[n].is_integer():  # of a column that was one of numbers in schema 1
                found[n] = int(found[n])
        for n in self.flags:
            if found[n] in (0, 1):
                found[n] = found[n] == 1
        return found

    def bytes(self, row: Sequence[Any]) -> bytes:
        """The row as bytes; a value of another type is an error."""
        return self.packed.pack(*[row[n] for n in self.others]) + "\0".join([row[n] for n in self.texts]).encode()


_LAYOUTS = {RUN: _Layout(RUN), LOOK: _Layout(LOOK)}


def row_of(record: Run | Evaluation) -> list[Any]:
    """What is kept of a record: Python's own numbers, one zero, one NaN.

    Raises
    ------
    ValueError
        If a field holds what its column cannot.
    """
    names = RUN if isinstance(record, Run) else LOOK
    return [_plain(name, getattr(record, name)) for name in names]


def _plain(name: str, value: Any) -> Any:
    sort = _sort(name)
    try:
        if sort == "text":
            good = isinstance(value, str)
        elif sort == "number":
            value, good = float(value) + 0.0, not isinstance(value, str)  # SQLite keeps -0.0 as 0.0
            value = value if value == value else math.nan
        else:
            good, value = int(value) == value and not isinstance(value, str), int(value)
            value = value == 1 if sort == "flag" else value
            good = good and abs(value) < 2**63
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        wanted = {"text": "a text", "number": "a number", "flag": "true or false"}.get(sort, "a whole number")
        raise ValueError(f"{name} of a run must be {wanted}, not {value!r}")
    return value


def values(names: tuple[str, ...], row: Sequence[Any]) -> list[Any]:
    """A row of the file as the values of a record."""
    return _LAYOUTS[names].read(row)


def looks_of(rows: Iterable[Sequence[Any]]) -> tuple[Evaluation, ...]:
    """Rows of evaluations, as `values` gives them, as records."""
    return tuple(Evaluation(**dict(zip(LOOK, row, strict=True))) for row in rows)


def checksum(run: Sequence[Any], looks: Iterable[Sequence[Any]]) -> bytes:
    """Eight bytes that change with any bit of a run and its evaluations.

    Against damage, not against an adversary, who could write new ones.
    """
    total = hashlib.blake2b(_LAYOUTS[RUN].bytes(run), digest_size=8)
    for look in looks:
        total.update(_LAYOUTS[LOOK].bytes(look))
    return total.digest()


def misfit(names: tuple[str, ...], row: Sequence[Any]) -> str | None:
    """What is wrong with a row that has no checksum: a column that holds another type; None if nothing is."""
    for name, value in zip(names, row, strict=True):
        wanted = {"text": str, "number": float, "flag": bool}.get(_sort(name), int)
        if type(value) is not wanted:
            return f"column {name} holds {value!r}"
    return None
