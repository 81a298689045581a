"""What our runs say, once computed: laws fitted to the open table, and parts of it by purpose."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from precsim import laws
from precsim.fitting import fit
from precsim.laws import WEIGHTS
from precsim.paper.evidence import open_table

SMALLEST = 24_000  # parameters; the smallest shape has a single head and lies off every law
FEWEST = 20  # tokens per parameter; below it runs have few hundred steps


@functools.cache
def runs() -> Any:
    """The open table at the end of each run, as excess loss: column loss is the gap."""
    from precsim.runs import excess

    table = open_table()
    if not len(table):
        return table
    ends = table[table["step"] == table["steps"]]
    return excess(ends).reset_index(drop=True)


def batch(name: str) -> Any:
    """Rows of one batch of the open table; none if it was not made."""
    table = runs()
    return table[table["batch"] == name] if len(table) else table


@functools.cache
def main() -> Any:
    """The main batch: sizes that follow a law, weights alone in low precision; without the runs held out of fits."""
    rows = _on_law(batch("main"))
    return rows[~rows["holdout"].astype(bool)] if len(rows) else rows


@functools.cache
def held_out() -> Any:
    """Runs of the main batch that no fit has seen: the longest, and the largest model."""
    rows = _on_law(batch("main"))
    return rows[rows["holdout"].astype(bool)] if len(rows) else rows


def _on_law(rows: Any) -> Any:
    return rows[(rows["N"] >= SMALLEST) & (rows["D"] >= FEWEST * rows["N"])] if len(rows) else rows


@functools.cache
def beside(name: str) -> Any:
    """A batch as trained, with the networks of the main batch at its sizes, data, languages and seeds.

    A job is made in the first batch that needs it: the references of one batch may stand in another.
    """
    rows = batch(name)
    if not len(rows):
        return rows
    every = as_trained(runs())
    every = every[every["batch"].isin(["main", name]) & (every["schedule"] == rows["schedule"].iloc[0])]
    same = [every[c].isin(rows[c].unique()) for c in ("N", "language_seed", "seed")]
    tokens = every["D"].between(rows["D"].min(), rows["D"].max())
    return every[np.logical_and.reduce([*same, tokens, every["D"] >= FEWEST * every["N"]])]


@functools.cache
def in_full(rows_of: str = "main") -> Any:
    """Rows of networks trained in full precision."""
    rows = main() if rows_of == "main" else batch(rows_of)
    return rows[np.isinf(rows["weights"]) & np.isinf(rows["activations"]) & np.isinf(rows["kv"])]


def rounded(rows: Any, *, method: str = "rtn", scaling: str = "channel", low: int = 3, high: int = 6) -> Any:
    """Evaluations of rows after rounding the weights to symmetric integers, damage positive."""
    kept = rows[(rows["post_method"] == method) & (rows["post_scaling"] == scaling)]
    kept = kept[kept["post_format"].isin([f"INT{b}" for b in range(low, high + 1)])]
    alone = np.isinf(kept["post_activations"]) & np.isinf(kept["post_kv"])
    return kept[alone & (kept["delta"] > 0)]


def as_trained(rows: Any) -> Any:
    """Rows not quantized after training."""
    return rows[rows["post_method"] == "none"]


@functools.cache
def damage_fit(method: str = "rtn") -> Any:
    """Kumar's δ fitted to networks trained in full precision and rounded to 3 to 6 bits."""
    return fit(laws.KumarDegradation(), rounded(in_full(), method=method), strict=False)


@functools.cache
def base_fit() -> Any:
    """Chinchilla without floor, fitted to the excess loss of the networks trained in full precision."""
    return fit(laws.Chinchilla(E=0.0), as_trained(in_full()), strict=False)


def training_rows() -> Any:
    """Networks as trained, weights at 3 bits or more."""
    rows = as_trained(main())
    return rows[rows["weights"] >= 3]


@functools.cache
def training_fit(form: Any) -> Any:
    """Chinchilla without floor and a factor of the training bits, fitted to networks as trained."""
    return fit(laws.Chinchilla(E=0.0) | form, training_rows(), strict=False)


OFFSET, SATURATING, PLAIN = (kind(WEIGHTS) for kind in (laws.Offset, laws.Saturating, laws.Plain))


@functools.cache
def penalties() -> Any:
    """Gap of each low-precision run minus that of its twin in full precision: same N, D, seed, language."""
    rows = as_trained(main())
    twin = ["N", "D", "seed", "language_seed"]
    full = rows[np.isinf(rows["weights"])][[*twin, "gap"]]
    low = rows[np.isfinite(rows["weights"])]
    joined = low.merge(full, on=twin, suffixes=("", "_full"))
    return joined.assign(penalty=joined["gap"] - joined["gap_full"])


def shares() -> Any:
    """N_eff/N of each low-precision run by the paper's equation 30, with A and α of the base fit.

    A run whose loss is below its twin's has no share below 1; it is kept.
    """
    base = base_fit().law
    rows = penalties()
    inside = rows["penalty"] / base.A + rows["N"] ** -base.alpha
    return rows.assign(share=np.where(inside > 0, inside.clip(lower=1e-12) ** (-1 / base.alpha) / rows["N"], np.nan))


@functools.cache
def again() -> Any:
    """Networks trained at low-precision weights and rounded to fewer bits afterwards, damage positive."""
    rows = rounded(main())
    return rows[np.isfinite(rows["weights"]) & (rows["weights"] > rows["post"]) & (rows["weights"] >= 4)]


def r2(seen: Any, predicted: Any) -> float:
    """Share of the variance of ln seen that a prediction explains, no constant fitted."""
    a, b = np.log(np.asarray(seen, float)), np.log(np.asarray(predicted, float))
    return float(1 - np.sum((a - b) ** 2) / np.sum((a - a.mean()) ** 2))


def rising(rows: Any, column: str = "delta", along: str = "D") -> tuple[int, int]:
    """(steps up, steps) of the mean of a column from one D (or N) to the next, all else equal."""
    fixed = [c for c in ("N", "D", "post") if c != along]
    means = rows.groupby([*fixed, along])[column].mean().unstack(along)
    difference = np.diff(means.to_numpy(float), axis=1)
    return int(np.sum(difference > 0)), int(np.sum(np.isfinite(difference)))
