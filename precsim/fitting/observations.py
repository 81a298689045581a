"""The rows of a table that a fit uses, as arrays, checked against what the law needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from precsim.equality import Record
from precsim.fitting.noise import floor_of
from precsim.laws.law import Law
from precsim.laws.setting import CONTEXT, Effective, Setting, Tensor
from precsim.runs.columns import BLANK, Copies, Reading, bits, flags, known, names_of, numbers
from precsim.runs.run import COLUMNS

_BITS = ("weights", "activations", "kv", "post")
_UNFINISHED = ("crashed", "failed", "killed", "running", "preempted")


@dataclass(frozen=True, slots=True, eq=False)
class Observations(Record):
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
    reading : Reading
        What became of the other rows.
    """

    setting: Setting
    value: np.ndarray
    weight: np.ndarray
    row: np.ndarray
    floor: float = 0.0
    reading: Reading = field(default_factory=lambda: Reading(0, 0))

    def __len__(self) -> int:
        return len(self.value)

    def take(self, index: np.ndarray) -> Observations:
        """Some of the rows, repeats allowed."""
        s = self.setting
        context = {k: v[index] for k, v in s.context.items()}
        bits = {b: getattr(s, b)[index] for b in _BITS}
        setting = Setting(s.N[index], s.D[index], context=context, **bits)
        return Observations(setting, self.value[index], self.weight[index], self.row[index], self.floor, self.reading)


def read(
    runs,
    *,
    paired: bool,
    weights=None,
    floor: float | None = None,
    copies: Copies = Copies.REFUSE,
    units_checked: bool = False,
) -> Observations:
    """The rows of a table for one stage of a fit: losses as trained, or paired δ of quantized evaluations.

    Rows that diverged, that did not finish (a column ``state`` of words), that are marked ``holdout`` or whose
    activations or KV cache were quantized after training are left out, and from the losses also checkpoints before
    the end of their schedule. The `Reading` of the result counts them.

    Raises
    ------
    ValueError
        Naming the columns that are missing, nearly so called or wrong, exact copies, or units that cannot be.
    """
    needed = ("N", "D", "delta" if paired else "loss", *(("post",) if paired else ()))
    try:
        known(runs, needed=needed)
    except ValueError as failure:
        raise ValueError(f"{failure}{_paired_advice(runs, needed)}") from None
    names = set(names_of(runs))
    n = len(runs["N"])
    column = {c: numbers(runs[c], c, n) for c in ("N", "D", "loss", "delta", "delta_se") if c in names}
    notes = []
    for b in _BITS:
        column[b] = bits(runs[b], b, n) if b in names else np.full(n, np.inf)
        if b in names and (blank := int(np.isinf(column[b]).sum() - _said(runs[b]))) > 0:
            notes.append(f"{blank} empty cells of {b} are read as full precision")
    weight = np.ones(n) if weights is None else numbers(weights, "weights", n)
    keep, left_out = np.ones(n, dtype=bool), {}
    for reason, wrong in _reasons(runs, names, column, weight, paired):
        if count := int((keep & wrong).sum()):
            left_out[reason] = count
        keep &= ~wrong
    row = np.flatnonzero(keep)
    if row.size == 0:
        what = "quantized after training (post finite)" if paired else "evaluated as trained (post = inf)"
        raise ValueError(f"the table has no row {what} that can be used: {Reading(n, 0, left_out)}")
    value = column["delta" if paired else "loss"]
    _check(column, value, row, paired)
    if not units_checked:
        check_units(column["N"][row], column["D"][row])
    first = _first_of_copies(runs, column, value, row)
    if (extra := int((first != row).sum())) and copies is Copies.REFUSE:
        where = int(first[first != row].min())
        raise ValueError(
            f"{extra} rows are exact copies of others (row {where} is the first of them); drop them or count them "
            "with copies=Copies.DROP or Copies.WEIGHT (--copies drop, --copies weight)"
        )
    if extra:
        left_out["exact copies" if copies is Copies.DROP else "exact copies, counted in the weight of the first"] = (
            extra
        )
        if copies is Copies.WEIGHT:
            weight = np.bincount(first, weight[row], minlength=n)
        row = row[first == row]
    context = {c: np.asarray(runs[c])[row] for c in sorted(CONTEXT & names)}
    setting = Setting(column["N"][row], column["D"][row], context=context, **{b: column[b][row] for b in _BITS})
    reading = Reading(n, len(row), left_out, notes=tuple(notes))
    error = column.get("delta_se", np.zeros(n))[row]
    least = floor_of(runs, row, value[row], error, floor) if paired else 0.0
    return Observations(setting, value[row], weight[row], row, least, reading)


def _paired_advice(runs, needed: tuple[str, ...]) -> str:
    """What can be done with a table without damage."""
    if "delta" in needed and not {"delta", "post"} <= set(map(str, names_of(runs))):
        return "; delta and post are of trained models evaluated once more, quantized: without them fit a base law"
    return ""


def _said(values) -> int:
    """How many cells say in so many words that they are not quantized."""
    cells = np.asarray(values)
    if cells.dtype.kind in "iuf":
        return int(np.isinf(cells).sum())
    return sum(str(v).strip().casefold() not in BLANK for v in cells if np.isinf(bits([v], "bits", 1)[0]))


