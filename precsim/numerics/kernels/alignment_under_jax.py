"""Matrix units under XLA, in 32-bit integers: the other formulation of `precsim.numerics.kernels.alignment`.

Terms are shifted as magnitudes and summed by sign, positive and negative apart, in uint32: 33 terms of 27 bits fit, and
no float operation can flush a subnormal.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from precsim.numerics.binary_format import Format
from precsim.numerics.formats import FP16
from precsim.numerics.matrix_unit import Chain, Join, MatrixUnit
from precsim.numerics.modes import Rounding

__all__ = ["multiply_traced"]

_FRACTION = 23
_BIAS = 127
_INFINITY = 0x7F800000
_NAN = 0x7FFFFFFF
_NEVER = -(1 << 20)  # exponent of a term that must not decide


class _Parts(NamedTuple):
    """Numbers taken apart: |x| = significand * 2**(exponent - fraction bits)."""

    negative: Any
    significand: Any
    exponent: Any
    infinite: Any
    undefined: Any


def multiply_traced(a, b, unit: MatrixUnit, chain: Chain, start):
    """Product of float32 JAX arrays (m, K) and (K, n) with the bits of a unit; its derivative is the exact product's.

    Raises
    ------
    ValueError
        If the arrays do not fit, or the unit's sums do not fit 32 bits.
    """
    _check(a, b, unit, chain)
    half = unit.output is FP16
    if start is None:
        start = jnp.zeros((a.shape[0], b.shape[1]), jnp.float32)
    start = jnp.broadcast_to(jnp.asarray(start).astype(jnp.float32), (a.shape[0], b.shape[1]))
    out = _compiled(unit, chain, jnp.asarray(a), jnp.asarray(b), start)
    return out.astype(jnp.float16) if half else out


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _product(unit: MatrixUnit, chain: Chain, a, b, start):
    ends = np.cumsum([0, *(chain.parts or (a.shape[1],))]).tolist()
    sums = []
    for first, last in itertools.pairwise(ends):
        step = chain.promote or last - first
        total = None
        for k in range(first, last, step):
            c = _chained(unit, a[:, k : min(k + step, last)], b[k : min(k + step, last)], start)
            total = c if total is None else _added(total, c)
        sums.append(total)
    return functools.reduce(_added, sums)


@_product.defjvp
def _product_jvp(unit, chain, primals, tangents):
    (a, b, start), (da, db, dstart) = primals, tangents
    exact = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    return _product(unit, chain, a, b, start), exact(da, b) + exact(a, db) + dstart


_compiled = jax.jit(_product, static_argnums=(0, 1))


def _chained(unit: MatrixUnit, a, b, c):
    """Instruction after instruction; K is filled up with zeros, which add nothing."""
    terms = unit.terms // unit.split
    depth = -(-a.shape[1] // terms) * terms
    a = jnp.pad(a, ((0, 0), (0, depth - a.shape[1]))).reshape(a.shape[0], -1, terms).transpose(1, 0, 2)
    b = jnp.pad(b, ((0, depth - b.shape[0]), (0, 0))).reshape(-1, terms, b.shape[1])
    bits, _ = jax.lax.scan(lambda c, ab: (_instruction(unit, *ab, c), None), _bits(c), (a, b))
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def _instruction(unit: MatrixUnit, a, b, c):
    """Accumulators (bit patterns) after one instruction: a (m, terms), b (terms, n), c (m, n)."""
    x = _taken_apart(a, unit.left)
    y = _taken_apart(b, unit.right)
    left = _Parts(*(part[:, :, None] for part in x))
    right = _Parts(*(part[None] for part in y))
    f, least = unit.fraction_bits, unit.least_exponent
    product = left.significand * right.significand
    exponent = jnp.where(product == 0, _NEVER, left.exponent + right.exponent)
    z = _taken_apart(jax.lax.bitcast_convert_type(c, jnp.float32), unit.output, _FRACTION)
    entry = jnp.where(z.significand == 0, _NEVER, z.exponent)
    top = jnp.maximum(jnp.maximum(exponent.max(1), entry), least)
    fraction = unit.left.precision + unit.right.precision - 2
    term = _shifted(product, exponent - top[:, None] + (f - fraction))
    own = _shifted(z.significand, entry - top + (f - _FRACTION))
    minus = left.negative ^ right.negative
    up = jnp.where(minus, 0, term).sum(1, dtype=jnp.uint32) + jnp.where(z.negative, 0, own)
    down = jnp.where(minus, term, 0).sum(1, dtype=jnp.uint32) + jnp.where(z.negative, own, 0)
    bits = _settled(jnp.where(up >= down, up - down, down - up), top - f, unit)
    bits = jnp.where(down > up, bits | np.int32(-(2**31)), bits)
    infinite = left.infinite | right.infinite
    zero = (left.significand == 0) & ~left.infinite | (right.significand == 0) & ~right.infinite
    undefined = left.undefined | right.undefined | infinite & zero
    rising = (infinite & ~minus).any(1) | z.infinite & ~z.negative
    falling = (infinite & minus).any(1) | z.infinite & z.negative
    undefined = undefined.any(1) | z.undefined | rising & falling
    bits = jnp.where(rising, _INFINITY, jnp.where(falling, _INFINITY | np.int32(-(2**31)), bits))
    return jnp.where(undefined, _NAN, bits)


def _settled(total, scale, unit: MatrixUnit):
    """Bit pattern of total * 2**scale (total uint32) in the accumulator's format, without sign."""
    fmt = unit.output
    stored = fmt.precision - 1
    exponent = 31 - jax.lax.clz(total).astype(jnp.int32) + scale
    spacing = jnp.maximum(exponent, fmt.emin) - stored
    drop = spacing - scale
    kept = _shifted(total, -drop)
    if unit.rounding is Rounding.NEAREST_EVEN:
        cut = jnp.clip(drop, 1, 31).astype(jnp.uint32)
        rest = jnp.where(drop > 31, jnp.uint32(0), jnp.where(drop > 0, total & ((jnp.uint32(1) << cut) - 1), 0))
        half = jnp.uint32(1) << (cut - 1)
        kept += ((drop > 0) & (drop <= 31) & ((rest > half) | (rest == half) & (kept & 1 == 1))).astype(jnp.uint32)
        whole = kept.astype(jnp.float32) * jax.lax.bitcast_convert_type((spacing + _BIAS) << _FRACTION, jnp.float32)
        bits = jnp.where(whole >= 2.0 ** (fmt.emax + 1), _INFINITY, _bits(whole))
    else:
        field = jnp.maximum(exponent, fmt.emin) + (_BIAS - 1)
        bits = (field << _FRACTION) + (kept << (_FRACTION - stored)).astype(jnp.int32)
        bits = jnp.where(exponent > fmt.emax, _INFINITY, bits)
    return jnp.where(total == 0, 0, bits)


