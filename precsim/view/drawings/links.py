"""F22: a chain of equations, each with the measurement that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain: what it says, and a small plot of measured points on the line of its formula.

    Attributes
    ----------
    title : tuple of str
        Lines of a few words.
    formula : str
        In the markup of `Canvas.text`.
    line, points : array_like, shape (2, n)
        Formula and measurements, both in the plot's units.
    axes : tuple of str
        What lies across and up, in a word or two.
    found : str
        What the comparison came to, in a few words.
    log : tuple of bool
        Whether an axis is logarithmic.
    """

    title: tuple[str, ...]
    formula: str
    line: ArrayLike
    points: ArrayLike
    axes: tuple[str, str]
    found: str
    log: tuple[bool, bool] = field(default=(False, True))


def chain(links: Sequence[Link], lacking: Sequence[str] = ()) -> Drawing:
    """Draw links in a row, an arrow from each to the next; what is not derived stands in a dashed box at the end.

    Parameters
    ----------
    links : sequence of Link
    lacking : sequence of str
        What the chain does not derive.

    Examples
    --------
    >>> link = Link(("noise",), "h²/12", [[1, 2], [1, 4]], [[1, 2], [1.1, 3.9]], ("step", "error"), "within 10 %")
    >>> chain([link, link]).frames[0].description
    '2 steps. 1: noise, h²/12, within 10 %. 2: noise, h²/12, within 10 %.'
    """
    steps = ". ".join(f"{i}: {' '.join(k.title)}, {_plain(k.formula)}, {k.found}" for i, k in enumerate(links, 1))
    return drawn(
        lambda width: (_wide if width == WIDE else _narrow)(width, links, lacking),
        title="From one rounding to effective parameters",
        description=f"{len(links)} steps. {steps}." + (f" Not derived: {', '.join(lacking)}." if lacking else ""),
        message="Each arrow is an equation, each box a measurement.",
        reading="Blue line: the formula; gray points: what was measured. Ratio: measured over formula, the middle one.",
    )


def _plain(formula: str) -> str:
    return formula.translate(str.maketrans("", "", "_^{}*"))


def _wide(width: float, links: Sequence[Link], lacking: Sequence[str]) -> Canvas:
    gap = 16
    box = (width - gap * (len(links) - 1)) / len(links)
    canvas = Canvas(width, 276 if lacking else 224)
    for i, link in enumerate(links):
        x = i * (box + gap)
        canvas.rect(x + 0.75, 0.75, box - 1.5, 222, "hollow faint box", radius=8)
        canvas.lines(x + 12, 24, link.title, "strong", leading=17)
        canvas.text(x + 12, 72, link.formula, "formula accent")
        _spark(canvas, link, (x + 14, x + box - 14), (160, 106))
        canvas.lines(x + 12, 196, _wrapped(link.found), "small", leading=15)
        if i:
            canvas.arrow([(x - gap + 1, 108), (x - 1, 108)], "ink")
    if lacking:
        canvas.rect(0.75, 242, width - 1.5, 33, "stroke muted dashed", radius=8)
        canvas.text(14, 263, "not derived:", "strong muted")
        canvas.text(112, 263, ", ".join(lacking), "muted")
    return canvas


def _narrow(width: float, links: Sequence[Link], lacking: Sequence[str]) -> Canvas:
    tall, gap = 112, 20
    canvas = Canvas(width, len(links) * (tall + gap) - gap + (len(lacking) * 18 + 50 if lacking else 0))
    for i, link in enumerate(links):
        y = i * (tall + gap)
        canvas.rect(0.75, y + 0.75, width - 1.5, tall - 1.5, "hollow faint box", radius=8)
        canvas.text(14, y + 25, " ".join(link.title), "strong")
        canvas.text(14, y + 54, link.formula, "formula accent")
        canvas.lines(14, y + 80, _wrapped(link.found), "small", leading=15)
        _spark(canvas, link, (196, width - 16), (y + 84, y + 36))
        if i:
            canvas.arrow([(width / 2, y - gap + 1), (width / 2, y - 1)], "ink")
    if lacking:
        y = len(links) * (tall + gap)
        canvas.rect(0.75, y, width - 1.5, len(lacking) * 18 + 29, "stroke muted dashed", radius=8)
        canvas.lines(14, y + 20, ["not derived:"], "strong muted")
        canvas.lines(14, y + 38, lacking, "muted")
    return canvas


def _wrapped(words: str, most: int = 18) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _spark(canvas: Canvas, link: Link, across: tuple[float, float], up: tuple[float, float]) -> None:
    """A plot without numbers: its axes, the line of the formula and the measured points."""
    line, points = (np.asarray(part, float) for part in (link.line, link.points))
    both = np.concatenate([line, points], axis=1)
    scales = []
    for values, pixels, log in zip(both, (across, up), link.log, strict=True):
        low, high = float(values.min()), float(values.max())
        pad = (high / low) ** 0.06 if log else 0.06 * (high - low)
        scales.append(Scale((low / pad, high * pad) if log else (low - pad, high + pad), pixels, log))
    x, y = scales
    canvas.text(across[0], up[1] - 6, link.axes[1], "small muted")
    canvas.text(across[1], up[0] + 15, f"{link.axes[0]} →", "small muted", anchor="end")
    canvas.path([(across[0], up[1]), (across[0], up[0]), (across[1], up[0])], "thin muted")
    for a, b in points.T:
        canvas.circle(x(a), y(b), 2.6, "solid full point")
    canvas.path([(x(a), y(b)) for a, b in line.T], "accent")
