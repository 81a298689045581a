"""What commands print and write: aligned columns for a person, strict JSON for a machine, files where one may be."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def columns(rows: Iterable[Row], names: Sequence[str] | None = None) -> str:
    """Rows as text in aligned columns, numbers to the right; a cell that a row lacks is empty.

    Examples
    --------
    >>> print(columns([{"name": "alpha", "value": 0.35}, {"name": "E", "value": 12.0}]))
    name   value
    alpha   0.35
    E         12
    """
    rows = list(rows)
    names = list(names or dict.fromkeys(name for row in rows for name in row))
    cells = [[cell(row.get(name, "")) for name in names] for row in rows]
    right = [all(isinstance(row.get(name, 0.0), int | float) for row in rows) for name in names]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]

    def line(words: Sequence[str]) -> str:
        aligned = (w.rjust(n) if r else w.ljust(n) for w, n, r in zip(words, widths, right, strict=True))
        return "  ".join(aligned).rstrip()

    return "\n".join(line(words) for words in [names, *cells])


def cell(value: object) -> str:
    """A value in a table: five significant digits, "full" for an infinite width stays "inf"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def as_json(record: object) -> str:
    """JSON text in which every number is exact; what JSON lacks is null (NaN) or "Infinity".

    Examples
    --------
    >>> print(as_json({"post": math.inf, "gap": math.nan}))
    {
     "post": "Infinity",
     "gap": null
    }
    """
    return json.dumps(plain(record), indent=1, allow_nan=False, ensure_ascii=False)


def plain(value: object) -> object:
    """The value in JSON types: NumPy's become Python's, an infinity a word, NaN null."""
    if (as_list := getattr(value, "tolist", None)) is not None:
        value = as_list()
    if isinstance(value, Mapping):
        return {str(name): plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def count(number: float) -> str:
    """A count with its metric prefix: 25000 is "25k"."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if 10**power <= abs(number) < 10 ** (power + 3):
            return f"{number / 10**power:.3g}{prefix}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Examples
    --------
    >>> duration(75), duration(9000)
    ('1.2 min', '2.5 h')
    """
    for size, unit in ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}" if seconds / size >= 10 else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s"


def check_new(*paths: str | Path | None, force: bool) -> None:
    """Refuse to write over a file, or into a folder that does not exist, before the work is done.

    What is no regular file, such as a pipe, loses nothing by being written to.

    Raises
    ------
    ValueError
        If a file is there and force is False, a folder is there, its own folder is not, or two files are one.
    """
    places = [Path(path) for path in paths if path is not None]
    for path in places:
        if not path.name or path.is_dir():
            raise ValueError(f"{str(path)!r} is a folder; give the name of a file")
        if path.is_file() and not force:
            raise ValueError(f"{path} is there already; choose another name, or --force to replace it")
        if not path.resolve().parent.is_dir():
            raise ValueError(f"there is no folder {path.resolve().parent} to write {path.name} to")
    if len({path.resolve() for path in places}) < len(places):
        raise ValueError(f"two files cannot both be {places[0]}")
