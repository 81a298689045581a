"""Trained in few bits, served in fewer: whether low-precision training makes a model robust."""

from __future__ import annotations

from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.findings._finding import STATED, Finding, found, nothing
from precsim.evidence.resampling import redraw
from precsim.evidence.rows import SMALLEST
from precsim.fitting.fits import fit
from precsim.runs import slices

_TRAINED = (3, 4, 5, 6, 8, np.inf)


def _rows(table: Any) -> Any:
    rows: Any = slices.rounded_after(table, bits=(2, 3, 4, 5, 6), trained=_TRAINED)
    rows = rows[(rows["N"] >= SMALLEST) & ~rows["holdout"].astype(bool)]
    return rows[rows["post"] < rows["weights"]]


def damage_ratios(table: Any, post: float) -> tuple[list[float], np.ndarray]:
    """Widths of training above `post` bits, and δ of models trained at each over δ of those in full precision.

    Geometric means over cells of N and D; the ratio's first line is the table's, the others are redraws'. Models of
    one seed and language are redrawn together.
    """
    rows = _rows(table)
    rows = rows[rows["post"] == post]
    drawn = redraw(rows, unit=("N", "D", "language_seed", "seed"))
    _, widths, means = drawn.table("delta", ["N", "D"], "weights")
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    ratio = np.exp(np.nanmean(logs[..., :-1] - logs[..., -1:], axis=1))
    return [float(b) for b in widths[:-1]], ratio


def robustness(table: Any) -> tuple[Finding, ...]:
    """δ at 3 bits after training at 4, 5, 6 and 8 bits over δ after full precision; below 1, training made robust."""
    rows = _rows(table)
    bar = "< 1 (the paper)"
    if rows.empty:
        return (nothing("δ at 3 bits, trained at 4 over trained in full precision", bar),)
    widths, ratio = damage_ratios(table, 3)
    answers = []
    for i, width in enumerate(widths):
        some = rows[(rows["post"] == 3) & rows["weights"].isin([width, np.inf])]
        question = f"δ at 3 bits, trained at {width:.0f} over trained in full precision"
        high = np.quantile(ratio[1:, i], 0.975)
        answers.append(found(question, bar, ratio[:, i], some, lambda _, high=high: bool(high < 1)))
    return tuple(answers)


def unified_law(table: Any) -> tuple[Finding, ...]:
    """Share of the variance of ln δ of single models that the paper's law for both precisions explains.

    The law is fitted to the means of cells. The second finding is Kumar's law, which ignores the bits of training.
    """
    rows = _rows(table)
    questions = {
        "law of δ for both precisions, R² of ln": laws.RobustDegradation(C_a=1.0, C_kv=1.0),
        "the same without robustness": laws.KumarDegradation(),
    }
    bars = ("≥ 0.90 (the paper)", STATED)
    if rows.empty:
        return tuple(nothing(question, bar) for question, bar in zip(questions, bars, strict=True))
    drawn = redraw(rows, unit=("N", "D", "language_seed", "seed"), draws=24)
    cells, means = drawn.means("delta", ["N", "D", "weights", "post"])
    y = np.log(rows["delta"].clip(lower=1e-12).to_numpy())
    setting = {name: rows[name].to_numpy() for name in ("weights", "post")}
    answers = []
    for (question, form), bar in zip(questions.items(), bars, strict=True):
        values = []
        for line, often in zip(means, drawn.counts, strict=True):
            kept = np.isfinite(line)
            law = fit(form, cells[kept].assign(delta=line[kept]), strict=False).law
            said = np.asarray(law(rows["N"], rows["D"], **setting))
            weight = often * (rows["delta"].to_numpy() > 0) * (said > 0)
            off = y - np.log(np.maximum(said, 1e-12))
            values.append(1 - weight @ off**2 / (weight @ (y - weight @ y / weight.sum()) ** 2))
        met = (lambda r2: r2 >= 0.90) if bar != STATED else None
        answers.append(found(question, bar, values, rows, met))
    return tuple(answers)


def best_training(table: Any) -> tuple[Finding, ...]:
    """Share of the cells in which the models with the least gap when served in P bits were trained in P bits."""
    answers = []
    for post in (3, 4):
        question = f"cells in which training at {post} bits is best for serving at {post} bits"
        served: Any = slices.rounded_after(table, bits=(post,), trained=_TRAINED)
        served = served[(served["N"] >= SMALLEST) & ~served["holdout"].astype(bool) & (served["weights"] >= post)]
        if served.empty:
            answers.append(nothing(question, STATED))
            continue
        drawn = redraw(served, unit=("N", "D", "language_seed", "seed"))
        _, widths, means = drawn.table("gap", ["N", "D"], "weights")
        best = widths[np.argmin(means, axis=2)]
        answers.append(found(question, STATED, (best == post).mean(axis=1), served))
    return tuple(answers)
