"""Effective parameters: the share f(P) of N (or D) that training at P bits leaves.

Every factor tends to 1 as P grows and can be placed on N (the paper's N_eff) or on D (D_eff).
"""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from precsim.laws.jets import exp
from precsim.laws.law import Around, Factor, Part
from precsim.laws.setting import Effective, Setting, Tensor, parameter

_LETTER = {Tensor.WEIGHTS: "w", Tensor.ACTIVATIONS: "a", Tensor.KV: "kv", Tensor.TIED: "tied"}


class BitFactor(Factor):
    """A factor that is a function of one tensor's bits."""

    tensor: Tensor

    @abstractmethod
    def of_bits(self, P) -> Any:
        """f(P), the share that P bits leave."""

    @property
    def suffix(self) -> str:
        """``_w``, ``_a``, ``_kv`` or ``_tied``, and ``_D`` if it acts on the tokens."""
        return f"_{_LETTER[self.tensor]}" + ("_D" if self.on is Effective.D else "")

    def factor(self, s: Setting) -> Any:
        """f at a setting, None where the tensor is not quantized."""
        P = s.bits(self.tensor)
        return None if P is None else self.of_bits(P)


@dataclass(frozen=True)
class Saturating(BitFactor):
    """f(P) = exp(−c·e^(−P/γ)): positive at every P, and the offset form to first order (c = eⁿ) at high P.

    The default factor: on public runs it predicts held-out widths best. γ is in bits per e-fold, c a pure number.

    Examples
    --------
    >>> round(float(Saturating(Tensor.WEIGHTS, c=2.0, gamma=1.0).of_bits(4.0)), 4)
    0.964
    """

    tensor: Tensor
    c: Any = parameter(0.5, 60.0)
    gamma: Any = parameter(0.5, 6.0, divides=True)
    on: Effective = field(default=Effective.N, kw_only=True)

    def of_bits(self, P) -> Any:
        """f(P), between 0 and 1 at every P."""
        return exp(-self.c * exp(-P / self.gamma))


@dataclass(frozen=True)
class Plain(BitFactor):
    """f(P) = 1 − e^(−P/γ): the form printed in the paper's main text, which is not the one that was fitted.

    References: kumar2024, equation 3.

    Examples
    --------
    >>> round(float(Plain(Tensor.WEIGHTS, gamma=2.6745).of_bits(4.0)), 4)
    0.7759
    """

    tensor: Tensor
    gamma: Any = parameter(0.4, 8.0, divides=True)
    on: Effective = field(default=Effective.N, kw_only=True)

    def of_bits(self, P) -> Any:
        """f(P), 0 where there are no bits."""
        return 1 - exp(-P / self.gamma)


@dataclass(frozen=True)
class Offset(BitFactor):
    """f(P) = 1 − e^(n − P/γ): the form behind the paper's table of constants; not positive for P ≤ n·γ.

    References: kumar2024, appendix K (the sign of n is inferred from the paper's own statements).

    Examples
    --------
    >>> round(float(Offset(Tensor.WEIGHTS, gamma=2.6745, n=0.3037).of_bits(4.0)), 4)
    0.6964
    """

    tensor: Tensor
    gamma: Any = parameter(0.4, 6.0, divides=True)
    n: Any = parameter(-0.5, 3.0, positive=False)
    on: Effective = field(default=Effective.N, kw_only=True)

    def of_bits(self, P) -> Any:
        """f(P), negative below n·γ bits, where the law has no prediction."""
        return 1 - exp(self.n - P / self.gamma)


@dataclass(frozen=True)
class Powered(BitFactor):
    """f(P) = (1 − e^(−P/γ))ⁿ: the offset read as an outer exponent.

    Examples
    --------
    >>> float(Powered(Tensor.KV, gamma=2.0, n=1.0).of_bits(2.0)) == float(Plain(Tensor.KV, gamma=2.0).of_bits(2.0))
    True
    """

    tensor: Tensor
    gamma: Any = parameter(0.4, 8.0, divides=True)
    n: Any = parameter(0.3, 20.0)
    on: Effective = field(default=Effective.N, kw_only=True)

    def of_bits(self, P) -> Any:
        """f(P), 0 where there are no bits, for every n."""
        return (1 - exp(-P / self.gamma)) ** self.n


