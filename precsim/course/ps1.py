"""Problem set 1: a number's code, its rounding, and the amount of data that begins to hurt."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from precsim.course.checking import Exercise, Mistake
from precsim.laws.published import KUMAR_2024
from precsim.numerics.formats import FP8_E4M3
from precsim.numerics.rounding import round_to

__all__ = ["DECODE", "EXERCISES", "ROUND", "TURNING_POINT", "Row", "damage_table"]

_FMT = FP8_E4M3
_STEP = 2 ** (_FMT.precision - 1)  # trailing significands in a binade


# -- decode ------------------------------------------------------------------------------------------------------


def _fields(code: int) -> tuple[float, int, int]:
    return (-1.0 if code & 0x80 else 1.0), code >> 3 & 0xF, code & 0x7


def _decode(code: int, *, bias: int = 7, hidden_in_subnormals: bool = False, emin: int = -6, top: bool = True) -> float:
    sign, exponent, trailing = _fields(code)
    if top and code & 0x7F == 0x7F:
        return math.nan
    if exponent == 0 and not hidden_in_subnormals:
        return sign * trailing / _STEP * 2.0**emin
    return sign * (1 + trailing / _STEP) * 2.0 ** (exponent - bias)


DECODE = Exercise(
    name="decode",
    truth=_FMT.value,
    inputs=lambda: tuple((c,) for c in (0x38, 0x3C, 0x40, 0x35, 0xB8, 0x7E, 0x01, 0x07, 0x08, 0x7F)),
    mistakes=(
        Mistake("bias", "the bias of a 4-bit exponent is 2**3 - 1 = 7, not 8.", lambda c: _decode(c, bias=8, emin=-7)),
        Mistake(
            "hidden bit",
            "where the exponent field is 0 there is no hidden 1: these are the subnormals and zero.",
            functools.partial(_decode, hidden_in_subnormals=True),
        ),
        Mistake(
            "subnormal exponent",
            "subnormals have the exponent of the smallest normal number, 1 - bias, not 0 - bias; else a gap opens.",
            functools.partial(_decode, emin=-7),
        ),
        Mistake("sign", "the highest bit is the sign; it is not part of the exponent.", lambda c: abs(_decode(c))),
        Mistake(
            "no NaN",
            "E4M3 of the OCP has one code of each sign that is not a number: all exponent and significand bits set.",
            functools.partial(_decode, top=False),
        ),
    ),
)


# -- round -------------------------------------------------------------------------------------------------------


def _round_with(pick: Callable[[float], float], x: float, *, emin: int = -6, saturate: bool = True) -> float:
    """Return x with its significand in units of the last place rounded by `pick`."""
    if x == 0 or math.isnan(x):
        return x
    exponent = max(math.frexp(x)[1] - 1, emin)
    ulp = 2.0 ** (exponent - _FMT.precision + 1)
    y = math.copysign(pick(abs(x) / ulp) * ulp, x)
    return math.copysign(min(abs(y), _FMT.maximum), x) if saturate else y


def _rounded(x: float) -> float:
    return float(round_to(np.array([x]), _FMT, saturate=True)[0])


ROUND = Exercise(
    name="round_e4m3",
    truth=_rounded,
    # halfway cases: 1.0625 and 1.1875 (1 + 1/16, 1 + 3/16), 2**-10 (half the smallest subnormal)
    inputs=lambda: tuple(
        (v,) for v in (1.0, 1.3, -1.3, 0.3, 100.0, 1.0625, 1.1875, -1.0625, 0.01, 0.002, 2.0**-10, 500.0, 0.0)
    ),
    mistakes=(
        Mistake(
            "cut",
            "it cuts the digits off (toward zero); the nearest value may be the one above.",
            functools.partial(_round_with, math.floor),
        ),
        Mistake(
            "ties away",
            "a number halfway between two values goes to the one whose last bit is 0, not always away from zero.",
            functools.partial(_round_with, lambda t: math.floor(t + 0.5)),
        ),
        Mistake(
            "ties up",
            "a negative number must round like its mirror image; floor(t + 1/2) does not.",
            lambda x: math.floor(x / _ulp(x) + 0.5) * _ulp(x) if x else x,
        ),
        Mistake(
            "no subnormals",
            "below 2**-6 the spacing stays at 2**-9: the exponent used for the spacing must not fall below emin.",
            functools.partial(_round_with, round, emin=-1000),
        ),
        Mistake(
            "flush",
            "values below the smallest normal number 2**-6 are not zero: the subnormals fill that gap.",
            lambda x: _round_with(round, x) if abs(x) >= _FMT.smallest_normal else math.copysign(0.0, x),
        ),
        Mistake(
            "overflow",
            "nothing above the maximum, 448, exists here: larger numbers become the maximum.",
            functools.partial(_round_with, round, saturate=False),
        ),
    ),
)


def _ulp(x: float) -> float:
    return 2.0 ** (max(math.frexp(x)[1] - 1, _FMT.emin) - _FMT.precision + 1)


# -- turning point -----------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """One amount of data D [tokens], and the loss of the trained model before and after quantizing [nats/token]."""

    D: float
    full: float
    quantized: float


def damage_table(bits: float, *, N: float = 30e6) -> tuple[Row, ...]:
    """The losses that Kumar et al.'s published law gives to a model of N parameters, in ascending D.

    Parameters
    ----------
    bits : float
        Width of the weights after training.
    N : float
        Parameters.

    Examples
    --------
    >>> rows = damage_table(3)
    >>> len(rows), rows[-1].full < rows[0].full
    (9, True)
    """
    law: Any = KUMAR_2024
    tokens = [1e9 * 2.0**k for k in range(9)]
    return tuple(Row(d, float(law(N, d)), float(law(N, d, post=bits))) for d in tokens)


def _turning_point(rows: Sequence[Row]) -> float:
    best = min(rows, key=lambda row: row.quantized)
    return math.inf if best == rows[-1] else best.D


TURNING_POINT = Exercise(
    name="turning_point",
    truth=_turning_point,
    inputs=lambda: tuple((damage_table(bits),) for bits in (3, 4, 3.5, 8)),
    mistakes=(
        Mistake(
            "never",
            "if the quantized loss still falls at the last D, the table shows no turning point: return math.inf.",
            lambda rows: min(rows, key=lambda row: row.quantized).D,
        ),
        Mistake(
            "index",
            "it returns the place in the table, not the number of tokens that stands there.",
            lambda rows: rows.index(min(rows, key=lambda row: row.quantized)),
        ),
        Mistake(
            "before quantizing",
            "it looks at the loss as trained, which falls with every token; the question is about the quantized model.",
            lambda rows: min(rows, key=lambda row: row.full).D,
        ),
        Mistake(
            "least damage",
            "the damage, quantized minus full, grows from the start; what counts is where it outgrows the gain.",
            lambda rows: min(rows, key=lambda row: row.quantized - row.full).D,
        ),
        Mistake(
            "worst",
            "it returns where the quantized loss is highest; more data begins to hurt after the lowest.",
            lambda rows: max(rows, key=lambda row: row.quantized).D,
        ),
    ),
)

EXERCISES = (DECODE, ROUND, TURNING_POINT)
