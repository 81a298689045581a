"""Runs in pairs: what low precision costs against the run that differs in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from precsim.models.recipes import Recipe

__all__ = ["joint", "penalties", "spread", "standard_error", "table_of_parts", "table_of_treatments"]

_PARTS: dict[tuple[str, ...], str] = {("weights",): "weights", ("activations",): "activations", ("kv",): "KV cache"}


def penalties(table: pd.DataFrame, *, by: Sequence[str], full: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows that are not the reference with a column "penalty": their gap less that of their reference.

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
    reference: Any = table[is_full].set_index(list(by))["gap"]
    rest = table[~is_full]
    if not reference.index.is_unique:
        raise ValueError(f"more than one row with {dict(full)} for some values of {', '.join(by)}")
    found = np.asarray(reference.reindex(rest.set_index(list(by)).index), dtype=float)
    if np.isnan(found).any():
        raise ValueError(f"{int(np.isnan(found).sum())} rows have no reference with {dict(full)} and a finite gap")
    return rest.assign(penalty=np.asarray(rest["gap"], dtype=float) - found)


def table_of_treatments() -> pd.DataFrame | None:
    """Return what rounding did to the transformers of the open table that were trained in float32, or None.

    Rows of the batch "main" at the end of training, weights rounded to integers with one scale for each output, by
    every method; without the runs held out. None if this copy does not have them.

    Examples
    --------
    >>> table = table_of_treatments()
    >>> table is None or {"rtn", "gptq", "awq"} >= set(table["post_method"])
    True
    """
    table = _open_table()
    if table is None:
        return None
    rounded = np.isfinite(table["post"]) & (table["post_scaling"] == "channel")
    rounded &= table["post_format"].str.startswith("INT") & np.isinf(table["post_activations"])
    full = np.isinf(table["weights"]) & (table["step"] == table["steps"]) & ~table["holdout"] & ~table["diverged"]
    chosen: Any = table[rounded & full & (table["batch"] == "main")]
    return None if chosen.empty else chosen


def _open_table() -> pd.DataFrame | None:
    from precsim.runs.tables import load_runs

    try:
        return load_runs("precsim-2026")
    except (ValueError, OSError):
        return None


def table_of_parts() -> pd.DataFrame | None:
    """Return penalties of the parts in the open table of runs, or None if this copy does not have these runs.

    Columns: "part" ("weights", "activations", "KV cache", "all three"; with ", per token" where activations have a
    scale for each), "bits", "penalty", and those of the table. Runs with one part in few bits, or all in equally many.
    """
    import pandas as pd

    from precsim.evidence.experiments.open_table import parts

    table = _open_table()
    if table is None:
        return None
    labels = [
        {"job": job.key, "part": part, "bits": bits}
        for job in parts()
        for part, bits in [_part(job.recipe)]
        if part is not None
    ]
    table = table.drop(columns=[name for name in ("part", "bits") if name in table.columns])
    trained = table[np.isinf(table["post"]) & (table["step"] == table["steps"]) & (table["post_method"] == "none")]
    rows = trained.merge(pd.DataFrame(labels), on="job")
    if rows.empty:
        return None
    return penalties(rows, by=["N", "D", "language_seed", "seed"], full={"part": "none"})


def _part(recipe: Recipe) -> tuple[str | None, float]:
    """Which part a recipe rounds and to how many bits; None for parts of unequal widths."""
    given = {name: getattr(recipe, name) for name in ("weights", "activations", "kv")}
    used = {name: rule for name, rule in given.items() if rule is not None}
    if not used:
        return "none", np.inf
    widths = {float(rule.format.bits) for rule in used.values()}
    name = "all three" if len(used) == 3 else _PARTS.get(tuple(used))
    if name is None or len(widths) > 1:
        return None, np.inf
    by_token = "activations" in used and type(used["activations"].scaling).__name__ == "PerToken"
    return name + (", per token" if by_token else ""), widths.pop()


def joint(table: pd.DataFrame) -> list[dict[str, Any]]:
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
    found: list[dict[str, Any]] = []
    for scale, rows in table.groupby("scale", sort=False):
        gaps: Any = rows.pivot(index="seed", columns=["W", "A"], values="gap")
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


def spread(values: Any) -> float:
    """Return the standard deviation of a sample (n - 1 in the denominator).

    Examples
    --------
    >>> spread([1.0, 2.0, 3.0])
    1.0
    """
    return float(np.std(np.asarray(values, dtype=float), ddof=1))


def standard_error(values: Any) -> float:
    """Return the standard error of the mean of a sample: its `spread` over the square root of its size.

    Examples
    --------
    >>> round(standard_error([1.0, 2.0, 3.0]), 4)
    0.5774
    """
    return spread(values) / float(np.sqrt(np.size(values)))
