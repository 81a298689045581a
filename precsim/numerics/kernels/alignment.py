"""Dot products as matrix units add them: loops over a tile of 64 columns, exact in float64.

A product of two narrow factors is exact in float64, and multiplying by a power of two is exact too, so that truncating
a term to f fraction bits below the exponent E is ``trunc(a b 2**(f - E))``; sums of such integers stay below 2**53,
hence exact in any order. No integer is shifted and LLVM turns every loop over the columns into vectors: 1.0e9 products
a second for FP8 and BF16 on one core of an AMD EPYC with AVX2. float32 as carrier, which would do for FP8's 13 bits,
gave 1.3e9 and was left out; tiles of 16 and 32 columns gave 0.5e9 and 0.7e9, columns addressed without tiles 0.45e9.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic as _intrinsic

from precsim.numerics.kernels.bit_operations import band, bits_of, float_of, greater, pick, sub
from precsim.numerics.kernels.caching import compiled

__all__ = ["TILE", "Rule", "multiply", "multiply_afterwards", "multiply_groups", "powers"]

TILE = 64

intrinsic: Any = _intrinsic
_EXPONENT = np.int64(0x7FF << 52)  # mask of float64's exponent field
_INVERSE = np.int64(2 * 1023 << 52)  # minus the bits of a power of two, the bits of its reciprocal
_WIDE = 2.0**-900  # below every product; its reciprocal is finite
_OVERFLOW = 2.0**128
_NORMAL = 2.0**-126
_FIELD, _GUARD, _KEPT = 2.0**24, 2.0**32, 2.0**31  # CDNA 3: aligned terms, the products' sum, the sum of both


class Rule(NamedTuple):
    """The numbers of a unit, all float64."""

    up: Any  #: 2**f
    down: Any  #: 2**-f
    least: Any  #: 2**least_exponent: no alignment below it
    small: Any  #: smallest normal number of the accumulator
    last: Any  #: 2**(1-p) of the accumulator
    limit: Any  #: from here on a rounded sum is infinite
    nearest: Any  #: 1: sums are rounded to nearest-even, 0: toward zero


def _llvm(name: str):
    def typed(context, x):
        def codegen(cgctx, builder, sig, args):
            kind = args[0].type
            function = builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind]))
            return builder.call(function, args)

        return (x(x), codegen) if isinstance(x, types.Float) else None

    typed.__name__ = name.replace(".", "_")
    return intrinsic(typed)


truncated = _llvm("llvm.trunc")  # np.trunc and its like call the C library, once for each number
evened = _llvm("llvm.rint")
floored = _llvm("llvm.floor")
magnitude = _llvm("llvm.fabs")


@njit
def power(x):
    """The largest power of two not above |x|; 0 for 0."""
    return float_of(band(bits_of(x), _EXPONENT))


@njit
def reciprocal(q):
    """1 / q for a power of two q."""
    return float_of(sub(_INVERSE, bits_of(q)))


@njit
def larger(x, y):
    return pick(greater(x, y), x, y)


@njit
def settled(v, c, r):
    """The sum v in the accumulator's format, never -0; an infinite accumulator c stays infinite."""
    unit = larger(power(v), r.small) * r.last
    steps = v * reciprocal(unit)
    value = pick(greater(r.nearest, 0.0), evened(steps), truncated(steps)) * unit + 0.0
    value = pick(greater(r.limit, magnitude(value)), value, pick(greater(value, 0.0), np.inf, -np.inf))
    return pick(greater(np.inf, magnitude(c)), value, c)


@njit
def entry(c, r):
    """The power of two that the accumulator c has in the alignment; 0 for 0."""
    return pick(greater(magnitude(c), 0.0), larger(power(c), r.small), 0.0)


@njit
def specials(x, b, k, strange, limit):
    """Add up the products of x with a row that are no finite numbers (or beyond the limit); 0 where all are."""
    for j in range(TILE):
        p = x * b[k, j]
        size = magnitude(p)
        if not size < limit:
            strange[j] += p * np.inf if size < np.inf else p


@njit
def overrule(acc, i, before, strange):
    """Let infinite products and NaN decide where there are any."""
    for j in range(TILE):
        if strange[j] != 0.0:
            acc[i, j] = strange[j] + before[j]


@compiled
def powers(x, smallest):
    """The power of two of each number; a subnormal has that of its format's smallest normal number, 0 has 0."""
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            p = larger(power(x[i, k]), smallest)
            out[i, k] = p if x[i, k] != 0.0 else 0.0
    return out


