"""The range of a format: a grid built from two numbers of bits, and where scaled gradients fall in it."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
from numpy.typing import ArrayLike

from precsim.numerics.formats import Format
from precsim.numerics.rounding import round_to
from precsim.view.theme import GRAY, HUES, NORMAL, SUBNORMAL, WIDTH, finish, values

MOST_EXPONENT_BITS, MOST_TRAILING_BITS = 5, 4
# Python and the browser read these alike: w exponent bits, m trailing significand bits, c the code.
_BIAS = "(pow(2, w - 1) - 1)"
_COUNT = "((pow(2, w) - specials * min(m, 1)) * pow(2, m))"  # without significand bits NaN has no code
_EXPONENT, _TRAILING = "floor(c / pow(2, m))", "(c % pow(2, m))"
VALUE = f"(min({_EXPONENT}, 1) + {_TRAILING} / pow(2, m)) * pow(2, max({_EXPONENT}, 1) - {_BIAS})"


def format_builder() -> alt.VConcatChart:
    """Draw the values of a format made by sliders: exponent bits, trailing significand bits, and specials.

    Notes
    -----
    The bias is 2**(w-1) - 1. With the box the highest exponent is spent on infinity and NaN (IEEE 754), without
    it every code is a number. The upper line shows 0 to 4, the lower one all positive values on a log scale.

    Examples
    --------
    >>> [param.name for param in format_builder().params]
    ['w', 'm', 'specials']
    """
    sliders = [
        alt.param(
            name="w", value=3, bind=alt.binding_range(min=2, max=MOST_EXPONENT_BITS, step=1, name="exponent bits")
        ),
        alt.param(
            name="m", value=2, bind=alt.binding_range(min=0, max=MOST_TRAILING_BITS, step=1, name="significand bits")
        ),
        alt.param(name="specials", value=True, bind=alt.binding_checkbox(name="highest exponent is ∞ and NaN")),
    ]
    codes = alt.Chart(alt.sequence(0, 2 ** (MOST_EXPONENT_BITS + MOST_TRAILING_BITS), 1, as_="c"))
    grid = (
        codes.transform_filter(f"datum.c < {_COUNT}")
        .transform_calculate(value=VALUE.replace("c ", "datum.c "))
        .transform_calculate(kind="datum.c < pow(2, m) ? 'subnormal or zero' : 'normal'")
    )
    color = alt.Color("kind:N", title=None).scale(domain=["normal", "subnormal or zero"], range=[NORMAL, SUBNORMAL])
    tip = [alt.Tooltip("c:Q", title="code"), alt.Tooltip("value:Q", format=".6~g"), "kind:N"]
    near = (
        grid.transform_filter("datum.value <= 4")
        .mark_tick(thickness=1.6, size=34, opacity=1)
        .encode(x=alt.X("value:Q", title="value").scale(domain=[0, 4], nice=False), color=color, tooltip=tip)
        .properties(width=WIDTH, height=48)
    )
    powers = [2.0**k for k in range(-16, 17, 8)]
    axis = alt.Axis(values=powers, labelExpr="'2^' + format(log(datum.value) / log(2), '.0f')")
    scale = alt.Scale(type="log", base=2, domain=[2.0**-20, 2.0**17], nice=False)
    far = (
        grid.transform_filter("datum.value > 0")
        .mark_tick(thickness=1.2, size=34, opacity=1)
        .encode(x=alt.X("value:Q", title="value, logarithmic", scale=scale, axis=axis), color=color, tooltip=tip)
        .properties(width=WIDTH, height=48)
    )
    text = (
        "The values of a format whose exponent and significand bits are set by sliders: on a line from 0 to 4,"
        " and all positive ones on a logarithmic line from 2^-20 to 2^17."
    )
    reading = (
        "Tick: a value, orange where it is subnormal or zero; above from 0 to 4, below all positive ones on a"
        " logarithmic line."
    )
    return finish(alt.vconcat(_readout(), near, far, spacing=16).add_params(*sliders), text, reading=reading)


def _readout() -> alt.Chart:
    top = VALUE.replace("c ", f"({_COUNT} - 1) ")
    lines = (
        "(1 + w + m) + ' bits with sign,  ' + " + _COUNT + " + ' values ≥ 0,  u = 2^−' + (m + 1)",
        f"'largest ' + format({top}, '.6~g') + ',  smallest normal 2^' + (1 - {_BIAS})"
        f" + (m > 0 ? ',  smallest 2^' + (1 - {_BIAS} - m) : '')",
    )
    text = f"datum.line == 0 ? {lines[0]} : {lines[1]}"
    return (
        alt.Chart(values({"line": i} for i in range(2)))
        .transform_calculate(text=text)
        .mark_text(style="ink", align="left", fontSize=13)
        .encode(x=alt.value(0), y=alt.Y("line:O", axis=None), text="text:N")
        .properties(width=WIDTH, height=40, view=alt.ViewConfig(stroke=None))
    )


_FATES = ("zero", "subnormal", "normal", "overflow")


def loss_scaling(x: ArrayLike, fmt: Format, *, exponents: range) -> alt.LayerChart:
    """Draw the sizes of numbers after multiplication by 2**k, colored by what rounding to a format makes of them.

    Parameters
    ----------
    x : array_like, shape (n,)
        Numbers, such as the gradients of a network; zeros are left out.
    fmt : Format
        With infinity or NaN, so that overflow shows.
    exponents : range
        k, the choices of the slider.

    Raises
    ------
    ValueError
        x has nothing but zeros or something not finite, there is no exponent, or the format cannot overflow.

    Notes
    -----
    Each number is scaled and rounded with `precsim.round_to` (nearest-even, no saturation) and counted under the
    exponent it has after scaling; the leftmost bar holds everything smaller.

    Examples
    --------
    >>> import precsim as ps
    >>> loss_scaling([1e-9, 1e-3], ps.FP16, exponents=range(0, 21, 4)).params[0].name
    'k'
    """
    sizes = np.abs(np.asarray(x, np.float64).ravel())
    sizes = sizes[sizes != 0]
    if sizes.size == 0 or not np.isfinite(sizes).all():
        raise ValueError(f"x must hold finite numbers, not all zero; received {np.asarray(x).size} numbers")
    if not len(exponents) or not fmt.has_nan:
        raise ValueError(f"needs exponents and a format with infinity or NaN; received {exponents} and {fmt.name}")
    left, right = fmt.emin - fmt.precision - 9, fmt.emax + 6
    rows, words = [], []
    heights: dict[tuple[int, int], float] = {}  # of the bars, as far as they are stacked
    for k in exponents:
        scaled = np.ldexp(sizes, k)
        rounded = round_to(scaled, fmt)
        fate = np.select([rounded == 0, rounded < fmt.smallest_normal, np.isfinite(rounded)], [0, 1, 2], 3)
        place = np.clip(np.frexp(scaled)[1] - 1, left, right)
        found, counts = np.unique(np.stack([place, fate]), axis=1, return_counts=True)
        for (e, f), count in zip(found.T.tolist(), counts.tolist(), strict=True):
            foot = heights.get((k, e), 0.0)
            heights[k, e] = foot + 100 * count / sizes.size
            rows.append({"k": k, "from": e, "to": e + 1, "fate": _FATES[f], "foot": foot, "top": heights[k, e]})
        share = [float(np.mean(fate == i)) for i in range(4)]
        words.append({"k": k, "text": f"{share[0]:.1%} become 0, {share[1]:.1%} subnormal, {share[3]:.1%} overflow"})
    start = 0 if 0 in exponents else exponents[0]
    step = exponents.step
    slider = alt.param(
        name="k",
        value=start,
        bind=alt.binding_range(min=min(exponents), max=max(exponents), step=abs(step), name="log₂ of the scale, k"),
    )
    scale = alt.Scale(domain=[left, right + 1], nice=False)
    color = alt.Color("fate:N", title="after rounding", legend=alt.Legend(columns=2)).scale(
        domain=list(_FATES), range=[GRAY, SUBNORMAL, NORMAL, HUES[3]]
    )
    bars = alt.Chart(values(rows)).transform_filter("datum.k == k").mark_bar(binSpacing=1)
    ends = [
        {"at": math.log2(fmt.smallest_subnormal) - 1},
        {"at": math.log2(fmt.smallest_normal)},
        {"at": math.log2(fmt.maximum)},
    ]
    share_axis = alt.Y("top:Q", title="share of the numbers [%]").scale(
        domain=[0, 1.15 * max(heights.values())], nice=False
    )
    chart = alt.layer(
        bars.encode(
            x=alt.X("from:Q", title="exponent of the scaled number [powers of 2]", scale=scale),
            x2="to:Q",
            y=share_axis,
            y2="foot:Q",
            color=color,
            tooltip=["from:Q", "fate:N", alt.Tooltip("top:Q", format=".2f")],
        ),
        alt.Chart(values(ends)).mark_rule(style="faint", strokeDash=[4, 3]).encode(x=alt.X("at:Q", scale=scale)),
        alt.Chart(values(words))
        .transform_filter("datum.k == k")
        .mark_text(style="ink", align="left", baseline="top", fontSize=13, dx=4, dy=4)
        .encode(x=alt.value(0), y=alt.value(0), text="text:N"),
    ).add_params(slider)
    said = next(row["text"] for row in words if row["k"] == start)
    text = (
        f"Sizes of {sizes.size} numbers multiplied by 2^k, k from {min(exponents)} to {max(exponents)} by a slider, and"
        f" what {fmt.name} makes of them. With k = {start}: {said}."
    )
    reading = (
        "Bar: numbers of one exponent after scaling, colored by what rounding makes of them; dashed: half the"
        " least value, the least normal one, the largest."
    )
    return finish(chart.properties(width=WIDTH, height=260), text, reading=reading)
