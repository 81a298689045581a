"""Another architecture, another language, other ways of rounding: what holds there too."""

from __future__ import annotations

import numpy as np

from precsim.evidence import rows as selections
from precsim.evidence.findings.counts import chinchilla
from precsim.evidence.findings.damage import law_of_logarithms
from precsim.evidence.findings.effective import best_of, of_the_paper, trial_of_facts
from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import Redrawn, redraw, slope
from precsim.runs import Table


def facts(table: Table) -> tuple[Finding, ...]:
    """The laws on MLPs that learn facts: how δ moves there with data and bits, and what the laws explain."""
    trained, rows = selections.elsewhere(table, "facts")
    return (
        *_laws("MLPs on facts", rows),
        law_of_logarithms("MLPs on facts: law of δ, single models, R² of ln", STATED, rows),
        chinchilla("MLPs on facts: Chinchilla's form, R² of ln", STATED, selections.in_full(trained)),
    )


def text(table: Table) -> tuple[Finding, ...]:
    """The same on English, transformers and MLPs: its entropy is not known, but δ is a difference."""
    return _laws("King James Bible", selections.elsewhere(table, "text")[1])


def _laws(where: str, rows: Table) -> tuple[Finding, ...]:
    questions = {
        f"{where}: steps in D in which δ rises": "≥ 0.95",
        f"{where}: exponent of D in δ": STATED,
        f"{where}: fall of ln δ for each bit": STATED,
    }
    drawn = redraw(rows.assign(budget=_order(rows)))
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


def _order(rows: Table) -> np.ndarray:
    """Rank of a run's budget among those of its model."""
    return rows.groupby("model")["D"].rank(method="dense").astype(int).to_numpy()


def _rising(drawn: Redrawn) -> np.ndarray:
    steps = np.diff(drawn.table("delta", ["model", "post"], "budget")[2], axis=2)
    return (steps > 0).sum(axis=(1, 2)) / np.isfinite(steps).sum(axis=(1, 2))


def training_elsewhere(table: Table) -> tuple[Finding, ...]:
    """Exponent of D in the loss that training at 3 and 4 bits adds, of MLPs and on English; 0 in the paper's law."""
    answers = []
    for batch, where in (("facts", "MLPs on facts"), ("text", "King James Bible")):
        question = f"{where}: exponent of D in the loss added by training at 3–4 bits"
        rows, _ = selections.elsewhere(table, batch)
        if rows.empty:
            continue
        key = ["model", "D", "language_seed", "seed"]
        full = rows.loc[np.isinf(rows["weights"])].set_index(key)["loss"]
        rows = rows.loc[rows["weights"].isin([3.0, 4.0])]
        rows = rows.assign(added=rows["loss"].to_numpy() - full.reindex(rows.set_index(key).index).to_numpy())
        drawn = redraw(rows, unit=key)
        cells, means = drawn.means("added", ["model", "D", "weights"])
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(np.where(means > 0, means, np.nan))
        group = cells.groupby(["model", "weights"]).ngroup().to_numpy()
        values = slope(np.log(cells["D"].to_numpy(dtype=float)), logs, group)
        answers.append(of_the_paper(question, values, rows))
    question = "MLPs on facts: mean error held out of the best form of effective parameters"
    rows, _ = selections.elsewhere(table, "facts")
    if rows.empty:
        return tuple(answers)
    return (*answers, best_of(question, trial_of_facts(table), rows.loc[np.isfinite(rows["weights"])]))


def methods(table: Table) -> tuple[Finding, ...]:
    """δ of GPTQ and AWQ over rounding to nearest on the same models, and how much less steeply it grows with data."""
    rows = selections.methods(table)
    answers = []
    for method in ("gptq", "awq"):
        name = method.upper()
        asked = (f"δ of {name} over rounding to nearest, 3–5 bits", f"exponent of D in that ratio ({name})")
        pairs = rows.pivot(index=["job", "N", "D", "post"], columns="post_method", values="delta").reset_index()
        drawn = redraw(pairs)
        y = np.log((drawn.rows[method] / drawn.rows["rtn"]).to_numpy())
        level = np.exp((drawn.counts @ y) / drawn.counts.sum(axis=1))
        group = drawn.rows.groupby(["N", "post"]).ngroup().to_numpy()
        rise = slope(np.log(drawn.rows["D"].to_numpy(dtype=float)), y, group, drawn.counts)
        some = rows.loc[rows["post_method"].isin([method, "rtn"])]
        answers += [found(question, STATED, value, some) for question, value in zip(asked, (level, rise), strict=True)]
    return tuple(answers)
