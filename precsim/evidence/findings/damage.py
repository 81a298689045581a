"""Damage δ of rounding the weights of models trained in full precision: its law, and whether it predicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.findings._finding import STATED, Finding, found, nothing
from precsim.evidence.resampling import Redrawn, redraw
from precsim.evidence.rows import FULL, SMALLEST, UNDERTRAINED, damage
from precsim.fitting.fits import fit
from precsim.runs import slices

_GRID = (2, 3, 4, 5, 6)


def damage_rate(table: Any) -> Finding:
    """How fast damage falls with bits from 3 to 6, over what the steps of the grid alone say."""
    question, bar = "ln δ(3 bits)/δ(6 bits) over theory", "1 ± 0.05"
    rows = damage(table)
    if rows.empty:
        return nothing(question, bar)
    theory = math.log((2**5 - 1) / (2**2 - 1)) * 2  # squared ratio of the steps at 3 and at 6 bits
    _, bits, means = redraw(rows).table("delta", ["N", "D"], "post")
    fall = np.log(means[..., bits == 3] / means[..., bits == 6])
    return found(question, bar, np.nanmean(fall, axis=(1, 2)) / theory, rows, lambda x: abs(x - 1) <= 0.05)


def damage_rises(table: Any) -> Finding:
    """Share of the steps from one budget to the next, all else equal, in which mean damage rises."""
    question, bar = "steps in D in which δ rises, 2–6 bits", "≥ 0.95"
    rows = damage(table, least=0, bits=_GRID)
    if rows.empty:
        return nothing(question, bar)
    return found(question, bar, _rising(redraw(rows), ["N", "post"], "D"), rows, lambda share: share >= 0.95)


def damage_falls(table: Any) -> Finding:
    """Share of the steps from one size to the next, at fixed D, in which mean damage falls."""
    question, bar = "steps in N at fixed D in which δ falls, 2–6 bits", "≥ 0.95"
    rows = damage(table, least=0, bits=_GRID)
    if rows.empty:
        return nothing(question, bar)
    return found(question, bar, 1 - _rising(redraw(rows), ["D", "post"], "N"), rows, lambda share: share >= 0.95)


def damage_law(table: Any) -> Finding:
    """Share of the variance of ln δ of single models that Kumar's law explains, 3 to 6 bits, D/N ≥ 60."""
    question, bar = f"law of δ, single models of D/N ≥ {UNDERTRAINED}, R² of ln", "≥ 0.98 over ≥ 2,000"
    rows = damage(table)
    return explained(question, bar, rows, lambda r2: r2 >= 0.98 and len(rows) >= 2000)


def damage_law_everywhere(table: Any) -> Finding:
    """The same share over every size and budget that is not held out."""
    rows: Any = slices.rounded_after(table, batch=FULL)
    return explained("the same, every size and budget", STATED, rows[~rows["holdout"].astype(bool)], None)


def explained(question: str, bar: str, rows: Any, met: Any = None) -> Finding:
    """R² of least squares on ln δ, in which Kumar's law is linear."""
    rows = rows[rows["delta"] > 0]
    if rows.empty:
        return nothing(question, bar)
    drawn = redraw(rows)
    rows, counts = drawn.rows, drawn.counts
    x = np.column_stack([np.ones(len(rows)), np.log(rows["D"]), np.log(rows["N"]), rows["post"]])
    x[:, 1:] -= x[:, 1:].mean(axis=0)
    y = np.log(rows["delta"].to_numpy())
    products = np.einsum("ri,rj->rij", x, x).reshape(len(rows), -1)
    normal, right = (counts @ products).reshape(-1, 4, 4), counts @ (x * y[:, None])
    explained = (np.linalg.solve(normal, right[..., None])[..., 0] * right).sum(axis=1)
    number, total = counts.sum(axis=1), counts @ y
    level = total**2 / number
    return found(question, bar, (explained - level) / (counts @ y**2 - level), rows, met)


def held_out_size(table: Any) -> Finding:
    """Median error of the law of δ on sizes larger than any it was fitted to."""
    return _held_out(table, "median error", np.nanmedian)


def held_out_worst(table: Any) -> Finding:
    """Largest error of the law of δ on a cell of those sizes."""
    return _held_out(table, "worst cell", np.nanmax)


