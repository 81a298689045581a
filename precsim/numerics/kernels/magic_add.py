"""Rounding of one number, in numba: the float magic add.

For a number x of exponent e, let C be the power of two whose own spacing is the target's spacing at x. Then
``(|x| + C) - C`` is |x| rounded to nearest-even in the target, done by the adder, for normal and subnormal targets
alike. Everything else is integer selection without branches, so LLVM vectorizes the loops. fastmath must stay off:
it would cancel the addition.

Formats whose C would overflow (those with the carrier's exponent range: BF16 and TF32 in float32) have a constant
number of discarded bits; for them one integer addition rounds (the `wide` kernels).
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple as _to_fixed_tuple

from precsim.numerics.kernels.bit_operations import (  # fmt: skip
    add,
    band,
    bits_of,
    bor,
    equal,
    float_of,
    greater,
    less,
    low_word,
    lshr,
    mul,
    pick,
    real_of,
    shl,
    sub,
    word_like,
    xor,
)
from precsim.numerics.kernels.parameters import Params

__all__ = [
    "counted",
    "directed",
    "even",
    "first_count",
    "fixed",
    "fixed_even",
    "magic_random",
    "next_count",
    "odd",
    "tie_away",
    "toward_zero",
    "unpack",
    "wide_random",
]

to_fixed_tuple: Any = _to_fixed_tuple
_COUNT = len(Params._fields)


@njit
def unpack(p):
    """Parameters as local values, so that no store into the output can change them inside the loop."""
    return Params(*to_fixed_tuple(p, _COUNT))


@njit
def finish(u, a, r, over, c, short):
    """Overflow, infinity, NaN and the sign of the rounded magnitude r.

    Where `short` is true (a constant of each loop), nothing is flushed, -0 exists and both signs are treated alike.
    """
    if short:
        r = pick(greater(r, c.high), over, r)
        r = pick(less(a, c.infinite), r, pick(greater(a, c.infinite), c.nan, c.infinity))
        return float_of(bor(r, band(u, c.sign)))
    zero = sub(a, a)
    negative = less(u, zero)
    r = pick(less(r, c.flush), zero, r)
    r = pick(greater(r, pick(negative, c.low, c.high)), pick(negative, c.underflow, c.overflow), r)
    special = pick(greater(a, c.infinite), c.nan, pick(negative, c.minus_infinity, c.infinity))
    r = pick(less(a, c.infinite), r, special)
    return float_of(bor(r, band(u, pick(greater(r, zero), c.sign, c.zero_sign))))


@njit
def finish_nearest(u, a, r, c, short):
    """The same; the short form takes infinity for an overflow like any other."""
    if short:
        r = pick(greater(r, c.high), c.overflow, r)
        return float_of(bor(pick(greater(a, c.infinite), c.nan, r), band(u, c.sign)))
    return finish(u, a, r, c.overflow, c, short)


@njit
def magic(a, c):
    """Clamped magnitude, C, and the spacing."""
    # Clamped first: C cannot overflow then, and what was beyond the format stays visible. About 15 vector operations
    # in all, so that 10**7 numbers cost 0.8 to 1.0 memory copies for any exponent and significand width, where casts
    # by table or branch cost 20 to 30; the same from shifts of integers alone takes 1.8
    clamped = pick(less(a, c.clamp), a, c.clamp)
    e = band(clamped, c.exponent)
    big = add(pick(greater(e, c.emin), e, c.emin), c.lift)
    return float_of(clamped), float_of(big), float_of(sub(big, c.drop))


@njit
def even(value, c, short):
    """Round one number to nearest-even."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, _ = magic(a, c)
    return finish_nearest(u, a, bits_of((x + C) - C), c, short)


