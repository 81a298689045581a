"""Scale, round to nearest-even and unscale in one pass over each group, in numba."""

from __future__ import annotations

import numpy as np
from numba import njit

from precsim._kernels.elements import even, unpack
from precsim._kernels.words import band, bits_of, float_of, greater, pick

__all__ = ["quantize_rows"]

_LEAST = np.float32(2.0**-126)
_ONE = np.float32(1.0)


@njit
def power_of_two(best, top, rule, nudge):
    """Scale 2**E from the bits of a block's largest magnitude: rules as in ScaleRule, in its order."""
    fraction = np.int32(0x7FFFFF)
    bits = best + nudge
    exponent = (bits >> 23) - (top >> 23)
    if rule == 1 and (bits & fraction) != 0:
        exponent += 1
    if rule == 2 and (bits & fraction) > (top & fraction):
        exponent += 1
    field = min(max(exponent, -127), 127) + 127
    return float_of(np.int32(1 << 22 if field == 0 else field << 23))


@njit(cache=True, nogil=True, error_model="numpy")
def quantize_rows(x, out, p, reciprocal, top, rule, nudge):
    """Quantize each row with its own scale: rule -1 largest * reciprocal, else a power of two."""
    c = unpack(p)
    for r in range(x.shape[0]):
        row, result = x[r], out[r]
        best = c.plus
        for i in range(row.size):
            a = band(bits_of(row[i]), c.magnitude)
            best = pick(greater(a, best), a, best)
        if rule < 0:
            scale = float_of(best) * reciprocal
            if scale < _LEAST:
                scale = _LEAST
        elif best >= c.infinite:
            scale = float_of(c.nan)
        else:
            scale = power_of_two(best, top, rule, nudge)
        inverse = _ONE / scale
        if c.short > 1:
            for i in range(row.size):
                result[i] = even(row[i] * inverse, c, True) * scale
        else:
            for i in range(row.size):
                result[i] = even(row[i] * inverse, c, False) * scale
