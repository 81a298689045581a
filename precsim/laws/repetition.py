"""Data that are read more than once: what a repeated token, and a parameter too many for the data, are still worth.

Both parts read ``unique_tokens=`` U: the tokens of the data set. Up to one epoch (D ≤ U) they change nothing.
"""

# ruff: noqa: RUF009 - `parameter` is dataclasses.field with a search range, made afresh for each class

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from precsim.laws.jets import exp, numeric, ramp
from precsim.laws.law import Factor
from precsim.laws.setting import Effective, Setting, parameter


def _unique(s: Setting) -> Any:
    """Tokens of the data set, or None where the call does not say it."""
    unique = s.context.get("unique_tokens")
    if numeric(unique) and not np.all(np.asarray(unique) > 0):
        raise ValueError(f"unique_tokens must be positive, got {unique}")
    return unique


def _worth(repeats, life) -> Any:
    """Share of 1 + R passes that counts: (1 + R*·(1 − e^(−R/R*)))/(1 + R), which falls from 1 to 0."""
    return (1 + life * (1 - exp(-repeats / life))) / (1 + repeats)


@dataclass(frozen=True)
class RepeatedTokens(Factor):
    """D_eff = U·(1 + R_D*·(1 − e^(−R/R_D*))), R = D/U − 1 repetitions of U unique tokens.

    No number of epochs is worth more than (1 + R_D*)·U fresh tokens.

    References: muennighoff2023, equation 5; its R_D* is 15.4.

    Examples
    --------
    >>> part = RepeatedTokens(R_D=15.387756)
    >>> s = part.setting(1e9, 4e9, unique_tokens=1e9)
    >>> round(float(part.factor(s)), 3)
    0.931
    """

    reads: ClassVar[frozenset[str]] = frozenset({"unique_tokens"})
    R_D: Any = parameter(1.0, 100.0, divides=True)
    on: Effective = field(default=Effective.D, init=False)

    def factor(self, s: Setting) -> Any:
        """F at a setting; None where the call does not say how many tokens are unique."""
        unique = _unique(s)
        return None if unique is None else _worth(ramp(s.D / unique - 1), self.R_D)


@dataclass(frozen=True)
class ExcessParameters(Factor):
    """N_eff = U_N·(1 + R_N*·(1 − e^(−R/R_N*))), R = N/U_N − 1, U_N parameters being the best for U unique tokens.

    ``per_token`` is U_N/U: (A/B)^(1/α) for a base with one exponent, as in the source.

    References: muennighoff2023, equation 6 and appendix A; its R_N* is 5.3.

    Examples
    --------
    >>> part = ExcessParameters(R_N=5.309743, per_token=0.05)
    >>> s = part.setting(1e9, 4e9, unique_tokens=1e9)
    >>> round(float(part.factor(s)), 3)
    0.308
    """

    reads: ClassVar[frozenset[str]] = frozenset({"unique_tokens"})
    R_N: Any = parameter(1.0, 100.0, divides=True)
    per_token: Any = parameter(1e-3, 1.0, divides=True)
    on: Effective = field(default=Effective.N, init=False)

    def factor(self, s: Setting) -> Any:
        """F at a setting; None where the call does not say how many tokens are unique."""
        unique = _unique(s)
        return None if unique is None else _worth(ramp(s.N / (self.per_token * unique) - 1), self.R_N)
