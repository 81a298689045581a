"""What the block, its decay and the recipe of its training do to the law: read from the second edition's batches.

Networks are named by the caller, by the keys of their jobs: the table itself does not say at which rate an embedding
was trained. Intervals are of means over languages (Student's t), which are what a result is to hold for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from precsim.evidence import rows
from precsim.fitting.uncertainty import Interval
from precsim.runs import Table

Named = Mapping[str, Collection[str]]  # name -> keys of jobs


def exponents(table: Table, named: Named, bits: int = 4) -> Table:
    """How δ grows with data, variant by variant: the exponent of D in δ at one N, language by language.

    Parameters
    ----------
    table : DataFrame
        The second edition, or rows of it.
    named : mapping of str to collection of str
        Keys of the jobs of each variant (`precsim.evidence.experiments.second_edition.compared`).
    bits : int
        Of the weights, rounded to nearest by channel.

    Returns
    -------
    DataFrame
        One row for each variant and N that has three budgets or more in two languages or more: name, N, gamma_D,
        low, high (of 95 %), D (the longest budget), delta and gap there [nats/token].
    """
    found = []
    for name, keys in named.items():
        here = table.loc[table["job"].isin(keys)]
        damaged, ends = rows.rounded(here, (bits,)), here.loc[here["post_method"].eq("none")]
        for N, part in damaged.groupby("N"):
            each = slopes(part)
            if len(each) < 2:
                continue
            mean, sure, longest = float(np.mean(each)), interval(each), part["D"].max()
            last, end = part.loc[part["D"].eq(longest)], ends.loc[ends["N"].eq(N) & ends["D"].eq(longest)]
            row = {"name": name, "N": N, "gamma_D": mean, "low": sure.low, "high": sure.high, "D": longest}
            found.append(row | {"delta": last["delta"].mean(), "gap": end["gap"].mean()})
    return pd.DataFrame(found)


def slopes(damaged: Table) -> np.ndarray:
    """Exponent of D in δ of each language that has three budgets or more, of rows of one N and number of bits."""
    return np.array([_slope(one) for _, one in damaged.groupby("language_seed") if one["D"].nunique() > 2])


def added(table: Table, named: Named, beside: str = "full precision") -> Table:
    """What a recipe adds to the gap of the same seed and language without it, as trained.

    Returns
    -------
    DataFrame
        One row for each other name: name, added [nats/token], low, high (of 95 %, over languages), share (of the gap
        without the recipe).
    """
    ends = table.loc[table["post_method"].eq("none")]
    gaps = {name: _by_model(ends.loc[ends["job"].isin(keys)]) for name, keys in named.items()}
    if beside not in gaps:
        raise ValueError(f"there is no {beside!r} to compare with; there are {', '.join(gaps)}")
    found = []
    for name, gap in gaps.items():
        if name == beside:
            continue
        more: pd.Series = (gap - gaps[beside]).dropna()
        by_language = np.array([one.mean() for _, one in more.groupby("language_seed")])
        sure, mean, plain = interval(by_language), float(by_language.mean()), float(np.mean(gaps[beside]))
        found.append({"name": name, "added": mean, "low": sure.low, "high": sure.high, "share": mean / plain})
    return pd.DataFrame(found)


def interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Of the mean of independent values, 95 %, by Student's t.

    Examples
    --------
    >>> found = interval([1.0, 2.0, 3.0])
    >>> round(found.low, 3), round(found.high, 3)
    (-0.484, 4.484)
    """
    each = np.asarray(values, float)
    half = stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each))
    return Interval(float(each.mean() - half), float(each.mean() + half), 0.95, "Student's t", len(each))


def _slope(one: Table) -> float:
    return float(np.polyfit(np.log(one["D"]), np.log(one["delta"]), 1)[0])


def _by_model(ends: Table) -> pd.Series:
    return ends.set_index(["N", "D", "language_seed", "seed"])["gap"]
