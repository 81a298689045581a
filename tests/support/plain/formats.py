"""Formats against INT4, and both precisions at once, by the plainest means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.plain.rows import INF, UNIT, ends, full, lawful, r2, ratios, robust, rounded

FORMATS = {
    "FP4_E1M2": ("FP4_E1M2", "channel"),
    "FP4_E2M1": ("FP4_E2M1", "channel"),
    "FP4_E3M0": ("FP4_E3M0", "channel"),
    "NF4": ("NF4", "block 64"),
    "MXFP4": ("FP4_E2M1", "block 32 E8M0"),
    "NVFP4": ("FP4_E2M1", "block 16 two-level"),
}


def plain_formats(table):
    ours = ends(table, "formats")
    ours = ours[np.isinf(ours["activations"])]
    four = ends(table, "main")
    four = four[four["weights"] == 4].merge(ours[UNIT].drop_duplicates(), on=UNIT)
    reference = pd.concat([full(table, "main"), full(table, "parts")])
    cost = np.log(ratios(four, reference)["ratio"]).mean()
    for name, (fmt, scaling) in FORMATS.items():
        rows = ours[(ours["weights_format"] == fmt) & (ours["weights_scaling"] == scaling)]
        yield f"training in {name}: cost over INT4's", np.log(ratios(rows, reference)["ratio"]).mean() / cost
    rows = table[table["batch"].isin(["main", "repeats"]) & np.isinf(table["weights"])]
    rows = lawful(rows[rows["post_method"] == "rtn"])

    def mean_log(fmt, scaling):
        some = rows[(rows["post_format"] == fmt) & (rows["post_scaling"] == scaling)]
        return np.log(some.groupby(["N", "D"])["delta"].mean()).mean()

    for name, (fmt, scaling) in FORMATS.items():
        if (rows["post_format"] == fmt).any():
            ratio = np.exp(mean_log(fmt, scaling) - mean_log("INT4", "channel"))
            yield f"rounding afterwards to {name}: cost over INT4's", ratio


def plain_robustness(table):
    trained = (3, 4, 5, 6, 8, INF)
    rows = rounded(table, batch=("main",), bits=(2, 3, 4, 5, 6), trained=trained)
    rows = rows[(rows["N"] > 24_000) & ~rows["holdout"]]
    means = rows[rows["post"] == 3].groupby(["N", "D", "weights"])["delta"].mean().unstack()
    for width in (4, 5, 6, 8):
        ratio = np.exp(np.log(means[width] / means[INF]).mean())
        yield f"δ at 3 bits, trained at {width} over trained in full precision", ratio
    for post in (3, 4):
        some = rows[(rows["post"] == post) & (rows["weights"] >= post)]
        gaps = some.groupby(["N", "D", "weights"])["gap"].mean().unstack()
        best = (gaps.idxmin(axis=1) == post).mean()
        yield f"cells in which training at {post} bits is best for serving at {post} bits", best
    low = rows[(rows["post"] < rows["weights"]) & (rows["delta"] > 0)]
    cells = rows[rows["post"] < rows["weights"]].groupby(["N", "D", "weights", "post"])["delta"].mean().reset_index()

    def said(q, rows, robust_too):
        x = q[0] + q[1] * np.log(rows["D"]) - q[2] * np.log(rows["N"]) - rows["post"] / q[3]
        return x + (np.log1p(-np.exp(-np.exp(q[4]) * (rows["weights"] - rows["post"]))) if robust_too else 0.0)

    for question, robust_too in (
        ("law of δ for both precisions, R² of ln", True),
        ("the same without robustness", False),
    ):
        start = [-6.0, 0.7, 0.25, 0.65] + [0.0] * robust_too
        q = robust(lambda q, r=robust_too: (np.log(cells["delta"]) - said(q, cells, r)).to_numpy(), start)
        y = np.log(low["delta"])
        yield question, pytest.approx(r2(y, y - said(q, low, robust_too)), abs=1e-3)
