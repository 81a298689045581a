"""Slices of the open table and fits by the plainest means: pandas, polynomials, least squares."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

INF = np.inf
UNIT = ["N", "D", "language_seed", "seed"]


def rounded(table, *, batch=("main", "repeats"), bits=(3, 4, 5, 6), trained=(INF,)):
    rows = table[table["batch"].isin(batch) & (table["post_method"] == "rtn") & (table["post_scaling"] == "channel")]
    rows = rows[rows["post_format"].isin([f"INT{b}" for b in bits]) & rows["weights"].isin(trained)]
    rows = rows[np.isinf(rows["activations"]) & np.isinf(rows["kv"]) & (rows["step"] == rows["steps"])]
    return rows[np.isinf(rows["post_activations"]) & np.isinf(rows["post_kv"])]


def ends(table, *batch):
    rows = table[table["batch"].isin(batch) & (table["post_method"] == "none")]
    return rows[rows["step"] == rows["steps"]]


def full(table, *batch):
    rows = ends(table, *batch)
    return rows[np.isinf(rows[["weights", "activations", "kv"]]).all(axis=1)]


def lawful(rows, least=60):
    return rows[(rows["N"] > 24_000) & ~rows["holdout"] & (rows["D"] >= least * rows["N"])]


def r2(y, off):
    return 1 - np.sum(np.square(off)) / np.sum((y - np.mean(y)) ** 2)


def level_slope(rows, y, by, x="D"):
    """Least squares with a column for each group and one for ln x."""
    groups = pd.get_dummies(rows[by].astype(str).agg("|".join, axis=1)).to_numpy(float)
    keep = np.isfinite(y)
    return np.linalg.lstsq(np.c_[np.log(rows[x].to_numpy(float)), groups][keep], np.asarray(y)[keep])[0][0]


def robust(residuals, start):
    """Huber's estimate with a knee of 1.345 robust standard deviations."""
    x, knee = np.asarray(start, float), 1e3
    for _ in range(30):
        x = least_squares(residuals, x, loss="huber", f_scale=knee, x_scale="jac", xtol=1e-12, ftol=1e-12).x
        off = residuals(x)
        knee = 1.345 * 1.4826 * np.median(np.abs(off))
    return x


def chinchilla(table):
    """A, B, α and β from the mean gaps of cells in full precision."""
    rows = full(table, "main", "repeats")
    rows = rows[(rows["N"] > 24_000) & ~rows["holdout"]]
    cells = rows.groupby(["N", "D"])["gap"].mean().reset_index()

    def off(p):
        return np.log(curve(p, cells["N"], cells["D"]) / cells["gap"])

    return robust(off, [math.log(8), math.log(40), 0.3, 0.35])


def curve(p, N, D):
    return np.exp(p[0]) * N ** -p[2] + np.exp(p[1]) * D ** -p[3]


def ratios(rows, reference, by=UNIT):
    """Rows, their gap over that of full precision, matched one by one."""
    reference = np.exp(np.log(reference.set_index(by)["gap"]).groupby(level=by).mean()).rename("full").reset_index()
    return rows.merge(reference, on=by).assign(ratio=lambda r: r["gap"] / r["full"])
