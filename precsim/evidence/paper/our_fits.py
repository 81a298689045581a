"""What our runs say, once computed: laws fitted to the open table, and parts of it by purpose."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.paper.evidence import open_table
from precsim.fitting.fits import fit
from precsim.laws import WEIGHTS

SMALLEST = 24_000  # parameters; the smallest shape has a single head and lies off every law
FEWEST = 20  # tokens per parameter; below it runs have few hundred steps


@functools.cache
def runs() -> Any:
    """The open table at the end of each run, languages of known entropy, as excess loss: column loss is the gap."""
    from precsim.runs.tables import excess

    table = open_table()
    if not len(table):
        return table
    ends = table[(table["step"] == table["steps"]) & table["gap"].notna()]
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
def text() -> Any:
    """The batch of real text at the end of each run, sizes that follow a law: its entropy is not known."""
    table = open_table()
    if not len(table):
        return table
    return _on_law(table[(table["batch"] == "text") & (table["step"] == table["steps"])])


#: What makes two networks partners apart from the bits of their training.
CELL = ["N", "D", "language", "language_seed", "seed", "learning_rate", "weight_decay", "schedule", "batch_tokens"]
_TREATMENT = ["weights_format", "weights_scaling", "activations_format", "activations_scaling", "kv_format", "kv"]


@functools.cache
def beside(name: str) -> Any:
    """A batch, all evaluations, with the main batch and all networks in full precision in the same circumstances.

    These are its sizes, data, languages, seeds and settings of the optimizer. A job is made in the first batch that
    needs it, so the partners of one batch may stand in another; a setting that was trained in two batches counts once.
    Runs of fewer than `FEWEST` tokens a parameter are left out.
    """
    mine = batch(name)
    if not len(mine):
        return mine
    every = runs()
    every = every[every["batch"].isin([name, "main"]) | every["job"].isin(full_precision(every)["job"])]
    same = [every[c].isin(mine[c].unique()) for c in CELL]
    sizes = np.logical_and.reduce(same) & every.set_index(["N", "D"]).index.isin(mine.set_index(["N", "D"]).index)
    rows = every[sizes]
    rows = rows[~rows["holdout"].astype(bool) & (rows["D"] >= FEWEST * rows["N"])]
    rows = rows.assign(own=rows["batch"] != name).sort_values("own", kind="stable")  # its own first
    first = rows.drop_duplicates("job").drop_duplicates([*CELL, *_TREATMENT])["job"]
    return rows[rows["job"].isin(first)].drop(columns="own")


def paired(rows: Any) -> Any:
    """Networks as trained in few bits beside their partner in full precision, which differs in nothing else.

    Columns of the former, and penalty: its loss less the partner's [nats/token]; partner: the partner's job.
    """
    rows = as_trained(rows)
    off = np.isinf(rows[["weights", "activations", "kv"]]).all(axis=1)
    full = rows[off][[*CELL, "loss", "job"]].rename(columns={"loss": "full", "job": "partner"})
    joined = rows[~off].merge(full, on=CELL)
    return joined.assign(penalty=joined["loss"] - joined["full"])


@functools.cache
def in_full(rows_of: str = "main") -> Any:
    """Rows of networks trained in full precision."""
    return full_precision(main() if rows_of == "main" else batch(rows_of))


def full_precision(rows: Any) -> Any:
    """Rows of networks that trained in full precision."""
    return rows[np.isinf(rows[["weights", "activations", "kv"]]).all(axis=1)] if len(rows) else rows


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
    """Partners of the main batch: weights alone in few bits."""
    return paired(main())


def shares(rows: Any = None) -> Any:
    """N_eff/N of each network in few bits by the paper's equation 30, with A and α of the base fit.

    Parameters
    ----------
    rows : DataFrame, optional
        From `paired`; by default those of the main batch.

    Notes
    -----
    A run whose loss is below its partner's has no share below 1; it is kept.
    """
    base = base_fit().law
    rows = penalties() if rows is None else rows
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
