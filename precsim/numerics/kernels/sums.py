"""Loops that round after every operation, in float64 as carrier."""

from __future__ import annotations

import numpy as np
from numba import njit

from precsim.numerics.kernels.bit_operations import add, band, bits_of, float_of
from precsim.numerics.kernels.caching import compiled
from precsim.numerics.kernels.magic_add import (
    counted,
    directed,
    even,
    first_count,
    magic_random,
    odd,
    tie_away,
    toward_zero,
    unpack,
)

__all__ = ["add_up", "multiply"]


@njit
def rounded(value, c, kind, i):
    """Round one number by a kind of `precsim.numerics.arithmetic`; stochastic with the random bits of operation i."""
    if kind == 0:
        return even(value, c, False)
    if kind == 1:
        return toward_zero(value, c, False)
    if kind == 3:
        return directed(value, c, False)
    if kind == 4:
        return tie_away(value, c, False)
    if kind == 5:
        return odd(value, c, False)
    return magic_random(value, counted(first_count(i, c), c), c, False)


@njit
def sum_to_odd(a, b, c):
    """Return a + b rounded to odd in float64: the exact error decides whether an even last bit moves."""
    s = a + b
    t = s - a
    error = (a - (s - t)) + (b - t)
    bits = bits_of(s)
    if error == 0.0 or error != error or band(bits, c.one) == c.one:
        return s
    return float_of(add(bits, c.one if (error > 0.0) == (s > 0.0) else -c.one))


@njit
def sequential(terms, first, last, c, kind, i):
    """Sum terms[first:last] one after the other; returns the sum and the number of the next operation."""
    s = terms[first]
    for k in range(first + 1, last):
        s = rounded(sum_to_odd(s, terms[k], c), c, kind, i)
        i += 1
    return s, i


@njit
def accumulate(terms, c, d, order, block, kind, i):
    """Sum the terms in one of the orders; terms may be overwritten. Returns the sum and the next operation."""
    n = terms.size
    if order == 0:
        return sequential(terms, 0, n, c, kind, i)
    if order == 1:
        while n > 1:
            half = n // 2
            for k in range(half):
                terms[k] = rounded(sum_to_odd(terms[2 * k], terms[2 * k + 1], c), c, kind, i)
                i += 1
            if n % 2:
                terms[half] = terms[n - 1]
            n = half + n % 2
        return terms[0], i
    if order == 2:
        s, carry = terms[0], 0.0
        for k in range(1, n):
            y = rounded(sum_to_odd(terms[k], -carry, c), c, kind, i)
            t = rounded(sum_to_odd(s, y, c), c, kind, i + 1)
            carry = rounded(sum_to_odd(rounded(sum_to_odd(t, -s, c), c, kind, i + 2), -y, c), c, kind, i + 3)
            s = t
            i += 4
        return s, i
    s = 0.0
    for first in range(0, n, block):
        part, i = sequential(terms, first, min(first + block, n), d, kind, i)
        s = rounded(sum_to_odd(s, part, c), c, kind, i)
        i += 1
    return s, i


@compiled
def add_up(terms, p, inner, order, block, kind, start):
    """The sum of the terms in this order, rounded after every addition."""
    s, _ = accumulate(terms, unpack(p), unpack(inner), order, block, kind, start)
    return s


@compiled
def multiply(a, bt, products, exact, p, inner, order, block, kind, start):
    """Matrix product; the second factor comes transposed."""
    e, c, d = unpack(products), unpack(p), unpack(inner)
    m, n = a.shape
    out = np.empty((m, bt.shape[0]))
    terms = np.empty(n)
    i = start
    for row in range(m):
        for column in range(bt.shape[0]):
            for k in range(n):
                terms[k] = a[row, k] * bt[column, k]
                if not exact:
                    terms[k] = rounded(terms[k], e, kind, i)
                    i += 1
            if n == 1 and exact:
                out[row, column] = rounded(terms[0], c, kind, i)
                i += 1
                continue
            if exact:
                terms[0] = rounded(terms[0], c, kind, i) if order == 0 or order == 2 else terms[0]
                i += 1
            out[row, column], i = accumulate(terms, c, d, order, block, kind, i)
    return out
