"""What the columns of somebody's table mean: names, units, flags, and which rows a fit may use.

A table is a DataFrame or a mapping of columns. Nothing is guessed in silence: what is nearly a known name, or a word
where a flag should be, is refused with the likely meaning; what is left out or left unread is counted in a `Reading`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from precsim.runs.run import COLUMNS

__all__ = ["BITS", "FLAGS", "Copies", "Reading", "bits", "flags", "known", "names_of", "numbers", "renamed"]

BITS = ("weights", "activations", "kv", "post", "post_activations", "post_kv")
FLAGS = ("diverged", "holdout")
_NUMBERS = ("N", "D", "loss", "delta", "delta_se", "gap", "entropy", "step", "steps")
_READ = (*_NUMBERS, *BITS, *FLAGS, "scheme")

_YES = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_NO = frozenset({"false", "f", "no", "n", "0", "0.0", ""})
BLANK = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "-"})
_FULL = BLANK | {"inf", "infinity", "full", "fp32", "float32", "f32", "bf16", "bfloat16", "fp16", "float16"}
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")

#: What people call the columns, without case, spaces, punctuation and units.
_ALIASES: dict[str, tuple[str, ...]] = {
    "N": ("params", "nparams", "parameters", "nparameters", "numparams", "numparameters", "modelsize", "paramcount"),
    "D": ("tokens", "ntokens", "numtokens", "trainingtokens", "traintokens", "totaltokens", "tokensseen", "datasize"),
    "loss": ("valloss", "validationloss", "evalloss", "testloss", "finalloss", "lmloss", "trainloss", "crossentropy"),
    "weights": ("weight", "wbits", "bitsw", "weightbits", "weightsbits", "bitsweights", "weightprecision"),
    "activations": ("activation", "abits", "bitsa", "actbits", "activationbits", "activationsbits", "acts"),
    "kv": ("kvbits", "bitskv", "kvcache", "kvcachebits"),
    "post": ("postbits", "ptqbits", "bitspost", "posttrainingbits"),
    "delta": ("deltaloss", "lossdelta", "dloss", "lossincrease", "degradation"),
    "diverged": ("isdiverged", "hasdiverged"),
    "holdout": ("heldout", "isholdout", "isheldout"),
}

#: What people call training compute.
_COMPUTE = frozenset({"c", "flop", "flops", "compute", "training flop", "training_flops", "train_flops"})


class Copies(Enum):
    """What to do with rows that are equal in every column."""

    REFUSE = "refuse a table that has them"
    DROP = "keep the first of them"
    WEIGHT = "keep the first, with the weight of all"


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of the rows of a table, and what its columns hold that was not read.

    Attributes
    ----------
    rows, used : int
        Rows of the table, and those that were fitted; the difference is the sum of `left_out`.
    left_out : mapping of str to int
        Reason -> rows. A row counts once, for the first reason that applies.
    unused : tuple of str
        Columns that vary over the rows used and that the law does not read.
    notes : tuple of str
        What was read in some way that a person may want to know.

    Examples
    --------
    >>> print(Reading(20, 16, {"diverged": 4}))
    20 rows read, 16 used, 4 left out because: diverged (4)
    """

    rows: int
    used: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.rows} rows read, {self.used} used"
        if self.left_out:
            why = ", ".join(f"{reason} ({count})" for reason, count in self.left_out.items())
            text += f", {self.rows - self.used} left out because: {why}"
        return text


def names_of(table) -> list[Any]:
    """Names of the columns of a DataFrame or a mapping."""
    return list(table.columns if hasattr(table, "columns") else table)


def _row(i: int) -> str:
    return f"row {i}"


def known(table, *, needed: tuple[str, ...] = ()) -> None:
    """Refuse a table in which a column is missing, doubled, or nearly called what a fit would read.

    Raises
    ------
    ValueError
        With the name found and its likely meaning.

    Examples
    --------
    >>> known({"N": [1e6], "D": [1e8], "loss": [3.0], "w_bits": [4]})
    Traceback (most recent call last):
        ...
    ValueError: column 'w_bits' is probably weights, which is read under that name only; rename it with ...
    """
    names = tuple(map(str, names_of(table)))
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f"the table has {names.count(twice)} columns called {twice!r}; keep one of them")
    twins, likely = _meanings(names)
    for meant, several in twins.items():
        each = " and ".join(map(repr, several))
        raise ValueError(f"columns {each} may all be {meant}; keep one of them under that name")
    if missing := [n for n in needed if n not in names]:
        hints = "".join(f"; {likely[n]!r} may be {n}: columns={{{n!r}: {likely[n]!r}}}" for n in missing if n in likely)
        hints = hints or _compute_alone(missing, names)
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(sorted(names))}{hints}")
    for meant, near in likely.items():
        raise ValueError(
            f"column {near!r} is probably {meant}, which is read under that name only; rename it with "
            f"columns={{{meant!r}: {near!r}}} (--column {meant}={near!r}), or say that it is something else with "
            f"columns={{{near!r}: None}} (--column {near!r}=)"
        )


