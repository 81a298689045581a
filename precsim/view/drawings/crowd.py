"""F11: gradients as a crowd over the ranges of formats, moved by a loss scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from precsim.numerics.rounding import round_to
from precsim.view.drawings.axes import histogram, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import NARROW, WIDE, Drawing, Frame

if TYPE_CHECKING:
    from precsim.numerics.formats import Format


def under_the_roof(gradients: ArrayLike, formats: Sequence[Format], powers: Sequence[int]) -> Drawing:
    """Draw the sizes of gradients above the ranges of some formats; a button multiplies the loss.

    Parameters
    ----------
    gradients : array_like
        As they are without a scale; zeros are left out.
    formats : sequence of Format
        With exponents.
    powers : sequence of int
        Loss scales as powers of two; eight at most.

    Examples
    --------
    >>> import numpy as np, precsim as ps
    >>> under_the_roof(2.0 ** -np.arange(4, 14), (ps.FP8_E4M3,), (0, 4)).frames[0].description
    'Without a scale 40 % of the gradients vanish in FP8 E4M3 and none overflows.'
    """
    g = np.abs(np.asarray(gradients, float).ravel())
    g = g[g > 0]
    frames = []
    for power in powers:
        label = "no scale" if power == 0 else f"2^{power}"
        lost = {fmt: _lost(np.ldexp(g, power), fmt) for fmt in formats}
        shares = ", ".join(
            f"{shown(100 * zero, 2)} % of the gradients vanish in {_name(f)}" for f, (zero, _) in lost.items()
        )
        over = [_name(f) for f, (_, above) in lost.items() if above]
        said = "Without a scale" if power == 0 else f"With the loss times {label}"
        said = f"{said} {shares} and {'some overflow in ' + ', '.join(over) if over else 'none overflows'}."
        wide, narrow = (_picture(width, np.ldexp(g, power), g, formats, lost, powers) for width in (WIDE, NARROW))
        frames.append(Frame(_raised(label), wide, narrow, said))
    return Drawing(
        "Gradients over the ranges of formats",
        tuple(frames),
        message="Loss scaling moves the crowd to where the format has numbers.",
        reading="Gray: how often gradients of a size occur; bars: what each format holds, pale where it is subnormal. "
        "Right: the share that becomes zero, and that overflows.",
        choice="Loss times",
    )


def _raised(label: str) -> str:
    """A power of two for a button, which has no markup."""
    base, _, power = label.partition("^")
    return base + power.translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))


def _name(fmt: Format) -> str:
    return fmt.name.replace("_", " ")


def _lost(sizes: np.ndarray, fmt: Format) -> tuple[float, float]:
    """Shares that become zero, and that are beyond the largest number once rounded."""
    rounded = np.asarray(round_to(sizes, fmt), float)
    return float(np.mean(rounded == 0)), float(np.mean(~np.isfinite(rounded)))


def _picture(
    width: float,
    sizes: np.ndarray,
    unscaled: np.ndarray,
    formats: Sequence[Format],
    lost: dict[Format, tuple[float, float]],
    powers: Sequence[int],
) -> Canvas:
    wide = width == WIDE
    low = min(float(np.quantile(unscaled, 0.001)), *(float(f.smallest_subnormal) for f in formats)) / 4
    high = max(float(unscaled.max()) * 2.0 ** max(powers), *(float(f.maximum) for f in formats)) * 4
    x = Scale((low, high), (8, 478) if wide else (4, width - 4), log=True)
    row, top = (40.0, 168.0) if wide else (58.0, 160.0)
    canvas = Canvas(width, top + row * len(formats) + 42)
    histogram(canvas, 122, 96, x, np.clip(sizes, low, high), "fill full crowd", bins=72)
    canvas.line(x.pixels[0], 122, x.pixels[1], 122, "thin muted")
    canvas.text(x.pixels[0], 14, "gradients", "strong")
    if wide:
        canvas.text(width, top - 14, "zero · beyond", "small muted", anchor="end")
    for i, fmt in enumerate(formats):
        y = top + row * i + (0 if wide else 14)
        a, b, c = (x(float(v)) for v in (fmt.smallest_subnormal, fmt.smallest_normal, fmt.maximum))
        canvas.rect(a, y, b - a, 18, "soft accent subnormal", radius=2)
        canvas.rect(b, y, c - b, 18, "solid accent normal", radius=2)
        zero, over = lost[fmt]
        words = f"{_share(zero)} · {_share(over)}"
        if wide:
            canvas.text(x.pixels[1] + 14, y + 14, _name(fmt), "strong")
            canvas.text(width, y + 14, words, "digits", anchor="end")
        else:
            canvas.text(x.pixels[0], y - 6, _name(fmt), "strong")
            canvas.text(
                x.pixels[1], y - 6, f"zero {_share(zero)} · beyond {_share(over)}", "small digits", anchor="end"
            )
    foot = canvas.height - 14
    every = 8 if wide else 16
    first = math.ceil(math.log2(low) / every) * every
    for power in range(first, int(math.log2(high)) + 1, every):
        canvas.line(x(2.0**power), 122, x(2.0**power), 127, "thin muted")
        canvas.text(x(2.0**power), foot, f"2^{{{power}}}".replace("-", "−"), "small muted", anchor="middle")
    return canvas


def _share(part: float) -> str:
    return "none" if part == 0 else f"{100 * part:.1f} %" if part < 0.1 else f"{100 * part:.0f} %"
