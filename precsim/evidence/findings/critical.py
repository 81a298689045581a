"""Critical data: the tokens after which a longer training makes the model that is served worse."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from precsim import laws
from precsim.equality import Record
from precsim.evidence import fitted
from precsim.evidence.findings.finding import STATED, Finding, counted, found
from precsim.evidence.resampling import DRAWS, Number, number, of_law, redraw
from precsim.evidence.rows import turning
from precsim.fitting.fits import Fit
from precsim.runs import Table

BITS = (2, 3, 4)


@dataclass(frozen=True, slots=True, eq=False)
class Turn(Record):
    """Where the loss of a model of one size, rounded to some bits, is least over the budgets of its data.

    Attributes
    ----------
    N : int
    bits : float
    tokens, low, high : float
        Critical D and its 95 % interval, by redrawing models; −inf: below the least budget, inf: above the largest.
    least, most : int
        The budgets that were trained.
    predicted : Number
        The law's critical D with its 95 % interval.
    models : int
    """

    N: int
    bits: float
    tokens: float
    low: float
    high: float
    least: int
    most: int
    predicted: Number
    models: int

    @property
    def inside(self) -> bool:
        """Whether the minimum lies between two budgets, by the whole interval."""
        return bool(np.all(np.isfinite([self.tokens, self.low, self.high])))

    @property
    def cells(self) -> tuple[str, ...]:
        """Words for one row of a table, in million tokens."""
        middle, low, high = self.predicted
        band = f"{self._words(self.low)} to {self._words(self.high)}" if self.low != self.high else ""
        return (
            f"{self.N:,}",
            f"{self.bits:.0f}",
            self._words(self.tokens),
            band,
            f"{middle / 1e6:.3g}",
            f"{low / 1e6:.3g} to {high / 1e6:.3g}",
        )

    def _words(self, tokens: float) -> str:
        if math.isinf(tokens):
            return f"> {self.most / 1e6:.3g}" if tokens > 0 else f"< {self.least / 1e6:.3g}"
        return f"{tokens / 1e6:.3g}"


def turns(table: Table, bits: tuple[float, ...] = BITS, law: Fit | None = None) -> tuple[Turn, ...]:
    """The critical data of every size that has three budgets or more, measured and predicted.

    The mean loss of the rounded models of each budget is interpolated by a parabola in ln D through its least value
    and the two beside it. Gaps are freed of the effect of their language (the largest budget has one language only).
    Runs that are held out and the shortest runs are measured too (`precsim.evidence.rows.turning`), and in no fit.

    Parameters
    ----------
    table : DataFrame
    bits : tuple of float
    law : Fit, optional
        That predicts; by default `precsim.evidence.fitted.served`.
    """
    law = law or fitted.served(table)
    out = []
    for (N, P), some in turning(table, bits).groupby(["N", "post"]):
        if some["D"].nunique() < 3:
            continue
        drawn = redraw(_balanced(some))
        _, budgets, means = drawn.table("gap", ["N"], "D")
        measured = number(_minimum(np.log(budgets), means[:, 0]))
        turn: Any = partial(laws.critical_tokens, N=N, post=P)  # a number, or one for each draw
        predicted = of_law(law, turn)
        ends = int(budgets[0]), int(budgets[-1])
        out.append(Turn(int(N), P, *measured, *ends, predicted, some["job"].nunique()))
    return tuple(out)


def _balanced(rows: Table) -> Table:
    """Rows whose gap is divided by the effect of its language, so that budgets with fewer languages compare.

    The effect is the geometric mean, over the budgets that have every language, of a language's mean gap over that
    of all languages.
    """
    logs = np.log(rows.groupby(["D", "language_seed"])["gap"].mean()).unstack().dropna()
    effect = np.exp(logs.sub(logs.mean(axis=1), axis=0).mean())
    return rows.assign(gap=rows["gap"].to_numpy() / effect.reindex(rows["language_seed"]).to_numpy())


def _minimum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where each line of y is least, as e^x, by the parabola through its least value and the two beside it.

    NaN where one of these three is not known.
    """
    at = np.nanargmin(y, axis=1)
    middle = np.clip(at, 1, len(x) - 2)
    line = np.arange(len(y))
    x0, x1, x2 = x[middle - 1], x[middle], x[middle + 1]
    left = (y[line, middle] - y[line, middle - 1]) / (x1 - x0)
    right = (y[line, middle + 1] - y[line, middle]) / (x2 - x1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # of lines that are least at an end
        top = np.exp(0.5 * (x0 + x1) - left * 0.5 * (x2 - x0) / (right - left))
    return np.where(at == 0, -np.inf, np.where(at == len(x) - 1, np.inf, top))


def critical_data(table: Table) -> tuple[Finding, ...]:
    """How many sizes turn inside the budgets trained, for each width, and how far the law's turn is from them."""
    rows, law = turning(table, BITS), fitted.served(table)
    measured = turns(table, law=law)
    answers = []
    for bits in BITS:
        question = f"sizes whose critical data at {bits} bits lie, with the interval, between two budgets"
        some = [turn for turn in measured if turn.bits == bits]
        count = sum(turn.inside for turn in some)
        here = rows.loc[(rows["post"] == bits) & rows["N"].isin([turn.N for turn in some])]
        below = sum(turn.high == -np.inf for turn in some)
        verdict = f"{count} of {len(some)} sizes" + (f", {below} of them below the least budget" if below else "")
        answers.append(counted(question, "≥ 4", count, here, count >= 4, verdict))
    inside = [turn for turn in measured if turn.inside]
    if not any(turn.bits > 2 for turn in inside):
        return tuple(answers)
    seen = [turn for turn in inside if turn.bits > 2]
    answers.append(_over("critical data at 3 and 4 bits, the law's over the measured: geometric mean", seen, rows))
    without = {N: _without(law, N) for N in {turn.N for turn in seen}}
    again = [float(laws.critical_tokens(without[turn.N], turn.N, turn.bits)) for turn in seen]
    unseen = [replace(t, predicted=Number(D, math.nan, math.nan)) for t, D in zip(seen, again, strict=True)]
    answers.append(_over("the same, by a law fitted without the size", unseen, rows))
    if len(least := [turn for turn in inside if turn.bits == 2]) > 1:
        answers.append(_over("the same at 2 bits, which no fit saw", least, rows))
    return tuple(answers)


def _without(law: Fit, N: int) -> laws.Law:
    """The law fitted again to all sizes but one."""
    return fitted.fit_served(law.runs.loc[law.runs["N"] != N]).law


def _over(question: str, some: list[Turn], rows: Table) -> Finding:
    """Predicted over measured turns, geometric mean; interval by redrawing turns."""
    here = rows.loc[rows["N"].isin([turn.N for turn in some]) & rows["post"].isin([turn.bits for turn in some])]
    ratios = np.log([turn.predicted.value / turn.tokens for turn in some])
    often = np.random.default_rng(0).choice(ratios, (DRAWS, len(ratios))).mean(axis=1)
    words = f"worst by a factor of {math.exp(np.max(np.abs(ratios))):.2f}"
    return found(question, STATED, np.exp([np.mean(ratios), *often]), here, verdict=words)
