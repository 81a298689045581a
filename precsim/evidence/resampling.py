"""How sure a number from the table is: units are drawn again, and the number is computed again.

Decided once, for every number of `precsim.evidence.findings` and `precsim.evidence.paper`:

*Unit.* A network, with all its evaluations; where networks are compared with each other, the whole group of them, which
share their luck.

*Strata.* Units of equal N and D are drawn among each other: sizes and budgets were chosen by us, and another table
would have the same. A stratum of n units gives intervals that are too narrow by √(1 − 1/n), so strata of fewer than
`LEAST` units (9 % at 6) are drawn together as one.

*Draws.* 400: the ends of a 95 % interval are then the tenth values from both sides, and move by a thirtieth of its
width from one set of draws to the next.

*Ends.* Percentiles, by the rule of `precsim.fitting.uncertainty.percentiles`, so that numbers from tables and from
fitted laws are judged alike. Draws in which a number does not exist (a cell that was not drawn) are left out.

Laws are fitted to means over cells, and `of_law` draws cells again, as `precsim.fitting.uncertainty.bootstrap` does:
how far a form misses whole cells is more than the luck of the networks in them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from precsim.fitting.fits import Fit
from precsim.fitting.uncertainty import Draws, bootstrap, interval, percentiles
from precsim.laws import Law
from precsim.runs import Table

DRAWS = 400
LEVEL = 0.95
LEAST = 6  # units of a stratum that is drawn by itself
NETWORK = ("job",)
TWINS = ("N", "D", "language_seed", "seed")  # networks that differ in their bits alone


class Number(NamedTuple):
    """A number with its interval; ``f"{x:.2f}"`` writes ``0.74 [0.71, 0.78]``.

    Attributes
    ----------
    value : float
    low, high : float
        Percentile interval of `DRAWS` draws at `LEVEL`.

    Examples
    --------
    >>> f"{Number(0.744, 0.711, 0.779):.2f}"
    '0.74 [0.71, 0.78]'
    """

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def against(self, other: float) -> str:
        """Where another number lies: "inside", "below" or "above" the interval.

        Examples
        --------
        >>> Number(0.74, 0.71, 0.78).against(0.51)
        'below'
        """
        return "below" if other < self.low else "above" if other > self.high else "inside"


def number(values: ArrayLike) -> Number:
    """The first of some values with the interval of the others, which come from redraws; NaN among these is left out.

    Examples
    --------
    >>> number([2.0, 1.0, 2.0, float("nan"), 3.0])
    Number(value=2.0, low=1.05, high=2.95)
    """
    values = np.asarray(values, dtype=float)
    drawn = values[1:][~np.isnan(values[1:])]
    return Number(float(values[0]), *(percentiles(drawn, LEVEL) if len(drawn) else (np.nan, np.nan)))


@dataclass(frozen=True, slots=True)
class Redrawn:
    """Rows, and how often each counts: once in the table as it is, and as often as its unit is drawn in each redraw.

    Attributes
    ----------
    rows : DataFrame
    counts : ndarray, shape (1 + draws, rows)
        The first line is all ones.
    """

    rows: Table
    counts: np.ndarray

    def means(self, column: str | np.ndarray, by: Sequence[str]) -> tuple[Table, np.ndarray]:
        """The cells of equal `by`, one row each, and the mean of a column (or array) in each: (1 + draws, cells).

        NaN in the redraws that have no row of a cell.
        """
        groups = self.rows.groupby(list(by), sort=True)
        cell = groups.ngroup().to_numpy()
        values = self.rows[column].to_numpy(dtype=float) if isinstance(column, str) else np.asarray(column, dtype=float)
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], np.arange(groups.ngroups))
        total = np.add.reduceat((self.counts * values)[:, order], starts, axis=1)
        often = np.add.reduceat(self.counts[:, order], starts, axis=1)
        with np.errstate(invalid="ignore"):
            return groups.size().reset_index(name="rows"), total / often

    def table(self, column: str, by: Sequence[str], along: str) -> tuple[list[tuple], np.ndarray, np.ndarray]:
        """Means as a table: values of `by` of each line, values of `along`, means (1 + draws, lines, along)."""
        cells, means = self.means(column, [*by, along])
        lines = sorted(set(cells[list(by)].itertuples(index=False, name=None)))
        ends = np.array(sorted(set(cells[along])))
        index = {line: i for i, line in enumerate(lines)}
        out = np.full((len(means), len(lines), len(ends)), np.nan)
        at = [index[line] for line in cells[list(by)].itertuples(index=False, name=None)]
        out[:, at, np.searchsorted(ends, cells[along])] = means
        return lines, ends, out

    def picked(self) -> Iterator[np.ndarray]:
        """Positions of the rows of the table as it is, then of each redraw, in which a row can stand several times."""
        position = np.arange(len(self.rows))
        return (np.repeat(position, often.astype(int)) for often in self.counts)


def redraw(rows: Table, *, unit: Sequence[str] = NETWORK, draws: int = DRAWS) -> Redrawn:
    """Rows with their units drawn again with replacement, among those of equal N and D.

    Parameters
    ----------
    rows : DataFrame
    unit : sequence of str
        Columns whose equal values make one unit: a network, or networks that are compared with each other.
    draws : int

    Raises
    ------
    ValueError
        If there are fewer than three units.
    """
    rows = rows.reset_index(drop=True)
    member = rows.groupby(list(unit), sort=False).ngroup().to_numpy()
    first = np.unique(member, return_index=True)[1]
    if len(first) < 3:
        raise ValueError(f"{len(first)} unit(s) by {', '.join(unit)}: nothing to draw again")
    rng = np.random.default_rng(0)
    often = np.ones((1 + draws, len(first)))
    for units in _strata(rows.loc[first]):
        often[1:, units] = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=draws)
    return Redrawn(rows, often[:, member])


def _strata(units: Table) -> list[np.ndarray]:
    """Positions of the units of each stratum: of equal N and D, and the small ones together."""
    columns = [name for name in ("N", "D") if name in units.columns]
    if not columns:
        return [np.arange(len(units))]
    stratum = units.groupby(columns, sort=False).ngroup().to_numpy()
    small = np.bincount(stratum)[stratum] < LEAST
    found = [np.flatnonzero(stratum == one) for one in np.unique(stratum[~small])]
    return [*found, np.flatnonzero(small)] if small.any() else found


def slope(x: np.ndarray, y: np.ndarray, group: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """Least-squares slope of each line of y in x, with a level of its own for each group; NaN in y counts nothing.

    Parameters
    ----------
    x, group : ndarray, shape (n,)
    y : ndarray, shape (n,) or (lines, n)
    weight : ndarray, shape (lines, n), or float

    Returns
    -------
    ndarray, shape (lines,)

    Examples
    --------
    >>> slope(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 2.0, 5.0, 7.0]), np.array([0, 0, 1, 1])).tolist()
    [2.0]
    """
    y = np.atleast_2d(y)
    weight = np.isfinite(y) * weight
    y = np.where(np.isfinite(y), y, 0.0)
    groups, at = np.unique(group, return_inverse=True)
    one = (np.ravel(at)[:, None] == np.arange(len(groups))).astype(float)
    total = np.maximum(weight @ one, 1e-300)
    dx = x - ((weight * x) @ one / total) @ one.T
    dy = y - ((weight * y) @ one / total) @ one.T
    with np.errstate(invalid="ignore"):  # a redraw without two values of x has no slope
        return (weight * dx * dy).sum(axis=1) / (weight * dx * dx).sum(axis=1)


def powers(drawn: Redrawn, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Exponents of D and of N in a column, by least squares on logarithms, for the rows and each redraw: (1 + draws,).

    Rows in which the column is not positive count nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"job": list("abcd"), "N": [1, 1, 4, 4], "D": [1, 9, 1, 9], "delta": [1.0, 3.0, 0.5, 1.5]})
    >>> [round(float(x[0]), 3) for x in powers(redraw(rows, draws=1), "delta")]
    [0.5, -0.5]
    """
    rows = drawn.rows
    kept = (rows[column] > 0).to_numpy()
    counts, y = drawn.counts[:, kept], np.log(rows.loc[kept, column].to_numpy(dtype=float))
    x = np.log(rows.loc[kept, ["D", "N"]].to_numpy(dtype=float))
    x, y = np.column_stack([np.ones(len(y)), x - x.mean(axis=0)]), y - y.mean()
    normal = np.einsum("kr,ri,rj->kij", counts, x, x, optimize=True)
    found = np.einsum("kij,kj->ki", np.linalg.pinv(normal), (counts * y) @ x)  # pinv: a redraw may lack a size
    return found[:, 1], found[:, 2]


