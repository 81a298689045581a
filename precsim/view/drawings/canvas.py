"""A sheet of SVG: shapes and words by coordinates in pixels, colors by name, so that a page's theme decides them."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]

_MARKUP = re.compile(r"_\{(.*?)\}|\^\{(.*?)\}|\*(.*?)\*|([^_^*]+|[_^*])")
_WIDE, _NARROW_LETTERS = "mwMW@%—", "iljtfr.,:;'|!()[] "


def width_of(words: str, size: float = 13) -> float:
    """Return about how many pixels a line of words takes in a sans-serif font, markup left out, on the safe side."""
    plain = re.sub(r"[_^]\{(.*?)\}|\*", lambda m: m[1] or "", words)
    ems = sum(0.9 if c in _WIDE else 0.33 if c in _NARROW_LETTERS else 0.66 if c.isupper() else 0.57 for c in plain)
    return size * ems


@dataclass(frozen=True, slots=True)
class Scale:
    """A map from values to pixels, linear or logarithmic.

    Attributes
    ----------
    values : tuple of float
        The values at both ends.
    pixels : tuple of float
        Where they are drawn.
    log : bool
        Whether equal ratios take equal room.

    Examples
    --------
    >>> Scale((1, 100), (0, 50), log=True)(10)
    25.0
    """

    values: Point
    pixels: Point
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return where a value is drawn."""
        low, high, at = (math.log(v) if self.log else v for v in (*self.values, value))
        return self.pixels[0] + (self.pixels[1] - self.pixels[0]) * (at - low) / (high - low)


@dataclass(slots=True)
class Canvas:
    """What is drawn at one width.

    Every method takes a `look`, names of the style sheet: a role (``solid``, ``soft``, ``dashed``, ``thick``,
    ``small``, ``head``), a color (``ink``, ``muted``, ``faint``, ``accent``, ``after``, ``full``, ``b2`` … ``b8``), and
    names that only tests read.

    Attributes
    ----------
    width, height : float
        In pixels at true size.

    Examples
    --------
    >>> sheet = Canvas(100, 40)
    >>> sheet.text(10, 20, "*N*_{eff}")
    >>> sheet.svg("A name", "").count("<tspan")
    2
    """

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, look: str = "", *, anchor: str = "start") -> None:
        """Write a line; ``_{…}`` lowers, ``^{…}`` raises, ``*…*`` slants."""
        align = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}"{align}{_look(look)}>{_spans(words)}</text>')

    def lines(
        self, x: float, y: float, words: Iterable[str], look: str = "", *, anchor: str = "start", leading: float = 18
    ) -> None:
        """Write lines below each other, the first on y."""
        for i, line in enumerate(words):
            self.text(x, y + i * leading, line, look, anchor=anchor)

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str = "") -> None:
        """Draw a straight stroke between two points."""
        ends = " ".join(f'{name}="{_n(v)}"' for name, v in zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True))
        self.parts.append(f"<line {ends}{_look('stroke ' + look)}/>")

    def path(self, points: Sequence[Point], look: str = "", *, closed: bool = False) -> None:
        """Draw straight strokes from point to point; closed, it has an inside that a role may fill."""
        d = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) + ("Z" if closed else "")
        self.parts.append(f'<path d="{d}"{_look(look if closed else "stroke " + look)}/>')

    def rect(self, x: float, y: float, width: float, height: float, look: str = "", *, radius: float = 0) -> None:
        """Draw a rectangle by its upper left corner."""
        round_ = f' rx="{_n(radius)}"' if radius else ""
        size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        self.parts.append(f"<rect {size}{round_}{_look(look)}/>")

    def circle(self, x: float, y: float, r: float, look: str = "") -> None:
        """Draw a circle around a point."""
        self.parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"{_look(look)}/>')

    def arrow(self, points: Sequence[Point], look: str = "") -> None:
        """Draw strokes from point to point, with a head at the last."""
        (x0, y0), (x, y) = points[-2:]
        long = math.hypot(x - x0, y - y0)
        u, v = (x - x0) / long, (y - y0) / long
        self.path([*points[:-1], (x - 5 * u, y - 5 * v)], look)
        head = [(x, y), (x - 7 * u - 3.6 * v, y - 7 * v + 3.6 * u), (x - 7 * u + 3.6 * v, y - 7 * v - 3.6 * u)]
        colors = " ".join(name for name in look.split() if name not in ("dashed", "thick"))
        self.path(head, f"solid {colors}", closed=True)

    def number(self, x: float, y: float, words: str, look: str = "") -> None:
        """Draw a short text in a circle, as a mark that a legend explains."""
        self.circle(x, y, 9, f"soft {look}")
        self.text(x, y + 4.2, words, "small strong", anchor="middle")

    def cells(self, x: float, y: float, count: int, pitch: Point, height: float, look: str = "") -> None:
        """Draw a row of equal cells, as dashes of one stroke: pitch is the width of a cell and of the gap behind it."""
        end = x + count * sum(pitch) - pitch[1]
        middle = y + height / 2
        dashes = f'stroke-width="{_n(height)}" stroke-dasharray="{_n(pitch[0])} {_n(pitch[1])}"'
        self.parts.append(f'<path d="M{_n(x)} {_n(middle)}H{_n(end)}" {dashes}{_look("cells " + look)}/>')

    def image(self, x: float, y: float, width: float, height: float, png: bytes, look: str = "") -> None:
        """Show a picture with sharp pixels."""
        size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        data = base64.b64encode(png).decode()
        self.parts.append(f'<image {size}{_look("pixels " + look)} href="data:image/png;base64,{data}"/>')

    def svg(self, title: str, description: str, look: str = "") -> str:
        """Return the picture; title and description are what a screen reader says."""
        said = f"<title>{html.escape(title)}</title>" + (
            f"<desc>{html.escape(description)}</desc>" if description else ""
        )
        box = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box}{_look(look)}>{said}{"".join(self.parts)}</svg>'
        )


def _n(value: float) -> str:
    return f"{round(float(value), 2):g}" if abs(value) < 1e5 else f"{value:.2f}"


def _look(names: str) -> str:
    return f' class="{" ".join(names.split())}"' if names.strip() else ""


def _spans(words: str) -> str:
    """Words with their markup as tspans; a shift is taken back by the span after it, which every browser can do."""
    found, back = [], 0.0
    for low, high, slanted, plain in (match.groups() for match in _MARKUP.finditer(words)):
        shift = 4.0 if low else -5.0 if high else 0.0
        text = low or high or slanted or plain
        looks = ("shifted " if shift else "") + ("slanted" if slanted or (shift and "*" in text) else "")
        by = shift + back
        move = f' dy="{_n(by)}"' if by else ""
        text = html.escape(text.replace("*", "") if shift else text)
        found.append(f"<tspan{move}{_look(looks)}>{text}</tspan>" if move or looks else text)
        back = -shift
    return "".join(found)
