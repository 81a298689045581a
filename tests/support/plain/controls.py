"""Rates, schedules and batches, and networks and texts of another kind, by the plainest means."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain.rows import UNIT, curve, ends, full, lawful, level_slope, r2, ratios, robust, rounded
from support.plain.training import cells_of, error_held_out, saturating


def plain_controls(table):
    rows = table[(table["batch"] == "schedules") & (table["post"] == 4) & (table["step"] == table["steps"])]
    kind = rows["schedule"].str.split("(").str[0]
    constant, cosine = (
        level_slope(r, np.log(r["delta"]), ["N"]) for r in (rows[kind == "Constant"], rows[kind == "Cosine"])
    )
    yield "exponent of D in δ: constant rate over full cosines (1: the data; 0: the decay)", constant / cosine
    still = rows[kind == "Constant"].groupby(UNIT)["delta"].mean().rename("still").reset_index()
    for name, mark in (
        ("full cosine", "Cosine"),
        ("linear decay", "Linear"),
        *((f"decay over the last {d:.0%}", f"decay={d},") for d in (0.05, 0.2, 0.5)),
    ):
        both = rows[rows["schedule"].str.contains(mark, regex=False)].merge(still, on=UNIT)
        question = f"δ at 4 bits, {name} over constant rate, same tokens"
        yield question, np.exp(np.log(both["delta"] / both["still"]).mean())
    rows = lawful(rounded(table, bits=(4,)), 0)
    rows = rows[rows["curvature"] > 0]
    for question, y in (
        ("exponent of D in δ at 4 bits", rows["delta"]),
        ("exponent of D in the mean square of the weights", rows["weight_rms"] ** 2),
        ("exponent of D in the trace of the Hessian", rows["curvature"] / rows["weight_rms"] ** 2),
    ):
        yield question, level_slope(rows, np.log(y), ["N", "language_seed"])
    at_four = rounded(table, batch=("controls",), bits=(4,))
    trained = full(table, "controls")
    usual = [some[some["batch_tokens"] == 2048] for some in (at_four, trained)]
    for what, some, values in (
        ("δ at 4 bits", usual[0], usual[0]["delta"]),
        ("mean square of the weights", usual[1], usual[1]["weight_rms"] ** 2),
        ("gap in full precision", usual[1], usual[1]["gap"]),
    ):
        logs = some.assign(y=np.log(values)).groupby([*UNIT, "learning_rate", "weight_decay"])["y"].mean().unstack()
        yield f"{what}, weight decay 0.3 over none", np.exp((logs[0.3] - logs[0.0]).mean())
    none, much = (usual[0][usual[0]["weight_decay"] == decay] for decay in (0.0, 0.3))
    change = [level_slope(r, np.log(r["delta"]), ["N", "learning_rate"]) for r in (much, none)]
    yield "exponent of D in δ at 4 bits, weight decay 0.3 less none (−exponent: growth stopped)", change[0] - change[1]
    plain = [some[some["weight_decay"] == 0] for some in usual]
    question = "exponent of the peak learning rate in δ at 4 bits"
    yield question, level_slope(plain[0], np.log(plain[0]["delta"]), ["N", "D"], x="learning_rate")
    question = "exponent of the peak learning rate in the gap in full precision"
    yield question, level_slope(plain[1], np.log(plain[1]["gap"]), ["N", "D"], x="learning_rate")
    rate = at_four[at_four["batch_tokens"] == 512].groupby("N")["learning_rate"].first()
    some = at_four[(at_four["weight_decay"] == 0) & np.isclose(at_four["learning_rate"], at_four["N"].map(rate))]
    x = np.c_[np.log(some["steps"]), np.log(some["D"]), some["N"] == 24576, some["N"] != 24576].astype(float)
    by_steps, by_tokens = np.linalg.lstsq(x, np.log(some["delta"]))[0][:2]
    yield "exponent of steps in δ at 4 bits, at fixed tokens", by_steps
    yield "exponent of tokens in δ at 4 bits, at fixed steps", by_tokens


def plain_elsewhere(table):
    for batch, where in (("facts", "MLPs on facts"), ("text", "King James Bible")):
        rows = rounded(table, batch=(batch,))
        means = rows.groupby(["model", "post", "D"])["delta"].mean()
        steps = np.concatenate([np.diff(some) for _, some in means.groupby(["model", "post"])])
        yield f"{where}: steps in D in which δ rises", np.mean(steps > 0)
        means = means.reset_index()
        logs = np.log(means["delta"])
        yield f"{where}: exponent of D in δ", level_slope(means, logs, ["model", "post"])
        means["bit"] = np.exp(means["post"])
        yield f"{where}: fall of ln δ for each bit", -level_slope(means, logs, ["model", "D"], x="bit")
        key = ["model", "D", "language_seed", "seed"]
        trained = ends(table, batch)
        reference = trained[np.isinf(trained["weights"])].set_index(key)["loss"].rename("full").reset_index()
        low = trained[trained["weights"].isin([3, 4])].merge(reference, on=key)
        added = (
            (low["loss"] - low["full"]).groupby([low["model"], low["D"], low["weights"]]).mean().reset_index(name="a")
        )
        question = f"{where}: exponent of D in the loss added by training at 3–4 bits"
        yield question, level_slope(added, np.log(added["a"]), ["model", "weights"])
    rows = rounded(table, batch=("facts",))
    rows = rows[rows["delta"] > 0]
    x = np.c_[np.ones(len(rows)), np.log(rows["D"]), np.log(rows["N"]), rows["post"]]
    y = np.log(rows["delta"])
    yield "MLPs on facts: law of δ, single models, R² of ln", r2(y, y - x @ np.linalg.lstsq(x, y)[0])
    rows = full(table, "facts")

    def off(p):
        return np.log(curve(p, rows["N"], rows["D"]) / rows["gap"])

    p = robust(off, [2.0, 4.0, 0.3, 0.35])
    share = r2(np.log(rows["gap"]), off(p))
    yield "MLPs on facts: Chinchilla's form, R² of ln", pytest.approx(share, abs=2e-4)
    means = rows.groupby(["N", "D"])["gap"].mean().reset_index()
    p = robust(lambda p: np.log(curve(p, means["N"], means["D"]) / means["gap"]), p)
    low = ends(table, "facts")
    cells = cells_of(ratios(low[np.isfinite(low["weights"])], rows), p)
    error = error_held_out(cells, p, "w", saturating, [2.5, 0.2, 0.2, -0.2], True)
    question = "MLPs on facts: mean error held out of the best form of effective parameters"
    yield question, pytest.approx(error, rel=0.03)
    rows = table[(table["batch"] == "main") & table["post_method"].isin(["rtn", "gptq", "awq"]) & ~table["holdout"]]
    rows = rows[(rows["post_scaling"] == "channel") & rows["post_format"].isin(["INT3", "INT4", "INT5"])]
    for method in ("gptq", "awq"):
        pairs = rows[rows["post_method"] == method].merge(
            rows[rows["post_method"] == "rtn"], on=["job", "N", "D", "post"], suffixes=("", "_rtn")
        )
        y = np.log(pairs["delta"] / pairs["delta_rtn"])
        yield f"δ of {method.upper()} over rounding to nearest, 3–5 bits", np.exp(y.mean())
        yield f"exponent of D in that ratio ({method.upper()})", level_slope(pairs, y, ["N", "post"])
