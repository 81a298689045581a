"""The table of runs that ``fit`` and ``compare`` read, as their common options describe it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from precsim.cli.law_words import laws_option
from precsim.runs import excess, load_runs, mean_over_seeds
from precsim.runs.columns import Copies

if TYPE_CHECKING:
    import pandas as pd

#: Help of the table of runs.
RUNS = "precsim-2026, a store (.db), or a file: .csv, .tsv, .jsonl, .json, .parquet, .xlsx, also with .gz"
#: Help of ``--law`` where a law is to be fitted.
LAW = "chinchilla+saturating:weights+kumar; see --laws"


def table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of everything that fits laws to a table."""
    rows_options(parser)
    parser.add_argument("--delta", type=float, metavar="KNEE", help="knee of Huber's loss; adapted by default")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    laws_option(parser)


def rows_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which rows and columns of a table are used."""
    parser.add_argument(
        "--only",
        action="append",
        metavar="COLUMN=A,B",
        help="rows with these values only, an empty one included: post_format=,INT4",
    )
    parser.add_argument(
        "--column",
        action="append",
        metavar="NAME=COLUMN",
        help='a column under another name, scaled: N="params (M)*1e6"; nothing after = leaves a column unread',
    )
    parser.add_argument("--units-checked", action="store_true", help="N and D are plain counts, however they look")
    parser.add_argument(
        "--copies",
        choices=[way.name.lower() for way in Copies],
        default="refuse",
        help="rows that are equal in every column (refuse)",
    )
    parser.add_argument("--excess", action="store_true", help="use the gap, the loss above the language's entropy")
    parser.add_argument("--means", action="store_true", help="average over seeds first")


def table_of(options: argparse.Namespace) -> pd.DataFrame:
    """The table that the options describe."""
    table: Any = load_runs(options.runs, columns=_columns(options.column))
    for text in options.only or ():
        table = _only(table, text)
    if options.means:
        table = mean_over_seeds(table)
    return excess(table) if options.excess else table


def _columns(texts: list[str] | None) -> dict[str, str | None]:
    """``NAME=COLUMN`` as a mapping; a name with nothing after it is left unread."""
    found: dict[str, str | None] = {}
    for text in texts or ():
        name, equals, column = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f'--column is NAME=COLUMN, as in N="params (M)*1e6"; got {text!r}')
        found[name.strip()] = column.strip() or None
    return found


def reading_of(options: argparse.Namespace) -> dict[str, Any]:
    """How `fit` and `compare` are to take the rows."""
    return {"copies": Copies[options.copies.upper()], "units_checked": options.units_checked}


def _only(table: pd.DataFrame, text: str) -> Any:
    name, equals, rest = text.partition("=")
    if not equals or name not in table.columns:
        raise ValueError(f"--only is COLUMN=A,B with a column of {', '.join(map(str, table.columns))}; got {text!r}")
    column = table[name]
    if column.dtype.kind in "iuf":
        try:
            wanted: list[Any] = [float(word) for word in rest.split(",")]
        except ValueError:
            raise ValueError(f"column {name} holds numbers; got {rest!r}") from None
        kept = column.astype(float).isin(wanted)
    else:
        kept = column.fillna("").astype(str).isin(rest.split(","))
    if not kept.to_numpy().any():
        seen = ", ".join(map(str, list(column.unique())[:12]))
        raise ValueError(f"no row has {name} = {rest}; there are {seen}")
    return table[kept]


def rng_of(options: argparse.Namespace) -> np.random.Generator:
    """The generator of everything random, from ``--seed``."""
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    return np.random.default_rng(options.seed)
