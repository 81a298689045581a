"""Loss at full precision: Chinchilla's form and its relatives.

All share one skeleton, L = E + (A·T₁ + B·T₂)^g, with T₁ falling in N and T₂ in D; they differ in the terms and in
whether the outer exponent g is 1. The skeleton is what lets a fit solve A, B and E linearly while it scans the rest.
"""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from precsim.laws.law import Base
from precsim.laws.setting import parameter


class PowerBase(Base):
    """A base L = E + (A·T₁(N) + B·T₂(D, N))^g."""

    E: Any
    A: Any
    B: Any

    @abstractmethod
    def terms(self, N, D) -> tuple[Any, Any]:
        """(T₁, T₂): what more parameters make small, and what more tokens do; both positive."""

    @property
    def outer(self) -> Any:
        """g, to which both terms are raised together; 1 where they only add."""
        return 1.0

    def loss(self, N, D) -> Any:
        """L(N, D) at full precision [nats/token], for numbers, arrays, jets and symbols."""
        first, second = self.terms(N, D)
        inner = self.A * first + self.B * second
        return self.E + (inner if isinstance(self.outer, float) and self.outer == 1.0 else inner**self.outer)


@dataclass(frozen=True)
class Chinchilla(PowerBase):
    """L = E + A·N^(−α) + B·D^(−β) [nats/token], N parameters, D tokens.

    References: hoffmann2022, section 3.3.

    Examples
    --------
    >>> float(Chinchilla(E=1.0, A=400.0, B=800.0, alpha=0.5, beta=0.5)(1e4, 1e4))
    13.0
    """

    E: Any = parameter(0.0, 1.0)
    A: Any = parameter(0.0, 1.0)
    B: Any = parameter(0.0, 1.0)
    alpha: Any = parameter(0.03, 1.2)
    beta: Any = parameter(0.03, 1.2)

    def terms(self, N, D) -> tuple[Any, Any]:
        """(T₁, T₂) = (N^−α, D^−β), two power laws."""
        return N**-self.alpha, D**-self.beta

    def optimum(self, C):
        """(N*, D*) of least loss at C = 6·N·D FLOP: N* = G (C/6)^(β/(α+β)), G = (αA/βB)^(1/(α+β))."""
        share = 1.0 / (self.alpha + self.beta)
        G = (self.alpha * self.A / (self.beta * self.B)) ** share
        return G * (C / 6) ** (self.beta * share), (C / 6) ** (self.alpha * share) / G


@dataclass(frozen=True)
class Tied(PowerBase):
    """L = E + A·N^(−α) + B·D^(−α): Chinchilla with one exponent, as in the paper's fits.

    References: muennighoff2023; kumar2024, appendix K.

    Examples
    --------
    >>> float(Tied(E=1.0, A=400.0, B=800.0, alpha=0.5)(1e4, 1e4))
    13.0
    """

    E: Any = parameter(0.0, 1.0)
    A: Any = parameter(0.0, 1.0)
    B: Any = parameter(0.0, 1.0)
    alpha: Any = parameter(0.03, 1.2)

    def terms(self, N, D) -> tuple[Any, Any]:
        """(T₁, T₂) = (N^−α, D^−α), one exponent for both."""
        return N**-self.alpha, D**-self.alpha


@dataclass(frozen=True)
class OuterExponent(PowerBase):
    """L = E + (A·N^(−α) + B·D^(−β))^g: one exponent more, which couples N and D.

    References: busbridge2025; panferov2025quartet; the form wins on most public tables once they are large.

    Examples
    --------
    >>> float(OuterExponent(E=1.0, A=400.0, B=800.0, alpha=0.5, beta=0.5, g=1.0)(1e4, 1e4))
    13.0
    """

    E: Any = parameter(0.0, 1.0)
    A: Any = parameter(0.0, 1.0)
    B: Any = parameter(0.0, 1.0)
    alpha: Any = parameter(0.1, 1.5)
    beta: Any = parameter(0.1, 1.5)
    g: Any = parameter(0.08, 1.5)

    @property
    def outer(self) -> Any:
        """g, which the runs determine where N and D were both varied."""
        return self.g

    def terms(self, N, D) -> tuple[Any, Any]:
        """(T₁, T₂) = (N^−α, D^−β), two power laws."""
        return N**-self.alpha, D**-self.beta


