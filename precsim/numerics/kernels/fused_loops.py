"""Scale, round to nearest-even and unscale in one pass over each group, in numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple as _to_fixed_tuple

from precsim.numerics.kernels.bit_operations import add, band, bits_of, bor, float_of, greater, less, pick, staircase
from precsim.numerics.kernels.caching import compiled
from precsim.numerics.kernels.magic_add import even, fixed_even, unpack
from precsim.numerics.kernels.vectors import block_evenly, block_floats, block_largest

__all__ = [
    "quantize_affine_columns",
    "quantize_affine_rows",
    "quantize_blocks",
    "quantize_columns",
    "quantize_levels",
    "quantize_rows",
    "quantize_two_level",
]

to_fixed_tuple: Any = _to_fixed_tuple
_PIECE = 128  # blocks of 32 looked at twice: 16 KiB, which stay in the first-level cache
_LEAST = np.float32(2.0**-126)
_LIFT = np.float32(2.0**64)
_LARGEST = np.finfo(np.float32).max
_CENTER = np.float32(1.5 * 2.0**23)
_ONE = np.float32(1.0)
_NAN = np.float32(np.nan)


@njit
def unpack_scaling(how):
    """Reciprocal of the largest value, its bits, rule, nudge, center, lowest, largest, wide: from an array of words."""
    k = to_fixed_tuple(how, 8)
    return float_of(k[0]), k[1], k[2], k[3], float_of(k[4]), float_of(k[5]), float_of(k[6]), k[7]


@njit
def power_of_two(best, top, rule, nudge):
    """Scale 2**E from the bits of a block's largest magnitude: rules as in ScaleRule, in its order."""
    fraction = np.int32(0x7FFFFF)
    lift = np.int32(64) if best < (1 << 23) else np.int32(0)  # a subnormal number has no exponent to read
    bits = (bits_of(float_of(best) * _LIFT) if lift > 0 else best) + nudge
    exponent = (bits >> 23) - (top >> 23) - lift
    if rule == 1 and (bits & fraction) != 0:
        exponent += 1
    if rule == 2 and (bits & fraction) > (top & fraction):
        exponent += 1
    field = min(max(exponent, -127), 127) + 127
    return float_of(np.int32(1 << 22 if field == 0 else field << 23))


@njit
def scale_of(best, c, reciprocal, top, rule, nudge):
    """Scale of a group from the bits of its largest magnitude: rule -1 largest * reciprocal, else a power of two."""
    if best >= c.infinite:
        return _NAN
    if rule < 0:
        scale = float_of(best) * reciprocal
        return _LEAST if scale < _LEAST else scale
    return power_of_two(best, top, rule, nudge)


@njit
def largest(x, r, n, c):
    """Bits of the largest magnitude of row r, which has n elements."""
    best = c.plus
    for i in range(n):
        a = band(bits_of(x[r, i]), c.magnitude)
        best = pick(greater(a, best), a, best)
    return best


@njit
def evenly(y, center, low, high):
    """Round to multiples of a spacing, of which center is 1.5 * 2**23: one addition and its inverse; never -0."""
    y = (y + center) - center
    y = pick(greater(y, high), high, y)
    return pick(greater(low, y), low, y)


@njit
def bounded(y, c):
    """Round a number that its scale keeps below twice the largest value; saturates; NaN may become anything."""
    u = bits_of(y)
    a = band(u, c.magnitude)
    e = band(a, c.exponent)
    big = float_of(add(pick(greater(e, c.emin), e, c.emin), c.lift))
    r = bits_of((float_of(a) + big) - big)
    return float_of(bor(pick(greater(r, c.high), c.high, r), band(u, c.sign)))


@njit
def short_steps(c):
    """What `block_floats` must know of a format."""
    return c.magnitude, c.clamp, c.exponent, c.emin, c.lift, c.high, c.sign


@njit
def scaled(x, out, r, n, c, inverse, scale, center, low, high, wide):
    """Round row r, of n elements, whose scale is NaN or leaves no element beyond twice the largest value."""
    if wide > 0:  # the exponents of float32 (BF16, TF32): an element may even be infinite
        for i in range(n):
            out[r, i] = fixed_even(x[r, i] * inverse, c, False) * scale
    elif center > 0:
        for i in range(n):
            out[r, i] = evenly(x[r, i] * inverse, center, low, high) * scale
    elif c.inf_overflows:
        for i in range(n):
            out[r, i] = bounded(x[r, i] * inverse, c) * scale
    else:
        for i in range(n):
            out[r, i] = even(x[r, i] * inverse, c, False) * scale


