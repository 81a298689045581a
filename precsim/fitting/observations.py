"""The rows of a table that a fit uses, as arrays, checked against what the law needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from precsim.laws.law import Law
from precsim.laws.setting import CONTEXT, Effective, Setting, Tensor

_BITS = ("weights", "activations", "kv", "post")


@dataclass(frozen=True, slots=True)
class Observations:
    """What was measured: a law's setting for each row, the measured value, its weight, and the rows' origin.

    Attributes
    ----------
    setting : Setting of arrays, shape (n,)
    value : ndarray, shape (n,)
        Loss, or δ for paired rows [nats/token].
    weight : ndarray, shape (n,)
        Relative weight of each row in the objective.
    row : ndarray of int, shape (n,)
        Position in the table.
    floor : float
        For paired rows, the noise floor of δ [nats/token]; 0 for losses.
    """

    setting: Setting
    value: np.ndarray
    weight: np.ndarray
    row: np.ndarray
    floor: float = 0.0

    def __len__(self) -> int:
        return len(self.value)

    def take(self, index: np.ndarray) -> Observations:
        """Some of the rows, repeats allowed."""
        s = self.setting
        context = {k: v[index] for k, v in s.context.items()}
        bits = {b: getattr(s, b)[index] for b in _BITS}
        setting = Setting(s.N[index], s.D[index], context=context, **bits)
        return Observations(setting, self.value[index], self.weight[index], self.row[index], self.floor)


def read(runs, *, paired: bool, weights=None, floor: float | None = None) -> Observations:
    """The rows of a table for one stage of a fit: losses as trained, or paired δ of quantized evaluations.

    Rows that diverged, that are marked ``holdout`` or whose activations or KV cache were quantized after training are
    left out, and from the losses also checkpoints before the end of their schedule.

    Raises
    ------
    ValueError
        Naming the columns that are missing or wrong, exact duplicates, or units that cannot be.
    """
    names = set(runs.columns if hasattr(runs, "columns") else runs)
    needed = ["N", "D", "delta" if paired else "loss"] + (["post"] if paired else [])
    missing = [c for c in needed if c not in names]
    if missing:
        have = ", ".join(sorted(map(str, names)))
        hint = "; delta and post are of trained models evaluated once more, quantized: without them fit a base law"
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {have}" + (hint if paired else ""))
    n = len(runs["N"])
    column = {c: _numbers(runs[c], c, n) for c in ("N", "D", "loss", "delta", "delta_se", *_BITS) if c in names}
    for b in _BITS:
        column.setdefault(b, np.full(n, np.inf))
    keep = np.isinf(column["post"]) != paired
    for flag in ("diverged", "holdout"):
        if flag in names:
            keep &= ~np.asarray(runs[flag], dtype=bool)
    value = column["delta" if paired else "loss"]
    for other in ("post_activations", "post_kv"):  # the laws of degradation speak of weights quantized afterwards
        if other in names:
            keep &= np.isinf(_numbers(runs[other], other, n))
    if not paired and {"step", "steps"} <= names:  # a checkpoint before the end of its schedule is no trained model
        keep &= np.asarray(runs["step"]) == np.asarray(runs["steps"])
    weight = np.ones(n) if weights is None else _numbers(weights, "weights", n)
    keep &= weight > 0
    row = np.flatnonzero(keep)
    if row.size == 0:
        what = "quantized after training (post finite)" if paired else "evaluated as trained (post = inf)"
        raise ValueError(f"the table has no row {what} that is neither diverged nor held out; it has {n} rows")
    _check(column, value, row, paired)
    _duplicates(runs, column, value, row)
    context = {c: np.asarray(runs[c])[row] for c in sorted(CONTEXT & names)}
    setting = Setting(column["N"][row], column["D"][row], context=context, **{b: column[b][row] for b in _BITS})
    return Observations(setting, value[row], weight[row], row, _floor(column, value, row, floor) if paired else 0.0)


def _numbers(values, name: str, n: int) -> np.ndarray:
    try:
        out = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"column {name} must hold numbers, got {np.asarray(values)[:1]!r}") from None
    if out.shape != (n,):
        raise ValueError(f"{name} has shape {out.shape}, the table has {n} rows")
    return out


def _check(column, value, row, paired):
    for name in ("N", "D"):
        bad = row[~(np.isfinite(column[name][row]) & (column[name][row] > 0))]
        if bad.size:
            raise ValueError(f"column {name} must be positive and finite; row {bad[0]} has {column[name][bad[0]]}")
    finite = np.isfinite(value[row])
    if not finite.all():
        raise ValueError(
            f"{'delta' if paired else 'loss'} is {value[row][~finite][0]} in row {row[~finite][0]}; "
            "mark such runs diverged, or drop them"
        )
    if not paired and (value[row] <= 0).any():
        bad = row[value[row] <= 0][0]
        raise ValueError(f"loss must be positive; row {bad} has {value[bad]}")
    N, D = column["N"][row], column["D"][row]
    _check_units(N, D)


def _check_units(N, D):
    """Refuse counts that are plainly in thousands, millions or billions, in whole or in part."""
    plain = "give both as plain counts (parameters, tokens)"
    for x, name in ((N, "N"), (D, "D")):
        if x.max() > 1e8 * x.min():
            span = f"{x.min():g} to {x.max():g}"
            raise ValueError(f"{name} goes from {span}: are some rows in thousands, millions or billions? {plain}")
    for small, large, a, b in ((D, N, "D", "N"), (N, D, "N", "D")):
        if small.max() < 1e3 and large.min() > 1e5:
            raise ValueError(
                f"{a} is at most {small.max():g} while {b} is at least {large.min():g}: is {a} in millions or "
                f"billions? {plain}"
            )
    least, most = (D / N).min(), (D / N).max()
    if most < 0.1 or least > 1e5:
        said = f"at most {most:.2g}: is D" if most < 0.1 else f"at least {least:.2g}: is N"
        raise ValueError(f"tokens per parameter are {said} in thousands, millions or billions? {plain}")


def _duplicates(runs, column, value, row):
    """Refuse rows that are equal in every column of the table."""
    keys = np.column_stack([column[c][row] for c in ("N", "D", *_BITS)] + [value[row]])
    _, cell, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    alike = row[count[np.ravel(cell)] > 1]  # only these are worth comparing further
    if alike.size == 0:
        return
    names = runs.columns if hasattr(runs, "columns") else runs
    texts = [np.unique(np.asarray(runs[c])[alike].astype(str), return_inverse=True)[1] for c in names]
    _, first, count = np.unique(np.column_stack(texts), axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        where = alike[first[count > 1].min()]
        raise ValueError(
            f"{int((count - 1).sum())} rows are exact copies of others (row {where} is the first of them); "
            "drop the copies, or say with weights= how often a row counts"
        )


def _floor(column, value, row, floor):
    """The δ below which differences are noise: given; or the median standard error; or the spread of repeats."""
    if floor is not None:
        if not floor > 0:
            raise ValueError(f"floor must be positive, got {floor}")
        return float(floor)
    error = column.get("delta_se", np.zeros_like(value))[row]
    error = error[np.isfinite(error) & (error > 0)]
    repeats = _spread_of_repeats(np.column_stack([column[c][row] for c in ("N", "D", *_BITS)]), value[row])
    scale = np.median(np.abs(value[row]))
    found = [x for x in (float(np.median(error)) if error.size else 0.0, repeats) if x > 0]
    return max(found) if found else float(1e-3 * scale) if scale > 0 else 1e-9


def _spread_of_repeats(settings, value) -> float:
    """Standard deviation of δ between runs of one setting, the median over the quarter with the least δ; 0 if none.

    The seeds' spread has a part that is proportional to δ, which a logarithm takes care of, and one that stays where
    δ vanishes. This is the second.
    """
    _, cell, count = np.unique(settings, axis=0, return_inverse=True, return_counts=True)
    cell = np.ravel(cell)
    mean = np.bincount(cell, value) / count
    squares = np.bincount(cell, (value - mean[cell]) ** 2)
    several = np.flatnonzero(count > 1)
    if several.size == 0:
        return 0.0
    least = several[np.argsort(np.abs(mean[several]), kind="stable")][: max(1, several.size // 4)]
    return float(np.sqrt(np.median(squares[least] / (count[least] - 1))))


_COLUMN = {
    Tensor.WEIGHTS: ("weights",),
    Tensor.ACTIVATIONS: ("activations",),
    Tensor.KV: ("kv",),
    Tensor.TIED: ("weights", "activations", "kv"),
}


def require(law: Law, free: tuple[str, ...], data: Observations) -> None:
    """ValueError that says what the table lacks for estimating these parameters, and what it still allows."""
    s, base = data.setting, law.base
    if {"C_T", "b"} <= set(free):
        raise ValueError(
            "C_T and b cannot both be fitted: only C_T·e^b enters the law, so every pair with the same product fits "
            "alike; leave b at 0 (its default) and read C_T as C_T·e^b"
        )
    if base is not None:
        for name, values, others in (("N", s.N, {"A", "alpha", "b_N", "k_N"}), ("D", s.D, {"B", "beta"})):
            lost = sorted(others & set(free))
            if lost and np.unique(values).size == 1:
                raise ValueError(
                    f"the table has one value of {name} only ({values[0]:g}), so {', '.join(lost)} cannot be "
                    f"estimated; give them (fix=), the other parameters can still be fitted"
                )
    for part in law.factors:
        inner = getattr(part, "inner", part)
        own = set(part.names.values()) & set(free)
        if not own:
            continue
        if hasattr(inner, "tensor"):
            bits = np.concatenate([getattr(s, c)[np.isfinite(getattr(s, c))] for c in _COLUMN[inner.tensor]])
            widths = np.unique(bits).size
            if widths == 0:
                raise ValueError(
                    f"no row has quantized {inner.tensor.value} ({'/'.join(_COLUMN[inner.tensor])} is inf throughout), "
                    f"so {', '.join(sorted(own))} cannot be estimated; the base law alone can"
                )
            shape = [n for n in own if not n.startswith("drift")]
            if widths < len(shape):
                raise ValueError(
                    f"{inner.tensor.value} has {widths} quantized width(s), too few for {', '.join(sorted(shape))}; "
                    f"train at {len(shape)} widths or more, or give all but {widths} of them"
                )
        elif hasattr(inner, "schemes"):
            seen = set(map(str, s.context.get("scheme", ())))
            tail = "_D" if inner.on is Effective.D else ""
            absent = [m for m in inner.schemes if f"f_{m}{tail}" in own and m not in seen]
            if absent:
                raise ValueError(f"no row has scheme {', '.join(absent)}; the table has {', '.join(sorted(seen))}")
    if base is None and law.degradations:
        for name, values in (("gamma_D", s.D), ("gamma_N", s.N), ("gamma_post", s.post)):
            if name in free and np.unique(values).size == 1:
                raise ValueError(
                    f"one value of {name[6:]} only ({values[0]:g}), so {name} cannot be estimated; "
                    "give it (fix=), the other parameters can still be fitted"
                )
    if len(data) < len(free) + 1:
        raise ValueError(
            f"{len(data)} rows for {len(free)} parameters ({', '.join(free)}); at least {len(free) + 1} are needed, "
            f"so give {len(free) + 1 - len(data)} of them (fix=) or add runs"
        )


def describe(setting: Setting) -> dict[str, Any]:
    """Arguments that evaluate a law at this setting."""
    return {b: getattr(setting, b) for b in _BITS} | dict(setting.context)


_WIDTHS = ("weights", "activations", "kv", "post")
_TREATMENTS = (
    *("post_method", "post_scaling", "post_format", "weights_scaling", "weights_format", "activations_scaling"),
    *("activations_format", "kv_scaling", "kv_format", "schedule", "optimizer", "language"),
)


def ignored(law: Law, data: Observations, runs) -> dict[str, tuple[str, ...]]:
    """Columns by name, with the values that these rows have there, up to the first four.

    A column of bits is ignored where the law predicts the same without it; a column of words always. Formats count as
    equal where they differ in width alone, because laws speak of widths.

    Examples
    --------
    >>> from precsim.fitting.observations import read
    >>> from precsim.laws import Chinchilla
    >>> runs = {"N": [1e6, 2e6], "D": [1e8, 1e8], "loss": [3.0, 2.9], "weights": [4.0, np.inf]}
    >>> law = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> ignored(law, read(runs, paired=False), runs)
    {'weights': ('4', 'inf')}
    """
    found: dict[str, tuple[str, ...]] = {}
    names = set(runs.columns if hasattr(runs, "columns") else runs)
    predicted = law.evaluate(data.setting)
    for name in _WIDTHS:
        bits = np.unique(getattr(data.setting, name))
        if bits.size > 1:
            without = law.evaluate(replace(data.setting, **{name: np.full(len(data), np.inf)}))
            if np.array_equal(predicted, without):
                found[name] = tuple(f"{b:g}" for b in bits[:4])
    for name in _TREATMENTS:
        if name in names:
            kinds = r"[A-Z]*" if name.endswith("_format") else r"[^(]*"  # INT of INT4, Cosine of Cosine(…)
            each = {str(word) for word in set(np.asarray(runs[name], dtype=object)[data.row].tolist())}
            words = {re.sub(f"^({kinds}).*", r"\1", word) for word in each} - {"", "none", "nan", "None"}
            if len(words) > 1:
                found[name] = tuple(sorted(words)[:4])
    return found


def sentence(columns: dict[str, tuple[str, ...]]) -> str:
    """The same in words."""
    each = ", ".join(f"{name} ({', '.join(values)})" for name, values in columns.items())
    return f"rows differ in {each}, which this form does not know"
