"""F1: one value in several formats, bit by bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.numerics.rounding import encode, round_to
from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format

_LOOKS = ("full", "accent", "after")  # sign, exponent, significand


def bit_layout(value: float, formats: Sequence[Format]) -> Drawing:
    """Draw the codes of a value in floating-point formats below each other, fields in color, and what they spell.

    Parameters
    ----------
    value : float
        Above zero and a normal number of all formats once rounded.
    formats : sequence of Format
        With a sign, exponent and significand.

    Raises
    ------
    ValueError
        The value is not a normal number of a format.

    Examples
    --------
    >>> import precsim as ps
    >>> bit_layout(1.25, (ps.FP8_E4M3, ps.FP8_E5M2)).frames[0].description
    '1.25 in FP8 E4M3: 0 0111 010, 1.25 = 2^0 × 1.25; in FP8 E5M2: 0 01111 01, 1.25 = 2^0 × 1.25.'
    """
    rows = [_row(value, fmt) for fmt in formats]
    told = "; ".join(
        f"in {name}: {' '.join(fields)}, {shown(x, 5)} = 2^{e} × {m:g}" for name, fields, x, e, m, _ in rows
    )
    return drawn(
        lambda width: _picture(width, rows),
        title="The bits of a number",
        description=f"{shown(value)} {told}.".replace("-", "−"),
        message="A format is a way to split its bits between range and precision.",
        reading="Gray: sign; blue: exponent; orange: significand without its leading 1. Right: what the bits spell.",
        computed="the definitions of the formats",
    )


_Row = tuple[str, list[str], float, int, float, str]


def _row(value: float, fmt: Format) -> _Row:
    """Name, the bits of the three fields, the value that is held, its exponent and significand, and the range."""
    held = float(round_to(np.array([value]), fmt)[0])
    if not fmt.smallest_normal <= held <= fmt.maximum:
        raise ValueError(f"{value:g} is not a normal number of {fmt.name}: {fmt.smallest_normal:g} to {fmt.maximum:g}")
    bits = f"{int(encode(np.array([value]), fmt)[0]):0{fmt.bits}b}"
    fields = [bits[0], bits[1 : 1 + fmt.exponent_bits], bits[1 + fmt.exponent_bits :]]
    power = math.floor(math.log2(held))
    low, high = math.floor(math.log2(fmt.smallest_normal)), math.floor(math.log2(fmt.maximum))
    return (
        fmt.name.replace("_", " "),
        fields,
        held,
        power,
        held / 2.0**power,
        f"2^{{{low}}} to 2^{{{high}}}".replace("-", "−"),
    )


def _picture(width: float, rows: Sequence[_Row]) -> Canvas:
    wide = width == WIDE
    side, gap = (23.0, 3.0) if wide else (18.0, 2.2)
    tall, top = (88, 34) if wide else (122, 34)
    canvas = Canvas(width, tall * len(rows))
    for i, (name, fields, held, power, lead, reach) in enumerate(rows):
        y, x = top + tall * i, 0.0
        canvas.text(0, y - 16, name, "head")
        canvas.text(
            width if not wide else 190, y - 16, f"normal from {reach}", "small muted", anchor="start" if wide else "end"
        )
        for bits, look, kind in zip(fields, _LOOKS, ("sign", "exponent", "significand"), strict=True):
            for bit in bits:
                canvas.rect(x, y, side, side + 4, f"soft {look} {kind} bit", radius=2)
                canvas.text(x + side / 2, y + side / 2 + 7, bit, "digits", anchor="middle")
                x += side + gap
            x += 5
        words = f"2^{{{power}}} · {lead:g} = {shown(held, 5)}".replace("-", "−")
        if wide:
            canvas.text(width, y + 18, words, "formula", anchor="end")
        else:
            canvas.text(0, y + 50, words, "formula")
    return canvas
