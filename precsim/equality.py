"""Equality of records that hold measured values: a missing value, NaN, equals a missing value.

NaN is unequal to itself in arithmetic. In a record it says "not measured", and two records that say the same are equal.
The equality that a dataclass gets by itself depends on how Python compares its fields: as tuples up to 3.12, where the
same NaN object equals itself, one by one since 3.13, where it does not; and it raises where a field is an array.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping

import numpy as np

__all__ = ["UNWRITTEN", "Record", "same", "unwritten"]

UNWRITTEN = "unwritten"  # in the metadata of a field


def unwritten(value: object) -> dict[str, object]:
    """Metadata of a field whose usual value has changed: what a description without the field means.

    Descriptions (JSON, hashed into a job's key) leave out what is usual. A field added later with another usual value
    than all values before it had must not change what they are called.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Paper:
    ...     color: str = dataclasses.field(default="cream", metadata=unwritten("white"))
    >>> dataclasses.fields(Paper)[0].metadata[UNWRITTEN]
    'white'
    """
    return {UNWRITTEN: value}


class Record:
    """Base of dataclasses with ``eq=False``: equal if of one class with fields that are the `same`.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True, eq=False)
    ... class Measured(Record):
    ...     value: float
    >>> Measured(float("nan")) == Measured(float("nan")), Measured(1.0) == Measured(2.0)
    (True, False)
    >>> len({Measured(float("nan")), Measured(float("nan"))})
    1
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or all(same(mine, getattr(other, name)) for name, mine in _fields(self))

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(value) for _, value in _fields(self))))


def same(a: object, b: object) -> bool:
    """Whether two values of a field are equal, with NaN equal to NaN in numbers, arrays, tables and what contains them.

    Examples
    --------
    >>> nan = float("nan")
    >>> same((1.0, {"a": np.array([nan, 2.0])}), (1.0, {"a": np.array([nan, 2.0])})), same(nan, 1.0), same([1], (1,))
    (True, False, False)
    """
    if a is b:
        return True
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
            return False
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc")
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, (tuple, list)):
        if not isinstance(b, (tuple, list)) or type(a) is not type(b) or len(a) != len(b):
            return False
        return all(map(same, a, b))
    if equals := getattr(a, "equals", None):  # a table of pandas, which need not be loaded for this
        return type(a) is type(b) and bool(equals(b))
    return bool(a == b) or (_is_nan(a) and _is_nan(b))


def _fields(record: Record) -> list[tuple[str, object]]:
    return [(f.name, getattr(record, f.name)) for f in dataclasses.fields(record) if f.compare]  # type: ignore[arg-type]


def _is_nan(value: object) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _hashable(value: object) -> Hashable:
    """Value itself, with one word for every NaN: the hash of a NaN is that of the object since Python 3.10."""
    if _is_nan(value):
        return "NaN"
    return tuple(map(_hashable, value)) if isinstance(value, tuple) else value  # type: ignore[return-value]
