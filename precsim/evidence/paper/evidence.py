"""The open table of runs as the derivations and the appendix read it."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Name of the open table; `precsim.runs.tables.load_runs` reads it.
NAME = "precsim-2026"


def open_table() -> Any:
    """The open table of runs without runs that diverged; no rows if this installation has no such table."""
    import pandas as pd

    from precsim.runs.tables import COLUMNS, load_runs

    try:
        table = load_runs(NAME)
    except (FileNotFoundError, ValueError):
        return pd.DataFrame({name: [] for name in [*COLUMNS, "batch"]})
    for name in ("curvature", "second_order", "weight_rms"):  # a table made without them says nothing about them
        if name not in table.columns:
            table[name] = np.nan
    if "batch" not in table.columns:
        table["batch"] = "main"
    return table[~table["diverged"].astype(bool)].reset_index(drop=True)


def second_order_rows(table: Any, *, batch: str = "main", low: int = 3, high: int = 6) -> Any:
    """Rows of a batch rounded to nearest at low to high bits, a scale per channel, with the predicted damage."""
    if not len(table):
        return table
    table = table[table["batch"] == batch]
    nearest = (table["post_method"] == "rtn") & table["post"].between(low, high) & np.isinf(table["weights"])
    kept = table[nearest & table["second_order"].gt(0) & table["delta"].gt(0)]
    return kept[kept["post_format"].str.startswith("INT") & (kept["post_scaling"] == "channel")]


def agreement(seen: Any, predicted: Any) -> tuple[float, float]:
    """(R² of ln seen with the prediction as it is, median of seen/predicted): no constant is fitted.

    Examples
    --------
    >>> agreement([1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
    (1.0, 1.0)
    """
    a, b = np.log(np.asarray(seen, float)), np.log(np.asarray(predicted, float))
    if a.size < 2:
        return float("nan"), float("nan")
    return float(1 - np.sum((a - b) ** 2) / np.sum((a - a.mean()) ** 2)), float(np.exp(np.median(a - b)))


def powers(table: Any, column: str) -> tuple[float, float, float]:
    """(exponent of D, exponent of N, R²) of a column by least squares on logarithms.

    Raises
    ------
    ValueError
        If there are fewer than four positive values, or all have one N or one D.

    Examples
    --------
    >>> import pandas as pd
    >>> t = pd.DataFrame({"N": [1, 1, 4, 4], "D": [1, 9, 1, 9], "delta": [1.0, 3.0, 0.5, 1.5]})
    >>> [round(x, 3) for x in powers(t, "delta")]
    [0.5, -0.5, 1.0]
    """
    kept = table[table[column] > 0]
    y = np.log(kept[column].to_numpy(float))
    X = np.column_stack([np.ones(len(y)), np.log(kept["D"].to_numpy(float)), np.log(kept["N"].to_numpy(float))])
    if len(y) < 4 or np.linalg.matrix_rank(X) < 3:
        raise ValueError(f"powers of N and D need at least four positive values at two N and two D, got {len(y)}")
    found, *_ = np.linalg.lstsq(X, y, rcond=None)
    left = y - X @ found
    return float(found[1]), float(found[2]), float(1 - left @ left / np.sum((y - y.mean()) ** 2))


def as_trained(table: Any) -> Any:
    """One row for each network trained in full precision without decay, at the end of its run."""
    if not len(table):
        return table
    plain = np.isinf(table["weights"]) & np.isinf(table["activations"]) & np.isinf(table["kv"])
    last = (table["step"] == table["steps"]) & (table["post_method"] == "none") & (table["weight_decay"] == 0)
    return table[plain & last]
