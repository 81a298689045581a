"""Rounding kernels for NumPy arrays, in numba: the float magic add.

For a number x of exponent e, let C be the power of two whose own spacing is the target's spacing at x. Then
``(|x| + C) - C`` is |x| rounded to nearest-even in the target, done by the adder, for normal and subnormal targets
alike. Everything else is integer selection without branches, so LLVM vectorizes the loops. fastmath must stay off:
it would cancel the addition.

Formats whose C would overflow (those with the carrier's exponent range: BF16 and TF32 in float32) have a constant
number of discarded bits; for them one integer addition rounds (the `wide` kernels).

Each loop is compiled once for float32 and once for float64; all format parameters are data. A loop whose output is
its input needs a kernel of its own: with two array arguments LLVM's alias check sends it down the scalar path.
"""

from __future__ import annotations

from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from precsim._kernels.parameters import Params
from precsim._kernels.words import (
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
)  # fmt: skip

__all__ = [
    "magic_away", "magic_counter", "magic_even", "magic_even_inplace", "magic_given", "magic_odd", "wide_counter",
    "wide_fixed", "wide_fixed_inplace", "wide_given",
]  # fmt: skip

_COUNT = len(Params._fields)


@njit
def unpack(p):
    """Parameters as local values, so that no store into the output can change them inside the loop."""
    return Params(*to_fixed_tuple(p, _COUNT))


@njit
def finish(u, a, r, c, plain):
    """Overflow, NaN and the sign of the rounded magnitude r; if not plain, also what few formats and rules need."""
    if plain:
        r = pick(greater(r, c.high), c.overflow, r)
        return float_of(bor(pick(greater(a, c.infinite), c.nan, r), band(u, c.sign)))
    zero = sub(a, a)
    negative = less(u, zero)
    r = pick(less(r, c.flush), zero, r)
    r = pick(greater(r, pick(negative, c.low, c.high)), pick(negative, c.underflow, c.overflow), r)
    special = pick(greater(a, c.infinite), c.nan, pick(negative, c.minus_infinity, c.infinity))
    r = pick(less(a, c.infinite), r, special)
    return float_of(bor(r, band(u, pick(greater(r, zero), c.sign, c.zero_sign))))


@njit
def magic(a, c):
    """Clamped magnitude, C, and the spacing."""
    clamped = pick(less(a, c.clamp), a, c.clamp)
    e = band(clamped, c.exponent)
    big = add(pick(greater(e, c.emin), e, c.emin), c.lift)
    return float_of(clamped), float_of(big), float_of(sub(big, c.drop))


@njit
def truncated(x, C, ulp):
    """Neighbour toward zero and the exact rest."""
    r = (x + C) - C
    t = pick(greater(r, x), r - ulp, r)
    return t, x - t


@njit
def even(value, c, plain):
    """Round one number to nearest-even."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, _ = magic(a, c)
    return finish(u, a, bits_of((x + C) - C), c, plain)


@njit
def away(value, c, plain):
    """Move away from zero where the rest is positive and at least a fixed part of the spacing."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    t, rest = truncated(x, C, ulp)
    part = pick(less(u, sub(a, a)), float_of(c.part_down), float_of(c.part_up))
    moved = pick(less(rest, part * ulp), t, t + ulp)
    return finish(u, a, bits_of(pick(greater(rest, rest - rest), moved, t)), c, plain)


@njit
def odd(value, c, plain):
    """Move away from zero where the rest is positive and the last kept bit is 0."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    t, rest = truncated(x, C, ulp)
    moved = pick(less(band(bits_of(t + C), c.one), c.one), t + ulp, t)
    return finish(u, a, bits_of(pick(greater(rest, rest - rest), moved, t)), c, plain)


@njit
def fixed(value, c, plain):
    """Round one number by one integer addition; any deterministic mode, constant number of discarded bits."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    last = band(lshr(a, c.dropped), c.one)
    more = band(pick(less(u, sub(a, a)), c.add_down, c.add_up), bor(sub(last, c.one), c.odd))
    r = add(a, add(more, band(last, c.tie)))
    return finish(u, a, shl(lshr(r, c.dropped), c.dropped), c, plain)


