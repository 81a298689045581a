"""The three products of a layer carried out by a matrix unit of 8-bit inputs: values, and both gradients.

Factors are codes times one scale per tensor. Every product of two codes is exact in float32, and so is an instruction's
aligned sum, which needs 20 bits: so float operations give the unit's bits here, several times faster than
`precsim.numerics.kernels.alignment_under_jax`, which serves every unit.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from precsim.numerics.binary_format import Format
from precsim.numerics.formats import FP8_E5M2
from precsim.numerics.kernels.under_jax import round_traced
from precsim.numerics.matrix_unit import E8M13, Chain, Join, MatrixUnit
from precsim.numerics.modes import Rounding

__all__ = ["Through", "aligned_product", "product_through"]

_FIELD = 0x7F800000
_CUT = ~0x3FF  # float32 has 10 fraction bits more than E8M13


@dataclass(frozen=True, slots=True)
class Through:
    """Carry out a layer's products, forward and backward, as a matrix unit does.

    Parameters
    ----------
    unit : MatrixUnit
        One with the accumulator E8M13, such as `H100_FP8`. Weights and activations enter in its formats.
    chain : Chain
        Promotion; parts are not for training, where lengths differ from product to product.
    gradients : Format
        In which the loss's derivatives enter.

    Raises
    ------
    ValueError
        If the unit is another, does not take the gradients' format, or the chain has parts.

    Notes
    -----
    Each factor is divided by one scale per tensor (largest magnitude over the format's maximum) and rounded to the
    format. That changes nothing for a tensor which a `Quantizer` with `PerTensor` scales has rounded to it before.

    Examples
    --------
    >>> from precsim.numerics.named_units import H100_FP8
    >>> Through(H100_FP8, Chain(promote=128)).format.name
    'E8M13'
    """

    unit: MatrixUnit
    chain: Chain = Chain()  # immutable
    gradients: Format = FP8_E5M2

    def __post_init__(self) -> None:
        if not isinstance(self.unit, MatrixUnit) or self.unit.output != E8M13 or self.unit.join is not Join.ALIGNED:
            raise ValueError(f"Through takes a unit whose accumulator is E8M13, such as H100_FP8; got {self.unit!r}")
        if not isinstance(self.chain, Chain) or self.chain.parts:
            raise ValueError(f"Through takes a Chain without parts, such as Chain(promote=128); got {self.chain!r}")
        if self.gradients not in self.unit.accepts:
            raise ValueError(f"{self.unit} takes {', '.join(map(str, self.unit.accepts))}; got {self.gradients}")
        if self.chain.promote is not None and self.chain.promote % self.unit.terms:
            raise ValueError(f"{self.unit} takes {self.unit.terms} products at a time; got {self.chain}")

    @property
    def format(self) -> Format:
        """That of the accumulator."""
        return self.unit.output

    @property
    def rounding(self) -> Rounding:
        """That of the accumulator."""
        return self.unit.rounding

    @property
    def bits(self) -> float:
        """Of the accumulator."""
        return float(self.format.bits)

    @property
    def scaling(self) -> Through:
        """All of it, which chooses a program."""
        return self


def product_through(how: Through, x: Array, weight: Array, on: Array) -> Array:
    """Return x @ weight by the unit where `on` is true, in float32 where it is not; so are both of its derivatives."""
    unit = how.unit

    @jax.custom_vjp
    def multiply(x: Array, weight: Array, on: Array) -> Array:
        return one(x, weight, unit.left, unit.right, on)

    def one(a: Array, b: Array, left: Format, right: Format, on: Array) -> Array:
        (p, s), (q, t) = _codes(a, left), _codes(b, right)
        return jnp.where(on, aligned_product(how, p, q, left, right) * (s * t), a @ b)

    def forward(x: Array, weight: Array, on: Array) -> tuple:
        return multiply(x, weight, on), (x, weight, on)

    def backward(kept: tuple, slope: Array) -> tuple:
        x, weight, on = kept
        of_x = one(slope, weight.T, how.gradients, unit.right, on)
        return of_x, one(x.T, slope, unit.left, how.gradients, on), None

    multiply.defvjp(forward, backward)
    return multiply(x, weight, on)


def aligned_product(how: Through, a: Array, b: Array, left: Format, right: Format) -> Array:
    """Return the product of finite float32 values of these formats, (m, K) and (K, n), with the unit's bits.

    Examples
    --------
    >>> from precsim.numerics.formats import FP8_E4M3
    >>> from precsim.numerics.named_units import H100_FP8
    >>> a = jnp.array([[256.0] + [2.0] * 31])
    >>> aligned_product(Through(H100_FP8), a, a.T, FP8_E4M3, FP8_E4M3).item()
    65536.0
    """
    terms = how.unit.terms // how.unit.split
    most = a.shape[1] if how.chain.promote is None else how.chain.promote
    total = None
    for k in range(0, a.shape[1], most):
        some = _chained(a[:, k : k + most], b[k : k + most], left, right, terms, how.unit.fraction_bits)
        total = some if total is None else total + some
    assert total is not None
    return total


def _chained(a: Array, b: Array, left: Format, right: Format, terms: int, fraction_bits: int) -> Array:
    count = -(-a.shape[1] // terms)
    spare = count * terms - a.shape[1]
    a = jnp.pad(a, ((0, 0), (0, spare))).reshape(a.shape[0], count, terms).transpose(1, 2, 0)
    b = jnp.pad(b, ((0, spare), (0, 0))).reshape(count, terms, b.shape[1])
    kept = (a, _powers(a, left.smallest_normal), b, _powers(b, right.smallest_normal))

    def instruction(c: Array, factors: tuple) -> tuple[Array, None]:
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

    return jax.lax.scan(instruction, jnp.zeros((a.shape[2], b.shape[2]), jnp.float32), kept)[0]


def _powers(x: Array, least: float) -> Array:
    """2^exponent of normal float32 numbers, at least `least`; 0 of 0."""
    bits = jax.lax.bitcast_convert_type(x, jnp.int32) & jnp.int32(_FIELD)
    return jnp.where(x == 0, 0.0, jnp.maximum(jax.lax.bitcast_convert_type(bits, jnp.float32), least))


def _codes(x: Array, fmt: Format) -> tuple[Array, Array]:
    """Values of the format and the scale of the tensor."""
    largest = jnp.max(jnp.abs(x))
    scale = jnp.where(largest > 0, largest / fmt.maximum, 1.0)
    return round_traced(x / scale, fmt.grid(saturate=True)), scale
