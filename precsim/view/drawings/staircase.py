"""F16: a quantizer's staircase, its true slope, and the slope that straight-through puts in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from precsim.numerics.rounding import round_to
from precsim.view.drawings.axes import curve
from precsim.view.drawings.canvas import Canvas, Point, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def pretended_slope(fmt: Format) -> Drawing:
    """Draw what a format does to a weight, its derivative, and the derivative that training uses.

    Parameters
    ----------
    fmt : Format
        Integers of a few bits.

    Examples
    --------
    >>> import precsim as ps
    >>> pretended_slope(ps.INT3).frames[0].description
    'A staircase of 7 treads from −3 to 3. Its slope is zero except at 6 edges; training uses 1 between −3 and 3.'
    """
    end = float(fmt.maximum)
    values = np.arange(-end, end + 1)
    return drawn(
        lambda width: _picture(width, fmt, values),
        title="Straight through a staircase",
        description=f"A staircase of {len(values)} treads from −{end:g} to {end:g}. Its slope is zero except at "
        f"{len(values) - 1} edges; training uses 1 between −{end:g} and {end:g}.",
        message="The forward pass rounds; the backward pass pretends that it did not.",
        reading="Blue: what the product reads; gray: its true slope, zero but for spikes at the edges; orange: the "
        "slope that the gradient is multiplied by.",
        computed=f"{fmt.name} with scale 1, ends clipped",
    )


def _stairs(fmt: Format, values: np.ndarray, reach: float) -> list[Point]:
    """Corners of the staircase, the edges found by rounding close to both of their sides."""
    edges = (values[:-1] + values[1:]) / 2
    corners: list[Point] = [(-reach, float(values[0]))]
    for edge in edges:
        below, above = round_to(np.array([edge - 1e-6, edge + 1e-6]), fmt, saturate=True)
        corners += [(float(edge), float(below)), (float(edge), float(above))]
    return [*corners, (reach, float(values[-1]))]


def _picture(width: float, fmt: Format, values: np.ndarray) -> Canvas:
    wide = width == WIDE
    end = float(values[-1])
    reach = end + 1
    panel = 300 if wide else width - 38
    lefts, tops = ((28, width - panel), (34, 34)) if wide else ((28, 28), (34, 330))
    canvas = Canvas(width, 300 if wide else 572)
    # forward
    x, y = Scale((-reach, reach), (lefts[0], lefts[0] + panel)), Scale((-reach, reach), (tops[0] + 236, tops[0]))
    canvas.text(0, 14, "forward: *q*(*w*)", "head")
    _axes(canvas, x, y, end, "*w*")
    canvas.path([(x(-end), y(-end)), (x(end), y(end))], "full thin dashed")
    curve(canvas, x, y, _stairs(fmt, values, reach), "accent thick stairs")
    # backward
    low, high = tops[1] + (236 if wide else 200), tops[1] + 20
    x, y = Scale((-reach, reach), (lefts[1], lefts[1] + panel - 10)), Scale((-0.12, 1.5), (low, high))
    canvas.text(lefts[1] - 28, tops[1] - 20, "backward: its slope", "head")
    canvas.line(x(-reach), y(0), x(reach), y(0), "full thick")
    for edge in (values[:-1] + values[1:]) / 2:
        canvas.arrow([(x(edge), y(0)), (x(edge), y(1.42))], "full edge")
    ends = [(-reach, 0.0), (-end, 0.0), (-end, 1.0), (end, 1.0), (end, 0.0), (reach, 0.0)]
    curve(canvas, x, y, ends, "after thick dashed pretended")
    canvas.text(x(-reach) - 8, y(1) + 4, "1", "small muted", anchor="end")
    canvas.text(x(-reach) - 8, y(0) + 4, "0", "small muted", anchor="end")
    for v in values:
        canvas.text(x(v), y(0) + 20, f"{v:g}".replace("-", "−"), "small muted", anchor="middle")
    canvas.text(x(0), y(0) + 42, "dashed: pretended", "after strong", anchor="middle")
    canvas.text(x(reach), y(0) + 20, "*w*", "small muted", anchor="end")
    return canvas


def _axes(canvas: Canvas, x: Scale, y: Scale, end: float, name: str) -> None:
    canvas.line(x.pixels[0], y(0), x.pixels[1], y(0), "thin faint")
    canvas.line(x(0), y.pixels[0], x(0), y.pixels[1], "thin faint")
    for v in (-end, end):
        label = f"{v:g}".replace("-", "−")
        canvas.text(x(v), y.pixels[0] + 20, label, "small muted", anchor="middle")
        canvas.text(x.pixels[0] - 8, y(v) + 4, label, "small muted", anchor="end")
    canvas.text(x(0), y.pixels[0] + 20, name, "small muted", anchor="middle")
