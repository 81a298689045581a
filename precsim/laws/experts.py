"""Mixtures of experts: what E experts of which a token uses one add to the active parameters, and to the data."""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from precsim.laws.jets import exp, log, numeric
from precsim.laws.law import Factor
from precsim.laws.setting import Effective, Setting, parameter


@dataclass(frozen=True)
class Experts(Factor):
    """f = r^(gain + drift·ln(X/X₀)), r = Ê(E)/Ê(1): experts as effective parameters, X = N, or tokens, X = D.

    N is the number of *active* parameters, E is ``experts=`` at the call; a dense model, E = 1 or not given, has
    f = 1. Ê saturates, 1/Ê = 1/(E − 1 + (1/start − 1/most)^(−1)) + 1/most. With a base A·N^(−α) + B·D^(−β) + c one
    such factor on N and one on D are the joint law a·Ê^δ·N^(α' + γ·ln Ê) + b·Ê^ω·D^(β' + ζ·ln Ê) + c.

    References: ludziejewski2025, equations 4 and 6; the transformation Ê is of Clark et al. 2022.

    Examples
    --------
    >>> part = Experts(gain=0.5, drift=0.0)
    >>> round(float(part.factor(part.setting(1e9, 1e10, experts=8))), 2)
    2.06
    """

    reads: ClassVar[frozenset[str]] = frozenset({"experts"})
    gain: Any = parameter(-2.0, 2.0, positive=False)
    drift: Any = parameter(-0.3, 0.3, positive=False)
    on: Effective = field(default=Effective.N, kw_only=True)
    start: float = field(default=2.0732, kw_only=True)
    most: float = field(default=290.4521, kw_only=True)
    N0: float = field(default=1e9, kw_only=True)
    D0: float = field(default=1e10, kw_only=True)

    @property
    def suffix(self) -> str:
        """``_experts``, and ``_D`` if it acts on the tokens."""
        return "_experts" + ("_D" if self.on is Effective.D else "")

    def saturated(self, experts) -> Any:
        """Ê of a number of experts; `start` for one."""
        return 1 / (1 / (experts - 1 + 1 / (1 / self.start - 1 / self.most)) + 1 / self.most)

    def factor(self, s: Setting) -> Any:
        """F at a setting; None where the call does not say how many experts there are."""
        if "experts" not in s.context:
            return None
        experts = s.context["experts"]
        if numeric(experts) and not np.all(np.asarray(experts) >= 1):
            raise ValueError(f"experts must be 1 or more, got {experts}")
        ratio = self.saturated(experts) / self.start
        size = s.N / self.N0 if self.on is Effective.N else s.D / self.D0
        return exp(log(ratio) * (self.gain + self.drift * log(size)))
