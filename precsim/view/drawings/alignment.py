"""F14: the products of one instruction of a matrix unit, shifted under the largest exponent and cut."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from precsim.numerics.instruction import Instruction, instruction
from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.numerics.matrix_unit import MatrixUnit


def cut_products(a: Sequence[float], b: Sequence[float], unit: MatrixUnit, start: float = 0.0) -> Drawing:
    """Draw the bits of each product at its own place, and the line behind which a unit drops them.

    Parameters
    ----------
    a, b : sequence of float
        Factors, a few.
    unit : MatrixUnit
        That cuts what it adds.
    start : float
        The accumulator before.

    Examples
    --------
    >>> from precsim.numerics.arithmetic import H100_FP8
    >>> cut_products([1.5, 0.0625], [1.25, 0.01171875], H100_FP8).frames[0].description
    'Terms of one instruction, cut behind 2^-13: 1.5 × 1.25 loses 0 of 4 bits; 0.0625 × 0.01172 loses 0 of 2 bits.'
    """
    steps = instruction(a, b, unit, start)
    names = [f"{shown(x, 4)} × {shown(y, 4)}" for x, y in zip(a, b, strict=True)]
    names += [f"accumulator {shown(start)}"] if start else []
    terms = [term for term in steps.terms if term or start][: len(names)]
    rows = [(name, digits(term)) for name, term in zip(names, terms, strict=True)]
    lost = [(name, sum(place < steps.last for place, _ in bits), len(bits)) for name, bits in rows]
    told = "; ".join(f"{name} loses {n} of {total} bits" for name, n, total in lost)
    return drawn(
        lambda width: _picture(width, rows, steps),
        title="Bits that a matrix unit drops",
        description=f"Terms of one instruction, cut behind 2^{steps.last}: {told}.",
        message="Small products lose their tails before they are added: dropped, not rounded.",
        reading="Rows: the bits of each term at their places, powers of two. Right of the dashed line they are "
        "dropped; what is left is added exactly.",
        computed="`precsim.arithmetic.instruction`, in exact fractions",
    )


def digits(value: Fraction) -> list[tuple[int, str]]:
    """Return places and binary digits of a number's size, from its leading bit to its last 1.

    Examples
    --------
    >>> digits(Fraction(5, 8))
    [(-1, '1'), (-2, '0'), (-3, '1')]
    """
    size = abs(value)
    if not size:
        return []
    low = 1 - size.denominator.bit_length()
    whole = int(size / Fraction(2) ** low)
    bits = f"{whole:b}".rstrip("0") or "0"
    top = low + whole.bit_length() - 1
    return [(top - i, bit) for i, bit in enumerate(bits)]


def _picture(width: float, rows: Sequence[tuple[str, list[tuple[int, str]]]], steps: Instruction) -> Canvas:
    wide = width == WIDE
    places = [place for _, bits in rows for place, _ in bits]
    high, low = max(*places, 0), min(*places, steps.last - 2)
    left = 150.0 if wide else 2.0
    pitch = min((width - left - 4) / (high - low + 1), 29.0)
    row, top = (34.0, 62.0) if wide else (48.0, 72.0)
    canvas = Canvas(width, top + row * len(rows) + 34)
    cut = left + (high - steps.last + 1) * pitch
    for place in range(high, low - 1, -1):
        if place % 4 == 0:
            middle = left + (high - place + 0.5) * pitch
            canvas.text(middle, 38, f"2^{{{place}}}".replace("-", "−"), "small muted", anchor="middle")
    for i, (name, bits) in enumerate(rows):
        y = top + row * i
        canvas.text(0, y + 6 if wide else y - 14, name, "" if wide else "small")
        if bits and bits[0][0] < high:
            canvas.line(left, y, left + (high - bits[0][0]) * pitch - 4, y, "thin faint")
        for place, bit in bits:
            x = left + (high - place) * pitch
            look = "soft accent kept" if place >= steps.last else "hollow full dropped"
            canvas.rect(x + 0.75, y - 10, pitch - 1.5, 20, f"{look} bit", radius=2)
            canvas.text(x + pitch / 2, y + 4.5, bit, "digits small", anchor="middle")
    foot = top + row * len(rows) - 4
    canvas.line(cut, 46, cut, foot, "after thick dashed cut")
    canvas.text(cut - 8, foot + 20, "kept", "strong accent", anchor="end")
    beside = cut + 70 < width
    canvas.text(cut + 8 if beside else width, foot + 20, "dropped", "strong muted", anchor="start" if beside else "end")
    return canvas
