"""Another architecture, another language, other ways of rounding: what holds there too."""

from __future__ import annotations

from typing import Any

import numpy as np

from precsim.evidence.findings._finding import STATED, Finding, found, nothing
from precsim.evidence.findings.counts import chinchilla
from precsim.evidence.findings.damage import explained
from precsim.evidence.findings.effective import best_of, trial_of_facts
from precsim.evidence.resampling import Redrawn, redraw, slope
from precsim.runs import slices

_BITS = (3, 4, 5, 6)


def facts(table: Any) -> tuple[Finding, ...]:
    """The laws on MLPs that learn facts: how δ moves there with data and bits, and what the laws explain."""
    rows: Any = slices.rounded_after(table, batch="facts", bits=_BITS)
    full: Any = slices.as_trained(table, batch="facts", only=())
    return (
        *_laws("MLPs on facts", rows),
        explained("MLPs on facts: law of δ, single models, R² of ln", STATED, rows),
        chinchilla("MLPs on facts: Chinchilla's form, R² of ln", STATED, full),
    )


def text(table: Any) -> tuple[Finding, ...]:
    """The same on English, transformers and MLPs: its entropy is not known, but δ is a difference."""
    rows: Any = slices.rounded_after(table, batch="text", bits=_BITS)
    return _laws("King James Bible", rows)


def _laws(where: str, rows: Any) -> tuple[Finding, ...]:
    questions = {
        f"{where}: steps in D in which δ rises": "≥ 0.95",
        f"{where}: exponent of D in δ": STATED,
        f"{where}: fall of ln δ for each bit": STATED,
    }
    if rows.empty:
        return tuple(nothing(question, bar) for question, bar in questions.items())
    drawn = redraw(rows.assign(budget=_order(rows)), within=("model", "D"))
    cells, means = drawn.means("delta", ["model", "post", "budget"])
    D = drawn.means("D", ["model", "post", "budget"])[1][0]
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    group = cells.groupby(["model", "post"]).ngroup().to_numpy()
    along = cells.groupby(["model", "budget"]).ngroup().to_numpy()
    values = (_rising(drawn), slope(np.log(D), logs, group), -slope(cells["post"].to_numpy(float), logs, along))
    return tuple(
        found(question, bar, value, rows, None if bar == STATED else lambda share: share >= 0.95)
        for (question, bar), value in zip(questions.items(), values, strict=True)
    )


def _order(rows: Any) -> np.ndarray:
    """Rank of a run's budget among those of its model."""
    return rows.groupby("model")["D"].rank(method="dense").astype(int).to_numpy()


def _rising(drawn: Redrawn) -> np.ndarray:
    steps = np.diff(drawn.table("delta", ["model", "post"], "budget")[2], axis=2)
    return (steps > 0).sum(axis=(1, 2)) / np.isfinite(steps).sum(axis=(1, 2))


def training_elsewhere(table: Any) -> tuple[Finding, ...]:
    """Exponent of D in the loss that training at 3 and 4 bits adds, of MLPs and on English; 0 in the paper's law."""
    answers = []
    for batch, where in (("facts", "MLPs on facts"), ("text", "King James Bible")):
        question = f"{where}: exponent of D in the loss added by training at 3–4 bits"
        rows: Any = slices.as_trained(table, batch=batch)
        if rows.empty:
            answers.append(nothing(question, "0 (the paper)"))
            continue
        key = ["model", "D", "language_seed", "seed"]
        full = rows[np.isinf(rows["weights"])].set_index(key)["loss"]
        rows = rows[rows["weights"].isin([3.0, 4.0])]
        rows = rows.assign(added=rows["loss"].to_numpy() - full.reindex(rows.set_index(key).index).to_numpy())
        drawn = redraw(rows, unit=key, within=("model", "D"))
        cells, means = drawn.means("added", ["model", "D", "weights"])
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(np.where(means > 0, means, np.nan))
        group = cells.groupby(["model", "weights"]).ngroup().to_numpy()
        values = slope(np.log(cells["D"].to_numpy(dtype=float)), logs, group)
        low, high = np.quantile(values[1:], [0.025, 0.975])
        met = bool(low <= 0 <= high)
        answers.append(found(question, "0 (the paper)", values, rows, lambda _, met=met: met))
    question = "MLPs on facts: mean error held out of the best form of effective parameters"
    rows = slices.as_trained(table, batch="facts")
    rows = rows[np.isfinite(rows["weights"])]
    answers.append(nothing(question, STATED) if rows.empty else best_of(question, trial_of_facts(table), rows))
    return tuple(answers)


def methods(table: Any) -> tuple[Finding, ...]:
    """δ of GPTQ and AWQ over rounding to nearest on the same models, and how much less steeply it grows with data."""
    rows: Any = table[table["post_method"].isin(["rtn", "gptq", "awq"]) & (table["batch"] == "main")]
    rows = rows[rows["job"].isin(set(rows.loc[rows["post_method"] == "gptq", "job"]))]
    rows = rows[~rows["holdout"].astype(bool)]
    rows = rows[(rows["post_scaling"] == "channel") & rows["post_format"].isin(["INT3", "INT4", "INT5"])]
    answers = []
    for method in ("gptq", "awq"):
        name = method.upper()
        asked = (f"δ of {name} over rounding to nearest, 3–5 bits", f"exponent of D in that ratio ({name})")
        if rows.empty:
            answers += [nothing(question, STATED) for question in asked]
            continue
        pairs = rows.pivot(index=["job", "N", "D", "post"], columns="post_method", values="delta").reset_index()
        drawn = redraw(pairs, within=("N",))
        y = np.log((drawn.rows[method] / drawn.rows["rtn"]).to_numpy())
        level = np.exp((drawn.counts @ y) / drawn.counts.sum(axis=1))
        group = drawn.rows.groupby(["N", "post"]).ngroup().to_numpy()
        rise = slope(np.log(drawn.rows["D"].to_numpy(dtype=float)), y, group, drawn.counts)
        some = rows[rows["post_method"].isin([method, "rtn"])]
        answers += [found(question, STATED, value, some) for question, value in zip(asked, (level, rise), strict=True)]
    return tuple(answers)
