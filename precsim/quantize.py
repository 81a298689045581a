"""Quantize = scale, round, unscale: values that say how, and the same rule for arrays under training.

`Quantizer` joins a format, a scaling and a rounding mode. `fake_quantize` is its inner rule for compiled code: the
grid may be traced, so that one compiled program serves every bit width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from precsim._format import Format
from precsim._grid import Grid
from precsim._modes import Rounding
from precsim._scaling import PerBlock, PerChannel, PerTensor, PerToken, absmax_scale

if TYPE_CHECKING:
    import jax

__all__ = ["PerBlock", "PerChannel", "PerTensor", "PerToken", "Quantizer", "Scaling", "fake_quantize", "sqnr"]

#: N, the random bits used of each uint32: what float32 arithmetic can compare exactly in each mode.
_NOISE_BITS = {Rounding.STOCHASTIC_A: 24, Rounding.STOCHASTIC_B: 23, Rounding.STOCHASTIC_C: 23}

Scaling = PerTensor | PerChannel | PerToken | PerBlock


def fake_quantize(x, grid: Grid, scaling: Scaling, *, noise=None) -> jax.Array:
    """Return the values x takes when each group is scaled to the grid, rounded and scaled back; gradient 1.

    Parameters
    ----------
    x : jax.Array, float32, shape (...)
    grid : Grid
        From ``Format.grid()``; its entries may be traced (``Grid.stack`` and ``jax.vmap`` give one grid per member
        of a population). A grid of precision 24 or more (``Grid.off()``) returns x unchanged.
    scaling : Scaling
        Which elements share a scale; fixed at compile time.
    noise : jax.Array, uint32, shape of x, optional
        Random bits; given, the rounding is stochastic (variant A with N = 24, from the high bits).

    Returns
    -------
    jax.Array, float32, shape of x

    Notes
    -----
    s = max(max|x| * (1 / maximum), 2**-126) over each group, and the result is s * round(x * (1 / s)), each
    operation in float32; nearest-even without noise. NaN or infinity in a group makes the whole group NaN, so
    that a diverged run stays visible.
    The derivative is the straight-through rule: that of the identity.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from precsim.formats import INT4
    >>> print(fake_quantize(jnp.array([1.0, -2.6, 7.0]), INT4.grid(), PerTensor()))
    [ 1. -3.  7.]
    """
    import jax.numpy as jnp

    from precsim._kernels.traced import straight_through

    x = jnp.asarray(x)
    mode = Rounding.NEAREST_EVEN if noise is None else Rounding.STOCHASTIC_A
    if noise is not None and noise.shape != x.shape:
        raise ValueError(f"noise must have the shape of x, {x.shape}; received {noise.shape}")
    return straight_through(_scaled_rounding(scaling, mode), x, grid, noise)


_WHOLE = PerTensor()


@dataclass(frozen=True, slots=True)
class Quantizer:
    """A format, which elements share a scale, and how to round: a function from arrays to arrays.

    Parameters
    ----------
    format : Format
    scaling : Scaling
        Default: one scale for the array.
    rounding : Rounding
        Default: nearest-even. A stochastic mode needs `noise` at each call.

    Examples
    --------
    >>> from precsim.formats import INT4
    >>> Quantizer(INT4, PerToken())(np.array([[0.1, -0.26, 0.7], [1.0, 7.0, 2.4]], np.float32))
    array([[ 0.1, -0.3,  0.7],
           [ 1. ,  7. ,  2. ]], dtype=float32)
    """

    format: Format
    scaling: Scaling = _WHOLE
    rounding: Rounding = Rounding.NEAREST_EVEN

    def __post_init__(self) -> None:
        for field, kind in (("format", Format), ("scaling", Scaling), ("rounding", Rounding)):
            if not isinstance(getattr(self, field), kind):
                raise ValueError(f"Quantizer.{field} must be a {kind}; received {getattr(self, field)!r}")
        if not self.format.has_zero:
            raise ValueError(f"{self.format} has no zero, so no array can be quantized to it; it can hold scales")

    @property
    def bits(self) -> float:
        """Storage bits of one element, its share of a block's float32 scale included (other scales: negligible)."""
        shared = 32 / self.scaling.size if isinstance(self.scaling, PerBlock) else 0
        return self.format.bits + shared

    def __call__(self, x, *, noise=None):
        """Return x quantized: same shape, dtype and kind of array; under JAX with the straight-through gradient.

        Raises
        ------
        ValueError
            If x is not float32, or noise is missing, not wanted, not uint32 or of another shape.
        """
        if str(x.dtype) != "float32":
            raise ValueError(f"quantizers work on float32 arrays; received {x.dtype}")
        if (noise is not None) != self.rounding.is_stochastic:
            wanted = "needs noise (uint32, the shape of x)" if noise is None else "takes no noise"
            raise ValueError(f"{self.rounding} {wanted}")
        if noise is not None and (noise.shape != x.shape or str(noise.dtype) != "uint32"):
            raise ValueError(f"noise must be uint32 of shape {x.shape}; received {noise.dtype} of shape {noise.shape}")
        if isinstance(x, np.ndarray):
            return _quantize_numpy(x, self, noise)
        from precsim._kernels.traced import straight_through

        return straight_through(_scaled_rounding(self.scaling, self.rounding), x, self.format.grid(), noise)


