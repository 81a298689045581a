"""What a fit minimizes: a Huber sum of residuals on a logarithmic scale, with exact derivatives in the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from precsim.fitting.observations import Observations
from precsim.laws.jets import Jet
from precsim.laws.law import Law


@dataclass(frozen=True, slots=True)
class Response:
    """The scale on which residuals are taken: ln x for losses, arsinh(x/2s) for δ with noise floor s.

    arsinh(x/2s) is ln(x/s) for x ≫ s and linear for |x| ≪ s, so a δ that noise made negative is neither dropped nor
    given an unbounded residual.
    """

    floor: float = 0.0

    def __call__(self, x):
        """t(x): ln x, or arsinh(x/2s) where there is a noise floor s."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x) if self.floor == 0 else np.arcsinh(x / (2 * self.floor))

    def derivatives(self, x):
        """(t, t′, t″/t′²) at x."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.floor == 0:
                return np.log(x), 1.0 / x, -1.0
            root = np.sqrt(x * x + 4 * self.floor**2)
            return np.arcsinh(x / (2 * self.floor)), 1.0 / root, -x / root


class Objective:
    """Σ w·Huber_δ(t(predicted) − t(observed)) of a law's free parameters θ, with gradient and curvature.

    θ holds ln p for a positive parameter p, p itself otherwise. `tied` maps further parameter names to the one they
    share.
    """

    def __init__(self, law: Law, names: tuple[str, ...], tied: dict[str, str], data: Observations, given=None):
        self.law, self.names, self.tied, self.data = law, names, tied, data
        self.given = given or {}  # parameters that are known but differ from lane to lane: arrays of shape (lanes,)
        self.positive = np.array([law.describe(n)["positive"] for n in names], dtype=bool)
        self.response = Response(data.floor)
        self.target = self.response(data.value)

    def lawful(self, theta) -> Law:
        """The law with these parameters; θ of shape (p,) gives numbers, (L, p) arrays of shape (L, 1)."""
        theta = np.asarray(theta, dtype=float)
        values = {}
        for i, (name, positive) in enumerate(zip(self.names, self.positive, strict=True)):
            x = float(theta[i]) if theta.ndim == 1 else theta[:, i : i + 1]
            values[name] = np.exp(x) if positive else x
            if theta.ndim == 1:
                values[name] = float(values[name])
        return self.law.replace(**values, **{a: values[b] for a, b in self.tied.items()})

    def theta(self, law: Law) -> np.ndarray:
        """θ of a law's parameters."""
        p = np.array([law.parameters[n] for n in self.names], dtype=float)
        return np.where(self.positive, np.log(np.where(self.positive, p, 1.0)), p)

    def residuals(self, theta) -> np.ndarray:
        """t(predicted) − t(observed), shape (n,) or (L, n)."""
        with np.errstate(all="ignore"):
            predicted = self.lawful(theta).evaluate(self.data.setting)
            return self.response(np.asarray(predicted)) - self.target

    def value(self, theta, weight, delta):
        """The objective, inf where the law gives no prediction."""
        r = self.residuals(theta)
        a = np.abs(r)
        rho = np.where(a <= delta, 0.5 * r * r, delta * (a - 0.5 * delta))
        total = (weight * rho).sum(-1)
        return np.where(np.isfinite(total), total, np.inf)

    def jets(self, theta: np.ndarray, lanes: Any = slice(None)) -> Jet:
        """The predicted values of L lanes with their derivatives in θ."""
        values = {name: x[lanes][:, None] for name, x in self.given.items()}
        for i, (name, positive) in enumerate(zip(self.names, self.positive, strict=True)):
            column = theta[:, i : i + 1]
            values[name] = Jet.exponential(column, i) if positive else Jet.variable(column, i)
        law = self.law.replace(**values, **{a: values[b] for a, b in self.tied.items()})
        return law.evaluate(self.data.setting)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """∂t/∂θ, shape (L, p, n)."""
        out = self.jets(np.atleast_2d(theta))
        _, slope, _ = self.response.derivatives(out.value)
        return self._stack(out, slope)

    def _stack(self, out: Jet, slope) -> np.ndarray:
        J = np.zeros((out.value.shape[0], len(self.names), out.value.shape[1]))
        for i, d in out.first.items():
            J[:, i] = slope * d
        return J

    def curvature(self, theta, weight, delta, lanes: Any = slice(None)):
        """(F, gradient, Hessian, positive majorizer) of L lanes; shapes (L,), (L, p), (L, p, p), (L, p, p)."""
        with np.errstate(all="ignore"):
            out = self.jets(theta, lanes)
            t, slope, bend = self.response.derivatives(out.value)
            r = t - (self.target if self.target.ndim == 1 else self.target[lanes])
            a = np.abs(r)
            inside = a <= delta
            F = (weight * np.where(inside, 0.5 * r * r, delta * (a - 0.5 * delta))).sum(-1)
            share = weight * np.minimum(1.0, delta / np.maximum(a, 1e-300))
            psi = share * r
            J = self._stack(out, slope)
            JT = J.transpose(0, 2, 1)
            gradient = (J * psi[:, None]).sum(-1)
            G = (J * share[:, None]) @ JT
            H = (J * (weight * inside + psi * bend)[:, None]) @ JT
            lead = psi * slope
            for (i, j), d in out.second.items():
                term = (lead * d).sum(-1)
                H[:, i, j] += term
                if i != j:
                    H[:, j, i] += term
        bad = ~(np.isfinite(F) & np.isfinite(gradient).all(-1) & np.isfinite(H).all((-1, -2)))
        F = np.where(bad, np.inf, F)
        for x in (gradient, G, H):
            x[bad] = 0.0
        return F, gradient, H, G
