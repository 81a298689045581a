"""When one pass over each group can quantize a NumPy array, and doing so."""

from __future__ import annotations

import functools

import numpy as np

from precsim._execute import kernel_serves
from precsim._format import Format
from precsim._kernels.parameters import parameters
from precsim._modes import NanRule, Rounding, Subnormals
from precsim._rules import grid_for
from precsim._scaling import PerBlock, PerChannel, PerTensor, PerToken, ScaleRule

__all__ = ["rows_of", "run_rows"]


def rows_of(x: np.ndarray, scaling) -> tuple[int, int] | None:
    """Return (groups, elements in each) if the groups lie one after the other in memory, else None."""
    if not x.flags.c_contiguous or not x.ndim:
        return None
    if isinstance(scaling, PerTensor):
        return 1, x.size
    if isinstance(scaling, PerToken):
        return x.size // x.shape[-1], x.shape[-1]
    if isinstance(scaling, PerChannel):
        first = scaling.axis in (0, -x.ndim)
        return (x.shape[0], x.size // x.shape[0]) if first else None
    if isinstance(scaling, PerBlock) and scaling.axis in (-1, x.ndim - 1) and x.shape[-1] % scaling.size == 0:
        return x.size // scaling.size, scaling.size
    return None


def run_rows(x: np.ndarray, out: np.ndarray, fmt: Format, scaling) -> bool:
    """Quantize x into out (both C-contiguous, apart) to nearest-even; return whether it could be done."""
    shape = rows_of(x, scaling)
    arguments = _arguments(fmt, getattr(scaling, "rule", None) if _has_power_scale(scaling) else None)
    if shape is None or arguments is None:
        return False
    from precsim._kernels.scaled import quantize_rows

    quantize_rows(x.reshape(shape), out.reshape(shape), *arguments)
    return True


def _has_power_scale(scaling) -> bool:
    return getattr(scaling, "scale_format", None) is not None


@functools.lru_cache(maxsize=256)
def _arguments(fmt: Format, rule: ScaleRule | None):
    nan = None if fmt.has_nan else NanRule.KEEP
    grid = grid_for(fmt, Rounding.NEAREST_EVEN, True, nan, Subnormals.KEEP)
    if kernel_serves(fmt, grid, Rounding.NEAREST_EVEN, "f") != "magic":
        return None
    maximum = np.float32(fmt.maximum)
    code = -1 if rule is None else list(ScaleRule).index(rule)
    nudge = np.int32(1 << (23 - fmt.precision)) if rule is ScaleRule.EVEN else np.int32(0)
    p = parameters(grid, np.dtype(np.float32), Rounding.NEAREST_EVEN)
    return p, np.float32(1) / maximum, maximum.view(np.int32), code, nudge
