"""Redraws of a table's models, and means over cells of all redraws at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 400


@dataclass(frozen=True, slots=True)
class Redrawn:
    """Rows, and how often each counts: once in the table as it is, and as often as its unit is drawn in each redraw.

    Attributes
    ----------
    rows : DataFrame
    counts : ndarray, shape (1 + draws, rows)
        The first line is all ones.
    """

    rows: Any
    counts: np.ndarray

    def means(self, column: str | Any, by: Sequence[str]) -> tuple[Any, np.ndarray]:
        """The cells of equal `by`, one row each, and the mean of a column (or array) in each: (1 + draws, cells).

        NaN in the redraws that have no row of a cell.
        """
        groups = self.rows.groupby(list(by), sort=True)
        cell = groups.ngroup().to_numpy()
        values = self.rows[column].to_numpy(dtype=float) if isinstance(column, str) else np.asarray(column, dtype=float)
        order = np.argsort(cell, kind="stable")
        starts = np.searchsorted(cell[order], np.arange(groups.ngroups))
        total = np.add.reduceat((self.counts * values)[:, order], starts, axis=1)
        number = np.add.reduceat(self.counts[:, order], starts, axis=1)
        with np.errstate(invalid="ignore"):
            return groups.size().reset_index(name="rows"), total / number

    def table(self, column: str, by: Sequence[str], along: str) -> tuple[list[tuple], np.ndarray, np.ndarray]:
        """Means as a table: values of `by` of each line, values of `along`, means (1 + draws, lines, along)."""
        cells, means = self.means(column, [*by, along])
        lines = sorted(set(cells[list(by)].itertuples(index=False, name=None)))
        ends = np.array(sorted(set(cells[along])))
        place = {line: i for i, line in enumerate(lines)}
        out = np.full((len(means), len(lines), len(ends)), np.nan)
        at = [place[line] for line in cells[list(by)].itertuples(index=False, name=None)]
        out[:, at, np.searchsorted(ends, cells[along])] = means
        return lines, ends, out


def redraw(
    rows: Any, *, unit: Sequence[str] = ("job",), within: Sequence[str] = ("N", "D"), draws: int = DRAWS
) -> Redrawn:
    """Rows with their units drawn again with replacement, among the units of equal `within`.

    Parameters
    ----------
    rows : DataFrame
    unit : sequence of str
        Columns whose equal values make one unit: a model, or a group of models that are compared with each other.
    within : sequence of str
        Columns that define the strata; none, and all units are one stratum.
    draws : int
    """
    rows = rows.reset_index(drop=True)
    member = rows.groupby(list(unit), sort=False).ngroup().to_numpy()
    strata = rows.groupby(list(within), sort=False).ngroup().to_numpy() if len(within) else np.zeros(len(rows), int)
    first = np.unique(member, return_index=True)[1]
    stratum = strata[first]
    rng = np.random.default_rng(0)
    often = np.ones((1 + draws, len(first)))
    for one in np.unique(stratum):
        units = np.flatnonzero(stratum == one)
        often[1:, units] = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=draws)
    return Redrawn(rows, often[:, member])


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
    number = np.maximum(weight @ one, 1e-300)
    dx = x - ((weight * x) @ one / number) @ one.T
    dy = y - ((weight * y) @ one / number) @ one.T
    return (weight * dx * dy).sum(axis=1) / (weight * dx * dx).sum(axis=1)
