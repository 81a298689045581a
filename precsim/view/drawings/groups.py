"""F6: which elements of a matrix share a scale, and what that costs in bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from precsim.numerics.scaling import PerBlock, PerChannel, PerTensor
from precsim.numerics.two_level import TwoLevel
from precsim.view.drawings.canvas import Canvas
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.quantize import Quantizer

ROWS, COLUMNS = 4, 64  #: of the matrix that is drawn
_HUES = ("accent", "full")  # neighbors differ


def shared_scales(quantizers: Mapping[str, Quantizer], *, shape: tuple[int, int] = (4096, 4096)) -> Drawing:
    """Draw one matrix for each quantizer, its groups apart, each with its scale beside it.

    Parameters
    ----------
    quantizers : mapping of str to Quantizer
        By title; scales per tensor, per output or in blocks along a row of inputs.
    shape : tuple of int
        Outputs and inputs of the matrix whose bits per weight are counted.

    Examples
    --------
    >>> import precsim as ps
    >>> shared_scales({"MXFP4": ps.MXFP4, "NVFP4": ps.NVFP4}).frames[0].description
    'A part of a matrix, 4 rows of 64 elements: MXFP4: groups of 1 × 32, 4.25 bits; NVFP4: groups of 1 × 16, 4.50 bits.'
    """
    groups = {name: _group(q) for name, q in quantizers.items()}
    bits = {name: _bits(q, shape) for name, q in quantizers.items()}
    told = "; ".join(f"{name}: groups of {g[0]} × {g[1]}, {bits[name]:.2f} bits" for name, g in groups.items())
    return drawn(
        lambda width: _picture(width, quantizers, groups, bits),
        title="Who shares a scale",
        description=f"A part of a matrix, {ROWS} rows of {COLUMNS} elements: {told}.",
        message="Scales cost bits; finer scales cost more and err less.",
        reading="Cells of one color and without a gap between them share the scale that stands beside them. "
        f"Bits per weight are of a matrix of {shape[0]} × {shape[1]}.",
        computed="the formats' definitions",
    )


def _group(q: Quantizer) -> tuple[int, int]:
    """Rows and columns of a group in the part that is drawn."""
    if isinstance(q.scaling, PerTensor):
        return ROWS, COLUMNS
    if isinstance(q.scaling, PerChannel):
        return 1, COLUMNS
    if isinstance(q.scaling, PerBlock | TwoLevel):
        return 1, q.scaling.size
    raise ValueError(f"shared_scales draws scales per tensor, channel and block; received {q.scaling}")


def _bits(q: Quantizer, shape: tuple[int, int]) -> float:
    """Bits per weight, the float32 scales of the matrix or its rows counted."""
    whole = 32 / (shape[0] * shape[1]) if isinstance(q.scaling, PerTensor | TwoLevel) else 0.0
    row = 32 / shape[1] if isinstance(q.scaling, PerChannel) else 0.0
    return (q.bits if isinstance(q.scaling, PerBlock | TwoLevel) else q.format.bits) + whole + row


def _picture(
    width: float, quantizers: Mapping[str, Quantizer], groups: Mapping[str, tuple[int, int]], bits: Mapping[str, float]
) -> Canvas:
    wide = width == WIDE
    tall = 98 if wide else 104
    most = max(COLUMNS // long for _, long in groups.values())
    beside = 14.0 if wide else 9.0
    cell = (width - 18 - (most - 1) * beside) / COLUMNS
    down = cell if wide else 9.5
    canvas = Canvas(width, len(quantizers) * tall - 22)
    for i, (name, q) in enumerate(quantizers.items()):
        top = tall * i
        canvas.text(0, top + 14, name, "head")
        canvas.text(width, top + 14, f"{bits[name]:.4g} bits per weight", "strong", anchor="end")
        if wide:
            canvas.text(width - 168, top + 14, f"{_account(q)} =", "small muted", anchor="end")
        _matrix(canvas, top + 28, (cell, down), beside, groups[name])
        if isinstance(q.scaling, TwoLevel):
            foot = top + 28 + ROWS * down + 8
            canvas.rect(0.75, foot, 9, 9, "hollow ink scale")
            canvas.text(18, foot + 9, "and one for the tensor", "small muted")
            canvas.height += 16
    return canvas


def _matrix(canvas: Canvas, top: float, cell: tuple[float, float], beside: float, group: tuple[int, int]) -> None:
    high, long = group
    across, down = cell
    mark = min(8.0, beside - 3)
    for i in range(ROWS // high):
        for j in range(COLUMNS // long):
            x = 18 + j * (long * across + beside)
            y = top + i * high * down
            look = _HUES[(i + j) % 2]
            canvas.rect(x - beside + 0.5, y + (high * down - mark) / 2, mark, mark, f"solid {look} scale", radius=1)
            line = 1.5 if across > 7 else 1
            for r in range(high):
                canvas.cells(x, y + r * down, long, (across - line, line), down - line, f"{look} cell")


def _account(q: Quantizer) -> str:
    """Where the bits come from, in a sum."""
    if isinstance(q.scaling, PerBlock | TwoLevel):
        scale = round((q.bits - q.format.bits) * q.scaling.size)
        whole = " + 32 / all" if isinstance(q.scaling, TwoLevel) else ""
        return f"{q.format.bits} + {scale} / {q.scaling.size}{whole}"
    return f"{q.format.bits} + 32 / {'all' if isinstance(q.scaling, PerTensor) else 'row'}"
