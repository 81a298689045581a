"""What a matrix unit is: how many products one instruction adds, in how many bits, and what it does with the sum.

A tensor core does not round after every addition. One instruction aligns all its products, and the accumulator, to the
largest exponent among them, cuts each off behind a fixed number of fraction bits, and adds what is left exactly.
`MatrixUnit` holds the numbers of this rule, `Chain` what a library does with the instructions of one dot product.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass

from precsim.numerics.binary_format import Format, Specials
from precsim.numerics.formats import FP32
from precsim.numerics.modes import Rounding

__all__ = ["E8M13", "BlockScales", "Chain", "Evidence", "Join", "MatrixUnit"]

E8M13 = Format(name="E8M13", exponent_bits=8, precision=14)  #: what Hopper's FP8 instructions leave in a register


class Evidence(enum.Enum):
    """How the rules of a unit are known."""

    MEASURED = "measured here"
    LITERATURE = "from the literature"


class Join(enum.Enum):
    """How the accumulator meets the products of an instruction."""

    ALIGNED = "as one more term, aligned and truncated with the products"
    AFTERWARDS = "the products are summed first; then sum and accumulator are aligned and rounded down (CDNA 3)"
    AFTER_PAIRS = "as AFTERWARDS, products of even and of odd places summed apart (CDNA 3, FP8)"


@dataclass(frozen=True, slots=True)
class BlockScales:
    """Scales that the unit itself applies to blocks of factors.

    Parameters
    ----------
    format : Format
        Of the scales.
    size : int
        Neighboring factors along K that share one.
    exact : int, optional
        Products summed exactly before they are scaled; None: each product is scaled by adding exponents.
    """

    format: Format
    size: int
    exact: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.format, Format):
            raise ValueError(f"BlockScales.format must be a Format; received {self.format!r}")
        _check_count("BlockScales.size", self.size)
        if self.exact is not None:
            _check_count("BlockScales.exact", self.exact)
            if self.size % self.exact:
                raise ValueError(f"exact must divide the block size {self.size}; received {self.exact}")
        elif self.format.precision != 1:
            raise ValueError(f"scales without exact sums are powers of two (E8M0); received {self.format}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixUnit:
    """The arithmetic of one matrix instruction.

    Parameters
    ----------
    name : str
    left, right : Format
        Of the two factors. A subnormal keeps its format's least exponent, so the same number can align differently
        in two formats.
    accepts : tuple of Format
        What either factor may be; `with_inputs` chooses.
    terms : int
        Products that one instruction adds to an element of the accumulator.
    split : int
        Parts of an instruction that are carried out one after the other, each with its own alignment.
    fraction_bits : int
        f: aligned terms are truncated (toward zero) to multiples of ``2**(E - f)``.
    least_exponent : int
        Exponent that a term of value zero counts with: the alignment goes no lower.
    output : Format
        Of the accumulator.
    rounding : Rounding
        Of the sum to `output`: toward zero, or nearest-even.
    join : Join
    scales : BlockScales, optional
    evidence : Evidence
        From the literature if not given. No part of equality, nor is the source.
    source : str
        Where the rules come from.

    Raises
    ------
    ValueError
        If a field is of the wrong kind, or the terms cannot be split as asked.

    Examples
    --------
    >>> from precsim.numerics.named_units import H100_FP8
    >>> H100_FP8.terms, H100_FP8.fraction_bits, H100_FP8.output.precision, H100_FP8.evidence.value
    (32, 13, 14, 'measured here')
    """

    name: str
    left: Format
    right: Format
    accepts: tuple[Format, ...]
    terms: int
    split: int = 1
    fraction_bits: int
    least_exponent: int
    output: Format = FP32
    rounding: Rounding = Rounding.TOWARD_ZERO
    join: Join = Join.ALIGNED
    scales: BlockScales | None = None
    # equal units give equal bits, however their rules are known
    evidence: Evidence = dataclasses.field(default=Evidence.LITERATURE, compare=False)
    source: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        for side in (self.left, self.right):
            if side not in self.accepts:
                names = ", ".join(map(str, self.accepts))
                raise ValueError(f"{self.name} takes factors in {names}; received {side}")
        for field in ("terms", "split", "fraction_bits"):
            _check_count(field, getattr(self, field))
        if self.terms % self.split:
            raise ValueError(f"split must divide the {self.terms} terms; received {self.split}")
        if self.fraction_bits > 40:
            raise ValueError(f"sums are exact in float64 up to 40 fraction bits; received {self.fraction_bits}")
        if self.output.specials is not Specials.IEEE or self.output.precision > 24:
            raise ValueError(f"the accumulator must be an IEEE format of at most 24 bits; received {self.output}")
        if self.rounding not in (Rounding.TOWARD_ZERO, Rounding.NEAREST_EVEN):
            raise ValueError(f"sums are rounded toward zero or to nearest-even; received {self.rounding}")
        for field, kind in (("join", Join), ("evidence", Evidence)):
            if not isinstance(getattr(self, field), kind):
                raise ValueError(f"{field} must be a member of {kind.__name__}; received {getattr(self, field)!r}")
        if self.scales is not None and self.terms % self.scales.size:
            raise ValueError(f"a block of scales must divide the {self.terms} terms; received {self.scales.size}")

    def with_inputs(self, left: Format, right: Format) -> MatrixUnit:
        """Return the unit with other formats of its factors, out of those it accepts.

        Examples
        --------
        >>> from precsim.numerics import FP8_E4M3, FP8_E5M2
        >>> from precsim.numerics.named_units import H100_FP8
        >>> print(H100_FP8.with_inputs(FP8_E5M2, FP8_E4M3).left)
        FP8_E5M2
        """
        return dataclasses.replace(self, left=left, right=right)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain:
    """How a library makes a long dot product out of instructions.

    Parameters
    ----------
    promote : int, optional
        After this many products the accumulator is added to a float32 number (nearest-even) and starts again at 0;
        None: one accumulator to the end.
    parts : tuple of int
        Lengths of the pieces that K is cut into; each has its own chain, and their float32 results are added in order
        (nearest-even). Empty: one piece.

    Raises
    ------
    ValueError
        If a number is not a positive integer.

    Examples
    --------
    >>> Chain(promote=128)  # FP8 without fast accumulation
    Chain(promote=128, parts=())
    >>> Chain(parts=(1408, 1408, 1280)).parts  # cuBLAS 13, BF16, 128 x 4096 x 128
    (1408, 1408, 1280)
    """

    promote: int | None = None
    parts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.promote is not None:
            _check_count("Chain.promote", self.promote)
        if not isinstance(self.parts, tuple):
            raise ValueError(f"Chain.parts must be a tuple of lengths; received {self.parts!r}")
        for part in self.parts:
            _check_count("a length in Chain.parts", part)


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1; received {value!r}")
