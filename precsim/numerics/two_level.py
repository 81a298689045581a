"""Blocks whose scales are themselves E4M3 numbers under one float32 scale for the tensor: NVFP4."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np

from precsim.numerics.formats import FP4_E2M1, FP8_E4M3
from precsim.numerics.grid import Grid
from precsim.numerics.kernels.integer import round_numpy
from precsim.numerics.modes import Rounding
from precsim.numerics.scaling import PerBlock, largest_of

__all__ = ["TwoLevel", "TwoLevelRule"]


class TwoLevelRule(enum.Enum):
    """Which float32 operations find the scales and the scaled elements. Sources differ in the last bit.

    With a the largest magnitude of the tensor, b that of the block, m the element format's maximum:
    """

    TRANSFORMER_ENGINE = "S = 448 m / a; s = E4M3(b * (S * (1/m))); element = x * min(1 / (s * (1/S)), FLT_MAX)"
    TORCHAO = "g = a / (448 m); s = E4M3(max(b / m / g, 2**-6)); element = x * ((1 / g) / s)"
    EXACT = "g = a / (448 m); s = E4M3(b / m / g); x compared with midpoints times s g, exactly (FP4_E2M1 only)"


@dataclass(frozen=True, slots=True)
class TwoLevel:
    """One E4M3 scale for each block and one float32 scale for the array.

    Parameters
    ----------
    size : int
        Elements in a block.
    axis : int
        The axis that is cut into blocks.
    rule : TwoLevelRule

    Examples
    --------
    >>> from precsim import FP4_E2M1, Quantizer, TwoLevel
    >>> Quantizer(FP4_E2M1, TwoLevel(2))(np.float32([26.88, 10, 1, 0.3])).round(2).tolist() == [
    ...     np.float32(v) for v in (26.88, 8.96, 0.96, 0.32)
    ... ]
    True
    """

    size: int = 16
    axis: int = -1
    rule: TwoLevelRule = TwoLevelRule.TRANSFORMER_ENGINE

    def __post_init__(self) -> None:
        PerBlock(self.size, self.axis)  # the same limits
        if not isinstance(self.rule, TwoLevelRule):
            raise ValueError(f"rule must be a member of TwoLevelRule; received {self.rule!r}")

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element."""
        return FP8_E4M3.bits / self.size

    def grouped(self, xp: Any, x):
        """Return the array with the blocks as a last axis (padded with zeros) and that axis."""
        return PerBlock(self.size, self.axis).grouped(xp, x)

    def ungrouped(self, xp: Any, y, shape: tuple[int, ...]):
        """Undo `grouped` for an array that had this shape."""
        return PerBlock(self.size, self.axis).ungrouped(xp, y, shape)

    def steps(self, xp: Any, view, axes, grid: Grid):
        """Return the factor that scales each block and the factor that undoes it."""
        block, whole = largest_of(xp, view, axes), largest_of(xp, view, None)
        one, top = view.dtype.type(1), xp.asarray(grid.maximum, dtype=view.dtype)
        room = FP8_E4M3.maximum * top
        if self.rule is TwoLevelRule.TRANSFORMER_ENGINE:
            encode = xp.where(whole == 0, one, xp.minimum(_divide(xp, room, whole), np.finfo(np.float32).max))
            scale = _to_e4m3(xp, block * (encode * _divide(xp, one, top)))
            step = scale * _divide(xp, one, encode)
            return xp.where(scale == 0, 0, xp.minimum(_divide(xp, one, step), np.finfo(np.float32).max)), step
        scale, shared = self.scales(xp, block, whole, top)
        inverse = _divide(xp, _divide(xp, one, shared), scale)
        return xp.where(scale == 0, 0, inverse), scale * shared

    def scales(self, xp: Any, block, whole, top):
        """Return the E4M3 scale of each block and the float32 scale of the array (1 for an array of zeros)."""
        one = block.dtype.type(1)
        shared = xp.where(whole == 0, one, xp.maximum(_divide(xp, whole, FP8_E4M3.maximum * top), 2.0**-126))
        wanted = _divide(xp, _divide(xp, block, top), shared)
        if self.rule is TwoLevelRule.TORCHAO:
            wanted = xp.maximum(wanted, FP8_E4M3.smallest_normal)
        return _to_e4m3(xp, wanted), shared

    def exact(self, xp: Any, view, axes):
        """Return each element's nearest value of ``e2m1 * s * g`` (ties to even codes), decided without rounding.

        A midpoint t of E2M1 times s has 7 bits; g is split into two halves of 12 bits, so that both products are
        exact, and |x| is compared with their sum through the exact difference |x| - t s g_high.
        """
        scale, shared = self.scales(xp, largest_of(xp, view, axes), largest_of(xp, view, None), view.dtype.type(6))
        high = _leading_half(xp, shared)
        low = shared - high
        positive = FP4_E2M1.values()[FP4_E2M1.values() >= 0].astype(np.float32)
        magnitude, count = xp.abs(view), 0
        for k, midpoint in enumerate((positive[:-1] + positive[1:]) / 2):
            t = scale * midpoint
            rest, wanted = magnitude - t * high, t * low
            count = count + ((rest > wanted) if k % 2 == 0 else (rest >= wanted)).astype(np.int32)
        count = xp.where(scale == 0, 0, count)
        nearest = xp.asarray(positive)[count] * (scale * shared)
        nearest = xp.where(xp.isfinite(shared), nearest, xp.asarray(np.nan, view.dtype))
        return xp.where(view < 0, -nearest, nearest)


def _divide(xp: Any, a, b):
    """Divide as IEEE does: XLA must not see that b is one number repeated, or it multiplies by a reciprocal."""
    if xp is np:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.divide(a, b)
    import jax

    a, b = xp.broadcast_arrays(xp.asarray(a), xp.asarray(b))
    return a / jax.lax.optimization_barrier(b)


def _to_e4m3(xp: Any, scale):
    if xp is np:
        return round_numpy(np.asarray(scale), FP8_E4M3.grid(), Rounding.NEAREST_EVEN)
    from precsim.numerics.kernels.under_jax import round_traced

    return round_traced(scale, FP8_E4M3.grid())


def _leading_half(xp: Any, x):
    """Return x with the low 12 bits of its significand cleared."""
    if xp is np:
        return (np.asarray(x).view(np.int32) & ~0xFFF).view(np.float32)
    import jax

    return jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(x, xp.int32) & ~0xFFF, xp.float32)
