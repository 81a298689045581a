"""Files of runs as people have them: separated values in any common dialect, JSON lines, Parquet, spreadsheets.

Every cell of a text file is read by us, not guessed by chunks, so that an error can name file, line and column and
that a line that was cut off is refused instead of filled with blanks.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from precsim.runs.columns import BITS, BLANK, FLAGS, bits, flags, names_of, numbers
from precsim.runs.run import TEXT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILES", "File", "read_file", "typed"]

#: Endings that are read, in any case; all of them also with .gz behind.
FILES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx")
_SEPARATORS = ",;\t|"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NUMERIC = ("N", "D", "loss", "delta", "delta_se", "gap", "entropy", "step", "steps", "seconds")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
_DECIMAL_POINT = re.compile(r"[-+]?\d*\.\d+([eE][-+]?\d+)?")


@dataclass(frozen=True)
class File:
    """The content of a file: a table, and the name of the place of each of its rows ("runs.csv, line 7")."""

    table: pd.DataFrame
    where: Callable[[int], str]


def read_file(path: Path) -> File:
    """The table in a file, each column as numbers, flags or words, whichever all its cells are.

    Raises
    ------
    ValueError
        With file, line and column: an ending that is not read, a header or a line that cannot be, or a library that
        is missing.
    """
    ending, packed = _ending(path)
    content = path.read_bytes()
    if packed:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as failure:
            raise ValueError(f"{path.name} is no whole gzip file: {failure}") from None
    if ending == ".parquet":
        return _binary(path, lambda pandas: pandas.read_parquet(io.BytesIO(content)))
    if ending == ".xlsx":
        return _binary(path, lambda pandas: pandas.read_excel(io.BytesIO(content)))
    text = _decoded(content, path.name)
    return _json(text, path.name, ending) if ending in (".jsonl", ".ndjson", ".json") else _separated(text, path.name)


def _ending(path: Path) -> tuple[str, bool]:
    suffixes = [s.casefold() for s in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    ending = (suffixes[-2:-1] if packed else suffixes[-1:]) or [""]
    if ending[0] not in FILES:
        raise ValueError(
            f"cannot read {path.name!r}: runs are kept in .db, {', '.join(FILES[:-1])} or {FILES[-1]} files"
        )
    return ending[0], packed


def _binary(path: Path, read: Callable[[Any], pd.DataFrame]) -> File:
    import pandas as pd

    try:
        frame = read(pd)
    except ImportError as failure:
        raise ValueError(f"{path.name} needs a library that is not here ({failure}); save it as .csv instead") from None
    except Exception as failure:  # engines raise errors of their own for a damaged file
        raise ValueError(f"{path.name} cannot be read as a {path.suffix[1:]} file: {failure}") from None
    return File(frame, lambda i: f"{path.name}, row {i}")


def _decoded(content: bytes, name: str) -> str:
    """Text of a file: UTF-8, or UTF-16 with or without its mark."""
    coding = next((coding for mark, coding in _MARKS if content.startswith(mark)), "utf-8")
    if coding == "utf-8" and content[:200].count(0) > 0.3 * len(content[:200]):
        coding = "utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"
    try:
        text = content.decode(coding)
    except UnicodeDecodeError as failure:
        line = content[: failure.start].count(b"\n") + 1
        raise ValueError(f"{name}, line {line}: byte {failure.start} is no {coding}; save the file as UTF-8") from None
    if "\x00" in text:
        raise ValueError(f"{name}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: this is no text file")
    return text


def _separated(text: str, name: str) -> File:
    import pandas as pd

    header = next((line for line in text.splitlines() if line.strip()), "")
    if not header:
        raise ValueError(f"{name} is empty")
    separator = max(_SEPARATORS, key=lambda s: len(next(csv.reader([header], delimiter=s))))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as failure:
        raise ValueError(f"{name}, line {reader.line_num}: {failure}; was the file cut off?") from None
    names = [cell.strip() or f"column {i + 1}" for i, cell in enumerate(rows[0])]
    if (charts := [n for n in names if n.endswith(("__MIN", "__MAX"))]) and "loss" not in names:
        raise ValueError(
            f"{name}, line 1: {charts[0]!r} is a column of a chart's export, one for each run; export the table of runs"
        )
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"{name}, line 1: {names.count(twice[0])} columns are called {twice[0]!r}; keep one of them")
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) != len(names):
            last = "; was the file cut off?" if line == lines[-1] and len(row) < len(names) else ""
            raise ValueError(f"{name}, line {line} has {len(row)} fields, the header {len(names)}{last}")
    if len(rows) > 1 and len(names) > 1 and not text.endswith(("\n", "\r")) and not rows[-1][-1].strip():
        raise ValueError(
            f"{name}, line {lines[-1]} ends in an empty {names[-1]}, without a line end: was the file cut off?"
        )
    cells = dict(zip(names, zip(*rows[1:], strict=True) if rows[1:] else [()] * len(names), strict=True))
    comma = separator == ";" and not any(_DECIMAL_POINT.fullmatch(c.strip()) for col in cells.values() for c in col)
    read = {n: list(map(str.strip, c)) if n in TEXT else _column(c, comma) for n, c in cells.items()}
    frame = pd.DataFrame(read, columns=names)
    return File(frame, lambda i: f"{name}, line {lines[i + 1]}")


def _column(cells: tuple[str, ...], comma: bool) -> np.ndarray | list[str]:
    """Cells as whole numbers, numbers, flags or words, whichever all of them are."""
    words = [cell.strip() for cell in cells]
    if all(w.casefold() in ("true", "false") for w in words) and words:
        return np.array([w.casefold() == "true" for w in words])
    full = [w for w in words if w.casefold() not in BLANK]
    if not full:
        return np.full(len(words), np.nan) if words else words
    if comma and all(_DECIMAL_COMMA.fullmatch(w) or w.lstrip("+-").isdigit() for w in full):
        words = [w.replace(",", ".") for w in words]
    elif any("," in w for w in full) and all(_THOUSANDS.fullmatch(w) or "," not in w for w in full):
        words = [w.replace(",", "") for w in words]
    try:
        if len(full) == len(words) and all(w.lstrip("+-").isdigit() for w in words):
            return np.array(words, dtype=object).astype(np.int64)
        return np.array([np.nan if w.casefold() in BLANK else float(w) for w in words])
    except (ValueError, OverflowError):
        return [cell.strip() for cell in cells]


def _json(text: str, name: str, ending: str) -> File:
    import pandas as pd

    records, lines = [], []
    if ending == ".json" and text.lstrip().startswith("["):
        try:
            records = json.loads(text)
        except (ValueError, RecursionError) as failure:
            raise ValueError(f"{name}: {failure}") from None
        lines = list(range(len(records)))
    else:
        for i, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                records.append(json.loads(line))
            except (ValueError, RecursionError) as failure:
                raise ValueError(f"{name}, line {i}: {failure}; one JSON object a line is read") from None
            lines.append(i)
    word = "line" if ending != ".json" or not text.lstrip().startswith("[") else "record"
    for record, line in zip(records, lines, strict=True):
        if not isinstance(record, dict):
            raise ValueError(f"{name}, {word} {line}: a run is an object of columns, got {str(record)[:40]!r}")
    frame = pd.DataFrame.from_records(records) if records else pd.DataFrame()
    return File(frame, lambda i: f"{name}, {word} {lines[i]}")


def typed(file: File, words: frozenset[str]) -> pd.DataFrame:
    """The table with its known columns as numbers, widths, flags and words.

    Parameters
    ----------
    file : File
    words : frozenset of str
        Columns that hold words: an empty cell is the empty word.

    Raises
    ------
    ValueError
        With file, line, column and the value that is none.
    """
    table, n = file.table, len(file.table)
    new: dict[str, Any] = {}
    for name in names_of(table):
        column = table[name]
        if name in FLAGS:
            new[name] = flags(column, name, file.where)
        elif name in BITS:
            new[name] = bits(column, name, n, file.where)
        elif name in words:
            new[name] = column.astype(object).where(column.notna(), "").astype(str)
        elif name in _NUMERIC and column.dtype.kind not in "iufb":
            new[name] = numbers(column, name, n, file.where)
    return table.assign(**new)
