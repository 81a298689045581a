"""A format as a reader meets it: the bits of a code, to be flipped, and a table of what each format can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from precsim.numerics.formats import Format
from precsim.view.table import Table
from precsim.view.widget import Widget


@dataclass(frozen=True, slots=True)
class Bits(Widget):
    """The bits of one code of a format, to be flipped; the value and its formula stand below.

    Parameters
    ----------
    format : Format
        Of at most 16 bits.
    code : int
        The code to begin with, 0 <= code < 2**bits.

    Raises
    ------
    ValueError
        The format is wider than 16 bits, or it has no such code.

    Examples
    --------
    >>> import precsim as ps
    >>> Bits(ps.FP8_E4M3, 0b0_0111_100).text
    'FP8_E4M3: code 60 = 0 0111 100 in bits has the value 1.5.'
    """

    format: Format
    code: int = 0

    module: ClassVar[str] = "bits"

    def __post_init__(self) -> None:
        if self.format.bits > 16:
            raise ValueError(f"{self.format.name} has {self.format.bits} bits; at most 16 fit in a row of buttons")
        self.format.value(self.code)

    @property
    def text(self) -> str:
        """The code, its bits in fields, and its value."""
        fmt = self.format
        digits = f"{self.code:0{fmt.bits}b}"
        sign = int(fmt.signed)
        fields = [digits[:sign], digits[sign : sign + fmt.exponent_bits], digits[sign + fmt.exponent_bits :]]
        value = f"{fmt.value(self.code):g}"
        return f"{fmt.name}: code {self.code} = {' '.join(filter(None, fields))} in bits has the value {value}."

    @property
    def description(self) -> str:
        """What the buttons do, for whoever does not see them."""
        return f"The bits of a code of {self.format.name}: press one to flip it and read the value."

    @property
    def reading(self) -> str:
        """How it is read, for the caption."""
        return (
            "Button: a bit, by field: sign, exponent, significand; below: the value of the code and how it comes about."
        )

    @property
    def state(self) -> dict[str, dict[str, str | int] | int]:
        """The format's constants, from which the script computes a value, and the code."""
        names = (
            "name bits signed exponent_bits precision bias emin magnitudes has_zero has_infinity has_negative_zero"
        ).split()
        return {"format": {name: getattr(self.format, name) for name in names}, "code": self.code}


def bit_flipper(format: Format, code: int | None = None) -> Bits:
    """Return the bits of a code of a format, to be flipped by the reader; without a code, that of 1.

    Examples
    --------
    >>> import precsim as ps
    >>> bit_flipper(ps.FP8_E4M3).text
    'FP8_E4M3: code 56 = 0 0111 000 in bits has the value 1.'
    """
    if code is None:
        code = next((c for c in range(2 ** min(format.bits, 16)) if format.value(c) == 1.0), 0)
    return Bits(format, code)


def format_table(*formats: Format) -> Table:
    """Return a table of the formats' bits, precision, exponents, limits and unit roundoff.

    Raises
    ------
    ValueError
        If no format is given.

    Examples
    --------
    >>> import precsim as ps
    >>> print(format_table(ps.FP4_E2M1))
    | format | bits | p | emin | emax | maximum | smallest normal | smallest subnormal | u | Inf | NaN |
    | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
    | FP4_E2M1 | 4 | 2 | 0 | 2 | 6 | 1 | 0.5 | 2^-2 | no | no |
    """
    if not formats:
        raise ValueError("a table needs a format, for example format_table(ps.FP8_E4M3)")
    return Table(tuple(_COLUMNS), tuple(tuple(cell(f) for cell in _COLUMNS.values()) for f in formats))


_COLUMNS: dict[str, Callable[[Format], str]] = {
    "format": lambda f: f.name,
    "bits": lambda f: str(f.bits),
    "p": lambda f: str(f.precision),
    "emin": lambda f: str(f.emin),
    "emax": lambda f: str(f.emax),
    "maximum": lambda f: f"{f.maximum:.6g}",
    "smallest normal": lambda f: f"{f.smallest_normal:.6g}",
    "smallest subnormal": lambda f: f"{f.smallest_subnormal:.6g}",
    "u": lambda f: f"2^-{f.precision}",
    "Inf": lambda f: "yes" if f.has_infinity else "no",
    "NaN": lambda f: "yes" if f.has_nan else "no",
}
