"""Number formats as ticks on a line, and where a number lands when it is rounded to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from precsim.numerics.formats import Format
from precsim.numerics.rounding import round_to
from precsim.view.theme import HUES, NORMAL, SUBNORMAL, WIDTH, finish, values

MOST_TICKS = 1200  # more than this on a line of 640 pixels is a gray bar


def number_line(*formats: Format, x: Sequence[float] = (), span: tuple[float, float] | None = None) -> alt.LayerChart:
    """Draw a row of ticks for each format, subnormals shorter; each x is joined to the value it rounds to.

    Parameters
    ----------
    *formats : Format
        One row each, from the top; of at most 16 bits.
    x : sequence of float
        Numbers to round (nearest-even, overflow saturates), drawn above every row.
    span : (float, float), optional
        Part of the line to show. By default all x and the values they round to, with a margin; without x,
        the range of the format that ends first.

    Raises
    ------
    ValueError
        There is no format, the span is empty or not finite, an x is not finite, or a row would have
        more than 1200 ticks.

    Examples
    --------
    >>> import precsim as ps
    >>> chart = number_line(ps.FP4_E2M1, ps.INT4, x=[2.6], span=(0, 8))
    >>> chart.description
    'Values of FP4_E2M1 and INT4 from 0 to 8. In FP4_E2M1 2.6 rounds to 3. In INT4 2.6 rounds to 3.'
    """
    points = [float(v) for v in x]
    _check(formats, points)
    landed = {fmt.name: round_to(np.array(points), fmt, saturate=True) if points else np.array([]) for fmt in formats}
    span = _span(formats, points, list(landed.values())) if span is None else _checked_span(span)
    joins = [
        {"row": i, "format": fmt.name, "x": a, "rounded": b, "error": b - a}
        for i, fmt in enumerate(formats)
        for a, b in zip(points, landed[fmt.name].tolist(), strict=True)
    ]
    layers = [_ticks(formats, span)]
    if joins:
        mark = alt.Chart(values(joins))
        tip = [alt.Tooltip(f"{name}:Q", format=".6~g") for name in ("x", "rounded", "error")]
        above, top = alt.datum.row - 0.5, alt.datum.row - 0.26
        rows = mark.transform_calculate(above=above, top=top)
        place: dict[str, Any] = {"x": _axis_x(span), "y": _axis_y(formats, "above")}
        layers += [
            rows.mark_rule(strokeWidth=2, color=HUES[3], clip=True).encode(**place, x2="rounded:Q", y2="top:Q"),
            rows.mark_point(shape="triangle-down", size=70, color=HUES[3], clip=True).encode(**place, tooltip=tip),
        ]
    words = [f"Values of {_listed([f.name for f in formats])} from {span[0]:g} to {span[1]:g}."]
    for fmt in formats:
        moved = [f"{a:g} rounds to {b:g}" for a, b in zip(points, landed[fmt.name].tolist(), strict=True)]
        words += [f"In {fmt.name} {_listed(moved)}."] if moved else []
    arrows = "; triangle: a number and where it rounds to" if joins else ""
    reading = f"Tick: a value of the format, shorter and orange where it is subnormal or zero{arrows}."
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=58 * len(formats)), " ".join(words), reading=reading
    )


def rounding_slider(*formats: Format, span: tuple[float, float], end: float | None = None) -> alt.LayerChart:
    """Draw the number line with a number to move by a slider; a thick tick marks the value it rounds to.

    With `end` every format is scaled so that its largest value is that, as weights are before they are rounded.

    The interval of numbers that round to each value is computed here with `precsim.round_to` (nearest-even,
    overflow saturates), ties included, so the picture cannot disagree with the package.

    Examples
    --------
    >>> import precsim as ps
    >>> rounding_slider(ps.FP8_E4M3, span=(0, 1)).params[0].name
    'number'
    >>> rounding_slider(ps.INT2, ps.INT3, span=(-1, 1), end=1).description
    'A slider moves a number from -1 to 1; for INT2 and INT3 the value it rounds to is marked.'
    """
    _check(formats, ())
    low, high = span = _checked_span(span)
    step = 10.0 ** math.floor(math.log10((high - low) / 400))
    number = alt.param(
        name="number",
        value=round((low + 0.61 * (high - low)) / step) * step,
        bind=alt.binding_range(min=low, max=high, step=step, name="number x"),
    )
    cells = alt.Chart(values(row for i, fmt in enumerate(formats) for row in _cells(fmt, i, span, end)))
    inside = "(datum.low < number && number < datum.high) || (number == datum.low && datum.low_in)"
    inside += " || (number == datum.high && datum.high_in)"
    hit = cells.transform_filter(inside).transform_calculate(
        above=alt.datum.row - 0.3,
        below=alt.datum.row + 0.3,
        foot=alt.datum.row + 0.42,
        label="'→ ' + format(datum.value, '.6~g') + ',  error ' + format(datum.value - number, '.2~e')",
        edge=str(high),
    )
    rows = cells.transform_aggregate(groupby=["row"]).transform_calculate(
        x="number", above=alt.datum.row - 0.5, below=alt.datum.row + 0.3
    )
    place: dict[str, Any] = {"x": _axis_x(span), "y": _axis_y(formats, "above"), "y2": "below:Q"}
    layers = [
        _ticks(formats, span, end),
        rows.mark_rule(color=HUES[3], strokeWidth=1.5, strokeDash=[3, 3]).encode(**place),
        rows.mark_point(shape="triangle-down", size=70, color=HUES[3], opacity=1).encode(x=place["x"], y=place["y"]),
        hit.mark_rule(color=HUES[3], strokeWidth=5, clip=True).encode(**{**place, "x": _axis_x(span, "value")}),
        hit.mark_text(style="ink", align="right", fontSize=12).encode(
            x=_axis_x(span, "edge"), y=_axis_y(formats, "foot"), text="label:N"
        ),
    ]
    chart = alt.layer(*layers).add_params(number).properties(width=WIDTH, height=84 * len(formats))
    names = _listed([f.name for f in formats])
    text = f"A slider moves a number from {low:g} to {high:g}; for {names} the value it rounds to is marked."
    reading = (
        "Tick: a value; triangle and dashed line: the number; thick tick: the value it rounds to, error at its right."
    )
    return finish(chart, text, reading=reading)


def relative_error(*formats: Format) -> alt.LayerChart:
    """Draw the largest relative error |fl(x) - x|/|x| of nearest rounding along the positive numbers.

    Parameters
    ----------
    *formats : Format
        Of at most 16 bits.

    Notes
    -----
    Between two neighboring values a < b the largest relative error is at their middle: (b - a)/(a + b). These points
    are drawn and joined. Left of the smallest value everything becomes 0, an error of 1; right of the largest, M,
    saturation gives (x - M)/x. The dashed line is the unit roundoff u = 2**-p of the normal range.

    Examples
    --------
    >>> import precsim as ps
    >>> relative_error(ps.FP8_E4M3).description
    'Largest relative error of rounding: for FP8_E4M3 at most 0.0588 from 0.0156 to 448.'
    """
    _check(formats, ())
    rows, words = [], []
    for fmt in formats:
        positive = fmt.values()[fmt.values() > 0]
        low, high = float(positive[0]), float(positive[-1])
        middle = (positive[1:] + positive[:-1]) / 2
        beyond = high * 2.0 ** np.linspace(0.0, 3.0, 25)[1:]
        x = np.concatenate([low * 2.0 ** np.arange(-4.0, 0.0), middle, beyond])
        error = np.concatenate([np.ones(4), (positive[1:] - positive[:-1]) / (2 * middle), (beyond - high) / beyond])
        rows += [{"format": fmt.name, "x": a, "error": e} for a, e in zip(x.tolist(), error.tolist(), strict=True)]
        start = low if fmt.is_integer else fmt.smallest_normal
        worst = float(np.max(error[(x >= start) & (x <= high)]))
        words.append(f"for {fmt.name} at most {worst:.3g} from {start:.3g} to {high:g}")
    bounds = [{"format": fmt.name, "u": float(fmt.unit_roundoff)} for fmt in formats if not fmt.is_integer]
    names = [fmt.name for fmt in formats]
    color = alt.Color("format:N", title=None, scale=alt.Scale(domain=names, range=list(HUES[: len(names)])))
    axis = alt.Axis(format="~e", tickCount=6, labelOverlap="greedy", labelSeparation=8)
    y = alt.Y(
        "error:Q", title="largest relative error", scale=alt.Scale(type="log"), axis=alt.Axis(format="~e", tickCount=5)
    )
    line = alt.Chart(values(rows)).encode(
        x=alt.X("x:Q", title="x, value before rounding", scale=alt.Scale(type="log", nice=False), axis=axis),
        y=y,
        color=color,
    )
    layers = [line.mark_line(strokeWidth=1.5), line.mark_point(size=12, tooltip=True)]
    if bounds:
        layers.append(
            alt.Chart(values(bounds))
            .mark_rule(strokeDash=[5, 4])
            .encode(y=alt.Y("u:Q", scale=alt.Scale(type="log")), color=color)
        )
    chart = alt.layer(*layers).properties(width=WIDTH, height=280)
    reading = "Point: the middle between two neighbors, where the error is largest; dashed: the unit roundoff u."
    return finish(chart, "Largest relative error of rounding: " + "; ".join(words) + ".", reading=reading)


def _check(formats: Sequence[Format], points: Sequence[float]) -> None:
    if not formats:
        raise ValueError("a number line needs a format, for example number_line(ps.FP8_E4M3)")
    if bad := [v for v in points if not math.isfinite(v)]:
        raise ValueError(f"x must be finite to have a place on the line, got {bad[0]}")


def _checked_span(span: tuple[float, float]) -> tuple[float, float]:
    low, high = map(float, span)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"span must be (low, high) with low < high, both finite, got {span}")
    return low, high


def _span(formats: Sequence[Format], points: Sequence[float], landed: Sequence[Any]) -> tuple[float, float]:
    if points:
        every = [*points, *(v for row in landed for v in row.tolist())]
        margin = 0.1 * (max(every) - min(every)) or abs(every[0]) or 1.0
        return min(every) - margin, max(every) + margin
    end = min(formats, key=lambda fmt: fmt.maximum)
    return end.minimum, end.maximum


def _scale(fmt: Format, end: float | None) -> float:
    return 1.0 if end is None else end / float(fmt.maximum)


def _shown(fmt: Format, span: tuple[float, float], end: float | None) -> Any:
    grid = fmt.values() * _scale(fmt, end)
    inside = grid[(grid >= span[0]) & (grid <= span[1])]
    if inside.size > MOST_TICKS:
        raise ValueError(
            f"{fmt.name} has {inside.size} values from {span[0]:g} to {span[1]:g}; at most {MOST_TICKS}"
            " can be told apart: choose a shorter span"
        )
    return inside


def _kind(fmt: Format, value: float) -> str:
    return "subnormal or zero" if fmt.has_subnormals and abs(value) < fmt.smallest_normal else "normal"


def _ticks(formats: Sequence[Format], span: tuple[float, float], end: float | None = None) -> alt.Chart:
    rows = []
    for i, fmt in enumerate(formats):
        for value in _shown(fmt, span, end).tolist():
            kind = _kind(fmt, value / _scale(fmt, end))
            half = 0.26 if kind == "normal" else 0.15
            rows.append({"row": i, "format": fmt.name, "value": value, "kind": kind, "top": i - half, "end": i + half})
    return (
        alt.Chart(values(rows))
        .mark_rule(strokeWidth=1.6)
        .encode(
            x=_axis_x(span, "value"),
            y=_axis_y(formats, "top"),
            y2="end:Q",
            color=alt.Color("kind:N", title=None).scale(
                domain=["normal", "subnormal or zero"], range=[NORMAL, SUBNORMAL]
            ),
            tooltip=["format:N", alt.Tooltip("value:Q", format=".8~g"), "kind:N"],
        )
    )


def _cells(fmt: Format, row: int, span: tuple[float, float], end: float | None = None) -> list[dict[str, Any]]:
    """For each value the interval that rounds to it; a tie belongs to the neighbor that round_to chooses."""
    grid = fmt.values()
    middle = (grid[1:] + grid[:-1]) / 2  # exact: neighbors of a format of 16 bits need few bits of float64
    tie = round_to(middle, fmt, saturate=True)
    low_in = np.concatenate([[True], tie == grid[1:]])
    high_in = np.concatenate([tie == grid[:-1], [True]])
    grid, middle = grid * _scale(fmt, end), middle * _scale(fmt, end)
    far = 2 * max(abs(span[0]), abs(span[1]), abs(float(grid[0])), abs(float(grid[-1])))
    low, high = np.concatenate([[-far], middle]), np.concatenate([middle, [far]])
    keep = (high >= span[0]) & (low <= span[1])
    columns = {"value": grid, "low": low, "high": high, "low_in": low_in, "high_in": high_in}
    picked = {name: column[keep].tolist() for name, column in columns.items()}
    return [{"row": row, **dict(zip(picked, cell, strict=True))} for cell in zip(*picked.values(), strict=True)]


def _axis_x(span: tuple[float, float], field: str = "x") -> alt.X:
    return alt.X(f"{field}:Q", title="value").scale(domain=list(span), nice=False, zero=False)


def _axis_y(formats: Sequence[Format], field: str) -> alt.Y:
    names = "[" + ", ".join(f"'{fmt.name}'" for fmt in formats) + "][datum.value]"
    axis = alt.Axis(
        values=list(range(len(formats))),
        labelExpr=names,
        ticks=False,
        labelPadding=6,
        grid=False,
        domain=False,
        title=None,
    )
    return alt.Y(f"{field}:Q", axis=axis).scale(
        domain=[-0.62, len(formats) - 0.5], reverse=True, nice=False, zero=False
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
