"""What a matrix unit adds up, bit by bit and step by step, and how its error grows with the length of a sum."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import altair as alt

from precsim.numerics.arithmetic import Instruction, MatrixUnit, instruction
from precsim.view.theme import GRAY, HUES, WIDTH, finish, values

Example = tuple[Sequence[float], Sequence[float], float]
_STEPS = (
    "1. Each product and the accumulator, exact, at its own place.",
    "2. The largest exponent E; what lies behind its last bit is marked.",
    "3. Those bits are cut off, and what is left is added exactly.",
    "4. The sum is cut to the accumulator's bits.",
)
_LABELS = 190  # pixels for the names of the rows
_ROW = 26


def alignment(
    examples: Mapping[str, tuple[Sequence[float], Sequence[float], float]], unit: MatrixUnit
) -> alt.LayerChart:
    """Draw one instruction bit by bit; a slider goes through its four steps, a menu through the examples.

    Parameters
    ----------
    examples : mapping of str to (a, b, start)
        Factors and accumulator of each example, at most eight products; see `precsim.arithmetic.instruction`.
    unit : MatrixUnit

    Raises
    ------
    ValueError
        There are no examples, or one has more than eight products.

    Examples
    --------
    >>> from precsim.numerics.arithmetic import H100_FP8
    >>> chart = alignment({"one large": ([16.0, 1.0], [16.0, 0.0625], 6.0)}, H100_FP8)
    >>> chart.description
    'One instruction of H100_FP8 in four steps. one large: terms 256, 0.0625, 6; sum 262.062; result 262.062.'
    """
    if not examples or any(len(a) > 8 for a, _, _ in examples.values()):
        raise ValueError(f"needs examples of at most eight products each; received {list(examples)}")
    cells: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    words = []
    for example, (a, b, start) in examples.items():
        steps = instruction(a, b, unit, start)
        cells += [{"example": example, **cell} for cell in _cells(steps, unit)]
        labels = [f"{x:g} × {y:g}" for x, y in zip(a, b, strict=True)]
        labels += [f"accumulator {start:g}", f"sum {float(steps.total):g}", f"result {steps.result:g}"]
        shown = [1] * (len(labels) - 2) + [3, 4]
        for i, (label, first) in enumerate(zip(labels, shown, strict=True)):
            names.append({"example": example, "row": i, "label": label, "first": first})
        edges += [
            {"example": example, "place": steps.largest + 0.5, "label": f"E = {steps.largest}"},
            {"example": example, "place": steps.last - 0.5, "label": f"E - {unit.fraction_bits}"},
        ]
        terms = ", ".join(f"{float(t):g}" for t in steps.terms)
        words.append(f"{example}: terms {terms}; sum {float(steps.total):g}; result {steps.result:g}.")
    places = [cell["place"] for cell in cells]
    x = alt.X("place:Q", title="place of the bit [power of two]").scale(
        domain=[max(places) + 1, min(places) - 1], range=[_LABELS, WIDTH], nice=False, zero=False
    )
    x = x.axis(values=list(range(min(places), max(places) + 1, 2)), grid=False)
    rows = max(row["row"] for row in names) + 1
    y = alt.Y("row:Q", axis=None).scale(domain=[rows - 0.5, -1.2], nice=False, zero=False)
    look = alt.Color("look:N", title=None).scale(domain=["kept", "cut off"], range=[HUES[0], HUES[1]])
    here = "datum.example == example && datum.first <= step"
    bits = alt.Chart(values(cells)).transform_filter(f"{here} && step <= datum.last")
    lines = alt.Chart(values(edges)).transform_filter("datum.example == example && step >= 2")
    said = alt.Chart(values({"row": -0.9, "label": text, "step": i + 1} for i, text in enumerate(_STEPS)))
    chart = alt.layer(
        lines.mark_rule(aria=False, color=GRAY, strokeDash=[4, 3], strokeWidth=1.5).encode(x=x),
        lines.mark_text(style="ink", dy=-6, fontSize=11).encode(x=x, y=alt.value(22), text="label:N"),
        bits.mark_square(size=210, opacity=0.85).encode(x=x, y=y, color=look, tooltip=["place:Q", "bit:N", "look:N"]),
        bits.mark_text(color="white", fontSize=11, fontWeight="bold").encode(x=x, y=y, text="bit:N"),
        alt.Chart(values(names))
        .transform_filter(here)
        .mark_text(style="ink", align="left", fontSize=12)
        .encode(x=alt.value(0), y=y, text="label:N"),
        said.transform_filter("datum.step == step")
        .mark_text(style="ink", align="left", fontSize=12, fontWeight="bold")
        .encode(x=alt.value(0), y=alt.value(4), text="label:N"),
    ).add_params(
        alt.param(name="step", value=1, bind=alt.binding_range(min=1, max=len(_STEPS), step=1, name="step")),
        alt.param(
            name="example", value=next(iter(examples)), bind=alt.binding_select(options=list(examples), name="example")
        ),
    )
    text = f"One instruction of {unit} in four steps. {' '.join(words)}"
    reading = (
        "Square: a bit at its place; orange: cut off; dashed: the first and the last place that are added."
        " Sliders go through the steps and the examples."
    )
    return finish(chart.properties(width=WIDTH, height=_ROW * (rows + 1)), text, reading=reading)


def unit_error_curves(rows: Iterable[Mapping[str, Any]]) -> alt.VConcatChart:
    """Draw root mean square error and bias of a unit's sums against their length, on log axes.

    Parameters
    ----------
    rows : iterable of mappings
        Of `precsim.arithmetic.unit_errors`: "name", "n", "error", "bias"; at most eight names.

    Raises
    ------
    ValueError
        There are no rows, a number is not finite, or there are more than eight names.

    Notes
    -----
    A filled point is a loss (the computed sum is nearer zero), an open one a gain; exact sums have no place on a log
    axis and are left out.

    Examples
    --------
    >>> given = [{"name": "FP8", "n": n, "error": n / 1e5, "bias": -n / 1e6} for n in (32, 64)]
    >>> unit_error_curves(given).description
    'Error and bias of sums against their length: FP8 error 0.00064, bias -6.4e-05 at 64 products.'
    """
    table = [dict(row) for row in rows]
    names = list(dict.fromkeys(row["name"] for row in table))
    numbers = [row[key] for row in table for key in ("error", "bias")]
    if not names or len(names) > len(HUES) or not all(math.isfinite(v) for v in numbers):
        raise ValueError(f"needs finite errors of 1 to {len(HUES)} names; received {len(table)} rows of {names}")
    drawn = [
        {"name": row["name"], "n": row["n"], "what": what, "size": abs(row[what]), "loss": row[what] < 0}
        for row in table
        for what in ("error", "bias")
        if row[what]
    ]
    color = alt.Color("name:N", title=None, sort=None, legend=alt.Legend(columns=3)).scale(
        domain=names, range=list(HUES[: len(names)])
    )
    sizes = [row["size"] for row in drawn]
    scale = alt.Scale(type="log", domain=[min(sizes) / 2, 2 * max(sizes)], nice=False)
    panels = []
    for what, title in (("error", "root mean square error / size of the sum [1]"), ("bias", "|bias| / size [1]")):
        base = alt.Chart(values(row for row in drawn if row["what"] == what)).encode(
            x=alt.X("n:Q", title="K [products]").scale(type="log", base=2, nice=False, padding=10),
            y=alt.Y("size:Q", title=title, scale=scale, axis=alt.Axis(format="~e", tickCount=6)),
            color=color,
        )
        filled = alt.condition("datum.loss || datum.what == 'error'", alt.value(1), alt.value(0.15))
        tip = ["name:N", "n:Q", alt.Tooltip("size:Q", format=".3~e"), "loss:N"]
        points = base.mark_point(size=34).encode(fillOpacity=filled, tooltip=tip)
        panels.append(alt.layer(base.mark_line(strokeWidth=1.5), points).properties(width=WIDTH, height=220))
    longest = max(row["n"] for row in table)
    last = [row for row in table if row["n"] == longest]
    said = "; ".join(f"{row['name']} error {row['error']:.3g}, bias {row['bias']:.3g}" for row in last)
    text = f"Error and bias of sums against their length: {said} at {longest} products."
    reading = "Point: mean over sums of K products; below, full where sums come out too small, open where too large."
    return finish(alt.vconcat(*panels), text, reading=reading)


def _cells(steps: Instruction, unit: MatrixUnit) -> list[dict[str, Any]]:
    """A row for each bit of each term, of the sum and of the result, with the steps in which it is seen."""
    found: list[dict[str, Any]] = []
    for i, term in enumerate(steps.terms):
        for cell in _bits(term, i):
            if cell["place"] >= steps.last:
                found.append({**cell, "first": 1, "last": 4, "look": "kept"})
            else:
                found += [{**cell, "first": s, "last": s, "look": look} for s, look in ((1, "kept"), (2, "cut off"))]
    row = len(steps.terms)
    total = _bits(steps.total, row)
    leading = max([cell["place"] for cell in total], default=0)
    lowest = max(leading, unit.output.emin) - unit.output.precision + 1
    for cell in total:
        look = "kept" if cell["place"] >= lowest else "cut off"
        found += [{**cell, "first": 3, "last": 3, "look": "kept"}, {**cell, "first": 4, "last": 4, "look": look}]
    return found + [{**cell, "first": 4, "last": 4, "look": "kept"} for cell in _bits(Fraction(steps.result), row + 1)]


def _bits(value: Fraction, row: int) -> list[dict[str, Any]]:
    """Places and digits of |value|, from its leading bit to its last one that is 1."""
    digits, low = abs(value.numerator), 1 - value.denominator.bit_length()
    if not digits:
        return []
    zeros = (digits & -digits).bit_length() - 1
    digits, low = digits >> zeros, low + zeros
    return [{"row": row, "place": low + k, "bit": str(digits >> k & 1)} for k in range(digits.bit_length() - 1, -1, -1)]