@njit
def tie_away(value, c, short):
    """Nearest; a tie that went toward zero goes away from it."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    r = (x + C) - C
    half = float_of(c.half) * ulp
    return finish_nearest(u, a, bits_of(pick(less(x - r, half), r, r + ulp)), c, short)


@njit
def toward_zero(value, c, short):
    """Take back a step that went away from zero."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    r = (x + C) - C
    return finish(u, a, bits_of(pick(greater(r, x), r - ulp, r)), c.overflow, c, short)


@njit
def directed(value, c, short):
    """Up (or, with the sign bit in `turn`, down): away from zero on one side, toward it on the other."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    r = (x + C) - C
    inward = pick(greater(r, x), r - ulp, r)
    outward = pick(less(r, x), r + ulp, r)
    zero = sub(a, a)
    r = bits_of(pick(less(xor(u, c.turn), zero), inward, outward))
    return finish(u, a, r, pick(less(u, zero), c.underflow, c.overflow), c, short)


@njit
def odd(value, c, short):
    """Move to the other neighbour where the nearest is even and not exact."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    q = x + C
    r = q - C
    other = pick(less(r, x), r + ulp, pick(greater(r, x), r - ulp, r))
    return finish(u, a, bits_of(pick(less(band(bits_of(q), c.one), c.one), other, r)), c.overflow, c, short)


@njit
def fixed_even(value, c, short):
    """Round one number to nearest-even by one integer addition; constant number of discarded bits."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    r = add(a, add(band(lshr(a, c.dropped), c.tie), c.add_up))
    return finish_nearest(u, a, band(r, c.keep), c, short)


@njit
def fixed(value, c, short):
    """Round one number by one integer addition; any deterministic mode, constant number of discarded bits."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    last = band(lshr(a, c.dropped), c.one)
    negative = less(u, sub(a, a))
    more = band(pick(negative, c.add_down, c.add_up), bor(sub(last, c.one), c.odd))
    r = add(a, add(more, band(last, c.tie)))
    return finish(u, a, shl(lshr(r, c.dropped), c.dropped), pick(negative, c.underflow, c.overflow), c, short)


@njit
def magic_random(value, noise, c, short):
    """Round one number stochastically: it stays where rest / ulp is below 1 - R / 2**N (in B and C: R + 1/2)."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    r = (x + C) - C
    t = pick(greater(r, x), r - ulp, r)
    rest = x - t
    if short:
        stay = less(rest, (real_of(sub(c.span, noise)) * float_of(c.step)) * ulp)
    else:
        limit = (real_of(sub(c.span, add(shl(noise, c.twice), c.twice))) * float_of(c.step)) * ulp
        stay = less(rest, limit) | (equal(rest, limit) & greater(band(noise, c.strict), sub(noise, noise)))
    return finish_nearest(u, a, bits_of(pick(stay, t, t + ulp)), c, short)


@njit
def wide_random(value, noise, c, short):
    """Round one number stochastically by adding the noise to the discarded bits (their number is constant)."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    drawn = add(shl(noise, c.twice), c.twice)
    more = sub(lshr(shl(drawn, c.left), c.right), band(noise, c.strict))
    return finish_nearest(u, a, shl(lshr(add(a, more), c.dropped), c.dropped), c, short)


@njit
def first_count(start, c):
    """Hash state of element number start; `next_count` gives the one after."""
    return add(mul(low_word(start), low_word(0x9E3779B9)), low_word(c.seed_low))


@njit
def next_count(h):
    """Hash state of the next element: a running sum, since a multiplication for each element costs more."""
    return add(h, low_word(0x9E3779B9))


@njit
def counted(h, c):
    """n random bits from an element's hash state: the hash of `precsim.numerics.kernels.integer.counter_bits`."""
    h = mul(xor(h, lshr(h, low_word(16))), low_word(0x7FEB352D))
    h = add(xor(h, lshr(h, low_word(15))), low_word(c.seed_high))
    h = mul(h, low_word(0x846CA68B))
    h = xor(h, lshr(h, low_word(16)))
    return word_like(lshr(h, low_word(c.noise_shift)), c.one)