def _compute_alone(missing: list[str], names: tuple[str, ...]) -> str:
    """What can be fitted to loss against FLOP."""
    compute = next((name for name in names if name.casefold() in _COMPUTE), None)
    if compute is None or not {"N", "D"} <= set(missing):
        return ""
    return (
        f"; with {compute} alone, L = E + A C^(-alpha) can be fitted: the law Frontier(), units_checked=True and "
        f"columns={{'N': {compute + '/6'!r}, 'D': '1'}} (--law frontier --column N={compute + '/6'!r} --column D=1 "
        "--units-checked)"
    )


@functools.lru_cache(maxsize=64)  # fits of resamples ask for the same names again and again
def _meanings(names: tuple[str, ...]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Known name -> columns that are all of that name but for case; known name -> the column nearly so called."""
    strange = [n for n in names if n not in COLUMNS and n not in _READ]
    twins, likely = {}, {}
    for meant in _READ:
        numbered = [n for n in strange if re.fullmatch(rf"{re.escape(meant)}\.\d+", n)]
        spelled = [n for n in strange if _plain(n) == meant.casefold().replace("_", "")]
        several = [meant] * (meant in names) + sorted({*spelled, *numbered})
        if len(several) > 1:
            twins[meant] = several
        elif meant not in names and (near := _near(meant, strange)):
            likely[meant] = near
    return twins, likely


def _plain(name: str) -> str:
    """A name without case, units in brackets, and what is no letter or digit."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[(\[].*?[)\]]", "", name.casefold()))


def _near(meant: str, names: list[str]) -> str | None:
    """The column that is probably meant: another spelling, an alias, or a slip of the pen in a long name."""
    words = {n: {_plain(n), _plain(re.split(r"[./]", n)[-1])} for n in names}
    same = {_plain(meant), *_ALIASES.get(meant, ())}
    for name, each in words.items():
        if each & same:
            return name
    if len(meant) < 6:
        return None
    return next((name for name, each in words.items() if any(_slip(w, _plain(meant)) for w in each)), None)


