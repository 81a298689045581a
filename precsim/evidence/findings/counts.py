"""How much there is, how well full precision obeys its law, and how far equal runs differ."""

from __future__ import annotations

import json
import math
from importlib import resources
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.findings._finding import STATED, Finding, found, nothing
from precsim.evidence.resampling import redraw
from precsim.evidence.rows import FULL, SMALLEST, lawful
from precsim.fitting.fits import fit
from precsim.runs import slices
from precsim.runs.tables import OPEN_TABLE


def models(table: Any) -> Finding:
    """How many models were trained."""
    count = table["job"].nunique()
    return Finding("trained models", "≥ 5,000", count, math.nan, math.nan, len(table), count, count >= 5000)


def transformers(table: Any) -> Finding:
    """How many of the models are transformers."""
    count = table.loc[table["model"].str.startswith("Transformer"), "job"].nunique()
    bar = "≥ 3,000"
    return Finding("transformers among them", bar, count, math.nan, math.nan, len(table), count, count >= 3000)


def evaluations(table: Any) -> Finding:
    """How many evaluations there are, as trained or rounded after training."""
    count, jobs = len(table), table["job"].nunique()
    return Finding("evaluations", "≥ 100,000", count, math.nan, math.nan, count, jobs, count >= 100_000)


def missing(table: Any) -> Finding:
    """Share of the declared models that the table does not have."""
    record = json.loads((resources.files("precsim.data") / f"{OPEN_TABLE}.json").read_text())
    declared = sum(batch["declared"] for batch in record["batches"].values())
    count = table["job"].nunique()
    share = 1 - count / declared
    question = "share of the declared models that is missing"
    return Finding(question, "≤ 0.01", share, math.nan, math.nan, len(table), count, share <= 0.01)


def diverged(table: Any) -> Finding:
    """How many models diverged; they are rows of the table, and of no fit."""
    trained = table.drop_duplicates("job")
    count = int(trained["diverged"].sum())
    return Finding(
        "models that diverged, kept as rows", STATED, count, math.nan, math.nan, len(table), len(trained), None
    )


def base_law(table: Any) -> Finding:
    """Share of the variance of ln(excess loss) that Chinchilla's form explains in full precision, E known."""
    rows = lawful(slices.as_trained(table, only=()), least=20)
    return chinchilla("Chinchilla's form in full precision, R² of ln", "≥ 0.99", rows, lambda r2: r2 >= 0.99)


def chinchilla(question: str, bar: str, rows: Any, met: Any = None) -> Finding:
    """Share of the variance of ln(excess loss) of single models that Chinchilla's form explains."""
    if rows.empty:
        return nothing(question, bar)
    drawn = redraw(rows.assign(loss=rows["gap"], entropy=0.0), draws=60)
    rows, values = drawn.rows, []
    for line in drawn.counts:
        law = fit(laws.Chinchilla(E=0.0), rows, weights=line, strict=False).law
        values.append(_share(rows["gap"], law(rows["N"], rows["D"]), line))
    return found(question, bar, values, rows, met)


def _share(seen: Any, said: Any, weight: np.ndarray) -> float:
    """R² of the logarithm."""
    y, off = np.log(np.asarray(seen)), np.log(np.asarray(seen) / np.asarray(said))
    return float(1 - weight @ off**2 / (weight @ (y - weight @ y / weight.sum()) ** 2))


def seed_noise(table: Any) -> Finding:
    """Relative standard deviation of the gap between models that differ in their seed alone, pooled over cells."""
    question = "spread of the gap between seeds"
    rows: Any = slices.as_trained(table, batch=FULL)
    rows = rows[rows["N"] >= SMALLEST]
    cell = ["N", "D", "weights", "language_seed"]
    relative = rows["gap"] / rows.groupby(cell)["gap"].transform("mean")
    free = rows.groupby(cell)["gap"].transform("size")
    kept = (free > 1).to_numpy()
    if not kept.any():
        return nothing(question, STATED)
    rows = rows[kept].assign(square=((relative - 1) ** 2 * free / (free - 1))[kept])
    drawn = redraw(rows, unit=cell, within=())  # cells, because the models of one share their mean
    mean = (drawn.counts @ drawn.rows["square"].to_numpy()) / drawn.counts.sum(axis=1)
    return found(question, STATED, np.sqrt(mean), rows)