@dataclass(frozen=True)
class GaussianCapacity(BitFactor):
    """f(R) = tanh(rate·R)^power, R = log_{1/4} of the mean squared error on unit Gaussian data.

    R is the rate whose distortion bound 4^(−R) equals that error. Pass ``capacity=`` (a number or a column) for a
    real grid's R (`gaussian_capacity` computes it for an integer grid); otherwise R is taken as the bits
    themselves, the bound that no quantizer beats.

    References: panferov2025unified, equation for ρ(R) with its plateau L = 1.

    Examples
    --------
    >>> round(float(GaussianCapacity(Tensor.WEIGHTS, rate=0.5, power=1.0).of_bits(2.0)), 4)
    0.7616
    """

    reads: ClassVar[frozenset[str]] = frozenset({"capacity"})
    tensor: Tensor
    rate: Any = parameter(0.05, 2.0)
    power: Any = parameter(0.3, 6.0)
    on: Effective = field(default=Effective.N, kw_only=True)

    def of_bits(self, P) -> Any:
        """f of the capacity R, which stands where the other forms have bits."""
        decay = exp(-2 * self.rate * P)
        return ((1 - decay) / (1 + decay)) ** self.power

    def factor(self, s: Setting) -> Any:
        """f at a setting; reads ``capacity`` from the context if it is there."""
        P = s.bits(self.tensor)
        return None if P is None else self.of_bits(s.context.get("capacity", P))


def gaussian_capacity(P: int) -> float:
    """R = log_{1/4} of the least mean squared error of a symmetric P-bit integer grid on unit Gaussian data.

    The grid has 2^P − 1 levels, −m…m times a step h with m = 2^(P−1) − 1, and the step is the best one. With the edges
    e_k = (k − ½)h between levels the error is

        E(x − q(x))² = 1 − 4h Σ_k φ(e_k) + 4h² Σ_k (k − ½) Φ(−e_k),  k = 1…m.

    Its digits are good to 1e-16 of 1, so R to 1e-8 at 16 bits.

    Parameters
    ----------
    P : int
        Bits, 2 to 16.

    Raises
    ------
    ValueError
        For fewer than 2 bits (one level) or more than 16.

    Examples
    --------
    >>> round(gaussian_capacity(4), 2)
    3.14
    """
    if not 2 <= P <= 16:
        raise ValueError(f"an integer grid on Gaussian data needs 2 to 16 bits, got {P}")
    from scipy import optimize, special

    most = 2 ** (int(P) - 1) - 1
    middles = np.arange(1, most + 1) - 0.5

    def error(log_step: float) -> float:
        h = np.exp(log_step)
        edges = h * middles
        density = np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi)
        return 1 - 4 * h * density.sum() + 4 * h * h * (middles * special.ndtr(-edges)).sum()

    ends = (np.log(0.3 / most), np.log(9.0 / most))  # the last level at 0.3 to 9 standard deviations
    return float(
        -np.log(optimize.minimize_scalar(error, bounds=ends, method="bounded", options={"xatol": 1e-9}).fun) / np.log(4)
    )


