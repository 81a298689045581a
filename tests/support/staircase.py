"""Rounding as a staircase: an oracle that shares nothing with the kernels, and is fast enough for every input.

A rounding mode is a monotone function of the magnitude, so it is known once it is known from which number on each
value of the format is reached. These edges are values and midpoints of values: numbers of at most 25 bits, exact in
float64, found here from the definition of each mode. What numbers beyond the range, infinities, NaN and small results
become is a table of images by step, which depends on the rules and not on the mode's edges.

`exact_step` answers for one number in rationals; the tests hold the edges against it.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from precsim.numerics import Format, NanRule, Rounding, Saturation, Subnormals

INWARD = {
    Rounding.TOWARD_ZERO: (True, True), Rounding.TO_ODD: (True, True), Rounding.UP: (False, True),
    Rounding.DOWN: (True, False),
}  # fmt: skip


@functools.lru_cache(maxsize=64)
def steps(fmt: Format, negative: bool) -> np.ndarray:
    """Magnitudes from 0 to the format's end on one side, and one more: where the grid would go on.

    Negative numbers of an unsigned format: to the smallest normal number, since smaller results may be flushed.
    """
    limit = fmt.maximum if not negative else -fmt.minimum if fmt.signed else fmt.smallest_normal
    top = max(fmt.emin, fmt.emax) + 2
    significands = np.arange(2**fmt.precision, dtype=np.float64)
    spacings = np.ldexp(1.0, np.arange(fmt.emin, top + 1) - fmt.precision + 1)
    grid = np.unique(np.concatenate([significands * spacing for spacing in spacings]))
    return grid[: np.searchsorted(grid, limit, side="right") + 1]


def is_even(fmt: Format, step):
    """Whether the code of a step's value is even (without zero, codes begin at the second step)."""
    return (np.asarray(step) + (0 if fmt.has_zero else 1)) % 2 == 0


class Edges(NamedTuple):
    """Bit patterns of the magnitudes from which on steps 1, 2, ... are reached; then infinity, and the first NaN."""

    patterns: np.ndarray

    def steps_of(self, sorted_patterns: np.ndarray) -> np.ndarray:
        """Return the step of each magnitude of an ascending array of bit patterns."""
        starts = np.searchsorted(sorted_patterns, self.patterns)
        lengths = np.diff(np.concatenate([[0], starts, [sorted_patterns.size]]))
        return np.repeat(np.arange(lengths.size, dtype=np.int32), lengths)


@functools.lru_cache(maxsize=64)
def edges(fmt: Format, rounding: Rounding, negative: bool, dtype: type) -> Edges:
    """Return the edges of a deterministic mode on one side of zero, for numbers of a dtype."""
    values = steps(fmt, negative)
    below, above = values[:-1], values[1:]
    middle = (below + above) / 2
    lower_even = is_even(fmt, np.arange(below.size))
    away = {Rounding.UP: not negative, Rounding.DOWN: negative}.get(rounding, False)
    if rounding is Rounding.NEAREST_EVEN:
        at, beyond = middle, lower_even  # a tie stays below where that is even
    elif rounding is Rounding.NEAREST_AWAY:
        at, beyond = middle, np.zeros(below.size, bool)
    elif rounding is Rounding.TO_ODD:
        at, beyond = np.where(lower_even, below, above), lower_even
    else:
        at, beyond = (below, np.ones(below.size, bool)) if away else (above, np.zeros(below.size, bool))
    kind = np.int32 if dtype is np.float32 else np.int64
    with np.errstate(over="ignore"):
        patterns = at.astype(dtype).view(kind)
    exact = (patterns.view(dtype) == at) | (at >= 2.0**128)  # a number of this dtype, or beyond all of them
    assert exact.all()  # so the next number is the next pattern
    if negative and not fmt.has_zero:
        patterns, beyond = np.ones_like(patterns), np.zeros(below.size, bool)  # all but -0 are beyond the range
    infinity = int(np.array(np.inf, dtype).view(kind))
    return Edges(np.concatenate([patterns + beyond, [infinity, infinity + 1]]).astype(kind))


