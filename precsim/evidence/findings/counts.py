"""How much there is, how well full precision obeys its law, and how far equal runs differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources

import numpy as np

from precsim import laws
from precsim.evidence import rows as selections
from precsim.evidence.findings.finding import STATED, Finding, counted, found
from precsim.evidence.resampling import explained, redraw
from precsim.fitting.fits import fit
from precsim.runs import Table, excess
from precsim.runs.tables import OPEN_TABLE


def models(table: Table) -> Finding:
    """How many models were trained."""
    count = table["job"].nunique()
    return counted("trained models", "≥ 5,000", count, table, count >= 5000)


def transformers(table: Table) -> Finding:
    """How many of the models are transformers."""
    rows = table.loc[table["model"].str.startswith("Transformer")]
    count = rows["job"].nunique()
    return counted("transformers among them", "≥ 3,000", count, rows, count >= 3000)


def evaluations(table: Table) -> Finding:
    """How many evaluations there are, as trained or rounded after training."""
    return counted("evaluations", "≥ 100,000", len(table), table, len(table) >= 100_000)


def missing(table: Table) -> Finding:
    """Share of the declared models that the table does not have."""
    record = json.loads((resources.files("precsim.data") / f"{OPEN_TABLE}.json").read_text())
    declared = sum(batch["declared"] for batch in record["batches"].values())
    share = 1 - table["job"].nunique() / declared
    return counted("share of the declared models that is missing", "≤ 0.01", share, table, share <= 0.01)


def diverged(table: Table) -> Finding:
    """How many models diverged; they are rows of the table, and of no fit."""
    count = int(table.drop_duplicates("job")["diverged"].sum())
    return counted("models that diverged, kept as rows", STATED, count, table, None)


def base_law(table: Table) -> Finding:
    """Share of the variance of ln(excess loss) that Chinchilla's form explains in full precision, E known."""
    rows = selections.in_full(selections.untreated(selections.networks(table)))
    return chinchilla("Chinchilla's form in full precision, R² of ln", "≥ 0.99", rows, lambda r2: r2 >= 0.99)


def chinchilla(question: str, bar: str, rows: Table, met: Callable[[float], bool] | None = None) -> Finding:
    """Share of the variance of ln(excess loss) of single models that Chinchilla's form explains, fitted to these."""
    law = fit(laws.Chinchilla(E=0.0), excess(rows), strict=False).law
    return found(question, bar, explained(rows["gap"], law(rows["N"], rows["D"]), redraw(rows).counts), rows, met)


def seed_noise(table: Table) -> Finding:
    """Relative standard deviation of the gap between models that differ in their seed alone, pooled over cells."""
    rows = selections.repeated(table)
    cell = ["N", "D", "weights", "language_seed"]
    relative = rows["gap"] / rows.groupby(cell)["gap"].transform("mean")
    free = rows.groupby(cell)["gap"].transform("size")
    rows = rows.assign(square=(relative - 1) ** 2 * free / (free - 1)).loc[free > 1]
    drawn = redraw(rows, unit=cell)  # cells, because the models of one share their mean
    mean = (drawn.counts @ drawn.rows["square"].to_numpy()) / drawn.counts.sum(axis=1)
    return found("spread of the gap between seeds", STATED, np.sqrt(mean), rows)
