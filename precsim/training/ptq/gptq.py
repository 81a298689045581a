"""GPTQ: round the rows of a matrix one after another, and let the rows not yet rounded make up for each error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.quantize import Quantizer
from precsim.training.ptq.fixed_scales import round_with, scales


@dataclass(frozen=True, slots=True, kw_only=True)
class GPTQ:
    """Quantize each matrix so that its product with its own inputs changes little.

    Minimizes E |x W - x Q|^2 greedily over the rows of W (one row for each input), with the exact best
    correction of the later rows after each: with inverse second moment C = (E x x^T + damping)^-1 = U^T U, row i
    is rounded to q, and each later row j changes by -(U_ij / U_ii) (w_i - q).

    Parameters
    ----------
    damping : float
        Added to the diagonal of E x x^T, as a share of its mean; positive.
    ordered : bool
        Take the inputs with the largest mean square first, while many rows are left to make up for their errors
        ("act-order"), instead of taking them as they are stored.

    Raises
    ------
    ValueError
        If damping is not positive.

    Notes
    -----
    Scales come from the matrix before the first row is rounded; corrected rows saturate at the ends of the grid, which
    matters at 2 bits. Matrices are taken in the order of the network, with inputs that the matrices
    before, already rounded, produce.

    References
    ----------
    frantar2023, algorithm 1; the order is a later option of the authors' program.
    """

    damping: float = 0.01
    ordered: bool = False

    def __post_init__(self) -> None:
        if not self.damping > 0:
            raise ValueError(f"damping must be positive, not {self.damping!r}; 0.01 is usual")

    @property
    def name(self) -> str:
        """Name in a table of runs."""
        return "gptq-ordered" if self.ordered else "gptq"

    def weights(self, weight: NDArray, moment: NDArray, quantizer: Quantizer) -> NDArray[np.float32]:
        """Quantized matrix, shape (inputs, outputs), from E x x^T (inputs, inputs)."""
        scale = scales(weight, quantizer)
        # Inputs of a trained network are nearly dependent, and some are never other than 0, so the moment has no
        # inverse by itself. With a share d of the mean added to its diagonal the largest eigenvalue is at most n
        # times, the smallest at least d times that mean: a condition of at most (n + d) / d, 1e4 for n = 100 and
        # d = 0.01, which float64 inverts to 12 digits. An input that is always 0 gets a row of C that is diagonal:
        # its weights are rounded to nearest and no other row makes up for them (the source sets them to 0).
        level = self.damping * np.mean(np.diag(moment))
        if level == 0:  # no input of the matrix is ever other than 0: nothing to make up for
            return round_with(weight, scale, quantizer)
        order = np.argsort(-np.diag(moment), kind="stable") if self.ordered else np.arange(len(moment))
        damped = moment[np.ix_(order, order)] + level * np.eye(len(moment))
        upper = np.linalg.cholesky(np.linalg.inv(damped)).T
        left, result = np.array(weight[order], dtype=np.float64), np.empty(weight.shape, np.float32)
        for i, row in enumerate(order):
            result[row] = round_with(left[i], scale[row], quantizer)
            error = (left[i] - result[row]) / upper[i, i]
            left[i + 1 :] -= np.outer(upper[i, i + 1 :], error)
        return result
