"""A layer's products as a matrix unit of 8-bit inputs adds them, inside training.

Factors are codes times one scale per tensor. Every product of two codes is exact in float32, and so is an instruction's
aligned sum, which needs 20 bits: so float operations give the unit's bits here, several times faster than
`precsim.numerics.kernels.alignment_under_jax`, which serves every unit.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from precsim.numerics.binary_format import Format
from precsim.numerics.kernels.under_jax import round_traced
from precsim.numerics.matrix_unit import E8M13, Chain, Join, MatrixUnit

_FIELD = 0x7F800000  # exponent of a float32
_CUT = ~0x3FF  # float32 has 10 fraction bits more than E8M13


class Through(NamedTuple):
    """How the three products of one layer are summed, and in which formats their factors enter; hashable."""

    unit: MatrixUnit
    chain: Chain
    activations: Format
    weights: Format
    gradients: Format


def check_unit(unit: MatrixUnit, chain: Chain) -> None:
    """Refuse a unit or a chain that `aligned_product` cannot carry out.

    Raises
    ------
    ValueError
        If the accumulator is not E8M13, or the chain has parts or is promoted in the middle of an instruction.
    """
    if not isinstance(unit, MatrixUnit) or unit.output != E8M13 or unit.join is not Join.ALIGNED:
        raise ValueError(f"training goes through a unit whose accumulator is E8M13, such as H100_FP8; got {unit!r}")
    if not isinstance(chain, Chain) or chain.parts:
        raise ValueError(
            f"training takes a Chain without parts, such as Chain(promote=128), since lengths differ from product to "
            f"product; got {chain!r}"
        )
    if chain.promote is not None and chain.promote % unit.terms:
        raise ValueError(f"{unit.name} takes {unit.terms} products at a time: promote a multiple of it; got {chain}")


def codes_of(x: Array, fmt: Format) -> tuple[Array, Array]:
    """Codes, as values of the format, and scale of a tensor that was rounded to the format with one scale.

    That scale was the largest magnitude over the format's maximum, so that both are found again from the values.
    """
    largest = jnp.max(jnp.abs(x))
    scale = jnp.where(largest > 0, largest / fmt.maximum, 1.0)
    return round_traced(x / scale, fmt.grid(saturate=True)), scale


def aligned_product(unit: MatrixUnit, chain: Chain, a: Array, b: Array, left: Format, right: Format) -> Array:
    """The product of finite values of these formats, float32 (m, K) and (K, n), with the unit's bits.

    Examples
    --------
    >>> from precsim.numerics.formats import FP8_E4M3
    >>> from precsim.numerics.named_units import H100_FP8
    >>> a = jnp.array([[256.0] + [2.0] * 31])
    >>> aligned_product(H100_FP8, Chain(), a, a.T, FP8_E4M3, FP8_E4M3).item()
    65536.0
    """
    terms = unit.terms // unit.split
    whole = -(-a.shape[1] // terms) * terms
    length = min(chain.promote or whole, whole)
    stretches = -(-a.shape[1] // length)
    spare = stretches * length - a.shape[1]  # zeros at the end change no accumulator
    shape = stretches, length // terms, terms
    a = jnp.pad(a, ((0, 0), (0, spare))).reshape(a.shape[0], *shape).transpose(1, 2, 3, 0)
    b = jnp.pad(b, ((0, spare), (0, 0))).reshape(*shape, b.shape[1])
    factors = (a, _powers(a, left.smallest_normal), b, _powers(b, right.smallest_normal))
    start = jnp.zeros((a.shape[-1], b.shape[-1]), jnp.float32)
    instruction = functools.partial(_instruction, terms, unit.fraction_bits)

    def stretch(total: Array, factors: tuple) -> tuple[Array, None]:
        return total + jax.lax.scan(instruction, start, factors)[0], None

    return jax.lax.scan(stretch, start, factors)[0]


def _instruction(terms: int, fraction_bits: int, c: Array, factors: tuple) -> tuple[Array, None]:
    """The accumulator c, (m, n), after one instruction upon factors (terms, m) and (terms, n)."""
    x, power_x, y, power_y = factors
    # written out over the terms: one loop over the outputs that keeps its numbers in registers
    powers = [power_x[k][:, None] * power_y[k] for k in range(terms)]
    top = functools.reduce(jnp.maximum, powers, _powers(c, 0.0))
    top = jnp.where(top == 0, 1.0, top)
    up = 2.0**fraction_bits / top
    cut = [jnp.trunc(x[k][:, None] * y[k] * up) for k in range(terms)]
    total = functools.reduce(jnp.add, cut, jnp.trunc(c * up)) * (top * 2.0**-fraction_bits)
    bits = jax.lax.bitcast_convert_type(total, jnp.int32) & jnp.int32(_CUT)
    return jax.lax.bitcast_convert_type(bits, jnp.float32), None


def _powers(x: Array, least: float) -> Array:
    """2^exponent of normal float32 numbers, at least `least`; 0 of 0."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32) & jnp.int32(_FIELD)
    return jnp.where(x == 0, 0.0, jnp.maximum(jax.lax.bitcast_convert_type(bits, jnp.float32), least))
