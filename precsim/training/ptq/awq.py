"""AWQ: stretch the inputs that matter before rounding, and shrink them again after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.quantize import Quantizer
from precsim.training.ptq.fixed_scales import round_with, scales


@dataclass(frozen=True, slots=True, kw_only=True)
class AWQ:
    """Quantize each matrix after multiplying its rows by powers of their inputs' size.

    Row j of W is multiplied by s_j = (rms of input j)^a before rounding and divided by it after; a is the one of
    `steps` + 1 values from 0 to 1 with the least E |x W - x Q|^2, so it is never worse than rounding to
    nearest by that measure. In a network the division joins the operation before.

    Parameters
    ----------
    steps : int
        Values of a tried besides 0, at least 1.

    Raises
    ------
    ValueError
        If steps is below 1.

    References
    ----------
    lin2024, section 3.2; the size of an input is its root mean square here, its mean absolute value there.

    Examples
    --------
    >>> from precsim.numerics import INT3, PerChannel
    >>> weight, moment = np.array([[1.0], [0.3]], np.float32), np.diag([1.0, 400.0])  # the second input is 20 times
    >>> AWQ().weights(weight, moment, Quantizer(INT3, PerChannel(axis=-1))).round(2)  # nearest gives 1 and 0.33
    array([[1. ],
           [0.3]], dtype=float32)
    """

    steps: int = 20

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    @property
    def name(self) -> str:
        """Name in a table of runs."""
        return "awq"

    def weights(self, weight: NDArray, moment: NDArray, quantizer: Quantizer) -> NDArray[np.float32]:
        """Quantized matrix, shape (inputs, outputs), from E x x^T (inputs, inputs)."""
        size = np.sqrt(np.maximum(np.diag(moment), 1e-12))
        # over its geometric mean, so that any power of it leaves a matrix of even rows about as large as it was: scales
        # with a format of their own would otherwise leave its range
        size = size / np.exp(np.mean(np.log(size)))
        candidates = []
        for power in np.linspace(0, 1, self.steps + 1):
            stretch = (size**power)[:, None].astype(np.float32)
            stretched = (weight * stretch).astype(np.float32)
            candidates.append(round_with(stretched, scales(stretched, quantizer), quantizer) / stretch)
        return min(candidates, key=lambda q: float(np.sum((weight - q) * (moment @ (weight - q)))))
