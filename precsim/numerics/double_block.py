"""Blocks whose float32 scales are themselves kept in 8 bits: the double quantization of NF4 (QLoRA)."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.binary_format import whole
from precsim.numerics.scaling import PerBlock, absmax_scale, largest_of, reciprocal

__all__ = ["DoubleBlock", "dynamic_map"]

_DECADES = 7  # from 1e-7 to 1


def dynamic_map() -> NDArray[np.float32]:
    """The 256 values of bitsandbytes' signed 8-bit dynamic type, ascending: 0, 1, and seven decades of either sign.

    The decade that ends at ``10**-(6 - i)`` holds the midpoints of 2**i equal steps from a tenth of its end to its end.

    Libraries compute them by float32 steps whose last bit depends on the processor; these are the exact midpoints,
    rounded once.

    References
    ----------
    dettmers2022

    Examples
    --------
    >>> values = dynamic_map()
    >>> len(values), values[-3:].tolist() == [np.float32(v) for v in (0.97890625, 0.99296875, 1.0)]
    (256, True)
    """
    decades = [10.0 ** (i - _DECADES + 1) * (0.1 + 0.9 * (np.arange(2**i) + 0.5) / 2**i) for i in range(_DECADES)]
    positive = np.concatenate(decades)
    return np.sort(np.concatenate([-positive, [0.0], positive, [1.0]])).astype(np.float32)


@dataclass(frozen=True, slots=True)
class DoubleBlock:
    """A scale for each block, kept as an 8-bit number: less than a seventh of the bits of float32 scales.

    The scales' mean is subtracted; what is left is divided by its largest magnitude in each run of `outer` scales (a
    float32 number) and rounded to the nearest of `dynamic_map`. Elements are rounded with the scales as they were.

    Parameters
    ----------
    size : int
        Elements in a block.
    outer : int
        Scales that share a float32 scale, in the order of the array's rows.
    axis : int
        The axis that is cut into blocks.

    Notes
    -----
    bitsandbytes cuts the array as it lies in memory: the same blocks where rows hold whole ones. Its mean is summed in
    float32 in an order that depends on the device; here it is exact to the last bit.

    References
    ----------
    dettmers2023qlora, section 3.

    Examples
    --------
    >>> from precsim.numerics import NF4
    >>> from precsim.numerics.quantize import Quantizer
    >>> round(NF4.bits, 3), round(Quantizer(NF4.format, DoubleBlock()).bits, 3)
    (4.5, 4.127)
    """

    size: int = 64
    outer: int = 256
    axis: int = -1

    def __post_init__(self) -> None:
        block = PerBlock(self.size, self.axis)  # the same limits
        object.__setattr__(self, "size", block.size)
        object.__setattr__(self, "axis", block.axis)
        object.__setattr__(self, "outer", whole("scales that share a scale", self.outer, low=1))

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element (the mean: negligible)."""
        return (8 + 32 / self.outer) / self.size

    def grouped(self, xp: ModuleType, x):
        """Return the array with the blocks as axes of their own (padded with zeros) and those axes."""
        return PerBlock(self.size, self.axis).grouped(xp, x)

    def ungrouped(self, xp: ModuleType, y, shape: tuple[int, ...]):
        """Undo `grouped` for an array that had this shape."""
        return PerBlock(self.size, self.axis).ungrouped(xp, y, shape)

    def steps(self, xp: ModuleType, view, axes, maximum):
        """Return the factor that scales each block and, from its 8-bit scale, the factor that undoes it."""
        first = absmax_scale(xp, largest_of(xp, view, axes), maximum)
        return reciprocal(xp, first), self.restored(xp, *self.parts(xp, first))

    def parts(self, xp: ModuleType, scales):
        """Return what is stored of scales: 8-bit codes in their shape, the float32 scale of each run, and the mean."""
        flat = scales.reshape(-1)
        mean = xp.mean(flat.astype(np.float64) if xp is np else flat).astype(scales.dtype)
        rest = self._runs(xp, flat - mean)
        largest = xp.max(xp.abs(rest), axis=1)
        shared = xp.where(largest > 0, largest, xp.ones_like(largest))
        values = dynamic_map().astype(np.float64)
        midpoints = xp.asarray(((values[:-1] + values[1:]) / 2).astype(np.float32))
        places = xp.searchsorted(midpoints, (rest * (1 / shared)[:, None]).reshape(-1), side="left")
        return places[: flat.shape[0]].astype(np.uint8).reshape(scales.shape), shared, mean

    def restored(self, xp: ModuleType, codes, shared, mean):
        """Return the scales from what is stored of them."""
        values = self._runs(xp, xp.asarray(dynamic_map())[codes.reshape(-1)])
        return (values * shared[:, None] + mean).reshape(-1)[: codes.size].reshape(codes.shape)

    def _runs(self, xp: ModuleType, flat):
        """Rows of `outer` numbers, the last filled up with zeros."""
        spare = -flat.shape[0] % self.outer
        return xp.concatenate([flat, xp.zeros(spare, flat.dtype)]).reshape(-1, self.outer)
