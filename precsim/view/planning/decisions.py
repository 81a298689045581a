"""Decisions as charts: how flat a plan is, which runs a design makes, what is known of one parameter, who predicts."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from precsim.fitting.uncertainty import profile
from precsim.planning.result import between_compute, more_compute
from precsim.view.theme import GRAY, HUES, WIDTH, Frame, bits_label, bits_scale, finish, log_axis, si, values

if TYPE_CHECKING:
    from precsim.fitting.comparison import Comparison
    from precsim.fitting.fits import Fit
    from precsim.planning.design import Design
    from precsim.planning.plans import Choice, Plan


_ABREAST = 4  # cells of a design with equal N and D that stand in one row


def profile_likelihood(fit: Fit, name: str, *, level: float = 0.95, points: int = 41) -> alt.LayerChart:
    """Draw how much worse the fit becomes when one parameter is held at other values, and the interval from it.

    Parameters
    ----------
    fit : Fit
    name : str
        An estimated parameter.
    level : float
        Of the interval.
    points : int
        Values tried, each a refit of all other parameters, drawn as a point.

    Raises
    ------
    ValueError
        If the parameter was not estimated, or the level is not between 0 and 1.

    Notes
    -----
    The vertical axis is twice the objective above its least value in units of its noise
    (`precsim.fitting.uncertainty.profile`); the interval is where it stays below the quantile of chi squared with one
    degree of freedom.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if points < 5:
        raise ValueError(f"a profile needs at least 5 points, got {points}")
    tried, excess, found = profile(fit, name, level=level, points=points)
    limit = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    top = max(3 * limit, 1.0)
    rows = [
        {name: float(v), "excess": max(float(e), 0.0)}
        for v, e in zip(tried, excess, strict=True)
        if np.isfinite(e) and e <= top
    ]
    estimate = fit.parameters[name]
    x = alt.X(
        f"{name}:Q", title=name, scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(format=".3~g", tickCount=6)
    )
    y = alt.Y("excess:Q", title="2 Δ objective / noise", scale=alt.Scale(domain=[0, top], nice=False))
    ends = [max(found.low, min(r[name] for r in rows)), min(found.high, max(r[name] for r in rows))]
    base = alt.Chart(values(rows)).encode(x=x, y=y, tooltip=[f"{name}:Q", "excess:Q"])
    inside = alt.Chart(values([{name: ends[0], "end": ends[1]}])).mark_rect(opacity=0.15, color=HUES[0])
    cut = alt.Chart(values([{"excess": limit}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(y=y)
    here = alt.Chart(values([{name: estimate}])).mark_rule(color=HUES[1]).encode(x=x)
    chart = alt.layer(
        inside.encode(x=x, x2="end:Q"), cut, here, base.mark_line(color=HUES[0]), base.mark_point(color=HUES[0])
    )
    open_ends = [side for side, end in (("lower", found.low), ("upper", found.high)) if math.isinf(end)]
    warning = f" The {' and '.join(open_ends)} end is open: these rows do not bound it." if open_ends else ""
    text = (
        f"Profile of the objective in {name}: estimate {estimate:.4g}, {level:.0%} profile interval"
        f" {found.low:.4g} to {found.high:.4g}, {len(rows)} refits drawn.{warning}"
    )
    reading = (
        "Point: the parameter held there, all others fitted again; orange: the estimate; dashed: the limit of the"
        f" {level:.0%} profile interval, which is shaded."
    )
    return finish(chart.properties(width=WIDTH, height=240), text, reading=reading)


def regret_curve(plan: Plan, *, level: float = 0.95) -> alt.LayerChart:
    """Draw the loss that every choice of widths gives away against the best one, and the compute that would make up.

    Parameters
    ----------
    plan : Plan
        From `precsim.plan`; with bootstrap draws each choice gets its interval.
    level : float
        Level that the plan's intervals were made with, for the description.

    Notes
    -----
    The dashed line is the plan's tolerance: choices below it are as good as the best. The number at a mark is the
    share of compute that the choice wastes: how much more it needs to be as good as the best. A choice that has no
    prediction is named in the description with the reason; so is an extrapolation.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> import precsim as ps
    >>> chart = regret_curve(ps.plan(KUMAR_2024, compute=1e23))
    >>> len(chart.layer)
    5
    """
    order = [_short(option.choice, plan.held) for option in plan.options]
    rows = [
        {
            "choice": _short(option.choice, plan.held),
            "widths": option.choice.label,
            "regret": option.regret,
            "N": option.N,
            "D": option.D,
            "loss": option.loss,
            "compute": more_compute(option.extra_compute),
            "between": between_compute(option.extra_interval),
            "low": option.regret_interval[0] if option.regret_interval else option.regret,
            "high": option.regret_interval[1] if option.regret_interval else option.regret,
        }
        for option in plan.options
    ]
    highest = max(plan.tolerance, *(row["regret"] for row in rows)) * 1.3
    for row in rows:
        row["high"] = min(row["high"], highest)
    long = max(map(len, order)) > 5
    title = "bits of weights, activations and KV" + (" > when served" if any(">" in name for name in order) else "")
    x = alt.X("choice:N", title=title, sort=order).axis(labelAngle=-35 if long else 0, labelOverlap=False)
    vertical: dict[str, Any] = {
        "title": "loss above the best [nats/token]",
        "scale": alt.Scale(domain=[0, highest], nice=False),
    }
    y = alt.Y("regret:Q", **vertical)
    base = alt.Chart(values(rows)).encode(x=x)
    tips = [alt.Tooltip("widths:N")] + [alt.Tooltip(f"{n}:Q", format=".4~g") for n in ("N", "D", "loss", "regret")]
    tips.append(alt.Tooltip("compute:N", title="compute to equal the best"))
    if plan.best.extra_interval:
        tips.append(alt.Tooltip("between:N", title=f"{level:.0%} interval of that"))
    edge = alt.Chart(values([{"regret": plan.tolerance}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(y=y)
    chart = alt.layer(
        edge,
        base.mark_line(color=HUES[0], opacity=0.5).encode(y=y),
        base.mark_rule(color=HUES[0], strokeWidth=2).encode(y=alt.Y("low:Q", **vertical), y2="high:Q"),
        base.mark_text(style="ink", dy=-12, fontSize=11).encode(y=y, text="compute:N"),
        base.mark_point(color=HUES[0], size=80).encode(y=y, tooltip=tips),
    )
    more = ", ".join(f"{row['widths']} {row['compute']}" for row in rows if row["compute"] != "0")
    wasted = f" Compute that the others need to equal it: {more}." if more else ""
    outside = f" Extrapolation: {plan.outside(plan.best)} outside the runs of this law." if plan.extrapolation else ""
    near = ", ".join(choice.label for choice in plan.near)
    refused = "".join(f" {label} is left out: {why}." for label, why in plan.refused.items())
    spread = f" Bars are {level:.0%} bootstrap percentile intervals." if plan.best.regret_interval else ""
    text = (
        f"Loss above the best choice for {len(rows)} choices of widths at a budget of {plan.budget.flops:.3g} FLOP,"
        f" priced by {plan.budget.machine.name}. Best is {plan.choice.label} with {si(plan.N)} parameters and"
        f" {si(plan.D)} tokens; within {plan.tolerance:g} nats per token: {near}.{wasted}{outside}{spread}{refused}"
    )
    reading = (
        "Point: one choice of widths; number: the compute it would need more to equal the best; dashed: as good as the"
        " best."
        f"{f' Bar: {level:.0%} bootstrap interval.' if plan.best.regret_interval else ''}"
    )
    return finish(chart.properties(width=WIDTH, height=260), text, reading=reading)


def _short(choice: Choice, held: tuple[str, ...] = ()) -> str:
    """The name of a choice under its mark: "7" or "7>4" where all parts but the held ones have one width."""
    b = choice.bits
    training = {b[name] for name in ("weights", "activations", "kv") if name not in held} or {math.inf}
    if len(training) > 1 or choice.context:
        return choice.label
    (width,) = training
    return ("full" if math.isinf(width) else f"{width:g}") + ("" if math.isinf(b["post"]) else f">{b['post']:g}")


def design_map(design: Design, done: Frame | None = None) -> alt.LayerChart:
    """Draw the runs of a design over N and D: one mark for each cell, larger for repeats, colored by fewest bits.

    Parameters
    ----------
    design : Design
        From `precsim.planning.design.propose`.
    done : DataFrame, optional
        Runs that exist already (N, D), drawn in gray.

    Notes
    -----
    Cells of equal N and D stand side by side in rows, so a mark may be a little off its place; the tooltip has the
    numbers.
    """
    crowd: dict[tuple[float, float], int] = {}
    cells = list(zip(design.cells, design.repeats, strict=True))
    many = {(c.N, c.D): sum(1 for other, _ in cells if (other.N, other.D) == (c.N, c.D)) for c, _ in cells}
    sizes = [c.N for c, _ in cells]
    tokens = [c.D for c, _ in cells]
    right = 0.045 * max(math.log(max(sizes) / min(sizes)), 0.5)
    up = 0.05 * max(math.log(max(tokens) / min(tokens)), 0.5)
    rows, widths = [], []
    for cell, repeats in sorted(cells, key=lambda pair: pair[0].choice.label):
        place = crowd.get((cell.N, cell.D), 0)
        crowd[cell.N, cell.D] = place + 1
        width = min(cell.choice.bits.values())
        width = math.inf if width >= 16 else width
        widths.append(width)
        across = min(many[cell.N, cell.D], _ABREAST)
        down = math.ceil(many[cell.N, cell.D] / _ABREAST)
        shift = math.exp(right * (place % _ABREAST - (across - 1) / 2))
        lift = math.exp(-up * (place // _ABREAST - (down - 1) / 2))
        rows.append(
            {
                "N": cell.N,
                "D": cell.D,
                "x": cell.N * shift,
                "y": cell.D * lift,
                "choice": cell.choice.label,
                "runs": repeats,
                "bits": bits_label(width),
                "flop": cell.flops,
            }
        )
    x = log_axis("x", "N, parameters")
    vertical: dict[str, Any] = {
        "title": "D, training tokens",
        "scale": alt.Scale(type="log", nice=False, padding=18),
        "axis": alt.Axis(format="~s", tickCount=5, labelOverlap="greedy"),
    }
    y = alt.Y("y:Q", **vertical)
    counts = sorted({row["runs"] for row in rows})
    size = alt.Size(
        "runs:O", title="runs", scale=alt.Scale(domain=counts, range=[40 + 50 * k for k in range(len(counts))])
    )
    marks = alt.Chart(values(rows)).mark_point()
    layers: list[Any] = [
        marks.encode(
            x=x,
            y=y,
            size=size if len(counts) > 1 else alt.value(45),
            color=alt.Color("bits:N", title="fewest bits", sort=None, scale=bits_scale(widths)),
            tooltip=["N:Q", "D:Q", "choice:N", "runs:Q", "flop:Q"],
        )
    ]
    if done is not None:
        there = alt.Chart(values(done[["N", "D"]].drop_duplicates().to_dict("records")))
        layers.insert(
            0,
            there.mark_point(shape="cross", color=GRAY, size=40).encode(
                x=log_axis("N", "N, parameters"), y=alt.Y("D:Q", **vertical)
            ),
        )
    width_text = ", ".join(f"{name} {w:.2g}" for name, w in design.half_widths.items() if math.isfinite(w))
    text = (
        f"Design of {design.runs} runs in {len(rows)} cells over N ({si(min(sizes))} to {si(max(sizes))} parameters)"
        f" and D, cost {design.cost:.3g}. Expected half-widths of 95 % intervals, relative for positive parameters:"
        f" {width_text}."
    )
    reading = (
        "Mark: a cell of the design, larger where it is repeated; color: the fewest bits of any part; cells"
        " of equal N and D stand side by side."
    )
    return finish(alt.layer(*layers).properties(width=WIDTH, height=320), text, reading=reading)


def held_out_error(comparison: Comparison, *, level: float = 0.95) -> alt.LayerChart:
    """Draw the error of each law on the runs it had not seen: the mean with its interval, and every fold.

    Parameters
    ----------
    comparison : Comparison
        From `precsim.compare`.
    level : float
        Level that its intervals were made with, for the description.
    """
    rows, folds = [], []
    for score in comparison.scores:
        if not math.isfinite(score.held_out):
            continue
        low, high = score.interval
        row = {"law": score.form.label, "error": 100 * score.held_out, "low": 100 * low, "high": 100 * high}
        rows.append(row)
        folds += [
            {"law": row["law"], "fold": label, "error": 100 * e} for label, e in score.folds.items() if math.isfinite(e)
        ]
    if not rows:
        raise ValueError("none of the laws could be fitted without the held-out rows: nothing to draw")
    order = [row["law"] for row in sorted(rows, key=lambda row: row["error"])]
    across: dict[str, Any] = {"title": "mean absolute error on held-out rows [%]", "scale": alt.Scale(zero=True)}
    x = alt.X("error:Q", **across)
    y = alt.Y("law:N", sort=order, axis=None)
    base = alt.Chart(values(rows)).encode(y=y)
    names = base.mark_text(style="ink", align="left", dy=-13, fontSize=11).encode(x=alt.value(4), text="law:N")
    chart = alt.layer(
        base.mark_rule(color=HUES[0], strokeWidth=2).encode(x=alt.X("low:Q", **across), x2="high:Q"),
        alt.Chart(values(folds))
        .mark_point(color=GRAY, size=30)
        .encode(x=x, y=y, tooltip=["law:N", "fold:N", "error:Q"]),
        names,
        base.mark_point(color=HUES[0], size=90).encode(x=x, tooltip=["law:N", "error:Q", "low:Q", "high:Q"]),
    )
    lost = len(comparison.scores) - len(rows)
    text = (
        f"Error of {len(rows)} laws on held-out rows with {level:.0%} intervals; gray marks are the {len(folds)} folds."
        f" Verdict: {comparison.answer}.{f' {lost} laws could not be fitted.' if lost else ''}"
    )
    reading = (
        f"Blue: mean error of one law on rows that it had not seen, with its {level:.0%} interval; gray: single folds."
    )
    return finish(chart.properties(width=WIDTH, height=60 + 40 * len(rows)), text, reading=reading)
