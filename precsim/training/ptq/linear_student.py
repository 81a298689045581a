"""The linear student rounded by nearest and by GPTQ, beside what theory says of each: where N_eff comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from precsim.models import Teacher
from precsim.numerics.formats import Format
from precsim.numerics.quantize import PerChannel, Quantizer
from precsim.training.ptq.gptq import GPTQ

_DAMPING = 1e-9  # of the diagonal: the moments of the toy are known, nothing has to be regularized


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedStudent:
    """Loss that rounding adds to a student that has learned all its weights, means over draws.

    Attributes
    ----------
    nearest, corrected : float
        Measured: round-to-nearest, and GPTQ with the exact second moments of the inputs.
    nearest_theory, corrected_theory : float
        step^2/24 times the sum of the eigenvalues, and times sum_i 1/U_ii^2 with H^-1 = U^T U; the mean of the
        measured step^2 over the draws.
    geometric : float
        step^2/24 times n times the geometric mean of the eigenvalues: the least that the second can be.
    loss : float
        L_n, what a student of n weights cannot learn of an infinite teacher: n^(1-c) / (2 (c-1)).
    """

    nearest: float
    corrected: float
    nearest_theory: float
    corrected_theory: float
    geometric: float
    loss: float

    def share(self, damage: float, source: float) -> float:
        """N_eff/N: the smaller student with the loss L_n + damage has this share of the weights, source c."""
        return (1 + damage / self.loss) ** (-1 / (source - 1))


def round_student(teacher: Teacher, format: Format, rng: np.random.Generator, draws: int) -> RoundedStudent:
    """Round a fully learned student, one scale for all its weights, in a random basis, for teachers of random signs.

    Parameters
    ----------
    teacher : Teacher
    format : Format
        Symmetric integers.
    rng : Generator
        Draws basis and signs.
    draws : int
        Teachers, at least 1; each is a column of a matrix that GPTQ rounds.

    Examples
    --------
    >>> from precsim.numerics import INT4
    >>> found = round_student(Teacher(64), INT4, np.random.default_rng(0), draws=200)
    >>> found.corrected < found.nearest
    True
    """
    n, c = teacher.width, teacher.source
    basis = teacher.rotation(rng)
    signs = rng.choice([-1.0, 1.0], size=(n, draws))
    weights = (basis @ (signs * teacher.target[:, None])).astype(np.float32)
    hessian = (basis * teacher.eigenvalues) @ basis.T
    quantizer = Quantizer(format, PerChannel(axis=-1))
    step2 = float(np.mean((np.abs(weights).max(axis=0) / (2 ** (format.bits - 1) - 1)) ** 2))

    def added(rounded: np.ndarray) -> float:
        error = rounded.astype(np.float64) - weights
        return 0.5 * float(np.mean(np.sum(error * (hessian @ error), axis=0)))

    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    return RoundedStudent(
        nearest=added(np.asarray(quantizer(weights))),
        corrected=added(GPTQ(damping=_DAMPING).weights(weights, hessian, quantizer)),
        nearest_theory=step2 / 24 * float(teacher.eigenvalues.sum()),
        corrected_theory=step2 / 24 * float(np.sum(1 / np.diag(upper) ** 2)),
        geometric=step2 / 24 * n * math.exp(float(np.mean(np.log(teacher.eigenvalues)))),
        loss=n ** (1 - c) / (2 * (c - 1)),
    )
