"""Minima and stationary points by numbers alone: the route that formulas are checked against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath

_SCAN = 24  # points of the scan: the losses searched have one minimum
_H = 1e-12  # of the difference quotient; its error is of the order of the square, far below ten digits


def stationary(value: Callable[[Any], Any], low: float, high: float) -> Any:
    """Least point of a function of one variable in [low, high]: a scan, then a root of its numeric derivative.

    In 40 digits, so that more than ten of the result are sure: the derivative is a difference quotient, not a formula.

    Raises
    ------
    ValueError
        If the least value of the scan is at an end.
    """
    with mpmath.workdps(40):
        grid = [mpmath.mpf(low) + (mpmath.mpf(high) - low) * i / _SCAN for i in range(_SCAN + 1)]
        heights = [value(x) for x in grid]
        best = min(range(_SCAN + 1), key=heights.__getitem__)
        if best in (0, _SCAN):
            raise ValueError(f"no minimum inside [{low}, {high}]: the least value is at {float(grid[best]):g}")

        def slope(x: Any) -> Any:
            return (value(x + _H) - value(x - _H)) / (2 * _H)

        # the bracket is kept: a secant alone may leave it where the function is flat
        return mpmath.findroot(slope, (grid[best - 1], grid[best + 1]), solver="illinois", tol=1e-40, verify=False)


def difference(found: Any, expected: Any) -> float:
    """|found/expected - 1|."""
    return float(abs(found / expected - 1))
