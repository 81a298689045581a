"""When one pass over each group can quantize a NumPy array, and the loop that does so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format
from precsim.numerics.codebook import Codebook
from precsim.numerics.dispatch import kernel_serves
from precsim.numerics.formats import FP8_E4M3
from precsim.numerics.grid import Grid
from precsim.numerics.kernels.parameters import Params, parameters
from precsim.numerics.modes import NanRule, Rounding, Subnormals
from precsim.numerics.rules import grid_for
from precsim.numerics.scaling import PerBlock, PerChannel, PerTensor, PerToken, ScaleRule
from precsim.numerics.stored import Scaling
from precsim.numerics.two_level import TwoLevel, TwoLevelRule

__all__ = ["RowPlan", "row_plan"]


class RowPlan(NamedTuple):
    """A loop over rows or columns, the shape in which it sees the array, and what it takes after the arrays."""

    loop: Callable
    shape: tuple[int, int]
    arguments: tuple

    def run(self, x: np.ndarray, out: np.ndarray) -> None:
        """Quantize x into out: both C-contiguous, not empty, apart."""
        if x.shape != self.shape:
            x, out = x.reshape(self.shape), out.reshape(self.shape)
        self.loop(x, out, *self.arguments)


@functools.lru_cache(maxsize=1024)
def row_plan(
    fmt: Format | Codebook, scaling: Scaling, shape: tuple[int, ...], symmetric: bool = True
) -> RowPlan | None:
    """Return how to quantize a float32 array of this shape to nearest-even, or None."""
    if not shape or 0 in shape:
        return None
    if isinstance(scaling, PerChannel) and len(shape) > 1 and scaling.axis in (-1, len(shape) - 1):
        view, columns = (-1, shape[-1]), True
    else:
        view, columns = _rows(shape, scaling), False
    loop = _loop if symmetric else _affine_loop
    found = None if view is None else loop(fmt, scaling, columns, view[1])
    if view is None or found is None:
        return None
    size = int(np.prod(shape))
    return RowPlan(found[0], (size // view[1], view[1]), found[1])


def _rows(shape: tuple[int, ...], scaling: Scaling) -> tuple[int, int] | None:
    """Return the shape (any, elements in each group) if the groups lie one after the other in memory."""
    last, size = shape[-1], int(np.prod(shape))
    if isinstance(scaling, PerTensor):
        return -1, size
    if isinstance(scaling, PerToken):
        return -1, last
    if isinstance(scaling, PerChannel):
        return (-1, size // shape[0]) if scaling.axis in (0, -len(shape)) else None
    whole_blocks = isinstance(scaling, PerBlock | TwoLevel) and scaling.rows == 1 and last % scaling.size == 0
    if whole_blocks and scaling.axis in (-1, len(shape) - 1):
        return -1, scaling.size
    return None


def _loop(fmt: Format | Codebook, scaling: Scaling, columns: bool, width: int) -> tuple[Callable, tuple] | None:
    fused_loops = kernels.fused_loops
    if isinstance(fmt, Codebook):
        if columns or len(fmt.levels) != 16 or not isinstance(scaling, PerTensor | PerToken | PerChannel | PerBlock):
            return None
        p = parameters(Grid.off(), np.dtype(np.float32), Rounding.NEAREST_EVEN)
        return fused_loops.quantize_levels, (p, np.float32(1) / np.float32(fmt.maximum), fmt.values(), fmt.midpoints())
    nan = None if fmt.has_nan else NanRule.KEEP
    grid = grid_for(fmt, Rounding.NEAREST_EVEN, True, nan, Subnormals.KEEP)
    served = kernel_serves(fmt, grid, Rounding.NEAREST_EVEN, "f")
    if not served or (served == "wide" and isinstance(scaling, TwoLevel)):
        return None
    p, top = parameters(grid, np.dtype(np.float32), Rounding.NEAREST_EVEN), np.float32(fmt.maximum)
    if isinstance(scaling, TwoLevel):
        if scaling.rule not in (TwoLevelRule.TRANSFORMER_ENGINE, TwoLevelRule.TORCHAO):
            return None
        e4m3 = parameters(FP8_E4M3.grid(), np.dtype(np.float32), Rounding.NEAREST_EVEN)
        held = FP8_E4M3.smallest_normal if scaling.rule is TwoLevelRule.TORCHAO else 0.0
        return fused_loops.quantize_two_level, (p, e4m3, top, np.float32(held))
    rule = scaling.rule if isinstance(scaling, PerBlock) and scaling.scale_format is not None else None
    if rule is ScaleRule.SPREAD:
        return None
    code = -1 if rule is None else list(ScaleRule).index(rule)
    nudge = 1 << (23 - fmt.precision) if rule is ScaleRule.EVEN else 0
    # an integer's neighbors are equally far everywhere: then adding one constant rounds, if 1.5 * 2**23 spacings
    # leave room for the scaled numbers, which stay below twice the largest value
    flat = fmt.is_integer and fmt.precision <= 20
    center = 1.5 * 2.0**23 * float(fmt.smallest_subnormal) if flat else 0.0
    ends = fmt.minimum, fmt.maximum
    how = np.array([1 / top, top, 0, 0, center, *ends, 0], np.float32).view(np.int32)
    how[2:4], how[7] = (code, nudge), served == "wide"
    if columns:
        return fused_loops.quantize_columns, (p, how)
    blocks = width == 32 and served == "magic" and (flat or p[Params._fields.index("inf_overflows")])
    return fused_loops.quantize_blocks if blocks else fused_loops.quantize_rows, (p, how)


def _affine_loop(fmt: Format | Codebook, scaling: Scaling, columns: bool, width: int) -> tuple[Callable, tuple] | None:
    if isinstance(fmt, Codebook) or fmt.precision > 20:  # adding 1.5 * 2**23 rounds smaller integers only
        return None
    p = parameters(Grid.off(), np.dtype(np.float32), Rounding.NEAREST_EVEN)
    ends = np.array([fmt.minimum, fmt.maximum, 1 / (np.float32(fmt.maximum) - np.float32(fmt.minimum))], np.float32)
    loops = kernels.fused_loops
    return loops.quantize_affine_columns if columns else loops.quantize_affine_rows, (p, ends)
