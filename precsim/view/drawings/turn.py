"""F20: the turn of the served loss as a falling curve plus a rising one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.laws import critical_tokens
from precsim.view.drawings.axes import frame, powers, spread
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import NARROW, WIDE, Drawing, Frame

if TYPE_CHECKING:
    from precsim.laws import Law


def three_strokes(
    law: Law, *, size: float, tokens: tuple[float, float], bits: Sequence[int], longest: float
) -> Drawing:
    """Draw gap, δ and their sum against the tokens of training; a button moves δ alone.

    Parameters
    ----------
    law : Law
        Of the gap, with a degradation.
    size : float
        Parameters of the network.
    tokens : tuple of float
        Ends of the axis.
    bits : sequence of int
        Widths of the weights afterwards to choose from.
    longest : float
        Tokens of the longest run behind the law; what lies beyond is marked.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> made = three_strokes(KUMAR_2024, size=1e8, tokens=(1e9, 1e12), bits=[4], longest=2e10)
    >>> made.frames[0].label
    '4 bits'
    """
    turns = {b: float(critical_tokens(law, N=size, post=b)) for b in bits}
    frames = []
    for b, turn in turns.items():
        said = (
            f"Rounded to {b} bits, the sum of the falling gap and the rising damage is least at {_count(turn)} tokens."
        )
        wide, narrow = (_picture(width, law, size, tokens, b, turn, longest) for width in (WIDE, NARROW))
        frames.append(Frame(f"{b} bits", wide, narrow, said))
    return Drawing(
        "A falling curve and a rising one",
        tuple(frames),
        message="A falling curve plus a rising one has a lowest point: the critical amount of data.",
        reading="Gray: the gap before rounding; orange: δ, what rounding adds; thick: their sum; diamond: its least. "
        "All by the fitted law; more bits move δ alone, and the diamond to the right.",
        choice="Rounded to",
    )


def _count(tokens: float) -> str:
    for power, unit in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        if tokens >= 10**power:
            return f"{tokens / 10**power:.2g}{unit}" if tokens < 100 * 10**power else f"{tokens / 10**power:.0f}{unit}"
    return f"{tokens:.0f}"


def _picture(
    width: float, law: Law, size: float, tokens: tuple[float, float], b: int, turn: float, longest: float
) -> Canvas:
    wide = width == WIDE
    D = np.geomspace(*tokens, 120)
    gap, delta = (np.array([float(f(d)) for d in D]) for f in (_gap(law, size), _delta(law, size, b)))
    top = 1.25 * gap[0]
    canvas = Canvas(width, 340 if wide else 320)
    x = Scale(tokens, (44, width - 48), log=True)
    y = Scale((0, float(top)), (canvas.height - 52, 30))
    step = next(s for s in (0.2, 0.5, 1, 2) if top / s <= 6)
    frame(canvas, x, y, xs={v: _count(v) for v in powers(tokens)}, ys={v: f"{v:g}" for v in np.arange(0, top, step)})
    canvas.text(0, 14, "nats per token", "small muted")
    canvas.text(x.pixels[1], canvas.height - 8, "tokens *D*", "small muted", anchor="end")
    if tokens[0] < longest < tokens[1]:
        canvas.rect(x(longest), y.pixels[1], x.pixels[1] - x(longest), y.pixels[0] - y.pixels[1], "tint full beyond")
        canvas.text(x.pixels[1], y.pixels[1] - 8, "no runs here", "small muted", anchor="end")
    ends = []
    for values, look, name in ((gap, "full", "gap"), (delta, "after delta", "*δ*"), (gap + delta, "ink thick", "sum")):
        inside = values <= top
        canvas.path([(x(d), y(v)) for d, v in zip(D[inside], values[inside], strict=True)], look)
        ends.append((y(float(values[inside][-1])), x(float(D[inside][-1])), look.split()[0], name))
    ends.sort()
    for (_, at, look, name), place in zip(ends, spread([e[0] for e in ends], 17), strict=True):
        if at < x.pixels[1] - 1:  # it leaves the picture at the top
            canvas.text(at - 10, y.pixels[1] + 18, name, f"strong {look}", anchor="end")
        else:
            canvas.text(at + 8, place + 4, name, f"strong {look}")
    if tokens[0] < turn < tokens[1]:
        low = y(float(_gap(law, size)(turn) + _delta(law, size, b)(turn)))
        canvas.line(x(turn), low, x(turn), y.pixels[0], "thin ink dashed")
        side = 7
        diamond = [(x(turn) - side, low), (x(turn), low - side), (x(turn) + side, low), (x(turn), low + side)]
        canvas.path(diamond, "hollow ink turn", closed=True)
        canvas.text(x(turn), low - 16, f"turns at {_count(turn)}", "strong halo", anchor="middle")
    return canvas


def _gap(law: Law, size: float):
    return lambda d: law(size, d)


def _delta(law: Law, size: float, b: int):
    return lambda d: law.delta(size, d, post=b)
