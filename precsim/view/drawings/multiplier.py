"""F27: what a product of p-bit numbers is made of, and what devices charge for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.planning.hardware import Hardware

_BAR = 70.0  #: pixels of the price 1


def multiplier(bits: Sequence[int], machine: Hardware) -> Drawing:
    """Draw the array of one-bit products in a multiplier of each width, with the time that a device takes for it.

    Parameters
    ----------
    bits : sequence of int
        Widths of the factors, integers.
    machine : Hardware

    Examples
    --------
    >>> from precsim.planning import B200
    >>> multiplier((16, 8, 4), B200).frames[0].description
    '16 bits: 256 one-bit products, price 1 on B200 SXM, 1 by bits; 8 bits: 64, 0.5, 0.5; 4 bits: 16, 0.25, 0.25.'
    """
    rows = [(b, machine.price(b), b / 16) for b in bits]
    (b, price, line), *rest = rows
    told = f"{b} bits: {b * b} one-bit products, price {shown(price)} on {machine.name}, {shown(line)} by bits"
    told = "; ".join([told, *(f"{b} bits: {b * b}, {shown(p)}, {shown(s)}" for b, p, s in rest)])
    return drawn(
        lambda width: _picture(width, rows),
        title="A product in a chip",
        description=f"{told}.",
        message="Prices are steps, not lines.",
        reading="Squares: one-bit products in a multiplier of integers of these bits. Blue: time of a product on "
        f"{machine.name}, 16 bits as 1; gray: a price in proportion to the bits.",
        computed=f"peaks from the data sheet of {machine.name}",
    )


def _picture(width: float, rows: Sequence[tuple[int, float, float]]) -> Canvas:
    wide = width == WIDE
    cell = 6.4 if wide else 3.6
    most = max(b for b, *_ in rows) * cell
    left = 62.0
    step = (width - left) / len(rows) if wide else (width - 40) / len(rows)
    left = left if wide else 40.0
    canvas = Canvas(width, most + 172)
    for i, (b, price, line) in enumerate(rows):
        x, base = left + i * step, most + 34
        canvas.text(x, 14, f"{b} bits" if wide else str(b), f"head {'full' if b > 8 else f'b{b}'}")
        for r in range(b):
            canvas.cells(x, base - (r + 1) * cell, b, (cell - 1, 1), cell - 1, f"{'full' if b > 8 else f'b{b}'} cell")
        foot = base + 28 + _BAR
        canvas.rect(x, foot - _BAR * price, 18, _BAR * price, "solid accent price", radius=1)
        canvas.rect(x + 22, foot - _BAR * line, 18, _BAR * line, "solid full line", radius=1)
        if wide:
            canvas.text(x, foot + 18, f"{shown(price)}", "small strong accent")
            canvas.text(x, foot + 35, f"{shown(line)} by bits", "small muted")
        else:
            canvas.text(x, foot + 18, f"{shown(price, 2)}", "small strong accent")
    if not wide:
        canvas.text(0, 14, "bits", "small muted")
    canvas.text(0, most + 130 - _BAR, "time", "small muted")
    return canvas
