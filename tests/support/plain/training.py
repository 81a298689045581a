"""What few bits in training cost, part by part and together, by the plainest means."""

from __future__ import annotations

import numpy as np
import pytest
from support.plain.rows import INF, UNIT, curve, ends, full, level_slope, ratios, robust

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
