"""How the blocks of GGUF files (llama.cpp) lie in bytes, as data: the twelve layouts most models are stored in.

A layout is a list of fields and, for each number of a block (codes, scales of sub-blocks, offsets of sub-blocks),
where its bits are. ``block_packing`` reads and writes any of them.

Examples
--------
>>> Q4_K.bits, Q4_K.size, Q6_K.fields["scales"]
(4.5, 256, 16)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "IQ4_NL", "LAYOUTS", "MXFP4_GGUF", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0",
    "Bits", "BlockLayout", "Choice",
]  # fmt: skip


class Bits(NamedTuple):
    """Some bits of each of many numbers: the field's bytes are cut into chunks, and each chunk is read once per shift.

    Number ``(c * len(shifts) + s) * chunk + i`` has ``(byte[c * chunk + i] >> shifts[s]) mod 2**width`` at `place`.
    """

    field: str
    width: int
    shifts: tuple[int, ...]
    chunk: int
    place: int = 0


#: Pieces that follow each other; the bits of a piece are joined.
Numbers = tuple[tuple[Bits, ...], ...]


class Choice(enum.Enum):
    """How llama.cpp finds scale and codes of a block when it stores float32 numbers; K layouts search for theirs."""

    EXTREME = "d = (the element of largest magnitude) / -2**(b-1); code = floor(x / d + 2**(b-1) + 1/2)"
    ABSOLUTE = "d = max|x| / 127; code = x / d to nearest, ties away from zero"
    RANGE = "d = (max - min) / (2**b - 1), m = min; code = floor((x - m) / d + 1/2)"
    POWER = "d = 2**(floor(log2 max|x|) - 2); code of the nearest level, the lower of two"


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """Fields of a block in order, and what the numbers in it mean.

    An element is ``d * step * (code - offset) + m`` with d and m in float16; without `steps` the step is 1. Where
    there are `lows`, m is ``-dmin * low`` of the sub-block. Each product and sum is a float32 operation, in this order.

    Parameters
    ----------
    name : str
    number : int
        Of the type in GGUF files.
    size : int
        Elements in a block.
    fields : mapping of str to int
        Bytes of each field, in order. "d", "m" and "dmin" are float16; "e" is a power of two (E8M0).
    codes : Numbers
    offset : int
        Subtracted from each code.
    levels : tuple of int, optional
        Values by code, instead of ``code - offset``.
    signed : bool
        Codes are two's complement.
    steps, lows : Numbers, optional
        Scales and offsets of sub-blocks.
    step_offset : int
        Subtracted from each step.
    signed_steps : bool
        Steps are two's complement.
    choice : Choice, optional
        How blocks are encoded; None: they are only decoded here.
    """

    name: str
    number: int
    size: int
    fields: MappingProxyType[str, int]
    codes: Numbers
    offset: int = 0
    levels: tuple[int, ...] | None = None
    signed: bool = False
    steps: Numbers | None = None
    lows: Numbers | None = None
    step_offset: int = 0
    signed_steps: bool = False
    choice: Choice | None = None

    @property
    def block_bytes(self) -> int:
        """Bytes of one block, its scales and codes together."""
        return sum(self.fields.values())

    @property
    def bits(self) -> float:
        """Storage bits of an element with its share of all scales."""
        return 8 * self.block_bytes / self.size

    @property
    def code_bits(self) -> int:
        """Bits that one code takes in the packed block."""
        return sum(part.width for part in self.codes[0])

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)


def _fields(**sizes: int) -> MappingProxyType[str, int]:
    return MappingProxyType(sizes)


_HALVES, _QUARTERS, _SINGLE = (0, 4), (0, 2, 4, 6), tuple(range(8))
_NIBBLES = ((Bits("codes", 4, _HALVES, 16),),)
_FIVE = ((Bits("codes", 4, _HALVES, 16), Bits("high", 1, _SINGLE, 1, place=4)),)
#: Twelve bytes: 6 bits of each of 8 steps and 8 lows, the last four of each in two parts.
_STEPS = ((Bits("a", 6, (0,), 4),), (Bits("c", 4, (0,), 4), Bits("a", 2, (6,), 4, place=4)))
_LOWS = ((Bits("b", 6, (0,), 4),), (Bits("c", 4, (4,), 4), Bits("b", 2, (6,), 4, place=4)))

Q8_0 = BlockLayout(
    "Q8_0", 8, 32, _fields(d=2, codes=32), ((Bits("codes", 8, (0,), 32),),), signed=True, choice=Choice.ABSOLUTE
)
Q4_0 = BlockLayout("Q4_0", 2, 32, _fields(d=2, codes=16), _NIBBLES, offset=8, choice=Choice.EXTREME)
Q4_1 = BlockLayout("Q4_1", 3, 32, _fields(d=2, m=2, codes=16), _NIBBLES, choice=Choice.RANGE)
Q5_0 = BlockLayout("Q5_0", 6, 32, _fields(d=2, high=4, codes=16), _FIVE, offset=16, choice=Choice.EXTREME)
Q5_1 = BlockLayout("Q5_1", 7, 32, _fields(d=2, m=2, high=4, codes=16), _FIVE, choice=Choice.RANGE)
Q2_K = BlockLayout(
    "Q2_K", 10, 256, _fields(scales=16, codes=64, d=2, dmin=2), ((Bits("codes", 2, _QUARTERS, 32),),),
    steps=((Bits("scales", 4, (0,), 16),),), lows=((Bits("scales", 4, (4,), 16),),),
)  # fmt: skip
Q3_K = BlockLayout(
    "Q3_K", 11, 256, _fields(high=32, codes=64, scales=8, scales_high=4, d=2),
    ((Bits("codes", 2, _QUARTERS, 32), Bits("high", 1, _SINGLE, 32, place=2)),), offset=4,
    steps=((Bits("scales", 4, _HALVES, 8), Bits("scales_high", 2, _QUARTERS, 4, place=4)),), step_offset=32,
)  # fmt: skip
Q4_K = BlockLayout(
    "Q4_K", 12, 256, _fields(d=2, dmin=2, a=4, b=4, c=4, codes=128), ((Bits("codes", 4, _HALVES, 32),),),
    steps=_STEPS, lows=_LOWS,
)  # fmt: skip
Q5_K = BlockLayout(
    "Q5_K", 13, 256, _fields(d=2, dmin=2, a=4, b=4, c=4, high=32, codes=128),
    ((Bits("codes", 4, _HALVES, 32), Bits("high", 1, _SINGLE, 32, place=4)),), steps=_STEPS, lows=_LOWS,
)  # fmt: skip
Q6_K = BlockLayout(
    "Q6_K", 14, 256, _fields(codes=128, high=64, scales=16, d=2),
    ((Bits("codes", 4, _HALVES, 64), Bits("high", 2, _QUARTERS, 32, place=4)),), offset=32,
    steps=((Bits("scales", 8, (0,), 16),),), signed_steps=True,
)  # fmt: skip
IQ4_NL = BlockLayout(
    "IQ4_NL", 20, 32, _fields(d=2, codes=16), _NIBBLES,
    levels=(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
)  # fmt: skip
#: The element's values doubled, and the scale therefore halved.
MXFP4_GGUF = BlockLayout(
    "MXFP4", 39, 32, _fields(e=1, codes=16), _NIBBLES,
    levels=(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12), choice=Choice.POWER,
)  # fmt: skip

#: All of them by name.
LAYOUTS: MappingProxyType[str, BlockLayout] = MappingProxyType(
    {layout.name: layout for layout in (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, MXFP4_GGUF)}
)
