"""A matrix's scales, and rounding with scales that are already fixed: what methods with data need of a quantizer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precsim._scaling import absmax_scale
from precsim.quantize import Quantizer
from precsim.rounding import round_to


def scales(weight: NDArray, quantizer: Quantizer) -> NDArray[np.float32]:
    """Scale of each element, shape of the weight: absmax of its group over the format's maximum."""
    weight = np.asarray(weight, np.float32)
    view, axes = quantizer.scaling.grouped(np, weight)
    scale = absmax_scale(np, np.max(np.abs(view), axis=axes, keepdims=True), quantizer.format.maximum)
    return quantizer.scaling.ungrouped(np, np.broadcast_to(scale, view.shape), weight.shape)


def round_with(weight: NDArray, scale: NDArray[np.float32], quantizer: Quantizer) -> NDArray[np.float32]:
    """``scale * round(weight / scale)``, saturating, in float32 as `Quantizer` does it."""
    scaled = np.asarray(weight, np.float32) * (np.float32(1) / scale)
    return round_to(scaled, quantizer.format, quantizer.rounding, saturate=True) * scale
