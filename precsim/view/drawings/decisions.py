"""F9 and F10: which neighbor each rounding mode takes, and what becomes of ties that go one way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.numerics.modes import Rounding
from precsim.numerics.rounding import round_to
from precsim.view.drawings.axes import frame, shown, spread
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def neighbors_taken(fmt: Format, low: float, high: float, modes: Sequence[Rounding]) -> Drawing:
    """Draw the way from one number of a format to the next, and its mirror image, colored by where a mode rounds it.

    Parameters
    ----------
    fmt : Format
    low, high : float
        Neighbors above zero.
    modes : sequence of Rounding
        Without randomness.

    Examples
    --------
    >>> import precsim as ps
    >>> neighbors_taken(ps.FP4_E2M1, 2, 3, [ps.Rounding.DOWN]).frames[0].description
    'Between 2 and 3 and between −3 and −2. Down: 2.25 to 2, 2.5 to 2, 2.75 to 2, −2.25 to −3, −2.5 to −3, −2.75 to −3.'
    """
    asked = [s * (low + q * (high - low)) for s in (1, -1) for q in (0.25, 0.5, 0.75)]
    told = ". ".join(
        f"{_name(m)}: " + ", ".join(f"{shown(x)} to {shown(float(_to(x, fmt, m)))}" for x in asked) for m in modes
    )
    return drawn(
        lambda width: _decisions(width, fmt, low, high, modes),
        title="Six rules for one decision",
        description=f"Between {shown(low)} and {shown(high)} and between {shown(-high)} and {shown(-low)}. {told}.",
        message="A rounding mode is a rule for one decision: which of two neighbors.",
        reading="Blue goes to the lower neighbor, orange to the upper one; the ring in the middle is the tie.",
        computed=f"every mode, on numbers between two neighbors of {fmt.name.replace('_', ' ')}",
    )


def _to(x: float, fmt: Format, mode: Rounding) -> float:
    return float(round_to(np.array([x]), fmt, mode)[0])


def _name(mode: Rounding) -> str:
    return mode.name.capitalize().replace("_", " ")


def _decisions(width: float, fmt: Format, low: float, high: float, modes: Sequence[Rounding]) -> Canvas:
    wide = width == WIDE
    row, top = (36, 44) if wide else (54, 52)
    canvas = Canvas(width, top + row * len(modes) + 6)
    spans = ((160.0, 390.0), (440.0, 670.0)) if wide else ((14.0, 158.0), (192.0, 336.0))
    for (left, right), ends in zip(spans, ((-high, -low), (low, high)), strict=True):
        x = Scale(ends, (left, right))
        for end in ends:
            canvas.text(x(end), 16, shown(end), "head", anchor="middle")
        for i, mode in enumerate(modes):
            y = top + row * i + (0 if wide else 14)
            if ends[0] < 0:
                canvas.text(0, y + 5 if wide else y - 16, _name(mode), "" if wide else "strong")
            _way(canvas, x, y, ends, fmt, mode)
    return canvas


def _way(canvas: Canvas, x: Scale, y: float, ends: tuple[float, float], fmt: Format, mode: Rounding) -> None:
    """The half-lines of one mode between two neighbors, their common end found by trying."""
    middle = (ends[0] + ends[1]) / 2
    for start, stop in ((ends[0], middle), (middle, ends[1])):
        up = _to((start + stop) / 2, fmt, mode) == ends[1]
        canvas.line(x(start), y, x(stop), y, f"{'after' if up else 'accent'} thick way")
    for end, look in zip(ends, ("accent", "after"), strict=True):
        canvas.circle(x(end), y, 5, f"solid {look}")
    canvas.circle(x(middle), y, 5, f"hollow {'after' if _to(middle, fmt, mode) == ends[1] else 'accent'} tie")


def drift_of_ties(fmt: Format, count: int) -> Drawing:
    """Draw the sum of rounding errors of ties, by a rule that sends half of them up and by one that sends all.

    Parameters
    ----------
    fmt : Format
        In which the numbers ½, 1½, 2½ … are ties of integers.
    count : int
        How many ties.

    Examples
    --------
    >>> import precsim as ps
    >>> drift_of_ties(ps.INT8, 16).frames[0].description
    'After 16 ties the errors sum to 8 with nearest away, to 0 with nearest even.'
    """
    ties = np.arange(count) + 0.5
    modes = (Rounding.NEAREST_AWAY, Rounding.NEAREST_EVEN)
    sums = {m: np.cumsum(np.asarray(round_to(ties, fmt, m), float) - ties) for m in modes}
    away, even = (shown(float(sums[m][-1])) for m in modes)
    return drawn(
        lambda width: _drift(width, sums, count),
        title="The drift of ties",
        description=f"After {count} ties the errors sum to {away} with nearest away, to {even} with nearest even.",
        message="Ties that always go away from zero add up; ties that go to even cancel.",
        reading="Each point: the sum of the errors so far, of rounding ½, 1½, 2½ and so on to integers.",
        computed=f"rounding {count} ties",
    )


def _drift(width: float, sums: dict[Rounding, np.ndarray], count: int) -> Canvas:
    wide = width == WIDE
    canvas = Canvas(width, 250)
    most = max(float(np.abs(s).max()) for s in sums.values())
    x, y = Scale((0, count), (36, width - (120 if wide else 112))), Scale((-1, most), (200, 36))
    frame(
        canvas,
        x,
        y,
        xs={v: f"{v:g}" for v in range(0, count + 1, 4)},
        ys={v: shown(v) for v in range(0, int(most) + 1, 2)},
    )
    canvas.text(0, 14, "sum of errors", "small muted")
    canvas.text(x.pixels[1], 240, "ties so far", "small muted", anchor="end")
    looks = ("after", "accent")
    for (_, values), look in zip(sums.items(), looks, strict=True):
        points = [(x(0), y(0)), *((x(i + 1), y(float(v))) for i, v in enumerate(values))]
        canvas.path(points, look)
        for px, py in points[1:]:
            canvas.circle(px, py, 3.5, f"solid {look} point")
    ends = spread([y(float(v[-1])) for v in sums.values()], 17)
    for (mode, _), look, end in zip(sums.items(), looks, ends, strict=True):
        canvas.text(x.pixels[1] + 10, end + 4, _name(mode), f"strong {look}")
    return canvas
