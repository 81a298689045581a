"""The δ below which differences between evaluations are noise."""

from __future__ import annotations

import numpy as np

from precsim.runs.columns import names_of

__all__ = ["floor_of"]

_CELLS = 4  # settings with repeats that are looked at, at least; fewer than three say nothing robust
_OUTCOMES = frozenset(
    {"loss", "gap", "delta", "delta_se", "entropy", "weight_rms", "curvature", "curvature_se", "second_order"}
    | {"rate", "seconds", "device", "versions", "job", "diverged", "holdout", "runs", "batch"}
)


def floor_of(runs, row: np.ndarray, value: np.ndarray, error: np.ndarray, given: float | None) -> float:
    """The noise floor: given; or the larger of the median standard error and the spread of repeats.

    Parameters
    ----------
    runs : DataFrame or mapping
        The table, of which a row is a repeat of another if they are equal in everything but the seed and what was
        measured.
    row : ndarray of int, shape (n,)
        The rows used.
    value, error : ndarray, shape (n,)
        δ of these rows [nats/token] and its standard errors, NaN or 0 where not known.
    given : float, optional
        The floor asked for.

    Returns
    -------
    float
        [nats/token]; 1/1000 of the median |δ| where the table tells nothing.

    Raises
    ------
    ValueError
        If the floor given is not positive.
    """
    if given is not None:
        if not given > 0:
            raise ValueError(f"floor must be positive, got {given}")
        return float(given)
    known = error[np.isfinite(error) & (error > 0)]
    repeats = _spread_of_repeats(_settings(runs, row), value)
    found = [x for x in (float(np.median(known)) if known.size else 0.0, repeats) if x > 0]
    scale = float(np.median(np.abs(value)))
    return max(found) if found else 1e-3 * scale if scale > 0 else 1e-9


def _settings(runs, row: np.ndarray) -> np.ndarray:
    """A number for each row, equal where rows are equal in all but seeds and outcomes.

    A column in which nearly every row differs is a measurement or a name, not a setting.
    """
    label = np.zeros(len(row), dtype=np.int64)
    for name in map(str, names_of(runs)):
        if name in _OUTCOMES or "seed" in name.casefold():
            continue
        column = np.asarray(runs[name])[row]
        values, codes = np.unique(column if column.dtype.kind in "iufb" else column.astype(str), return_inverse=True)
        if 1 < len(values) and (len(values) <= 0.9 * len(row) or name in ("N", "D", "post")):
            label = np.unique(label * len(values) + np.ravel(codes), return_inverse=True)[1]
    return label


def _spread_of_repeats(cell: np.ndarray, value: np.ndarray) -> float:
    """Standard deviation of δ between runs of one setting, the median over the quarter with the least δ; 0 if none.

    The seeds' spread has a part that is proportional to δ, which a logarithm takes care of, and one that stays where
    δ vanishes. This is the second. The median is over `_CELLS` settings at least, so that one bad δ does not set it:
    of a table with four pairs, one δ of 0.7 made the floor of all rows 0.45.
    """
    count = np.bincount(cell)
    mean = np.bincount(cell, value) / count
    squares = np.bincount(cell, (value - mean[cell]) ** 2)
    several = np.flatnonzero(count > 1)
    if several.size < 3:
        return 0.0
    least = several[np.argsort(np.abs(mean[several]), kind="stable")][: max(_CELLS, several.size // 4)]
    return float(np.sqrt(np.median(squares[least] / (count[least] - 1))))
