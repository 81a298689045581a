"""Training in few bits as a bend of what rounding afterwards would cost: gap = G(δ), in three forms of G."""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np

from precsim.laws import ridge
from precsim.laws.jets import Jet, log, numeric
from precsim.laws.law import Around, Degradation, Part
from precsim.laws.setting import Setting, Tensor, parameter


@dataclass(frozen=True)
class Bending(Around, Degradation):
    """G(v) for weights trained at P bits, v the δ of their twin in full precision rounded to P bits.

    What is rounded further, to P_post < P bits, loses the share ρ of the twin's δ. So one law of δ says both what
    training in few bits costs and what rounding afterwards does.

    Raises
    ------
    ValueError
        When it is made around a law that is no δ after training.

    Notes
    -----
    It is fitted to losses as trained, beside the base: δ of rounding after training then is a prediction, not a fit.
    N_eff of such a law drifts with N and D (`precsim.laws.reported.reported`).
    """

    paired: ClassVar[bool] = False
    inner: Degradation

    def __post_init__(self) -> None:
        if isinstance(self.inner, Part) and not (isinstance(self.inner, Degradation) and self.inner.paired):
            raise ValueError(f"only a δ of rounding after training can be bent, not {self.inner.title}")

    @property
    def amplitude(self) -> tuple[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride] - derived
        """That of the inner law, to which G is proportional while damage is small."""
        return self.inner.amplitude

    @property
    def tensor(self) -> Tensor:
        """What is quantized: the weights."""
        return Tensor.WEIGHTS

    @property
    def title(self) -> str:
        """Name of this part in a label."""
        return f"{type(self).__name__}({self.inner.title})"

    @property
    def names(self) -> dict[str, str]:
        """The inner law's names and the bend's."""
        return dict(self.inner.names) | {f.name: f.name for f in fields(self) if "positive" in f.metadata}

    @classmethod
    def from_record(cls, record):
        """The part that `record` described."""
        inner = Part.written(record.get("inner"))
        plain: Any = super().from_record({**record, "inner": inner})
        return plain

    @abstractmethod
    def gap(self, v: Any, s: Setting) -> Any:
        """G(v) [nats/token] for a damage v > 0."""

    @abstractmethod
    def kept(self, v: Any, s: Setting) -> Any:
        """ρ(v), the share of the damage of further rounding."""

    def added(self, s: Setting, n_eff) -> Any:
        """What training at the weights' width adds, and what rounding to fewer bits adds to that [nats/token]."""
        v = self.inner.added(replace(s, weights=np.inf, post=s.weights), n_eff)
        further = self.inner.added(s, n_eff)
        at = v.value if isinstance(v, Jet) else v
        if not numeric(at):
            return self.gap(v, s) + self.kept(v, s) * further
        none = np.asarray(at) == 0  # not trained in few bits: a power of 0 has no derivative
        if np.all(none):
            return further
        v, used = v + 1.0 * none, 1.0 - none
        added = used * self.gap(v, s)
        return added if numeric(further) and not np.any(further) else added + (none + used * self.kept(v, s)) * further


@dataclass(frozen=True)
class Bent(Bending):
    """G(v) = K·ln(1 + v/K): a bend that follows from a price of curvature.

    A model that feels its rounding keeps the share ρ of its curvature at the price K·(ρ − 1 − ln ρ); the least of
    v·ρ + K·(ρ − 1 − ln ρ) is G(v), at ρ = 1/(1 + v/K). So small damage is lost in full, large damage bends.

    Parameters
    ----------
    inner : Degradation
        δ of rounding after training: `KumarDegradation`, `SecondOrderDegradation`, `OuyangDegradation`.
    K_bend : float
        [nats/token], where the bend begins.

    References
    ----------
    Derived in the chapter on how N_eff and δ emerge; measured on "precsim-2026" (K about 0.05).

    Examples
    --------
    >>> from precsim.laws import Bent, SecondOrderDegradation
    >>> law = Bent(SecondOrderDegradation(K=1.0, gamma_D=0.0, gamma_N=0.0), K_bend=0.05)
    >>> trained, after = law(1.0, 1.0, weights=4), law(1.0, 1.0, post=4)
    >>> round(float(trained), 4), round(float(after), 4)
    (0.0171, 0.0204)
    >>> round(float(law.delta(1.0, 1.0, weights=4, post=3) - trained), 4)  # of the twin: 0.1111
    0.0789
    """

    K_bend: Any = parameter(5e-3, 0.5, divides=True)

    def gap(self, v: Any, s: Setting) -> Any:
        """The logarithm K·ln(1 + v/K), as long as v ≪ K all of v [nats/token]."""
        return self.K_bend * log(1.0 + v / self.K_bend)

    def kept(self, v: Any, s: Setting) -> Any:
        """The slope of the gap, by the envelope theorem."""
        return 1.0 / (1.0 + v / self.K_bend)


