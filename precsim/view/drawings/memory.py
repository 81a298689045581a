"""F7: the bits of one block as they lie in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from precsim.numerics.scaling import PerBlock
from precsim.numerics.two_level import TwoLevel
from precsim.view.drawings.canvas import Canvas
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.quantize import Quantizer


def block_memory(quantizers: Mapping[str, Quantizer]) -> Drawing:
    """Draw the stored bits of a block of each quantizer to one measure: first its scale, then its elements.

    Parameters
    ----------
    quantizers : mapping of str to Quantizer
        By name, with scales per block or in two levels.

    Raises
    ------
    ValueError
        A quantizer has no blocks.

    Examples
    --------
    >>> import precsim as ps
    >>> block_memory({"MXFP4": ps.MXFP4, "NVFP4": ps.NVFP4}).message
    'What “4 bits” really stores: 4.25 in MXFP4, 4.5 in NVFP4.'
    """
    first = next(iter(quantizers.values())).format.bits
    each = ", ".join(f"{q.bits:g} in {name}" for name, q in quantizers.items())
    told = "; ".join(
        f"{n}: {_parts(q)[0]} bits of scale, {_parts(q)[1]} × {q.format.bits}" for n, q in quantizers.items()
    )
    return drawn(
        lambda width: _picture(width, quantizers),
        title="The memory of a block",
        description=f"Strips of bits, all to one measure. {told}.",
        message=f"What “{first} bits” really stores: {each}.",
        reading="A square is a bit; blue: the scale; four squares of one gray: an element.",
        computed="the formats' definitions",
    )


def _parts(q: Quantizer) -> tuple[int, int]:
    """Bits of a block's own scale and elements in a block."""
    if not isinstance(q.scaling, PerBlock | TwoLevel):
        raise ValueError(f"block_memory draws scales per block and in two levels, got {q.scaling}")
    size = q.scaling.size
    return round((q.bits - q.format.bits) * size), size


def _picture(width: float, quantizers: Mapping[str, Quantizer]) -> Canvas:
    wide = width == WIDE
    line = 64 if wide else 32  # bits in a row
    side = 8.9 if wide else 10.4
    pitch = side + 12
    canvas, y = Canvas(width, 10), 14.0
    for name, q in quantizers.items():
        scale, size = _parts(q)
        total = scale + size * q.format.bits
        canvas.text(0, y, name, "head")
        words = f"{total} bits for {size} weights: {total / size:g} each"
        if isinstance(q.scaling, TwoLevel):
            words += ", and one FP32 for the tensor" if wide else ""
        canvas.text(width - 4, y, words, "small muted", anchor="end")
        if isinstance(q.scaling, TwoLevel) and not wide:
            y += 18
            canvas.text(width - 4, y, "and one FP32 for the whole tensor", "small muted", anchor="end")
        y += 16
        for bit in range(total):
            at, down = bit % line, bit // line
            x, top = at * (width - 4) / line, y + down * pitch
            in_scale = bit < scale
            look = (
                "solid accent scale"
                if in_scale
                else ("solid" if (bit - scale) // q.format.bits % 2 else "fill") + " full"
            )
            canvas.rect(x, top, side, side, f"{look} bit")
        rows = -(-total // line)
        y += rows * pitch + 8
        canvas.text(0, y, f"scale, {scale} bits", "small accent strong")
        canvas.text(116, y, f"then {size} elements of {q.format.bits} bits", "small")
        y += 46
    canvas.height = y - 34
    return canvas
