"""Loss added by quantizing a trained model, and by other additive effects of precision."""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from precsim.laws.jets import exp, numeric
from precsim.laws.law import Degradation
from precsim.laws.setting import Setting, Tensor, parameter


def _after_training(s: Setting):
    """(post bits with inf made harmless, 1 where weights are rounded once more and 0 elsewhere), or None if none are.

    Weights that were trained on a grid of P bits lie on it already: P bits or more afterwards move none of them, so
    a model that is served as it was trained pays once. Symbols cannot be compared: they stand for post < weights.
    """
    if not numeric(s.post):
        return s.post, 1
    off = np.isinf(s.post) | (s.post >= s.weights) if numeric(s.weights) else np.isinf(s.post)
    if np.all(off):
        return None
    return np.where(off, 1e3, s.post)[()], (1.0 - off) if np.any(off) else 1.0


@dataclass(frozen=True)
class KumarDegradation(Degradation):
    """δ = C_T·e^b·D^γ_D/N_eff^γ_N·e^(−P/γ_post), P the bits of the weights after training.

    Zero where the weights were trained at P bits or fewer: rounding to the same grid moves nothing.

    C_T and e^b are one number: a fit needs one of them given (b = 0 unless you say otherwise).

    References: kumar2024, equations 2 and 8–11; appendix K for b.

    Examples
    --------
    >>> law = KumarDegradation(C_T=0.0598, gamma_D=0.5068, gamma_N=0.3439, gamma_post=0.5907, b=1.1277)
    >>> round(float(law(30e6, 1.5e9, post=3)), 3)
    0.138
    """

    amplitude: ClassVar[tuple[str, int]] = ("C_T", 1)
    C_T: Any = parameter(1e-3, 10.0)
    gamma_D: Any = parameter(0.1, 1.5)
    gamma_N: Any = parameter(-0.2, 1.2, positive=False)
    gamma_post: Any = parameter(0.3, 1.5, divides=True)
    b: Any = parameter(-3.0, 3.0, positive=False, default=0.0)

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]."""
        found = _after_training(s)
        if found is None:
            return 0.0
        P, used = found
        return used * self.C_T * s.D**self.gamma_D * n_eff**-self.gamma_N * exp(self.b - P / self.gamma_post)


@dataclass(frozen=True)
class RobustDegradation(Degradation):
    """Kumar's δ times Π_x [1 − e^(−C_x·(P_x − P))]: low-precision training robustifies against quantizing later.

    Zero where the model was already trained at P bits or fewer. A tensor that trained unquantized has factor 1.
    The paper prints no value for any C_x.

    References: kumar2024, equations 8–10.

    Examples
    --------
    >>> law = RobustDegradation(C_T=1.0, gamma_D=0.5, gamma_N=0.5, gamma_post=0.6, C_w=1.0, C_a=1.0, C_kv=1.0)
    >>> float(law(1e6, 1e6, weights=4, post=4)), float(law(1e6, 1e6, weights=5, post=4)) > 0
    (0.0, True)
    """

    amplitude: ClassVar[tuple[str, int]] = ("C_T", 1)
    C_T: Any = parameter(1e-3, 10.0)
    gamma_D: Any = parameter(0.1, 1.5)
    gamma_N: Any = parameter(-0.2, 1.2, positive=False)
    gamma_post: Any = parameter(0.3, 1.5, divides=True)
    C_w: Any = parameter(0.05, 3.0)
    C_a: Any = parameter(0.05, 3.0)
    C_kv: Any = parameter(0.05, 3.0)
    b: Any = parameter(-3.0, 3.0, positive=False, default=0.0)

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]."""
        found = _after_training(s)
        if found is None:
            return 0.0
        P, used = found
        value = used * self.C_T * s.D**self.gamma_D * n_eff**-self.gamma_N * exp(self.b - P / self.gamma_post)
        for tensor, C in ((Tensor.WEIGHTS, self.C_w), (Tensor.ACTIVATIONS, self.C_a), (Tensor.KV, self.C_kv)):
            trained = s.bits(tensor)
            if trained is None:
                continue
            margin = trained - P
            if numeric(margin):
                margin = np.maximum(margin, 0.0)
            value = value * (1 - exp(-C * margin))
        return value


