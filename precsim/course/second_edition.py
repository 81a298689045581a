"""Truths, inputs and known mistakes of the exercises on the open table's second edition, which `ps5` sets."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from precsim.course.checking import Mistake
from precsim.course.stored_runs import Foretold, Served, foretold, networks

Inputs = tuple[tuple[Any, ...], ...]

# -- how fast damage grows, network by network -------------------------------------------------------------------------


def growth(
    rows: Sequence[Served],
    *,
    students: Mapping[int, float],
    of: Callable[[Served], float] = lambda row: row.delta,
    root: bool = True,
    ddof: int = 1,
) -> list[float]:
    """Exponent of D, the mean of each language's own, and the half-width of its 95 % interval.

    Parameters
    ----------
    rows : sequence of Served
    students : mapping
        Quantile of Student's t by the number of values.
    of : callable
        What grows, by default δ.
    root, ddof : bool, int
        As they should be by default.
    """
    slopes = [_slope(rows, of, language) for language in sorted({row.language for row in rows})]
    n = len(slopes)
    error = float(np.std(slopes, ddof=ddof)) / (math.sqrt(n) if root else 1.0)
    return [float(np.mean(slopes)), students[n] * error]


def _slope(rows: Sequence[Served], of: Callable[[Served], float], language: int) -> float:
    mine = [row for row in rows if row.language == language]
    return float(np.polyfit(np.log([row.D for row in mine]), np.log([of(row) for row in mine]), 1)[0])


def _through_means(rows: Sequence[Served]) -> list[float]:
    budgets = sorted({row.D for row in rows})
    means = [float(np.mean([row.delta for row in rows if row.D == D])) for D in budgets]
    return [float(np.polyfit(np.log(budgets), np.log(means), 1)[0]), 0.0]


def growth_inputs() -> Inputs:
    """Networks with and without decay; of the last one language is lost."""
    return (
        (networks(98304, of="no gains, unit embeddings, no decay"),),
        (networks(98304, of="standard"),),
        (networks(221184, of="queries and keys normed"),),
        (networks(221184, of="standard, no decay", lost=[("standard, no decay", 1)]),),
    )


def growth_mistakes(students: Mapping[int, float]) -> tuple[Mistake, ...]:
    """What goes wrong with an exponent and its interval."""
    rule = functools.partial(growth, students=students)
    return (
        Mistake(
            "gap",
            "it is the growth of delta that is asked for; the gap falls with data.",
            functools.partial(rule, of=lambda row: row.gap),
        ),
        Mistake(
            "normal",
            "1.96 is for many values; three languages need Student's t, ps5.STUDENT[n].",
            functools.partial(growth, students=dict.fromkeys(students, 1.96)),
        ),
        Mistake(
            "spread",
            "that is how far languages differ; the mean of n of them is surer by the root of n.",
            functools.partial(rule, root=False),
        ),
        Mistake(
            "biased",
            "the mean was computed from the same n values: divide the squares by n - 1 (ddof=1).",
            functools.partial(rule, ddof=0),
        ),
        Mistake(
            "one slope",
            "one slope through the means of all languages has no interval; take one for each, then their mean.",
            _through_means,
        ),
    )


# -- the network to serve ----------------------------------------------------------------------------------------------


def served(
    rows: Sequence[Served],
    *,
    of: Callable[[Served], float] = lambda row: row.gap + row.delta,
    together: Callable[[list[float]], float] = lambda values: math.fsum(values) / len(values),
    paired: bool = True,
) -> str:
    """Network of least mean loss at 4 bits, over the languages that every network has."""
    names = list(dict.fromkeys(row.network for row in rows))
    common = set.intersection(*({row.language for row in rows if row.network == name} for name in names))

    def cost(name: str) -> float:
        mine = [row for row in rows if row.network == name]
        return together([of(row) for row in mine if not paired or row.language in common])

    return min(names, key=cost)


_LOST = (("queries and keys normed", 0), ("embedding at the rate of matrices", 2))


def served_inputs() -> Inputs:
    """Whole tables, and tables with runs that are lost."""
    return (
        (networks(98304, budget=4),),
        (networks(221184, budget=4),),
        (networks(98304, budget=1),),
        (networks(221184, budget=4, lost=[("standard", 1), ("standard", 2)]),),
        (networks(221184, budget=3, lost=_LOST),),
        (networks(98304, budget=2, lost=[("no gains, unit embeddings, decay of everything", 1), ("standard", 2)]),),
    )


SERVED_MISTAKES = (
    Mistake(
        "as trained",
        "that is the best network in full precision; served at 4 bits it has delta on top.",
        functools.partial(served, of=lambda row: row.gap),
    ),
    Mistake(
        "least damage",
        "the least delta does not make the least loss: add the gap.",
        functools.partial(served, of=lambda row: row.delta),
    ),
    Mistake(
        "sum",
        "networks with fewer languages look better in a sum; take the mean, over languages that all have.",
        functools.partial(served, together=math.fsum, paired=False),
    ),
    Mistake(
        "other languages",
        "languages differ more than networks: compare over the languages that all of them were trained on.",
        functools.partial(served, paired=False),
    ),
    Mistake(
        "one run",
        "a single lucky run decides; take the mean.",
        functools.partial(served, together=min, paired=False),
    ),
)

# -- a prediction and its score ----------------------------------------------------------------------------------------


def _mean_of_logs(values: Sequence[float]) -> float:
    return math.fsum(map(math.log, values)) / len(values)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def log_score(
    said: Foretold,
    measured: Sequence[float],
    spread: float,
    *,
    noise: Callable[[float, int], float] = lambda spread, n: spread / math.sqrt(n),
    middle: Callable[[Sequence[float]], float] = _mean_of_logs,
    width: bool = True,
    sign: float = 1.0,
) -> float:
    """Logarithm of the density that a normal prediction gives to the mean logarithm of what was measured."""
    sd = math.hypot(said.sd, noise(spread, len(measured)))
    z = (middle(measured) - said.ln) / sd
    return sign * (-z * z / 2 - (math.log(sd * math.sqrt(2 * math.pi)) if width else 0.0))


def score_inputs() -> Inputs:
    """Predictions of `predictions-2.json` with what came out, and one whose runs scatter widely."""
    return (
        foretold("gap", "Chinchilla, E known")[0],
        foretold("delta at 4 bits", "power law")[1],
        foretold("delta at 4 bits", "second order, measured curvature, D/N >= 60")[2],
        foretold("delta at 3 bits", "Kumar's form, D/N >= 60")[3],
        (Foretold(-2.0, 0.0625), (0.125, 0.5), 0.5),
    )


SCORE_MISTAKES = (
    Mistake(
        "noise forgotten",
        "what was measured is uncertain too: the variances of both add.",
        functools.partial(log_score, noise=lambda spread, n: 0.0),
    ),
    Mistake(
        "noise of one run",
        "spread is that of one run; the mean of n runs has spread over the root of n.",
        functools.partial(log_score, noise=lambda spread, n: spread),
    ),
    Mistake(
        "no width",
        "without -ln(sd) the widest interval always wins: the density of a normal has sd in front, too.",
        functools.partial(log_score, width=False),
    ),
    Mistake(
        "not in logarithm",
        "ln and sd are of the logarithm of the quantity: take the logarithm of what was measured.",
        functools.partial(log_score, middle=_mean),
    ),
    Mistake(
        "logarithm of the mean",
        "runs scatter in the logarithm: the mean of the logarithms, not the logarithm of the mean.",
        functools.partial(log_score, middle=lambda values: math.log(_mean(values))),
    ),
    Mistake(
        "sign",
        "the larger the better: it is the logarithm of the density, not less it.",
        functools.partial(log_score, sign=-1.0),
    ),
)
