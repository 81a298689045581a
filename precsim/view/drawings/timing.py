"""F18: two time lines: rounded in every step of training, or once when it is over."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from precsim.view.drawings.axes import frame
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

_STEPS = 24  #: roundings that are drawn along the time line


def when_rounding_happens(
    tokens: ArrayLike, full: ArrayLike, trained: ArrayLike, rounded: ArrayLike, *, bits: int
) -> Drawing:
    """Draw gaps against tokens of networks trained in few bits, and of networks rounded to as many afterwards.

    Parameters
    ----------
    tokens : array_like, shape (n,)
        Lengths of training, in rising order.
    full, trained, rounded : array_like, shape (n,)
        Gap in full precision, when trained in few bits, and when rounded after training [nats/token].
    bits : int

    Examples
    --------
    >>> when_rounding_happens([1e5, 1e6], [0.7, 0.5], [0.7, 0.6], [0.8, 0.9], bits=3).frames[0].description
    'After 1M tokens the gap is 0.50 nats in full precision, 0.60 when trained in 3 bits, 0.90 when rounded to them.'
    """
    gaps = {name: np.asarray(g, float) for name, g in (("full", full), ("trained", trained), ("rounded", rounded))}
    D = np.asarray(tokens, float)
    last = {name: float(g[-1]) for name, g in gaps.items()}
    return drawn(
        lambda width: _picture(width, D, gaps, bits),
        title="When rounding happens",
        description=f"After {_millions(D[-1])} tokens the gap is {last['full']:.2f} nats in full precision, "
        f"{last['trained']:.2f} when trained in {bits} bits, {last['rounded']:.2f} when rounded to them.",
        message="Rounding in training can be answered by training; rounding afterwards cannot.",
        reading="Point: networks trained so long, mean of runs; gray: full precision. Ticks below: when weights are "
        "rounded. The orange arrow is δ.",
    )


def _millions(tokens: float) -> str:
    if tokens < 1e5:
        return f"{tokens / 1e3:.0f}k"
    return f"{tokens / 1e6:.2g}M" if tokens < 1e7 else f"{tokens / 1e6:.0f}M"


def _picture(width: float, D: np.ndarray, gaps: dict[str, np.ndarray], bits: int) -> Canvas:
    wide = width == WIDE
    panel, tall = (306.0, 200.0) if wide else (width - 44, 190.0)
    values = np.concatenate(list(gaps.values()))
    step = 0.05 if np.ptp(values) < 0.4 else 0.1 if np.ptp(values) < 1 else 0.5
    low, high = step * math.floor(float(values.min()) / step), step * math.ceil(float(values.max()) / step)
    ticks = np.arange(low, high + step / 2, 2 * step)
    canvas = Canvas(width, 318 if wide else 640)
    for i, way in enumerate(("trained", "rounded")):
        left, top = (38 + i * (width - panel - 46), 44.0) if wide else (38.0, 44 + i * 326.0)
        x = Scale((float(D[0]), float(D[-1])), (left + 6, left + panel - 34), log=True)
        y = Scale((low, high), (top + tall, top))
        title = f"trained in {bits} bits" if way == "trained" else f"rounded to {bits} bits at the end"
        canvas.text(left - 38, top - 28, title, f"head {'accent' if way == 'trained' else 'after'}")
        frame(canvas, x, y, ys={float(v): f"{v:.1f}" for v in ticks})
        if i == 0 or not wide:
            canvas.text(left - 38, top - 8, "gap [nats]", "small muted")
        canvas.path([(x(d), y(g)) for d, g in zip(D, gaps["full"], strict=True)], "full")
        if way == "trained":
            canvas.path([(x(d), y(g)) for d, g in zip(D, gaps["trained"], strict=True)], "accent thick")
        else:
            at = (x(D[-1]), y(gaps["full"][-1])), (x(D[-1]), y(gaps["rounded"][-1]))
            canvas.arrow([at[0], (at[1][0], at[1][1] + 6)], "after thick")
            canvas.text(at[0][0] + 10, (at[0][1] + at[1][1]) / 2 + 5, "*δ*", "formula after")
        for d, g in zip(D, gaps["full"], strict=True):
            canvas.circle(x(d), y(g), 3.5, "solid full point")
        if way == "trained":
            for d, g in zip(D, gaps["trained"], strict=True):
                canvas.circle(x(d), y(g), 4.5, "solid accent point")
        else:
            canvas.circle(x(D[-1]), y(gaps["rounded"][-1]), 4.5, "solid after point")
        _time(canvas, x, top + tall + 30, "accent" if way == "trained" else "after", every=way == "trained")
        for d in (D[0], D[-1]):
            canvas.text(x(d), top + tall + 66, _millions(d), "small muted", anchor="middle")
        middle = (x(float(D[0])) + x(float(D[-1]))) / 2
        canvas.text(middle, top + tall + 66, "tokens of training", "small muted", anchor="middle")
    return canvas


def _time(canvas: Canvas, x: Scale, y: float, look: str, *, every: bool) -> None:
    """The time line of training with its roundings."""
    canvas.arrow([(x.pixels[0], y), (x.pixels[1] + 26, y)], "ink")
    span = x.pixels[1] - x.pixels[0]
    marks = [x.pixels[0] + span * k / _STEPS for k in range(1, _STEPS + 1)] if every else [x.pixels[1]]
    for at in marks:
        canvas.line(at, y - 7, at, y + 7, f"{look} thick rounding")
