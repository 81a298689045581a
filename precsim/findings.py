"""What the open table of runs was made to decide: each question asked of it once, with an interval and a bar.

Every function takes the table and returns a `Finding`. The bars were set before the runs were made. Intervals come
from resampling whole models, so that the evaluations of one model stay together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from precsim import laws, slices
from precsim.fitting import fit

SMALLEST = 24_000  # parameters of the smallest size that is expected to follow a law
UNDERTRAINED = 60  # tokens per parameter below which a run has few steps, and damage is still small
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: what was asked, the bar, what came out, and whether it was met.

    Attributes
    ----------
    question, bar : str
    value : float
        NaN where the table has no rows for it yet.
    low, high : float
        95 % interval, by resampling models; NaN where the value is a count.
    rows : int
        Evaluations that it rests on.
    models : int
        Trained models among them.
    met : bool or None
        None where there is nothing to judge yet.
    """

    question: str
    bar: str
    value: float
    low: float
    high: float
    rows: int
    models: int
    met: bool | None

    @property
    def cells(self) -> tuple[str, ...]:
        """Words for one row of a table."""
        if math.isnan(self.value):
            return (self.question, self.bar, "not made yet", "", "", "")
        found = f"{self.value:,.4g}" if self.value < 1000 else f"{self.value:,.0f}"
        band = "" if math.isnan(self.low) else f"{self.low:.4g} to {self.high:.4g}"
        return (self.question, self.bar, found, band, f"{self.models:,}", "yes" if self.met else "no")


def all_of(table: Any) -> tuple[Finding, ...]:
    """Every finding, in the order in which the questions were asked."""
    asked = (models, evaluations, base_law, damage_rate, damage_rises, damage_falls, damage_law, held_out_size)
    return tuple(question(table) for question in (*asked, second_order, seed_noise, schedule))


def models(table: Any) -> Finding:
    """How many models were trained."""
    count = table["job"].nunique()
    return Finding("trained models", "≥ 5,000", count, math.nan, math.nan, len(table), count, count >= 5000)


def evaluations(table: Any) -> Finding:
    """How many evaluations there are, as trained or rounded after training."""
    count, jobs = len(table), table["job"].nunique()
    return Finding("evaluations", "≥ 100,000", count, math.nan, math.nan, count, jobs, count >= 100_000)


def base_law(table: Any) -> Finding:
    """Share of the variance of ln(excess loss) that Chinchilla's form explains in full precision, E known."""
    rows: Any = slices.as_trained(table, only=())
    rows = _lawful(rows.assign(loss=rows["gap"], entropy=0.0), least=20)

    def share(sample: Any) -> float:
        return fit(laws.Chinchilla(E=0.0), sample, strict=False).r2

    return _found("Chinchilla's form in full precision, R² of ln", "≥ 0.99", share, rows, lambda r2: r2 >= 0.99, 60)


def damage_rate(table: Any) -> Finding:
    """How fast damage falls with bits from 3 to 6, over what the steps of the grid alone say."""
    rows = _damage(table)
    theory = math.log((2**5 - 1) / (2**2 - 1)) * 2  # squared ratio of the steps at 3 and at 6 bits

    def rate(sample: Any) -> float:
        means = sample.groupby(["N", "D", "post"])["delta"].mean().unstack("post")
        return float(np.mean(np.log(means[3.0] / means[6.0]))) / theory

    bar = "1 ± 0.05"
    return _found("ln δ(3 bits)/δ(6 bits) over theory", bar, rate, rows, lambda x: abs(x - 1) <= 0.05)


def damage_rises(table: Any) -> Finding:
    """Share of the steps from one budget to the next, all else equal, in which mean damage rises."""
    rows = _damage(table, least=0, bits=(2, 3, 4, 5, 6))
    question = "steps in D in which δ rises, 2–6 bits"
    return _found(question, "≥ 0.95", lambda sample: _steps(sample, "D", up=True), rows, lambda share: share >= 0.95)


def damage_falls(table: Any) -> Finding:
    """Share of the steps from one size to the next, at fixed D, in which mean damage falls."""
    rows = _damage(table, least=0, bits=(2, 3, 4, 5, 6))
    question = "steps in N at fixed D in which δ falls, 2–6 bits"
    return _found(question, "≥ 0.95", lambda sample: _steps(sample, "N", up=False), rows, lambda share: share >= 0.95)


def damage_law(table: Any) -> Finding:
    """Share of the variance of ln δ of single models that Kumar's law explains, 3 to 6 bits."""
    rows = _damage(table)
    rows = rows[rows["delta"] > 0]
    question, bar = "law of δ, single models, R² of ln", "≥ 0.98 over ≥ 2,000"
    return _found(question, bar, _r2_of_damage, rows, lambda r2: r2 >= 0.98 and len(rows) >= 2000, 60)