def explained(seen: ArrayLike, said: ArrayLike, counts: np.ndarray) -> np.ndarray:
    """R² of ln `seen` with a prediction as it is, for each line of counts; the prediction stays.

    Parameters
    ----------
    seen, said : array_like, shape (n,)
        Positive; rows in which one is not count nothing.
    counts : ndarray, shape (lines, n)

    Examples
    --------
    >>> explained([1.0, 2.0, 4.0], [1.0, 2.0, 4.0], np.ones((1, 3))).tolist()
    [1.0]
    """
    seen, said = np.asarray(seen, dtype=float), np.asarray(said, dtype=float)
    kept = (seen > 0) & (said > 0)
    y, off = np.log(seen[kept]), np.log(seen[kept] / said[kept])
    counts = counts[:, kept]
    middle = counts @ y / counts.sum(axis=1)
    return 1 - counts @ off**2 / (counts @ y**2 - counts.sum(axis=1) * middle**2)


def share_explained(rows: Table, column: str, said: ArrayLike) -> Number:
    """R² of ln of a column with a prediction as it is; networks are drawn again, the prediction stays."""
    return number(explained(rows[column], said, redraw(rows).counts))


def resampled(rows: Table, measure: Callable[[Table], float], *, unit: Sequence[str] = NETWORK) -> Number:
    """A number computed from the columns of numbers of some rows.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"job": list("abcdef"), "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    >>> found = resampled(rows, lambda t: t["x"].max() - t["x"].min())
    >>> found.value, found.high
    (5.0, 5.0)
    """
    drawn = redraw(rows, unit=unit)
    numbers = drawn.rows.select_dtypes("number")  # words are slow to copy
    return number([measure(numbers.iloc[picked]) for picked in drawn.picked()])


