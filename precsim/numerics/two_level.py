"""Blocks whose scales are themselves E4M3 numbers under one float32 scale for the tensor: NVFP4."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from precsim.numerics import kernels
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
    ONE_LEVEL = (
        "g = 1; s = E4M3(max(b / m, 2**-6)), at most 448; element = x * (1 / s): torchao without a scale of the array"
    )
    FOUR_OVER_SIX = "g = a / (256 m); s = E4M3(b / m / g) or E4M3(b / 4 / g), whichever has the smaller squared error"


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
    rows : int
        Rows that share a block's scale: 16 with a size of 16 makes the square blocks of TransformerEngine's weights,
        whose transposes are quantized alike. Above 1: blocks along the last axis of arrays with two axes or more.

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
    rows: int = 1

    def __post_init__(self) -> None:
        block = PerBlock(self.size, self.axis, rows=self.rows)  # the same limits
        object.__setattr__(self, "size", block.size)
        object.__setattr__(self, "axis", block.axis)
        object.__setattr__(self, "rows", block.rows)
        if not isinstance(self.rule, TwoLevelRule):
            raise ValueError(f"rule must be a member of TwoLevelRule; received {self.rule!r}")

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element."""
        return FP8_E4M3.bits / (self.size * self.rows)

    def grouped(self, xp: ModuleType, x):
        """Return the array with the blocks as axes of their own (padded with zeros) and those axes."""
        return PerBlock(self.size, self.axis, rows=self.rows).grouped(xp, x)

    def ungrouped(self, xp: ModuleType, y, shape: tuple[int, ...]):
        """Undo `grouped` for an array that had this shape."""
        return PerBlock(self.size, self.axis, rows=self.rows).ungrouped(xp, y, shape)

    def steps(self, xp: ModuleType, view, axes, grid: Grid):
        """Return the factor that scales each block and the factor that undoes it."""
        inverse, scale, shared = self.parts(xp, view, axes, grid)
        return inverse, scale * shared

    def parts(self, xp: ModuleType, view, axes, grid: Grid):
        """Return the factor that scales each block, its E4M3 scale, and the float32 scale of the array."""
        block, largest = largest_of(xp, view, axes), largest_of(xp, view, None)
        one, top = view.dtype.type(1), xp.asarray(grid.maximum, dtype=view.dtype)
        if self.rule is TwoLevelRule.TRANSFORMER_ENGINE:
            room = FP8_E4M3.maximum * top
            encode = xp.where(largest == 0, one, xp.minimum(_divide(xp, room, largest), np.finfo(np.float32).max))
            scale, shared = _to_e4m3(xp, block * (encode * _divide(xp, one, top))), _divide(xp, one, encode)
            inverse = xp.minimum(_divide(xp, one, scale * shared), np.finfo(np.float32).max)
            return xp.where(scale == 0, 0, inverse), scale, shared
        if self.rule is TwoLevelRule.ONE_LEVEL:
            scale = _to_e4m3(xp, xp.maximum(_divide(xp, block, top), FP8_E4M3.smallest_normal))
            return _divide(xp, one, scale), scale, xp.ones_like(largest)
        if self.rule is TwoLevelRule.FOUR_OVER_SIX:
            return self._better(xp, view, axes, grid, block, largest)
        scale, shared = self.scales(xp, block, largest, top)
        inverse = _divide(xp, _divide(xp, one, shared), scale)
        return xp.where(scale == 0, 0, inverse), scale, shared

    def _better(self, xp: ModuleType, view, axes, grid: Grid, block, largest):
        """Of a block's scales by its largest value and by 4 (which 6 then rounds up past), the one with less error."""
        one, top = view.dtype.type(1), xp.asarray(grid.maximum, dtype=view.dtype)
        shared = xp.where(largest == 0, one, xp.maximum(_divide(xp, largest, 256 * top), 2.0**-126))
        found = []
        for divisor in (top, view.dtype.type(4)):
            scale = _to_e4m3(xp, _divide(xp, _divide(xp, block, divisor), shared))
            inverse = xp.where(scale == 0, 0, _divide(xp, _divide(xp, one, shared), scale))
            wrong = _to_grid(xp, view * inverse, grid) * (scale * shared) - view
            found.append((inverse, scale, xp.sum(wrong * wrong, axis=axes, keepdims=True)))
        (inverse, scale, error), (other_inverse, other, other_error) = found
        better = other_error < error
        return xp.where(better, other_inverse, inverse), xp.where(better, other, scale), shared

    def scales(self, xp: ModuleType, block, largest, top):
        """Return the E4M3 scale of each block and the float32 scale of the array (1 for an array of zeros)."""
        one = block.dtype.type(1)
        shared = xp.where(largest == 0, one, xp.maximum(_divide(xp, largest, FP8_E4M3.maximum * top), 2.0**-126))
        wanted = _divide(xp, _divide(xp, block, top), shared)
        if self.rule is TwoLevelRule.TORCHAO:
            wanted = xp.maximum(wanted, FP8_E4M3.smallest_normal)
        return _to_e4m3(xp, wanted), shared

    def places(self, xp: ModuleType, view, axes):
        """Return each element's place in E2M1's values (negative below zero), the blocks' scales and the array's.

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
        return xp.where(view < 0, -count, count), scale, shared

    def exact(self, xp: ModuleType, view, axes):
        """Return each element's nearest value of ``e2m1 * s * g`` (ties to even codes), decided without rounding."""
        count, scale, shared = self.places(xp, view, axes)
        positive = FP4_E2M1.values()[FP4_E2M1.values() >= 0].astype(np.float32)
        nearest = xp.asarray(positive)[xp.abs(count)] * (scale * shared)
        nearest = xp.where(xp.isfinite(shared), nearest, xp.asarray(np.nan, view.dtype))
        return xp.where(view < 0, -nearest, nearest)


def _divide(xp: ModuleType, a, b):
    """The quotient as IEEE rounds it, also under XLA, which would multiply by a reciprocal."""
    if xp is np:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.divide(a, b)
    return kernels.under_jax.divide(a, b)


def _to_e4m3(xp: ModuleType, scale):
    return _to_grid(xp, scale, FP8_E4M3.grid())


def _to_grid(xp: ModuleType, x, grid: Grid):
    if xp is np:
        return round_numpy(np.asarray(x), grid, Rounding.NEAREST_EVEN)
    return kernels.under_jax.round_traced(x, grid)


def _leading_half(xp: ModuleType, x):
    """Return x with the low 12 bits of its significand cleared."""
    if xp is np:
        return (np.asarray(x).view(np.int32) & ~0xFFF).view(np.float32)
    return kernels.under_jax.floats(kernels.under_jax.pattern(x) & ~0xFFF, xp.float32)
