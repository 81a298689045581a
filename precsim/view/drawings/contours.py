"""F23: curves of equal loss in the plane of parameters and data, with budgets; bits move the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from precsim.view.drawings.axes import frame, powers, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import NARROW, WIDE, Drawing, Frame

if TYPE_CHECKING:
    from precsim.laws import Law

_TENSORS = ("weights", "activations", "kv")


def sliding_map(
    law: Law,
    *,
    N: tuple[float, float],
    D: tuple[float, float],
    bits: Sequence[int],
    losses: Sequence[float],
    budgets: Sequence[float],
) -> Drawing:
    """Draw curves of equal loss and of equal compute; a button sets the bits of training and moves the former.

    Parameters
    ----------
    law : Law
        With factors of weights, activations and KV cache.
    N, D : tuple of float
        Ends of the axes.
    bits : sequence of int
        Of all tensors; eight at most, 16 counted as full precision.
    losses : sequence of float
        [nats/token], of the curves.
    budgets : sequence of float
        [FLOP], 6 N D.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> made = sliding_map(KUMAR_2024, N=(1e8, 1e11), D=(1e9, 1e13), bits=(16, 4), losses=(3.0, 3.5), budgets=(1e21,))
    >>> made.frames[1].label
    '4 bits'
    """
    frames = []
    for b in bits:
        given = {t: float(b) for t in _TENSORS} if b < 16 else {}
        share = float(law.n_eff(1.0, **given))
        said = (
            f"Curves of equal loss when trained in {b} bits, where the network acts like {shown(share, 2)} of its size."
        )
        wide, narrow = (_picture(width, law, N, D, given, losses, budgets, b, share) for width in (WIDE, NARROW))
        frames.append(Frame(f"{b} bits", wide, narrow, said))
    return Drawing(
        "Curves of equal loss",
        tuple(frames),
        message="Fewer bits shift the whole map to larger networks.",
        reading="Colored: equal loss, in nats; pale: the same in 16 bits; gray: equal compute, 6ND. The dot is the "
        "least loss of a budget.",
        choice="Trained in",
        first=max(len(frames) - 2, 0),
    )


def _picture(
    width: float, law: Law, N: tuple[float, float], D: tuple[float, float], given: dict[str, Any],
    losses: Sequence[float], budgets: Sequence[float], b: int, share: float,
) -> Canvas:  # fmt: skip
    wide = width == WIDE
    canvas = Canvas(width, 380 if wide else 350)
    x, y = Scale(N, (52, width - (64 if wide else 44)), log=True), Scale(D, (canvas.height - 50, 34), log=True)
    frame(canvas, x, y, xs={v: _si(v) for v in powers(N)}, ys={v: _si(v) for v in powers(D)})
    canvas.text(0, 14, "tokens *D*", "small muted")
    canvas.text(x.pixels[1], canvas.height - 8, "parameters *N*", "small muted", anchor="end")
    sizes = np.geomspace(*N, 121)
    for budget in budgets:
        line = budget / 6 / sizes
        inside = (line >= D[0]) & (line <= D[1])
        canvas.path([(x(n), y(d)) for n, d in zip(sizes[inside], line[inside], strict=True)], "full thin dashed budget")
        inner = sizes[inside]
        best = int(np.argmin(law(inner, budget / 6 / inner, **given)))
        canvas.circle(x(inner[best]), y(budget / 6 / inner[best]), 4.5, "solid ink best")
    look = f"b{b}" if b <= 8 else "accent"
    for loss in losses:
        if given:
            _curve(canvas, x, y, *_equal(law, sizes, D, loss, {}), "faint")
        n, d = _equal(law, sizes, D, loss, given)
        _curve(canvas, x, y, n, d, f"{look} thick equal")
        if len(n) > 1:
            canvas.text(x(n[-1]) + 7, min(y(d[-1]) + 4, y.pixels[0] - 8), f"{loss:g}", f"small strong {look}")
    canvas.text(
        x.pixels[1],
        14,
        f"acts like {shown(share, 2)} *N*" if given else "acts like *N*",
        f"strong {look}",
        anchor="end",
    )
    return canvas


def _equal(
    law: Law, sizes: np.ndarray, D: tuple[float, float], loss: float, given: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens of equal loss inside the picture, by bisection in ln D, in which the loss falls."""
    low, high = (np.full(len(sizes), np.log(end)) for end in D)
    for _ in range(50):
        middle = (low + high) / 2
        above = np.asarray(law(sizes, np.exp(middle), **given)) > loss
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found = np.exp((low + high) / 2)
    inside = (found > D[0] * 1.001) & (found < D[1] / 1.001)
    return sizes[inside], found[inside]


def _curve(canvas: Canvas, x: Scale, y: Scale, n: np.ndarray, d: np.ndarray, look: str) -> None:
    if len(n) > 1:
        canvas.path([(x(a), y(b)) for a, b in zip(n, d, strict=True)], look)


def _si(value: float) -> str:
    for power, unit in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:g}{unit}"
    return f"{value:g}"