def median(rows: Table, column: str, *, unit: Sequence[str] = NETWORK) -> Number:
    """Median of a column without NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"job": list("abcdef"), "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    >>> found = median(rows, "x")
    >>> found.value, found.low < 3.5 < found.high
    (3.5, True)
    """
    drawn = redraw(rows.loc[rows[column].notna()], unit=unit)
    values = drawn.rows[column].to_numpy(dtype=float)
    return number([np.median(values[picked]) for picked in drawn.picked()])


class _Identity:
    """A fit as a key: it holds a table, which cannot be hashed; the fits kept are the same objects each time."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def __hash__(self) -> int:
        return id(self.fit)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.fit is other.fit


@functools.cache
def _draws(found: _Identity) -> Draws:
    by = "job" if "job" in found.fit.runs.columns else None
    return bootstrap(found.fit, n=DRAWS, rng=np.random.default_rng(0), by=by)


def draws(found: Fit) -> Draws:
    """The law of a fit refitted to redraws of its cells, or of its networks where these were not averaged; kept."""
    return _draws(_Identity(found))


def of_law(found: Fit, quantity: Callable[[Law], float]) -> Number:
    """A number computed from a fitted law.

    Raises
    ------
    FitError
        If more than a tenth of the resamples cannot be fitted.
    """
    band = interval(draws(found), quantity, LEVEL)
    return Number(float(quantity(found.law)), band.low, band.high)


def parameter(found: Fit, name: str) -> Number:
    """A parameter of a fitted law."""
    return of_law(found, lambda law: law.parameters[name])
