"""The linear student of a linear teacher: training by gradient descent whose every loss has a closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precsim.numerics.quantize import Quantizer


@dataclass(frozen=True, slots=True)
class Teacher:
    """Least squares with a power-law spectrum, learned by gradient descent from zero.

    Inputs have covariance eigenvalues lambda_i = i^-a; the teacher's weights in that basis satisfy
    lambda_i w*_i^2 = i^-c. After t steps of rate eta the student is w_i = w*_i (1 - (1 - eta lambda_i)^t), and

        loss(t) = 1/2 sum_i lambda_i (w*_i - w_i)^2 = 1/2 sum_i i^-c (1 - eta lambda_i)^(2t).

    The weights are stored, and rounded, in a randomly rotated basis: no network stores its eigenvectors.

    Parameters
    ----------
    width : int
        Number of weights d, at least 2.
    decay : float
        a, positive.
    source : float
        c, above 1 (a finite signal) and below 1 + a (the weights keep growing).
    rate : float
        eta, above 0 and at most 1.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    For 1 << t << d^a: loss ~ t^-((c - 1)/a), and |w|^2 ~ t^((a - c + 1)/a). The curvature is constant, so
    the damage of rounding grows exactly as the squared size of the weights: data makes a model better and
    harder to quantize at once.

    Examples
    --------
    >>> teacher = Teacher(64)
    >>> losses = teacher.loss([0, 10, 100])
    >>> bool(losses[0] > losses[1] > losses[2])
    True
    """

    width: int
    decay: float = 1.5
    source: float = 1.6
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.width < 2:
            raise ValueError(f"width must be at least 2, not {self.width}")
        if not self.decay > 0:
            raise ValueError(f"decay must be positive, not {self.decay}")
        if not 1 < self.source < 1 + self.decay:
            raise ValueError(f"source must lie between 1 and 1 + decay = {1 + self.decay}, not {self.source}")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate must lie between 0 and 1, not {self.rate}: the largest eigenvalue is 1")

    @property
    def eigenvalues(self) -> NDArray[np.float64]:
        """lambda_i = i^-a, shape (d,)."""
        return np.arange(1, self.width + 1).astype(np.float64) ** -float(self.decay)

    @property
    def target(self) -> NDArray[np.float64]:
        """w*_i = i^((a - c)/2), the teacher's weights in the eigenbasis, shape (d,)."""
        return np.arange(1, self.width + 1).astype(np.float64) ** ((self.decay - self.source) / 2)

    def student(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Weights after so many steps in the eigenbasis, shape (…, d)."""
        t = np.asarray(steps, dtype=np.float64)[..., None]
        with np.errstate(divide="ignore", invalid="ignore"):  # at rate 1 the first direction is learned in one step
            left = np.exp(t * np.log1p(-self.rate * self.eigenvalues))
        return self.target * (1 - np.where(t == 0, 1.0, left))

    def loss(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Loss after so many steps, shape of `steps`."""
        return self._loss(self.student(steps))

    def damage(self, steps: ArrayLike, quantizer: Quantizer, rng: np.random.Generator | None) -> NDArray[np.float64]:
        """Loss added by rounding the weights to nearest, shape of `steps`.

        Parameters
        ----------
        steps : array_like
        quantizer : Quantizer
            Applied to the students of all steps as one float32 array (steps, d); with `PerToken` each
            student has one scale of its own.
        rng : Generator or None
            Draws the basis in which the weights are stored (uniform over rotations); None: the eigenbasis.
        """
        basis = np.eye(self.width) if rng is None else self.rotation(rng)
        student = self.student(steps)
        stored = (student @ basis.T).reshape(-1, self.width)
        rounded = quantizer(stored.astype(np.float32)).astype(np.float64)
        return self._loss(rounded.reshape(student.shape) @ basis) - self._loss(student)

    def mean_damage(
        self, steps: ArrayLike, quantizer: Quantizer, rng: np.random.Generator, draws: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of the damage over teachers with random signs of w*, and its standard error, each of shape of `steps`.

        The basis is Hadamard's, random signs, and Hadamard's again: the coordinates of every eigenvector are close to
        independent normal numbers, and only d log2(d) additions are needed. So the width can be large enough for
        exponents to show.

        Parameters
        ----------
        steps : array_like
        quantizer : Quantizer
            Applied to all students as one float32 array (draws * steps, d); `PerToken` gives each its own scale.
        rng : Generator
        draws : int
            Teachers, at least 2.

        Raises
        ------
        ValueError
            If the width is no power of two, or there are fewer than 2 draws.
        """
        if self.width & (self.width - 1):
            raise ValueError(f"Hadamard's basis needs a width that is a power of two, not {self.width}")
        if draws < 2:
            raise ValueError(f"a standard error needs at least 2 draws, not {draws}")
        between = rng.choice([-1.0, 1.0], size=self.width)
        student = np.atleast_2d(self.student(steps))
        added = []
        for count in _batches(draws, 64):  # which bounds the memory
            signs = rng.choice([-1.0, 1.0], size=(count, 1, self.width))
            stored = _hadamard(between * _hadamard(signs * student))
            rounded = quantizer(stored.astype(np.float32).reshape(-1, self.width)).astype(np.float64)
            error = signs * _hadamard(between * _hadamard(rounded.reshape(stored.shape) - stored))
            # as a difference of two losses, but without cancellation
            added.append(np.sum(self.eigenvalues * error * (0.5 * error - (self.target - student)), axis=-1))
        every, shape = np.concatenate(added), np.shape(steps)
        return every.mean(axis=0).reshape(shape), (every.std(axis=0, ddof=1) / np.sqrt(draws)).reshape(shape)

    def rotation(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Random basis, uniform over rotations: rows are stored coordinates, columns eigenvectors, shape (d, d)."""
        basis, triangle = np.linalg.qr(rng.standard_normal((self.width, self.width)))
        return basis * np.sign(np.diag(triangle))

    def _loss(self, weights: NDArray) -> NDArray[np.float64]:
        return 0.5 * np.sum(self.eigenvalues * (self.target - weights) ** 2, axis=-1)


def _batches(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]


def _hadamard(x: NDArray) -> NDArray[np.float64]:
    """Product of the last axis with Sylvester's orthonormal matrix, its own inverse, as two small products."""
    width = x.shape[-1]
    first = 1 << ((width.bit_length() - 1) // 2)
    table = x.reshape(*x.shape[:-1], first, width // first)
    return (_sylvester(first) @ table @ _sylvester(width // first)).reshape(x.shape) / np.sqrt(width)


def _sylvester(size: int) -> NDArray[np.float64]:
    rows = np.arange(size)
    return 1.0 - 2.0 * (np.bitwise_count(rows[:, None] & rows) % 2)