def _reasons(runs, names: set, column: dict, weight: np.ndarray, paired: bool):
    """Why rows are left out, each with its mask."""
    n = len(weight)
    for flag, reason in (("diverged", "diverged"), ("holdout", "held out")):
        if flag in names:
            yield reason, flags(runs[flag], flag)
    yield from _unfinished(runs, names)
    other = np.isinf(column["post"]) == paired
    yield ("as trained, so without a delta" if paired else "quantized after training"), other
    for tensor in ("post_activations", "post_kv"):  # the laws of degradation speak of weights quantized afterwards
        if tensor in names:
            yield "activations or KV cache quantized after training", np.isfinite(bits(runs[tensor], tensor, n))
    if not paired and {"step", "steps"} <= names:  # a checkpoint before the end of its schedule is no trained model
        step, steps = (numbers(runs[c], c, n) for c in ("step", "steps"))
        for c, values in (("step", step), ("steps", steps)):
            if (blank := np.flatnonzero(np.isnan(values) & ~other)).size:
                raise ValueError(
                    f"column {c} is empty in row {blank[0]}, so nothing says whether that is a trained model or a "
                    f"checkpoint: fill it in, or take {c} out with columns={{{c!r}: None}}"
                )
        yield "checkpoint before the last step", step != steps
    yield "weight 0", ~(weight > 0)


def _unfinished(runs, names: set):
    """Runs that a tracker says did not finish: a column state or State of its words."""
    for name in names & {"state", "State", "status", "Status"}:
        words = np.char.strip(np.char.lower(np.asarray(runs[name]).astype(str)))
        if set(words.tolist()) <= {"finished", *_UNFINISHED}:
            for word in _UNFINISHED:
                yield word, words == word


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


def check_units(N: np.ndarray, D: np.ndarray) -> None:
    """Refuse counts that are plainly in thousands, millions or billions, in whole or in part.

    Raises
    ------
    ValueError
        If N or D spans more than eight decades, some N is below 1e3 or some D below 1e4, or the tokens per parameter
        are outside [0.1, 1e5] for half of the rows or more. (Of the 240 published Chinchilla points 7 are below 0.1.)
    """
    plain = (
        'give plain counts of parameters and tokens, columns={"N": "N*1e6"} (--column "N=N*1e6") scales; if the units '
        "are right, say units_checked=True (--units-checked)"
    )
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
    ratio = float(np.median(D / N))
    if not 0.1 <= ratio <= 1e5:
        said = f"{ratio:.2g}: is D in steps," if ratio < 0.1 else f"{ratio:.2g}: is N"
        raise ValueError(f"tokens per parameter are {said} in thousands, millions or billions? {plain}")
    for x, name, least in ((N, "N", 1e3), (D, "D", 1e4)):
        if x.min() < least:
            raise ValueError(f"{name} is {x.min():g} in some row: is it in thousands, millions or billions? {plain}")


def _first_of_copies(runs, column, value, row) -> np.ndarray:
    """For each row the first that equals it in every column of the table, shape (n,)."""
    first = row.copy()
    keys = np.column_stack([column[c][row] for c in ("N", "D", *_BITS)] + [value[row]])
    _, cell, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    where = np.flatnonzero(count[np.ravel(cell)] > 1)  # only these are worth comparing further
    if where.size:
        alike = row[where]
        texts = [np.unique(np.asarray(runs[c])[alike].astype(str), return_inverse=True)[1] for c in names_of(runs)]
        _, start, group = np.unique(np.column_stack(texts), axis=0, return_index=True, return_inverse=True)
        first[where] = alike[start[np.ravel(group)]]
    return first


_COLUMN = {
    Tensor.WEIGHTS: ("weights",),
    Tensor.ACTIVATIONS: ("activations",),
    Tensor.KV: ("kv",),
    Tensor.TIED: ("weights", "activations", "kv"),
}


def _pairs_advice(s: Setting) -> str:
    """What runs of one size or length tell without a law, if some are in low precision and some are not."""
    quantized = np.isfinite(np.stack([s.weights, s.activations, s.kv])).any(axis=0)
    if quantized.all() or not quantized.any():
        return ""
    return "; what low precision loses against full precision at each N and D needs no law: gaps() (precsim gaps)"


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
                    f"estimated; give them (fix=), the other parameters can still be fitted{_pairs_advice(s)}"
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
        if not np.any(s.post < s.weights):
            raise ValueError(
                "every row is served at the width of its training or above (post >= weights), where nothing is lost: "
                "such rows say nothing about δ; give rows with a smaller post, or fit the training alone"
            )
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
    *("activations_format", "kv_scaling", "kv_format", "schedule", "optimizer", "language", "method"),
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
    """What `ignored` found, as a clause of a fit's message."""
    each = ", ".join(f"{name} ({', '.join(values)})" for name, values in columns.items())
    return f"rows differ in {each}, which this form does not know"


def unread(law: Law, data: Observations, runs) -> tuple[str, ...]:
    """Columns of other origin that vary over these rows and that the law does not read: scheme, method, lr, ...

    Columns in which every row differs are names or measurements.

    Examples
    --------
    >>> from precsim.fitting.observations import read
    >>> from precsim.laws import Chinchilla
    >>> runs = {"N": [1e6, 2e6, 4e6], "D": [1e8] * 3, "loss": [3.0, 2.9, 2.8], "lr": [1e-3, 1e-3, 2e-3]}
    >>> unread(Chinchilla(), read(runs, paired=False), runs)
    ('lr',)
    """
    inner = [getattr(part, "inner", part) for part in law.factors]
    spoken = {"scheme"} if any(hasattr(part, "schemes") for part in inner) else set()
    found = []
    for name in names_of(runs):
        if name in COLUMNS or name in spoken or name in {"job", "run", "run_name", "runs", "seeds", "batch"}:
            continue
        column = np.asarray(runs[name])[data.row]
        kinds = np.unique(column if column.dtype.kind in "iufb" else column.astype(str)).size
        if 1 < kinds < max(len(data), 3):
            found.append(str(name))
    return tuple(found)
