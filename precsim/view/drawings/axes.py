"""What several drawings share: lines with ticks, curves inside a frame, and numbers as the book prints them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from precsim.view.drawings.canvas import Canvas, Point, Scale


def shown(value: float, digits: int = 3) -> str:
    """Return a number to so many significant digits, with a true minus and powers of ten raised.

    Examples
    --------
    >>> shown(-0.25), shown(3e-8), shown(24576), shown(0.7)
    ('−0.25', '3·10^{−8}', '24,576', '0.7')
    """
    if value and not 1e-4 <= abs(value) < 1e7:
        power = math.floor(math.log10(abs(value)))
        lead = f"{value / 10.0**power:.{digits}g}"
        text = f"{lead}·10^{{{power}}}" if lead not in ("1", "-1") else f"{lead[:-1]}10^{{{power}}}"
    else:
        text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return text.replace("-", "−")


def baseline(canvas: Canvas, y: float, x: Point, ticks: Iterable[float], look: str = "ink", *, tall: float = 6) -> None:
    """Draw a horizontal line with ticks that stand across it."""
    canvas.line(x[0], y, x[1], y, f"thin {look}")
    for at in ticks:
        canvas.line(at, y - tall, at, y + tall, f"{look} tick")


def histogram(
    canvas: Canvas, y: float, height: float, scale: Scale, numbers: ArrayLike, look: str, *, bins: int = 48
) -> None:
    """Draw how often numbers fall into equal parts of a scale, as one filled outline that stands on y."""
    low, high = scale.values
    edges = np.linspace(low, high, bins + 1) if not scale.log else np.geomspace(low, high, bins + 1)
    counts, _ = np.histogram(np.asarray(numbers, float), edges)
    top = counts.max() or 1
    points = [(scale(low), y)]
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        up = y - height * count / top
        points += [(scale(left), up), (scale(right), up)]
    canvas.path([*points, (scale(high), y)], look, closed=True)


def curve(canvas: Canvas, x: Scale, y: Scale, points: Iterable[Point], look: str) -> None:
    """Draw a line through points of two scales."""
    canvas.path([(x(a), y(b)) for a, b in points], look)


def frame(
    canvas: Canvas, x: Scale, y: Scale, *, xs: Mapping[float, str] | None = None, ys: Mapping[float, str] | None = None
) -> None:
    """Draw the two axes of a plot with labelled ticks; grid lines are faint, as they carry nothing."""
    (left, right), low = x.pixels, y.pixels[0]
    for value, label in (ys or {}).items():
        canvas.line(left, y(value), right, y(value), "thin faint")
        canvas.text(left - 7, y(value) + 4, label, "small muted digits", anchor="end")
    for value, label in (xs or {}).items():
        canvas.line(x(value), low, x(value), low + 5, "thin muted")
        canvas.text(x(value), low + 19, label, "small muted digits", anchor="middle")
    canvas.line(left, low, right, low, "thin muted")


def powers(values: Point, base: float = 10) -> list[float]:
    """Return the powers of a base between two values, both ends included.

    Examples
    --------
    >>> powers((0.5, 120))
    [1.0, 10.0, 100.0]
    """
    low, high = (math.log(v, base) for v in values)
    return [float(base) ** k for k in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]


def spread(positions: Sequence[float], least: float) -> list[float]:
    """Return positions, in rising order, moved apart as little as needed to keep a distance: for labels at line ends.

    Examples
    --------
    >>> spread([10, 12, 40], 10)
    [6.0, 16.0, 40.0]
    """
    groups: list[list[float]] = []  # wanted positions that stand as one block
    for wanted in positions:
        groups.append([wanted])
        while len(groups) > 1 and _first(groups[-1], least) - _last(groups[-2], least) < least:
            last = groups.pop()
            groups[-1] += last
    return [_first(group, least) + i * least for group in groups for i in range(len(group))]


def _first(group: Sequence[float], least: float) -> float:
    return float(np.mean(group)) - least * (len(group) - 1) / 2


def _last(group: Sequence[float], least: float) -> float:
    return _first(group, least) + least * (len(group) - 1)