@dataclass(frozen=True)
class PerScheme(Factor):
    """One free factor for each quantization scheme, f[scheme]; no assumption about bits.

    Parameters
    ----------
    schemes : tuple of str
        The labels, as they stand in the table's ``scheme`` column. A row whose scheme is not listed, and a call
        without ``scheme=``, has f = 1.
    values : tuple, optional
        The factors, in the same order; None where still to be fitted.

    References: frantar2025; panferov2025quest.

    Examples
    --------
    >>> law = PerScheme(("W4A4", "W8A8"), (0.7, 0.98))
    >>> float(law.n_eff(1e6, scheme="W4A4"))
    700000.0
    """

    reads: ClassVar[frozenset[str]] = frozenset({"scheme"})
    schemes: tuple[str, ...]
    values: tuple[Any, ...] = ()
    on: Effective = field(default=Effective.N, kw_only=True)

    def __post_init__(self):
        object.__setattr__(self, "schemes", tuple(self.schemes))
        object.__setattr__(self, "values", tuple(self.values or [None] * len(self.schemes)))
        if len(self.values) != len(self.schemes) or len(set(self.schemes)) != len(self.schemes):
            raise ValueError(f"one value for each of {len(self.schemes)} distinct schemes, got {self.values}")

    @classmethod
    def from_record(cls, record):
        """The schemes that `record` described."""
        for name in ("schemes", "values"):
            found = record.get(name, [])
            if not isinstance(found, list) or (name == "schemes" and not all(isinstance(s, str) and s for s in found)):
                raise ValueError(
                    f"{name} must be a list of {'names' if name == 'schemes' else 'numbers'}, got {found!r}"
                )
        return super().from_record(record)

    @property
    def names(self) -> dict[str, str]:
        """Each scheme and its parameter, ``f_scheme`` or ``f_scheme_D``."""
        tail = "_D" if self.on is Effective.D else ""
        return {scheme: f"f_{scheme}{tail}" for scheme in self.schemes}

    def search(self, name):
        """Factors are positive; the search starts near 1."""
        return {"low": 0.05, "high": 1.0, "positive": True}

    def __getattr__(self, name):
        if name in self.__dict__.get("schemes", ()):
            return self.values[self.schemes.index(name)]
        return super().__getattr__(name)

    def with_fields(self, values):
        """These schemes with some factors changed."""
        return replace(self, values=tuple(values.get(s, v) for s, v in zip(self.schemes, self.values, strict=True)))

    def factor(self, s: Setting) -> Any:
        """f of the setting's scheme, 1 for a scheme that is not listed."""
        if "scheme" not in s.context:
            return None
        scheme = s.context["scheme"]
        if isinstance(scheme, str):
            return self.values[self.schemes.index(scheme)] if scheme in self.schemes else None
        out = 1.0
        for label, value in zip(self.schemes, self.values, strict=True):
            out = out + (scheme == label) * (value - 1.0)
        return out


@dataclass(frozen=True)
class Drifting(Around, Factor):
    """f^s with s = (D/D₀)^k_D·(N/N₀)^(−k_N): a factor whose damage ln(1/f) changes with data and size.

    k_D = k_N = 0 is the factor itself. N₀ and D₀ are units that keep the parameters of order one, not fitted.

    References: chen2025 (its exponents 0.0745 and 0.2186 have this sign); measured on public 4-bit runs.

    Examples
    --------
    >>> law = Drifting(Saturating(Tensor.WEIGHTS, c=2.0, gamma=1.0), drift_D=0.0, drift_N=0.0)
    >>> round(float(law.n_eff(1.0, 1.0, weights=4)), 4)
    0.964
    """

    inner: Factor
    drift_D: Any = parameter(-0.1, 0.3, positive=False)
    drift_N: Any = parameter(-0.1, 0.3, positive=False)
    N0: float = field(default=1e8, kw_only=True)
    D0: float = field(default=1e10, kw_only=True)

    @property
    def title(self) -> str:
        """Name of this part in a label."""
        return f"Drifting {self.inner.title}"

    @property
    def on(self) -> Effective:  # pyright: ignore[reportIncompatibleVariableOverride] - derived, not stored
        """What the inner factor multiplies."""
        return self.inner.on

    @property
    def names(self) -> dict[str, str]:
        """The inner factor's names and the two exponents."""
        tail = self.inner.suffix
        return dict(self.inner.names) | {"drift_D": f"drift_D{tail}", "drift_N": f"drift_N{tail}"}

    @classmethod
    def from_record(cls, record):
        """The factor that `record` described."""
        inner = Part.written(record.get("inner"))
        if not isinstance(inner, Factor) or isinstance(inner, Drifting):
            raise ValueError(f"inner must be a factor that does not drift, got {record['inner'].get('kind')!r}")
        plain: Any = super().from_record(record)  # its inner factor is still a record
        return replace(plain, inner=inner)

    def factor(self, s: Setting) -> Any:
        """f^s at a setting, None where the inner factor reads nothing."""
        f = self.inner.factor(s)
        if f is None:
            return None
        return f ** ((s.D / self.D0) ** self.drift_D * (s.N / self.N0) ** -self.drift_N)