@compiled
def multiply(a, pa, b, pb, odd_rows, odd, acc, first, last, terms, r):
    """Add the products of columns first ... last - 1 of a to the accumulators, `terms` at a time.

    a and its powers pa have shape (m, K); b and pb are a tile, (K, TILE); acc has shape (m, TILE). `odd_rows` and
    `odd` say where infinities or NaN are among the factors.
    """
    top, total, before = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    for k0 in range(first, last, terms):
        k1 = min(k0 + terms, last)
        for i in range(a.shape[0]):
            for j in range(TILE):
                before[j] = acc[i, j]
                top[j] = larger(entry(before[j], r), r.least)
            for k in range(k0, k1):
                x = pa[i, k]
                for j in range(TILE):
                    top[j] = larger(x * pb[k, j], top[j])
            for j in range(TILE):
                total[j] = truncated(before[j] * (r.up * reciprocal(top[j])))
            for k in range(k0, k1):
                x = a[i, k]
                for j in range(TILE):
                    total[j] += truncated(x * b[k, j] * (r.up * reciprocal(top[j])))
            for j in range(TILE):
                acc[i, j] = settled(total[j] * (top[j] * r.down), before[j], r)
            if odd or odd_rows[i]:
                total[:] = 0.0
                for k in range(k0, k1):
                    specials(a[i, k], b, k, total, np.inf)
                overrule(acc, i, before, total)


@compiled
def multiply_groups(a, b, sa, psa, sb, psb, odd, acc, first, last, terms, size, group, r):
    """As `multiply`, with sums of `group` products that are exact, then scaled, as the terms of an alignment.

    sa, psa (m, K / size) are the scales of blocks of a and their powers; sb, psb (K / size, TILE) those of b.
    """
    top, total, before, strange = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    sums = np.empty((terms // group, TILE))
    present = np.empty(TILE)
    for k0 in range(first, last, terms):
        k1 = min(k0 + terms, last)
        groups = (k1 - k0 + group - 1) // group
        for i in range(a.shape[0]):
            strange[:] = 0.0
            for j in range(TILE):
                before[j] = acc[i, j]
                top[j] = larger(entry(before[j], r), r.least)
            for g in range(groups):
                start = k0 + g * group
                block = start // size
                present[:] = 0.0
                sums[g] = 0.0
                for k in range(start, min(start + group, k1)):
                    x = a[i, k]
                    for j in range(TILE):
                        p = x * b[k, j]
                        sums[g, j] += p
                        present[j] += magnitude(p)
                for j in range(TILE):
                    s, q = sa[i, block] * sb[block, j], psa[i, block] * psb[block, j]
                    top[j] = larger(pick(greater(present[j], 0.0), q, 0.0), top[j])
                    sums[g, j] *= s
                    if odd and not magnitude(sums[g, j]) < np.inf:
                        strange[j] += sums[g, j]
            for j in range(TILE):
                scale = r.up * reciprocal(top[j])
                total[j] = truncated(before[j] * scale)
                for g in range(groups):
                    total[j] += truncated(sums[g, j] * scale)
                acc[i, j] = settled(total[j] * (top[j] * r.down), before[j], r)
            if odd:
                overrule(acc, i, before, strange)


@njit
def along(a, pa, b, pb, i, k0, k1, step, top, total):
    """Sum every `step`-th product aligned to the largest of them: total in units of top / 2**24."""
    for j in range(TILE):
        top[j] = _WIDE
        total[j] = 0.0
    for k in range(k0, k1, step):
        x = pa[i, k]
        for j in range(TILE):
            top[j] = larger(x * pb[k, j], top[j])
    for k in range(k0, k1, step):
        x = a[i, k]
        for j in range(TILE):
            total[j] += truncated(x * b[k, j] * (_FIELD * reciprocal(top[j])))


@compiled
def multiply_afterwards(a, pa, b, pb, pairs, acc, first, last, terms, r):
    """As `multiply` for CDNA 3: products first (of even and odd places apart if `pairs`), then with the accumulator.

    The sum of the products keeps 32 fraction bits below the larger exponent of both, the accumulator 24, both rounded
    down; what they add up to is rounded down to 31 bits, then to nearest-even. Products from 2**128 on are infinite.
    """
    top, total, before, strange = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    top_odd, total_odd = np.empty(TILE), np.empty(TILE)
    for k0 in range(first, last, terms):
        k1 = min(k0 + terms, last)
        for i in range(a.shape[0]):
            along(a, pa, b, pb, i, k0, k1, 2 if pairs else 1, top, total)
            if pairs:
                along(a, pa, b, pb, i, k0 + 1, k1, 2, top_odd, total_odd)
                for j in range(TILE):
                    both = larger(top[j], top_odd[j])
                    even, odd = top[j] * reciprocal(both), top_odd[j] * reciprocal(both)
                    total[j] = floored(total[j] * even) + floored(total_odd[j] * odd)
                    top[j] = both
            for j in range(TILE):
                c = acc[i, j]
                before[j] = c
                q = larger(power(c), _NORMAL)
                both = larger(top[j], q)
                down = reciprocal(both)
                products = floored(total[j] * (_GUARD / _FIELD) * (top[j] * down)) * (1 / _GUARD)
                kept = floored(c * (_FIELD * down)) * (1 / _FIELD)
                kept = pick(greater(q * (2 * _FIELD), 0.5 * both), kept, 0.0) if pairs else kept
                v = (products + kept) * both
                unit = larger(power(v), _NORMAL) * (1 / _KEPT)
                acc[i, j] = settled(floored(v * reciprocal(unit)) * unit, c, r)
            strange[:] = 0.0
            for k in range(k0, k1):
                specials(a[i, k], b, k, strange, _OVERFLOW)
            overrule(acc, i, before, strange)
