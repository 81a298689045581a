"""Damage δ of rounding the weights of models trained in full precision: its law, and whether it predicts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from precsim import laws
from precsim.evidence import rows as selections
from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import Redrawn, draws, explained, redraw
from precsim.evidence.rows import UNDERTRAINED
from precsim.fitting.fits import Fit, fit
from precsim.runs import Table, slices

_GRID = (2, 3, 4, 5, 6)


def damage_rate(table: Table) -> Finding:
    """How fast damage falls with bits from 3 to 6, over what the steps of the grid alone say."""
    question, bar = "ln δ(3 bits)/δ(6 bits) over theory", "1 ± 0.05"
    rows = selections.late(selections.damage(table))
    theory = math.log((2**5 - 1) / (2**2 - 1)) * 2  # squared ratio of the steps at 3 and at 6 bits
    _, bits, means = redraw(rows).table("delta", ["N", "D"], "post")
    fall = np.log(means[..., bits == 3] / means[..., bits == 6])
    return found(question, bar, np.nanmean(fall, axis=(1, 2)) / theory, rows, lambda x: abs(x - 1) <= 0.05)


def damage_rises(table: Table) -> Finding:
    """Share of the steps from one budget to the next, all else equal, in which mean damage rises."""
    question, bar = "steps in D in which δ rises, 2–6 bits", "≥ 0.95"
    rows = selections.damage(table, bits=_GRID)
    return found(question, bar, rising(redraw(rows), ["N", "post"], "D"), rows, lambda share: share >= 0.95)


def damage_falls(table: Table) -> Finding:
    """Share of the steps from one size to the next, at fixed D, in which mean damage falls."""
    question, bar = "steps in N at fixed D in which δ falls, 2–6 bits", "≥ 0.95"
    rows = selections.damage(table, bits=_GRID)
    return found(question, bar, 1 - rising(redraw(rows), ["D", "post"], "N"), rows, lambda share: share >= 0.95)


def damage_law(table: Table) -> Finding:
    """Share of the variance of ln δ of single models that Kumar's law explains, 3 to 6 bits, D/N ≥ 60."""
    question, bar = f"law of δ, single models of D/N ≥ {UNDERTRAINED}, R² of ln", "≥ 0.98 over ≥ 2,000"
    rows = selections.late(selections.damage(table))
    return law_of_logarithms(question, bar, rows, lambda r2: r2 >= 0.98 and len(rows) >= 2000)


def damage_law_everywhere(table: Table) -> Finding:
    """The same share over every size and budget that is not held out."""
    rows = selections.free(slices.rounded_after(table, batch=selections.FULL))
    return law_of_logarithms("the same, every size and budget", STATED, rows)


def law_of_logarithms(question: str, bar: str, rows: Table, met: Callable[[float], bool] | None = None) -> Finding:
    """R² of least squares on ln δ, in which Kumar's law is linear."""
    rows = rows.loc[rows["delta"] > 0]
    drawn = redraw(rows)
    rows, counts = drawn.rows, drawn.counts
    x = np.column_stack([np.ones(len(rows)), np.log(rows["D"]), np.log(rows["N"]), rows["post"]])
    x[:, 1:] -= x[:, 1:].mean(axis=0)
    y = np.log(rows["delta"].to_numpy())
    products = np.einsum("ri,rj->rij", x, x).reshape(len(rows), -1)
    normal, right = (counts @ products).reshape(-1, 4, 4), counts @ (x * y[:, None])
    squares = (np.linalg.solve(normal, right[..., None])[..., 0] * right).sum(axis=1)
    level = (counts @ y) ** 2 / counts.sum(axis=1)
    return found(question, bar, (squares - level) / (counts @ y**2 - level), rows, met)


def held_out_size(table: Table) -> Finding:
    """Median error of the law of δ on sizes larger than any it was fitted to."""
    return _held_out(table, "median error", np.nanmedian)


