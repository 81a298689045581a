"""The straight-through gradient as pictures: one weight on its grid, and one weight being trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

from precsim.view.theme import GRAY, HUES, WIDTH, finish, values

#: Vega expressions of the picture's numbers, in the sliders w, target and h.
ROUNDED = "round(w / h) * h"
SLOPE = f"({ROUNDED} - target)"
LOSS = "0.5 * pow({} - target, 2)"

_SPAN = 3.0
_NAMES = ("straight-through", "true derivative", "loss without rounding")
_COLORS = (HUES[1], HUES[2], GRAY)


def straight_through() -> alt.LayerChart:
    """Draw the loss of one weight that is rounded to a grid, and two derivatives: the true one and straight-through.

    The loss is L(q) = (q - w*)^2 / 2 with q the multiple of h nearest to w. Sliders move w, w* and h.

    Notes
    -----
    The true derivative of L(q(w)) is 0 wherever it exists. The straight-through rule takes L'(q) = q - w*. The
    browser computes both; ties, which a slider meets at half steps, are rounded up there.

    Examples
    --------
    >>> [param.name for param in straight_through().params]
    ['w', 'target', 'h']
    """
    sliders = [
        alt.param(name="w", value=0.9, bind=alt.binding_range(min=-2.5, max=2.5, step=0.05, name="weight w")),
        alt.param(name="target", value=-0.3, bind=alt.binding_range(min=-2, max=2, step=0.05, name="best weight w*")),
        alt.param(name="h", value=1, bind=alt.binding_range(min=0.1, max=2, step=0.1, name="step of the grid h")),
    ]
    x = alt.X("v:Q", title="w").scale(domain=[-_SPAN, _SPAN], nice=False)
    y = alt.Y("loss:Q", title="loss [1]").scale(domain=[-0.6, 6], nice=False)
    color = alt.Color("what:N", title=None, sort=None, legend=alt.Legend(columns=2))
    color = color.scale(domain=list(_NAMES), range=list(_COLORS))
    curve = alt.Chart(alt.sequence(-_SPAN, _SPAN + 0.001, 0.01, as_="v"))
    smooth = curve.transform_calculate(loss=LOSS.format("datum.v"), what=f"'{_NAMES[2]}'")
    stairs = curve.transform_calculate(loss=LOSS.format("round(datum.v / h) * h"))
    here = alt.Chart(values([{}]))
    tangents = alt.Chart(values({"side": side, "what": what} for what in _NAMES[:2] for side in (-0.7, 0.7)))
    slope = f"(datum.what == '{_NAMES[0]}' ? {SLOPE} : 0)"
    tangents = tangents.transform_calculate(v="w + datum.side", loss=f"{LOSS.format(ROUNDED)} + datum.side * {slope}")
    points = here.transform_calculate(v="w", q=ROUNDED, loss=LOSS.format(ROUNDED))
    ticks = alt.Chart(alt.sequence(-60, 61, 1, as_="k")).transform_calculate(v="datum.k * h", loss="-0.6")
    ticks = ticks.transform_filter(f"abs(datum.v) <= {_SPAN}")
    text = here.transform_calculate(
        text=f"'w = ' + format(w, '.2f') + ',  rounded ' + format({ROUNDED}, '.2f') + ',  loss '"
        f" + format({LOSS.format(ROUNDED)}, '.3f')",
        more=f"'true derivative 0,  straight-through ' + format({SLOPE}, '+.2f')"
        " + ',  without rounding ' + format(w - target, '+.2f')",
    )
    chart = alt.layer(
        ticks.mark_tick(style="faint", thickness=1.5, size=12, orient="vertical").encode(x=x, y=y),
        smooth.mark_line(strokeWidth=1.2, strokeDash=[5, 4], clip=True).encode(x=x, y=y, color=color),
        stairs.mark_line(strokeWidth=2, color=HUES[0], clip=True).encode(x=x, y=y),
        tangents.mark_line(strokeWidth=3, clip=True).encode(x=x, y=y, color=color),
        points.mark_rule(style="faint", clip=True).encode(x=x, x2="q:Q", y=y),
        points.mark_point(size=90, color=HUES[0], opacity=1, clip=True).encode(x=x, y=y),
        points.mark_point(size=90, filled=False, strokeWidth=2, color=HUES[0], opacity=1, clip=True).encode(
            x=alt.X("q:Q"), y=y
        ),
        *(
            text.mark_text(style="ink", align="left", baseline="top", fontSize=13, dx=4, dy=dy).encode(
                x=alt.value(0), y=alt.value(0), text=f"{name}:N"
            )
            for name, dy in (("text", 4), ("more", 22))
        ),
    ).add_params(*sliders)
    words = (
        "The loss of one weight that is rounded to a grid is a staircase around a parabola. Sliders move the weight,"
        " the best weight and the step of the grid. Where the weight stands the staircase is flat, so its derivative is"
        " 0; the straight-through rule takes the parabola's slope at the rounded weight, here 1.3."
    )
    reading = (
        "Blue: loss of the rounded weight, the full mark at w, the ring where w is rounded to; orange and"
        " green: slopes that training could follow there; gray ticks: the grid."
    )
    return finish(chart.properties(width=WIDTH, height=300), words, reading=reading)


def descent(rows: Iterable[Mapping[str, Any]], *, target: float) -> alt.VConcatChart:
    """Draw how one rounded weight is trained by the straight-through rule, at a learning rate that the reader chooses.

    Parameters
    ----------
    rows : iterable of mappings
        With "rate", "schedule", "step", "weight", "rounded" and "mean", the mean of the rounded weight so far:
        `precsim.evidence.experiments.demonstrations.straight_through_descent`.
    target : float
        The best weight.

    Raises
    ------
    ValueError
        There are no rows, or a column is missing.

    Examples
    --------
    >>> from precsim.evidence.experiments.demonstrations import straight_through_descent
    >>> chart = descent(straight_through_descent(0.9, 0.3, step=1.0, rates=[0.1]), target=0.3)
    >>> chart.params[0].name
    'rate'
    """
    table = [dict(row) for row in rows]
    wanted = ("rate", "schedule", "step", "weight", "rounded", "mean")
    if not table or any(name not in row for row in table for name in wanted):
        raise ValueError(f"descent needs rows with {', '.join(wanted)}; received {len(table)} rows")
    rates = list(dict.fromkeys(row["rate"] for row in table))
    schedules = list(dict.fromkeys(row["schedule"] for row in table))
    params = [
        alt.param(name="rate", value=rates[0], bind=alt.binding_radio(options=rates, name="learning rate: ")),
        alt.param(name="schedule", value=schedules[0], bind=alt.binding_radio(options=schedules, name="schedule: ")),
    ]
    base = alt.Chart(values(table)).transform_filter("datum.rate == rate && datum.schedule == schedule")
    ends = [row[name] for row in table for name in ("weight", "rounded")] + [target]
    scale = alt.Scale(domain=[min(ends) - 0.1, max(ends) + 0.1], nice=False)
    x = alt.X("step:Q", title="step").scale(domain=[0, max(row["step"] for row in table)], nice=False)
    names = ["weight of the optimizer, w", "rounded weight, q(w)", "mean of q(w) so far"]
    color = alt.Color("what:N", title=None, sort=None, legend=alt.Legend(columns=2))
    color = color.scale(domain=names, range=[HUES[0], HUES[1], HUES[2]])
    rule = alt.Chart(values([{"target": target}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(y="target:Q")

    def line(field: str, name: str) -> Any:
        y = alt.Y(f"{field}:Q", title="weight", scale=scale)
        tips = [alt.Tooltip("step:Q"), alt.Tooltip(f"{field}:Q", format=".4f")]
        return base.transform_calculate(what=f"'{name}'"), {"x": x, "y": y, "color": color, "tooltip": tips}

    layers: list[Any] = [rule]
    for field, name in zip(("weight", "rounded", "mean"), names, strict=True):
        data, encoding = line(field, name)
        layers.append(
            data.mark_point(size=16).encode(**encoding)
            if field == "rounded"
            else data.mark_line(strokeWidth=1.6).encode(**encoding)
        )
    last = [row for row in table if row["rate"] == rates[0] and row["schedule"] == schedules[0]][-1]
    chart = alt.layer(*layers).properties(width=WIDTH, height=280).add_params(*params)
    words = (
        f"A weight trained through its rounding: steps of gradient descent toward {target:g}. The rounded weight jumps"
        f" between its two neighbors on the grid; after {last['step']} steps at rate {rates[0]:g} its mean is"
        f" {last['mean']:.3f}."
    )
    reading = (
        "Blue: the weight that the optimizer keeps; orange points: what it is rounded to; green: their mean"
        " so far; dashed: the best weight."
    )
    return finish(chart, words, reading=reading)