def _taken_apart(x, fmt: Format, fraction: int | None = None) -> _Parts:
    """Sign, integer significand and exponent; a subnormal of the format keeps its least exponent."""
    fraction = fmt.precision - 1 if fraction is None else fraction
    bits = _bits(x)
    field, trailing = (bits >> _FRACTION) & 0xFF, bits & 0x7FFFFF
    significand = jnp.where(field == 0, trailing, trailing | (1 << _FRACTION)).astype(jnp.uint32)
    exponent = jnp.maximum(field, 1) - _BIAS
    least = jnp.maximum(exponent, fmt.emin)
    significand = _shifted(significand, exponent - least + (fraction - _FRACTION))
    return _Parts(bits < 0, significand, least, (field == 0xFF) & (trailing == 0), (field == 0xFF) & (trailing != 0))


def _shifted(x, by):
    """Unsigned x times 2**by, truncated."""
    left = jnp.clip(by, 0, 31).astype(jnp.uint32)
    right = jnp.clip(-by, 0, 31).astype(jnp.uint32)
    return jnp.where(by < -31, jnp.uint32(0), (x << left) >> right)


def _bits(x):
    return jax.lax.bitcast_convert_type(x, jnp.int32)


def _added(x, y):
    """One float32 addition; NaN as the hardware writes it."""
    total = x + y
    nan = jax.lax.bitcast_convert_type(jnp.full(total.shape, _NAN, jnp.int32), jnp.float32)
    return jnp.where(jnp.isnan(total), nan, total)


def _check(a, b, unit: MatrixUnit, chain: Chain) -> None:
    for name, value in (("a", a), ("b", b)):
        if getattr(value, "dtype", None) != jnp.float32 or value.ndim != 2:
            raise ValueError(f"under JAX {name} must be a float32 array of two axes; received {value!r}")
    if a.shape[1] != b.shape[0] or 0 in a.shape + b.shape:
        raise ValueError(f"matmul takes shapes (m, n) and (n, k), none empty; received {a.shape} and {b.shape}")
    if chain.parts and sum(chain.parts) != a.shape[1]:
        raise ValueError(f"the lengths in Chain.parts must add up to K = {a.shape[1]}; received {chain.parts}")
    largest = unit.terms // unit.split * 4 * (1 - 2.0**-unit.left.precision) * (1 - 2.0**-unit.right.precision) + 2
    if unit.scales is not None or unit.join is not Join.ALIGNED or largest * 2**unit.fraction_bits >= 2**32:
        raise ValueError(f"under JAX sums have 32 bits and the accumulator is one of the terms; received {unit}")