@compiled(error_model="numpy")
def quantize_rows(x, out, p, how):
    """Quantize each row with its own scale."""
    c = unpack(p)
    reciprocal, top, rule, nudge, center, low, high, wide = unpack_scaling(how)
    n = x.shape[1]
    for r in range(x.shape[0]):
        scale = scale_of(largest(x, r, n, c), c, reciprocal, top, rule, nudge)
        scaled(x, out, r, n, c, _ONE / scale, scale, center, low, high, wide)


@compiled(error_model="numpy")
def quantize_blocks(x, out, p, how):
    """Quantize each row of 32 with its own scale: the largest, the scales and the roundings of a piece in turn.

    For integers, and for formats with the short last steps; the three loops keep a row's steps from waiting for each
    other.
    """
    c = unpack(p)
    reciprocal, top, rule, nudge, center, low, high, _ = unpack_scaling(how)
    # One loop over rows waits for each row's maximum, division and rounding in turn: 6.2 copies of 10**5 numbers, and
    # 1.8 of 10**7; three loops over pieces that stay in the first-level cache let the processor overlap rows
    best, scale, inverse = np.empty(_PIECE, np.int32), np.empty(_PIECE, np.float32), np.empty(_PIECE, np.float32)
    for start in range(0, x.shape[0], _PIECE):
        m = min(_PIECE, x.shape[0] - start)
        for k in range(m):
            best[k] = block_largest(32, x, start + k, c.magnitude)
        for k in range(m):
            scale[k] = scale_of(best[k], c, reciprocal, top, rule, nudge)
            inverse[k] = _ONE / scale[k]
        if center > 0:
            for k in range(m):
                block_evenly(32, x, out, start + k, inverse[k], scale[k], (center, low, high))
        else:
            for k in range(m):
                block_floats(32, x, out, start + k, inverse[k], scale[k], short_steps(c))