@dataclass(frozen=True)
class OuyangDegradation(Degradation):
    """δ = k·D^γ_D/(N^γ_N·P^c): a power law in the bits instead of an exponential.

    References: ouyang2024, equation for ΔL.

    Examples
    --------
    >>> law = OuyangDegradation(k=0.017, gamma_D=0.5251, gamma_N=0.2261, c=5.4967)
    >>> round(float(law(1e9, 1.44e12, post=4)), 2)
    0.19
    """

    amplitude: ClassVar[tuple[str, int]] = ("k", 1)
    k: Any = parameter(1e-3, 100.0)
    gamma_D: Any = parameter(0.1, 1.5)
    gamma_N: Any = parameter(-0.2, 1.2, positive=False)
    c: Any = parameter(1.0, 10.0)

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]."""
        found = _after_training(s)
        if found is None:
            return 0.0
        P, used = found
        return used * self.k * s.D**self.gamma_D * n_eff**-self.gamma_N * P**-self.c


@dataclass(frozen=True)
class SecondOrderDegradation(Degradation):
    """δ = K·D^γ_D/N^γ_N·(2^(P−1) − 1)^(−2): half the curvature times the variance step²/12 of a symmetric grid.

    The dependence on bits has no free constant: the step of a symmetric P-bit integer grid is absmax/(2^(P−1) − 1),
    and the loss of small random changes is quadratic in it. Needs P ≥ 2.

    Examples
    --------
    >>> law = SecondOrderDegradation(K=1.0, gamma_D=0.0, gamma_N=0.0)
    >>> round(float(law(1.0, 1.0, post=3)), 4)
    0.1111
    """

    amplitude: ClassVar[tuple[str, int]] = ("K", 1)
    K: Any = parameter(1e-3, 100.0)
    gamma_D: Any = parameter(0.1, 1.5)
    gamma_N: Any = parameter(-0.2, 1.2, positive=False)

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]."""
        found = _after_training(s)
        if found is None:
            return 0.0
        P, used = found
        levels = 2.0 ** (P - 1) - 1 if numeric(P) else 2 ** (P - 1) - 1
        return used * self.K * s.D**self.gamma_D * n_eff**-self.gamma_N * levels**-2.0