@dataclass(frozen=True)
class BetaOfN(PowerBase):
    """L = E + A·N^(−α) + B·(N/N₀)^b_N·(D/D₀)^(−β·(N/N₀)^k_N): larger models use data at another rate.

    N₀ parameters and D₀ tokens are units that keep B, b_N and k_N apart, not fitted numbers. The idea is Farseer's
    (li2025farseer), which spends nine parameters on it; this form spends seven.

    Examples
    --------
    >>> law = BetaOfN(E=1.0, A=400.0, B=8.0, alpha=0.5, beta=0.5, b_N=0.1, k_N=0.1, N0=1e4, D0=1e4)
    >>> float(law(1e4, 1e4))
    13.0
    """

    E: Any = parameter(0.0, 1.0)
    A: Any = parameter(0.0, 1.0)
    B: Any = parameter(0.0, 1.0)
    alpha: Any = parameter(0.03, 1.2)
    beta: Any = parameter(0.03, 1.2)
    b_N: Any = parameter(-0.5, 0.5, positive=False)
    k_N: Any = parameter(-0.2, 0.2, positive=False)
    N0: float = field(default=1e8, kw_only=True)
    D0: float = field(default=1e10, kw_only=True)

    def terms(self, N, D) -> tuple[Any, Any]:
        """(T₁, T₂) = (N^−α, (N/N₀)^b_N·(D/D₀)^−β(N)), β(N) = β·(N/N₀)^k_N."""
        size = N / self.N0
        return N**-self.alpha, size**self.b_N * (D / self.D0) ** (-self.beta * size**self.k_N)


@dataclass(frozen=True)
class Kaplan(PowerBase):
    """L = E + (A·N^(−α) + B/D)^g: Kaplan's coupled form, whose g is its α_D and whose α is α_N/α_D.

    In Kaplan's letters A = N_c^(α_N/α_D), B = D_c and E = 0 (pass ``E=0.0``).

    References: kaplan2020, equation 1.5.

    Examples
    --------
    >>> law = Kaplan(E=0.0, A=(8.8e13) ** 0.8, B=5.4e13, alpha=0.8, g=0.095)
    >>> round(float(law(1e9, 1e10)), 3)
    2.484
    """

    E: Any = parameter(0.0, 1.0)
    A: Any = parameter(0.0, 1.0)
    B: Any = parameter(0.0, 1.0)
    alpha: Any = parameter(0.1, 1.5)
    g: Any = parameter(0.03, 1.0)

    @property
    def outer(self) -> Any:
        """g, which the runs determine where N and D were both varied."""
        return self.g

    def terms(self, N, D) -> tuple[Any, Any]:
        """(T₁, T₂) = (N^−α, 1/D), the exponent of D being g."""
        return N**-self.alpha, 1 / D


@dataclass(frozen=True)
class Frontier(PowerBase):
    """L = E + A·C^(−α), C = 6·N·D: the loss of the best run at each compute, where nothing else is known.

    For tables of loss against FLOP alone: give N = C/6 and D = 1. Such a law prices compute and cannot say how to
    split it between N and D.

    References: kaplan2020, equation 1.3.

    Examples
    --------
    >>> float(Frontier(E=1.0, A=100.0, alpha=0.5)(1e4 / 6, 1.0))
    2.0
    """

    E: Any = parameter(0.0, 1.0)
    A: Any = parameter(0.0, 1.0)
    alpha: Any = parameter(0.01, 0.6)
    B: ClassVar[float] = 0.0  # pyright: ignore[reportIncompatibleVariableOverride] - a law without a second term

    def terms(self, N, D) -> tuple[Any, Any]:
        """(C^−α, 0): the compute stands in the place of N, and nothing in that of D."""
        compute = 6 * N * D
        return compute**-self.alpha, 0 * compute
