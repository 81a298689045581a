"""Formulas beside numbers: lines that were derived, and marks that were found without them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import ArrayLike

from precsim.view.theme import GRAY, HUES, WIDTH, finish, values

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]


def formula_and_numbers(
    lines: Curves,
    points: Curves | None = None,
    *,
    x: str,
    y: str,
    log_x: bool = False,
    log_y: bool = False,
    level: float | None = None,
) -> alt.LayerChart:
    """Draw derived curves as lines and numbers found without them as points; equal names share a color.

    Parameters
    ----------
    lines : mapping of str to (x, y)
        Curves by name, arrays of equal length; values that are not finite are left out.
    points : mapping of str to (x, y), optional
        Numbers by name; every one is drawn.
    x, y : str
        Titles of the axes, with units.
    log_x, log_y : bool
        Logarithmic axes; numbers that are not positive are then an error.
    level : float, optional
        Height of a horizontal dashed line.

    Raises
    ------
    ValueError
        If there is nothing to draw, there are more than eight names, a point is not finite, or a logarithmic axis is
        given a number that is not positive.

    Examples
    --------
    >>> chart = formula_and_numbers({"h²/12": ([1, 2], [1 / 12, 1 / 3])}, {"seen": (1, 0.0833)}, x="h [1]", y="MSE [1]")
    >>> chart.description
    'MSE against h. Lines: h²/12 from 0.0833 to 0.333. Points: seen, 1 from 0.0833 to 0.0833.'
    """
    chart, text = panel(lines, points, x=x, y=y, log_x=log_x, log_y=log_y, level=level)
    reading = " ".join(
        part
        for part, there in (
            ("Line: formula.", lines),
            ("Point: a number found without it.", points),
            ("Dashed: the level to compare with.", level is not None),
            ("Equal colors belong together.", lines and points),
        )
        if there
    )
    return finish(chart, text, reading=reading)


def panel(
    lines: Curves,
    points: Curves | None = None,
    *,
    x: str,
    y: str,
    log_x: bool = False,
    log_y: bool = False,
    level: float | None = None,
    dashed: frozenset[str] = frozenset(),
    hue_of: Mapping[str, str] | None = None,
    height: int = 300,
) -> tuple[Any, str]:
    """The chart of `formula_and_numbers` without the common look, as a part of another, and its words.

    Lines whose names are `dashed` are drawn so, and such marks open; a name has the hue of the one that `hue_of`
    gives for it.
    """
    points = points or {}
    names = list(dict.fromkeys([*lines, *points]))
    drawn = {name: _rows(name, *lines[name]) for name in lines}
    marks = {name: _rows(name, *points[name]) for name in points}
    if not names or len(names) > len(HUES) or not any([*drawn.values(), *marks.values()]):
        raise ValueError(f"needs 1 to {len(HUES)} curves with finite numbers; received {', '.join(names) or 'none'}")
    lost = {name: len(np.atleast_1d(points[name][0])) - len(rows) for name, rows in marks.items()}
    if any(lost.values()):
        raise ValueError(f"points must be finite; {max(lost, key=lost.__getitem__)} has some that are not")
    every = [row for rows in [*drawn.values(), *marks.values()] for row in rows]
    for name, logarithmic in (("x", log_x), ("y", log_y)):
        if logarithmic and any(row[name] <= 0 for row in every):
            raise ValueError(f"a logarithmic {name} axis takes positive numbers only")
    place = {
        "x": _axis(alt.X, "x", x, log_x, _ticks(every, "x", log_x)),
        "y": _axis(alt.Y, "y", y, log_y, _ticks(every, "y", log_y)),
        "color": alt.Color("name:N", title=None, sort=None, legend=alt.Legend(columns=2)).scale(
            domain=names, range=_hues(names, hue_of or {})
        ),
    }
    tip = [
        "name:N",
        alt.Tooltip("x:Q", title=_short(x), format=".4~g"),
        alt.Tooltip("y:Q", title=_short(y), format=".4~g"),
    ]
    layers = []
    dashes: dict[str, Any]
    open_marks: dict[str, Any]
    for broken, dashes, open_marks in ((False, {}, {}), (True, {"strokeDash": [6, 4]}, {"filled": False})):
        if rows := [row for name, rows in drawn.items() if (name in dashed) is broken for row in rows]:
            layers.append(alt.Chart(values(rows)).mark_line(strokeWidth=1.8, **dashes).encode(**place))
        if rows := [row for name, rows in marks.items() if (name in dashed) is broken for row in rows]:
            layers.append(alt.Chart(values(rows)).mark_point(size=48, **open_marks).encode(**place, tooltip=tip))
    if level is not None:
        rule = alt.Chart(values([{"level": float(level)}])).mark_rule(color=GRAY, strokeDash=[5, 4])
        layers.append(rule.encode(y="level:Q"))
    text = f"{_short(y)} against {_short(x)}."
    if drawn:
        text += " Lines: " + "; ".join(f"{n} {_span(r)}" for n, r in drawn.items()) + "."
    if marks:
        text += " Points: " + "; ".join(f"{n}, {len(r)} {_span(r)}" for n, r in marks.items()) + "."
    return alt.layer(*layers).properties(width=WIDTH, height=height), text


def _hues(names: list[str], hue_of: Mapping[str, str]) -> list[str]:
    whose = [hue_of.get(name, name) for name in names]
    order = list(dict.fromkeys(whose))
    return [HUES[order.index(name)] for name in whose]


def _rows(name: str, x: ArrayLike, y: ArrayLike) -> list[dict[str, Any]]:
    across, up = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    if across.shape != up.shape or across.ndim != 1:
        raise ValueError(f"{name}: x and y must have one shape (n,); received {across.shape} and {up.shape}")
    pairs = zip(across.tolist(), up.tolist(), strict=True)
    return [{"name": name, "x": a, "y": b} for a, b in pairs if math.isfinite(a) and math.isfinite(b)]


def _axis(kind: Any, field: str, title: str, logarithmic: bool, axis: alt.Axis) -> Any:
    scale = (
        alt.Scale(type="log", nice=False, padding=8) if logarithmic else alt.Scale(zero=False, nice=False, padding=8)
    )
    return kind(f"{field}:Q", title=title, scale=scale, axis=axis)


def _ticks(rows: list[dict[str, Any]], name: str, logarithmic: bool) -> alt.Axis:
    """Ticks; those of a wide logarithmic axis stand at powers of ten."""
    heights = [row[name] for row in rows]
    shared = {"labelOverlap": "greedy", "labelSeparation": 8}
    if not logarithmic or max(heights) < 1e3 * min(heights):
        return alt.Axis(format="~e" if max(map(abs, heights)) >= 1e6 else "~g", tickCount=7, **shared)
    powers = range(math.ceil(math.log10(min(heights))), math.floor(math.log10(max(heights))) + 1)
    plain = 1e-3 <= min(heights) and max(heights) < 1e6
    return alt.Axis(format="~g" if plain else "~e", values=[10.0**k for k in powers], **shared)


def _short(title: str) -> str:
    return title.split(" [")[0]


def _span(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "nowhere finite"
    heights = [row["y"] for row in rows]
    return f"from {min(heights):.3g} to {max(heights):.3g}"
