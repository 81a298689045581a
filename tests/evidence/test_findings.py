"""Every number that the book quotes from the open table, computed again by the plainest means.

Nothing here uses the package's laws, slices, fits or resampling: only pandas, polynomial fits, least squares.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

import precsim as ps
from precsim.evidence import findings
from precsim.evidence.findings import critical, number_formats
from precsim.evidence.findings.finding import Finding, found

INF = np.inf
UNIT = ["N", "D", "language_seed", "seed"]


@pytest.fixture(scope="module")
def table():
    return ps.load_runs("precsim-2026")


@pytest.fixture(scope="module")
def answers(table):
    return {finding.question: finding for finding in findings.all_of(table)}


# -- plain slices ----------------------------------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
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


# -- the table and rounding after training ---------------------------------------------------------------------------


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


# -- training in few bits --------------------------------------------------------------------------------------------

PARTS = {
    "weights, a scale for each channel": ("w", ""),
    "activations, one scale for a tensor": ("a", "tensor"),
    "activations, a scale for each token": ("a", "token"),
    "KV cache": ("k", ""),
    "all combined, activations by tensor": ("wak", "tensor"),
    "all combined, activations by token": ("wak", "token"),
}
COLUMNS = {"w": "weights", "a": "activations", "k": "kv"}


def of_part(table, part):
    letters, scaling = PARTS[part]
    batch = "main" if letters == "w" else "parts"
    rows = ends(table, batch)
    rows = rows[rows["N"] > 24_000]
    for letter, column in COLUMNS.items():
        if letter not in letters:
            rows = rows[np.isinf(rows[column])]
    rows = rows[np.isinf(rows[list(COLUMNS.values())]).sum(axis=1) < 3]
    if scaling:
        rows = rows[np.isinf(rows["activations"]) | (rows["activations_scaling"] == scaling)]
    return ratios(rows, full(table, batch))


def cells_of(rows, p):
    rows = rows.assign(loss=curve(p, rows["N"], rows["D"]) * rows["ratio"])
    return rows.groupby(["N", "D", *COLUMNS.values()]).agg(loss=("loss", "mean"), flag=("holdout", "max")).reset_index()


def saturating(q, cells, letters, drifting):
    """The sum of ln(1/f) of the tensors: c·e^(−P/γ) each, times powers of D and N."""
    total = 0.0
    for letter, own in zip(letters, np.split(np.asarray(q), len(letters)), strict=True):
        damage = np.exp(own[0] - cells[COLUMNS[letter]] / np.exp(own[1]))
        if drifting:
            damage = damage * (cells["D"] / 1e7) ** own[2] * (cells["N"] / 1e5) ** -own[3]
        total = total + damage
    return total


def offset(q, cells, letters, drifting):
    total = 0.0
    for letter, own in zip(letters, np.split(np.asarray(q), len(letters)), strict=True):
        total = total - np.log(np.maximum(1 - np.exp(own[0] - cells[COLUMNS[letter]] / np.exp(own[1])), 1e-9))
    return total


def residuals(cells, p, letters, form, drifting):
    def off(q):
        shrunk = cells["N"] * np.exp(-form(q, cells, letters, drifting))
        return (np.log(curve(p, shrunk, cells["D"])) - np.log(cells["loss"])).to_numpy()

    return off


def error_held_out(cells, p, letters, form, start, drifting):
    folds = [cells["N"] == cells["N"].max(), cells["D"] == cells.groupby("N")["D"].transform("max")]
    if len(letters) == 1:
        folds += [cells[COLUMNS[letters]] == bits for bits in (3, 4, 5, 6)]
    seen, times = np.zeros(len(cells)), np.zeros(len(cells))
    for fold in folds:
        q = robust(residuals(cells[~fold], p, letters, form, drifting), start)
        seen[fold] += np.abs(residuals(cells[fold], p, letters, form, drifting)(q))
        times += fold
    return np.sum(seen) / np.sum(times)


def plain_training(table, p):
    for part, (letters, _) in PARTS.items():
        rows = of_part(table, part)
        cells = cells_of(rows, p)
        cells = cells[~cells["flag"]].reset_index(drop=True)
        start = [2.5, 0.2, 0.2, -0.2] * len(letters)
        off = residuals(cells, p, letters, saturating, True)
        error = error_held_out(cells, p, letters, saturating, start, True)
        yield f"{part}: mean error held out", pytest.approx(error, rel=0.03)
        if len(letters) > 1:
            continue
        yield f"exponent of D in ln(N/N_eff), {part}", pytest.approx(robust(off, start)[2], abs=3e-3)
        some = rows[(rows[COLUMNS[letters]] <= 4) & ~rows["holdout"]].assign(added=lambda r: r["gap"] - r["full"])
        means = some.groupby(["N", "D", COLUMNS[letters]])["added"].mean().reset_index()
        yield (
            f"exponent of D in the gap added by 2–4 bits, {part}",
            level_slope(means, np.log(means["added"]), ["N", COLUMNS[letters]]),
        )
    cells = cells_of(of_part(table, "weights, a scale for each channel"), p)
    q = robust(residuals(cells[~cells["flag"]], p, "w", saturating, True), [2.5, 0.2, 0.2, -0.2])
    error = np.abs(residuals(cells[cells["flag"]], p, "w", saturating, True)(q)).mean()
    yield "weights, declared extrapolation set: mean error", pytest.approx(error, rel=0.03)


def plain_joint(table, p):
    reference = full(table, "parts").set_index(UNIT)["gap"]
    runs = {}
    for row in ends(table, "parts").to_dict("records"):
        key = tuple(row[name] for name in UNIT)
        base = curve(p, row["N"], row["D"])
        nats = row["gap"] - reference[key]
        lost = np.log1p(base * nats / reference[key] / (np.exp(p[0]) * row["N"] ** -p[2])) / p[2]
        bits = tuple(row[name] for name in COLUMNS.values())
        runs[key, bits, row["activations_scaling"] if np.isfinite(bits[1]) else ""] = lost, nats
    sums: dict[str, list] = {}
    for (key, bits, scaling), (lost, nats) in runs.items():
        if np.isfinite(bits).sum() < 2:
            continue
        alone = []
        for i, b in enumerate(bits):
            if np.isfinite(b):
                one = [INF, INF, INF]
                one[i] = b
                alone.append(runs[key, tuple(one), scaling if i == 1 else ""])
        words = " × ".join(n for n, b in zip(("weights", "activations", "KV"), bits, strict=True) if np.isfinite(b))
        kind = words + (f" by {scaling}" if scaling else "")
        for name in (kind, "all"):
            sums.setdefault(name, []).append((lost, sum(a[0] for a in alone), nats, sum(a[1] for a in alone)))
    for name, values in sums.items():
        lost, expected, nats, total = np.sum(values, axis=0)
        if name == "all":
            question = "product law, all combinations: ln(N/N_eff) over its sum"
            yield "gap added together over the sum of the gaps added alone", nats / total
        else:
            question = f"product law, {name}"
        yield question, pytest.approx(lost / expected, abs=2e-3)
    cost = {}
    for name, column, scaling in (
        ("w", "weights", ""),
        ("te", "activations", "tensor"),
        ("to", "activations", "token"),
        ("k", "kv", ""),
    ):
        logs = []
        for bits in (3.0, 4.0):
            rows = ends(table, "parts")
            others = [c for c in COLUMNS.values() if c != column]
            rows = rows[(rows[column] == bits) & np.isinf(rows[others]).all(axis=1)]
            rows = rows[rows["activations_scaling"] == scaling]
            logs.append(
                np.log(np.mean(np.log(rows["gap"].to_numpy() / reference[rows.set_index(UNIT).index].to_numpy())))
            )
        cost[name] = np.mean(logs)
    yield "ln gap added at 3 and 4 bits, activations by tensor over weights", np.exp(cost["te"] - cost["w"])
    yield "the same, activations by token over weights", np.exp(cost["to"] - cost["w"])
    yield "the same, KV cache over weights", np.exp(cost["k"] - cost["w"])
    share = (cost["te"] - cost["to"]) / (cost["te"] - cost["w"])
    yield "share of activations' extra cost (log scale) that a scale for each token removes", share


# -- formats, both precisions ----------------------------------------------------------------------------------------

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


# -- controls and elsewhere ------------------------------------------------------------------------------------------


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


# -- critical data ---------------------------------------------------------------------------------------------------


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


# -- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_findings_agree_with_the_plainest_computation(table, answers, chinchilla):
    plain = dict(plain_counts(table)) | dict(plain_damage(table)) | dict(plain_critical(table))
    plain |= dict(plain_training(table, chinchilla)) | dict(plain_joint(table, chinchilla))
    plain |= dict(plain_formats(table)) | dict(plain_robustness(table))
    plain |= dict(plain_controls(table)) | dict(plain_elsewhere(table))
    assert set(plain) == set(answers), "every finding has a plain computation"
    wrong = {}
    for question, value in plain.items():
        expected = value if type(value).__name__.startswith("Approx") else pytest.approx(float(value), rel=1e-6)
        if answers[question].value != expected:
            wrong[question] = (answers[question].value, value)
    assert wrong == {}


@pytest.mark.slow
def test_every_finding_says_what_it_rests_on_and_lies_in_its_interval(answers):
    for question, finding in answers.items():
        assert finding.models > 0, question
        assert finding.rows >= finding.models, question
        if not math.isnan(finding.low):
            assert finding.low < finding.high or finding.low == finding.value == finding.high, question
            width = finding.high - finding.low
            assert finding.low - width <= finding.value <= finding.high + width, question


@pytest.mark.slow
def test_the_paper_offset_form_predicts_worse_than_the_drifting_one(table, chinchilla, answers):
    """The verdict in words, from plain fits of both forms."""
    for part in ("weights, a scale for each channel", "KV cache"):
        letters = PARTS[part][0]
        cells = cells_of(of_part(table, part), chinchilla)
        cells = cells[~cells["flag"]].reset_index(drop=True)
        error = error_held_out(cells, chinchilla, letters, offset, [0.9, 0.6], False)
        finding = answers[f"{part}: mean error held out"]
        assert finding.verdict.startswith("drifting predicts best")
        said = float(finding.verdict.rsplit(" ", 1)[1].rstrip("%")) / 100
        assert said == pytest.approx(error, rel=0.05)
        assert error > finding.high


@pytest.mark.slow
def test_the_sentences_of_the_pages_hold(table, answers):
    """What the chapters say in words between the tables, so that another table would make them fail here."""
    value = {question: finding.value for question, finding in answers.items()}
    claims = {
        bar: [f.met for f in answers.values() if f.bar == f"{bar} (the paper)"] for bar in ("0", "1", "< 1", "≥ 0.90")
    }
    assert sum(map(len, claims.values())) == sum(finding.of_the_paper for finding in answers.values())
    assert all(claims["< 1"] + claims["≥ 0.90"])
    assert not any(claims["0"] + claims["1"])
    like = {
        question: [q for q in answers if q.startswith(question)]
        for question in ("exponent of D in the gap", "product law")
    }
    assert all(answers[q].low > 0 for q in like["exponent of D in the gap"])
    assert all(answers[q].high < 1 for q in like["product law"])
    held_out = [finding for q, finding in answers.items() if q.endswith(("error held out", "set: mean error"))]
    assert len(held_out) == 7
    assert all(f.verdict.startswith("drifting predicts best") for f in held_out)
    assert answers["gap added together over the sum of the gaps added alone"].high < 1
    tensor, token = (
        "ln gap added at 3 and 4 bits, activations by tensor over weights",
        "the same, activations by token over weights",
    )
    assert (
        answers[tensor].low
        > answers[token].high
        > answers[token].low
        > 1
        > answers["the same, KV cache over weights"].high
    )
    assert 0.5 < value["share of activations' extra cost (log scale) that a scale for each token removes"] < 1
    constant = answers["exponent of D in δ: constant rate over full cosines (1: the data; 0: the decay)"]
    assert constant.low <= 1 <= constant.high
    decays = [finding for q, finding in answers.items() if q.endswith("over constant rate, same tokens")]
    assert all(0.98 < f.low and f.value < 1.25 for f in decays)
    by_steps = answers["exponent of steps in δ at 4 bits, at fixed tokens"]
    assert by_steps.high < answers["exponent of tokens in δ at 4 bits, at fixed steps"].low
    growth = value["exponent of D in δ at 4 bits"]
    assert value["exponent of D in the mean square of the weights"] == pytest.approx(growth, abs=0.05)
    assert value["exponent of D in the trace of the Hessian"] < growth / 5
    assert 1 / value["mean square of the weights, weight decay 0.3 over none"] > 20
    assert value["δ at 4 bits, weight decay 0.3 over none"] == pytest.approx(0.5, abs=0.05)
    change = answers["exponent of D in δ at 4 bits, weight decay 0.3 less none (−exponent: growth stopped)"]
    assert change.high < 0
    much, none = (float(word) for word in change.verdict.removeprefix("exponents ").split(" and "))
    assert 0.4 < much < none
    assert value["cells in which training at 3 bits is best for serving at 3 bits"] > 0.95
    assert value["δ of GPTQ over rounding to nearest, 3–5 bits"] == pytest.approx(0.5, abs=0.05)
    assert answers["exponent of D in that ratio (GPTQ)"].low > 0 > answers["exponent of D in that ratio (AWQ)"].high
    within = answers["law of δ on sizes larger than those fitted: median error"].verdict.split()
    assert int(within[0]) > int(within[2]) / 2
    assert "2 models" in answers["law of δ on sizes larger than those fitted: worst cell"].verdict
    assert answers["training in FP4_E1M2: cost over INT4's"].low == 1 == value["training in FP4_E1M2: cost over INT4's"]
    worth = {one.name: one.worth for one in number_formats.after_training(table)}
    pairs = (("FP6_E3M2", "FP8_E5M2"), ("FP6_E2M3", "FP8_E4M3"))  # exponent bits beyond two buy next to nothing
    assert all(abs(worth[a] - worth[b]) < 0.1 for a, b in pairs)
    turns = critical.turns(table)
    assert all(turn.inside for turn in turns)
    assert all(1.5 < turn.predicted.value / turn.tokens < 4 for turn in turns if turn.bits == 2)
    assert value["critical data at 3 and 4 bits, the law's over the measured: geometric mean"] < 1.2
    rows = lawful(rounded(table, bits=(4,)), 0).groupby(["N", "D"])["delta"].mean().unstack()
    assert (rows.loc[55296].max() / rows.loc[55296].min()) > 10


@pytest.mark.slow
def test_formats_are_worth_integer_bits(table):
    """By one's own interpolation between the integers; an integer is worth itself."""
    worth = {one.name: one for one in number_formats.after_training(table)}
    for bits in range(2, 9):
        assert worth[f"INT{bits}"].worth == pytest.approx(bits)
    rows = table[table["batch"].isin(["main", "repeats"]) & np.isinf(table["weights"])]
    rows = lawful(rows[(rows["post_method"] == "rtn")])
    means = rows.groupby(["post_format", "post_scaling", "N", "D"])["delta"].mean()
    level = np.log(means).groupby(["post_format", "post_scaling"]).mean()
    scale = [level[f"INT{bits}", "channel"] for bits in range(2, 9)]
    place = np.interp(-level["NF4", "block 64"], -np.array(scale), np.arange(2, 9))
    assert worth["NF4"].worth == pytest.approx(place, rel=1e-9)
    assert worth["NF4"].bits == 4.5


