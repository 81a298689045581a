"""Small experiments as charts: every trained model a point, lines through the means, a choice for the reader."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from precsim.view.theme import HUES, WIDTH, Frame, bits_label, finish, values

Row = dict[str, Any]
_REPEATS = ("seed", "D", "step")
_DECADES = 1e4  # that a logarithmic axis spans at most


def trials(
    table: Frame,
    *,
    x: str,
    y: str = "gap",
    color: str,
    titles: Mapping[str, str],
    choose: str | None = None,
    log_x: bool = False,
    log_y: bool = False,
    rules: Mapping[float, str] | None = None,
) -> alt.LayerChart:
    """Draw one column of an experiment against another: a point for each row, a line through the means of repeats.

    Parameters
    ----------
    table : DataFrame
        With the columns named below.
    x, y : str
        Columns of the axes. Infinite x (bits of a part that is not rounded) is "full": then x is a row of categories.
    color : str
        Column of the series, at most eight.
    titles : mapping of str to str
        Axis and legend titles, with units, of x, y, color and choose.
    choose : str, optional
        Column from whose values the reader chooses.
    log_x, log_y : bool
        Logarithmic axes; a y that is not positive, or less than 10^-4 of the largest, is then a triangle at the lower
        edge.
    rules : mapping of float to str, optional
        Places on x to be marked by a vertical line, and what they are.

    Raises
    ------
    ValueError
        A column or a title is missing, there are no rows with a finite y, or there are more than eight series.

    Notes
    -----
    A row whose y is not finite, a model that diverged, is a triangle at the upper edge. Means leave it out.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"p": [2, 4, 8], "gap": [0.5, 0.3, 0.2], "mode": ["nearest"] * 3})
    >>> titles = {"p": "precision [bits]", "gap": "gap [nats/token]", "mode": "rounding"}
    >>> trials(table, x="p", color="mode", titles=titles).description
    'gap against precision, 3 models: nearest from 0.5 at 2 to 0.2 at 8.'
    """
    columns = [x, y, color, *([choose] if choose else [])]
    rows = _rows(table, columns, titles)
    names = list(dict.fromkeys(row[color] for row in rows))
    finite = [row[y] for row in rows if math.isfinite(row[y])]
    if not finite or len(names) > len(HUES):
        raise ValueError(f"needs a finite {y} and at most {len(HUES)} series; received {len(finite)} and {names}")
    ordinal = any(math.isinf(row[x]) for row in rows)
    low, high = _ends(finite, log_y)
    drawn = [_placed(row, x, y, low, high, ordinal=ordinal) for row in rows]
    scale = alt.Scale(type="log" if log_y else "linear", domain=[low, high], nice=False)
    axis = alt.Axis(format="~g", labelOverlap="greedy") if log_y else alt.Axis(labelOverlap="greedy")
    place = _x(x, titles[x], [row[x] for row in rows], ordinal=ordinal, log=log_x)
    legend = alt.Legend(columns=4 if max(len(str(name)) for name in names) <= 8 else 2)  # a phone is 390 pixels wide
    hue = alt.Color("series:N", title=titles[color] or None, sort=None, legend=legend)
    hue = hue.scale(domain=[str(name) for name in names], range=list(HUES[: len(names)]))
    base = alt.Chart(values({**row, "series": str(row[color])} for row in drawn))
    if choose:
        base = base.transform_filter(f"datum['{choose}'] == chosen")
    shape = alt.Shape("fate:N", legend=None).scale(
        domain=["seen", "diverged", "below the axis"], range=["circle", "triangle-up", "triangle-down"]
    )
    height = alt.Y("shown:Q", title=titles[y], scale=scale, axis=axis)
    tips = ["series:N", alt.Tooltip("place:N" if ordinal else "place:Q", title=titles[x]), "value:N", "fate:N"]
    layers: list[Any] = [
        base.transform_filter("isValid(datum.exact)")
        .transform_aggregate(mean="mean(exact)", groupby=["place", "series"])
        .transform_filter(f"datum.mean >= {low!r}")
        .mark_line(strokeWidth=1.5)
        .encode(x=place, y=alt.Y("mean:Q", title=titles[y], scale=scale, axis=axis), color=hue),
        base.mark_point(size=42, clip=False).encode(x=place, y=height, color=hue, shape=shape, tooltip=tips),
    ]
    if rules:
        layers = [*_rules(rules, x, place, [row[x] for row in rows]), *layers]
    chart = alt.layer(*layers)
    if choose:
        chart = chart.add_params(_choice(titles[choose], list(dict.fromkeys(row[choose] for row in rows))))
    text = _words(rows, x, y, color, titles, choose)
    reading = "Point: one model; line: mean of repeats; triangle at the upper edge: diverged" + (
        ", at the lower edge: nothing that the axis can show." if log_y else "."
    )
    return finish(chart.properties(width=WIDTH, height=280), text, reading=reading)


def bit_map(
    table: Frame, *, x: str, y: str, titles: Mapping[str, str], choose: Mapping[str, str], digits: int = 3
) -> alt.LayerChart:
    """Draw means of an experiment over two widths as a field of numbers; the reader chooses which column.

    Parameters
    ----------
    table : DataFrame
    x, y : str
        Columns of bits (inf is "full").
    titles : mapping of str to str
        Axis titles of x and y, with units.
    choose : mapping of str to str
        Columns that may be shown, and their names with units.
    digits : int
        Decimals of the numbers.

    Raises
    ------
    ValueError
        A column is missing or nothing is finite.

    Notes
    -----
    A field is the mean over the rows of its cell; its tooltip says how many there are and their range. The color grows
    with the logarithm of what exceeds the least of the column.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"W": [2.0, 2.0], "A": [2.0, float("inf")], "gap": [0.5, 0.25]})
    >>> chart = bit_map(table, x="W", y="A", titles={"W": "W [bits]", "A": "A [bits]"}, choose={"gap": "gap [nats]"})
    >>> chart.description
    'Means of gap for every pair of W and A: gap from 0.25 at W 2, A full to 0.5 at W 2, A 2.'
    """
    rows = _rows(table, [x, y, *choose], {**titles, **dict.fromkeys(choose, "")})
    fields, words = [], []
    for column, name in choose.items():
        cells: dict[tuple[float, float], list[float]] = {}
        for row in rows:
            if math.isfinite(row[column]):
                cells.setdefault((row[x], row[y]), []).append(row[column])
        if not cells:
            raise ValueError(f"no row has a finite {column}")
        means = {key: float(np.mean(found)) for key, found in cells.items()}
        least, most = min(means, key=lambda key: means[key]), max(means, key=lambda key: means[key])
        unit = 0.5 * 10**-digits
        for (a, b), mean in means.items():
            heat = math.log1p((mean - means[least]) / unit) / max(math.log1p((means[most] - means[least]) / unit), 1e-9)
            span = f"{min(cells[a, b]):.{digits + 1}f} to {max(cells[a, b]):.{digits + 1}f}"
            text = f"{mean:.{digits}f}".replace("-0." + "0" * digits, "0." + "0" * digits)
            fields.append(
                {
                    "column": name, "x": bits_label(a), "y": bits_label(b), "mean": text, "heat": heat,
                    "models": len(cells[a, b]), "range": span,
                }
            )  # fmt: skip
        there = [
            f"{titles[x].split(' [')[0]} {bits_label(k[0])}, {titles[y].split(' [')[0]} {bits_label(k[1])}"
            for k in (least, most)
        ]
        words.append(f"{column} from {means[least]:.3g} at {there[0]} to {means[most]:.3g} at {there[1]}")
    orders = [[bits_label(b) for b in sorted({row[name] for row in rows})] for name in (x, y)]
    base = alt.Chart(values(fields)).transform_filter("datum.column == chosen")
    across = alt.X("x:O", title=titles[x], sort=orders[0], axis=alt.Axis(labelAngle=0, orient="bottom"))
    down = alt.Y("y:O", title=titles[y], sort=orders[1][::-1])
    tips = ["x:O", "y:O", alt.Tooltip("mean:N"), "models:Q", "range:N"]
    color = alt.Color("heat:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=["#dbe9f6", "#2171b5"]))
    ink = alt.condition("datum.heat > 0.6", alt.value("#ffffff"), alt.value("#16202a"))
    names = list(choose.values())
    chart = alt.layer(
        base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(x=across, y=down, color=color, tooltip=tips),
        base.mark_text(fontSize=13).encode(x=across, y=down, text="mean:N", color=ink, tooltip=tips),
    )
    if len(names) > 1:
        chart = chart.add_params(_choice("show", names))
    else:
        chart = chart.add_params(alt.param(name="chosen", value=names[0]))
    text = (
        f"Means of {' and '.join(choose)} for every pair of {titles[x].split(' [')[0]} and {titles[y].split(' [')[0]}: "
    )
    reading = (
        "Number: mean over models of one pair of widths, darker where it is larger; the pointer shows their range."
    )
    return finish(
        chart.properties(width=WIDTH, height=46 * len(orders[1])), text + "; ".join(words) + ".", reading=reading
    )


def _rows(table: Frame, columns: Sequence[str], titles: Mapping[str, str]) -> list[Row]:
    if absent := [name for name in columns if name not in table.columns]:
        raise ValueError(f"the table has no column {', '.join(absent)}; it has {', '.join(map(str, table.columns))}")
    if untitled := [name for name in columns if name not in titles]:
        raise ValueError(f"titles needs a title with its unit for {', '.join(untitled)}")
    extra = [name for name in _REPEATS if name in table.columns and name not in columns]
    return table[[*columns, *extra]].to_dict("records")


def _ends(finite: Sequence[float], log: bool) -> tuple[float, float]:
    """Least and greatest value with some room."""
    if log:
        high = max([v for v in finite if v > 0], default=1.0)
        least = min(v for v in [*finite, high] if v > high / _DECADES)
        return least / 1.6, high * 1.6
    low, high = min(finite), max(finite)
    room = 0.06 * (high - low or abs(high) or 1.0)
    return low - room, high + room


def _placed(row: Row, x: str, y: str, low: float, high: float, *, ordinal: bool) -> Row:
    value = row[y]
    fate = "seen" if low <= value <= high else "below the axis" if value < low else "diverged"
    shown = value if fate == "seen" else low if fate == "below the axis" else high
    plain = {k: bits_label(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items() if k != y}
    place = bits_label(row[x]) if ordinal else row[x]
    exact = value if math.isfinite(value) else None
    return {**plain, "place": place, "shown": shown, "exact": exact, "fate": fate, "value": f"{value:.5g}"}


def _x(name: str, title: str, found: Sequence[float], *, ordinal: bool, log: bool) -> alt.X:
    if ordinal:
        order = [bits_label(v) for v in sorted(set(found))]
        return alt.X("place:O", title=title, sort=order, axis=alt.Axis(labelAngle=0))
    distinct = sorted(set(found))
    ticks: dict[str, Any] = {"values": distinct} if len(distinct) <= 16 else {}
    axis = alt.Axis(format=".3~s" if log else "~g", labelOverlap="greedy", labelSeparation=8, **ticks)
    ends = {"domain": [distinct[0], distinct[-1]], "nice": False, "padding": 14}
    scale = alt.Scale(type="log", **ends) if log else alt.Scale(zero=False, **ends)
    return alt.X("place:Q", title=title, scale=scale, axis=axis)


def _rules(rules: Mapping[float, str], x: str, place: alt.X, found: Sequence[float]) -> list[Any]:
    inside = [v for v in rules if min(found) <= v <= max(found)]
    data = alt.Chart(values({"place": v, "what": rules[v]} for v in inside))
    label = data.mark_text(style="ink", align="left", baseline="top", dx=4, fontSize=11)
    return [
        data.mark_rule(style="faint", strokeDash=[4, 3]).encode(x=place),
        label.encode(x=place, y=alt.value(4), text="what:N"),
    ]


def _choice(title: str, found: Sequence[Any]) -> alt.Parameter:
    """A slider for evenly spaced numbers, buttons for anything else."""
    numbers = [v for v in found if isinstance(v, int | float)]
    gaps = {round(b - a, 9) for a, b in itertools.pairwise(sorted(numbers))}
    if len(numbers) == len(found) > 3 and len(gaps) == 1:
        bind: Any = alt.binding_range(min=min(numbers), max=max(numbers), step=gaps.pop(), name=title)
    else:
        bind = alt.binding_radio(options=list(found), name=title + ": ")
    return alt.param(name="chosen", value=found[0], bind=bind)


def _words(rows: Sequence[Row], x: str, y: str, color: str, titles: Mapping[str, str], choose: str | None) -> str:
    first = rows[0][choose] if choose else None
    here = [row for row in rows if not choose or row[choose] == first]
    said = []
    for name in dict.fromkeys(row[color] for row in here):
        cells: dict[float, list[float]] = {}
        for row in here:
            if row[color] == name:
                cells.setdefault(row[x], []).append(row[y])
        means = {place: float(np.mean(found)) for place, found in sorted(cells.items())}
        ends = [(place, means[place]) for place in (min(means), max(means))]
        parts = [
            f"{v:.3g} at {bits_label(place)}" if math.isfinite(v) else f"diverged at {bits_label(place)}"
            for place, v in ends
        ]
        said.append(f"{name} from {parts[0]} to {parts[1]}")
    where = f" With {titles[choose].split(' [')[0]} {first}" if choose else ""
    head = f"{titles[y].split(' [')[0]} against {titles[x].split(' [')[0]}, {len(rows)} models"
    return f"{head}.{where}: {'; '.join(said)}." if choose else f"{head}: {'; '.join(said)}."