def sqnr(x, y) -> float:
    """Signal to quantization noise, ``10 log10(sum x**2 / sum (x - y)**2)`` [dB]; inf if y equals x.

    Parameters
    ----------
    x, y : array_like, the same shape (...)
        The numbers before and after; sums are taken in float64.

    Raises
    ------
    ValueError
        If the shapes differ, or there is nothing to measure (no elements, or x is zero everywhere).

    Examples
    --------
    >>> round(sqnr([3.0, 4.0], [3.0, 4.5]), 6)
    20.0
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"sqnr compares arrays of one shape; received {a.shape} and {b.shape}")
    signal, noise = float(np.sum(a * a)), float(np.sum((a - b) ** 2))
    if signal == 0:
        raise ValueError(f"sqnr needs a signal; received {a.size} elements, all zero")
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)


def _quantize_numpy(x: np.ndarray, how: Quantizer, noise) -> np.ndarray:
    from precsim._kernels.integer import round_numpy

    view, axes = how.scaling.grouped(np, x)
    grid = how.format.grid()
    scale = absmax_scale(np, np.max(np.abs(view), axis=axes, keepdims=True, initial=0), grid.maximum)
    width = _NOISE_BITS.get(how.rounding, 0)
    bits = None if noise is None else how.scaling.grouped(np, noise)[0] >> np.uint32(32 - width)
    rounded = round_numpy(view * (1 / scale), grid, how.rounding, bits, width) * scale
    return how.scaling.ungrouped(np, rounded, x.shape)


def _scaled_rounding(scaling: Scaling, rounding: Rounding):
    import jax.numpy as jnp

    from precsim._kernels.traced import round_traced

    width = _NOISE_BITS.get(rounding, 0)

    def scaled_rounding(x, grid: Grid, noise):
        view, axes = scaling.grouped(jnp, x)
        largest = jnp.max(jnp.abs(view), axis=axes, keepdims=True, initial=0)
        scale = absmax_scale(jnp, largest, grid.maximum)
        bits = None if noise is None else scaling.grouped(jnp, noise)[0] >> jnp.uint32(32 - width)
        # scaling leaves nothing to flush and no infinity: constants here let the compiler drop those selections
        plain = grid._replace(flush=0.0, infinity=math.inf, minus_infinity=math.inf, nan=math.nan)
        rounded = round_traced(view * (1 / scale), plain, rounding, bits, width) * scale
        restored = scaling.ungrouped(jnp, rounded, x.shape)
        return jnp.where(jnp.asarray(grid.precision) >= 24, x, restored)

    return scaled_rounding
