"""What a fit minimizes: a Huber sum of residuals on a logarithmic scale, with exact derivatives in the parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from precsim.fitting.observations import Observations
from precsim.laws.jets import Jet
from precsim.laws.law import Composite, Law, Part
from precsim.laws.precision import PerScheme
from precsim.laws.setting import Setting

LOG_MAX = 700.0  # e^700 is near the largest float64 and e^-700 near the least


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
            root = np.sqrt(x * x + 4 * np.square(self.floor))  # a float's ** would raise where it overflows
            return np.arcsinh(x / (2 * self.floor)), 1.0 / root, -x / root


class Objective:
    """Σ w·Huber_δ(t(predicted) − t(observed)) of a law's free parameters θ, with gradient and curvature.

    θ holds ln p for a positive parameter p, p itself otherwise. `tied` maps further parameter names to the one they
    share.

    Free factors of schemes are separable: each row reads one of them. The law is therefore evaluated with one factor,
    "the row's own", whose derivatives are then put where they belong: 33 factors cost one variable instead of 33.
    """

    def __init__(self, law: Law, names: tuple[str, ...], tied: dict[str, str], data: Observations, given=None):
        self.law, self.names, self.tied, self.data = law, names, tied, data
        self.given = given or {}  # parameters that are known but differ from lane to lane: arrays of shape (lanes,)
        self.positive = np.array([law.describe(n)["positive"] for n in names], dtype=bool)
        self.response = Response(data.floor)
        self.target = self.response(data.value)
        self.own = _own_schemes(law, names, tied, data)
        self.short, self.setting = (law, data.setting) if self.own is None else self.own.shortened(law, data.setting)

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

    def at(self, theta: np.ndarray) -> Law:
        """The law with parameters θ of shape (L, p), to be evaluated at `setting`."""
        if self.own is None:
            return self.lawful(theta)
        values = {
            name: np.exp(theta[:, i : i + 1]) if positive else theta[:, i : i + 1]
            for i, (name, positive) in enumerate(zip(self.names, self.positive, strict=True))
            if name in self.short.parameters
        }
        ties = {a: values[b] for a, b in self.tied.items()}
        return self.short.replace(**values, **ties, **{self.own.name: np.exp(theta[:, self.own.column])})

    def theta(self, law: Law) -> np.ndarray:
        """θ of a law's parameters."""
        p = np.array([law.parameters[n] for n in self.names], dtype=float)
        return np.where(self.positive, np.log(np.where(self.positive, p, 1.0)), p)

    def holds(self, theta) -> np.ndarray:
        """Whether a float64 holds each parameter of θ, shape (..., p); many of those searched for are logarithms."""
        return ~np.asarray(self.positive) | (np.abs(theta) <= LOG_MAX)

    def residuals(self, theta) -> np.ndarray:
        """t(predicted) − t(observed), shape (n,) or (L, n)."""
        with np.errstate(all="ignore"):
            lanes = np.ndim(theta) == 2
            predicted = (
                self.at(theta).evaluate(self.setting) if lanes else self.lawful(theta).evaluate(self.data.setting)
            )
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
            if self.own is not None and i in self.own.columns:
                continue
            column = theta[:, i : i + 1]
            values[name] = Jet.exponential(column, i) if positive else Jet.variable(column, i)
        values |= {a: values[b] for a, b in self.tied.items()}
        if self.own is not None:
            values[self.own.name] = Jet.exponential(theta[:, self.own.column], len(self.names))
        return self.short.replace(**values).evaluate(self.setting)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """∂t/∂θ, shape (L, p, n)."""
        out = self.jets(np.atleast_2d(theta))
        _, slope, _ = self.response.derivatives(out.value)
        return self._stack(out, slope)

    def _stack(self, out: Jet, slope) -> np.ndarray:
        J = np.zeros((out.value.shape[0], len(self.names), out.value.shape[1]))
        for i, d in out.first.items():
            if i < len(self.names):
                J[:, i] = slope * d
            elif self.own is not None:
                here = self.own.rows
                J[:, self.own.column[here], here] = np.broadcast_to(slope * d, out.value.shape)[:, here]
        return J

    def _products(self, out: Jet, slope, psi, *weights) -> tuple[np.ndarray, list[np.ndarray]]:
        """J ψ, shape (L, p), and J w Jᵀ for each weight, shape (L, p, p).

        With schemes J is sparse: a row has one of their factors. Products of the others with each other and with
        that one are a tenth of the work of the dense ones at 33 schemes.
        """
        if self.own is None:
            J = self._stack(out, slope)
            JT = J.transpose(0, 2, 1)
            return (J * psi[:, None]).sum(-1), [(J * w[:, None]) @ JT for w in weights]
        own, (lanes, n), p = self.own, out.value.shape, len(self.names)
        plain = np.array([i for i in range(p) if i not in own.columns], dtype=int)
        J = np.zeros((lanes, len(plain), n))
        for k, i in enumerate(plain):
            if i in out.first:
                J[:, k] = slope * out.first[i]
        mine = np.broadcast_to(slope * out.first.get(p, 0.0), (lanes, n))
        gradient = own.each(mine * psi, p)
        gradient[:, plain] += (J * psi[:, None]).sum(-1)
        found = []
        for w in weights:
            G = np.zeros((lanes, p, p))
            scaled = J * w[:, None]
            G[:, plain[:, None], plain] = scaled @ J.transpose(0, 2, 1)
            cross = own.each(scaled * mine[:, None], p)
            G[:, plain] += cross
            G[:, :, plain] += cross.transpose(0, 2, 1)
            G[:, np.arange(p), np.arange(p)] += own.each(w * mine * mine, p)
            found.append(G)
        return gradient, found

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
            gradient, (G, H) = self._products(out, slope, psi, share, weight * inside + psi * bend)
            lead = psi * slope
            for (i, j), d in out.second.items():
                if j == len(self.names) and self.own is not None:
                    self.own.add(H, i, lead * d)
                    continue
                term = (lead * d).sum(-1)
                H[:, i, j] += term
                if i != j:
                    H[:, j, i] += term
        bad = ~(np.isfinite(F) & np.isfinite(gradient).all(-1) & np.isfinite(H).all((-1, -2)))
        F = np.where(bad, np.inf, F)
        for x in (gradient, G, H):
            x[bad] = 0.0
        return F, gradient, H, G


