"""What somebody who asks for the number of effective parameters is told by a law, and how it drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from precsim.laws.jets import Jet
from precsim.laws.law import Law
from precsim.laws.optima import implied_factor

_LEAST = 1e-9  # a share so near 1 has no exponent: rounding decides it


@dataclass(frozen=True, slots=True)
class Reported:
    """N_eff/N and the exponents of its shortfall ln(N/N_eff), which goes as D^in_data·N^(−in_size) near this setting.

    Attributes
    ----------
    share, in_data, in_size : float or ndarray
        Both exponents are 0 for the paper's factor; NaN where the share is 1 or does not exist.
    """

    share: Any
    in_data: Any
    in_size: Any


def reported(law: Law, N: ArrayLike, D: ArrayLike, **bits: Any) -> Reported:
    """N_eff/N by the base of the law, at which a model in full precision has the law's loss, with its drift.

    With x = ln(N_eff/N) and the base b(ln N + x, ln D) = L(ln N, ln D), the derivatives of x are those of L less those
    of b, over the slope of b in ln N; all of them exact.

    Parameters
    ----------
    law : Law
        With a base; any factors and degradations.
    N, D : array_like
    **bits
        Widths in training and what else the law reads; not rounded afterwards.

    Raises
    ------
    ValueError
        If the law has no base.

    Examples
    --------
    >>> from precsim.laws import WEIGHTS, Bent, Chinchilla, Saturating, SecondOrderDegradation
    >>> base = Chinchilla(E=0.5, A=7.0, B=42.0, alpha=0.3, beta=0.35)
    >>> paper = reported(base | Saturating(WEIGHTS, c=2.0, gamma=1.0), 1e5, 1e7, weights=4)
    >>> bend = reported(base | Bent(SecondOrderDegradation(0.004, 0.7, 0.4), 0.05), 1e5, 1e7, weights=4)
    >>> [round(float(x), 3) for x in (paper.share, bend.share, bend.in_data, bend.in_size)]
    [0.964, 0.563, 0.437, -0.026]
    """
    n, d = np.broadcast_arrays(np.asarray(N, float), np.asarray(D, float))
    share = np.asarray(implied_factor(law, n, d, law(n, d, **bits)))
    known = np.isfinite(share) & (np.abs(np.log(np.where(share > 0, share, 1.0))) > _LEAST)
    x = np.where(known, np.log(np.where(known, share, 0.5)), np.nan)
    whole = law(Jet.exponential(np.log(n), 0), Jet.exponential(np.log(d), 1), **bits)
    assert law.base is not None  # implied_factor has raised otherwise
    alone = law.base.loss(Jet.exponential(np.log(n) + np.where(known, x, 0.0), 0), Jet.exponential(np.log(d), 1))
    slope = alone.first[0]
    in_data = (_first(whole, 1) - _first(alone, 1)) / slope / x
    in_size = (1.0 - _first(whole, 0) / slope) / x
    return Reported(share[()], in_data[()], in_size[()])


def _first(jet: Any, index: int) -> Any:
    return jet.first.get(index, 0.0)