def _slip(typed: str, meant: str) -> bool:
    """Whether two words differ by one letter: missing, added, changed, or exchanged with its neighbor."""
    i = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    a, b = typed[i:], meant[i:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def renamed(table: Any, columns: Mapping[str, str | None] | None) -> Any:
    """The table with columns renamed, scaled or ignored, as ``columns=`` and ``--column`` write it.

    Parameters
    ----------
    table : DataFrame or mapping of columns
    columns : mapping of str to str or None
        New name -> column of the table, which may be multiplied or divided by numbers and other columns:
        ``{"N": "params (M)*1e6", "D": "steps*batch"}``. A column mapped to None is taken out.

    Returns
    -------
    DataFrame or dict
        A new table; columns that were only renamed or scaled are no longer there under their old name.

    Raises
    ------
    ValueError
        If an expression names no column, or a name would be overwritten.

    Examples
    --------
    >>> renamed({"params (M)": [30, 50], "D": [1e9, 2e9], "loss": [3.5, 3.3]}, {"N": "params (M)*1e6"})["N"].tolist()
    [30000000.0, 50000000.0]
    """
    if not columns:
        return table
    names = list(map(str, names_of(table)))
    read: set[str] = set()
    new: dict[str, Any] = {}
    for name, expression in columns.items():
        if expression is None:
            if name not in names:
                raise ValueError(f"there is no column {name!r} to ignore; the table has {', '.join(names)}")
            read.add(name)
            continue
        found = _evaluate(expression, table, names)
        if found is None:
            raise ValueError(
                f"{expression!r} is no column, nor one times or over numbers and columns, as in 'params (M)*1e6'; the "
                f"table has {', '.join(names)}"
            )
        values, used = found
        if name in names and name not in used and columns.get(name, "") is not None:
            raise ValueError(f"the table has a column {name!r} already, which {expression!r} would overwrite")
        new[name] = values
        read |= used
    if hasattr(table, "columns"):
        return table.drop(columns=list(read)).assign(**new)
    return {n: table[n] for n in names if n not in read} | new


def _evaluate(expression: str, table, names: list[str]) -> tuple[Any, set[str]] | None:
    """Values of a product or quotient of columns and numbers, and the columns read; a name may hold any sign."""
    stripped = {n.strip(): n for n in names}
    text = expression.strip()
    name = expression if expression in names else stripped.get(text)
    if name is not None:
        return table[name], {name}
    for i in range(len(text) - 1, 0, -1):
        if text[i] in "*/":
            left, right = (_evaluate(part, table, names) for part in (text[:i], text[i + 1 :]))
            if left is None or right is None:
                continue
            n = len(table[names[0]])
            a, b = (numbers(side[0], expression, n) for side in (left, right))
            return (a * b if text[i] == "*" else a / b), left[1] | right[1]
    try:
        return np.full(len(table[names[0]]), float(text)), set()
    except ValueError:
        return None


def flags(values, name: str, where: Callable[[int], str] = _row) -> np.ndarray:
    """Truth of a column of flags, shape (rows,): true/false, yes/no, 1/0 in any case; blank is false.

    Raises
    ------
    ValueError
        With the row and the value that is none of these.

    Examples
    --------
    >>> flags(["no", "", "True", None, 0], "diverged").tolist()
    [False, False, True, False, False]
    >>> flags(["no", "x"], "diverged")
    Traceback (most recent call last):
        ...
    ValueError: column diverged must hold true or false (yes/no, 1/0, blank for false); row 1 has 'x'
    """
    array = np.asarray(values)
    if array.dtype == bool:
        return array
    out = np.zeros(len(array), dtype=bool)
    for i, value in enumerate(np.asarray(values, dtype=object)):
        word = str(value).strip().casefold()
        if word in _YES:
            out[i] = True
        elif word not in _NO and word not in BLANK:
            raise ValueError(
                f"column {name} must hold true or false (yes/no, 1/0, blank for false); {where(i)} has {value!r}"
            )
    return out


def numbers(values, name: str, n: int, where: Callable[[int], str] = _row) -> np.ndarray:
    """A column as floats, shape (n,); blank is NaN, and "12,345" is 12345.

    Raises
    ------
    ValueError
        With the row and the value that is no number.

    Examples
    --------
    >>> numbers(["12,345", "", "1e9"], "N", 3).tolist()
    [12345.0, nan, 1000000000.0]
    """
    try:
        out = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        out = np.array([_cell(v, name, i, where) for i, v in enumerate(np.asarray(values, dtype=object))])
    if out.shape != (n,):
        raise ValueError(f"{name} has shape {out.shape}, the table has {n} rows")
    return out


def _cell(value, name: str, i: int, where: Callable[[int], str]) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        text = str(value).strip()
    if text.casefold() in BLANK:
        return np.nan
    if _THOUSANDS.fullmatch(text):
        return float(text.replace(",", ""))
    raise ValueError(f"column {name} must hold numbers; {where(i)} has {value!r}")


def bits(values, name: str, n: int, where: Callable[[int], str] = _row) -> np.ndarray:
    """A column of widths as floats, shape (n,); inf where a cell is blank or says full precision in words.

    Raises
    ------
    ValueError
        With the row and the value: no number, or below 1 bit.

    Examples
    --------
    >>> bits(["4", "", "BF16", 8], "weights", 4).tolist()
    [4.0, inf, inf, 8.0]
    """
    try:
        out = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        cells = np.asarray(values, dtype=object)
        full = [str(v).strip().casefold() in _FULL for v in cells]
        out = np.array(
            [np.inf if f else _cell(v, name, i, where) for i, (v, f) in enumerate(zip(cells, full, strict=True))]
        )
    if out.shape != (n,):
        raise ValueError(f"{name} has shape {out.shape}, the table has {n} rows")
    out = np.where(np.isnan(out), np.inf, out)
    if (out < 1).any():
        i = int(np.flatnonzero(out < 1)[0])
        raise ValueError(
            f"column {name} must be at least 1 bit (inf or blank: not quantized); {where(i)} has {out[i]:g}"
        )
    return out
