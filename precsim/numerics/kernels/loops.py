"""Rounding kernels for NumPy arrays: the loops over `elements`.

Each loop is compiled once for float32 and once for float64; all format parameters are data. A loop whose output is
its input needs a kernel of its own: with two array arguments LLVM's alias check sends it down the scalar path.
"""

from __future__ import annotations

from precsim.numerics.kernels.bit_operations import band, bits_of, bor, less, lshr, sub, word_like
from precsim.numerics.kernels.caching import compiled
from precsim.numerics.kernels.magic_add import (
    counted,
    directed,
    even,
    first_count,
    fixed,
    fixed_even,
    magic_random,
    next_count,
    odd,
    tie_away,
    toward_zero,
    unpack,
    wide_random,
)

__all__ = [
    "has_nan",
    "magic_counter",
    "magic_directed",
    "magic_even",
    "magic_even_checked",
    "magic_even_inplace",
    "magic_given",
    "magic_odd",
    "magic_tie_away",
    "magic_toward_zero",
    "wide_counter",
    "wide_even",
    "wide_even_inplace",
    "wide_fixed",
    "wide_given",
]


@compiled
def magic_even(x, out, p):
    """Each x to its nearest value, ties to the even code, by magic addition."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = even(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = even(x[i], c, False)


@compiled
def magic_even_inplace(x, p):
    """`magic_even` written over its input."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            x[i] = even(x[i], c, True)
    else:
        for i in range(x.size):
            x[i] = even(x[i], c, False)


@compiled
def magic_tie_away(x, out, p):
    """Each x to its nearest value, ties away from zero."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = tie_away(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = tie_away(x[i], c, False)


@compiled
def magic_toward_zero(x, out, p):
    """Each x to the next value of no larger magnitude."""
    c = unpack(p)
    if c.symmetric:
        for i in range(x.size):
            out[i] = toward_zero(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = toward_zero(x[i], c, False)


@compiled
def magic_directed(x, out, p):
    """Each x to the next value above, or below, as the parameters say."""
    c = unpack(p)
    if c.symmetric:
        for i in range(x.size):
            out[i] = directed(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = directed(x[i], c, False)


@compiled
def magic_odd(x, out, p):
    """Each x that is no value to the neighbor with the odd code."""
    c = unpack(p)
    if c.symmetric:
        for i in range(x.size):
            out[i] = odd(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = odd(x[i], c, False)


@compiled
def magic_even_checked(x, out, p):
    """Nearest-even; returns whether there was NaN."""
    c = unpack(p)
    found = c.plus
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = even(x[i], c, True)
            found = bor(found, sub(c.infinite, band(bits_of(x[i]), c.magnitude)))
    else:
        for i in range(x.size):
            out[i] = even(x[i], c, False)
            found = bor(found, sub(c.infinite, band(bits_of(x[i]), c.magnitude)))
    return less(found, c.plus)


@compiled
def wide_even(x, out, p):
    """Nearest-even, formats with the carrier's exponent range."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = fixed_even(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = fixed_even(x[i], c, False)


@compiled
def wide_even_inplace(x, p):
    """`wide_even` written over its input."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            x[i] = fixed_even(x[i], c, True)
    else:
        for i in range(x.size):
            x[i] = fixed_even(x[i], c, False)


@compiled
def wide_fixed(x, out, p):
    """Every deterministic mode of formats with the carrier's exponent range."""
    c = unpack(p)
    if c.symmetric:
        for i in range(x.size):
            out[i] = fixed(x[i], c, True)
    else:
        for i in range(x.size):
            out[i] = fixed(x[i], c, False)


@compiled
def magic_given(x, noise, out, p):
    """Stochastic, bits given by the caller."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = magic_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, True)
    else:
        for i in range(x.size):
            out[i] = magic_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, False)


@compiled
def wide_given(x, noise, out, p):
    """Stochastic, bits given by the caller; formats with the carrier's exponent range."""
    c = unpack(p)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = wide_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, True)
    else:
        for i in range(x.size):
            out[i] = wide_random(x[i], lshr(word_like(noise[i], c.one), c.noise_shift), c, False)


@compiled
def magic_counter(x, start, out, p):
    """Stochastic, bits made from the seed and the element's number, which begins at start."""
    c = unpack(p)
    h = first_count(start, c)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = magic_random(x[i], counted(h, c), c, True)
            h = next_count(h)
    else:
        for i in range(x.size):
            out[i] = magic_random(x[i], counted(h, c), c, False)
            h = next_count(h)


@compiled
def wide_counter(x, start, out, p):
    """Stochastic, bits made here; formats with the carrier's exponent range."""
    c = unpack(p)
    h = first_count(start, c)
    if c.inf_overflows:
        for i in range(x.size):
            out[i] = wide_random(x[i], counted(h, c), c, True)
            h = next_count(h)
    else:
        for i in range(x.size):
            out[i] = wide_random(x[i], counted(h, c), c, False)
            h = next_count(h)


@compiled
def has_nan(x, p):
    """Whether any element is NaN; no early exit, so that the loop stays vectorized."""
    c = unpack(p)
    found = c.plus
    for i in range(x.size):
        found = bor(found, sub(c.infinite, band(bits_of(x[i]), c.magnitude)))
    return less(found, c.plus)
