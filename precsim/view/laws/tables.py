"""Tables of laws as values that a notebook shows and a text prints: parameters with intervals, laws compared."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from precsim.fitting.uncertainty import Draws, interval
from precsim.planning.result import between_compute, more_compute
from precsim.view.table import Table

if TYPE_CHECKING:
    from precsim.fitting.comparison import Comparison
    from precsim.fitting.fits import Fit
    from precsim.planning.plans import Plan


def parameter_table(fit: Fit, draws: Draws | None = None, *, level: float = 0.95) -> Table:
    """Return the estimated parameters with intervals: value, interval, and in the caption level and method.

    Parameters
    ----------
    fit : Fit
    draws : Draws, optional
        From `precsim.bootstrap`. Without them the intervals are those of the sandwich covariance, estimate times or
        plus 1.96 (at 95 %) standard errors.
    level : float

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rows = []
    for stage in fit.stages:
        kind = "δ" if stage.observations.floor else "loss"
        for name in stage.names:
            value = stage.law.parameters[name]
            if draws is not None and name in draws.values:
                found = interval(draws, lambda law, n=name: getattr(law, n), level)
                low, high = found.low, found.high
            else:
                low, high = _wald(value, stage.standard_errors[name], stage.form.describe(name)["positive"], z)
            rows.append(
                (name, _number(value), f"{_number(low)} to {_number(high)}", f"{kind}, {len(stage.observations)} rows")
            )
    for stage in fit.stages:
        rows += [
            (name, _number(stage.law.parameters[name]), f"equal to {other}", "tied")
            for name, other in stage.tied.items()
        ]
    estimated = {row[0] for row in rows}
    rows += [(name, _number(value), "given", "") for name, value in fit.law.parameters.items() if name not in estimated]
    method = (
        f"{draws.method}, {len(draws)} resamples" if draws is not None else "standard errors of the sandwich covariance"
    )
    trust = "" if draws is not None and "misfit" in draws.method else ", which assume the form"
    caption = f"{fit.law.label}: {level:.0%} intervals ({method}{trust}). Status {fit.status.name}: {fit.message}."
    return Table(("parameter", "value", f"{level:.0%} interval", "from"), tuple(rows), caption)


def _wald(value: float, error: float, positive: bool, z: float) -> tuple[float, float]:
    if not math.isfinite(error):
        return (0.0 if positive else -math.inf), math.inf
    if positive:
        return value * math.exp(-z * min(error, 300 / z)), value * math.exp(z * min(error, 300 / z))
    return value - z * error, value + z * error


def comparison_table(comparison: Comparison, *, level: float = 0.95) -> Table:
    """Return the scores of `precsim.compare`, the best first, with the verdict in the caption.

    Parameters
    ----------
    comparison : Comparison
    level : float
        Level that its intervals were made with.
    """
    rows = [
        (
            score.form.label,
            str(score.parameters),
            f"{100 * score.held_out:.3f}",
            f"{100 * score.interval[0]:.3f} to {100 * score.interval[1]:.3f}",
            f"{100 * score.rmse:.3f}",
            f"{score.bic:.0f}",
            score.note,
        )
        for score in sorted(comparison.scores, key=lambda score: score.held_out)
    ]
    head = ("law", "parameters", "held-out error [%]", f"{level:.0%} interval", "RMSE in sample [%]", "BIC", "fit")
    caption = (
        "Mean absolute error on held-out rows, interval by resampling cells of equal settings. "
        f"Verdict: {comparison.answer}."
    )
    return Table(head, tuple(rows), caption)


def plan_table(plan: Plan) -> Table:
    """Return the options of a plan: widths, N, D, predicted loss and regret, with intervals if it has them."""
    rows = [
        (
            option.choice.label,
            f"{option.N:.3g}",
            f"{option.D:.3g}",
            f"{option.loss:.4f}",
            f"{option.regret:.4f}",
            more_compute(option.extra_compute),
            plan.outside(option),
            "" if option.regret_interval is None else "{:.4f} to {:.4f}".format(*option.regret_interval),
            between_compute(option.extra_interval),
        )
        for option in plan.options
    ]
    head = (
        "bits",
        "N [parameters]",
        "D [tokens]",
        "loss [nats/token]",
        "above the best",
        "compute to equal the best",
        "outside the runs",
        "interval of the loss above",
        "interval of the compute",
    )
    caption = (
        f"Best use of {plan.budget.flops:.3g} FLOP by widths, priced by {plan.budget.machine.name}. "
        f"Limit: {plan.binding.value}. N from {plan.sizes[0]:.3g} to {plan.sizes[1]:.3g} stays within "
        f"{plan.tolerance:g} nats per token."
    )
    if plan.lacking:
        paid = ", ".join(f"{width:g} as {other:g}" for width, other in plan.lacking.items())
        caption += f" Bits that the device does not multiply pay for more: {paid}."
    if plan.unseen:
        caption += f" The law does not read the bits of {' and '.join(plan.unseen)}: to it they cost nothing."
    if plan.held:
        caption += f" The law does not read the bits of {', '.join(plan.held)}: held at 16."
    if plan.spent < 1 - 1e-6:
        caption += f" The best choice costs {plan.spent:.3g} of the budget."
    if plan.extrapolation:
        caption += (
            f" Extrapolation: the best choice lies {plan.outside(plan.best)} outside the runs behind this law"
            f" (more than ×{plan.reach:g})."
        )
    full = [k for k in range(len(head)) if k < 6 or any(row[k] for row in rows)]  # columns with nothing to say go
    return Table(tuple(head[k] for k in full), tuple(tuple(row[k] for k in full) for row in rows), caption)


def _number(value: float) -> str:
    value = float(value)
    return f"{value:.4g}" if math.isfinite(value) else ("∞" if value > 0 else "−∞")
