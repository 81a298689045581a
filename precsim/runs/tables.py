"""Training runs that were: `Run`, its tables' columns, and how a table is checked, saved and loaded.

A table of runs is a plain pandas DataFrame in tidy form, one row for each (trained model, evaluation);
`COLUMNS` says what each column means. `RunStore` keeps runs in a file, `load_runs` reads them. Nothing
here knows how runs are made, so a session that only fits laws needs neither JAX nor the models.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from precsim.runs.columns import flags, known, renamed
from precsim.runs.reading import File, read_file, typed
from precsim.runs.run import COLUMNS, TEXT, Evaluation, Run
from precsim.runs.store import CorruptStore, ForeignStore, NewerStore, RunStore, StoreError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "CorruptStore",
    "Evaluation",
    "ForeignStore",
    "NewerStore",
    "Run",
    "RunStore",
    "StoreError",
    "Table",
    "check",
    "excess",
    "load_runs",
    "mean_over_seeds",
    "table",
]

# A table of runs: a DataFrame with columns of `COLUMNS`, one row for each evaluation of a trained model. To a type
# checker it is anything: without stubs it infers "Series or DataFrame or scalar" for a mask or a mean of a DataFrame,
# which no use fits (198 false errors in evidence alone when this was tried).
if TYPE_CHECKING:
    Table: TypeAlias = Any
else:
    Table = "pd.DataFrame"

#: Columns that must be there, and the least value allowed; the others may be missing in tables of other origin.
_NEEDED: dict[str, float] = {"N": 0.0, "D": 0.0, "loss": 0.0}
_BITS = ("weights", "activations", "kv", "post", "post_activations", "post_kv")
_NEVER_NEGATIVE = ("gap", "entropy", "delta_se", "seconds", "learning_rate", "weight_decay", "step", "steps")
OPEN_TABLE = "open_table"  # name of the files in precsim/data, without their endings
SECOND_EDITION = "precsim-2027"
_SHIPPED = {"precsim-2026": OPEN_TABLE, "precsim-2027": SECOND_EDITION}
_GAP_SLACK = 1e-5  # a gap is a float32 sum of thousands of terms; the model of a gap of 0 may come out below 0


def table(runs: Iterable[Run]) -> pd.DataFrame:
    """One row for each (trained model, evaluation), with the columns of `COLUMNS` in their order.

    Examples
    --------
    >>> look = Evaluation(step=10, loss=3.0, gap=0.5, delta=0.0, delta_se=0.0)
    >>> run = Run(job="a", model="MLP(width=8)", N=1024, D=10240, entropy=2.5, steps=10, evaluations=(look,))
    >>> table([run])[["N", "D", "loss", "weights"]].to_dict("records")
    [{'N': 1024, 'D': 10240, 'loss': 3.0, 'weights': inf}]
    """
    import pandas as pd

    pairs = [(run, look) for run in runs for look in run.evaluations]
    held = {Run: [run for run, _ in pairs], Evaluation: [look for _, look in pairs]}
    owner = {name: Evaluation if name in Evaluation.__slots__ else Run for name in COLUMNS}
    return pd.DataFrame({name: list(map(attrgetter(name), held[owner[name]])) for name in COLUMNS})


def _row(i: int) -> str:
    return f"row {i}"


def check(table: pd.DataFrame, where: Callable[[int], str] = _row) -> pd.DataFrame:
    """The table itself, if it can be fitted: columns there, numbers positive, keys unambiguous.

    Parameters
    ----------
    table : DataFrame
    where : callable
        Position of a row -> how an error names it; a file's reader names the line.

    Raises
    ------
    ValueError
        Naming the columns and the first offending row: a column is missing; N, D or loss is not a
        positive number in a run that has not diverged; bits are below 1 or NaN; a gap or an
        entropy is negative; one job has two values of N, D or training bits.

    Examples
    --------
    >>> import pandas as pd
    >>> check(pd.DataFrame({"N": [10, 20], "D": [100, -5], "loss": [1.0, 2.0]}))
    Traceback (most recent call last):
        ...
    ValueError: column D must be positive; row 1 has -5
    """
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    sound = np.flatnonzero(_sound(table))
    kept = table.iloc[sound]

    def column(name: str) -> pd.Series:
        return cast("pd.Series", kept[name])

    def refuse(name: str, wrong: np.ndarray, what: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"column {name} must be {what}; {where(int(sound[row]))} has {column(name).iloc[row]}")

    def numbers(name: str) -> np.ndarray:
        try:
            return column(name).to_numpy(dtype=float)
        except (TypeError, ValueError):
            raise ValueError(f"column {name} must hold numbers, not {column(name).dtype}") from None

    for name in _NEEDED:
        values = numbers(name)
        refuse(name, ~(values > 0), "positive")
        refuse(name, np.isinf(values), "finite")
    for name in filter(kept.columns.__contains__, _BITS):
        refuse(name, ~(numbers(name) >= 1), "at least 1 bit (inf: not quantized)")
    for name in filter(kept.columns.__contains__, _NEVER_NEGATIVE):
        refuse(name, numbers(name) < (-_GAP_SLACK if name == "gap" else 0.0), "at least 0")
    fixed = [name for name in ("N", "D", "weights", "activations", "kv", "seed") if name in kept.columns]
    if "job" in kept.columns and len(kept):
        several = kept.groupby("job", sort=False)[fixed].nunique(dropna=False).gt(1)
        if several.to_numpy().any():
            job = several.index[several.any(axis=1)][0]
            columns = ", ".join(several.columns[several.loc[job]])
            raise ValueError(f"job {job} has more than one value of {columns}; a job is one trained model")
    return table


def _sound(table: pd.DataFrame) -> np.ndarray:
    """Rows of runs that have not diverged, as a mask (rows,)."""
    if "diverged" not in table.columns:
        return np.ones(len(table), bool)
    return ~flags(table["diverged"], "diverged")


def excess(table: pd.DataFrame) -> pd.DataFrame:
    """The table with loss replaced by the gap, so that the irreducible loss E of a law is 0.

    Raises
    ------
    ValueError
        If the table has no gap, or some of its gaps are NaN in runs that have not diverged.
    """
    if "gap" not in table.columns:
        raise ValueError("the table has no column gap; the entropy of its language is not known")
    if table.loc[_sound(table), "gap"].isna().to_numpy().any():
        raise ValueError("column gap has NaN in runs that have not diverged; fit the loss instead")
    return table.assign(loss=table["gap"], entropy=0.0)


def mean_over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each setting: loss, gap and delta averaged over the seeds, with the standard error of delta.

    Rounding one trained model is a single draw of rounding errors; at many bits its damage is mostly luck. The mean
    over seeds is what a law of damage describes. Runs that diverged are left out.

    Returns
    -------
    DataFrame
        The setting's columns, loss, gap, delta, delta_se (standard error over seeds; NaN for a single one) and
        ``seeds``, how many models the row is the mean of.

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"N": 8, "D": 9, "seed": [0, 1], "post": 3.0, "loss": [1.0, 2.0], "delta": [0.1, 0.3]})
    >>> mean_over_seeds(runs)[["loss", "delta", "delta_se", "seeds"]].round(3).to_dict("records")
    [{'loss': 1.5, 'delta': 0.2, 'delta_se': 0.1, 'seeds': 2}]
    """
    kept = table[_sound(table)] if "diverged" in table.columns else table
    outcome = {"loss", "gap", "delta", "delta_se", "weight_rms", "seconds", "diverged"}
    outcome |= {"curvature", "curvature_se", "second_order"}
    setting = [name for name in kept.columns if name not in outcome | {"job", "seed", "rate", "device", "versions"}]
    groups = kept.groupby(setting, sort=False, dropna=False)
    averaged = [name for name in ("loss", "gap", "delta") if name in kept.columns]
    means = cast("pd.DataFrame", groups[averaged].mean())
    if "delta" in kept.columns:
        means["delta_se"] = groups["delta"].sem()
    return means.assign(seeds=groups.size()).reset_index()


