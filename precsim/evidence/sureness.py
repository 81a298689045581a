"""How sure the second edition is of what it was made for, against the bars that were set before its runs.

Every half-width is of the mean over three languages, 95 %, by Student's t (4.3 standard errors). Six networks a cell
know a cell better than that; a law of many cells knows its constants better than any cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from precsim.evidence import rows, training_choices
from precsim.evidence.architecture import exponents, interval, slopes
from precsim.evidence.experiments import second_edition
from precsim.runs import Table

_PAIR = ["N", "D", "language_seed", "seed"]
_EIGHT_BITS = ("FP8 per tensor", "FP8 in blocks", "MXFP8")


def bars(table: Table) -> Table:
    """Each bar, how many cells it was set for, in how many it is met, and the median half-width.

    Parameters
    ----------
    table : DataFrame
        The second edition.

    Returns
    -------
    DataFrame
        Columns what, bar (the largest half-width allowed), of (what one cell is), cells, met, median, least, most (of
        half-widths).
    """
    asked = (
        ("exponent of D in δ at 4 bits", 0.05, "a size of the standard block", of_sizes(table)),
        ("difference of two exponents", 0.09, "a network and the standard block, one size", of_differences(table)),
        ("what training at 4 bits adds, of itself", 0.07, "N and D", of_penalties(table, 4)),
        ("what training at 3 bits adds, of itself", 0.07, "N and D", of_penalties(table, 3)),
        ("what a recipe of 8 bits adds [nats/token]", 0.002, "recipe, N and D", of_recipes(table)),
    )
    found = [
        (what, bar, of, len(each), int((each <= bar).sum()), np.median(each), each.min(), each.max())
        for what, bar, of, each in asked
    ]
    return pd.DataFrame(found, columns=["what", "bar", "of", "cells", "met", "median", "least", "most"])


def of_sizes(table: Table, bits: int = 4) -> np.ndarray:
    """Half-widths of the exponent of D in δ, size by size: all budgets, two seeds in each language."""
    damaged = rows.rounded(rows.standard_block(table), (bits,))
    return np.array([_half(slopes(some)) for _, some in damaged.groupby("N")])


def of_differences(table: Table) -> np.ndarray:
    """Half-widths of the difference between a network of `architecture` and the standard block, within languages."""
    named = second_edition.compared()
    found = exponents(table, named)
    each = {
        (name, N): slopes(rows.rounded(table.loc[table["job"].isin(named[name]) & table["N"].eq(N)], (4,)))
        for name, N in zip(found["name"], found["N"], strict=True)
    }
    return np.array([_half(one - each["standard", N]) for (name, N), one in each.items() if name != "standard"])


def of_penalties(table: Table, bits: float) -> np.ndarray:
    """Half-widths of what training in these bits adds to the gap, over what it adds, cell by cell."""
    full = rows.standard_block(table)
    gap = full.loc[full["post_method"].eq("none")].groupby(_PAIR)["gap"].mean().rename("full")
    trained = rows.standard_block_trained(table)
    trained = trained.loc[trained["weights"].eq(bits)].groupby(_PAIR, as_index=False)["gap"].mean().join(gap, on=_PAIR)
    added = trained.assign(added=trained["gap"] - trained["full"])
    means = added.groupby(["N", "D", "language_seed"])["added"].mean()
    return np.array([_half(one.to_numpy()) / one.mean() for _, one in means.groupby(level=[0, 1])])


def of_recipes(table: Table) -> np.ndarray:
    """Half-widths of what the recipes of 8 bits add, cell by cell [nats/token]."""
    costs = training_choices.recipe_costs(table)
    costs = costs.loc[costs["name"].isin(_EIGHT_BITS)]
    return ((costs["high"] - costs["low"]) / 2).to_numpy()


def _half(values: Sequence[float] | np.ndarray) -> float:
    sure = interval(values)
    return (sure.high - sure.low) / 2
