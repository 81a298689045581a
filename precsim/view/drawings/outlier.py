"""F5: what one large weight does to all others that share its scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.numerics.quantize import Quantizer
from precsim.numerics.scaling import PerTensor
from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def one_outlier(weights: Sequence[float], fmt: Format, *, times: float = 5) -> Drawing:
    """Draw the same weights on their grid twice: as they are, and beside one that is many times larger.

    Parameters
    ----------
    weights : sequence of float
    fmt : Format
        Integers of a few bits, one scale for all.
    times : float
        The outlier over the largest of the others.

    Examples
    --------
    >>> import precsim as ps
    >>> one_outlier([-0.7, -0.2, 0.1, 0.4], ps.INT4).message
    'The largest weight is exact and all others pay: 4 values in use without it, 3 with it.'
    """
    w = np.sort(np.asarray(weights, float))
    cases = [w, np.append(w, times * np.abs(w).max())]
    kept = [np.asarray(Quantizer(fmt, PerTensor())(case), float) for case in cases]
    used = [len(np.unique(k[: len(w)])) for k in kept]
    return drawn(
        lambda width: _picture(width, cases, kept, fmt, used),
        title="One outlier",
        description=f"{len(w)} weights on a grid of {fmt.bits} bits: {used[0]} values in use; beside one that is "
        f"{times:g} times larger: {used[1]}.",
        message=f"The largest weight is exact and all others pay: {used[0]} values in use without it, "
        f"{used[1]} with it.",
        reading="Ticks: the values that the scale allows. Blue: weights; orange: what they become; both rows to one "
        "measure.",
        toy="weights made up",
    )


def _picture(
    width: float, cases: Sequence[np.ndarray], kept: Sequence[np.ndarray], fmt: Format, used: Sequence[int]
) -> Canvas:
    wide = width == WIDE
    ends = [float(np.abs(case).max()) for case in cases]
    tall = 118
    x = Scale((min(float(made.min()) for made in kept) * 1.02, ends[1]), (8, width - 8))
    canvas = Canvas(width, 2 * tall + 18)
    titles = ("without", f"with one {ends[1] / ends[0]:g} times larger")
    for i, (case, made, end) in enumerate(zip(cases, kept, ends, strict=True)):
        y = 66 + i * tall
        step = end / float(fmt.maximum)
        canvas.text(0, y - 46, titles[i], "head")
        canvas.text(width, y - 46, f"{used[i]} values in use", "muted", anchor="end")
        canvas.line(x.pixels[0], y, x.pixels[1], y, "thin faint")
        for k in range(-int(fmt.maximum), int(fmt.maximum) + 1):
            if x.values[0] - 1e-9 <= k * step <= end + 1e-9:
                canvas.line(x(k * step), y - 10, x(k * step), y + 10, "muted tick thin" if i == 0 else "muted tick")
        for value in case:
            canvas.circle(x(float(value)), y - 20, 3, "solid accent weight")
        for value in np.unique(made):
            canvas.circle(x(float(value)), y, 4.5, "solid after kept")
        if wide or i == 1:
            canvas.text(x(end) if i == 0 else width, y + 28, f"step {shown(step, 2)}", "small muted", anchor="end")
    return canvas
