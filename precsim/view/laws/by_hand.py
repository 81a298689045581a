"""Charts in which the reader looks for a parameter by hand: a floor, a knee, a form of the factor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from precsim.view.theme import GRAY, HUES, WIDTH, Frame, finish, log_axis, si, values

_UNIT = {"N": "N, parameters", "D": "D, training tokens"}


def straighten(table: Frame, *, along: str = "D") -> alt.VConcatChart:
    """Draw loss minus a floor on logarithmic axes: at the right floor a power law is a straight line.

    Parameters
    ----------
    table : DataFrame
        N, D and loss; a line joins the means of rows that agree in the other of N and D.
    along : str
        Horizontal axis: "N" or "D".

    Raises
    ------
    ValueError
        `along` is neither, a column is missing, or some loss is not finite.

    Notes
    -----
    The slider subtracts e from every loss, from 0 to just below the least one.
    """
    if along not in _UNIT:
        raise ValueError(f"along must be 'N' or 'D', got {along!r}")
    if missing := [c for c in ("N", "D", "loss") if c not in table.columns]:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    other = "D" if along == "N" else "N"
    means: Any = table.groupby(["N", "D"], as_index=False)["loss"].mean()
    rows = [{**r, "label": si(r[other])} for r in means.to_dict("records")]
    least = min(row["loss"] for row in rows)
    order = [si(v) for v in sorted({row[other] for row in rows})]
    top = math.floor(least * 1000 - 1) / 1000
    floor = alt.param(
        name="floor",
        value=round(0.7 * top, 2),
        bind=alt.binding_range(min=0, max=top, step=0.001, name="floor e [nats/token]"),
    )
    base = (
        alt.Chart(values(rows))
        .transform_calculate(above="datum.loss - floor")
        .encode(
            x=log_axis(along, _UNIT[along]),
            y=alt.Y("above:Q", title="loss − e [nats/token]", scale=alt.Scale(type="log", nice=False, padding=8)).axis(
                format="~g", labelOverlap="greedy"
            ),
            color=alt.Color("label:N", title=other, sort=order, scale=alt.Scale(domain=order)),
        )
    )
    tips = [alt.Tooltip(f"{n}:Q", format=".5~g") for n in ("N", "D", "loss", "above")]
    chart = alt.layer(base.mark_line(opacity=0.6), base.mark_point().encode(tooltip=tips))
    text = (
        f"Mean loss of {len(rows)} settings minus a floor e, against {_UNIT[along]}, both logarithmic, a line for each"
        f" {other}. A slider moves e from 0 to {top:g}; the least loss is {least:.4g} nats per token."
    )
    reading = (
        f"Point: mean loss of a setting minus the floor e, both axes logarithmic; line: settings of equal {other}."
    )
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=300)).add_params(floor), text, reading=reading)


def knee_sweep(
    rows: Sequence[Mapping[str, float]], printed: Mapping[str, float], band: Mapping[str, Sequence[float]]
) -> alt.VConcatChart:
    """Draw what each estimate becomes as Huber's knee moves from least absolute to least squared errors.

    Parameters
    ----------
    rows : sequence of mappings
        ``knee`` and the parameters of one fit.
    printed : mapping
        Published values, drawn as a line.
    band : mapping
        Interval (low, high) of each parameter at the usual knee.

    Notes
    -----
    A menu chooses the parameter.
    """
    names = list(printed)
    long = [
        {
            "knee": row["knee"],
            "parameter": n,
            "value": row[n],
            "printed": printed[n],
            "low": band[n][0],
            "high": band[n][1],
        }
        for row in rows
        for n in names
    ]
    which = alt.param(name="parameter", value=names[-1], bind=alt.binding_select(options=names, name="parameter"))
    base = alt.Chart(values(long)).transform_filter("datum.parameter == parameter")
    x = alt.X("knee:Q", title="knee of Huber's loss", scale=alt.Scale(type="log", nice=False)).axis(
        format="~g", values=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    )
    scale: dict[str, Any] = {"title": "estimate", "scale": alt.Scale(zero=False)}
    first = base.transform_filter(f"datum.knee == {rows[0]['knee']!r}")
    chart = alt.layer(
        first.mark_rect(opacity=0.15, color=HUES[0]).encode(y=alt.Y("low:Q", **scale), y2="high:Q"),
        first.mark_rule(color=HUES[1], strokeWidth=2, strokeDash=[6, 4]).encode(y=alt.Y("printed:Q", **scale)),
        base.mark_line(color=HUES[0]).encode(x=x, y=alt.Y("value:Q", **scale)),
        base.mark_point(color=HUES[0]).encode(x=x, y=alt.Y("value:Q", **scale), tooltip=["knee:Q", "value:Q"]),
    )
    ends = ", ".join(f"{n} {rows[0][n]:.4g} to {rows[-1][n]:.4g} (printed {printed[n]:g})" for n in names)
    text = (
        f"Estimates of {len(rows)} fits to the same points over the knee of Huber's loss, from {rows[0]['knee']:g} to"
        f" {rows[-1]['knee']:g}: {ends}. Dashed: the printed value; shaded: the interval at the usual knee."
    )
    reading = (
        "Point: a fit to the same rows with another knee; dashed: the printed value; band: the 95 % interval"
        " at the usual knee. The menu chooses the parameter."
    )
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=260)).add_params(which), text, reading=reading)


def factor_forms(points: Sequence[Mapping[str, Any]]) -> alt.VConcatChart:
    """Draw measured factors f(P) with three forms of it, whose two constants are sliders.

    Parameters
    ----------
    points : sequence of mappings
        ``bits``, ``f``, ``low`` and ``high`` (interval), ``scheme``.

    Notes
    -----
    The forms are exp(−c e^(−P/γ)), 1 − c e^(−P/γ), of which the offset n is ln c, and the printed 1 − e^(−P/γ).
    """
    names = ["exp(−c exp(−P/γ))", "1 − c exp(−P/γ)", "1 − exp(−P/γ)"]
    c = alt.param(name="log_c", value=1.5, bind=alt.binding_range(min=-1, max=4, step=0.02, name="ln c"))
    gamma = alt.param(name="gamma", value=1.5, bind=alt.binding_range(min=0.4, max=4, step=0.02, name="γ [bits]"))
    decay = "exp(-datum.P / gamma)"
    shown = (
        alt.Chart(alt.sequence(1, 8.05, 0.05, as_="P"))
        .transform_calculate(f0=f"exp(-exp(log_c) * {decay})", f1=f"1 - exp(log_c) * {decay}", f2=f"1 - {decay}")
        .transform_fold(["f0", "f1", "f2"], as_=["key", "f"])
        .transform_calculate(form="{" + ", ".join(f"f{i}: '{n}'" for i, n in enumerate(names)) + "}[datum.key]")
    )
    x = alt.X("P:Q", title="P [bits]").scale(domain=[1, 8], nice=False)
    vertical: dict[str, Any] = {"title": "f = N_eff / N", "scale": alt.Scale(domain=[0, 1.1], nice=False, clamp=True)}
    color = alt.Color("form:N", title=None, scale=alt.Scale(domain=names, range=list(HUES[:3])))
    seen = alt.Chart(values({**p, "P": p["bits"]} for p in points))
    chart = alt.layer(
        shown.mark_line(clip=True).encode(x=x, y=alt.Y("f:Q", **vertical), color=color),
        seen.mark_rule(color=GRAY, strokeWidth=2).encode(x=x, y=alt.Y("low:Q", **vertical), y2="high:Q"),
        seen.mark_point(color=GRAY, size=80).encode(
            x=x, y=alt.Y("f:Q", **vertical), tooltip=["scheme:N", "P:Q", "f:Q", "low:Q", "high:Q"]
        ),
    )
    said = ", ".join(f"{p['scheme']} {p['f']:.3f}" for p in points)
    text = f"Measured factors with intervals ({said}) and three forms of f against bits; sliders set c and γ."
    reading = "Gray: measured share with its 95 % interval; lines: three forms, their two constants set by the sliders."
    return finish(alt.vconcat(chart.properties(width=WIDTH, height=280)).add_params(c, gamma), text, reading=reading)
