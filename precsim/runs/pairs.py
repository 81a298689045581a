"""Runs in pairs: what low precision costs against the run that differs in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from precsim.runs.tables import Table

__all__ = ["joint", "penalties", "spread", "standard_error"]


def penalties(table: Table, *, by: Sequence[str], full: Mapping[str, float | str]) -> Table:
    """The rows that are not the reference with a column "penalty": their gap less that of their reference.

    Parameters
    ----------
    table : DataFrame
        With a column "gap" [nats/token].
    by : sequence of str
        Columns that a row shares with its reference.
    full : mapping
        Columns and the values that make a row a reference.

    Raises
    ------
    ValueError
        If a column is missing, or a row does not have exactly one reference.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(0, 32, 0.2), (0, 4, 0.25), (1, 32, 0.3), (1, 4, 0.375)]
    >>> table = pd.DataFrame(rows, columns=["seed", "bits", "gap"])
    >>> [round(p, 9) for p in penalties(table, by=["seed"], full={"bits": 32})["penalty"]]
    [0.05, 0.075]
    """
    if absent := [name for name in (*by, *full, "gap") if name not in table.columns]:
        raise ValueError(f"the table has no column {', '.join(absent)}; it has {', '.join(map(str, table.columns))}")
    is_full = np.logical_and.reduce([(table[name] == value).to_numpy() for name, value in full.items()])
    reference = table.loc[is_full].set_index(list(by))["gap"]
    rest = table.loc[~is_full]
    if not reference.index.is_unique:
        raise ValueError(f"more than one row with {dict(full)} for some values of {', '.join(by)}")
    found = np.asarray(reference.reindex(rest.set_index(list(by)).index), dtype=float)
    if np.isnan(found).any():
        raise ValueError(f"{int(np.isnan(found).sum())} rows have no reference with {dict(full)} and a finite gap")
    return rest.assign(penalty=np.asarray(rest["gap"], dtype=float) - found)


def joint(table: Table) -> list[dict[str, float | str]]:
    """What weights and activations cost together, and what each alone would make one expect, for every pair of widths.

    Parameters
    ----------
    table : DataFrame
        With columns "W" and "A" [bits; inf: float32], "scale", "seed", "gap" [nats/token]; all pairs for each seed.

    Returns
    -------
    list of dict
        "W", "A", "scale"; "observed", the gap less that of float32; "sum" of the two single penalties; "product",
        T ((1 + w/T)(1 + a/T) - 1) for penalties w, a and T the whole gap of float32; all means over seeds. "error", the
        standard error of observed - sum (NaN for one seed).

    Raises
    ------
    ValueError
        If a scale has no row in float32.

    Notes
    -----
    If N_eff is a product of factors, the term A N_eff^-alpha is multiplied by one factor for each part, so penalties
    combine as in "product" with T that term. T is at most the whole gap, and a smaller T gives a larger product: no
    T > 0 gives less than the sum.

    Examples
    --------
    >>> import pandas as pd
    >>> inf = float("inf")
    >>> rows = [(inf, inf, 0.2), (3.0, inf, 0.3), (inf, 3.0, 0.3), (3.0, 3.0, 0.45)]
    >>> found = joint(pd.DataFrame(rows, columns=["W", "A", "gap"]).assign(scale="one", seed=0))
    >>> {name: round(found[0][name], 6) for name in ("observed", "sum", "product")}
    {'observed': 0.25, 'sum': 0.2, 'product': 0.25}
    """
    found: list[dict[str, float | str]] = []
    for scale, rows in table.groupby("scale", sort=False):
        gaps = rows.pivot(index="seed", columns=["W", "A"], values="gap")
        if (np.inf, np.inf) not in gaps.columns:
            raise ValueError(f"{scale} has no row with both parts in float32")
        whole = gaps[np.inf, np.inf]
        for w, a in gaps.columns:
            if np.isfinite(w) and np.isfinite(a):
                one, two = gaps[w, np.inf] - whole, gaps[np.inf, a] - whole
                together = gaps[w, a] - whole
                row = {"W": w, "A": a, "scale": str(scale), "observed": float(together.mean())}
                row |= {"sum": float((one + two).mean()), "product": float((one + two + one * two / whole).mean())}
                excess = (together - one - two).to_numpy()
                found.append({**row, "error": standard_error(excess) if len(excess) > 1 else float("nan")})
    return found


def spread(values: ArrayLike) -> float:
    """The standard deviation of a sample (n - 1 in the denominator).

    Examples
    --------
    >>> spread([1.0, 2.0, 3.0])
    1.0
    """
    return float(np.std(np.asarray(values, dtype=float), ddof=1))


def standard_error(values: ArrayLike) -> float:
    """The standard error of the mean of a sample: its `spread` over the square root of its size.

    Examples
    --------
    >>> round(standard_error([1.0, 2.0, 3.0]), 4)
    0.5774
    """
    return spread(values) / float(np.sqrt(np.size(values)))
