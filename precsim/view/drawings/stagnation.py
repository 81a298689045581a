"""F12: the numbers around a running sum, and what an addend can do there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.numerics.rounding import round_to, ulp
from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def where_a_sum_stops(sums: Sequence[float], addend: float, fmt: Format) -> Drawing:
    """Draw the format's numbers from each running sum on, and where the sum is after one more addend.

    Parameters
    ----------
    sums : sequence of float
        Running sums, numbers of the format, in rising order.
    addend : float
        The next term, above zero.
    fmt : Format
        Of the sum.

    Examples
    --------
    >>> import precsim as ps
    >>> where_a_sum_stops([128, 256], 1, ps.BF16).message
    'A sum ends when its step is twice the addend: 256 + 1 is 256.'
    """
    after = [float(round_to(np.array([s + addend]), fmt)[0]) for s in sums]
    steps = [float(ulp(np.array([s]), fmt)[0]) for s in sums]
    stuck = next((s for s, new in zip(sums, after, strict=True) if new == s), None)
    told = "; ".join(f"{s:g} + {addend:g} is {new:g}, step {h:g}" for s, new, h in zip(sums, after, steps, strict=True))
    ends = f"{stuck:g} + {addend:g} is {stuck:g}" if stuck is not None else "none of these sums has come to it"
    return drawn(
        lambda width: _picture(width, sums, addend, after, steps),
        title="Where a sum stops",
        description=f"Numbers of {fmt.name} around a running sum. {told}.",
        message=f"A sum ends when its step is twice the addend: {ends}.",
        reading=f"Ticks: the numbers that {fmt.name} has there. Blue: the sum; hollow: the exact result; orange: what "
        "is kept.",
        computed=f"{fmt.name}, ties to even",
    )


def _picture(
    width: float, sums: Sequence[float], addend: float, after: Sequence[float], steps: Sequence[float]
) -> Canvas:
    wide = width == WIDE
    row, top = (92, 56) if wide else (104, 72)
    reach = 4.6 * addend
    canvas = Canvas(width, row * len(sums))
    for i, (s, new, step) in enumerate(zip(sums, after, steps, strict=True)):
        y = top + row * i
        x = Scale((s - 0.4 * addend, s + reach), (150, 560) if wide else (10, width - 10))
        canvas.line(*_level(x, y), "thin muted")
        for k in range(int(reach / step) + 1):
            canvas.line(x(s + k * step), y - 8, x(s + k * step), y + 8, "ink tick")
            canvas.text(x(s + k * step), y + 24, shown(s + k * step, 5), "small muted digits", anchor="middle")
        canvas.arrow([(x(s), y - 18), (x(s + addend), y - 18)], "accent")
        canvas.text((x(s) + x(s + addend)) / 2, y - 25, f"+ {shown(addend)}", "small accent", anchor="middle")
        canvas.circle(x(s), y, 6, "solid accent sum")
        canvas.circle(x(s + addend), y, 6, "hollow ink exact")
        if new == s:
            canvas.circle(x(new), y, 9.5, "stroke after thick kept")
        else:
            canvas.circle(x(new), y, 6, "solid after kept")
        words = (
            f"sum {shown(s, 5)}",
            f"step {shown(step)}",
            "stays, for ever" if new == s else f"becomes {shown(new, 5)}",
        )
        if wide:
            canvas.text(0, y - 4, words[0], "head")
            canvas.text(0, y + 15, words[1], "muted")
            canvas.text(width, y + 5, words[2], "after strong" if new == s else "", anchor="end")
        else:
            canvas.text(0, y - 48, words[0], "head")
            canvas.text(96, y - 48, words[1], "muted")
            canvas.text(width, y - 48, words[2], "after strong" if new == s else "", anchor="end")
    return canvas


def _level(x: Scale, y: float) -> tuple[float, float, float, float]:
    return x.pixels[0], y, x.pixels[1], y
