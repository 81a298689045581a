"""One answer that a table of runs gives, with its interval and its bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from precsim.equality import Record
from precsim.evidence.resampling import number
from precsim.runs import Table

#: The bar of a question that asked for a number and its interval, whatever they are.
STATED = "stated"


@dataclass(frozen=True, slots=True, eq=False)
class Finding(Record):
    """One answer: what was asked, the bar, what came out, and whether it was met.

    Attributes
    ----------
    question, bar : str
    value : float
    low, high : float
        95 % interval, by resampling models; NaN where the value is a count.
    rows : int
        Evaluations that it rests on.
    models : int
        Trained models among them.
    met : bool or None
        None where there is no bar but an answer.
    verdict : str
        What the number says, where it takes words; made from the table.
    sure : bool
        Whether both ends of the interval are judged like the value.
    """

    question: str
    bar: str
    value: float
    low: float
    high: float
    rows: int
    models: int
    met: bool | None
    verdict: str = ""
    sure: bool = True

    @property
    def of_the_paper(self) -> bool:
        """Whether the bar is a claim of the paper rather than one of ours."""
        return self.bar.endswith("(the paper)")

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Words for one row of a table: question with verdict, value, interval, models, bar and whether it is met."""
        asked = self.question + (f" ({self.verdict})" if self.verdict else "")
        band = "" if math.isnan(self.low) else f"{self.low:.4g} to {self.high:.4g}"
        judged = {True: f"{self.bar}: yes", False: f"{self.bar}: no", None: ""}[self.met]
        judged += "" if self.sure else ", not surely"
        return (asked, _number(self.value), band, f"{self.models:,}", judged)


def found(
    question: str,
    bar: str,
    values: ArrayLike,
    rows: Table,
    met: Callable[[float], bool] | None = None,
    verdict: str = "",
) -> Finding:
    """A finding of `values`, the first from the rows as they are, the others from redraws; rows have a column job.

    `met` says of the value whether it meets the bar; without it the bar is that there be an answer.
    """
    value, low, high = number(values)
    judged = None if met is None else bool(met(value))
    sure = met is None or math.isnan(low) or bool(met(low)) == bool(met(high)) == judged
    models = rows["job"].nunique()
    return Finding(question, bar, value, low, high, len(rows), models, judged, verdict, sure)


def counted(question: str, bar: str, count: float, rows: Table, met: bool | None, verdict: str = "") -> Finding:
    """A finding that is a count of the rows as they are: it has no interval."""
    return Finding(question, bar, count, math.nan, math.nan, len(rows), rows["job"].nunique(), met, verdict)


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
