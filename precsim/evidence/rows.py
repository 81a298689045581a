"""The rows of the open table that questions are asked of."""

from __future__ import annotations

from typing import Any

import numpy as np

from precsim import laws
from precsim.fitting.fits import fit
from precsim.runs import slices

SMALLEST = 24_000  # parameters of the smallest size that is expected to follow a law
UNDERTRAINED = 60  # tokens per parameter below which a run has few steps, and damage is still small
FULL = ("main", "repeats")  # batches of models trained in full precision whose weights are rounded in every way


def lawful(rows: Any, least: float) -> Any:
    """Rows of sizes and budgets that a law is expected to describe, none of them held out."""
    keep = (rows["N"] >= SMALLEST) & (rows["D"] >= least * rows["N"])
    return rows[keep & ~rows["holdout"].astype(bool)]


def damage(table: Any, least: float = UNDERTRAINED, bits: tuple[float, ...] = (3, 4, 5, 6)) -> Any:
    """Models trained in full precision, rounded to integers by channel; runs that are held out are left out."""
    return lawful(slices.rounded_after(table, batch=FULL, bits=bits), least)


def base(table: Any, form: laws.Law | None = None) -> laws.Law:
    """The law of the gap of models trained in full precision, by default Chinchilla's, fitted to their cells' means."""
    rows: Any = slices.cells(slices.as_trained(table, batch=FULL, only=()))
    return fit(form or laws.Chinchilla(E=0.0), rows[rows["N"] >= SMALLEST], strict=False).law


def against_full(rows: Any, full: Any, by: tuple[str, ...] = ("N", "D", "language_seed", "seed")) -> Any:
    """Rows with a column ``ratio``: their gap over that of the model in full precision that is equal in all of `by`.

    Where there are several such models, over the geometric mean of their gaps. Rows without one are left out.
    """
    reference = np.log(full["gap"]).groupby([full[name] for name in by]).mean()
    at = reference.reindex(rows.set_index(list(by)).index).to_numpy(dtype=float)
    ratio = rows["gap"].to_numpy(dtype=float) / np.exp(at)
    kept: Any = rows.assign(ratio=ratio)
    return kept[np.isfinite(ratio)].reset_index(drop=True)


def budget(D: Any) -> np.ndarray:
    """Number of the budget (0 for 500,000 tokens, each 2.5 times the last) that a number of tokens belongs to.

    Budgets are met to within one step of training, so that D differs in its last digits between batch sizes.
    """
    return np.rint(np.log(np.asarray(D, dtype=float) / 5e5) / np.log(2.5)).astype(int)
