"""Rules that say which rows of a table are held out, to see whether a law predicts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from precsim.fitting.observations import Observations
from precsim.runs.columns import names_of

__all__ = ["ORIGINS", "ByCompute", "ByData", "BySize", "Groups", "Split"]

#: Shares of the rows that are held out in turn where a form is chosen.
ORIGINS = (0.2, 0.3, 0.4, 0.5)


class Split(Protocol):
    """A rule that says which rows to hold out, possibly several times over."""

    def folds(self, runs, data: Observations) -> list[tuple[str, np.ndarray]]:
        """All folds, each a label and the mask of the held-out observations."""
        ...


def _top(values: np.ndarray, share: float | tuple[float, ...], name: str) -> list[tuple[str, np.ndarray]]:
    """The rows of largest value, whole groups of equal ones, about `share` of all; a fold for each share."""
    shares = share if isinstance(share, tuple) else (share,)
    if not shares or not all(0 < x < 1 for x in shares):
        raise ValueError(f"share must be between 0 and 1, or several such numbers, got {share}")
    found = {}
    for limit in (np.quantile(values, 1 - x, method="higher") for x in shares):
        mask = values >= limit
        if mask.all():
            raise ValueError(f"all rows have the same {name}: there is nothing larger to predict")
        found[f"{name} >= {limit:.3g}"] = mask
    return list(found.items())


@dataclass(frozen=True, slots=True)
class ByCompute:
    """Holds out the rows of largest N·D, to see whether the law predicts the next, larger run.

    Parameters
    ----------
    share : float or tuple of float
        Of the rows. Several shares are several folds, from each of which a form has to predict what is larger: a
        steadier basis for a choice than one of them, which on public tables chose forms with up to three times the
        error of the best.
    """

    share: float | tuple[float, ...] = ORIGINS

    def folds(self, runs, data):
        """One fold for each share."""
        return _top(data.setting.N * data.setting.D, self.share, "N*D")


@dataclass(frozen=True, slots=True)
class BySize:
    """Holds out the rows of largest N, a share of them or, one after the other, several shares."""

    share: float | tuple[float, ...] = ORIGINS

    def folds(self, runs, data):
        """One fold for each share."""
        return _top(data.setting.N, self.share, "N")


@dataclass(frozen=True, slots=True)
class ByData:
    """Holds out the rows of largest D, a share of them or, one after the other, several shares."""

    share: float | tuple[float, ...] = ORIGINS

    def folds(self, runs, data):
        """One fold for each share."""
        return _top(data.setting.D, self.share, "D")


@dataclass(frozen=True, slots=True)
class Groups:
    """Holds out every value of a column in turn: widths, methods, seeds.

    Parameters
    ----------
    column : str
        Name of the column.
    only : tuple, optional
        Values to hold out; by default all finite ones, so that the unquantized rows always stay.
    """

    column: str
    only: tuple | None = None

    def folds(self, runs, data):
        """One fold for each value."""
        names = names_of(runs)
        if self.column not in names:
            raise ValueError(
                f"the table has no column {self.column!r} to split by; it has {', '.join(map(str, names))}"
            )
        values = np.asarray(runs[self.column])[data.row]
        wanted = self.only
        if wanted is None:
            numeric = np.issubdtype(values.dtype, np.number)
            wanted = np.unique(values[np.isfinite(values)] if numeric else values.astype(str))
        return [(f"{self.column} = {v}", values == v) for v in wanted]