@dataclass(frozen=True)
class MixedDegradation(Degradation):
    """δ = C·e^(a·q)·N^(−γ_N)·(G + d)^γ_G for a share q of the weights quantized after training, in blocks of G.

    q and G are ``quantized_share=`` and ``block=`` at the call. The width does not enter: one set of constants holds
    for one method at one width, and the source fits them anew for each. Zero where nothing is quantized; just above
    q = 0 it is not, as printed.

    References: cao2024, the strong form of its law.

    Examples
    --------
    >>> law = MixedDegradation(C=1.0, a=2.0, gamma_N=0.3, gamma_G=0.2, d=10.0)
    >>> [round(float(law(1e9, 1e11, post=4, quantized_share=q, block=32)), 4) for q in (0.0, 0.5, 0.9)]
    [0.0, 0.0115, 0.0255]
    """

    amplitude: ClassVar[tuple[str, int]] = ("C", 1)
    reads: ClassVar[frozenset[str]] = frozenset({"quantized_share", "block"})
    C: Any = parameter(1e-3, 100.0)
    a: Any = parameter(0.1, 10.0)
    gamma_N: Any = parameter(0.01, 1.5)
    gamma_G: Any = parameter(0.01, 1.5)
    d: Any = parameter(0.1, 1e3)

    @property
    def suffix(self) -> str:
        """Keeps its constants apart from the base's and another degradation's."""
        return "_mixed"

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]."""
        found = _after_training(s)
        if found is None:
            return 0.0
        share, block = s.need("quantized_share", "MixedDegradation"), s.need("block", "MixedDegradation")
        used = found[1] * (np.asarray(share) > 0) if numeric(share) else found[1]
        return used * self.C * exp(self.a * share) * s.N**-self.gamma_N * (block + self.d) ** self.gamma_G


@dataclass(frozen=True)
class ChenDegradation(Degradation):
    """δ = k·D^γ_D·(log₂G)^γ_G/N^γ_N for quantized training in groups of G elements.

    Applies wherever the named tensor is quantized in training; the width itself does not enter (4 bits in the
    source). G is ``group=`` at the call or in the table.

    References: chen2025, equation for the W4A4, W4A16 and W16A4 fits.

    Examples
    --------
    >>> law = ChenDegradation(Tensor.TIED, k=0.1582, gamma_N=0.2186, gamma_D=0.0745, gamma_G=0.7779)
    >>> round(float(law(594e6, 100e9, weights=4, activations=4, group=32)), 4)
    0.0441
    """

    paired: ClassVar[bool] = False
    amplitude: ClassVar[tuple[str, int]] = ("k", 1)
    reads: ClassVar[frozenset[str]] = frozenset({"group"})
    only_bits: ClassVar[float] = 4.0  # the one width of the source: no other is priced by this form
    tensor: Tensor
    k: Any = parameter(1e-2, 10.0)
    gamma_N: Any = parameter(0.05, 1.0)
    gamma_D: Any = parameter(0.01, 0.5)
    gamma_G: Any = parameter(0.1, 1.5)
    off_bits: float = field(default=16.0, kw_only=True)

    @property
    def suffix(self) -> str:
        """Keeps its exponents apart from those of a degradation after training."""
        return "_qat"

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]; zero at `off_bits` bits or more."""
        P = s.bits(self.tensor)
        if P is None or (numeric(P) and np.all(P >= self.off_bits)):
            return 0.0
        G = s.need("group", "ChenDegradation")
        log_group = np.log2(G) if numeric(G) else G
        used = 1.0 * (P < self.off_bits) if numeric(P) else 1.0
        return used * self.k * s.D**self.gamma_D * s.N**-self.gamma_N * log_group**self.gamma_G


@dataclass(frozen=True)
class SunPenalty(Degradation):
    """(D^β/N^α)·log₂(B)/(γ·(e + ½)^δ·(m + ½)^ν) for floating-point training with e exponent and m significand bits.

    The exponents α and β are those of the base (equal by construction in the source); e, m and the block size B are
    ``exponent_bits=``, ``significand_bits=`` and ``block=`` at the call. The penalty is zero where e is inf.

    References: sun2025, the unified ("Capybara") law.

    Examples
    --------
    >>> law = SunPenalty(alpha=0.2368, beta=0.5162, gamma=11334.5197, delta_e=3.1926, nu=2.9543)
    >>> round(float(law(1e9, 1e11, exponent_bits=2, significand_bits=1, block=128)), 4)
    0.0352
    """

    paired: ClassVar[bool] = False
    amplitude: ClassVar[tuple[str, int]] = ("gamma", -1)
    reads: ClassVar[frozenset[str]] = frozenset({"exponent_bits", "significand_bits", "block"})
    alpha: Any = parameter(0.1, 1.0)
    beta: Any = parameter(0.1, 1.0)
    gamma: Any = parameter(10.0, 1e6, divides=True)
    delta_e: Any = parameter(0.5, 6.0)
    nu: Any = parameter(0.5, 6.0)

    @property
    def suffix(self) -> str:
        """Keeps its exponents apart from the base's."""
        return "_sun"

    def added(self, s: Setting, n_eff) -> Any:
        """The added loss at a setting [nats/token]."""
        if "exponent_bits" not in s.context:
            return 0.0
        e, m = s.context["exponent_bits"], s.need("significand_bits", "SunPenalty")
        B = s.need("block", "SunPenalty")
        blocks = np.log2(B) if numeric(B) else B
        grid = self.gamma * (e + 0.5) ** self.delta_e * (m + 0.5) ** self.nu
        return s.D**self.beta * s.N**-self.alpha * blocks / grid
