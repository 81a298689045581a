"""Sums as they grow, and the errors of sums and dot products beside their bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from precsim.numerics.arithmetic import Accumulator, total
from precsim.numerics.rounding import CounterBits
from precsim.view.theme import GRAY, HUES, WIDTH, finish, values


def running_sum(
    accumulators: Mapping[str, Accumulator], *, exponents: range, start: float = 1.0, n: int = 512, seed: int = 0
) -> alt.LayerChart:
    """Draw how much of n equal terms 2**k has arrived in a sum that begins at `start`; a slider sets k.

    Parameters
    ----------
    accumulators : mapping of str to Accumulator
        Sequential ones, by the names of their curves; at most eight.
    exponents : range
        k, the choices of the slider.
    start : float
        First term, a value of every accumulator's format.
    n : int
        Number of terms after it, at least 16.
    seed : int
        Of the random bits of stochastic accumulators.

    Notes
    -----
    What has arrived is (sum - start) / 2**k, in terms; the exact sum is the diagonal. Every point is a sum computed
    by `precsim.numerics.arithmetic.total` from the beginning.

    Examples
    --------
    >>> import precsim as ps
    >>> chart = running_sum({"BF16": ps.arithmetic.Accumulator(ps.BF16)}, exponents=range(-10, -3), n=64)
    >>> chart.description
    'Terms that arrived in a sum of 64 terms 2^k added to 1, k by a slider. With k = -8 of 64: BF16 0.'
    """
    if not accumulators or len(accumulators) > len(HUES) or not len(exponents) or n < 16:
        raise ValueError(f"needs 1 to 8 accumulators, exponents and n >= 16; received {accumulators}, {exponents}, {n}")
    places = np.unique(np.linspace(1, n, min(n, 48)).round().astype(int)).tolist()
    rows = []
    for name, accumulator in accumulators.items():
        noise = CounterBits(seed) if accumulator.rounding.is_stochastic else None
        for k in exponents:
            terms = np.concatenate([[start], np.full(n, 2.0**k)])
            for i in places:
                reached = float(total(terms[: i + 1], accumulator, noise=noise))
                rows.append({"k": k, "sum": name, "terms": i, "value": reached, "arrived": (reached - start) / 2.0**k})
    first = exponents[len(exponents) // 3]
    slider = alt.param(
        name="k",
        value=first,
        bind=alt.binding_range(
            min=min(exponents), max=max(exponents), step=abs(exponents.step), name="log₂ of the term"
        ),
    )
    x = alt.X("terms:Q", title="terms added [terms]").scale(domain=[0, n], nice=False)
    y = {"title": "terms that arrived [terms]", "scale": alt.Scale(domain=[0, 1.25 * n], nice=False, clamp=True)}
    names = list(accumulators)
    color = alt.Color("sum:N", title=None, sort=None, legend=alt.Legend(columns=2)).scale(
        domain=names, range=list(HUES[: len(names)])
    )
    base = alt.Chart(values(rows)).transform_filter("datum.k == k")
    exact = alt.Chart(values({"terms": v, "arrived": v} for v in (0, n)))
    tip = ["sum:N", "terms:Q", *(alt.Tooltip(f"{v}:Q", format=".6~g") for v in ("value", "arrived"))]
    chart = alt.layer(
        exact.mark_line(color=GRAY, strokeDash=[5, 4]).encode(x=x, y=alt.Y("arrived:Q", **y)),
        base.mark_line(strokeWidth=1.5).encode(x=x, y=alt.Y("arrived:Q", **y), color=color),
        base.mark_point(size=18).encode(x=x, y=alt.Y("arrived:Q", **y), color=color, tooltip=tip),
    ).add_params(slider)
    last = {row["sum"]: row["arrived"] for row in rows if row["k"] == first and row["terms"] == n}
    text = (
        f"Terms that arrived in a sum of {n} terms 2^k added to {start:g}, k by a slider. With k = {first} of {n}: "
        + ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        + "."
    )
    reading = (
        "Point: a sum up to there, counted in terms that arrived; dashed: every term arrives; the slider sets the term."
    )
    return finish(chart.properties(width=WIDTH, height=280), text, reading=reading)


def error_curves(
    rows: Iterable[Mapping[str, Any]], *, x: str = "n", title: str = "n [terms]", slider: str | None = None
) -> alt.LayerChart:
    """Draw errors against the number of terms (or another column) on log axes, with bounds where the rows have them.

    Parameters
    ----------
    rows : iterable of mappings
        Each with the column x, "error" (relative to the sum of magnitudes; 0 allowed), "name" of the curve, and,
        if bounds are to be drawn, "bound" and "likely", the deterministic and the probabilistic one.
    x : str
        Column of the horizontal axis, positive numbers.
    title : str
        Of the horizontal axis, with its unit.
    slider : str, optional
        Column of integers that a slider chooses from.

    Raises
    ------
    ValueError
        There are no rows, a column is missing, every error is zero, or there are more than eight curves.

    Notes
    -----
    A line joins the medians. An error of zero has no place on a log axis: it is a triangle at the lower edge. Bounds
    of 1 and more say nothing and are left out.

    Examples
    --------
    >>> rows = [{"n": 2**k, "error": 1e-3 * k, "name": "naive"} for k in range(4)]
    >>> error_curves(rows).description
    'Errors against n: naive from 0 to 0.003, 4 sums.'
    """
    table = [dict(row) for row in rows]
    wanted = (x, "error", "name", *([slider] if slider else []))
    if not table or any(name not in row for row in table for name in wanted):
        raise ValueError(f"error_curves needs rows with the columns {', '.join(wanted)}; received {len(table)} rows")
    positive = [row["error"] for row in table if row["error"] > 0]
    names = list(dict.fromkeys(row["name"] for row in table))
    if not positive or len(names) > len(HUES):
        raise ValueError(f"needs an error above zero and at most {len(HUES)} curves; received {len(names)}")
    floor = 2.0 ** (math.floor(math.log2(min(positive))) - 1)
    for row in table:  # bounds that say nothing have no place either
        row.update({name: 0.0 for name in ("bound", "likely") if not 0 < row.get(name, 0.0) < 1})
    drawn = [{**row, "shown": max(row["error"], floor), "exact": row["error"] == 0} for row in table]
    top = max(min(1.0, max(row.get("bound", 0.0) for row in table)), *positive)
    decades = [10.0**k for k in range(math.ceil(math.log10(floor)), math.floor(math.log10(top)) + 1)]
    axis = alt.Axis(format="~e", values=decades, labelOverlap="greedy")
    scale = alt.Scale(type="log", domain=[floor, 1.3 * top], nice=False)
    y = {"title": "error / sum of magnitudes [1]", "scale": scale, "axis": axis}
    place = alt.X(f"{x}:Q", title=title).scale(type="log", base=2, nice=False, padding=10)
    place = place.axis(format=",d", tickCount=6, labelOverlap="greedy", labelSeparation=8)
    color = alt.Color("name:N", title=None, sort=None, legend=alt.Legend(columns=2)).scale(
        domain=names, range=list(HUES[: len(names)])
    )
    base = _chosen(drawn, slider)
    tip = ["name:N", f"{x}:Q", alt.Tooltip("error:Q", format=".3~e")]
    shape = alt.condition(alt.datum.exact, alt.value("triangle-down"), alt.value("circle"))
    size = alt.condition(alt.datum.exact, alt.value(50), alt.value(26))
    layers = [
        base.transform_joinaggregate(middle="median(shown)", groupby=["name", x])
        .mark_line(strokeWidth=1.5)
        .encode(x=place, y=alt.Y("middle:Q", **y), color=color),
        base.mark_point().encode(x=place, y=alt.Y("shown:Q", **y), color=color, shape=shape, size=size, tooltip=tip),
    ]
    for column, dash in (("bound", [7, 4]), ("likely", [2, 3])):
        once = {(row["name"], row[x], row.get(slider or "")): row for row in drawn if row[column]}
        if once:
            layers.append(
                _chosen(list(once.values()), slider)
                .mark_line(strokeWidth=1.5, strokeDash=dash, clip=True)
                .encode(x=place, y=alt.Y(f"{column}:Q", **y), color=color)
            )
    chart = alt.layer(*layers)
    if slider:
        choices = sorted({row[slider] for row in table})
        chart = chart.add_params(_slider(slider, choices))
    spans = {name: [row["error"] for row in table if row["name"] == name] for name in names}
    words = "; ".join(f"{name} from {min(e):.3g} to {max(e):.3g}" for name, e in spans.items())
    dashed = " Dashed: deterministic bounds; dotted: probabilistic ones." if len(layers) > 3 else ""
    text = f"Errors against {title.split(' [')[0]}: {words}, {len(table)} sums.{dashed}"
    exact = " Triangle at the lower edge: no error at all." if any(row["exact"] for row in drawn) else ""
    bounds = " Dashed: bound that always holds; dotted: bound that holds with high probability." if dashed else ""
    reading = f"Point: one sum; line: median.{exact}{bounds}"
    return finish(chart.properties(width=WIDTH, height=300), text, reading=reading)


def _chosen(rows: Sequence[Mapping[str, Any]], slider: str | None) -> alt.Chart:
    chart = alt.Chart(values(rows))
    return chart.transform_filter(f"datum['{slider}'] == chosen") if slider else chart


def _slider(name: str, choices: Sequence[int]) -> alt.Parameter:
    steps = {b - a for a, b in itertools.pairwise(choices)}
    if len(steps) != 1:
        raise ValueError(f"the slider {name} needs two or more evenly spaced numbers; received {choices}")
    bind = alt.binding_range(min=choices[0], max=choices[-1], step=steps.pop(), name=name)
    return alt.param(name="chosen", value=choices[len(choices) // 2], bind=bind)