def test_the_minimum_of_a_parabola_is_found_exactly_and_ends_are_said_to_be_ends():
    x = np.log(np.array([1e6, 2.5e6, 6e6, 2e7]))
    lines = np.stack([(x - np.log(3e6)) ** 2, x, -x])
    assert critical._minimum(x, lines) == pytest.approx([3e6, -INF, INF])


def test_words_of_a_finding():
    rows = pd.DataFrame({"job": ["a", "a", "b"]})
    met = found("q", "≥ 1", [2.0, 1.5, 2.5], rows, lambda value: value >= 1)
    assert met.cells == ("q", "2", "1.525 to 2.475", "2", "≥ 1: yes")
    assert found("q", "≥ 1", [2.0, 0.5, 2.5], rows, lambda value: value >= 1).cells[-1] == "≥ 1: yes, not surely"
    assert found("q", "stated", [2.0, 1.5, 2.5], rows, verdict="so").cells == ("q (so)", "2", "1.525 to 2.475", "2", "")
    assert found("q", "1 (the paper)", [2.0], rows, lambda value: value == 1).cells[-1] == "1 (the paper): no"
    assert found("q", "1 (the paper)", [2.0], rows, lambda value: value == 1).of_the_paper
    assert isinstance(met, Finding)


def test_an_unknown_topic_is_refused(table):
    with pytest.raises(ValueError, match=r"no findings on 'weather'; the topics are the table, rounding"):
        findings.on("weather", table)
