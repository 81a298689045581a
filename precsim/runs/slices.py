"""The slices of a table of runs that laws are fitted to: what was trained how, and averaged over what."""

from __future__ import annotations

import numpy as np

from precsim.runs.tables import Table

__all__ = ["as_trained", "cells", "rounded_after"]

_BITS = ("weights", "activations", "kv", "post")
_CELL = ("N", "D", *_BITS)


def as_trained(
    table: Table, *, batch: str | tuple[str, ...] | None = "main", only: tuple[str, ...] = ("weights",)
) -> Table:
    """Runs at their last step, not quantized after training, in which no tensor but those of `only` is quantized.

    Parameters
    ----------
    table : DataFrame
        From `precsim.runs.tables.load_runs`.
    batch : str or tuple of str, optional
        Keep rows of this batch, or of these, where the table has a column ``batch``.
    only : tuple of str
        Some of weights, activations, kv; integers only, the formats that the laws speak of.

    Examples
    --------
    >>> import pandas as pd
    >>> off = float("inf")
    >>> runs = pd.DataFrame({"N": [8, 8, 8], "weights": [4.0, 4.0, off], "activations": [off, 4.0, 4.0]})
    >>> as_trained(runs)["N"].tolist()
    [8]
    """
    rows = _finished(_of(table, batch))
    off = [c for c in ("activations", "kv", "weights") if c not in only and c in rows.columns]
    after = [c for c in ("post", "post_activations", "post_kv") if c in rows.columns]
    keep = np.isinf(rows[off + after].to_numpy(dtype=float)).all(axis=1) & _integers(rows, only)
    return rows.loc[keep].reset_index(drop=True)


def rounded_after(
    table: Table,
    *,
    batch: str | tuple[str, ...] | None = "main",
    bits: tuple[float, ...] = (3, 4, 5, 6),
    trained: tuple[float, ...] | None = (np.inf,),
    only: tuple[str, ...] = ("weights",),
    method: str = "rtn",
) -> Table:
    """Runs whose weights were rounded after training to integers, one scale for each channel.

    Parameters
    ----------
    table : DataFrame
    batch : str or tuple of str, optional
        As in `as_trained`. ("main", "repeats") has 14 seeds instead of 2 where the law of δ is fitted.
    bits : tuple of float
        Widths after training.
    trained : tuple of float, optional
        Widths of the weights in training; full precision alone by default, None for any.
    only : tuple of str
        As in `as_trained`: the tensors that may have been quantized in training.
    method : str
        How they were rounded: rtn (to nearest), gptq or awq.
    """
    rows = _finished(_of(table, batch))
    off = [c for c in ("activations", "kv", "weights") if c not in only and c in rows.columns]
    off += [c for c in ("post_activations", "post_kv") if c in rows.columns]
    keep = np.isinf(rows[off].to_numpy(dtype=float)).all(axis=1) & rows["post"].isin(bits).to_numpy()
    keep &= _integers(rows, only)
    if trained is not None:
        keep &= rows["weights"].isin(trained).to_numpy()
    wanted = {"post_format": ("INT",), "post_scaling": ("channel", "PerChannel"), "post_method": (method,)}
    for column, starts in wanted.items():
        if column in rows.columns:
            keep &= rows[column].astype(str).str.startswith(starts).to_numpy()
    if "post_format" in rows.columns:  # INT8/2^6 is the element of a format of blocks
        keep &= ~rows["post_format"].astype(str).str.contains("/").to_numpy()
    return rows.loc[keep].reset_index(drop=True)


def _integers(rows: Table, only: tuple[str, ...]) -> np.ndarray:
    """Whether every tensor of `only` that was quantized in training was so to integers."""
    keep = np.ones(len(rows), dtype=bool)
    for c in only:
        if f"{c}_format" in rows.columns:
            full = np.isinf(rows[c].to_numpy(dtype=float))
            keep &= full | rows[f"{c}_format"].astype(str).str.startswith("INT").to_numpy()
    return keep


def cells(rows: Table) -> Table:
    """One row for each (N, D, bits): the mean gap and δ over seeds and languages, and how many runs it is the mean of.

    The gap is the loss (E = 0), because languages of different seeds have different entropies; ``delta_se`` is the
    standard error of the mean δ over runs.
    """
    keys = [c for c in _CELL if c in rows.columns]
    grouped = rows.assign(loss=rows["gap"]).groupby(keys, sort=True, dropna=False)
    columns = [c for c in ("loss", "delta") if c in rows.columns]
    means = grouped[columns].mean()
    if "delta" in columns:
        means["delta_se"] = grouped["delta"].sem()
    if "holdout" in rows.columns:
        means["holdout"] = grouped["holdout"].max()
    return means.assign(runs=grouped.size(), entropy=0.0).reset_index()


def _of(table: Table, batch: str | tuple[str, ...] | None) -> Table:
    if batch is None or "batch" not in table.columns:
        return table
    return table.loc[table["batch"].isin([batch] if isinstance(batch, str) else batch)]


def _finished(rows: Table) -> Table:
    """Rows of runs that did not diverge, at the end of their schedule."""
    keep = np.ones(len(rows), dtype=bool)
    if "diverged" in rows.columns:
        keep &= ~rows["diverged"].to_numpy(dtype=bool)
    if {"step", "steps"} <= set(rows.columns):
        keep &= (rows["step"] == rows["steps"]).to_numpy()
    return rows.loc[keep]