@njit
def magic_random(value, noise, c, plain):
    """Round one number stochastically: it stays where rest / ulp is below 1 - R / 2**N (in B and C: R + 1/2)."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    x, C, ulp = magic(a, c)
    t, rest = truncated(x, C, ulp)
    if plain:
        stay = less(rest, (real_of(sub(c.span, noise)) * float_of(c.step)) * ulp)
    else:
        limit = (real_of(sub(c.span, add(shl(noise, c.twice), c.twice))) * float_of(c.step)) * ulp
        stay = less(rest, limit) | (equal(rest, limit) & greater(band(noise, c.strict), sub(noise, noise)))
    return finish(u, a, bits_of(pick(stay, t, t + ulp)), c, plain)


@njit
def wide_random(value, noise, c, plain):
    """Round one number stochastically by adding the noise to the discarded bits (their number is constant)."""
    u = bits_of(value)
    a = band(u, c.magnitude)
    drawn = add(shl(noise, c.twice), c.twice)
    more = sub(lshr(shl(drawn, c.left), c.right), band(noise, c.strict))
    return finish(u, a, shl(lshr(add(a, more), c.dropped), c.dropped), c, plain)


@njit
def counted(i, c):
    """N random bits for element number i: the hash of `precsim._kernels.integer.counter_bits`."""
    h = add(mul(low_word(i), low_word(0x9E3779B9)), low_word(c.seed_low))
    h = mul(xor(h, lshr(h, low_word(16))), low_word(0x7FEB352D))
    h = add(xor(h, lshr(h, low_word(15))), low_word(c.seed_high))
    h = mul(h, low_word(0x846CA68B))
    h = xor(h, lshr(h, low_word(16)))
    return word_like(lshr(h, low_word(c.noise_shift)), c.one)


@njit(cache=True, nogil=True)
def magic_even(x, out, p):
    """Nearest-even."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = even(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = even(x[i], c, False)


@njit(cache=True, nogil=True)
def magic_even_inplace(x, p):
    """Nearest-even, in place."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            x[i] = even(x[i], c, True)
    else:
        for i in range(x.size):
            x[i] = even(x[i], c, False)


@njit(cache=True, nogil=True)
def magic_away(x, out, p):
    """Toward zero, up, down, nearest-away."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = away(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = away(x[i], c, False)


@njit(cache=True, nogil=True)
def magic_odd(x, out, p):
    """To odd."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = odd(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = odd(x[i], c, False)


@njit(cache=True, nogil=True)
def wide_fixed(x, out, p):
    """Every deterministic mode of formats with the carrier's exponent range."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = fixed(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = fixed(x[i], c, False)


@njit(cache=True, nogil=True)
def wide_fixed_inplace(x, p):
    """The same, in place."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            x[i] = fixed(x[i], c, True)
    else:
        for i in range(x.size):
            x[i] = fixed(x[i], c, False)


@njit(cache=True, nogil=True)
def magic_given(x, noise, out, p):
    """Stochastic, bits given by the caller."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = magic_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, True)
    else:
        for i in range(x.size):
            out[i] = magic_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, False)


@njit(cache=True, nogil=True)
def wide_given(x, noise, out, p):
    """Stochastic, bits given by the caller; formats with the carrier's exponent range."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = wide_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, True)
    else:
        for i in range(x.size):
            out[i] = wide_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, False)


@njit(cache=True, nogil=True)
def magic_counter(x, start, out, p):
    """Stochastic, bits made from the seed and the element's number, which begins at start."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = magic_random(x[i], counted(start + i, c), c, True)
    else:
        for i in range(x.size):
            out[i] = magic_random(x[i], counted(start + i, c), c, False)


@njit(cache=True, nogil=True)
def wide_counter(x, start, out, p):
    """Stochastic, bits made here; formats with the carrier's exponent range."""
    c = unpack(p)
    if c.plain:
        for i in range(x.size):
            out[i] = wide_random(x[i], counted(start + i, c), c, True)
    else:
        for i in range(x.size):
            out[i] = wide_random(x[i], counted(start + i, c), c, False)


@njit(cache=True, nogil=True)
def has_nan(x):
    """Whether any element is NaN; no early exit, so that the loop stays vectorized."""
    found = 0
    for i in range(x.size):
        found += x[i] != x[i]
    return found > 0
