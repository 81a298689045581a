"""Training first in full precision and then quantized: the loss that is left, and the best share of the second phase.

Everything is a matter of tokens per byte of the quantized parameters, S = D/(N·P/8).
"""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from precsim.laws.jets import exp, numeric
from precsim.laws.law import Degradation
from precsim.laws.setting import Setting, Tensor, parameter


@dataclass(frozen=True)
class QuantizedPhase(Degradation):
    """δ = θ·(2^(−κP) + φ·2^(−χP)/(N^ψ·S_q^ω) + λ·2^(−μP)/(N^ν·S_f^ξ·S_q^ρ)) for weights quantized in a last phase.

    ``qat_share=`` at the call is the share of the D tokens that the last phase reads, in (0, 1); S_q and S_f are the
    tokens per parameter byte of that phase and of the one before. Printed, φ and λ stand without θ. The source's
    constants are not public in a form that we could check: this is a form to fit.

    References: dremov2025, the loss scaling law (757 runs, 86M to 2.2B parameters, 1 to 6 bits).

    Examples
    --------
    >>> law = QuantizedPhase(0.1, 0.5, 1.0, 0.5, 0.1, 0.3, 1.0, 0.5, 0.1, 0.1, 0.3)
    >>> bool(law(1e9, 1e11, weights=4, qat_share=0.1) > law(1e9, 1e11, weights=4, qat_share=0.3) > 0)
    True
    """

    paired: ClassVar[bool] = False
    amplitude: ClassVar[tuple[str, int]] = ("theta", 1)
    reads: ClassVar[frozenset[str]] = frozenset({"qat_share"})
    theta: Any = parameter(1e-3, 10.0)
    kappa: Any = parameter(0.05, 3.0)
    phi: Any = parameter(1e-2, 1e2)
    chi: Any = parameter(0.05, 3.0)
    psi: Any = parameter(0.01, 1.0)
    omega: Any = parameter(0.01, 1.5)
    lamda: Any = parameter(1e-2, 1e2)
    mu: Any = parameter(0.05, 3.0)
    nu: Any = parameter(0.01, 1.0)
    xi: Any = parameter(0.01, 1.0)
    rho: Any = parameter(0.01, 1.5)

    @property
    def tensor(self) -> Tensor:
        """What is quantized: the weights."""
        return Tensor.WEIGHTS

    def added(self, s: Setting, n_eff) -> Any:
        """Delta at a setting [nats/token]; zero where the weights are not quantized."""
        P = s.bits(Tensor.WEIGHTS)
        if P is None:
            return 0.0
        share = s.need("qat_share", "QuantizedPhase")
        if numeric(share) and not np.all((np.asarray(share) > 0) & (np.asarray(share) < 1)):
            raise ValueError(f"qat_share must be in (0, 1), got {share}")
        per_byte = s.D / (s.N * P / 8)
        quantized, full = share * per_byte, (1 - share) * per_byte
        bit = 0.6931471805599453  # ln 2: powers of two, also of symbols
        floor = exp(-bit * self.kappa * P)
        short = self.phi * exp(-bit * self.chi * P) * s.N**-self.psi * quantized**-self.omega
        both = self.lamda * exp(-bit * self.mu * P) * s.N**-self.nu * full**-self.xi * quantized**-self.rho
        return self.theta * (floor + short + both)


def best_qat_share(N, D, bits, *, a: float = 6.7297):
    """Share of the tokens that a last, quantized phase should read: e^(−a/ln S), S = D/(N·bits/8).

    Parameters
    ----------
    N, D, bits : array_like
        Parameters, training tokens of both phases, bits of the weights; they broadcast.
    a : float
        The one fitted constant; 6.7297 in the source.

    Returns
    -------
    float or ndarray
        In [0, 1); it grows with training and with fewer bits. 0 where there is at most one token per parameter byte,
        where the formula says nothing.

    References
    ----------
    dremov2025: mean absolute error of the share 0.09 over its runs.

    Examples
    --------
    >>> [round(float(best_qat_share(1e9, 1e11, bits)), 2) for bits in (2, 4, 6)]
    [0.33, 0.28, 0.25]
    """
    S = np.asarray(D, dtype=float) / (np.asarray(N, dtype=float) * np.asarray(bits, dtype=float) / 8)
    if not np.all(S > 0):
        raise ValueError(f"N, D and bits must be positive, got {N}, {D}, {bits}")
    return np.where(S > 1, np.exp(-a / np.log(np.where(S > 1, S, 2.0))), 0.0)[()]
