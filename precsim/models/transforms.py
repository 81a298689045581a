"""What may be done to a tensor around its quantizer: rotated, or its scales fitted to the squared error."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.numerics.codebook import Codebook
from precsim.numerics.grid import Family, Grid
from precsim.numerics.kernels.under_jax import straight_through
from precsim.numerics.quantize import Quantizer, Scaling, fake_quantize
from precsim.numerics.two_level import TwoLevel

if TYPE_CHECKING:
    from precsim.numerics.binary_format import Format
    from precsim.numerics.codebook import Codebook
    from precsim.numerics.modes import Rounding

__all__ = ["AnyScaling", "Around", "Fitted", "Rotated", "apply_scaling"]


class Around:
    """A quantizer with something done before or after it; its elements are the inner quantizer's."""

    __slots__ = ()
    quantizer: Any

    @property
    def format(self) -> Format | Codebook:
        """Number format of the elements, that of the quantizer inside."""
        return self.quantizer.format

    @property
    def rounding(self) -> Rounding:
        """How elements are rounded, as by the quantizer inside."""
        return self.quantizer.rounding

    @property
    def symmetric(self) -> bool:
        """Whether there are no zero points."""
        return self.quantizer.symmetric

    @property
    def bits(self) -> float:
        """Storage bits of one element."""
        return float(self.quantizer.bits)


@dataclass(frozen=True, slots=True)
class Fitted(Around):
    """A quantizer whose scales are chosen, group by group, for the least squared error.

    For each ratio r, elements beyond r max|x| are clipped and the scale is that of r max|x|; the ratio with the
    least sum of (x - result)^2 over the group wins.

    Parameters
    ----------
    quantizer : Quantizer
        With a symmetric format and one scale for each group.
    ratios : tuple of float
        Above 0, at most 1.

    Raises
    ------
    ValueError
        If the quantizer has scales on two levels or listed values, or a ratio is out of range.

    Examples
    --------
    >>> from precsim.numerics import INT3
    >>> Fitted(Quantizer(INT3)).bits
    3.0
    """

    quantizer: Quantizer
    ratios: tuple[float, ...] = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4)

    def __post_init__(self) -> None:
        inner = self.quantizer
        if not isinstance(inner, Quantizer) or isinstance(inner.scaling, TwoLevel) or not inner.symmetric:
            raise ValueError(f"Fitted takes a symmetric Quantizer with one scale for each group, not {inner!r}")
        if isinstance(inner.format, Codebook):
            raise ValueError(f"Fitted takes a format without listed values, not {inner.format}")
        if not self.ratios or not all(0 < ratio <= 1 for ratio in self.ratios):
            raise ValueError(f"ratios must lie above 0 and be at most 1, not {self.ratios}")

    @property
    def scaling(self) -> _FittedScaling:
        """What a compiled program must know."""
        return _FittedScaling(self.quantizer.scaling, self.ratios)


@dataclass(frozen=True, slots=True)
class Rotated(Around):
    """A quantizer that works in a rotated basis: x -> H' Q(H x), H an orthonormal Hadamard matrix.

    Outliers are spread over their neighbors before rounding. A product of two tensors that are both rotated along
    the axis they are contracted over needs no rotation back in hardware; here the values are the same.

    Parameters
    ----------
    quantizer : Quantizer or Fitted
    size : int
        Elements that are rotated together, a power of two; smaller where the axis is not a multiple of it.
    axis : int
        The axis along which they are taken: -1 for activations, 0 (the inputs) for weights.

    Raises
    ------
    ValueError
        If size is not a power of two of at least 2, or the quantizer is something else.
    """

    quantizer: Quantizer | Fitted
    size: int = 64
    axis: int = -1

    def __post_init__(self) -> None:
        if not isinstance(self.quantizer, (Quantizer, Fitted)):
            raise ValueError(f"Rotated takes a Quantizer or a Fitted, not {self.quantizer!r}")
        if self.size < 2 or self.size & (self.size - 1):
            raise ValueError(f"size must be a power of two of at least 2, not {self.size}")

    @property
    def scaling(self) -> _RotatedScaling:
        """What a compiled program must know."""
        return _RotatedScaling(self.quantizer.scaling, self.size, self.axis)


@dataclass(frozen=True, slots=True)
class _FittedScaling:
    inner: Scaling
    ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _RotatedScaling:
    inner: Scaling | _FittedScaling
    size: int
    axis: int


#: How one site's scales come about: of a Quantizer, `Fitted` or `Rotated`.
AnyScaling = Scaling | _FittedScaling | _RotatedScaling


def apply_scaling(scaling: AnyScaling, x: Array, grid: Grid, noise: Array | None, family: Family) -> Array:
    """Quantize x with a scaling of a Quantizer, `Fitted` or `Rotated`; the derivative is that of the identity."""
    if isinstance(scaling, _RotatedScaling):
        return straight_through(functools.partial(_rotated, scaling, family), x, grid, noise)
    if isinstance(scaling, _FittedScaling):
        return straight_through(functools.partial(_fitted, scaling, family), x, grid, noise)
    return fake_quantize(x, grid, scaling, noise=noise, family=family)


def _fitted(how: _FittedScaling, family: Family, x: Array, grid: Grid, noise: Array | None) -> Array:
    scaling = how.inner
    view, axes = scaling.grouped(jnp, x)
    largest = jnp.max(jnp.abs(view), axis=axes, keepdims=True)
    best, least = view, jnp.full_like(largest, jnp.inf)
    for ratio in how.ratios:
        limited = scaling.ungrouped(jnp, jnp.clip(view, -ratio * largest, ratio * largest), x.shape)
        # divergence must show: a group with NaN has no least error, so the first ratio decides there
        result = scaling.grouped(jnp, fake_quantize(limited, grid, scaling, noise=noise, family=family))[0]
        error = jnp.sum((view - result) ** 2, axis=axes, keepdims=True)
        better = (error < least) | jnp.isnan(error)
        best, least = jnp.where(better, result, best), jnp.where(better, error, least)
    best = scaling.ungrouped(jnp, best, x.shape)
    return jnp.where(jnp.asarray(grid.precision) >= 24, x, best)


def _rotated(how: _RotatedScaling, family: Family, x: Array, grid: Grid, noise: Array | None) -> Array:
    length = x.shape[how.axis]
    matrix = jnp.asarray(hadamard(min(how.size, length & -length)))
    inside = turned(x, matrix, how.axis)
    back = turned(apply_scaling(how.inner, inside, grid, noise, family), matrix, how.axis)
    return jnp.where(jnp.asarray(grid.precision) >= 24, x, back)


def turned(x: Array, matrix: Array, axis: int) -> Array:
    """Multiply blocks along an axis by a matrix, as rows."""
    moved = jnp.moveaxis(x, axis, -1)
    with jax.default_matmul_precision("highest"):
        result = moved.reshape(*moved.shape[:-1], -1, matrix.shape[0]) @ matrix
    return jnp.moveaxis(result.reshape(moved.shape), -1, axis)


def hadamard(size: int) -> np.ndarray:
    """Sylvester's matrix of a power of two, divided by the square root of its size: symmetric and orthonormal."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return (matrix / np.sqrt(size)).astype(np.float32)
