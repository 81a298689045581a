"""The slices of a table of runs that laws are fitted to: what was trained how, and averaged over what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_trained", "cells", "rounded_after"]

_BITS = ("weights", "activations", "kv", "post")
_CELL = ("N", "D", *_BITS)


def as_trained(
    table: pd.DataFrame, *, batch: str | tuple[str, ...] | None = "main", only: tuple[str, ...] = ("weights",)
) -> pd.DataFrame:
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
    keep = np.isinf(rows[off + after].to_numpy(dtype=float)).all(axis=1)
    for c in only:
        if f"{c}_format" in rows.columns:
            low = np.isfinite(rows[c].to_numpy(dtype=float))
            keep &= ~low | rows[f"{c}_format"].astype(str).str.startswith("INT").to_numpy()
    found: Any = rows[keep]
    return found.reset_index(drop=True)


def rounded_after(
    table: pd.DataFrame,
    *,
    batch: str | tuple[str, ...] | None = "main",
    bits: tuple[float, ...] = (3, 4, 5, 6),
    trained: tuple[float, ...] = (np.inf,),
) -> pd.DataFrame:
    """Runs whose weights were rounded after training to integers, to nearest, one scale for each channel.

    Parameters
    ----------
    table : DataFrame
    batch : str or tuple of str, optional
        As in `as_trained`. ("main", "repeats") has 14 seeds instead of 2 where the law of δ is fitted.
    bits : tuple of float
        Widths after training.
    trained : tuple of float
        Widths of the weights in training; full precision alone by default.
    """
    rows = _finished(_of(table, batch))
    full = [c for c in ("activations", "kv", "post_activations", "post_kv") if c in rows.columns]
    keep = np.isinf(rows[full].to_numpy(dtype=float)).all(axis=1) & rows["post"].isin(bits).to_numpy()
    keep &= rows["weights"].isin(trained).to_numpy()
    if "weights_format" in rows.columns:
        names = rows["weights_format"].astype(str)
        keep &= np.isinf(rows["weights"].to_numpy(dtype=float)) | names.str.startswith("INT").to_numpy()
    wanted = {"post_format": ("INT",), "post_scaling": ("channel", "PerChannel"), "post_method": ("rtn",)}
    for column, starts in wanted.items():
        if column in rows.columns:
            keep &= rows[column].astype(str).str.startswith(starts).to_numpy()
    if "post_format" in rows.columns:  # INT8/2^6 is the element of a format of blocks
        keep &= ~rows["post_format"].astype(str).str.contains("/").to_numpy()
    found: Any = rows[keep]
    return found.reset_index(drop=True)


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each (N, D, bits): the mean gap and δ over seeds and languages, and how many runs it is the mean of.

    The gap is the loss (E = 0), because languages of different seeds have different entropies; ``delta_se`` is the
    standard error of the mean δ over runs.
    """
    keys = [c for c in _CELL if c in rows.columns]
    grouped = rows.assign(loss=rows["gap"]).groupby(keys, sort=True, dropna=False)
    columns = [c for c in ("loss", "delta") if c in rows.columns]
    means: Any = grouped[columns].mean()
    if "delta" in columns:
        means["delta_se"] = grouped["delta"].sem()
    if "holdout" in rows.columns:
        means["holdout"] = grouped["holdout"].max()
    return means.assign(runs=grouped.size(), entropy=0.0).reset_index()


def _of(table: pd.DataFrame, batch: str | tuple[str, ...] | None) -> pd.DataFrame:
    if batch is None or "batch" not in table.columns:
        return table
    found: Any = table[table["batch"].isin([batch] if isinstance(batch, str) else batch)]
    return found


def _finished(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of runs that did not diverge, at the end of their schedule."""
    keep = np.ones(len(rows), dtype=bool)
    if "diverged" in rows.columns:
        keep &= ~rows["diverged"].to_numpy(dtype=bool)
    if {"step", "steps"} <= set(rows.columns):
        keep &= (rows["step"] == rows["steps"]).to_numpy()
    found: Any = rows[keep]
    return found
