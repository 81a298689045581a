"""The named formats, and the families they come from: integers, fixed point, IEEE P3109.

Examples
--------
>>> FP8_E4M3.bits, FP8_E4M3.precision, FP8_E4M3.emin, FP8_E4M3.maximum, FP8_E4M3.has_infinity
(8, 4, -6, 448.0, False)
"""

from __future__ import annotations

import enum

from precsim.numerics.binary_format import Format, Grid, Specials, whole

__all__ = ["NAMED", "Domain", "Format", "Grid", "Specials", "fixed_point", "integer", "p3109"]


class Domain(enum.Enum):
    """The two value domains of IEEE P3109."""

    FINITE = "no infinities"
    EXTENDED = "with infinities"


def integer(bits: int, *, signed: bool = True) -> Format:
    """Return the integers of a given width: two's complement, or from 0 up.

    Examples
    --------
    >>> integer(4) == INT4, integer(4).minimum, integer(4, signed=False).maximum
    (True, -8.0, 15.0)
    """
    bits = whole("bits of an integer format", bits, 2, 32)
    name = f"INT{bits}" if signed else f"UINT{bits}"
    return Format(name=name, exponent_bits=0, precision=bits - int(signed), specials=Specials.NONE, signed=signed)


def fixed_point(bits: int, fraction_bits: int, *, signed: bool = True) -> Format:
    """Return integers times ``2**-fraction_bits``; the element of MXINT8 is ``fixed_point(8, 6)``."""
    digits = integer(bits, signed=signed)
    return Format(
        name=f"{digits.name}/2^{fraction_bits}",
        exponent_bits=0,
        precision=digits.precision,
        bias=fraction_bits,
        specials=Specials.NONE,
        signed=signed,
    )


def p3109(bits: int, precision: int, *, signed: bool = True, domain: Domain = Domain.EXTENDED) -> Format:
    """Return the IEEE P3109 format of a width K, a precision P, a signedness and a domain.

    Raises
    ------
    ValueError
        If K or P is out of range, or the exponents do not fit float64 (about K - P > 10).

    References
    ----------
    IEEE P3109 interim report 4.0: w = K - P (signed) or K - P + 1 (unsigned), bias ``2**(w-1)``; one zero, one NaN.

    Examples
    --------
    >>> p3109(8, 4).maximum, p3109(8, 4, domain=Domain.FINITE).maximum
    (224.0, 240.0)
    """
    if not isinstance(domain, Domain):
        raise ValueError(f"domain must be a member of Domain; received {domain!r}")
    bits, precision = whole("K", bits), whole("P", precision)
    room = bits - int(signed)
    if not 3 <= bits <= 16 or not 1 <= precision <= room:
        raise ValueError(f"P3109 formats have 3 <= K <= 16 and 1 <= P <= {room}; received K={bits}, P={precision}")
    exponent_bits = room - precision + 1
    finite = Specials.FNUZ if signed else Specials.FN
    return Format(
        name=f"binary{bits}p{precision}{'s' if signed else 'u'}{'e' if domain is Domain.EXTENDED else 'f'}",
        exponent_bits=exponent_bits,
        precision=precision,
        bias=2 ** (exponent_bits - 1),
        specials=Specials.EXTENDED if domain is Domain.EXTENDED else finite,
        signed=signed,
    )


def _float(name: str, exponent_bits: int, precision: int, specials: Specials = Specials.IEEE, **extra) -> Format:
    return Format(name=name, exponent_bits=exponent_bits, precision=precision, specials=specials, **extra)


FP32 = _float("FP32", 8, 24)
TF32 = _float("TF32", 8, 11)
BF16 = _float("BF16", 8, 8)
FP16 = _float("FP16", 5, 11)
FP8_E4M3 = _float("FP8_E4M3", 4, 4, Specials.FN)  # OCP OFP8: maximum 448
FP8_E5M2 = _float("FP8_E5M2", 5, 3)
FP8_E4M3_IEEE = _float("FP8_E4M3_IEEE", 4, 4)  # maximum 240
FP8_E3M4_IEEE = _float("FP8_E3M4_IEEE", 3, 5)
FP8_E4M3_FNUZ = _float("FP8_E4M3_FNUZ", 4, 4, Specials.FNUZ)
FP8_E5M2_FNUZ = _float("FP8_E5M2_FNUZ", 5, 3, Specials.FNUZ)
FP8_E4M3_B11FNUZ = _float("FP8_E4M3_B11FNUZ", 4, 4, Specials.FNUZ, bias=11)
FP6_E2M3 = _float("FP6_E2M3", 2, 4, Specials.NONE)
FP6_E3M2 = _float("FP6_E3M2", 3, 3, Specials.NONE)
FP4_E2M1 = _float("FP4_E2M1", 2, 2, Specials.NONE)
E8M0 = _float("E8M0", 8, 1, Specials.SCALE, signed=False)
INT2, INT3, INT4, INT5, INT6, INT7, INT8 = (integer(k) for k in range(2, 9))
INT9, INT10, INT11, INT12, INT13, INT14, INT15, INT16 = (integer(k) for k in range(9, 17))

NAMED: tuple[Format, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Format))
