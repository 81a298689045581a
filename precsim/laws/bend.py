"""Training in few bits as a bend of what rounding afterwards would cost."""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from precsim.laws.jets import log
from precsim.laws.law import Around, Degradation, Part
from precsim.laws.setting import Setting, Tensor, parameter


@dataclass(frozen=True)
class Bent(Around, Degradation):
    """G(v) = K·ln(1 + v/K) for weights trained at P bits, v the δ of their twin in full precision rounded to P bits.

    A model that feels its rounding keeps the share ρ of its curvature at the price K·(ρ − 1 − ln ρ); the least of
    v·ρ + K·(ρ − 1 − ln ρ) is G(v), at ρ = 1/(1 + v/K). So small damage is lost in full, large damage bends, and what is
    rounded further, to P_post < P bits, loses ρ times the twin's δ. One law of δ thus says both what training in few
    bits costs and what rounding afterwards does, with K its only further constant.

    Parameters
    ----------
    inner : Degradation
        δ of rounding after training: `KumarDegradation`, `SecondOrderDegradation`, `OuyangDegradation`.
    K_bend : float
        [nats/token], where the bend begins.

    Raises
    ------
    ValueError
        When it is evaluated with an inner law that is no δ after training.

    Notes
    -----
    It is fitted to losses as trained, beside the base: δ of rounding after training then is a prediction, not a fit.
    N_eff of such a law drifts with N and D (`precsim.laws.optima.implied_factor`).

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

    paired: ClassVar[bool] = False
    inner: Degradation
    K_bend: Any = parameter(5e-3, 0.5, divides=True)

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
        return f"Bent({self.inner.title})"

    @property
    def names(self) -> dict[str, str]:
        """The inner law's names and the bend's."""
        return dict(self.inner.names) | {"K_bend": "K_bend"}

    @classmethod
    def from_record(cls, record):
        """The part that `record` described."""
        inner = Part.written(record.get("inner"))
        plain: Any = super().from_record({**record, "inner": inner})
        return plain

    def added(self, s: Setting, n_eff) -> Any:
        """What training at the weights' width adds, and what rounding to fewer bits adds to that [nats/token]."""
        bent = 1.0 + self.inner.added(replace(s, weights=np.inf, post=s.weights), n_eff) / self.K_bend
        return self.K_bend * log(bent) + self.inner.added(s, n_eff) / bent