@functools.lru_cache(maxsize=64)
def images(
    fmt: Format,
    rounding: Rounding,
    negative: bool,
    dtype: type,
    saturate: Saturation,
    nan: NanRule | None,
    subnormals: Subnormals,
) -> np.ndarray:
    """Return what a number becomes by its step: value, beyond the range, infinity, NaN."""
    inside = steps(fmt, negative)[:-1].copy()
    unsigned = negative and not fmt.signed
    end = 0.0 if unsigned and fmt.has_zero else fmt.smallest_normal if unsigned else inside[-1]
    special = np.inf if fmt.has_infinity and not unsigned else np.nan
    if subnormals is Subnormals.FLUSH:
        inside[inside < fmt.smallest_normal] = 0
    if not fmt.has_zero:
        inside[0] = fmt.smallest_normal
    stops = INWARD.get(rounding, (False, False))[int(negative)]
    beyond = end if saturate is not Saturation.NONE or stops else special
    infinity = end if saturate is Saturation.FINITE else special
    if unsigned:
        inside[1:][inside[1:] > 0] = beyond
    nothing = {NanRule.ZERO: 0.0, NanRule.MAXIMUM: fmt.maximum}.get(nan, np.nan)
    table = np.concatenate([inside, [beyond, infinity, nothing]])
    if negative and fmt.signed:
        keeps_sign = (table != 0) | fmt.has_negative_zero
        table = np.where(keeps_sign, -table, table)
    return table.astype(dtype)


def exact_step(x: float, fmt: Format, rounding: Rounding, noise: int = 0, width: int = 0) -> Fraction:
    """Round a finite number in rationals, by the definition: spacing, neighbors, choice; unbounded above."""
    value = abs(Fraction(x))
    negative = x < 0
    exponent = fmt.emin
    while value >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - fmt.precision + 1)
    q, nu = divmod(value / unit, 1)
    even_code = q % 2 == 0
    if fmt.precision == 1 and q == 1 and not fmt.is_integer:
        even_code = (exponent - fmt.emin + (1 if fmt.has_zero else 0)) % 2 == 0
    n = Fraction(2) ** width
    half_even = round(nu * n)  # Python rounds a Fraction half to even
    away = {
        Rounding.NEAREST_EVEN: nu > Fraction(1, 2) or (nu == Fraction(1, 2) and not even_code),
        Rounding.NEAREST_AWAY: nu >= Fraction(1, 2),
        Rounding.TOWARD_ZERO: False,
        Rounding.UP: nu > 0 and not negative,
        Rounding.DOWN: nu > 0 and negative,
        Rounding.TO_ODD: nu > 0 and even_code,
        Rounding.STOCHASTIC_A: nu * n // 1 + noise >= n,
        Rounding.STOCHASTIC_B: nu * 2 * n // 1 + 2 * noise + 1 >= 2 * n,
        Rounding.STOCHASTIC_C: half_even + noise >= n,
    }[rounding]
    return (q + bool(away)) * unit * (-1 if negative else 1)


def exact_result(x: float, fmt: Format, rounding: Rounding, noise: int = 0, width: int = 0) -> float:
    """Return the whole definition under the default rules, for finite x."""
    r = exact_step(x, fmt, rounding, noise, width)
    special = math.inf if fmt.has_infinity else math.nan
    high, low = INWARD.get(rounding, (False, False))
    if not fmt.has_zero and x < 0:
        return fmt.minimum if low else math.nan
    if not fmt.has_zero and r == 0:
        return fmt.smallest_normal
    if r > Fraction(fmt.maximum):
        return fmt.maximum if high or not fmt.has_nan else special
    if r < min(Fraction(fmt.minimum), 0):
        if low or not fmt.has_nan:
            return fmt.minimum
        return -special if fmt.signed else math.nan
    zero = -0.0 if math.copysign(1, x) < 0 and fmt.has_negative_zero else 0.0
    return float(r) if r else zero
