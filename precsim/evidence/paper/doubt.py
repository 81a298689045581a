"""How sure a number of ours is: whole networks are drawn again with replacement, and the number is computed again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from precsim.fitting.uncertainty import bootstrap, interval

DRAWS = 200
LEVEL = 0.95


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


@functools.cache
def _draws(found: Any) -> Any:
    return bootstrap(found.fit, n=DRAWS, rng=np.random.default_rng(0), by="job")


class _Identity:
    """A fit as a key: it holds a table, which cannot be hashed; the fits kept are the same objects each time."""

    def __init__(self, fit: Any) -> None:
        self.fit = fit

    def __hash__(self) -> int:
        return id(self.fit)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.fit is other.fit


def draws(found: Any) -> Any:
    """Laws refitted to tables in which whole networks were drawn again, from a fit that is kept."""
    return _draws(_Identity(found))


def fitted(found: Any, quantity: Callable[[Any], float]) -> Number:
    """A number computed from a fitted law.

    Raises
    ------
    FitError
        If more than a tenth of the resamples cannot be fitted.
    """
    band = interval(draws(found), quantity, LEVEL)
    return Number(float(quantity(found.law)), band.low, band.high)


def parameter(found: Any, name: str) -> Number:
    """A parameter of a fitted law."""
    return fitted(found, lambda law: law.parameters[name])


def resampled(rows: Any, measure: Callable[[Any], float], *, by: str = "job") -> Number:
    """A number computed from the columns of numbers of some rows; rows with one value of column `by` stay together.

    Raises
    ------
    ValueError
        If there are fewer than three groups.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"job": list("abcdef"), "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    >>> found = resampled(rows, lambda t: t["x"].max() - t["x"].min())
    >>> found.value, found.high
    (5.0, 5.0)
    """
    places = _groups(rows[by])
    numbers = rows.select_dtypes("number")  # words are slow to copy
    return _number(measure(numbers), [measure(numbers.iloc[chosen]) for chosen in _chosen(places)])


def median(rows: Any, column: str, *, by: str = "job") -> Number:
    """Median of a column without NaN; rows with one value of column `by` stay together.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"job": list("abcdef"), "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    >>> found = median(rows, "x")
    >>> found.value, found.low < 3.5 < found.high
    (3.5, True)
    """
    kept = rows[rows[column].notna()]
    values = kept[column].to_numpy(float)
    return _number(np.median(values), [np.median(values[chosen]) for chosen in _chosen(_groups(kept[by]))])


def _groups(labels: Any) -> list[Any]:
    _, where = np.unique(labels.to_numpy(dtype=object).astype(str), return_inverse=True)
    order = np.argsort(where, kind="stable")
    places = np.split(order, np.cumsum(np.bincount(where))[:-1])
    if len(places) < 3:
        raise ValueError(f"{len(places)} group(s) in column {labels.name!r}: nothing to draw again")
    return places


def _chosen(places: list[Any]) -> Iterator[Any]:
    for one in np.random.default_rng(0).integers(len(places), size=(DRAWS, len(places))):
        yield np.concatenate([places[i] for i in one])


def _number(value: Any, values: list[Any]) -> Number:
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(np.array(values, dtype=float), [tail, 100 - tail])
    return Number(float(value), float(low), float(high))


def shares_of_variance(seen: Any, guess: Any, jobs: Any) -> Number:
    """R² of ln seen with a prediction as it is; networks are drawn again, the prediction stays.

    Parameters
    ----------
    seen, guess : array_like, shape (n,)
        Positive.
    jobs : array_like, shape (n,)
        Which network each belongs to.

    Raises
    ------
    ValueError
        If there are fewer than three networks.
    """
    y, left = np.log(np.asarray(seen, float)), np.log(np.asarray(guess, float))
    left = (y - left) ** 2
    names, where = np.unique(np.asarray(jobs).astype(str), return_inverse=True)
    if len(names) < 3:
        raise ValueError(f"{len(names)} network(s): nothing to draw again")
    sums = [np.bincount(where, weights=x, minlength=len(names)) for x in (np.ones(len(y)), y, y * y, left)]
    counts = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)

    def share(weight: Any) -> Any:
        n, first, second, missed = (weight @ s for s in sums)
        return 1 - missed / (second - first**2 / n)

    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(share(counts), [tail, 100 - tail])
    return Number(float(share(np.ones(len(names)))), float(low), float(high))
