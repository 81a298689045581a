"""F24: how many tokens a second a device gives, as long as it reads weights and once it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from precsim.planning.budget import Choice
from precsim.planning.serving import tokens_per_second
from precsim.view.drawings.axes import frame, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.planning.hardware import Hardware
    from precsim.planning.serving import ServedModel


def roofline(model: ServedModel, machine: Hardware, bits: Sequence[int], *, context: float = 1) -> Drawing:
    """Draw the time of one step of generation against how many sequences it serves, a line for each width.

    Parameters
    ----------
    model : ServedModel
    machine : Hardware
    bits : sequence of int
        Widths of the stored weights; products are in 16 bits.
    context : float
        Tokens in the cache of each sequence.

    Examples
    --------
    >>> from precsim.planning import H200
    >>> from precsim.planning.serving import LLAMA3_8B
    >>> roofline(LLAMA3_8B, H200, (16, 4)).frames[0].description
    'One sequence: a step of Llama 3 8B takes 3.35 ms in 16 bits, 0.836 ms in 4 bits. 1,024: 16.6 ms, 16.6 ms.'
    """
    counts = np.geomspace(1, 1024, 81)
    times = {b: np.array([_step(model, machine, b, float(n), context) for n in counts]) for b in bits}
    one = ", ".join(f"{shown(1e3 * t[0])} ms in {b} bits" for b, t in times.items())
    many = ", ".join(f"{shown(1e3 * t[-1])} ms" for t in times.values())
    return drawn(
        lambda width: _picture(width, counts, times),
        title="Reading and computing",
        description=f"One sequence: a step of {model.name} takes {one}. 1,024: {many}.",
        message="Fewer bits help while weights are being read, and no longer once the device computes.",
        reading="Across: sequences that are generated together; up: time of a step, one token for each. Level: the "
        "device reads all weights; rising: it multiplies, in 16 bits. An upper bound on speed.",
        computed=f"data sheet of {machine.name}, {model.name}; every byte read once, full speed",
    )


def _step(model: ServedModel, machine: Hardware, b: int, sequences: float, context: float) -> float:
    """Seconds of one step; the weights are stored in b bits and multiplied in 16."""
    choice = Choice(activations=16, post=b)
    return sequences / tokens_per_second(model, machine, choice, sequences=sequences, context=context)  # pyright: ignore[reportArgumentType]


def _picture(width: float, counts: np.ndarray, times: dict[int, np.ndarray]) -> Canvas:
    wide = width == WIDE
    canvas = Canvas(width, 320)
    every = 1e3 * np.concatenate(list(times.values()))
    x = Scale((1, float(counts[-1])), (44, width - 20), log=True)
    y = Scale((float(every.min()) / 1.8, float(every.max()) * 1.3), (264, 36), log=True)
    ticks = [v for v in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if y.values[0] <= v <= y.values[1]]
    frame(canvas, x, y, xs={v: shown(v) for v in (1, 4, 16, 64, 256, 1024)}, ys={v: shown(v) for v in ticks})
    canvas.text(0, 14, "time of a step [ms]", "small muted")
    canvas.text(x.pixels[1], 308, "sequences together", "small muted", anchor="end")
    for b, t in times.items():
        look = f"b{b}" if b <= 8 else "full"
        canvas.path([(x(float(n)), y(1e3 * float(v))) for n, v in zip(counts, t, strict=True)], f"{look} thick line")
        canvas.text(x(1.15), y(1e3 * float(t[0])) - 9, f"{b} bits: {shown(1e3 * float(t[0]))} ms", f"strong {look}")
    if wide:
        last = float(1e3 * times[min(times)][-1])
        canvas.text(x(300), y(last * 0.32) + 30, "computes", "muted")
    return canvas
