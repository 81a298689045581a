"""Rounding on integer bit patterns, for NumPy and JAX alike; every format parameter may be a traced value.

Only shifts, masks, additions, comparisons and selections of integers are used, so that nothing depends on how the
processor treats subnormal numbers (XLA on CPU flushes them) or on its rounding mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from precsim.numerics.grid import Grid
from precsim.numerics.modes import Rounding

__all__ = ["BINARY32", "BINARY64", "Carrier", "counter_bits", "round_bits", "round_numpy"]


@dataclass(frozen=True, slots=True)
class Carrier:
    """Layout of the floats that hold the numbers while they are rounded."""

    bits: int
    fraction: int  #: trailing significand bits
    bias: int

    @property
    def infinity(self) -> int:
        """Bit pattern of +infinity; larger magnitudes are NaN."""
        return (2 * self.bias + 1) << self.fraction

    @property
    def magnitude(self) -> int:
        """Mask of everything but the sign."""
        return (1 << (self.bits - 1)) - 1


#: Entries of a grid that are floats and reach the kernel as bit patterns.
FLOAT_ENTRIES = "maximum minimum overflow underflow infinity minus_infinity nan least flush".split()
BINARY32 = Carrier(32, 23, 127)
BINARY64 = Carrier(64, 52, 1023)


def round_bits(xp: Any, carrier: Carrier, bits, grid: Grid, rounding: Rounding, noise=None, width: int = 0):
    """Round floats given as signed integers of the carrier's width; the same comes back.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``jax.numpy``.
    carrier : Carrier
        Layout of the floats.
    bits : integer array, shape (...)
        The floats' bit patterns.
    grid : Grid
        Its integer entries plain or traced; its float entries **as bit patterns** in the same integer type.
    rounding : Rounding
        The mode, fixed at compile time.
    noise : integer array, shape (...), optional
        For stochastic modes, R with 0 <= R < 2**width.
    width : int
        N, at most ``carrier.fraction + 1``.

    Notes
    -----
    |x| = sig * 2**(lead - bias - fraction). Its interval in the target is 2**d units of that integer, with
    d = max(field, emin + bias) - lead + (fraction + 1 - p). So q = sig >> d is the significand in the target and
    the d bits below it decide. q is put back at its place; no float operation takes part.
    """
    m = carrier.fraction
    one = bits * 0 + 1  # an integer one of the right type, shape and array kind
    a = bits & carrier.magnitude
    sign = bits ^ a
    field = a >> m
    lead = xp.maximum(field, 1)
    base = (lead - 1) << m
    sig = a - base
    d = xp.maximum(field, grid.emin + carrier.bias) - lead + (m + 1 - grid.precision)
    dc = xp.minimum(d, m + 2)  # beyond that the fraction is below 1/4 of the interval: only "not zero" counts
    unit = one << dc
    whole = sig >> dc
    odd = xp.where(grid.precision == 1, xp.where((d <= m) & (whole > 0), field ^ grid.parity, 0), whole) & 1
    negative = (sign != 0) & (a != 0)
    if rounding.is_stochastic:
        add = _stochastic_up(xp, carrier, sig, d, unit, one, rounding, noise, width) * unit
    else:
        add = {
            Rounding.NEAREST_EVEN: lambda: (unit - 1 + odd) >> 1,
            Rounding.NEAREST_AWAY: lambda: unit >> 1,
            Rounding.TOWARD_ZERO: lambda: 0,
            Rounding.UP: lambda: xp.where(negative, 0, unit - 1),
            Rounding.DOWN: lambda: xp.where(negative, unit - 1, 0),
            Rounding.TO_ODD: lambda: xp.where(odd == 1, 0, unit - 1),
        }[rounding]()
    q = (sig + add) >> dc
    smallest = xp.maximum(one * (grid.emin + carrier.bias + 1 - grid.precision), 0) << m  # used only when d > m
    r = xp.where(d <= m, base + (q << xp.minimum(dc, m)), q * smallest)
    r = xp.where(r < grid.flush, 0, xp.maximum(r, grid.least))
    limit = xp.where(negative, grid.minimum, grid.maximum)
    r = xp.where(r > limit, xp.where(negative, grid.underflow, grid.overflow), r)
    r = xp.where(a == carrier.infinity, xp.where(negative, grid.minus_infinity, grid.infinity), r)
    r = xp.where(a > carrier.infinity, grid.nan, r)
    keep = (grid.signed == 1) & ((r != 0) | (grid.negative_zero == 1))
    return xp.where(keep, r | sign, r)


def round_numpy(x: np.ndarray, grid: Grid, rounding: Rounding, noise=None, width: int = 0) -> np.ndarray:
    """Round a NumPy array with this kernel: the reference for the fast one, and for formats it cannot serve."""
    carrier, integer = (BINARY32, np.int32) if x.dtype == np.float32 else (BINARY64, np.int64)
    as_bits = grid._replace(**{f: np.asarray(getattr(grid, f), x.dtype).view(integer) for f in FLOAT_ENTRIES})
    drawn = None if noise is None else noise.astype(integer)
    return round_bits(np, carrier, np.ascontiguousarray(x).view(integer), as_bits, rounding, drawn, width).view(x.dtype)


def _stochastic_up(xp, carrier, sig, d, unit, one, rounding, noise, width):
    """1 where the noise carries the discarded fraction over the interval's end, else 0."""
    dropped = sig & (unit - 1)
    n = width + 1 if rounding is Rounding.STOCHASTIC_B else width
    right = xp.minimum(xp.maximum(d - n, 0), carrier.fraction + 2)
    if rounding is Rounding.STOCHASTIC_C:
        odd = (dropped >> right) & 1
        kept = (dropped + (((one << right) - 1 + odd) >> 1)) >> right
    else:
        kept = dropped >> right
    kept = kept << xp.minimum(xp.maximum(n - d, 0), n)
    drawn = 2 * noise + 1 if rounding is Rounding.STOCHASTIC_B else noise
    return (kept + drawn) >> n


def counter_bits(xp: Any, index, seed_low: int, seed_high: int):
    """32 random-looking bits for each counter value: a hash of (seed, index), so order and threads do not matter.

    Parameters
    ----------
    index : uint32 array, shape (...)
        Position of the element in C order, modulo 2**32.
    seed_low, seed_high : int
        Two 32-bit words made from the seed.

    Returns
    -------
    uint32 array, shape (...)
    """
    u = xp.uint32
    h = index * u(0x9E3779B9) + u(seed_low)
    h = (h ^ (h >> u(16))) * u(0x7FEB352D)
    h = ((h ^ (h >> u(15))) + u(seed_high)) * u(0x846CA68B)
    return h ^ (h >> u(16))
