"""What a matrix unit's accumulator of 13 fraction bits does to training: read from the second edition's batch `sums`.

Partners have the same language, seed, N and D and round the same tensors to FP8; they differ in what adds the terms of
their products, forward and backward. A change is a difference of ln gap within pairs: 0.01 is one percent of the gap.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from precsim.evidence.architecture import interval
from precsim.evidence.experiments import second_edition
from precsim.fitting.uncertainty import Interval
from precsim.runs import Table

_PAIR = ["N", "D", "language_seed", "seed"]
FLOAT32, *UNITS = second_edition.added_by()


def changes(table: Table) -> Table:
    """ln gap of networks whose products went through the unit, less that of their partners with float32 sums.

    Parameters
    ----------
    table : DataFrame
        The second edition: batch `sums`.

    Returns
    -------
    DataFrame
        One row for each pair: name (of `second_edition.added_by`), N, D, language_seed, seed, gap (of the partner)
        [nats/token], change.
    """
    gaps = _gaps(table)
    each = [
        (np.log(gaps[name]) - np.log(gaps[FLOAT32]))
        .rename("change")
        .reset_index()
        .assign(name=name, gap=gaps[FLOAT32].values)
        for name in UNITS
    ]
    return pd.concat(each, ignore_index=True)


def by_cell(table: Table) -> Table:
    """The mean change of each size and budget.

    Returns
    -------
    DataFrame
        name, N, D, change, low, high (of 95 %, Student's t over the pairs of the cell), pairs.
    """
    found = []
    for (name, N, D), part in changes(table).groupby(["name", "N", "D"]):
        sure = interval(part["change"].to_numpy())
        row = {"name": name, "N": N, "D": D, "change": part["change"].mean(), "low": sure.low, "high": sure.high}
        found.append(row | {"pairs": len(part)})
    return pd.DataFrame(found)


def overall(table: Table, name: str) -> tuple[Interval, Interval]:
    """Interval of the mean change over all cells: over languages, and over pairs.

    The first says what another language would give; the second, narrower, speaks of these languages alone.
    """
    each = changes(table)
    each = each.loc[each["name"] == name]
    return interval(each.groupby("language_seed")["change"].mean().to_numpy()), interval(each["change"].to_numpy())


def gain_of_size(table: Table) -> float:
    """- d ln gap / d ln N at equal D with float32 sums, by least squares over cells: what a change is worth in N."""
    means = _gaps(table)[FLOAT32].groupby(["N", "D"]).mean().rename("gap").reset_index()
    several = means.groupby("D").filter(lambda part: len(part) > 1)
    x, y = (np.log(several[one]) for one in ("N", "gap"))
    x, y = (one - one.groupby(several["D"]).transform("mean") for one in (x, y))
    return float(-(x * y).sum() / (x * x).sum())


def effective(table: Table, name: str) -> Interval:
    """Interval of N_eff/N: the size at which float32 sums give the gap that the unit gave, over N, over languages."""
    over = overall(table, name)[0]
    low, high = (float(np.exp(-end / gain_of_size(table))) for end in (over.high, over.low))
    return Interval(low, high, over.level, over.method, over.n)


def _gaps(table: Table) -> Table:
    """Gap at the end of each network, by what added: one row for each pair of partners."""
    names = {recipe: name for name, recipe in second_edition.added_by().items()}
    jobs = {job.key: names[job.recipe] for job in second_edition.sums()}
    ends = table.loc[table["job"].isin(jobs) & table["post_method"].eq("none") & table["step"].eq(table["steps"])]
    return ends.assign(name=ends["job"].map(jobs)).pivot(index=_PAIR, columns="name", values="gap")
