"""When in training, at which rate and by which recipe few bits cost what: read from the second edition's batches.

All costs are differences within pairs, of the same language, seed, N and D. Intervals are of means over languages.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from precsim.evidence import rows
from precsim.evidence.architecture import Named, added, interval
from precsim.evidence.experiments import second_edition
from precsim.runs import Table

_PAIR = ["N", "D", "language_seed", "seed"]
_METHODS = ("rtn", "gptq", "awq")


def shares(table: Table) -> Table:
    """What it adds to round weights in the last part of training only, and what rounding after training adds.

    Parameters
    ----------
    table : DataFrame
        The second edition: batches `laws`, `gate`, `bits` and `share`.

    Returns
    -------
    DataFrame
        One row for each bits, N, D and share (0: rounded after training; 1: all steps): bits, N, D, share, added
        [nats/token], low, high (of 95 %, over languages).
    """
    start = {job.key: 1 - job.in_force[0] for job in second_edition.share()}
    full = rows.standard_block(table)
    gap = _untreated(full).groupby(_PAIR)["gap"].mean().rename("full")
    late = table.loc[table["job"].isin(start)]
    late = _untreated(late.assign(share=late["job"].map(start)))
    cells = set(zip(late["N"], late["D"], strict=True))
    whole = table.loc[table["batch"].isin(["bits", "gate"]) & table["model"].isin(set(full["model"]))]
    whole = _untreated(whole.loc[whole["weights"].isin([3.0, 4.0])]).assign(share=1.0)
    trained = pd.concat([late, whole]).join(gap, on=_PAIR)
    trained = trained.assign(added=trained["gap"] - trained["full"], bits=trained["weights"])
    after = rows.rounded(full, (3, 4)).assign(share=0.0, added=lambda r: r["delta"], bits=lambda r: r["post"])
    both = pd.concat([trained, after])
    both = both.loc[[cell in cells for cell in zip(both["N"], both["D"], strict=True)]]
    return _over_languages(both, ["bits", "N", "D", "share"])


def rates(table: Table) -> Table:
    """Gap against the peak rate and the size of a batch, in full precision and trained in 3 and 4 bits.

    Returns
    -------
    DataFrame
        bits, D, rate (over the usual one), batch (tokens of a step), gap, delta (at 4 bits after full precision; NaN
        elsewhere) [nats/token], means over three languages.
    """
    jobs = {job.key: job for job in second_edition.controls()}
    budgets = {second_edition.budget(k) for k in (4, 6)}
    usual = table["batch"].isin(["laws", "gate", "bits"]) & table["N"].eq(98_304) & table["seed"].eq(0)
    near = rows.budget(table["D"]).astype(int)
    usual &= np.isin(near, rows.budget(np.array(sorted(budgets)))) & table["weights"].isin([3.0, 4.0, np.inf])
    usual &= table["model"].isin(set(rows.standard_block(table)["model"]))
    some = table.loc[usual | table["job"].isin(jobs)]
    network = second_edition.network(64)
    some = some.assign(
        bits=some["weights"],
        rate_over=(some["learning_rate"] / network.learning_rate).round(3),
        budget=rows.budget(some["D"]),
    )
    by = ["bits", "budget", "rate_over", "batch_tokens"]
    gaps = _untreated(some).groupby(by)["gap"].mean()
    full = some.loc[np.isinf(some["weights"])]
    found = pd.concat([gaps, rows.rounded(full, (4,)).groupby(by)["delta"].mean()], axis=1).reset_index()
    return found.rename(columns={"rate_over": "rate", "batch_tokens": "batch"})


def recipe_costs(table: Table) -> Table:
    """What each training recipe adds to the gap, cell by cell: `architecture.added` for every N and D.

    Returns
    -------
    DataFrame
        name, N, D, added [nats/token], low, high (of 95 %, over languages), share (of the gap without it).
    """
    named: Named = _trained_as()
    here = table.loc[table["job"].isin({key for keys in named.values() for key in keys})]
    cells = [added(part, named).assign(N=N, D=D) for (N, D), part in here.groupby(["N", "D"])]
    return pd.concat(cells, ignore_index=True)


def _trained_as() -> dict[str, Collection[str]]:
    names = {recipe: name for name, recipe in second_edition.trained_in().items()}
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for job in (*second_edition.recipes(), *second_edition.recipes_by_size()):
        found[names[job.recipe]].add(job.key)
    return {name: frozenset(keys) for name, keys in found.items()}


def method_ratios(table: Table) -> Table:
    """δ by GPTQ and AWQ over δ by rounding to nearest, in the same networks.

    Returns
    -------
    DataFrame
        method, bits, N, D, ratio (geometric mean over networks), low, high (of 95 %, over languages).
    """
    here = table.loc[table["batch"].eq("methods") & table["post_method"].isin(_METHODS)]
    here = here.loc[here["post_scaling"].eq("channel") & here["post_format"].isin(["INT3", "INT4", "INT5"])]
    deltas = here.pivot_table(index=[*_PAIR, "post"], columns="post_method", values="delta")
    found = [
        np.log(deltas[method] / deltas["rtn"]).rename("added").reset_index().assign(method=method)
        for method in _METHODS[1:]
    ]
    each = pd.concat(found).rename(columns={"post": "bits"})
    out = _over_languages(each, ["method", "bits", "N", "D"])
    out[["added", "low", "high"]] = np.exp(out[["added", "low", "high"]])
    return out.rename(columns={"added": "ratio"})


def _over_languages(each: Table, by: list[str]) -> Table:
    means = each.groupby([*by, "language_seed"], as_index=False)["added"].mean()
    found = []
    for key, part in means.groupby(by):
        sure = interval(part["added"].to_numpy())
        row = dict(zip(by, key, strict=True)) | {"added": part["added"].mean(), "low": sure.low, "high": sure.high}
        found.append(row)
    return pd.DataFrame(found)


def _untreated(table: Table) -> Table:
    return table.loc[table["post_method"].eq("none") & table["step"].eq(table["steps"])]
