"""F3: grids of a few bits, all drawn to the same largest value, with weights behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from precsim.view.drawings.axes import baseline, histogram
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format

_SENSE = (
    "Each row is a grid, scaled so that its last tick is the largest weight of a column; gray: how often weights of"
)


def common_end(formats: Sequence[Format], weights: ArrayLike) -> Drawing:
    """Draw symmetric integer grids below each other, each scaled to end where the largest weight is.

    Parameters
    ----------
    formats : sequence of Format
        Integers of two bits or more, few bits first.
    weights : array_like, shape (inputs, outputs)
        Each column is divided by its largest magnitude.

    Examples
    --------
    >>> import numpy as np, precsim as ps
    >>> common_end((ps.INT2, ps.INT3), np.eye(3)).message
    'One bit more halves the step, or nearly: 1 and 3 steps a side.'
    """
    w = np.asarray(weights, float)
    shares = (w / np.abs(w).max(axis=0)).ravel()
    shares = shares[np.abs(shares) < 1]  # the largest of each column stands at the end by construction
    steps = [round(float(fmt.maximum)) for fmt in formats]
    *most, last = (str(n) for n in steps)
    rows = "; ".join(f"{f.bits} bits: {n} steps from zero to the end" for f, n in zip(formats, steps, strict=True))
    return drawn(
        lambda width: _picture(width, formats, steps, shares),
        title="Grids of a few bits on one scale",
        description=f"Rows of ticks from minus one to one, evenly spaced. {rows}.",
        message=f"One bit more halves the step, or nearly: {', '.join(most)} and {last} steps a side.",
        reading=f"{_SENSE} a size occur, the largest of each column left out. Bar below: one step.",
    )


def _picture(width: float, formats: Sequence[Format], steps: Sequence[int], shares: np.ndarray) -> Canvas:
    wide = width == WIDE
    row, top = (76, 52) if wide else (98, 68)
    x = Scale((-1, 1), (96, 556) if wide else (14, width - 14))
    canvas = Canvas(width, top + row * (len(formats) - 1) + 64)
    for i, (fmt, n) in enumerate(zip(formats, steps, strict=True)):
        y, look = top + row * i, f"b{fmt.bits}"
        histogram(canvas, y, 40, x, shares, "tint full weights")
        baseline(canvas, y, x.pixels, [x(k / n) for k in range(-n, n + 1)], look, tall=9)
        bits, sides = f"{fmt.bits} bits", f"{n} step{'s' if n > 1 else ''} a side"
        canvas.line(x(0), y + 15, x(1 / n), y + 15, f"thick {look} step")
        if wide:
            canvas.text(0, y + 5, bits, f"head {look}")
            canvas.text(width, y + 5, sides, anchor="end")
        else:
            canvas.text(x(-1), y - 46, bits, f"head {look}")
            canvas.text(x(1), y - 46, sides, "small", anchor="end")
    foot = top + row * (len(formats) - 1) + 36
    for at, label in ((-1, "−1"), (0, "0"), (1, "1")):
        canvas.text(x(at), foot, label, "small muted", anchor="middle")
    canvas.text(x(0), foot + 20, "weight divided by the largest of its column", "small muted", anchor="middle")
    return canvas