def held_out_worst(table: Table) -> Finding:
    """Largest error of the law of δ on a cell of those sizes."""
    return _held_out(table, "worst cell", np.nanmax)


def extrapolated(table: Table) -> Table:
    """Cells of sizes larger than the three smallest, with δ as measured and as the law says that was fitted to those.

    Returns
    -------
    DataFrame
        N, D, post, rows, delta, predicted.
    """
    rows, small = _by_size(table)
    cells, means = redraw(rows, draws=1).means("delta", ["N", "D", "post"])
    predicted = small.law(cells["N"], cells["D"], post=cells["post"])
    large = (cells["N"] > small.runs["N"].max()).to_numpy()
    return cells.assign(delta=means[0], predicted=predicted).loc[large].reset_index(drop=True)


def _by_size(table: Table) -> tuple[Table, Fit]:
    """Rows with those of the larger sizes that are held out, and the law of δ fitted to the three smallest sizes."""
    rows = selections.late(selections.sized(slices.rounded_after(table, batch=selections.FULL)))
    largest = sorted(rows["N"].unique())[2]
    rows = rows.loc[(rows["N"] > largest) | ~rows["holdout"].astype(bool)]
    small = slices.cells(rows.loc[rows["N"] <= largest])
    return rows, fit(laws.KumarDegradation(), small, strict=False)


def law_of_small(table: Table) -> Fit:
    """The law of δ fitted to the three smallest sizes at D/N ≥ 60, that the larger ones are predicted with."""
    return _by_size(table)[1]


def _held_out(table: Table, what: str, summary: Callable[[np.ndarray], float]) -> Finding:
    """Measured cells are redrawn by models, and those that the law was fitted to by cells."""
    rows, small = _by_size(table)
    rows = rows.loc[rows["N"] > small.runs["N"].max()]
    cells, means = redraw(rows).means("delta", ["N", "D", "post"])
    where = {"N": cells["N"].to_numpy(float), "D": cells["D"].to_numpy(float), "post": cells["post"].to_numpy(float)}
    forms = (small.law, *draws(small))
    errors = [np.abs(line / law(**where) - 1) for line, law in zip(means, forms, strict=False)]
    seen = extrapolated(table)
    error = np.abs(seen["delta"] / seen["predicted"] - 1)
    worst = seen.loc[error.idxmax()]
    words = f"{int((error <= 0.15).sum())} of {len(seen)} cells within ±15 %"
    if summary is np.nanmax:
        words = f"N = {worst['N']:,.0f}, D = {worst['D']:.3g}, {worst['post']:.0f} bits, {worst['rows']:.0f} models"
    question, bar = f"law of δ on sizes larger than those fitted: {what}", "≤ 0.15"
    return found(question, bar, [summary(one) for one in errors], rows, lambda error: error <= 0.15, words)


def second_order(table: Table) -> Finding:
    """Share of the variance of ln δ that curvature and rounding error predict with nothing fitted."""
    question, bar = "δ from curvature, no constant fitted, R² of ln", "≥ 0.98"
    rows = selections.curved(table)
    values = explained(rows["delta"], rows["second_order"], redraw(rows).counts)
    return found(question, bar, values, rows, lambda r2: r2 >= 0.98)


def predictions(table: Table) -> Table:
    """Measured and predicted damage of models trained in full precision: columns N, D, post, second_order, delta."""
    rows = selections.curved(table, bits=_GRID)
    return rows[["N", "D", "post", "second_order", "delta"]].reset_index(drop=True)


def rising(drawn: Redrawn, by: list[str], along: str) -> np.ndarray:
    """Share of the steps from one value of `along` to the next in which mean δ rises, for each redraw."""
    steps = np.diff(drawn.table("delta", by, along)[2], axis=2)
    known = np.isfinite(steps)
    return (steps > 0).sum(axis=(1, 2)) / known.sum(axis=(1, 2))
