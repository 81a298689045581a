"""What may pass between the judge and the process that runs a student's code, and when two answers are equal.

Inputs go to the student's code as JSON with tags, ``{"$": "tuple", "items": [...]}``, so that a function gets the
tuple, named tuple, dictionary or array that its statement promises. Answers come back as plain JSON. Python's dialect
of JSON is meant: NaN and Infinity are written as such. This module and those that judge need the standard library only.
"""

from __future__ import annotations

import collections
import importlib
import math
from typing import Any


def encoded(value: object) -> Any:
    """Return a value as JSON with tags, from which the guest makes the same value again.

    Raises
    ------
    TypeError
        The value is none of: None, bool, int, float, str, NumPy number or array, list, tuple, named tuple, dictionary.

    Examples
    --------
    >>> encoded((1, [2.0]))
    {'$': 'tuple', 'items': [1, [2.0]]}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if hasattr(value, "tolist"):  # a NumPy number or array
        plain = value.tolist()  # pyright: ignore[reportAttributeAccessIssue]
        return {"$": "array", "items": plain} if isinstance(plain, list) else plain
    if isinstance(value, int | float):
        return value
    if isinstance(value, list):
        return [encoded(item) for item in value]
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is None:
            return {"$": "tuple", "items": [encoded(item) for item in value]}
        fields = {name: encoded(item) for name, item in zip(names, value, strict=True)}
        return {"$": "row", "name": type(value).__name__, "fields": fields}
    if isinstance(value, dict):
        return {"$": "dict", "items": [[encoded(key), encoded(item)] for key, item in value.items()]}
    raise TypeError(f"an input of an exercise is made of numbers, words, lists, tuples, tables; got {value!r}")


def revived(value: Any) -> Any:
    """Return the value whose JSON with tags this is; the guest, which imports nothing of the package, has the same.

    Examples
    --------
    >>> revived(encoded((1, {"a": [2.0]})))
    (1, {'a': [2.0]})
    """
    if isinstance(value, list):
        return [revived(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value["$"] == "row":
        row = collections.namedtuple(value["name"], value["fields"])
        return row(*(revived(item) for item in value["fields"].values()))
    if value["$"] == "array":
        return importlib.import_module("numpy").array(value["items"])
    items = [revived(item) for item in value["items"]]
    return tuple(items) if value["$"] == "tuple" else dict(items)


def answered(value: object) -> Any:
    """Return a result as it comes back from a guest: tuples and arrays are lists, and there are no tags.

    Examples
    --------
    >>> answered((1.5, -1.0))
    [1.5, -1.0]
    """
    if isinstance(value, list | tuple):
        return [answered(item) for item in value]
    coded = encoded(value)
    return coded["items"] if isinstance(coded, dict) and coded["$"] == "array" else coded


def equal(got: object, truth: object, tolerance: float = 0.0) -> bool:
    """Whether an answer that came as plain data is the truth.

    Parameters
    ----------
    got : object
        What the student's code returned, after JSON: None, bool, int, float, str, list or dict.
    truth : object
        From the key.
    tolerance : float
        Relative difference that still counts as equal.

    Notes
    -----
    NaN equals NaN, 0 equals -0, and a list of one number is that number. True is not 1. Where the sign of a zero is
    asked for, the truth is the pair of value and sign.

    Examples
    --------
    >>> equal(-0.0, 0), equal([2.5], 2.5), equal(True, 1), equal(1.0 + 1e-9, 1, 1e-6)
    (True, True, False, True)
    """
    if isinstance(truth, list):
        return (
            isinstance(got, list)
            and len(got) == len(truth)
            and all(equal(one, other, tolerance) for one, other in zip(got, truth, strict=True))
        )
    for _ in range(4):  # an array of one number has at most as many brackets as it has axes
        if not (isinstance(got, list) and len(got) == 1):
            break
        got = got[0]
    if isinstance(truth, bool) or isinstance(got, bool):
        return got is truth
    if isinstance(truth, int | float) and isinstance(got, int | float):
        try:
            both_nan = math.isnan(truth) and math.isnan(got)
            return both_nan or got == truth or math.isclose(got, truth, rel_tol=tolerance)
        except OverflowError:  # an integer beyond every float, compared with one
            return False
    return type(got) is type(truth) and got == truth
