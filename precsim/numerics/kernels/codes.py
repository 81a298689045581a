"""Between values and codes: numba loops for the formats the magic add serves, integer formulas for all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple as _to_fixed_tuple

from precsim.numerics.binary_format import Format, Specials
from precsim.numerics.grid import Grid
from precsim.numerics.kernels.bit_operations import (  # fmt: skip
    add,
    band,
    bits_of,
    bor,
    equal,
    float_of,
    greater,
    less,
    lshr,
    pick,
    real_of,
    shl,
    sub,
    word_like,
)
from precsim.numerics.kernels.caching import compiled
from precsim.numerics.kernels.integer import Carrier
from precsim.numerics.kernels.magic_add import fixed_even, magic, unpack

__all__ = [
    "CodeParams",
    "code_parameters",
    "decode_values",
    "encode_values",
    "integer_decode",
    "is_shortened",
    "magic_decode",
    "magic_encode",
    "magic_encode_checked",
    "nan_code",
    "wide_decode",
    "wide_encode",
]


class CodeParams(NamedTuple):
    """What the loops below must know of a format's codes; `code` means a code without its sign bit."""

    inf_overflows: int  #: as in `Params`
    high: int  #: code of the largest value
    low: int  #: code of the magnitude of the most negative value
    overflow: int  #: image of what is beyond
    underflow: int
    infinity: int
    minus_infinity: int
    nan: int
    flush: int  #: smaller codes become zero
    sign: int  #: sign bit of a code; 0 for unsigned formats and two's complement
    zero_sign: int  #: the same, for zero
    place: int  #: how far the carrier's sign bit is shifted to become the code's
    twos: int  #: -1 for two's complement
    mask: int  #: all bits of a code
    body: int  #: all bits of a code but the sign
    lift: int  #: decoding: added to a shifted code gives the bits of the value
    hidden: int  #: decoding: smallest code with a hidden bit
    unit_bit: int  #: decoding: one step of the carrier's exponent field
    step: int  #: decoding: bits of 2**emin in the carrier
    top: int  #: decoding: largest code that is a number
    inf_code: int  #: decoding: code of infinity, or -1
    grain: int  #: decoding integers: bits of the spacing
    bits: int  #: decoding: width of a code
    infinite: int  #: bits of the carrier's infinity
    not_number: int  #: bits of the carrier's NaN


def nan_code(fmt: Format) -> int:
    """Code of the quiet NaN, without sign."""
    m = fmt.precision - 1
    if fmt.specials is Specials.IEEE:
        return fmt.magnitudes + 2 ** (m - 1)
    if fmt.specials is Specials.FNUZ or (fmt.specials is Specials.EXTENDED and fmt.signed):
        return 2 ** (fmt.bits - 1)
    return 2 ** (fmt.bits - int(fmt.signed)) - 1


def code_parameters(fmt: Format, grid: Grid, carrier: Carrier, inf_overflows: bool) -> np.ndarray:
    """Return the array of `CodeParams` for a format under a grid's rules."""
    kind = np.int32 if carrier.bits == 32 else np.int64
    real = np.float32 if carrier.bits == 32 else np.float64
    top = fmt.magnitudes - 1
    sign_bit = 0 if fmt.is_integer or not fmt.signed else 1 << (fmt.bits - 1)

    def bits(value) -> int:
        return int(np.asarray(value, real).view(kind))

    def code(value: float, limit: int) -> int:
        if np.isnan(value):
            return nan_code(fmt) if fmt.has_nan else 0
        if np.isinf(value):
            return fmt.magnitudes
        return limit if value else 0

    low = 2**fmt.precision if fmt.is_integer and fmt.signed else (top if fmt.signed else 0)
    p = CodeParams(
        inf_overflows=int(inf_overflows),
        high=top,
        low=low,
        overflow=code(grid.overflow, top),
        underflow=code(grid.underflow, low),
        infinity=code(grid.infinity, top),
        minus_infinity=code(grid.minus_infinity, low),
        nan=code(grid.nan, top),
        flush=2 ** (fmt.precision - 1) if grid.flush else 0,
        sign=sign_bit,
        zero_sign=sign_bit if fmt.has_negative_zero else 0,
        place=carrier.bits - fmt.bits,
        twos=-int(fmt.is_integer and fmt.signed),
        mask=2**fmt.bits - 1,
        body=2**fmt.bits - 1 - sign_bit,
        lift=(fmt.emin - 1 + carrier.bias) << carrier.fraction,
        hidden=2 ** (fmt.precision - 1),
        unit_bit=1 << carrier.fraction,
        step=bits(fmt.smallest_normal),
        top=top,
        inf_code=fmt.magnitudes if fmt.has_infinity else -1,
        grain=bits(fmt.smallest_subnormal),
        bits=fmt.bits,
        infinite=carrier.infinity,
        not_number=bits(np.nan),
    )
    return np.array([_wrapped(v, carrier.bits) for v in p], dtype=kind)


