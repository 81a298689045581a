"""Does the damage of training in few bits change with data and size? Twelve forms, asked to predict.

Three base laws, each with a factor that stays, one that drifts with D, and one that drifts with D and N; and on the
first of them no factor, but three bends of what rounding afterwards would cost, in which N_eff drifts because δ grows.
Each is fitted to all cells for its exponents, and without the longest or the largest runs for its error on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precsim.equality import Record
from precsim.fitting.comparison import ByData, BySize, compare
from precsim.fitting.fits import Fit, fit
from precsim.fitting.uncertainty import Interval, bootstrap, interval
from precsim.laws import (
    WEIGHTS,
    Bent,
    BentPower,
    BentRidge,
    BetaOfN,
    Chinchilla,
    Drifting,
    Law,
    OuterExponent,
    Saturating,
    SecondOrderDegradation,
)
from precsim.runs import Table

__all__ = ["BENDS", "Drifted", "forms", "judge"]

_ORIGINS = (0.2, 0.3, 0.4, 0.5)  # shares of the rows, held out in turn
_EXPONENT = 0.36  # β of the ridge: in the linear model that of the base, which fits of either edition put at .36 to .37

#: Words for the forms of G in gap = G(δ).
BENDS = ("bend: K ln(1 + δ/K)", "bend: c δ^p", "bend: ridge")


@dataclass(frozen=True, eq=False)
class Drifted(Record):
    """One form: its exponents and its errors.

    Attributes
    ----------
    base, drift : str
        In words; `drift` is "none", "in D", "in D and N", or one of `BENDS`.
    form, fitted : Law
        Before and after a fit to all cells.
    constants : int
        How many were fitted.
    exponents : dict of str to (float, Interval)
        ``k_D`` and ``k_N`` where they are estimated: ln(1/f) changes as D^k_D N^(−k_N). For a bend see
        `precsim.laws.reported`: it has no one exponent.
    longer, larger : float
        Mean absolute held-out error on the rows of most tokens and of most parameters.
    """

    base: str
    drift: str
    form: Law
    fitted: Law
    constants: int
    exponents: dict[str, tuple[float, Interval]]
    longer: float
    larger: float


def forms(N0: float, D0: float) -> list[tuple[str, str, Law]]:
    """Words for base and drift, and the form, of all twelve; N0 and D0 are the units of the drift.

    Losses as trained do not tell the c of a power from the K of δ, which is given.

    Examples
    --------
    >>> [drift for base, drift, _ in forms(1e5, 1e7) if base == "Chinchilla"][:3]
    ['none', 'in D', 'in D and N']
    """
    still = Saturating(WEIGHTS)
    drifts = {
        "none": still,
        "in D": Drifting(still, drift_N=0.0, N0=N0, D0=D0),
        "in D and N": Drifting(still, N0=N0, D0=D0),
    }
    bases = (Chinchilla(), OuterExponent(), BetaOfN(N0=N0, D0=D0))
    known = [(base.title, word, base | factor) for base in bases for word, factor in drifts.items()]
    delta = SecondOrderDegradation()
    bends = (Bent(delta), BentPower(SecondOrderDegradation(K=1.0)), BentRidge(delta, exponent=_EXPONENT, D0=D0))
    return known + [(bases[0].title, word, bases[0] | bend) for word, bend in zip(BENDS, bends, strict=True)]


def judge(
    cells: Table,
    *,
    rng: np.random.Generator,
    base: str = "",
    N0: float = 1e5,
    D0: float = 1e7,
    n: int = 300,
    level: float = 0.95,
) -> list[Drifted]:
    """Fit the twelve forms to a table of cells and let each predict longer and larger runs from four origins.

    Parameters
    ----------
    cells : DataFrame
        From `precsim.runs.slices.cells`: losses as trained against N, D and bits of the weights.
    rng : numpy.random.Generator
    base : str
        Only forms on this base; all by default.
    N0, D0 : float
        Units of size and data, about the middle of the table.
    n : int
        Bootstrap draws behind the intervals.
    level : float
    """
    known = [entry for entry in forms(N0, D0) if base in ("", entry[0])]
    laws = [form for _, _, form in known]
    longer, larger = (compare(laws, cells, split=split(_ORIGINS), rng=rng).scores for split in (ByData, BySize))
    found = [fit(form, cells, strict=False) for form in laws]
    return [
        Drifted(*entry, one.law, a.parameters, _exponents(one, rng, n, level), a.held_out, b.held_out)
        for entry, one, a, b in zip(known, found, longer, larger, strict=True)
    ]


def _exponents(found: Fit, rng: np.random.Generator, n: int, level: float) -> dict[str, tuple[float, Interval]]:
    names = {word: name for word, name in (("k_D", "drift_D_w"), ("k_N", "drift_N_w")) if name in found.form.free}
    if not names:
        return {}
    draws = bootstrap(found, n=n, rng=rng)
    return {
        word: (found.law.parameters[name], interval(draws, lambda law, name=name: law.parameters[name], level))
        for word, name in names.items()
    }
