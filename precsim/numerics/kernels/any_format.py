"""The integer kernel in numba: rounding and encoding for every format, deterministic modes.

For the formats that neither the magic add nor the `wide` kernels serve: powers of two (a tie is decided by the code,
E8M0 has no zero), and exponents beyond the carrier's. The same steps as `integer.round_bits`, in words of the
carrier's width so that LLVM vectorizes them: 2 to 4 copies of 10**7 numbers, where NumPy's passes took 80 to 200.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple as _to_fixed_tuple

from precsim.numerics.binary_format import Format
from precsim.numerics.grid import Grid
from precsim.numerics.kernels.bit_operations import (  # fmt: skip
    add,
    band,
    bits_of,
    bor,
    equal,
    greater,
    less,
    lshr,
    pick,
    shl,
    sub,
    xor,
)
from precsim.numerics.kernels.caching import compiled
from precsim.numerics.kernels.codes import nan_code
from precsim.numerics.kernels.integer import BINARY32, BINARY64
from precsim.numerics.kernels.magic_add import finish, unpack
from precsim.numerics.kernels.parameters import Params, parameters
from precsim.numerics.modes import Rounding

__all__ = ["encode_any", "integer_parameters", "round_any"]


class IntegerParams(NamedTuple):
    """What the loops below must know beside `Params`."""

    fraction: int  #: stored significand bits of the carrier
    lowest: int  #: biased exponent of the smallest normal number
    offset: int  #: discarded bits of a number in the normal range
    powers: int  #: 1 at precision 1, where the exponent decides ties
    parity: int
    least: int
    smallest: int  #: bits of the smallest positive value
    even: int  #: 1 where a tie goes to the even code
    away: int  #: 1 where it goes away from zero
    halve: int  #: 1 for nearest rounding
    outward: int  #: -1 where a positive number moves outward
    outward_negative: int
    any_parity: int  #: 0 to odd, else -1
    start: int  #: code of the smallest normal number, less one binade's codes
    shift: int  #: significand bits of a code
    infinity_code: int
    nan_code: int
    top: int  #: sign bit of a code; 0 for unsigned formats and integers
    twos: int  #: -1 for two's complement
    mask: int  #: all bits of a code
    zero_sign: int  #: sign bit of the code of -0, 0 where it has none


def integer_parameters(fmt: Format, grid: Grid, dtype: np.dtype, rounding: Rounding) -> np.ndarray:
    """Return the array that the loops below take: `Params`, then `IntegerParams`."""
    carrier, kind = (BINARY32, np.int32) if dtype.itemsize == 4 else (BINARY64, np.int64)

    def bits(value: float) -> int:
        return int(np.asarray(value, dtype).view(kind))

    nearest = rounding in (Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY)
    sign = 1 << (fmt.bits - 1) if fmt.signed and not fmt.is_integer else 0
    mask = 2**fmt.bits - 1
    more = IntegerParams(
        fraction=carrier.fraction,
        lowest=grid.emin + carrier.bias,
        offset=carrier.fraction + 1 - grid.precision,
        powers=int(grid.precision == 1),
        parity=grid.parity,
        least=bits(grid.least),
        smallest=bits(fmt.smallest_subnormal),
        even=int(rounding is Rounding.NEAREST_EVEN),
        away=int(rounding is Rounding.NEAREST_AWAY),
        halve=int(nearest),
        outward=-int(nearest or rounding in (Rounding.UP, Rounding.TO_ODD)),
        outward_negative=-int(nearest or rounding in (Rounding.DOWN, Rounding.TO_ODD)),
        any_parity=0 if rounding is Rounding.TO_ODD else -1,
        start=int(not fmt.has_zero),
        shift=grid.precision - 1,
        infinity_code=fmt.magnitudes if fmt.has_infinity else 0,
        nan_code=nan_code(fmt) if fmt.has_nan else 0,
        top=sign,
        twos=-int(fmt.is_integer and fmt.signed),
        mask=mask,
        zero_sign=sign if fmt.has_negative_zero else 0,
    )
    wrapped = [v - (1 << carrier.bits) if v >> (carrier.bits - 1) == 1 else v for v in more]
    return np.concatenate([parameters(grid, dtype, rounding), np.array(wrapped, kind)])


to_fixed_tuple: Any = _to_fixed_tuple
_FIRST = len(Params._fields)
_COUNT = len(IntegerParams._fields)


@njit
def unpack_integer(p):
    """The parameters beyond `Params`, as local values."""
    return IntegerParams(*to_fixed_tuple(p[_FIRST:], _COUNT))


@njit
def significand(a, c, k):
    """Exponent field, integer significand, what precedes it in the pattern, and how many of its bits are discarded."""
    zero = sub(a, a)
    field = lshr(a, k.fraction)
    lead = pick(less(field, c.one), c.one, field)
    base = shl(sub(lead, c.one), k.fraction)
    d = add(sub(pick(less(field, k.lowest), k.lowest, field), lead), k.offset)
    most = add(add(k.fraction, c.one), c.one)  # beyond that the fraction is below 1/4 of the interval
    return field, sub(a, base), base, d, pick(less(d, most), d, most), zero


@njit
def any_rounded(value, c, k):
    """Round one number by integer operations alone; the steps of `integer.round_bits`."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    field, sig, base, d, dc, zero = significand(a, c, k)
    ones = sub(shl(c.one, dc), c.one)
    whole = lshr(sig, dc)
    inside = less(d, add(k.fraction, c.one))
    power = pick(inside & greater(whole, zero), xor(field, k.parity), zero)
    odd = band(pick(greater(k.powers, zero), power, whole), c.one)
    more = lshr(add(ones, add(band(odd, k.even), k.away)), k.halve)
    more = band(more, pick(less(u, zero), k.outward_negative, k.outward))
    more = band(more, bor(sub(odd, c.one), k.any_parity))
    q = lshr(add(sig, more), dc)
    near = add(base, shl(q, pick(inside, dc, zero)))
    r = pick(inside, near, pick(greater(q, zero), k.smallest, zero))
    r = pick(less(r, c.flush), zero, r)
    r = pick(less(r, k.least), k.least, r)
    unsigned = equal(a, zero) & greater(k.least, zero)  # -0 is no negative number where zero becomes the smallest one
    return finish(pick(unsigned, zero, u), a, r, c.overflow, c, False)


@njit
def any_code(value, c, k):
    """Code of one number that is a value of the format, NaN or infinity; the steps of `codes.encode_values`."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    field, sig, _, _, dc, zero = significand(a, c, k)
    e = sub(pick(less(field, k.lowest), k.lowest, field), k.lowest)
    code = sub(add(lshr(sig, dc), shl(e, k.shift)), k.start)
    code = pick(equal(a, c.infinite), k.infinity_code, code)
    code = pick(greater(a, c.infinite), k.nan_code, code)
    negative = less(u, zero)
    sign = pick(equal(code, zero), k.zero_sign, k.top)
    signed = bor(code, pick(negative, sign, zero))
    return pick(less(k.twos, zero), band(pick(negative, sub(zero, code), code), k.mask), signed)


@compiled
def round_any(x, out, p):
    """Round to any format, in any deterministic mode."""
    c, k = unpack(p), unpack_integer(p)
    for i in range(x.size):
        out[i] = any_rounded(x[i], c, k)


@compiled
def encode_any(x, out, p):
    """Codes of the rounded numbers."""
    c, k = unpack(p), unpack_integer(p)
    for i in range(x.size):
        out[i] = any_code(any_rounded(x[i], c, k), c, k)
