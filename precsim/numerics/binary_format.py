"""What a number format is: its codes, its values, its limits, and the numbers a rounding kernel needs of it.

A `Format` is a finite set of numbers with codes. It says nothing about scaling (`precsim.numerics.quantize`) or about
how a number outside the set is moved into it (`precsim.numerics.rounding`). Floating-point, integer, fixed-point and
power-of-two formats are one class, because one rounding rule serves them all: the spacing at x is
``2**(max(floor(log2 |x|), emin) - precision + 1)``, and an integer grid is the case in which emin equals emax.

This module imports the standard library only; NumPy is loaded when an array is asked for.
"""

from __future__ import annotations

import enum
import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from precsim.numerics.grid import Grid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Specials(enum.Enum):
    """Which codes are not finite numbers."""

    IEEE = "the highest exponent holds both infinities and the NaNs; two zeros"
    FN = "the highest code (of either sign) is NaN; no infinity; two zeros (OCP E4M3)"
    FNUZ = "the code of -0 is the only NaN; no infinity; one zero"
    NONE = "every code is a finite number; two zeros (OCP FP6 and FP4); integers have one zero"
    EXTENDED = "IEEE P3109, extended domain: highest code is infinity, the code of -0 (unsigned: the last) is NaN"
    SCALE = "exponents only: no sign, no zero, no infinity; the highest code is NaN (OCP E8M0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The set of numbers a binary format can hold; says nothing about scaling.

    Parameters
    ----------
    name : str
        How the format is called in messages and figures.
    exponent_bits : int
        Width w of the exponent field. 0 makes an integer (fixed-point) grid in two's complement.
    precision : int
        Significand bits p with the hidden one, so the trailing significand field has p - 1 bits.
        A signed k-bit integer has p = k - 1, an unsigned one p = k.
    bias : int, optional
        Exponent bias; by default ``2**(w-1) - 1``, for `Specials.FNUZ` and `Specials.EXTENDED` ``2**(w-1)``.
        For integers: the number of fraction bits, so the spacing is ``2**-bias`` (default 0).
    specials : Specials
        Which codes are not finite numbers.
    signed : bool
        False removes the sign bit and the negative values.

    Raises
    ------
    ValueError
        If no such format exists, or if float64 (the widest carrier here) cannot hold all of its values.

    Notes
    -----
    Code c without sign, with E = c >> (p-1) and T = c mod 2**(p-1), has the value ``T * 2**(emin-p+1)`` if E = 0
    and ``(2**(p-1) + T) * 2**(E-bias-p+1)`` otherwise (IEEE 754-2019, 3.4). `Specials.SCALE` has no E = 0 case.

    Examples
    --------
    >>> tiny = Format(name="e2m0", exponent_bits=2, precision=1, specials=Specials.NONE)
    >>> tiny.values().tolist()
    [-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0]
    >>> from precsim.numerics import FP8_E4M3
    >>> FP8_E4M3.maximum, FP8_E4M3.smallest_subnormal, FP8_E4M3.unit_roundoff
    (448.0, 0.001953125, Fraction(1, 16))
    """

    name: str
    exponent_bits: int
    precision: int
    bias: int | None = None
    specials: Specials = Specials.IEEE
    signed: bool = True

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.bias is None:
            object.__setattr__(self, "bias", _default_bias(self.exponent_bits, self.specials))
        _check_values(self)

    def __hash__(self) -> int:
        return hash((self.name, self.exponent_bits, self.precision))  # equal formats agree; cheap for look-ups

    # -- layout ------------------------------------------------------------------------------------------------

    @property
    def is_integer(self) -> bool:
        """True for integer and fixed-point grids (no exponent field)."""
        return self.exponent_bits == 0

    @property
    def bits(self) -> int:
        """Storage bits of one code."""
        return int(self.signed) + self.exponent_bits + self.precision - (0 if self.is_integer else 1)

    @property
    def magnitudes(self) -> int:
        """Number of codes without sign that are finite numbers: codes 0 ... magnitudes - 1."""
        m = self.precision - 1
        if self.is_integer:
            return 2**self.precision
        reserved = {
            Specials.IEEE: 2**m,
            Specials.FN: 1,
            Specials.FNUZ: 0,
            Specials.NONE: 0,
            Specials.EXTENDED: 1 if self.signed else 2,
            Specials.SCALE: 1,
        }[self.specials]
        return 2 ** (self.exponent_bits + m) - reserved

    @property
    def has_infinity(self) -> bool:
        """True if the infinities have codes."""
        return self.specials in (Specials.IEEE, Specials.EXTENDED)

    @property
    def has_nan(self) -> bool:
        """True if NaN has a code."""
        return self.specials is not Specials.NONE

    @property
    def has_zero(self) -> bool:
        """True if zero has a code (all but `Specials.SCALE`)."""
        return self.specials is not Specials.SCALE

    @property
    def has_negative_zero(self) -> bool:
        """True if -0 has a code of its own."""
        separate = self.specials in (Specials.IEEE, Specials.FN, Specials.NONE)
        return self.signed and separate and not self.is_integer

    @property
    def has_subnormals(self) -> bool:
        """True if there are values between zero and the smallest normal number."""
        return self.precision > 1 and not self.is_integer

    # -- limits ------------------------------------------------------------------------------------------------

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number; below ``2**emin`` the spacing no longer shrinks."""
        if self.is_integer:
            return self.precision - 1 - self._bias
        return (1 if self.has_zero else 0) - self._bias

    @property
    def emax(self) -> int:
        """Exponent of the largest number: floor(log2(maximum))."""
        return math.frexp(self.maximum)[1] - 1

    @property
    def maximum(self) -> float:
        """Largest finite value, (2 - 2^(1-p)) 2^emax where no special takes its code."""
        return self.value(self.magnitudes - 1) if not self.is_integer else _ldexp(2**self.precision - 1, -self._bias)

    @property
    def minimum(self) -> float:
        """Most negative value; the smallest value of an unsigned format."""
        if not self.signed:
            return 0.0 if self.has_zero else self.smallest_normal
        return -_ldexp(2**self.precision, -self._bias) if self.is_integer else -self.maximum

    @property
    def smallest_normal(self) -> float:
        """``2**emin``, the smallest positive number with full precision."""
        return _ldexp(1, self.emin)

    @property
    def smallest_subnormal(self) -> float:
        """``2**(emin - p + 1)``: the spacing around zero, and (if zero exists) the smallest positive value."""
        return _ldexp(1, self.emin - self.precision + 1)

    @property
    def unit_roundoff(self) -> Fraction:
        """Relative error bound of nearest rounding in the normal range: u = ``2**-p``."""
        return Fraction(1, 2**self.precision)

    @property
    def eps(self) -> Fraction:
        """``2**(1-p)`` = 2u: spacing of the numbers just above 1, relative to 1."""
        return 2 * self.unit_roundoff

    # -- values ------------------------------------------------------------------------------------------------

    def value(self, code: int) -> float:
        """Value of one code, 0 <= code < 2**bits, by the definition in the class notes.

        Examples
        --------
        >>> from precsim.numerics import FP8_E4M3, INT4
        >>> FP8_E4M3.value(0b0_1111_110), FP8_E4M3.value(0b0_0000_001), INT4.value(0b1111)
        (448.0, 0.001953125, -1.0)
        """
        code = operator.index(code)
        if not 0 <= code < 2**self.bits:
            raise ValueError(f"{self.name} has codes 0 to {2**self.bits - 1}; received {code}")
        if self.is_integer:
            wrapped = code - 2**self.bits if self.signed and code >> (self.bits - 1) else code
            return _ldexp(wrapped, -self._bias)
        body = self.bits - int(self.signed)
        negative, c = bool(code >> body), code & (2**body - 1)
        if c >= self.magnitudes:
            infinite = (self.specials is Specials.IEEE or self.specials is Specials.EXTENDED) and c == self.magnitudes
            return math.copysign(math.inf if infinite else math.nan, -1.0 if negative else 1.0)
        if negative and c == 0 and not self.has_negative_zero:
            return math.nan
        m = self.precision - 1
        exponent, trailing = c >> m, c & (2**m - 1)
        if exponent == 0 and self.has_zero:
            magnitude = _ldexp(trailing, self.emin - m)
        else:
            magnitude = _ldexp(2**m + trailing, exponent - self._bias - m)
        return -magnitude if negative else magnitude

    def values(self) -> NDArray[np.float64]:
        """All finite values in ascending order, shape (n,), float64; formats of at most 16 bits.

        The two zeros of a format that has them count once.
        """
        import numpy as np

        if self.bits > 16:
            raise ValueError(f"values() lists formats of at most 16 bits; {self.name} has {self.bits}")
        body = np.arange(self.magnitudes)
        if self.is_integer:
            first = -(2**self.precision) if self.signed else 0
            return np.arange(first, 2**self.precision) * self.smallest_subnormal
        m = self.precision - 1
        exponent, trailing = body >> m, body & (2**m - 1)
        hidden = (exponent > 0) | (not self.has_zero)
        scale = np.where(hidden, exponent - self._bias, self.emin) - m
        positive = np.ldexp((hidden * 2**m + trailing).astype(np.float64), scale)
        if not self.signed:
            return positive
        return np.concatenate([-positive[:0:-1], positive])

    def grid(self, *, saturate: bool = True) -> Grid:
        """Return the numbers a traced rounding kernel needs, for nearest and stochastic rounding.

        Parameters
        ----------
        saturate : bool
            True: overflow and infinities go to the largest value (what a scaled format wants).
            False: overflow goes to infinity, or NaN where there is no infinity, or the largest value.

        Notes
        -----
        NaN stays NaN, whether or not the format has one: compiled code cannot refuse a value. `numerics.rounding`
        builds grids with every other choice.
        """
        special = math.inf if self.has_infinity else math.nan
        keep = saturate or not self.has_nan
        low = abs(self.minimum)
        negative = special if self.signed else math.nan
        return Grid(
            precision=self.precision,
            emin=self.emin,
            maximum=self.maximum,
            minimum=low if self.signed else 0.0,
            overflow=self.maximum if keep else special,
            underflow=low if keep else negative,
            infinity=self.maximum if keep else special,
            minus_infinity=low if keep else negative,
            nan=math.nan,
            least=0.0 if self.has_zero else self.smallest_normal,
            flush=0.0,
            signed=int(self.signed),
            negative_zero=int(self.has_negative_zero),
            parity=(self.emin + int(not self.has_zero)) & 1 if self.precision == 1 else 0,
        )

    @property
    def _bias(self) -> int:
        assert self.bias is not None  # filled in by __post_init__
        return self.bias

    def __str__(self) -> str:
        return self.name