def extrapolated(table: Any) -> Any:
    """Cells of sizes larger than the three smallest, with δ as measured and as the law says that was fitted to those.

    Returns
    -------
    DataFrame
        N, D, post, rows, delta, predicted; empty where the table has no such sizes.
    """
    rows, sizes = _by_size(table)
    if len(sizes) < 4:
        return rows.head(0)
    cells, line, predicted = next(_predicted(rows, sizes[2], draws=0))
    large = (cells["N"] > sizes[2]).to_numpy()
    return cells[large].assign(delta=line[large], predicted=predicted[large]).reset_index(drop=True)


def _by_size(table: Any) -> tuple[Any, list[int]]:
    rows: Any = slices.rounded_after(table, batch=FULL)
    rows = rows[(rows["N"] >= SMALLEST) & (rows["D"] >= UNDERTRAINED * rows["N"])]
    return rows, sorted(rows.loc[~rows["holdout"].astype(bool), "N"].unique())


def _predicted(rows: Any, largest: int, draws: int) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Cells, mean δ and predicted δ, of the table and of each redraw; fitted to sizes up to `largest`."""
    rows = rows[(rows["N"] > largest) | ~rows["holdout"].astype(bool)]
    cells, means = redraw(rows, draws=draws).means("delta", ["N", "D", "post"])
    small = (cells["N"] <= largest).to_numpy()
    for line in means:
        law = fit(laws.KumarDegradation(), cells[small].assign(delta=line[small]), strict=False).law
        yield cells, line, np.asarray(law(cells["N"], cells["D"], post=cells["post"]))


def _held_out(table: Any, what: str, summary: Any) -> Finding:
    question, bar = f"law of δ on sizes larger than those fitted: {what}", "≤ 0.15"
    rows, sizes = _by_size(table)
    if len(sizes) < 4:
        return nothing(question, bar)
    values = []
    for cells, line, predicted in _predicted(rows, sizes[2], draws=60):
        large = (cells["N"] > sizes[2]).to_numpy()
        values.append(summary(np.abs(line / predicted - 1)[large]))
    seen = extrapolated(table)
    error = np.abs(seen["delta"] / seen["predicted"] - 1)
    worst = seen.loc[error.idxmax()]
    words = f"{int((error <= 0.15).sum())} of {len(seen)} cells within ±15 %"
    if summary is np.nanmax:
        words = f"N = {worst['N']:,.0f}, D = {worst['D']:.3g}, {worst['post']:.0f} bits, {worst['rows']:.0f} models"
    return found(question, bar, values, rows[rows["N"] > sizes[2]], lambda error: error <= 0.15, words)


def second_order(table: Any) -> Finding:
    """Share of the variance of ln δ that curvature and rounding error predict with nothing fitted."""
    question, bar = "δ from curvature, no constant fitted, R² of ln", "≥ 0.98"
    rows = damage(table, least=0)
    rows = rows[(rows["delta"] > 0) & np.isfinite(rows["second_order"])]
    if rows.empty:
        return nothing(question, bar)
    drawn = redraw(rows)
    seen, off = np.log(rows["delta"].to_numpy()), np.log((rows["delta"] / rows["second_order"]).to_numpy())
    number = drawn.counts.sum(axis=1)
    variance = drawn.counts @ seen**2 / number - (drawn.counts @ seen / number) ** 2
    return found(question, bar, 1 - drawn.counts @ off**2 / number / variance, rows, lambda r2: r2 >= 0.98)


def predictions(table: Any) -> Any:
    """Measured and predicted damage of models trained in full precision: columns N, D, post, second_order, delta."""
    rows = damage(table, least=0, bits=_GRID)
    rows = rows[(rows["delta"] > 0) & np.isfinite(rows["second_order"])]
    return rows[["N", "D", "post", "second_order", "delta"]].reset_index(drop=True)


def _rising(drawn: Redrawn, by: list[str], along: str) -> np.ndarray:
    """Share of the steps from one value of `along` to the next in which mean δ rises, for each redraw."""
    steps = np.diff(drawn.table("delta", by, along)[2], axis=2)
    known = np.isfinite(steps)
    return (steps > 0).sum(axis=(1, 2)) / known.sum(axis=(1, 2))
