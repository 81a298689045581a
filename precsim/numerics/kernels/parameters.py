"""What a fast kernel must be told about a format, as integers of the carrier's width; worked out once per format."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from precsim.numerics.grid import Grid
from precsim.numerics.kernels.integer import BINARY32, BINARY64, Carrier
from precsim.numerics.modes import Rounding

__all__ = ["Params", "magic_fits", "parameters", "wide_fits"]


class Params(NamedTuple):
    """Kernel parameters; `bits` means the bit pattern of a non-negative float of the carrier."""

    one: int
    magnitude: int  #: mask of everything but the sign
    exponent: int  #: mask of the exponent field
    infinite: int  #: bits of infinity
    clamp: int  #: bits of 2**(emax+1); larger magnitudes overflow anyway
    emin: int  #: bits of 2**emin
    lift: int  #: added to the bits of 2**e: the bits of C, whose spacing is the target's
    drop: int  #: subtracted from the bits of C: the bits of that spacing
    high: int  #: bits of the largest value
    low: int  #: bits of the magnitude of the most negative value
    overflow: int
    underflow: int
    infinity: int  #: image of +infinity
    minus_infinity: int
    nan: int
    flush: int  #: smaller magnitudes become zero
    sign: int  #: mask of the sign bit; 0 for unsigned formats
    zero_sign: int  #: the same, for results that are zero
    turn: int  #: sign bit when rounding down, else 0: numbers with the other sign move toward zero
    half: int  #: bits of 0.5
    dropped: int  #: wide: number of discarded bits
    keep: int  #: wide: mask of the kept bits
    add_up: int  #: wide: added to positive magnitudes before the discarded bits are cut
    add_down: int
    tie: int  #: wide: 1 if the last kept bit joins the addition (nearest-even)
    odd: int  #: wide: 0 if an odd last bit cancels the addition (to-odd), else -1
    span: int  #: stochastic: 2**N, or 2**(N+1) for variants B and C
    step: int  #: stochastic: bits of 1 / span
    twice: int  #: stochastic: 0 for A; 1 for B and C, which compare 2R + 1
    strict: int  #: stochastic: 1 for C, where a tie against an odd R stays
    noise_shift: int  #: stochastic: low bits of each random word that are not used
    left: int  #: wide, stochastic: how far the noise moves to meet the discarded bits
    right: int
    symmetric: int  #: 1 where both signs are treated alike, -0 is kept and nothing is flushed: shorter last steps
    inf_overflows: int  #: 1 where, in addition, infinity is an overflow like any other: shorter still
    plus: int  #: zero
    seed_low: int
    seed_high: int


def magic_fits(grid: Grid, carrier: Carrier) -> bool:
    """Whether C and the spacing are normal numbers of the carrier for every x the format does not overflow on."""
    emax = _exponent(max(grid.maximum, grid.minimum))
    m = grid.precision - 1
    return m < carrier.fraction and emax + 1 + carrier.fraction - m <= carrier.bias and grid.emin - m > -carrier.bias


def wide_fits(grid: Grid, carrier: Carrier) -> bool:
    """Whether the number of discarded bits is the same for every x: the format shares the carrier's emin."""
    return grid.emin == 1 - carrier.bias and grid.precision <= carrier.fraction + 1


def parameters(grid: Grid, dtype: np.dtype, rounding: Rounding, width: int = 0, unused: int = 0, seed: int = 0):
    """Return the array that a fast kernel takes: one integer for each field of `Params`.

    For stochastic modes: N = width random bits, above `unused` low bits of each random word, made from the seed.
    """
    carrier, kind = (BINARY32, np.int32) if dtype == np.float32 else (BINARY64, np.int64)
    m, stored = grid.precision - 1, carrier.fraction
    dropped = stored - m
    unit = 1 << dropped
    directed = {
        Rounding.NEAREST_EVEN: ((unit - 1) >> 1, (unit - 1) >> 1),
        Rounding.NEAREST_AWAY: (unit >> 1, unit >> 1),
        Rounding.UP: (unit - 1, 0),
        Rounding.DOWN: (0, unit - 1),
        Rounding.TO_ODD: (unit - 1, unit - 1),
    }.get(rounding, (0, 0))

    def bits(value) -> int:
        return int(np.asarray(value, dtype).view(kind))

    emax = _exponent(max(grid.maximum, grid.minimum))
    twice = int(rounding in (Rounding.STOCHASTIC_B, Rounding.STOCHASTIC_C))
    sign = -(1 << (carrier.bits - 1))
    symmetric = not twice and _symmetric(grid, rounding)
    p = Params(
        one=1,
        magnitude=carrier.magnitude,
        exponent=carrier.infinity,
        infinite=carrier.infinity,
        clamp=min(emax + 1 + carrier.bias, 2 * carrier.bias) << stored,
        emin=max(grid.emin + carrier.bias, 1) << stored,
        lift=dropped << stored,
        drop=stored << stored,
        high=bits(grid.maximum),
        low=bits(grid.minimum),
        overflow=bits(grid.overflow),
        underflow=bits(grid.underflow),
        infinity=bits(grid.infinity),
        minus_infinity=bits(grid.minus_infinity),
        nan=bits(grid.nan),
        flush=bits(grid.flush),
        sign=sign if grid.signed else 0,
        zero_sign=sign if grid.negative_zero else 0,
        turn=sign if rounding is Rounding.DOWN else 0,
        half=bits(0.5),
        dropped=dropped,
        keep=-unit,
        add_up=directed[0],
        add_down=directed[1],
        tie=int(rounding is Rounding.NEAREST_EVEN and dropped > 0),
        odd=0 if rounding is Rounding.TO_ODD else -1,
        span=1 << (width + twice),
        step=bits(2.0 ** -(width + twice)),
        twice=twice,
        strict=int(rounding is Rounding.STOCHASTIC_C and (magic_fits(grid, carrier) or width < dropped)),
        noise_shift=unused,
        left=max(dropped - width - twice, 0),
        right=max(width + twice - dropped, 0),
        symmetric=int(symmetric),
        inf_overflows=int(symmetric and repr(grid.infinity) == repr(grid.overflow)),
        plus=0,
        seed_low=_word(seed),
        seed_high=_word(seed >> 32),
    )
    return np.array(p, dtype=kind)


def _symmetric(grid: Grid, rounding: Rounding) -> bool:
    """Whether both signs are treated alike, -0 is kept and nothing is flushed."""
    pairs = [(grid.infinity, grid.minus_infinity), (grid.maximum, grid.minimum)]
    if rounding not in (Rounding.UP, Rounding.DOWN):  # their kernels look at the sign of an overflow anyway
        pairs.append((grid.overflow, grid.underflow))
    alike = all(repr(high) == repr(low) for high, low in pairs)
    return bool(alike and grid.negative_zero and not grid.flush)


def _word(seed: int) -> int:
    low = seed & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def _exponent(value: float) -> int:
    return int(np.frexp(value)[1]) - 1
