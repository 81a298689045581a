"""The linear student trained through its rounding until the rate has fallen to zero, beside what correction reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precsim.models import Teacher
from precsim.numerics.formats import Format
from precsim.training.ptq.linear_student import round_student


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnealedStudent:
    """Loss that training in few bits adds to a student that has learned all its weights, over the corrected value.

    Attributes
    ----------
    annealed, constant : array, shape (bases,)
        Straight-through training with a rate that falls to zero as a cosine, and with a constant one (mean over the
        second half), each over step^2/24 times sum_i 1/U_ii^2 with H^-1 = U^T U, the value with the best correction.
    gptq, nearest : array, shape (bases,)
        GPTQ and rounding to nearest over the same.
    """

    annealed: NDArray[np.float64]
    constant: NDArray[np.float64]
    gptq: NDArray[np.float64]
    nearest: NDArray[np.float64]


def anneal_student(
    teacher: Teacher, format: Format, rng: np.random.Generator, *, bases: int = 16, draws: int = 40, steps: int = 4000
) -> AnnealedStudent:
    """Train students through their rounding in random bases, one scale for all weights, and compare with rounding.

    Parameters
    ----------
    teacher : Teacher
    format : Format
        Symmetric integers.
    rng : Generator
        Draws bases and signs.
    bases, draws : int
        Random bases, and teachers of random signs in each.
    steps : int
        Of gradient descent, from the learned weights, with the teacher's rate at first.

    Examples
    --------
    >>> from precsim.numerics import INT4
    >>> found = anneal_student(Teacher(16), INT4, np.random.default_rng(0), bases=8, draws=20, steps=500)
    >>> bool(found.annealed.mean() < found.nearest.mean() < found.constant.mean())
    True
    """
    each = [_in_one_basis(teacher, format, rng, draws, steps) for _ in range(bases)]
    annealed, constant, gptq, nearest = np.array(each).T
    return AnnealedStudent(annealed=annealed, constant=constant, gptq=gptq, nearest=nearest)


def _in_one_basis(
    teacher: Teacher, format: Format, rng: np.random.Generator, draws: int, steps: int
) -> tuple[float, float, float, float]:
    seed = int(rng.integers(2**31))
    after = round_student(teacher, format, np.random.default_rng(seed), draws)
    again = np.random.default_rng(seed)  # the same basis and signs
    basis = teacher.rotation(again)
    target = basis @ (again.choice([-1.0, 1.0], size=(teacher.width, draws)) * teacher.target[:, None])
    hessian = (basis * teacher.eigenvalues) @ basis.T
    step = np.abs(target).max(axis=0) / (2 ** (format.bits - 1) - 1)

    def error(master: NDArray) -> NDArray:
        return np.round(master / step) * step - target

    def loss(wrong: NDArray) -> float:
        return 0.5 * float(np.mean(np.sum(wrong * (hessian @ wrong), axis=0)))

    falling, still, seen = target.copy(), target.copy(), []
    for t in range(steps):
        falling -= teacher.rate * (1 + np.cos(np.pi * t / steps)) / 2 * (hessian @ error(falling))
        wrong = error(still)
        still -= teacher.rate * (hessian @ wrong)
        if t >= steps // 2 and t % 16 == 0:
            seen.append(loss(wrong))
    best = after.corrected_theory
    return loss(error(falling)) / best, float(np.mean(seen)) / best, after.corrected / best, after.nearest / best