@compiled(error_model="numpy")
def quantize_columns(x, out, p, how):
    """Quantize each column with its own scale, reading along the rows."""
    c = unpack(p)
    reciprocal, top, rule, nudge, center, low, high, wide = unpack_scaling(how)
    n = x.shape[1]
    best, inverse, scale = np.zeros(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
    for r in range(x.shape[0]):
        for i in range(n):
            a = band(bits_of(x[r, i]), c.magnitude)
            best[i] = pick(greater(a, best[i]), a, best[i])
    for i in range(n):
        scale[i] = scale_of(best[i], c, reciprocal, top, rule, nudge)
        inverse[i] = _ONE / scale[i]
    for r in range(x.shape[0]):
        if wide > 0:
            for i in range(n):
                out[r, i] = fixed_even(x[r, i] * inverse[i], c, False) * scale[i]
        elif center > 0:
            for i in range(n):
                out[r, i] = evenly(x[r, i] * inverse[i], center, low, high) * scale[i]
        elif c.inf_overflows:
            for i in range(n):
                out[r, i] = bounded(x[r, i] * inverse[i], c) * scale[i]
        else:
            for i in range(n):
                out[r, i] = even(x[r, i] * inverse[i], c, False) * scale[i]


@compiled(error_model="numpy")
def quantize_two_level(x, out, p, e4m3, top, held):
    """Quantize rows whose scales are E4M3 numbers: TransformerEngine's operations, or torchao's where held > 0."""
    c, e = unpack(p), unpack(e4m3)
    n = x.shape[1]
    best, whole = np.empty(x.shape[0], np.int32), c.plus
    scale, inverse = np.empty(_PIECE, np.float32), np.empty(_PIECE, np.float32)
    for r in range(x.shape[0]):
        best[r] = block_largest(16, x, r, c.magnitude) if n == 16 else largest(x, r, n, c)
        whole = pick(greater(best[r], whole), best[r], whole)
    room = np.float32(448) * top
    a = float_of(whole)
    if whole >= c.infinite:
        room = _NAN
    shared = max(a / room, _LEAST) if whole > 0 else _ONE
    encode = min(room / a, _LARGEST) if whole > 0 else _ONE
    if whole >= c.infinite:
        shared = encode = _NAN
    for start in range(0, x.shape[0], _PIECE):
        m = min(_PIECE, x.shape[0] - start)
        for k in range(m):
            block = float_of(best[start + k])
            if held > 0:
                s = even(max(block / top / shared, held), e, False)
                inverse[k], scale[k] = (_ONE / shared) / s, s * shared
            else:
                s = even(block * (encode * (_ONE / top)), e, False)
                scale[k] = s * (_ONE / encode)
                inverse[k] = min(_ONE / scale[k], _LARGEST)
        if n == 16 and c.inf_overflows:
            for k in range(m):
                block_floats(16, x, out, start + k, inverse[k], scale[k], short_steps(c))
        else:
            for k in range(m):
                for i in range(n):
                    out[start + k, i] = even(x[start + k, i] * inverse[k], c, False) * scale[k]


@njit
def affine_scale(low, high, best, c, step):
    """Scale and its reciprocal of a range that holds zero; step is 1 / number of steps."""
    span = high - low
    scale = span * step if span <= _LARGEST else high * step - low * step
    scale = _LEAST if scale < _LEAST else scale
    if best >= c.infinite:
        scale = _NAN
    return scale, _ONE / scale


@njit
def stepped(y, zero, scale, low, high):
    """One element: the nearest step from the zero point, within the codes, and back."""
    # adding and taking away 1.5 * 2**23 rounds to nearest-even; a call of rint would keep LLVM from vectorizing
    code = ((y + _CENTER) - _CENTER) + zero
    code = pick(greater(code, high), high, code)
    code = pick(greater(low, code), low, code)
    return (code - zero) * scale


@compiled(error_model="numpy")
def quantize_affine_rows(x, out, p, ends):
    """Quantize each row to integers with a zero point; ends: lowest and largest code, 1 / number of steps."""
    c = unpack(p)
    lowest, highest, step = to_fixed_tuple(ends, 3)
    n = x.shape[1]
    for r in range(x.shape[0]):
        low, high, best = np.float32(0), np.float32(0), c.plus
        for i in range(n):
            v = x[r, i]
            low, high = pick(less(v, low), v, low), pick(greater(v, high), v, high)
            a = band(bits_of(v), c.magnitude)
            best = pick(greater(a, best), a, best)
        scale, inverse = affine_scale(low, high, best, c, step)
        zero = lowest - ((low * inverse + _CENTER) - _CENTER)
        for i in range(n):
            out[r, i] = stepped(x[r, i] * inverse, zero, scale, lowest, highest)


@compiled(error_model="numpy")
def quantize_affine_columns(x, out, p, ends):
    """The same with a scale for each column, reading along the rows."""
    c = unpack(p)
    lowest, highest, step = to_fixed_tuple(ends, 3)
    n = x.shape[1]
    low, high, best = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.int32)
    scale, inverse, zero = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    for r in range(x.shape[0]):
        for i in range(n):
            v = x[r, i]
            low[i], high[i] = pick(less(v, low[i]), v, low[i]), pick(greater(v, high[i]), v, high[i])
            a = band(bits_of(v), c.magnitude)
            best[i] = pick(greater(a, best[i]), a, best[i])
    for i in range(n):
        scale[i], inverse[i] = affine_scale(low[i], high[i], best[i], c, step)
        zero[i] = lowest - ((low[i] * inverse[i] + _CENTER) - _CENTER)
    for r in range(x.shape[0]):
        for i in range(n):
            out[r, i] = stepped(x[r, i] * inverse[i], zero[i], scale[i], lowest, highest)


@compiled(error_model="numpy")
def quantize_levels(x, out, p, reciprocal, levels, midpoints):
    """Quantize each row to 16 levels times its scale: the level above is taken beyond each midpoint."""
    c = unpack(p)
    level, middle = to_fixed_tuple(levels, 16), to_fixed_tuple(midpoints, 15)
    n = x.shape[1]
    for r in range(x.shape[0]):
        scale = scale_of(largest(x, r, n, c), c, reciprocal, np.int32(0), -1, np.int32(0))
        inverse = _ONE / scale
        for i in range(n):
            out[r, i] = staircase(x[r, i] * inverse, middle, level) * scale
