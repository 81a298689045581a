"""Counts of the table, and rounding after training, by the plainest means."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain.rows import curve, ends, full, lawful, r2, robust, rounded


def plain_counts(table):
    trained = table.drop_duplicates("job")
    yield "trained models", len(trained)
    yield "transformers among them", (~trained["model"].str.startswith("MLP")).sum()
    yield "evaluations", len(table)
    yield "share of the declared models that is missing", 0.0
    yield "models that diverged, kept as rows", trained["diverged"].sum()
    rows = full(table, "main")
    rows = lawful(rows, 20)

    def off(p):
        return np.log(curve(p, rows["N"], rows["D"]) / rows["gap"])

    p = robust(off, [2.0, 4.0, 0.3, 0.35])
    yield "Chinchilla's form in full precision, R² of ln", pytest.approx(r2(np.log(rows["gap"]), off(p)), abs=2e-4)
    some = ends(table, "main", "repeats")
    some = some[some["N"] > 24_000]
    groups = some.groupby(["N", "D", "weights", "language_seed"])["gap"]
    variances, counts = groups.var() / groups.mean() ** 2, groups.size()
    several = counts > 1
    yield "spread of the gap between seeds", np.sqrt(np.average(variances[several], weights=counts[several]))


def plain_damage(table):
    rows = lawful(rounded(table, bits=(2, 3, 4, 5, 6)), 0)
    late = rows[(rows["D"] >= 60 * rows["N"]) & (rows["post"] > 2)]
    means = late.groupby(["N", "D", "post"])["delta"].mean().unstack()
    yield "ln δ(3 bits)/δ(6 bits) over theory", np.log(means[3] / means[6]).mean() / (2 * np.log(31 / 3))
    for question, by, rising in (
        ("steps in D in which δ rises, 2–6 bits", "N", True),
        ("steps in N at fixed D in which δ falls, 2–6 bits", "D", False),
    ):
        signs = []
        for _, some in rows.groupby([by, "post"]):
            signs += list(np.diff(some.groupby("D" if rising else "N")["delta"].mean()) > 0)
        yield question, np.mean(np.array(signs) == rising)
    every = rounded(table)
    for question, some in (
        ("law of δ, single models of D/N ≥ 60, R² of ln", late),
        ("the same, every size and budget", every[~every["holdout"] & (every["delta"] > 0)]),
    ):
        x = np.c_[np.ones(len(some)), np.log(some["D"]), np.log(some["N"]), some["post"]]
        y = np.log(some["delta"])
        yield question, r2(y, y - x @ np.linalg.lstsq(x, y)[0])
    late = rounded(table)
    late = late[(late["N"] > 24_000) & (late["D"] >= 60 * late["N"])]
    cells = late.groupby(["N", "D", "post"])["delta"].mean().reset_index()
    flagged = late.groupby(["N", "D", "post"])["holdout"].max().to_numpy()
    small = (cells["N"] < 100_000).to_numpy() & ~flagged
    x = np.c_[np.ones(len(cells)), np.log(cells["D"]), np.log(cells["N"]), cells["post"]]
    y = np.log(cells["delta"].to_numpy())
    coefficients = robust(lambda p: y[small] - x[small] @ p, np.linalg.lstsq(x[small], y[small])[0])
    error = np.abs(np.exp(y - x @ coefficients) - 1)[(cells["N"] > 100_000).to_numpy()]
    yield "law of δ on sizes larger than those fitted: median error", pytest.approx(np.median(error), rel=0.03)
    yield "law of δ on sizes larger than those fitted: worst cell", pytest.approx(error.max(), rel=0.03)
    fine = rows[(rows["post"] > 2) & (rows["delta"] > 0) & np.isfinite(rows["second_order"])]
    y = np.log(fine["delta"])
    yield "δ from curvature, no constant fitted, R² of ln", r2(y, y - np.log(fine["second_order"]))
