"""What else could raise the damage: the schedule, the learning rate, weight decay, steps rather than tokens."""

from __future__ import annotations

import numpy as np

from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import TWINS, redraw, slope
from precsim.evidence.rows import controls, damage, schedules
from precsim.runs import Table

_UNIT = ("N", "budget", "language_seed", "seed")
_BATCH = 2048  # tokens of a step in all other batches


def schedule(table: Table) -> Finding:
    """Exponent of D in δ along runs whose learning rate never falls, over that of separate runs under a full cosine."""
    question = "exponent of D in δ: constant rate over full cosines (1: the data; 0: the decay)"
    rows = schedules(table)
    rows = rows.loc[rows["schedule"].str.startswith(("Constant", "Cosine"))]
    rows = rows.assign(kind=rows["schedule"].str.partition("(")[0])
    drawn = redraw(rows)
    found_slopes = []
    for kind in ("Constant", "Cosine"):
        weight = drawn.counts * (drawn.rows["kind"] == kind).to_numpy()
        found_slopes.append(_slope(drawn.rows, np.log(drawn.rows["delta"].to_numpy()), ["N"], weight))
    return found(question, STATED, found_slopes[0] / found_slopes[1], rows)


def decays(table: Table) -> tuple[Finding, ...]:
    """δ at 4 bits under other schedules over δ at a constant rate, at equal size, data, language and seed."""
    rows = schedules(table)
    kinds = {
        "full cosine": "Cosine",
        "linear decay": "Linear",
        **{f"decay over the last {d:.0%}": f"decay={d}," for d in (0.05, 0.2, 0.5)},
    }
    key = list(TWINS)
    constant = rows[rows["schedule"].str.startswith("Constant")].groupby(key)["delta"].mean()
    answers = []
    for name, mark in kinds.items():
        some = rows.loc[rows["schedule"].str.contains(mark, regex=False)]
        reference = constant.reindex(some.set_index(key).index).to_numpy()
        some = some.assign(y=np.log(some["delta"].to_numpy() / reference))
        some = some.loc[np.isfinite(some["y"])]
        drawn = redraw(some, unit=key)
        values = np.exp((drawn.counts @ drawn.rows["y"].to_numpy()) / drawn.counts.sum(axis=1))
        answers.append(found(f"δ at 4 bits, {name} over constant rate, same tokens", STATED, values, some))
    return tuple(answers)


def growth(table: Table) -> tuple[Finding, ...]:
    """What the exponent of D in δ at 4 bits is made of: the growth of the squared weights, and of the Hessian's trace.

    A grid's step is proportional to the weights, so that δ of second order goes as their square times the trace.
    """
    rows = damage(table, bits=(4,))
    rows = rows.loc[np.isfinite(rows["curvature"]) & (rows["curvature"] > 0) & (rows["delta"] > 0)]
    weights = rows["weight_rms"].to_numpy() ** 2
    parts = {
        "exponent of D in δ at 4 bits": rows["delta"].to_numpy(),
        "exponent of D in the mean square of the weights": weights,
        "exponent of D in the trace of the Hessian": rows["curvature"].to_numpy() / weights,
    }
    drawn = redraw(rows)
    by = ["N", "language_seed"]
    return tuple(
        found(question, STATED, _slope(drawn.rows, np.log(y), by, drawn.counts), rows) for question, y in parts.items()
    )


def learning_rate(table: Table) -> tuple[Finding, ...]:
    """Exponents of the peak learning rate in δ at 4 bits and in the gap as trained, at fixed size and data."""
    return _swept(table, "learning_rate", "peak learning rate")


def weight_decay(table: Table) -> tuple[Finding, ...]:
    """δ, mean square of the weights and gap at the largest weight decay over those without any."""
    rows, most = _decayed(table)
    after, full = rows.loc[rows["post"] == 4], rows.loc[np.isinf(rows["post"])]
    asked = (
        ("δ at 4 bits", after, after["delta"]),
        ("mean square of the weights", full, full["weight_rms"] ** 2),
        ("gap in full precision", full, full["gap"]),
    )
    answers = []
    for what, some, values in asked:
        question = f"{what}, weight decay {most:g} over none"
        drawn = redraw(some.assign(y=np.log(values.to_numpy())), unit=_UNIT)
        _, _, means = drawn.table("y", ["N", "budget", "learning_rate"], "weight_decay")
        answers.append(found(question, STATED, np.exp(np.nanmean(means[..., 1] - means[..., 0], axis=1)), some))
    return tuple(answers)


