"""Trained in few bits, served in fewer: whether low-precision training makes a model robust."""

from __future__ import annotations

import numpy as np

from precsim import laws
from precsim.evidence import fitted
from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import TWINS, explained, number, redraw
from precsim.evidence.rows import served_like_trained, trained_and_rounded
from precsim.runs import Table


def damage_ratios(table: Table, post: float) -> tuple[list[float], np.ndarray]:
    """Widths of training above `post` bits, and δ of models trained at each over δ of those in full precision.

    Geometric means over cells of N and D; the ratio's first line is the table's, the others are redraws'. Models of
    one seed and language are redrawn together.
    """
    rows = trained_and_rounded(table, bits=(post,))
    _, widths, means = redraw(rows, unit=TWINS).table("delta", ["N", "D"], "weights")
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    ratio = np.exp(np.nanmean(logs[..., :-1] - logs[..., -1:], axis=1))
    return [float(b) for b in widths[:-1]], ratio


def robustness(table: Table) -> tuple[Finding, ...]:
    """δ at 3 bits after training at 4, 5, 6 and 8 bits over δ after full precision; below 1, training made robust."""
    rows = trained_and_rounded(table, bits=(3,))
    answers = []
    widths, ratio = damage_ratios(table, 3)
    for width, values in zip(widths, ratio.T, strict=True):
        some = rows.loc[rows["weights"].isin([width, np.inf])]
        question = f"δ at 3 bits, trained at {width:.0f} over trained in full precision"
        surely = number(values).high < 1
        answers.append(found(question, "< 1 (the paper)", values, some, lambda _, surely=surely: surely))
    return tuple(answers)


def unified_law(table: Table) -> tuple[Finding, ...]:
    """Share of the variance of ln δ of single models that the paper's law for both precisions explains.

    The law is fitted to the means of cells. The second finding is Kumar's law, which ignores the bits of training.
    """
    rows = trained_and_rounded(table)
    counts = redraw(rows, unit=TWINS).counts
    setting = {name: rows[name].to_numpy() for name in ("weights", "post")}

    def share(form: laws.Law) -> np.ndarray:
        return explained(rows["delta"], fitted.robust(table, form).law(rows["N"], rows["D"], **setting), counts)

    both, plain = share(laws.RobustDegradation(C_a=1.0, C_kv=1.0)), share(laws.KumarDegradation())
    question = "law of δ for both precisions, R² of ln"
    return (
        found(question, "≥ 0.90 (the paper)", both, rows, lambda r2: r2 >= 0.90),
        found("the same without robustness", STATED, plain, rows),
    )


def best_training(table: Table) -> tuple[Finding, ...]:
    """Share of the cells in which the models with the least gap when served in P bits were trained in P bits."""
    answers = []
    for post in (3, 4):
        served = served_like_trained(table, post)
        _, widths, means = redraw(served, unit=TWINS).table("gap", ["N", "D"], "weights")
        known = np.isfinite(means).all(axis=2)
        best = widths[np.argmin(means, axis=2)] == post
        share = (best & known).sum(axis=1) / known.sum(axis=1)
        question = f"cells in which training at {post} bits is best for serving at {post} bits"
        answers.append(found(question, STATED, share, served))
    return tuple(answers)
