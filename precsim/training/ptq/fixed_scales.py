"""A matrix's scales, and rounding with scales that are already fixed: what methods with data need of a quantizer.

GPTQ and AWQ choose the values of a matrix one row, or one candidate, after another. The scales must stand before the
first is chosen, so they are those of the matrix as trained, and the quantizer must have one scale for each group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.formats import Format
from precsim.numerics.quantize import DoubleBlock, Quantizer, TwoLevel
from precsim.numerics.rounding import round_to


def check_fixed(quantizer: object) -> None:
    """Refuse a quantizer without one fixed scale for each group.

    Raises
    ------
    ValueError
        If it is no `Quantizer`, or has scales on two levels, zero points or listed values.
    """
    if (
        not isinstance(quantizer, Quantizer)
        or not isinstance(quantizer.format, Format)
        or isinstance(quantizer.scaling, TwoLevel | DoubleBlock)
        or not quantizer.symmetric
    ):
        raise ValueError(
            "GPTQ and AWQ take a Quantizer of a symmetric format with one scale for each group, "
            f"not {quantizer!r}; RTN takes all"
        )


def scales(weight: NDArray, quantizer: Quantizer) -> NDArray[np.float32]:
    """Scale of each element, shape of the weight.

    Raises
    ------
    ValueError
        If the quantizer has no single scale for each group.

    Examples
    --------
    >>> from precsim.numerics import INT3, PerChannel
    >>> scales(np.array([[3.0, 1.0], [-1.5, 6.0]]), Quantizer(INT3, PerChannel(axis=-1)))  # largest value 3
    array([[1., 2.],
           [1., 2.]], dtype=float32)
    """
    check_fixed(quantizer)
    assert isinstance(quantizer.format, Format)
    assert not isinstance(quantizer.scaling, TwoLevel | DoubleBlock)
    weight = np.asarray(weight, np.float32)
    view, axes = quantizer.scaling.grouped(np, weight)
    scale = quantizer.scaling.scale(np, view, axes, quantizer.format.grid())
    return quantizer.scaling.ungrouped(np, np.broadcast_to(scale, view.shape), weight.shape)


def round_with(weight: NDArray, scale: NDArray[np.float32], quantizer: Quantizer) -> NDArray[np.float32]:
    """``scale * round(weight / scale)``, saturating, in float32 as `Quantizer` does it."""
    assert isinstance(quantizer.format, Format)  # `scales` has refused the others
    scaled = np.asarray(weight, np.float32) * (np.float32(1) / scale)
    return np.asarray(round_to(scaled, quantizer.format, quantizer.rounding, saturate=True) * scale)