def growth_under_decay(table: Table) -> Finding:
    """Exponent of D in δ with the largest weight decay less that without: whether smaller weights stop the growth."""
    rows, most = _decayed(table)
    question = f"exponent of D in δ at 4 bits, weight decay {most:g} less none (−exponent: growth stopped)"
    rows = rows.loc[rows["post"] == 4]
    drawn = redraw(rows, unit=_UNIT)
    y = np.log(drawn.rows["delta"].to_numpy())
    none, much = (
        _slope(drawn.rows, y, ["N", "learning_rate"], drawn.counts * (drawn.rows["weight_decay"] == decay).to_numpy())
        for decay in (0.0, most)
    )
    return found(question, STATED, much - none, rows, verdict=f"exponents {much[0]:.2f} and {none[0]:.2f}")


def steps(table: Table) -> tuple[Finding, ...]:
    """Exponents of tokens and of steps in δ at 4 bits, from runs whose batch is 512, 2048 and 8192 tokens."""
    rows = controls(table)
    usual = rows.loc[rows["batch_tokens"] != _BATCH].groupby("N")["learning_rate"].first()
    same = np.isclose(rows["learning_rate"], usual.reindex(rows["N"]))
    rows = rows.loc[(rows["weight_decay"] == _usual_decay(rows)) & same & (rows["post"] == 4)]
    questions = (
        "exponent of steps in δ at 4 bits, at fixed tokens",
        "exponent of tokens in δ at 4 bits, at fixed steps",
    )
    drawn = redraw(rows, unit=_UNIT)
    y = np.log(drawn.rows["delta"].to_numpy())
    size = drawn.rows.groupby(["N"]).ngroup().to_numpy()
    x = np.log(drawn.rows[["steps", "D"]].to_numpy(dtype=float))
    design = np.column_stack([x, size[:, None] == np.unique(size)]).astype(float)
    normal = np.einsum("kr,ri,rj->kij", drawn.counts, design, design, optimize=True)
    right = (drawn.counts * y) @ design
    both = (np.linalg.pinv(normal) @ right[..., None])[..., 0]  # pinv: a redraw may lack a batch size
    return tuple(found(question, STATED, both[:, i], rows) for i, question in enumerate(questions))


def _decayed(table: Table) -> tuple[Table, float]:
    """Controls of the usual batch without decay and with the largest, and what that is."""
    rows = controls(table)
    most = float(rows["weight_decay"].max())
    return rows.loc[(rows["batch_tokens"] == _BATCH) & rows["weight_decay"].isin([0.0, most])], most


def _usual_decay(rows: Table) -> float:
    """Of the rows whose other settings vary: the first edition's is 0, the standard block's 0.1."""
    return float(rows.drop_duplicates("job")["weight_decay"].mode().iloc[0])


def _swept(table: Table, name: str, words: str) -> tuple[Finding, ...]:
    rows = controls(table)
    rows = rows.loc[(rows["batch_tokens"] == _BATCH) & (rows["weight_decay"] == _usual_decay(rows))]
    after, full = rows.loc[rows["post"] == 4], rows.loc[np.isinf(rows["post"])]
    questions = (f"exponent of the {words} in δ at 4 bits", f"exponent of the {words} in the gap in full precision")
    answers = []
    for question, some, column in zip(questions, (after, full), ("delta", "gap"), strict=True):
        drawn = redraw(some, unit=_UNIT)
        y = np.log(drawn.rows[column].to_numpy())
        answers.append(found(question, STATED, _slope(drawn.rows, y, ["N", "budget"], drawn.counts, along=name), some))
    return tuple(answers)


def _slope(rows: Table, y: np.ndarray, by: list[str], weight: np.ndarray, along: str = "D") -> np.ndarray:
    group = rows.groupby(by).ngroup().to_numpy()
    return slope(np.log(rows[along].to_numpy(dtype=float)), y, group, weight)
