"""A block of numbers under a scale that the reader moves: what is rounded, what is clipped, and what it costs."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import ArrayLike, NDArray

from precsim.numerics.formats import E8M0, Format
from precsim.numerics.quantize import PerBlock, ScaleRule, sqnr
from precsim.numerics.rounding import round_to
from precsim.view.theme import GRAY, HUES, WIDTH, finish, values

_STEPS = 4  # choices of the scale in each factor of two


def block_scale(x: ArrayLike, fmt: Format) -> alt.VConcatChart:
    """Draw a block quantized with a scale set by a slider, and the SQNR of every scale with those of the rules.

    Parameters
    ----------
    x : array_like, float32, shape (n,)
        The block, 2 to 64 numbers, not all zero.
    fmt : Format
        Of the scaled elements.

    Raises
    ------
    ValueError
        The block has another shape, nothing but zeros, or something not finite.

    Notes
    -----
    Quantized values are ``s round(x / s)``, nearest-even, saturating, for s at four steps in each factor of two
    around absmax / maximum. Diamonds: the scales of the four rules of `precsim.ScaleRule`, and absmax.

    Examples
    --------
    >>> import numpy as np, precsim as ps
    >>> block_scale(np.float32([1.0, 0.3, -0.2, 0.05]), ps.FP4_E2M1).params[0].name
    'log_s'
    """
    block = np.asarray(x, np.float32)
    if block.ndim != 1 or not 2 <= block.size <= 64 or not np.isfinite(block).all() or not block.any():
        raise ValueError(f"a block is 2 to 64 finite numbers, not all zero; received shape {block.shape}")
    largest = float(np.max(np.abs(block)))
    center = round(math.log2(largest / fmt.maximum))
    logs = center + np.arange(-2 * _STEPS, 2 * _STEPS + 1) / _STEPS
    rows, curve = [], []
    for log_s in logs.tolist():
        y, beyond = _quantized(block, fmt, 2.0**log_s)
        fates = np.where(beyond, "clipped", "rounded").tolist()
        edge = fmt.maximum * 2.0**log_s
        rows += [
            {"log_s": log_s, "element": i, "x": a, "quantized": b, "fate": f}
            for i, (a, b, f) in enumerate(zip(block.tolist(), y.tolist(), fates, strict=True))
        ]
        curve.append({"log_s": log_s, "sqnr": sqnr(block, y), "clipped": int(beyond.sum()), "edge": edge})
    marks = _rules(block, fmt)
    finite = [row for row in curve if math.isfinite(row["sqnr"])]
    slider = alt.param(
        name="log_s",
        value=float(logs[len(logs) // 2 + _STEPS]),
        bind=alt.binding_range(min=float(logs[0]), max=float(logs[-1]), step=1 / _STEPS, name="log₂ of the scale s"),
    )
    top = _elements(rows, curve, 1.1 * largest)
    best = max(finite, key=lambda row: row["sqnr"])
    words = ", ".join(f"{m['rule']} {m['sqnr']:.1f} dB" for m in marks)
    text = (
        f"A block of {block.size} numbers quantized to {fmt.name} with a scale that a slider moves, and the SQNR of"
        f" each scale: best {best['sqnr']:.1f} dB at 2^{best['log_s']:g}, where {best['clipped']} are clipped; {words}."
    )
    reading = (
        "Above, ring: a number of the block; full mark: what it becomes, orange where it is clipped; dashed:"
        " the largest value at this scale. Below, line: SQNR of every scale; diamond: the scale that a rule"
        " chooses."
    )
    chart = alt.vconcat(top, _curve(finite, marks), spacing=10).resolve_scale(color="independent").add_params(slider)
    return finish(chart, text, reading=reading)


def _quantized(block: NDArray, fmt: Format, scale: float) -> tuple[Any, NDArray]:
    scaled = block.astype(np.float64) / scale
    return scale * round_to(scaled, fmt, saturate=True), np.abs(scaled) > fmt.maximum


def _rules(block: NDArray, fmt: Format) -> list[dict[str, Any]]:
    grid, found = fmt.grid(), []
    for name, scaling in {
        **{rule.name: PerBlock(block.size, scale_format=E8M0, rule=rule) for rule in ScaleRule},
        "absmax": PerBlock(block.size),
    }.items():
        view, axes = scaling.grouped(np, block)
        scale = float(scaling.scale(np, view, axes, grid).item())
        found.append({"rule": name, "log_s": math.log2(scale), "sqnr": sqnr(block, _quantized(block, fmt, scale)[0])})
    together: dict[tuple[float, float], list[str]] = {}
    for row in found:
        together.setdefault((row["log_s"], row["sqnr"]), []).append(row["rule"])
    return [{"rule": ", ".join(names), "log_s": key[0], "sqnr": key[1]} for key, names in together.items()]


def _elements(rows: list[dict[str, Any]], curve: list[dict[str, Any]], most: float) -> Any:
    y = {"title": "value", "scale": alt.Scale(domain=[-most, most], nice=False)}
    x = alt.X("element:Q", title="element of the block").scale(domain=[-1, max(r["element"] for r in rows) + 1])
    base = alt.Chart(values(rows)).transform_filter("datum.log_s == log_s")
    color = alt.Color("fate:N", title=None).scale(domain=["rounded", "clipped"], range=[HUES[0], HUES[1]])
    tip = ["element:Q", *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("x", "quantized")), "fate:N"]
    edge = alt.Chart(values(curve)).transform_filter("datum.log_s == log_s")
    both = edge.transform_calculate(low="-datum.edge")
    label = (
        "'s = ' + format(pow(2, datum.log_s), '.4~g') + ',  largest value ' + format(datum.edge, '.3~g')"
        " + ',  ' + datum.clipped + ' clipped,  SQNR ' + format(datum.sqnr, '.1f') + ' dB'"
    )
    return alt.layer(
        both.mark_rule(style="faint", strokeDash=[4, 3], clip=True).encode(y=alt.Y("edge:Q", **y)),
        both.mark_rule(style="faint", strokeDash=[4, 3], clip=True).encode(y=alt.Y("low:Q", **y)),
        base.mark_rule(strokeWidth=1.5).encode(x=x, y=alt.Y("x:Q", **y), y2="quantized:Q", color=color),
        base.mark_point(filled=False, size=45, color=GRAY).encode(x=x, y=alt.Y("x:Q", **y), tooltip=tip),
        base.mark_point(size=45, opacity=1).encode(x=x, y=alt.Y("quantized:Q", **y), color=color, tooltip=tip),
        edge.transform_calculate(label=label)
        .mark_text(style="ink", align="left", baseline="bottom", fontSize=12)
        .encode(x=alt.value(0), y=alt.value(-4), text="label:N"),
    ).properties(width=WIDTH, height=240)


def _curve(curve: list[dict[str, Any]], marks: list[dict[str, Any]]) -> Any:
    x = alt.X("log_s:Q", title="log₂ of the scale s").scale(nice=False, zero=False, padding=8)
    y = alt.Y("sqnr:Q", title="SQNR [dB]").scale(zero=False)
    base = alt.Chart(values(curve))
    rules = alt.Chart(values(marks))
    here = alt.Chart(values([{}])).transform_calculate(log_s="log_s")
    hue = alt.Color("rule:N", title="scale by rule", sort=None, legend=alt.Legend(columns=2)).scale(
        domain=[m["rule"] for m in marks], range=[HUES[3], HUES[2], HUES[4], HUES[5], HUES[6]][: len(marks)]
    )
    tip = ["rule:N", alt.Tooltip("log_s:Q", format=".3~f"), alt.Tooltip("sqnr:Q", format=".2f")]
    return alt.layer(
        here.mark_rule(style="faint", strokeDash=[4, 3]).encode(x=x),
        base.mark_line(strokeWidth=1.2, color=HUES[0]).encode(x=x, y=y),
        base.mark_point(size=18, color=HUES[0]).encode(x=x, y=y, tooltip=[*tip[1:], "clipped:Q"]),
        rules.mark_point(shape="diamond", size=150, opacity=1).encode(x=x, y=y, color=hue, tooltip=tip),
    ).properties(width=WIDTH, height=170)