@dataclass(frozen=True)
class _Own:
    """Which of the free scheme factors each row reads.

    `column` (n,) is its place in θ (0 where `listed` is False: the row's scheme has no free factor), `columns` are
    all such places, `rows` the rows that read one; `part` is the place of the factors in the law, `label` stands for
    every listed scheme in the shortened law, and `name` is the name of its one factor.
    """

    column: np.ndarray
    listed: np.ndarray
    columns: frozenset[int]
    part: int
    label: str
    name: str

    @property
    def rows(self) -> np.ndarray:
        """The rows that read a free factor."""
        return np.flatnonzero(self.listed)

    def each(self, values: np.ndarray, p: int) -> np.ndarray:
        """Sums of values (..., n) over the rows of each scheme, shape (..., p); 0 for what is no scheme."""
        member = np.zeros((len(self.column), p))
        member[self.rows, self.column[self.rows]] = 1.0
        return values @ member

    def add(self, H: np.ndarray, i: int, values: np.ndarray) -> None:
        """Add a second derivative of the row's own factor, with itself (i = p) or with parameter i, to the Hessian."""
        p = H.shape[1]
        sums = self.each(np.broadcast_to(values, (len(H), len(self.column))), p)
        if i == p:
            H[:, np.arange(p), np.arange(p)] += sums
        else:
            H[:, i] += sums
            H[:, :, i] += sums

    def shortened(self, law: Law, setting: Setting) -> tuple[Law, Setting]:
        """The law and the setting in which all listed schemes are one, with a factor for each row."""
        whole: Any = law.parts[self.part]
        inner = getattr(whole, "inner", whole)
        free = {inner.schemes[k] for k in range(len(inner.schemes)) if inner.values[k] is None}
        read = set(np.asarray(setting.context["scheme"])[self.listed].tolist())
        kept = [(s, v) for s, v in zip(inner.schemes, inner.values, strict=True) if s not in free or s not in read]
        short: Part = replace(inner, schemes=(*(s for s, _ in kept), self.label), values=(*(v for _, v in kept), None))
        parts = list(law.parts)
        parts[self.part] = replace(whole, inner=short) if whole is not inner else short
        scheme = np.where(self.listed, self.label, np.asarray(setting.context["scheme"], dtype=object))
        context = dict(setting.context) | {"scheme": scheme}
        return (Composite(tuple(parts)) if len(parts) > 1 else parts[0]), replace(setting, context=context)


def _own_schemes(law: Law, names: tuple[str, ...], tied: dict[str, str], data: Observations) -> _Own | None:
    """The free factors of schemes, where there are several and each stands for itself."""
    found = [(i, getattr(p, "inner", p)) for i, p in enumerate(law.parts)]
    found = [(i, inner) for i, inner in found if isinstance(inner, PerScheme)]
    if len(found) != 1 or "scheme" not in data.setting.context:
        return None
    part, inner = found[0]
    schemes = {s: names.index(inner.names[s]) for s in inner.schemes if inner.names[s] in names}
    if len(schemes) < 2 or (set(tied) | set(tied.values())) & set(inner.names.values()):
        return None
    scheme = np.asarray(data.setting.context["scheme"]).astype(str)
    column = np.array([schemes.get(s, -1) for s in scheme])
    label = "own" + "'" * sum(s.startswith("own") for s in {*inner.schemes, *scheme})
    name = replace(inner, schemes=(label,), values=(None,)).names[label]
    return _Own(np.maximum(column, 0), column >= 0, frozenset(schemes.values()), part, label, name)
