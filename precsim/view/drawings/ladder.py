"""F2: the spacing of a format's numbers as a staircase over the numbers themselves."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def ulp_ladder(fmt: Format) -> Drawing:
    """Draw how far apart the numbers of a format are, tread by tread, above the numbers.

    Parameters
    ----------
    fmt : Format
        Floating point, of a few bits.

    Examples
    --------
    >>> import precsim as ps
    >>> ulp_ladder(ps.FP4_E2M1).frames[0].description
    'Spacing of FP4 E2M1 from zero on: 1/2 up to 1, 1/2 up to 2, 1 up to 4, 2 up to 6.'
    """
    values = np.unique(np.abs(fmt.values()))
    values = values[values <= fmt.maximum]
    treads = _treads(values, fmt)
    told = ", ".join(f"{_part(step)} up to {shown(high)}" for _, high, step in treads)
    return drawn(
        lambda width: _picture(width, values, treads, float(fmt.smallest_normal)),
        title="The spacing of a format",
        description=f"Spacing of {fmt.name.replace('_', ' ')} from zero on: {told}.",
        message="The spacing doubles at each power of two; below the smallest normal number it stays.",
        reading="Below: the numbers from zero on; above: the distance from each to the next. Orange: subnormals.",
        computed=f"the values of {fmt.name.replace('_', ' ')}",
    )


_Tread = tuple[float, float, float]


def _treads(values: np.ndarray, fmt: Format) -> list[_Tread]:
    """Low end, high end and spacing of each power of two, the subnormals first."""
    edges = [0.0]
    power = math.floor(math.log2(fmt.smallest_normal))
    while 2.0**power < values[-1]:
        edges.append(2.0**power)
        power += 1
    edges.append(float(values[-1]))
    steps = [float(np.diff(values[(values >= low) & (values <= high)])[0]) for low, high in itertools.pairwise(edges)]
    return list(zip(edges, edges[1:], steps, strict=False))


def _part(value: float) -> str:
    return str(Fraction(value).limit_denominator(1024))


def _picture(width: float, values: np.ndarray, treads: list[_Tread], normal: float) -> Canvas:
    wide = width == WIDE
    canvas = Canvas(width, 268 if wide else 250)
    x = Scale((0, float(values[-1])), (52, width - 14))
    y = Scale((0, max(step for *_, step in treads)), (168 if wide else 150, 42))
    canvas.text(0, 14, "distance to the next", "small muted")
    for step in sorted({step for *_, step in treads}):
        canvas.line(x.pixels[0], y(step), x.pixels[1], y(step), "thin faint")
        canvas.text(x.pixels[0] - 10, y(step) + 4, _part(step), "digits", anchor="end")
    before = None
    for low, high, step in treads:
        look = "after" if high <= normal else "accent"
        canvas.rect(x(low), y(step), x(high) - x(low), y(0) - y(step), f"tint {look}")
        if before is not None and before != step:
            canvas.line(x(low), y(before), x(low), y(step), "accent thick")
        canvas.line(x(low), y(step), x(high), y(step), f"{look} thick tread")
        before = step
    line = canvas.height - 56
    canvas.line(x.pixels[0], line, x.pixels[1], line, "thin muted")
    for value in values:
        look = "after" if value < normal else "accent"
        canvas.line(x(float(value)), line - 11, x(float(value)), line + 11, f"{look} tick")
    for edge in sorted({0.0, *(high for _, high, _ in treads)}):
        canvas.text(x(edge), line + 30, shown(edge), "small digits", anchor="middle")
    canvas.text(x.pixels[1], line + 50, "numbers of the format", "small muted", anchor="end")
    if len(treads) > 1:
        canvas.text(x(0), line + 50, "subnormal", "small after strong")
    return canvas