def held_out_size(table: Any) -> Finding:
    """Median error of the law of δ on the largest size, from a fit to all smaller ones."""
    rows: Any = slices.cells(_damage(table))
    sizes = sorted(rows["N"].unique())
    question, bar = "law of δ on the largest size, held out: median error", "≤ 0.15"
    if len(sizes) < 4:
        return _nothing(question, bar)
    complete = [n for n in sizes if rows.loc[rows["N"] == n, "D"].nunique() > 1]
    largest = complete[-1]
    law = fit(laws.KumarDegradation(), rows[rows["N"] < largest], strict=False).law
    last = rows[rows["N"] == largest]
    error = np.abs(last["delta"] / law(last["N"], last["D"], post=last["post"]) - 1).to_numpy()
    drawn = np.median(np.random.default_rng(0).choice(error, (2000, len(error))), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = float(np.median(error))
    return Finding(question, bar, value, low, high, len(last), int(last["runs"].sum()), value <= 0.15)


def second_order(table: Any) -> Finding:
    """Share of the variance of ln δ that curvature and rounding error predict with nothing fitted."""
    rows = _damage(table, least=0)
    rows = rows[(rows["delta"] > 0) & np.isfinite(rows["second_order"])]

    def share(sample: Any) -> float:
        seen, predicted = np.log(sample["delta"]), np.log(sample["second_order"])
        return float(1 - np.sum((seen - predicted) ** 2) / np.sum((seen - seen.mean()) ** 2))

    question = "δ from curvature, no constant fitted, R² of ln"
    return _found(question, "≥ 0.98", share, rows, lambda r2: r2 >= 0.98)


def predictions(table: Any) -> Any:
    """Measured and predicted damage of models trained in full precision: columns N, D, post, second_order, delta."""
    rows = _damage(table, least=0, bits=(2, 3, 4, 5, 6))
    rows = rows[(rows["delta"] > 0) & np.isfinite(rows["second_order"])]
    return rows[["N", "D", "post", "second_order", "delta"]].reset_index(drop=True)


def seed_noise(table: Any) -> Finding:
    """Relative standard deviation of the gap between models that differ in their seed alone, pooled over cells."""
    rows: Any = slices.as_trained(table)
    rows = rows[rows["N"] >= SMALLEST]
    cell = ["N", "D", "weights", "language_seed"]
    relative = rows["gap"] / rows.groupby(cell)["gap"].transform("mean")
    free = rows.groupby(cell)["gap"].transform("size")
    kept = (free > 1).to_numpy()
    squares = ((relative - 1) ** 2 * free / (free - 1))[kept].to_numpy()
    if not len(squares):
        return _nothing("spread of the gap between seeds", "stated")
    drawn = np.random.default_rng(0).choice(squares, (_DRAWS, len(squares))).mean(axis=1)
    low, high = np.sqrt(np.quantile(drawn, [0.025, 0.975]))
    value = float(np.sqrt(squares.mean()))
    return Finding("spread of the gap between seeds", "stated", value, low, high, len(squares), len(squares), True)


def schedule(table: Any) -> Finding:
    """Exponent of D in δ along runs whose learning rate never falls, over that of separate runs under a full cosine."""
    rows = table[(table["batch"] == "schedules") & (table["post"] == 4)]
    question, bar = "exponent of D in δ: constant rate over full cosines (1: the data; 0: the decay)", "stated"
    rows = rows[(rows["step"] == rows["steps"]) & rows["schedule"].str.startswith(("Constant", "Cosine"))]

    def ratio(sample: Any) -> float:
        slopes = {}
        for kind, some in sample.groupby(sample["schedule"].str.partition("(")[0]):
            centered = some[["D", "delta", "N"]].assign(D=np.log(some["D"]), delta=np.log(some["delta"]))
            centered[["D", "delta"]] -= centered.groupby("N")[["D", "delta"]].transform("mean")
            slopes[kind] = float(centered["D"] @ centered["delta"] / (centered["D"] @ centered["D"]))
        return slopes["Constant"] / slopes["Cosine"]

    return _found(question, bar, ratio, rows, math.isfinite)  # the question had no bar but an answer with its interval


def _lawful(rows: Any, least: float) -> Any:
    """Rows of sizes and budgets that a law is expected to describe, none of them held out."""
    keep = (rows["N"] >= SMALLEST) & (rows["D"] >= least * rows["N"])
    return rows[keep & ~rows["holdout"].astype(bool)]


def _damage(table: Any, least: float = UNDERTRAINED, bits: tuple[float, ...] = (3, 4, 5, 6)) -> Any:
    """Models trained in full precision, rounded to integers by channel; runs that are held out are left out."""
    return _lawful(slices.rounded_after(table, bits=bits), least)


def _steps(rows: Any, along: str, *, up: bool) -> float:
    fixed = [name for name in ("N", "D", "post") if name != along]
    means = rows.groupby([*fixed, along])["delta"].mean().unstack(along).to_numpy(dtype=float)
    steps = np.diff(means, axis=1)
    steps = steps[np.isfinite(steps)]
    return float(np.mean(steps > 0 if up else steps < 0))


def _r2_of_damage(rows: Any) -> float:
    return fit(laws.KumarDegradation(), rows, strict=False).r2


def _found(
    question: str,
    bar: str,
    measure: Callable[[Any], float],
    rows: Any,
    met: Callable[[float], bool],
    draws: int = _DRAWS,
) -> Finding:
    """A measure of rows with its interval: models are drawn again with replacement within each (N, D)."""
    if rows.empty:
        return _nothing(question, bar)
    rng = np.random.default_rng(0)
    where = rows.reset_index(drop=True).groupby("job", sort=False).indices
    trained = rows.drop_duplicates("job")
    cells = list(trained.groupby(["N", "D"], sort=False)["job"].agg(list))
    values = []
    for _ in range(draws):
        chosen = [job for cell in cells for job in rng.choice(cell, len(cell))]
        sample = rows.iloc[np.concatenate([where[job] for job in chosen])]
        copy = np.repeat(np.arange(len(chosen)), [len(where[job]) for job in chosen])
        values.append(measure(sample.assign(job=copy)))  # a model drawn twice counts as two
    value = measure(rows)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Finding(question, bar, value, float(low), float(high), len(rows), len(trained), bool(met(value)))


def _nothing(question: str, bar: str) -> Finding:
    return Finding(question, bar, math.nan, math.nan, math.nan, 0, 0, None)