@dataclass(frozen=True)
class BentPower(Bending):
    """G(v) = c·v^p: it fits as well as `Bent`, has a constant more, and is derived only where a ridge has long acted.

    Losses as trained do not tell c from the amplitude of the inner law: give one of them, or take the inner law from a
    fit to models that were rounded afterwards.

    Parameters
    ----------
    inner : Degradation
        As for `Bent`.
    c_bend, p_bend : float
        c [nats^(1 − p)/token] and p.

    References
    ----------
    Measured on "precsim-2026": 0.20·δ^0.66.

    Examples
    --------
    >>> from precsim.laws import BentPower, SecondOrderDegradation
    >>> law = BentPower(SecondOrderDegradation(K=1.0, gamma_D=0.0, gamma_N=0.0), c_bend=0.2, p_bend=0.5)
    >>> round(float(law(1.0, 1.0, weights=4)), 4), round(float(law(1.0, 1.0, post=4)), 4)
    (0.0286, 0.0204)
    """

    c_bend: Any = parameter(0.02, 2.0)
    p_bend: Any = parameter(0.3, 1.2)

    @property
    def amplitude(self) -> tuple[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride] - derived
        """Its own: G goes with a power of the inner law's."""
        return "c_bend", 1

    def gap(self, v: Any, s: Setting) -> Any:
        """The power c·v^p of the damage [nats/token]."""
        return self.c_bend * v**self.p_bend

    def kept(self, v: Any, s: Setting) -> Any:
        """Its slope, which is above 1 for small damage, where no power can hold."""
        return self.p_bend * self.gap(v, s) / v


@dataclass(frozen=True)
class BentRidge(Bending):
    """G(v) = K·Φ(v/K), K = K_bend·(D/D₀)^(−β): the ridge of a linear model that is still learning, of all directions.

    Φ (`precsim.laws.ridge.response`) goes from x to x^β where D has grown long for the damage; K falls as the loss that
    is left to learn does.

    Parameters
    ----------
    inner : Degradation
        As for `Bent`.
    K_bend : float
        [nats/token], where the bend begins after D₀ tokens.
    exponent : float
        β, above 0 and at most 0.9, given and not fitted: in the linear model the base law's exponent of data.
    D0 : float
        Unit of D, given.

    References
    ----------
    Derived in the chapter on how N_eff and δ emerge.

    Examples
    --------
    >>> from precsim.laws import BentRidge, SecondOrderDegradation
    >>> law = BentRidge(SecondOrderDegradation(K=1.0, gamma_D=0.0, gamma_N=0.0), K_bend=0.05, D0=1.0)
    >>> [round(float(law(1.0, D, weights=4)), 4) for D in (1.0, 100.0)]
    [0.0236, 0.017]
    """

    K_bend: Any = parameter(5e-3, 0.5, divides=True)
    exponent: float = field(default=0.4, kw_only=True)
    D0: float = field(default=1e7, kw_only=True)

    def begins(self, s: Setting) -> Any:
        """Where the bend begins after D tokens, K [nats/token]."""
        return self.K_bend * (s.D / self.D0) ** -self.exponent

    def gap(self, v: Any, s: Setting) -> Any:
        """The ridge K·Φ(v/K), with K after D tokens [nats/token]."""
        return self.begins(s) * ridge.response(v / self.begins(s), self.exponent)

    def kept(self, v: Any, s: Setting) -> Any:
        """What is left of the squares of the weights."""
        return ridge.kept(v / self.begins(s), self.exponent)
