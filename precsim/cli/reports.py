"""Reports of commands as web pages: what was printed, with the charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from precsim import view

if TYPE_CHECKING:
    import pandas as pd

    from precsim.fitting.comparison import Comparison
    from precsim.fitting.fits import Fit
    from precsim.fitting.uncertainty import Draws
    from precsim.laws import Law
    from precsim.planning.plans import Plan


def of_fit(found: Fit, draws: Draws | None, table: pd.DataFrame, level: float) -> str:
    """A fit: report, parameters, prediction against observation, contours, factors, profiles."""
    parts: list[tuple[str, Any]] = [
        ("Report", found.report()),
        ("Parameters", view.parameter_table(found, draws, level=level)),
    ]
    for stage in found.stages:
        rows = table.iloc[stage.observations.row]
        column = "delta" if stage.observations.floor else "loss"
        title = {"loss": "Loss as trained", "delta": "Loss added after training"}[column]
        parts.append((title, view.predicted_against_observed(found.law, rows, column=column)))
    law = found.law
    if law.base is not None:
        rows = table.iloc[found.stages[0].observations.row]
        N, D = ((float(rows[name].min()) * 0.9, float(rows[name].max()) * 1.1) for name in ("N", "D"))
        parts.append(("Lines of equal loss", view.iso_loss(law, rows, N=N, D=D)))
        if shares := _factors(law, rows, draws, level):
            parts.append(("Effective parameters", shares))
    for name in found.parameters:
        if any(name in stage.names for stage in found.stages):
            parts.append((f"Profile of {name}", view.profile_likelihood(found, name, level=level)))
    return view.page(f"Fit of {law.label}", parts)


def _factors(law: Law, rows: pd.DataFrame, draws: Draws | None, level: float) -> Any:
    """The chart of f(P), with the runs where some of them speak of one part; None for a law without such factors."""
    present = [name for name in ("weights", "activations", "kv") if name in rows.columns]
    for table in (rows, None):
        try:
            return view.effective_parameters(law, table, draws=draws, level=level, parts=present)
        except ValueError:  # no run has one part alone quantized, or no factor reads one part alone
            continue
    return None


def of_comparison(found: Comparison, table: pd.DataFrame, level: float) -> str:
    """A comparison: scores, held-out errors, and the preferred law against the runs."""
    parts: list[tuple[str, Any]] = [
        ("Scores", view.comparison_table(found, level=level)),
        ("Held-out error", view.held_out_error(found, level=level)),
    ]
    chosen = next(score for score in found.scores if score.form is found.preferred)
    if chosen.fit is not None:
        stage = chosen.fit.stages[0]
        column = "delta" if stage.observations.floor else "loss"
        rows = table.iloc[np.asarray(stage.observations.row)]
        parts.append((chosen.form.label, view.predicted_against_observed(chosen.fit.law, rows, column=column)))
    return view.page("Laws compared on held-out runs", parts)


def of_plan(found: Plan, name: str, law: Law) -> str:
    """A plan: options, regret, and the law around the plan."""
    parts: list[tuple[str, Any]] = [
        ("Options", view.plan_table(found)),
        ("How much the choice matters", view.regret_curve(found)),
    ]
    lines = view.iso_loss(law, N=(found.N / 30, found.N * 30), D=(found.D / 30, found.D * 30))
    parts.append(("Lines of equal loss around the plan, in full precision", lines))
    return view.page(f"Plan with {name}", parts)
