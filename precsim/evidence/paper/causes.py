"""What the growth of δ is made of: weights, relative curvature, and the part of rate, weight decay and steps.

The batch of controls has every peak rate with every weight decay, and two batch sizes beside the usual one, in the same
cells: size, data, language. Whatever is compared is compared within a cell, and cells are drawn again for intervals.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from precsim.evidence.paper import doubt, other_settings, our_fits

_CELL = ["N", "cell_D", "language_seed"]
#: Quantities of a network in full precision: column, and words with the unit.
QUANTITIES = {
    "delta": "δ at 4 bits",
    "weight_rms": "weights, rms",
    "curvature": "relative curvature",
    "gap": "gap",
}


class Effect(NamedTuple):
    """A setting and what it does: each number is a ratio to the usual setting, median over cells."""

    setting: str
    ratios: dict[str, doubt.Number]


@functools.cache
def networks() -> Any:
    """Networks of the controls in full precision: δ at 4 bits with weight_rms, curvature and gap as trained.

    Column cell names size, data and language; data of different batch sizes differ by less than a batch and count as
    equal.
    """
    rows = other_settings.controls()
    if not len(rows):
        return rows
    full = rows[np.isinf(rows["weights"])]
    hurt = our_fits.rounded(full, low=4, high=4)[["job", "delta"]]
    kept = [*our_fits.CELL, "job", "factor", "weight_rms", "curvature", "gap"]
    table = our_fits.as_trained(full)[kept].merge(hurt, on="job")
    table = table.assign(cell_D=np.round(np.log(table["D"] / 5e5) / np.log(2.5)).astype(int))
    table = table.assign(cell=table[_CELL].astype(str).agg("/".join, axis=1))
    return table.assign(group=table.groupby("cell").ngroup())


def _usual(rows: Any) -> Any:
    return rows[(rows["factor"] == 1) & (rows["weight_decay"] == 0) & (rows["batch_tokens"] == 2048)]


def ratio(column: str, *, factor: float = 1.0, decay: float = 0.0, batch: int = 2048) -> doubt.Number:
    """Median over cells of a column under a setting, over the same cell under the usual one."""
    rows = networks()
    mine = rows[(rows["factor"] == factor) & (rows["weight_decay"] == decay) & (rows["batch_tokens"] == batch)]
    both = mine[["cell", column]].merge(_usual(rows)[["cell", column]], on="cell", suffixes=("", "_usual"))
    both = both.assign(ratio=both[column] / both[f"{column}_usual"]).dropna()
    return doubt.median(both, "ratio", by="cell")


def effects() -> tuple[Effect, ...]:
    """Rates, decays and batches, one changed at a time, with the ratios of the `QUANTITIES`."""
    if not len(networks()):
        return ()
    asked: list[tuple[str, dict[str, Any]]] = [(f"rate × {x:g}", {"factor": x}) for x in (0.25, 0.5, 2.0, 4.0)]
    asked += [(f"weight decay {x:g}", {"decay": x}) for x in (0.01, 0.1, 0.3)]
    asked += [
        ("4 times the steps (batch 512)", {"batch": 512}),
        ("a quarter of the steps (batch 8192)", {"batch": 8192}),
    ]
    out = []
    for words, setting in asked:
        columns = [c for c in QUANTITIES if c != "curvature" or "batch" not in setting]  # probed at one batch size
        out.append(Effect(words, {c: ratio(c, **setting) for c in columns}))
    return tuple(out)


def power_of_rate(column: str, decay: float = 0.0) -> doubt.Number:
    """Exponent of the peak rate in a column at this weight decay, within cells."""
    rows = networks()
    rows = rows[(rows["weight_decay"] == decay) & (rows["batch_tokens"] == 2048)].dropna(subset=[column])
    return doubt.resampled(rows, lambda t: _within(t, column, "factor"), by="cell")


def power_of_steps(column: str) -> doubt.Number:
    """Exponent of the number of steps in a column at given data, rate and decay, within cells, by three batch sizes."""
    rows = networks()
    rows = rows[(rows["weight_decay"] == 0) & (rows["factor"] == 1)].dropna(subset=[column])
    return doubt.resampled(rows.assign(rate=1 / rows["batch_tokens"]), lambda t: _within(t, column, "rate"), by="cell")


def power_of_data(column: str, decay: float, factor: float = 1.0) -> doubt.Number:
    """Exponent of D in a column at this weight decay and rate, within size and language; networks are drawn again."""
    rows = networks()
    rows = rows[(rows["weight_decay"] == decay) & (rows["factor"] == factor) & (rows["batch_tokens"] == 2048)]
    rows = rows.assign(group=rows.groupby(["N", "language_seed"]).ngroup()).dropna(subset=[column])
    return doubt.resampled(rows, lambda t: _within(t, column, "D"))


def sum_of_exponents() -> doubt.Number:
    """β + γ_D of our fits, which is 1 in the linear teacher whatever its spectrum; both fits see the same networks."""
    base, hurt = our_fits.base_fit(), our_fits.damage_fit()
    beta, growth = doubt.draws(base).values["beta"], doubt.draws(hurt).values["gamma_D"]
    some = min(len(beta), len(growth))
    tail = 50 * (1 - doubt.LEVEL)
    low, high = np.percentile(beta[:some] + growth[:some], [tail, 100 - tail])
    return doubt.Number(base.law.beta + hurt.law.gamma_D, float(low), float(high))


def _within(rows: Any, column: str, cause: str) -> float:
    """Slope of ln column by ln cause, each cell with a level of its own."""
    cells = rows["group"].to_numpy(int)
    counts = np.maximum(np.bincount(cells), 1)
    y, x = (np.log(rows[c].to_numpy(float)) for c in (column, cause))
    y, x = (v - (np.bincount(cells, v) / counts)[cells] for v in (y, x))
    return float(x @ y / (x @ x)) if x @ x > 0 else float("nan")
