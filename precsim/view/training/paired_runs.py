"""Runs beside other runs: pairs that share a seed, and penalties of two parts together against each alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import numpy as np

from precsim.view.theme import GRAY, HUES, WIDTH, Frame, finish, values


def paired_runs(
    table: Frame, *, recipe: str = "recipe", value: str = "gap", unit: str = "nats/token"
) -> alt.VConcatChart:
    """Draw runs of two recipes that share their seeds: as pairs, and their differences with and without pairing.

    Parameters
    ----------
    table : DataFrame
        With the columns `recipe` (two values, the first is the reference), "seed" and `value`, one row for each.
    recipe, value : str
        Columns.
    unit : str
        Of the value.

    Raises
    ------
    ValueError
        There are not two recipes, or they do not have the same seeds, three or more, with finite values.

    Notes
    -----
    Below: every difference within a pair, and beside them the differences of runs of unequal seeds (seed s against
    s + 1, around), which is what a comparison without pairs sees.

    Examples
    --------
    >>> import pandas as pd
    >>> gaps = {"float32": [0.30, 0.32, 0.31], "INT4": [0.31, 0.33, 0.32]}
    >>> rows = [{"recipe": r, "seed": s, "gap": v} for r, found in gaps.items() for s, v in enumerate(found)]
    >>> paired_runs(pd.DataFrame(rows)).description[:60]
    'Gap of 3 pairs of runs that share a seed, INT4 against float'
    """
    names = list(dict.fromkeys(table[recipe].tolist()))
    rows = table[[recipe, "seed", value]].to_dict("records")
    found: dict[str, dict[Any, float]] = {name: {} for name in names}
    for row in rows:
        found[row[recipe]][row["seed"]] = float(row[value])
    finite = all(math.isfinite(v) for cell in found.values() for v in cell.values())
    if len(names) != 2 or len({frozenset(cell) for cell in found.values()}) != 1 or len(rows) < 6 or not finite:
        raise ValueError(f"needs two recipes with the same seeds, three or more, all finite; received {names}")
    one, two = (found[name] for name in names)
    order = sorted(one)
    pairs = [{"seed": s, "one": one[s], "two": two[s]} for s in order]
    kinds = ("same seed", "unequal seeds")
    differences = [{"seed": s, "kind": kinds[0], "difference": two[s] - one[s]} for s in order]
    following = [*order[1:], order[0]]
    differences += [
        {"seed": s, "kind": kinds[1], "difference": two[t] - one[s]} for s, t in zip(order, following, strict=True)
    ]
    everything = [v for row in pairs for v in (row["one"], row["two"])]
    low, high = min(everything), max(everything)
    room = 0.06 * (high - low)
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    diagonal = alt.Chart(values({"one": v, "two": v} for v in (low - room, high + room)))
    x = alt.X("one:Q", title=f"{value} in {names[0]} [{unit}]", scale=scale)
    y = alt.Y("two:Q", title=f"{value} in {names[1]} [{unit}]", scale=scale)
    top = alt.layer(
        diagonal.mark_line(color=GRAY, strokeDash=[5, 4]).encode(x=x, y=y),
        alt.Chart(values(pairs))
        .mark_point(size=50, color=HUES[0])
        .encode(x=x, y=y, tooltip=["seed:O", "one:Q", "two:Q"]),
    ).properties(width=WIDTH, height=250)
    color = alt.Color("kind:N", legend=None).scale(domain=list(kinds), range=[HUES[2], HUES[1]])
    base = alt.Chart(values(differences))
    place = alt.X("difference:Q", title=f"{names[1]} minus {names[0]} [{unit}]")
    row = alt.Y("kind:N", title=None, sort=list(kinds))
    zero = alt.Chart(values([{"zero": 0.0}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(x="zero:Q")
    below = alt.layer(
        zero,
        base.mark_tick(thickness=2, size=22).encode(x=place, y=row, color=color, tooltip=["seed:O", "difference:Q"]),
        base.mark_point(shape="diamond", size=120, filled=False, strokeWidth=2, opacity=1).encode(
            x=alt.X("mean(difference):Q"), y=row, color=color
        ),
    ).properties(width=WIDTH, height=80)
    spreads = [float(np.std([d["difference"] for d in differences if d["kind"] == k], ddof=1)) for k in kinds]
    words = (
        f"{value.capitalize()} of {len(pairs)} pairs of runs that share a seed, {names[1]} against {names[0]}, close"
        f" to a line parallel to the diagonal; and the differences. Their standard deviation is {spreads[0]:.2g} within"
        f" pairs, {spreads[1]:.2g} between unequal seeds."
    )
    reading = (
        "Above, point: two runs of one seed; dashed: no difference. Below, tick: one difference, of runs that"
        " share a seed and of runs that do not; diamond: their mean."
    )
    return finish(alt.vconcat(top, below, spacing=10), words, reading=reading)


def joint_penalties(rows: Iterable[Mapping[str, float]]) -> alt.LayerChart:
    """Draw what two parts in low precision cost together against what each alone would make one expect.

    Parameters
    ----------
    rows : iterable of mappings
        With "W" and "A" [bits], "scale", "observed", "sum" and "product" [nats/token]: `precsim.runs.pairs.joint`.

    Raises
    ------
    ValueError
        No row has all of them positive.

    Notes
    -----
    Axes are logarithmic; penalties that are not positive, which are noise, cannot be placed and are counted in the
    description.

    Examples
    --------
    >>> row = {"W": 3.0, "A": 3.0, "scale": "per token", "observed": 0.02, "sum": 0.02, "product": 0.021}
    >>> joint_penalties([row]).description
    'Penalty of two parts together against the sum of each alone, 1 pair of widths: above it in 0, below in 1.'
    """
    every = [dict(row) for row in rows]
    drawn = [row for row in every if min(row["observed"], row["sum"], row["product"]) > 0]
    if not drawn:
        raise ValueError(f"needs rows with positive penalties; received {len(every)}")
    kinds = ["sum", "product"]
    long = [
        {**row, "kind": kind, "expected": row[kind], "pair": f"W {row['W']:g}, A {row['A']:g}"}
        for row in drawn
        for kind in kinds
    ]
    ends = [v for row in long for v in (row["expected"], row["observed"])]
    scale = alt.Scale(type="log", domain=[min(ends) / 1.3, max(ends) * 1.3], nice=False)
    axis = alt.Axis(format="~g", labelOverlap="greedy")
    choose = alt.param(name="law", value=kinds[0], bind=alt.binding_radio(options=kinds, name="expected from "))
    names = list(dict.fromkeys(row["scale"] for row in drawn))
    color = alt.Color("scale:N", title=None, sort=None).scale(domain=names, range=list(HUES[: len(names)]))
    x = alt.X("expected:Q", title="expected from each alone [nats/token]", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="together [nats/token]", scale=scale, axis=axis)
    tips = ["pair:N", "scale:N", *(alt.Tooltip(f"{n}:Q", format=".4f") for n in ("expected", "observed"))]
    diagonal = alt.Chart(values({"expected": v, "observed": v} for v in (min(ends), max(ends))))
    base = alt.Chart(values(long)).transform_filter("datum.kind == law")
    chart = alt.layer(
        diagonal.mark_line(color=GRAY, strokeDash=[5, 4]).encode(x=x, y=y),
        base.mark_point(size=55).encode(x=x, y=y, color=color, tooltip=tips),
        base.transform_filter("datum.W == datum.A")
        .mark_text(style="ink", fontSize=11, align="right", dx=-8)
        .encode(x=x, y=y, text="pair:N"),
    ).add_params(choose)
    above = sum(row["observed"] > row["sum"] for row in drawn)
    lost = len(every) - len(drawn)
    words = (
        f"Penalty of two parts together against the sum of each alone, {len(drawn)} pair{'s' * (len(drawn) > 1)} of"
        f" widths: above it in {above}, below in {len(drawn) - above}."
        + (f" {lost} pairs with a penalty that is not positive are not drawn." if lost else "")
    )
    reading = (
        "Point: a pair of widths, both parts together against what each alone would add up to; dashed: no"
        " interaction; the labels name pairs of equal widths."
    )
    return finish(chart.properties(width=WIDTH, height=320), words, reading=reading)
