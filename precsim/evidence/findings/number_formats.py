"""Formats at equal bits: what a split into exponent and significand, or a scale for each block, is worth.

The measure is the number of bits of an integer, one scale for each channel, that does the same damage. It is read
off the line through the integers' damages in logarithm, so that 0.5 bits mean the same at 3 and at 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precsim.equality import Record
from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import TWINS, Redrawn, number, redraw
from precsim.evidence.rows import against_full, formats_after_training, formats_in_training
from precsim.runs import Table

_NAMES = {  # formats of blocks, by element and scaling
    ("FP4_E2M1", "block 32 E8M0"): "MXFP4",
    ("FP6_E2M3", "block 32 E8M0"): "MXFP6",
    ("FP8_E4M3", "block 32 E8M0"): "MXFP8",
    ("INT8/2^6", "block 32 E8M0"): "MXINT8",
    ("FP4_E2M1", "block 16 two-level"): "NVFP4",
    ("NF4", "block 64"): "NF4",
}


@dataclass(frozen=True, slots=True, eq=False)
class Worth(Record):
    """What a format costs, and how many bits of integers by channel would cost the same.

    Attributes
    ----------
    name : str
    bits : float
        Storage bits of one weight, its share of a block's scale included.
    cost, cost_low, cost_high : float
        Mean cost and its 95 % interval: ln of the gap over that of full precision, or δ [nats/token].
    worth, low, high : float
        Integer bits of equal cost, with their interval; NaN outside the integers' range.
    models : int
    """

    name: str
    bits: float
    cost: float
    cost_low: float
    cost_high: float
    worth: float
    low: float
    high: float
    models: int

    @property
    def cells(self) -> tuple[str, ...]:
        """Words for one row of a table."""
        worth = f"{self.worth:.2f}" if np.isfinite(self.worth) else "off the scale"
        band = f"{self.low:.2f} to {self.high:.2f}" if np.isfinite([self.low, self.high]).all() else ""
        cost = f"{self.cost:.3g}" if np.isfinite(self.cost) else "below noise"
        between = (
            f"{self.cost_low:.3g} to {self.cost_high:.3g}" if np.isfinite([self.cost_low, self.cost_high]).all() else ""
        )
        return (self.name, f"{self.bits:g}", cost, between, worth, band)


def in_training(table: Table) -> tuple[Worth, ...]:
    """Cost of training in each format, by storage: ln of the gap over that of full precision.

    Runs of the batch "formats" and the integer runs of "main" in the same cells, each against the run in full
    precision of its size, data, language and seed.
    """
    rows, drawn = _trained(table)
    return _worth(rows, *_by_label(drawn, "cost"))


def after_training(table: Table) -> tuple[Worth, ...]:
    """Damage δ of rounding the weights of models trained in full precision to each format, D/N of 60 or more."""
    rows, drawn = _rounded(table)
    return _worth(rows, *_by_label(drawn, "delta"))


def _trained(table: Table) -> tuple[Table, Redrawn]:
    rows = against_full(*formats_in_training(table))
    rows = rows.assign(label=labels(rows, "weights"), bits=rows["weights"], cost=np.log(rows["ratio"]))
    everywhere = np.isfinite(rows["activations"]).to_numpy()
    rows["label"] = np.where(everywhere, rows["label"] + ", everything", rows["label"])
    return rows, redraw(rows, unit=TWINS)


def _rounded(table: Table) -> tuple[Table, Redrawn]:
    rows = formats_after_training(table)
    rows = rows.assign(label=labels(rows, "post"), bits=rows["post"])
    return rows, redraw(rows)


def labels(rows: Table, prefix: str) -> np.ndarray:
    """Names of formats: their own, that of the family for blocks, and "by tensor" for one scale in all."""
    pairs = zip(rows[f"{prefix}_format"], rows[f"{prefix}_scaling"], strict=True)
    return np.array([_NAMES.get(pair, pair[0] + (", by tensor" if pair[1] == "tensor" else "")) for pair in pairs])


def _by_label(drawn: Redrawn, column: str) -> tuple[list[str], np.ndarray]:
    """Labels and, for every redraw, the logarithm of the cost of each.

    δ varies a hundredfold between cells: the mean over cells of the logarithm of its mean in each. Costs of training
    are of like size everywhere and can be negative in a single cell: the logarithm of their mean.
    """
    if column == "delta":
        _, labels, means = drawn.table(column, ["N", "D"], "label")
    else:
        cells, means = drawn.means(column, ["label"])
        labels, means = cells["label"], means[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return list(labels), np.log(np.where(means > 0, means, np.nan)).mean(axis=1)


def _worth(rows: Table, labels: list[str], logs: np.ndarray) -> tuple[Worth, ...]:
    bits = rows.groupby("label")["bits"].first()
    models = rows.groupby("label")["job"].nunique()
    grid = [b for b in range(2, 9) if f"INT{b}" in labels and np.isfinite(logs[0, labels.index(f"INT{b}")])]
    scale = logs[:, [labels.index(f"INT{b}") for b in grid]]
    out = []
    for i, label in enumerate(labels):
        read = np.array([_read(line, scale[k], grid) for k, line in enumerate(logs[:, i])])
        middle, low, high = np.exp(_band(logs[:, i]))
        worth = _band(read)
        here = float(bits[label]), float(middle), float(low), float(high), *map(float, worth)
        out.append(Worth(str(label), *here, models=int(models[label])))
    return tuple(sorted(out, key=lambda one: (one.bits, -np.nan_to_num(one.cost))))


def _read(value: float, scale: np.ndarray, grid: list[int]) -> float:
    """Bits at which the falling line through (grid, scale) has this value; NaN beyond its ends."""
    known = np.isfinite(scale)
    if not known.any():
        return np.nan
    return float(np.interp(-value, -scale[known], np.array(grid)[known], left=np.nan, right=np.nan))


def _band(values: np.ndarray) -> np.ndarray:
    """The first of the values, and the ends of the 95 % interval of the others; NaN where many of them are."""
    if not np.isfinite(values[0]) or np.isnan(values[1:]).mean() > 0.025:
        return np.array([values[0], np.nan, np.nan])
    return np.array(number(values))


def formats(table: Table) -> tuple[Finding, ...]:
    """Cost of every format of 4 bits or little more over that of 4-bit integers by channel, in training and after."""
    return (*_over_integers("training in", *_trained(table), "cost"), *formats_rounded_to(table))


def formats_rounded_to(table: Table) -> tuple[Finding, ...]:
    """The same after training alone."""
    return _over_integers("rounding afterwards to", *_rounded(table), "delta")


def _over_integers(when: str, rows: Table, drawn: Redrawn, column: str) -> tuple[Finding, ...]:
    names = ("FP4_E1M2", "FP4_E2M1", "FP4_E3M0", "NF4", "MXFP4", "NVFP4")
    labels, logs = _by_label(drawn, column)
    four = logs[:, labels.index("INT4")]
    return tuple(
        found(
            f"{when} {name}: cost over INT4's",
            STATED,
            np.exp(logs[:, labels.index(name)] - four),
            rows[rows["label"].isin([name, "INT4"])],
            verdict=f"{rows.loc[rows['label'] == name, 'bits'].iloc[0]:g} bits stored",
        )
        for name in names
        if name in labels
    )
