"""What one number hides: the same quantity size by size and budget by budget, and how sure it is at each level.

A mean over cells is a summary only where cells agree. Functions here give the cells. `levels` draws again what a claim
speaks of: a law that is to hold for other sizes is as sure as a fit that lost and doubled sizes says, not as one that
lost and doubled networks.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from precsim import laws
from precsim.evidence import fitted, rows
from precsim.evidence.findings.damage import law_of_small
from precsim.evidence.findings.effective import Part, beside
from precsim.evidence.resampling import LEVEL, TWINS, Number, number, redraw, slope
from precsim.fitting.fits import Fit, fit
from precsim.fitting.uncertainty import bootstrap, interval
from precsim.runs import Table, slices

#: Levels at which a fitted law is drawn again, and the column whose equal values stay together.
LEVELS = {"cells": None, "sizes": "N", "budgets": "D"}
_DRAWS = 400


@functools.cache
def damage_levels() -> Mapping[str, Mapping[str, Number]]:
    """γ_D, γ_N and γ_post of the law of δ with intervals by drawing cells, whole sizes or whole budgets again.

    With them "languages": the law fitted to each language alone, least and largest, because there are three.
    """
    table = rows.open_table()
    found = fitted.damage(table)
    names = ("gamma_D", "gamma_N", "gamma_post")
    out: dict[str, dict[str, Number]] = {}
    for level, column in LEVELS.items():
        draws = bootstrap(found, n=_DRAWS, rng=np.random.default_rng(0), by=column)
        out[level] = {}
        for name in names:
            band = interval(draws, lambda law, name=name: law.parameters[name], LEVEL)
            out[level][name] = Number(found.law.parameters[name], band.low, band.high)
    alone = [_of_language(some) for _, some in rows.damage(table).groupby("language_seed")]
    ends = {name: [one.law.parameters[name] for one in alone] for name in names}
    out["languages"] = {n: Number(found.law.parameters[n], min(v), max(v)) for n, v in ends.items()}
    return out


def _of_language(some: Table) -> Fit:
    return fit(laws.KumarDegradation(), slices.cells(some), strict=False)


def damage_growth_by_size(table: Table, least: float = 0) -> dict[int, Number]:
    """Exponent of D in δ at 3 to 6 bits within each size, over means of cells, at D/N of `least` or more.

    Networks are drawn again. Sizes with fewer than three budgets have none.
    """
    out = {}
    for size, some in rows.late(rows.damage(table), least).groupby("N"):
        if some["D"].nunique() > 2:
            cells, means = redraw(some).means("delta", ["D", "post"])
            with np.errstate(invalid="ignore", divide="ignore"):
                logs = np.log(np.where(means > 0, means, np.nan))
            out[int(size)] = number(slope(np.log(cells["D"].to_numpy(float)), logs, cells["post"].to_numpy()))
    return out


def held_out_steps(table: Table) -> Number:
    """Share of the steps from one size to the next at fixed D in which mean δ falls, held-out runs among them."""
    some = rows.sized(slices.rounded_after(table, batch=rows.FULL, bits=(2, 3, 4, 5, 6)))
    steps = np.diff(redraw(some).table("delta", ["D", "post"], "N")[2], axis=2)
    known = np.isfinite(steps)
    return number((steps < 0).sum(axis=(1, 2)) / known.sum(axis=(1, 2)))


def steps_in_size(table: Table) -> tuple[int, int]:
    """How many of those steps fall, and how many there are."""
    some = rows.sized(slices.rounded_after(table, batch=rows.FULL, bits=(2, 3, 4, 5, 6)))
    steps = np.diff(redraw(some, draws=1).table("delta", ["D", "post"], "N")[2][0], axis=1)
    return int((steps < 0).sum()), int(np.isfinite(steps).sum())


def damage_of_large(table: Table) -> Table:
    """Sizes that the bars of D/N ≥ 60 never see, each cell's δ over what the law of δ says.

    Returns
    -------
    DataFrame
        N, D, post, rows, delta, at 3 to 6 bits, held-out runs included; predicted and ratio (predicted over measured)
        of the law of δ of all sizes; from_small, the same ratio of the law of the three smallest sizes at D/N ≥ 60.
    """
    found, small = fitted.damage(table), law_of_small(table)
    every = rows.sized(slices.rounded_after(table, batch=rows.FULL))
    large = every.loc[~every["N"].isin(rows.late(rows.damage(table))["N"].unique())]
    cells, means = redraw(large, draws=1).means("delta", ["N", "D", "post"])
    predicted = found.law(cells["N"], cells["D"], post=cells["post"])
    below = small.law(cells["N"], cells["D"], post=cells["post"]) / means[0]
    return cells.assign(delta=means[0], predicted=predicted, ratio=predicted / means[0], from_small=below)


def robustness_by_budget(table: Table, post: int = 3, trained: int = 4) -> dict[int, Number]:
    """δ at `post` bits after training at `trained` bits over that after full precision, for each D."""
    return _robustness(rows.trained_and_rounded(table, bits=(post,)), trained, "D")


def robustness_by_size(table: Table, tokens: int, post: int = 3, trained: int = 4) -> dict[int, Number]:
    """The same for each N, after so many tokens; sizes with fewer than three networks of each kind have none."""
    some = rows.trained_and_rounded(table, bits=(post,))
    return _robustness(some.loc[some["D"] == tokens], trained, "N")


def _robustness(some: Table, trained: int, along: str) -> dict[int, Number]:
    some = some.loc[some["weights"].isin([trained, np.inf])]
    out = {}
    for value, one in some.groupby(along):
        if one.groupby(list(TWINS)).ngroups < 3:
            continue
        _, widths, means = redraw(one, unit=TWINS).table("delta", ["N", "D"], "weights")
        if len(widths) == 2:
            with np.errstate(invalid="ignore", divide="ignore"):
                logs = np.log(np.where(means > 0, means, np.nan))
            out[int(value)] = number(np.exp(np.nanmean(logs[..., 0] - logs[..., 1], axis=1)))
    return out


def cost_growth(table: Table, least: float = 0) -> Number:
    """Exponent of D in the gap that training the weights in 2 to 4 bits adds, at D/N of `least` or more."""
    some = rows.late(rows.free(beside(table, Part.WEIGHTS)), least)
    some = some.loc[some["weights"] <= 4]
    some = some.assign(penalty=some["gap"] * (1 - 1 / some["ratio"]))
    cells, means = redraw(some, unit=TWINS).means("penalty", ["N", "D", "weights"])
    with np.errstate(invalid="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    group = cells.groupby(["N", "weights"]).ngroup().to_numpy()
    return number(slope(np.log(cells["D"].to_numpy(dtype=float)), logs, group))


def schedule_by_size(table: Table, mark: str = "Cosine") -> dict[int, Number]:
    """δ at 4 bits under another schedule over that at a constant rate, equal in all else, for each size."""
    some = rows.schedules(table)
    key = list(TWINS)
    constant = some.loc[some["schedule"].str.startswith("Constant")].groupby(key)["delta"].mean()
    other = some.loc[some["schedule"].str.contains(mark, regex=False)]
    other = other.assign(y=np.log(other["delta"].to_numpy() / constant.reindex(other.set_index(key).index).to_numpy()))
    return _by_size(other.loc[np.isfinite(other["y"])])


def method_by_size(table: Table, method: str = "gptq") -> dict[int, Number]:
    """δ of a method over that of rounding to nearest in the same networks, 3 to 5 bits, for each size."""
    pairs = rows.methods(table).pivot(index=["job", "N", "D", "post"], columns="post_method", values="delta")
    pairs = pairs.reset_index()
    return _by_size(pairs.assign(y=np.log(pairs[method] / pairs["rtn"])))


def _by_size(some: Table) -> dict[int, Number]:
    """Geometric mean of exp(y) for each size, networks drawn again; without an interval below three networks."""
    out = {}
    for size, one in some.groupby("N"):
        if one["job"].nunique() < 3:
            out[int(size)] = Number(float(np.exp(one["y"].mean())), np.nan, np.nan)
            continue
        drawn = redraw(one)
        out[int(size)] = number(np.exp(drawn.counts @ drawn.rows["y"].to_numpy() / drawn.counts.sum(axis=1)))
    return out