def load_runs(
    source: str | Path, *, batch: str | None = None, columns: Mapping[str, str | None] | None = None
) -> pd.DataFrame:
    r"""Read a table of runs, and check it: the open table, a store (.db), or a file of any common form.

    Parameters
    ----------
    source : str or path
        "precsim-2026" is the open table that comes with precsim, "precsim-2027" its second edition
        (their data cards: ``data/SOURCES.md``); anything else is a file: a store (.db), separated values (commas,
        semicolons, tabs; UTF-8 or UTF-16; also .gz), JSON lines, Parquet, or a spreadsheet where the library for it
        is installed.
    batch : str, optional
        Of the open table, the rows of one batch alone: "main", "repeats", "parts", "formats", "schedules",
        "controls", "facts" or "text"; of the second edition those of its data card
        ("laws", "bits", "parts", "architecture", …).
    columns : mapping of str to str or None, optional
        New name -> the file's column, scaled: ``{"N": "params (M)*1e6"}``; see `precsim.runs.columns.renamed`.

    Raises
    ------
    ValueError
        With file, line and column where a cell is to blame: the ending is another, a name is nearly a known one, the
        content is no table of runs (`check`), the open table's file is not the one that was shipped, or there is no
        such batch; `StoreError` for a bad store.
    FileNotFoundError
        If there is no such file, or the installation lacks that of the open table.

    Notes
    -----
    Empty widths mean full precision, empty flags false; other words for flags than true/false, yes/no, 1/0 are
    refused.

    Examples
    --------
    >>> runs = load_runs("precsim-2026", batch="main")
    >>> sorted(set(runs["weights"].tolist()))
    [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, inf]

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("params (M);D;loss;weights\n1,5;20000000;3,5;\n")
    ...     file.flush()
    ...     load_runs(file.name, columns={"N": "params (M)*1e6"})[["N", "weights"]].to_dict("records")
    [{'N': 1500000.0, 'weights': inf}]
    """
    if source in _SHIPPED:
        if columns:
            raise ValueError("the open table has precsim's own names: columns= is for files of other origin")
        return _open_table(_SHIPPED[str(source)], batch)
    if batch is not None:
        raise ValueError(f"batches are parts of the open table, 'precsim-2026'; {source} has none")
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"no table of runs at {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a table of runs is a file")
    if path.suffix.casefold() == ".db":
        with RunStore(path) as store:
            return check(renamed(store.table(), columns))
    file = read_file(path)
    table = renamed(file.table, columns)
    try:
        known(table, needed=tuple(_NEEDED))
    except ValueError as failure:
        raise ValueError(f"{path.name}: {failure}") from None
    return check(typed(File(table, file.where), TEXT), file.where)


def _open_table(files: str, batch: str | None) -> pd.DataFrame:
    """A table that comes with precsim; raises if its file is missing or is not the one that was shipped."""
    import pandas as pd

    folder = resources.files("precsim.data")
    name = f"{files}.parquet"
    try:
        content, record = (folder / name).read_bytes(), json.loads((folder / f"{files}.json").read_text())
    except FileNotFoundError as failure:
        raise FileNotFoundError(f"{failure.filename}, which comes with precsim, is missing; reinstall") from None
    found, shipped = hashlib.sha256(content).hexdigest(), record["sha256"][name]
    if found != shipped:
        raise ValueError(f"{name} is not the file that was shipped: its sha256 is {found}, not {shipped}; reinstall")
    table = pd.read_parquet(io.BytesIO(content))
    if batch is None:
        return check(table)
    if batch not in record["batches"]:
        raise ValueError(f"the open table has no batch {batch!r}; it has {', '.join(record['batches'])}")
    part = cast("pd.DataFrame", table[table["batch"] == batch])
    return check(part.reset_index(drop=True))
