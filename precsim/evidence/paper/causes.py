"""What the growth of δ is made of: weights, relative curvature, and the part of rate, weight decay and steps.

The batch of controls has every peak rate with every weight decay, and two batch sizes beside the usual one, in the same
cells: size, data, language. Whatever is compared is compared within a cell, and cells are drawn again for intervals.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from precsim.evidence import resampling, rows
from precsim.evidence.paper import other_settings, our_fits
from precsim.evidence.resampling import Number
from precsim.evidence.rows import budget
from precsim.runs import Table

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
    ratios: dict[str, Number]


@functools.cache
def networks() -> Table:
    """Networks of the controls in full precision: δ at 4 bits with weight_rms, curvature and gap as trained.

    Column cell names size, data and language; data of different batch sizes differ by less than a batch and count as
    equal.
    """
    full = rows.in_full(other_settings.controls())
    hurt = rows.rounded(full, bits=(4,))[["job", "delta"]]
    kept = [*rows.CELL, "job", "factor", "weight_rms", "curvature", "gap"]
    table = rows.untreated(full)[kept].merge(hurt, on="job")
    table = table.assign(cell_D=budget(table["D"]))
    table = table.assign(cell=table[_CELL].astype(str).agg("/".join, axis=1))
    return table.assign(group=table.groupby("cell").ngroup())


def _usual(some: Table) -> Table:
    return some.loc[(some["factor"] == 1) & (some["weight_decay"] == 0) & (some["batch_tokens"] == 2048)]


def ratio(column: str, *, factor: float = 1.0, decay: float = 0.0, batch: float = 2048) -> Number:
    """Median over cells of a column under a setting, over the same cell under the usual one."""
    every = networks()
    mine = every.loc[every["factor"].eq(factor) & every["weight_decay"].eq(decay) & every["batch_tokens"].eq(batch)]
    both = mine[["cell", "N", "D", column]].merge(_usual(every)[["cell", column]], on="cell", suffixes=("", "_usual"))
    both = both.assign(ratio=both[column] / both[f"{column}_usual"]).dropna()
    return resampling.median(both, "ratio", unit=("cell",))


def effects() -> tuple[Effect, ...]:
    """Rates, decays and batches, one changed at a time, with the ratios of the `QUANTITIES`."""
    asked: list[tuple[str, dict[str, float]]] = [(f"rate × {x:g}", {"factor": x}) for x in (0.25, 0.5, 2.0, 4.0)]
    asked += [(f"weight decay {x:g}", {"decay": x}) for x in (0.01, 0.1, 0.3)]
    asked += [
        ("4 times the steps (batch 512)", {"batch": 512.0}),
        ("a quarter of the steps (batch 8192)", {"batch": 8192.0}),
    ]
    out = []
    for words, setting in asked:
        columns = [c for c in QUANTITIES if c != "curvature" or "batch" not in setting]  # probed at one batch size
        out.append(Effect(words, {c: ratio(c, **setting) for c in columns}))
    return tuple(out)


def power_of_rate(column: str, decay: float = 0.0) -> Number:
    """Exponent of the peak rate in a column at this weight decay, within cells."""
    some = networks()
    some = some.loc[(some["weight_decay"] == decay) & (some["batch_tokens"] == 2048)]
    return _within(some, column, "factor", unit=("cell",))


def power_of_steps(column: str) -> Number:
    """Exponent of the number of steps in a column at given data, rate and decay, within cells, by three batch sizes."""
    some = networks()
    some = some.loc[(some["weight_decay"] == 0) & (some["factor"] == 1)]
    return _within(some.assign(rate=1 / some["batch_tokens"]), column, "rate", unit=("cell",))


def power_of_data(column: str, decay: float, factor: float = 1.0) -> Number:
    """Exponent of D in a column at this weight decay and rate, within size and language; networks are drawn again."""
    some = networks()
    some = some.loc[some["weight_decay"].eq(decay) & some["factor"].eq(factor) & some["batch_tokens"].eq(2048)]
    return _within(some.assign(group=some.groupby(["N", "language_seed"]).ngroup()), column, "D")


def sum_of_exponents() -> Number:
    """β + γ_D of our law, which is 1 in the linear teacher whatever its spectrum; both are drawn again together."""
    return resampling.of_law(our_fits.served_fit(), lambda law: law.parameters["beta"] + law.parameters["gamma_D"])


def _within(some: Table, column: str, cause: str, unit: tuple[str, ...] = resampling.NETWORK) -> Number:
    """Slope of ln column by ln cause, each group with a level of its own."""
    drawn = resampling.redraw(some.dropna(subset=[column]), unit=unit)
    x, y = (np.log(drawn.rows[name].to_numpy(dtype=float)) for name in (cause, column))
    return resampling.number(resampling.slope(x, y, drawn.rows["group"].to_numpy(), drawn.counts))
