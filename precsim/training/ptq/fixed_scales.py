"""A matrix's scales, and rounding with scales that are already fixed: what methods with data need of a quantizer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.formats import Format
from precsim.numerics.quantize import Quantizer, TwoLevel
from precsim.numerics.rounding import round_to


def scales(weight: NDArray, quantizer: Quantizer) -> NDArray[np.float32]:
    """Scale of each element, shape of the weight.

    Raises
    ------
    ValueError
        If the quantizer has no single scale for each group.
    """
    weight = np.asarray(weight, np.float32)
    if not isinstance(quantizer.format, Format) or isinstance(quantizer.scaling, TwoLevel) or not quantizer.symmetric:
        raise ValueError(f"GPTQ and AWQ take symmetric formats with one scale for each group, not {quantizer}")
    view, axes = quantizer.scaling.grouped(np, weight)
    scale = quantizer.scaling.scale(np, view, axes, quantizer.format.grid())
    return quantizer.scaling.ungrouped(np, np.broadcast_to(scale, view.shape), weight.shape)


def round_with(weight: NDArray, scale: NDArray[np.float32], quantizer: Quantizer) -> NDArray[np.float32]:
    """``scale * round(weight / scale)``, saturating, in float32 as `Quantizer` does it."""
    assert isinstance(quantizer.format, Format)  # `scales` has refused the others
    scaled = np.asarray(weight, np.float32) * (np.float32(1) / scale)
    return np.asarray(round_to(scaled, quantizer.format, quantizer.rounding, saturate=True) * scale)
