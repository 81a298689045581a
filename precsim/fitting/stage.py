"""One minimization of a fit: what was estimated, from which rows, and how well they determine it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from precsim.equality import Record
from precsim.fitting.objective import Objective
from precsim.fitting.observations import Observations
from precsim.laws.law import Law

_MAD = 1.4826  # standard deviations per median absolute deviation, for normal residuals


def spread(residuals) -> float:
    """Robust standard deviation about zero."""
    return float(_MAD * np.median(np.abs(residuals)))


@dataclass(frozen=True, eq=False)
class Stage(Record):
    """One minimization: the losses of models as trained, or the paired δ of quantized ones.

    Attributes
    ----------
    law : Law
        The parts that this stage saw, with their parameters.
    form : Law
        The same with None where this stage estimated.
    tied : dict of str to str
        Parameters that follow another.
    observations : Observations
    delta : float
        Knee of Huber's loss on the residuals.
    objective : float
        Σ w·Huber_δ(residual) at the minimum.
    residuals : ndarray, shape (n,)
        Response observed minus predicted: ln L, or arsinh(δ/2s) with the noise floor s for paired rows.
    starts, agree : int
        Starts of the search, and how many ended within 1e-6 relative of the best objective.
    converged : bool
    """

    law: Law
    form: Law
    tied: dict[str, str]
    observations: Observations
    delta: float
    objective: float
    residuals: np.ndarray
    starts: int
    agree: int
    converged: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that this stage estimated, in the order of θ."""
        return tuple(n for n in self.form.free if n not in self.tied)

    @cached_property
    def problem(self) -> Objective:
        """The objective whose minimum this is."""
        return Objective(self.form, self.names, self.tied, self.observations)

    @property
    def theta(self) -> np.ndarray:
        """The estimates in the coordinates of the minimizer (ln p for positive p)."""
        return self.problem.theta(self.law)

    @property
    def scale(self) -> float:
        """Robust standard deviation of the residuals: 1.4826 times their median absolute value."""
        return spread(self.residuals)

    @property
    def r2(self) -> float:
        """1 − Σw r²/Σw (t − mean t)² in the response t; −inf if all observations are equal."""
        t, w = self.problem.target, self.observations.weight
        total = (w * (t - np.average(t, weights=w)) ** 2).sum()
        return float(1 - (w * self.residuals**2).sum() / total) if total > 0 else -np.inf

    @cached_property
    def covariance(self) -> np.ndarray:
        """Sandwich covariance of θ, shape (p, p): J⁻¹ (Σ ψ² g gᵀ) J⁻¹; entries inf for undetermined directions."""
        with np.errstate(all="ignore"):  # a parameter at 0 or inf has no error, and says so
            found = self._sandwich()
        return np.where(np.isfinite(found), found, np.inf)

    def _sandwich(self) -> np.ndarray:
        o = self.problem
        theta = self.theta[None]
        w = self.observations.weight
        _, _, H, G = o.curvature(theta, w, self.delta)
        J = o.jacobian(theta)[0]
        psi = np.clip(self.residuals, -self.delta, self.delta) * w
        middle = (J * psi**2) @ J.T
        if not (np.isfinite(H).all() and np.isfinite(middle).all()):
            return np.full_like(middle, np.inf)
        bread = H[0] if np.linalg.eigvalsh(H[0])[0] > 0 else G[0]
        d = np.sqrt(np.maximum(np.diag(bread), 1e-300))
        values, vectors = np.linalg.eigh(bread / np.outer(d, d))
        inverse = (vectors / np.maximum(values, 1e-15)) @ vectors.T / np.outer(d, d)
        return inverse @ middle @ inverse * len(w) / max(len(w) - len(theta[0]), 1)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Relative standard error of each positive parameter, absolute of the others; inf where rounding left none."""
        variance = np.diag(self.covariance)
        errors = np.sqrt(np.where(variance >= 0, variance, np.inf))
        return dict(zip(self.names, map(float, errors), strict=True))

    @cached_property
    def condition(self) -> tuple[float, tuple[str, ...]]:
        """Condition number of the scaled information matrix, and the parameters in its weakest direction."""
        J = self.problem.jacobian(self.theta[None])[0] * np.sqrt(self.observations.weight)
        size = np.sqrt((J**2).sum(-1))
        if (size == 0).any():
            return np.inf, tuple(n for n, s in zip(self.names, size, strict=True) if s == 0)
        values, vectors = np.linalg.eigh((J / size[:, None]) @ (J / size[:, None]).T)
        weakest = np.abs(vectors[:, 0])
        names = tuple(n for n, v in zip(self.names, weakest, strict=True) if v > 0.3)
        return float(values[-1] / max(values[0], 1e-300)), names