def whole(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> int:
    """Return an integer (Python's or NumPy's) within limits as a Python integer.

    Raises
    ------
    ValueError
        Naming the parameter and what was received, if it is another kind of value (a bool, too) or out of limits.

    Examples
    --------
    >>> whole("size", 32, low=1)
    32
    """
    try:
        number = operator.index(value)  # pyright: ignore[reportArgumentType] - whatever it is
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or type(value).__name__ == "bool_" or not low <= number <= high:
        limits = {
            (False, False): "",
            (True, False): f" of at least {low}",
            (True, True): f" from {low} to {high}",
        }[low > -math.inf, high < math.inf]
        raise ValueError(f"{name} must be an integer{limits}; received {value!r}")
    return number


def _ldexp(significand: int, exponent: int) -> float:
    return math.ldexp(float(significand), exponent)


def _default_bias(exponent_bits: int, specials: Specials) -> int:
    if exponent_bits == 0:
        return 0
    half = 2 ** (exponent_bits - 1)
    return half if specials in (Specials.FNUZ, Specials.EXTENDED) else half - 1


def _check_fields(fmt: Format) -> None:
    """Refuse fields of the wrong kind and combinations that no format has."""
    if not isinstance(fmt.name, str) or not fmt.name:
        raise ValueError(f"a format needs a name; received {fmt.name!r}")
    if not isinstance(fmt.specials, Specials):
        raise ValueError(f"{fmt.name}: specials must be a member of Specials; received {fmt.specials!r}")
    if not isinstance(fmt.signed, bool):
        raise ValueError(f"{fmt.name}: signed must be True or False; received {fmt.signed!r}")
    limits = {"exponent_bits": (0, 11), "precision": (1, 53)}
    for field, (low, high) in limits.items():
        object.__setattr__(fmt, field, whole(f"{fmt.name}: {field}", getattr(fmt, field), low, high))
    if fmt.bias is not None:
        object.__setattr__(fmt, "bias", whole(f"{fmt.name}: bias (or None)", fmt.bias))
    w, p, specials = fmt.exponent_bits, fmt.precision, fmt.specials
    rules = (
        (w == 0 and specials is not Specials.NONE, "an integer grid (exponent_bits=0) has Specials.NONE"),
        (specials is Specials.IEEE and (p < 2 or w < 2), "Specials.IEEE needs precision >= 2 and exponent_bits >= 2"),
        (specials is Specials.FNUZ and not fmt.signed, "Specials.FNUZ uses the code of -0; unsigned formats take FN"),
        (specials is Specials.SCALE and (p != 1 or fmt.signed), "Specials.SCALE needs precision=1 and signed=False"),
    )
    for broken, reason in rules:
        if broken:
            raise ValueError(f"{fmt.name} cannot exist: {reason}; received exponent_bits={w}, precision={p}")
    if fmt.magnitudes < (2 if fmt.has_zero else 1):
        raise ValueError(f"{fmt.name} cannot exist: no code is left for a positive number")


def _check_values(fmt: Format) -> None:
    """Refuse formats whose values float64 cannot hold."""
    m = fmt.precision - 1
    if fmt.is_integer:
        top, bottom = fmt.precision - fmt._bias, -fmt._bias
    else:
        top, bottom = ((fmt.magnitudes - 1) >> m) - fmt._bias, fmt.emin - m
    if top > 1023 or bottom < -1074 or fmt.emin < -1023:
        raise ValueError(
            f"{fmt.name}: values from 2**{bottom} to 2**{top} do not fit float64 (2**-1074 to 2**1023); "
            f"choose fewer exponent_bits or another bias (received {fmt.bias})"
        )
