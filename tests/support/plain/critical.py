"""Critical data by parabolas through measured gaps, by the plainest means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.plain.rows import curve, full, robust, rounded


def turn(rows):
    """Tokens of least mean gap: top of the parabola through the least of the budgets and its neighbors, or None."""
    logs = np.log(rows.pivot_table(index="D", columns="language_seed", values="gap")).dropna()
    effect = np.exp((logs.T - logs.mean(axis=1)).T.mean())
    gaps = (rows["gap"] / rows["language_seed"].map(effect)).groupby(rows["D"]).mean()
    k = int(np.argmin(gaps.to_numpy()))
    if k in (0, len(gaps) - 1):
        return None
    x = np.log(gaps.index.to_numpy(float))[k - 1 : k + 2]
    a, b, _ = np.polyfit(x - x[1], gaps.to_numpy()[k - 1 : k + 2], 2)
    return float(np.exp(x[1] - b / (2 * a)))


def plain_critical(table):
    rows = rounded(table, bits=(2, 3, 4, 5, 6))
    rows = rows[rows["N"] > 24_000]
    every = pd.concat([rows, rounded(table, batch=("brief",), bits=(2, 3, 4, 5, 6))])
    kept = rows[~rows["holdout"] & (rows["post"] > 2)]
    deltas = kept.groupby(["N", "D", "post"])["delta"].mean().reset_index()
    whole = full(table, "main", "repeats")
    gaps = whole[(whole["N"] > 24_000) & ~whole["holdout"]].groupby(["N", "D"])["gap"].mean().reset_index()

    def law(N, bits, without=0):
        """The critical data by the paper's formula, from plain fits that may leave a size out."""
        low, high = deltas[deltas["N"] != without], gaps[gaps["N"] != without]
        x = np.c_[np.ones(len(low)), np.log(low["D"]), np.log(low["N"]), -low["post"]]
        q = robust(lambda q: np.log(low["delta"].to_numpy()) - x @ q, [-6.0, 0.7, -0.25, 1.6])
        p = robust(lambda p: np.log(curve(p, high["N"], high["D"]) / high["gap"]), [2.0, 3.7, 0.3, 0.35])
        return (p[3] * np.exp(p[1]) / (q[1] * np.exp(q[0] - bits * q[3]) * N ** q[2])) ** (1 / (q[1] + p[3]))

    inside, ratio, unseen, least = {2: 0, 3: 0, 4: 0}, [], [], []
    for (N, bits), some in every[every["post"] <= 4].groupby(["N", "post"]):
        measured = turn(some) if some["D"].nunique() > 2 else None
        if measured is None:
            continue
        inside[int(bits)] += 1
        if bits == 2:
            least.append(np.log(law(N, bits) / measured))
            continue
        ratio.append(np.log(law(N, bits) / measured))
        unseen.append(np.log(law(N, bits, without=N) / measured))
    for bits, count in inside.items():
        yield f"sizes whose critical data at {bits} bits lie, with the interval, between two budgets", count
    first = "critical data at 3 and 4 bits, the law's over the measured: geometric mean"
    yield first, pytest.approx(np.exp(np.mean(ratio)), rel=0.02)
    yield "the same at 2 bits, which no fit saw", pytest.approx(np.exp(np.mean(least)), rel=0.02)
    yield "the same, by a law fitted without the size", pytest.approx(np.exp(np.mean(unseen)), rel=0.02)
