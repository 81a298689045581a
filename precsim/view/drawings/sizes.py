"""F19: effective parameters as a walk along the curve of full precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.view.drawings.axes import frame, powers, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import NARROW, WIDE, Drawing, Frame

if TYPE_CHECKING:
    from precsim.laws import Law

Measured = Mapping[float, Sequence[tuple[float, float]]]  #: by bits (inf: full): size and gap


def smaller_network(law: Law, *, size: float, tokens: float, bits: Sequence[int], measured: Measured) -> Drawing:
    """Draw the gap against size in full precision, and where a network trained in few bits meets that curve.

    Parameters
    ----------
    law : Law
        Of the gap, with a factor of the weights' bits.
    size, tokens : float
        The network that is trained in few bits.
    bits : sequence of int
        Widths to choose from, eight at most.
    measured : mapping of float to sequence of (N, gap)
        Means of runs at these tokens, by bits of the weights; inf for full precision.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> seen = {float("inf"): [(1e7, 4.0), (1e8, 3.2)], 4.0: [(1e8, 3.5)]}
    >>> smaller_network(KUMAR_2024, size=1e8, tokens=1e10, bits=[4], measured=seen).frames[0].description[:67]
    'Trained with weights of 4 bits, the network of 100,000,000 paramete'
    """
    frames = []
    for b in bits:
        share = float(law.n_eff(size, weights=b)) / size
        said = f"Trained with weights of {b} bits, the network of {size:,.0f} parameters behaves like one of "
        said += f"{share * size:,.0f} in full precision, {share:.2f} of it."
        wide, narrow = (_picture(width, law, size, tokens, b, measured) for width in (WIDE, NARROW))
        frames.append(Frame(f"{b} bits", wide, narrow, said))
    return Drawing(
        "The smaller network with the same loss",
        tuple(frames),
        message="Effective parameters are the size of the smaller network with the same loss.",
        reading="Gray: full precision, measured (points) and by the law (line). Colored: the network trained in few "
        "bits; ring: by the law, from which the arrow starts; dot: measured.",
        choice="Weights trained in",
        first=min(1, len(frames) - 1),
    )


def _picture(width: float, law: Law, size: float, tokens: float, b: int, measured: Measured) -> Canvas:
    wide = width == WIDE
    full = list(measured[float("inf")])
    sizes = sorted(n for n, _ in full)
    low = min(sizes[0], *(float(law.n_eff(size, weights=k)) for k in measured if np.isfinite(k))) / 1.25
    line = np.geomspace(low, sizes[-1] * 1.25, 80)
    every = [
        float(law(line[0], tokens)),
        float(law(line[-1], tokens)),
        *(g for some in measured.values() for _, g in some),
    ]
    canvas = Canvas(width, 330 if wide else 300)
    x = Scale((float(line[0]), float(line[-1])), (56, width - (22 if wide else 10)), log=True)
    pad = 0.06 * (max(every) - min(every))
    y = Scale((min(every) - pad, max(every) + pad), (canvas.height - 50, 30))
    ticks = _round(y.values)
    frame(canvas, x, y, xs={v: _count(v) for v in powers(x.values)}, ys={v: f"{v:g}" for v in ticks})
    canvas.text(0, 14, "gap [nats]", "small muted")
    canvas.text(x.pixels[1], canvas.height - 8, "parameters *N*", "small muted", anchor="end")
    canvas.path([(x(n), y(float(law(n, tokens)))) for n in line], "full thick")
    for n, g in full:
        canvas.circle(x(n), y(g), 4, "solid full point")
    share = float(law.n_eff(size, weights=b)) / size
    here, there = float(law(size, tokens, weights=b)), share * size
    look = f"b{min(b, 8)}"
    for n, g in measured.get(float(b), ()):
        if n == size:
            canvas.circle(x(n), y(g), 4, f"solid {look} trained")
    canvas.circle(x(size), y(here), 8, f"stroke {look} ring")
    for n, foot in ((size, here), (there, here)):
        canvas.line(x(n), y(foot) + 9, x(n), y.pixels[0], f"thin {look} dashed")
    if x(size) - x(there) > 24:
        canvas.arrow([(x(size) - 9, y(here)), (x(there) + 1, y(here))], f"{look} thick walk")
    words = f"{b} bits: like {shown(share, 2)} *N*"
    if wide:
        canvas.text(x(size) + 16, y(here) + 1, words, f"head {look}")
    else:
        canvas.text(x.pixels[1], y(here) - 16, words, f"head {look}", anchor="end")
    canvas.text(x(line[2]) + 8, y(float(law(line[2], tokens))) - 12, "full precision", "muted")
    return canvas


def _round(values: tuple[float, float]) -> list[float]:
    """Four to eight round values between two."""
    span = values[1] - values[0]
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2) if span / s <= 8)
    return [round(k * step, 6) for k in range(int(np.ceil(values[0] / step)), int(values[1] / step) + 1)]


def _count(n: float) -> str:
    return f"{n / 1e6:g}M" if n >= 1e6 else f"{n / 1e3:g}k" if n >= 1e3 else f"{n:g}"