def is_shortened(fmt: Format, carrier: Carrier) -> bool:
    """Whether the format is the carrier with a shorter significand, so that codes are leading bits of its floats."""
    same_exponents = fmt.exponent_bits == carrier.bits - 1 - carrier.fraction and fmt.bias == carrier.bias
    return same_exponents and fmt.specials is Specials.IEEE and fmt.signed


def _wrapped(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) == 1 else value


to_fixed_tuple: Any = _to_fixed_tuple
_COUNT = len(CodeParams._fields)


@njit
def unpack_codes(k):
    """The kernel's parameters as local values, which the compiler keeps in registers."""
    return CodeParams(*to_fixed_tuple(k, _COUNT))


@njit
def encoded(value, c, k, short):
    """Code of one number rounded to nearest-even: the integer significand is what the magic add leaves in C."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, _ = magic(a, c)
    big = bits_of(C)
    e = sub(sub(big, c.lift), c.emin)
    r = add(sub(bits_of(x + C), big), lshr(e, c.dropped))
    sign = band(lshr(u, k.place), k.sign)
    if short:
        r = pick(greater(r, k.high), k.overflow, r)
        return bor(pick(greater(a, c.infinite), k.nan, r), sign)
    zero = sub(a, a)
    negative = less(u, zero)
    r = pick(less(r, k.flush), zero, r)
    r = pick(greater(r, pick(negative, k.low, k.high)), pick(negative, k.underflow, k.overflow), r)
    special = pick(greater(a, c.infinite), k.nan, pick(negative, k.minus_infinity, k.infinity))
    r = pick(less(a, c.infinite), r, special)
    r = pick(negative & less(k.twos, zero), band(sub(zero, r), k.mask), r)
    return bor(r, pick(greater(r, zero), sign, band(sign, k.zero_sign)))


@compiled
def magic_encode(x, out, p, k):
    """Codes of the numbers rounded to nearest-even."""
    c, k = unpack(p), unpack_codes(k)
    if k.inf_overflows:
        for i in range(x.size):
            out[i] = encoded(x[i], c, k, True)
    else:
        for i in range(x.size):
            out[i] = encoded(x[i], c, k, False)


@compiled
def magic_encode_checked(x, out, p, k):
    """The same; returns whether there was NaN."""
    c, k = unpack(p), unpack_codes(k)
    found = c.plus
    if k.inf_overflows:
        for i in range(x.size):
            out[i] = encoded(x[i], c, k, True)
            found = bor(found, sub(c.infinite, band(bits_of(x[i]), c.magnitude)))
    else:
        for i in range(x.size):
            out[i] = encoded(x[i], c, k, False)
            found = bor(found, sub(c.infinite, band(bits_of(x[i]), c.magnitude)))
    return less(found, c.plus)


@compiled
def wide_encode(x, out, p):
    """Codes, nearest-even, of a format that is the carrier with a shorter significand."""
    c = unpack(p)
    for i in range(x.size):
        out[i] = lshr(bits_of(fixed_even(x[i], c, False)), c.dropped)


@compiled
def wide_decode(codes, out, p):
    """Values of the codes of such a format."""
    c = unpack(p)
    for i in range(codes.size):
        out[i] = float_of(shl(word_like(codes[i], c.one), c.dropped))


@njit
def decoded(code, c, k, short):
    """Value of one code: shifted into place and, without a hidden bit, lessened by the one it then has."""
    r = band(code, k.body)
    zero = sub(r, r)
    plain = less(r, k.hidden)
    bits = add(add(shl(r, c.dropped), k.lift), pick(plain, k.unit_bit, zero))
    value = bits_of(float_of(bits) - float_of(pick(plain, k.step, zero)))
    sign = shl(band(code, k.sign), k.place)
    if short:
        value = pick(greater(r, k.top), k.not_number, value)
    else:
        value = pick(greater(r, k.top), pick(equal(r, k.inf_code), k.infinite, k.not_number), value)
        lone = equal(r, zero) & greater(band(code, sub(k.sign, k.zero_sign)), zero)
        value = pick(lone, k.not_number, value)
    return float_of(bor(value, sign))


@compiled
def magic_decode(codes, out, p, k):
    """Values of the codes of a floating-point format."""
    c, k = unpack(p), unpack_codes(k)
    if less(k.inf_code, c.plus) and k.sign == k.zero_sign:
        for i in range(codes.size):
            out[i] = decoded(word_like(codes[i], c.one), c, k, True)
    else:
        for i in range(codes.size):
            out[i] = decoded(word_like(codes[i], c.one), c, k, False)


@compiled
def integer_decode(codes, out, p, k):
    """Values of the codes of an integer format."""
    c, k = unpack(p), unpack_codes(k)
    for i in range(codes.size):
        code = word_like(codes[i], c.one)
        wrap = band(k.twos, shl(band(code, shl(c.one, sub(k.bits, c.one))), c.one))
        out[i] = real_of(sub(code, wrap)) * float_of(k.grain)


def encode_values(xp: Any, carrier: Carrier, bits, fmt: Format):
    """Codes (as integers of the carrier's width) of floats that are values of the format, or NaN or infinity.

    For every format, by integer arithmetic; ``xp`` is ``numpy`` or ``jax.numpy``.
    """
    m = carrier.fraction
    if is_shortened(fmt, carrier):
        lost = carrier.bits - fmt.bits
        return (bits >> lost) & (2**fmt.bits - 1) if lost else bits
    a = bits & carrier.magnitude
    negative = bits < 0
    field = a >> m
    lead = xp.maximum(field, 1)
    sig = a - ((lead - 1) << m)
    e = xp.maximum(field, fmt.emin + carrier.bias)
    d = xp.minimum(e - lead + (m + 1 - fmt.precision), m + 2)
    code = (sig >> d) + ((e - (fmt.emin + carrier.bias)) << (fmt.precision - 1))
    if not fmt.has_zero:
        code = code - 1
    if fmt.has_infinity:
        code = xp.where(a == carrier.infinity, fmt.magnitudes, code)
    if fmt.has_nan:
        code = xp.where(a > carrier.infinity, nan_code(fmt), code)
    if fmt.is_integer:
        return xp.where(negative, -code, code) & (2**fmt.bits - 1)
    if not fmt.signed:
        return code
    signed = negative & ((code != 0) | fmt.has_negative_zero)
    return xp.where(signed, code | (1 << (fmt.bits - 1)), code)


def decode_values(xp: Any, carrier: Carrier, codes, fmt: Format):
    """Bits of the values of codes given as integers of the carrier's width; the inverse of `encode_values`.

    For formats too wide for a table. The significand, an integer, is exact as a float of the carrier; its exponent
    field is then moved, or, for a subnormal result, its bits are.
    """
    m = fmt.precision - 1
    body = fmt.bits - int(fmt.signed)
    real = xp.float32 if carrier.bits == 32 else xp.float64
    c = codes & (2**fmt.bits - 1)
    negative = (c >> body) & int(fmt.signed)
    if fmt.is_integer:
        signed = xp.where(negative == 1, c - 2**fmt.bits, c).astype(real) * fmt.smallest_subnormal
        return signed.view(codes.dtype)
    a = c & (2**body - 1)
    field = a >> m
    hidden = (field > 0) | (not fmt.has_zero)
    sig = (a & (2**m - 1)) + xp.where(hidden, 2**m, 0)
    power = xp.where(hidden, field - int(fmt.has_zero), 0) + fmt.emin - m  # value = sig * 2**power
    bits = sig.astype(real).view(codes.dtype)
    moved = (bits >> carrier.fraction) + power
    lowest = 1 - carrier.bias - carrier.fraction
    under = sig << xp.maximum(power - lowest, 0)
    r = xp.where(moved > 0, bits + (power << carrier.fraction), under)
    r = xp.where(sig == 0, 0, r)
    r = xp.where(a >= fmt.magnitudes, carrier.infinity + (1 << (carrier.fraction - 1)), r)
    if fmt.has_infinity:
        r = xp.where(a == fmt.magnitudes, carrier.infinity, r)
    lone = (negative == 1) & (a == 0) & (not fmt.has_negative_zero)
    r = xp.where(lone, carrier.infinity + (1 << (carrier.fraction - 1)), r)
    return r | (negative << (carrier.bits - 1))
