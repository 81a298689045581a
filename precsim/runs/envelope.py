"""The runs that no smaller or shorter run beats: what a law of tuned runs should be fitted to."""

from __future__ import annotations

import numpy as np

__all__ = ["undominated"]

_BITS = ("weights", "activations", "kv", "post")


def undominated(runs, *, slack: float = 1.1) -> np.ndarray:
    """Mask of the rows whose loss no row with at most `slack` times their N and D, at the same bits, undercuts.

    A run that a smaller or shorter one beats was badly tuned, or has a bad shape: it says how far one can fall
    behind, not what N parameters and D tokens can do. The rule looks at the losses alone, never at a fit.

    Parameters
    ----------
    runs : DataFrame or mapping of columns
        N, D, loss, and the columns of bits that it has.
    slack : float
        At least 1. 1 drops only rows that a run no larger and no longer beats; more compares rows of nearly equal
        size too.

    Returns
    -------
    ndarray of bool, shape (rows,)

    Raises
    ------
    ValueError
        If a column is missing, or slack is below 1.

    Examples
    --------
    >>> undominated({"N": [1e6, 1e6, 2e6], "D": [1e8, 2e8, 2e8], "loss": [3.0, 2.8, 2.9]}).tolist()
    [True, True, False]
    """
    names = list(runs.columns if hasattr(runs, "columns") else runs)
    if missing := [c for c in ("N", "D", "loss") if c not in names]:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, names))}")
    if not slack >= 1:
        raise ValueError(f"slack must be at least 1, got {slack}")
    N, D, loss = (np.asarray(runs[c], dtype=float) for c in ("N", "D", "loss"))
    same = np.ones((len(N), len(N)), dtype=bool)
    for c in _BITS:
        if c in names:
            bits = np.asarray(runs[c], dtype=float)
            same &= bits[:, None] == bits[None, :]
    smaller = (N[None, :] <= slack * N[:, None]) & (D[None, :] <= slack * D[:, None])
    beaten = same & smaller & (loss[None, :] < loss[:, None])
    return np.asarray(~beaten.any(axis=1))
