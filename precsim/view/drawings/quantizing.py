"""F4: what a quantizer does to six weights: divide by a scale, round, multiply back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.numerics.quantize import Quantizer
from precsim.numerics.scaling import PerTensor
from precsim.view.drawings.axes import baseline, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def divide_round_multiply(weights: Sequence[float], fmt: Format) -> Drawing:
    """Draw some weights on their way through a quantizer with one scale, and what each loses.

    Parameters
    ----------
    weights : sequence of float
        A few, far enough apart for their labels.
    fmt : Format
        Integers.

    Examples
    --------
    >>> import precsim as ps
    >>> divide_round_multiply([-0.31, 0.08, 0.70], ps.INT4).frames[0].description
    'Four number lines below each other. With the scale 0.1, −0.31 becomes −0.3, 0.08 becomes 0.1, 0.7 becomes 0.7.'
    """
    w = np.sort(np.asarray(weights, float))
    kept = np.asarray(Quantizer(fmt, PerTensor())(w), float)
    scale = float(np.abs(w).max() / fmt.maximum)
    codes = np.round(kept / scale)
    pairs = ", ".join(f"{shown(a, 2)} becomes {shown(b, 2)}" for a, b in zip(w, kept, strict=True))
    return drawn(
        lambda width: _picture(width, w, codes, kept, scale, fmt),
        title="Divide, round, multiply",
        description=f"Four number lines below each other. With the scale {shown(scale)}, {pairs}.",
        message="Quantizing is rounding in units of a scale.",
        reading="Blue: weights as they are; orange: what they become. Bars: how far each was moved.",
        toy="numbers made up",
    )


def _picture(width: float, w: np.ndarray, codes: np.ndarray, kept: np.ndarray, scale: float, fmt: Format) -> Canvas:
    wide = width == WIDE
    end, most = float(fmt.maximum), float(np.abs(w).max())
    x = Scale((-end, end), (160, 660) if wide else (22, width - 22))
    rows = [62, 142, 222, 302] if wide else [58, 152, 246, 340]
    canvas = Canvas(width, rows[-1] + 108)
    units = {c: x(c) for c in range(-round(end), round(end) + 1)}
    names = ("weight *w*", "*w* / *s*", "integer", "rounded *ŵ*")
    steps = ("", f"÷ *s* = {shown(most)} / {end:g} = {shown(scale)}", "round to the nearest", f"× *s* = {shown(scale)}")
    for i, (name, y) in enumerate(zip(names, rows, strict=True)):
        ticks = units.values() if i in (1, 2) else [x(v) for v in (-end, 0, end)]
        baseline(canvas, y, x.pixels, ticks, "faint", tall=6)
        at, look = (w / scale, "accent") if i < 2 else (codes, "after")
        if wide:
            canvas.text(0, y + 5, name, "strong")
        else:
            canvas.text(0, y - 44, name, "strong")
            canvas.text(width, y - 44, steps[i], "muted", anchor="end")
        labels = (w, w / scale, codes, kept)[i]
        for where, label in zip(at, labels, strict=True):
            canvas.circle(x(where), y, 5.5, f"solid {look} dot row{i}")
            canvas.text(x(where), y - 14, shown(label, 2), "digits small", anchor="middle")
    for i in range(len(rows) - 1):
        if wide:
            canvas.text(0, (rows[i] + rows[i + 1]) / 2 + 5, steps[i + 1], "muted")
        starts, ends = (w / scale, codes) if i == 1 else ((w / scale,) * 2 if i == 0 else (codes, codes))
        for a, b in zip(starts, ends, strict=True):
            canvas.arrow([(x(a), rows[i] + 10), (x(b), rows[i + 1] - (31 if wide else 61))], "full thin")
    y = rows[-1] + 84
    largest = float(np.abs(kept - w).max())
    canvas.text(0, y - (0 if wide else 40), "error", "strong")
    canvas.line(x.pixels[0], y, x.pixels[1], y, "thin faint")
    for where, error in zip(codes, kept - w, strict=True):
        tall = 26 * abs(error) / largest
        canvas.rect(x(where) - 6, y - tall, 12, tall, "solid after error")
        canvas.text(x(where), y + 17, shown(round(error, 3), 2), "small digits", anchor="middle")
    return canvas
