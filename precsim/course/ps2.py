"""Problem set 2: bits of a format, its spacing, rounding by mode or with random bits, an MX block, an aligned sum."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from precsim.course.checking import Exercise, Mistake
from precsim.numerics.formats import E8M0, FP4_E2M1, FP6_E3M2
from precsim.numerics.quantize import PerBlock, Quantizer
from precsim.numerics.rounding import GivenBits, Rounding, encode, next_up, round_to, ulp

__all__ = ["ALIGNED", "DIRECTED", "ENCODE", "EXERCISES", "MX_ELEMENT", "MX_SCALE", "NEXT_UP", "SPACING", "STOCHASTIC"]

Terms = Sequence[tuple[float, int]]  # significands and exponents

_FMT = FP6_E3M2  # 1 sign, 3 exponent, 2 significand bits; bias 3, emin -2, largest 28, no infinity and no NaN
_EMIN, _TRAILING = _FMT.emin, _FMT.precision - 1


# -- encode ------------------------------------------------------------------------------------------------------


def _encode(x: float, *, hidden: bool = False, bias: int = 3, subnormals: bool = True, sign: bool = True) -> int:
    """Return the code of a value of E3M2, with slips on request."""
    top = 32 if sign and math.copysign(1, x) < 0 else 0
    size = abs(x)
    if size < _FMT.smallest_normal:
        return top | (int(size * 2 ** (_TRAILING - _EMIN)) if subnormals else 0)
    exponent = math.frexp(size)[1] - 1
    fraction = size / 2.0**exponent - (0 if hidden else 1)
    return top | (exponent + bias) << _TRAILING | int(fraction * 2**_TRAILING)


ENCODE = Exercise(
    name="encode_e3m2",
    truth=lambda x: int(encode(np.array([x]), _FMT)[0]),
    inputs=lambda: tuple((v,) for v in (1.0, 1.25, 2.0, 28.0, 0.25, -1.0, -0.375, 0.1875, 0.0625, 0.0)),
    mistakes=(
        Mistake(
            "hidden bit",
            "the leading 1 of a normal number is not stored: only the fraction behind it is.",
            functools.partial(_encode, hidden=True),
        ),
        Mistake("bias", "the bias of a 3-bit exponent is 2**2 - 1 = 3, not 4.", functools.partial(_encode, bias=4)),
        Mistake(
            "subnormals",
            "values below 2**-2 have exponent field 0 and their size, in units of 2**-4, as significand.",
            functools.partial(_encode, subnormals=False),
        ),
        Mistake("sign", "a negative number has the highest bit, 32, set.", functools.partial(_encode, sign=False)),
    ),
)


# -- spacing and neighbors -----------------------------------------------------------------------------------------


def _spacing(x: float, *, emin: int = _EMIN, digits: int = _TRAILING) -> float:
    return 2.0 ** (max(math.frexp(x)[1] - 1, emin) - digits)


SPACING = Exercise(
    name="spacing",
    truth=lambda x: float(ulp(x, _FMT)),
    inputs=lambda: tuple((v,) for v in (1.0, 1.9, 2.0, -5.0, 27.0, 0.25, 0.1, 0.03)),
    mistakes=(
        Mistake(
            "no emin",
            "below the smallest normal number, 2**-2, the spacing stops shrinking.",
            functools.partial(_spacing, emin=-1000),
        ),
        Mistake(
            "precision",
            "two significand bits are stored: the spacing is 2**-2 of the binade, not 2**-3.",
            functools.partial(_spacing, digits=3),
        ),
        Mistake(
            "exponent of frexp",
            "math.frexp gives a significand from 1/2 to 1, so its exponent is one too large.",
            lambda x: 2.0 ** (max(math.frexp(x)[1], _EMIN) - _TRAILING),
        ),
        Mistake(
            "relative",
            "the spacing is the same from one power of two to the next; it is not x times a constant.",
            lambda x: abs(x) * 2.0**-_TRAILING,
        ),
    ),
)


def _above(x: float) -> float:
    return float(next_up(x, _FMT)) + 0.0  # -0 and 0 are one value here


NEXT_UP = Exercise(
    name="next_above",
    truth=_above,
    inputs=lambda: tuple((v,) for v in (1.0, 1.75, 0.0, 0.1875, -1.5, -2.0, -0.0625, 28.0)),
    mistakes=(
        Mistake(
            "power of two",
            "just below a negative power of two's size the spacing is half: from -2 the next value above is -1.75.",
            lambda x: x + _spacing(x) if x < _FMT.maximum else math.nan,
        ),
        Mistake(
            "away from zero",
            "above means toward plus infinity: the neighbor of a negative number is nearer to zero.",
            lambda x: (x + math.copysign(_spacing(x), x)) if abs(x) < _FMT.maximum else math.nan,
        ),
        Mistake(
            "end",
            "nothing lies above the largest value, 28: return math.nan.",
            lambda x: _above(x) if x < _FMT.maximum else x + _spacing(x),
        ),
    ),
)


# -- rounding under a mode -----------------------------------------------------------------------------------------

_MODES = {"up": Rounding.UP, "down": Rounding.DOWN, "toward zero": Rounding.TOWARD_ZERO, "to odd": Rounding.TO_ODD}


def _directed(x: float, mode: str) -> float:
    return float(round_to(np.array([x]), _FMT, _MODES[mode])[0])


def _picked(x: float, mode: str, pick: dict[str, Callable[[float], float]]) -> float:
    unit = _spacing(x)
    return pick[mode](x / unit) * unit


def _odd(t: float) -> float:
    low = math.floor(t)
    return float(low) if t == low or low % 2 else float(low + 1)


_RIGHT = {"up": math.ceil, "down": math.floor, "toward zero": math.trunc, "to odd": _odd}

DIRECTED = Exercise(
    name="round_by",
    truth=_directed,
    inputs=lambda: tuple(
        (x, mode) for x in (1.3, 1.5, 2.75, 5.5, -1.3, -5.5, 0.1) for mode in ("up", "down", "toward zero", "to odd")
    ),
    mistakes=(
        Mistake(
            "mirror",
            "up and down are directions on the line, not away from and toward zero: up of -1.3 is -1.25.",
            lambda x, mode: math.copysign(_picked(abs(x), mode, _RIGHT), x),
        ),
        Mistake(
            "floor for zero",
            "toward zero is not down: the two differ for negative numbers.",
            lambda x, mode: _picked(x, mode, {**_RIGHT, "toward zero": math.floor}),
        ),
        Mistake(
            "always odd",
            "a number that is in the format stays, even if its last bit is 0: to odd changes inexact results only.",
            lambda x, mode: _picked(x, mode, {**_RIGHT, "to odd": lambda t: 2.0 * math.floor(t / 2) + 1}),
        ),
        Mistake(
            "nearest",
            "to odd does not ask which neighbor is nearer.",
            lambda x, mode: _picked(x, mode, {**_RIGHT, "to odd": round}),
        ),
    ),
)


# -- stochastic rounding -------------------------------------------------------------------------------------------


def _stochastic(x: float, bits: int, width: int) -> float:
    noise = GivenBits(np.array([bits]), width)
    return float(round_to(np.array([x]), _FMT, Rounding.STOCHASTIC_A, noise=noise)[0])


def _with_threshold(x: float, up: Callable[[float, float], bool], *, cut: Callable[[float], int] = math.floor) -> float:
    unit = _spacing(x)
    low = cut(abs(x) / unit)
    return math.copysign((low + up(abs(x) / unit - low, low)) * unit, x)


STOCHASTIC = Exercise(
    name="stochastic_round",
    truth=_stochastic,
    inputs=lambda: tuple(
        (x, bits, 3) for x in (1.0, 1.0625, 1.125, 2.3, -1.0625, -1.2) for bits in (0, 1, 3, 4, 5, 6, 7)
    ),
    mistakes=(
        Mistake(
            "reversed",
            "large R must round up: with the fraction 1/4 and 3 bits, R = 6 and 7 go up, R = 0 and 1 do not.",
            lambda x, R, N: _with_threshold(x, lambda nu, _: math.floor(nu * 2**N) > R),
        ),
        Mistake(
            "off by one",
            "up needs floor(nu 2**N) + R >= 2**N; with > one value of R is lost, and the mean is too small.",
            lambda x, R, N: _with_threshold(x, lambda nu, _: math.floor(nu * 2**N) + R > 2**N),
        ),
        Mistake(
            "not cut",
            "the fraction is cut off to N bits first; nu 2**N + R >= 2**N must not see the digits behind.",
            lambda x, R, N: _with_threshold(x, lambda nu, _: math.ceil(nu * 2**N) + R >= 2**N),
        ),
        Mistake(
            "sign",
            "the fraction is measured from the neighbor nearer zero, for negative numbers too.",
            lambda x, R, N: _from_below(x, R, N),
        ),
        Mistake(
            "nearest",
            "it returns the nearest value whatever R is.",
            lambda x, R, N: float(round_to(np.array([x]), _FMT)[0]),
        ),
    ),
)


def _from_below(x: float, R: int, N: int) -> float:
    unit = _spacing(x)
    low = math.floor(x / unit)
    return (low + (math.floor((x / unit - low) * 2**N) + R >= 2**N)) * unit


# -- an MX block ---------------------------------------------------------------------------------------------------

_ELEMENT = FP4_E2M1
_BLOCKS = (
    (1.0, 0.5, -0.25, 0.1),
    (6.0, 3.0, 1.0, -0.4),
    (-7.9, 1.1, 0.3, 2.2),
    (0.3, 0.2, -0.1, 0.01),
    (100.0, -55.0, 7.0, 0.5),
    (4.0, 3.9, -3.7, 0.2),
)


def _exponent(block: Sequence[float]) -> int:
    scale = PerBlock(len(block), scale_format=E8M0).scale(np, np.array([block], np.float32), (1,), _ELEMENT.grid())
    return round(math.log2(scale.item()))


MX_SCALE = Exercise(
    name="mx_exponent",
    truth=_exponent,
    inputs=lambda: tuple((block,) for block in _BLOCKS),
    mistakes=(
        Mistake(
            "emax",
            "the elements themselves reach up to 2**2 * 1.5: subtract E2M1's largest exponent, 2.",
            lambda block: math.floor(math.log2(max(map(abs, block)))),
        ),
        Mistake(
            "signed maximum",
            "the largest magnitude counts, also if that element is negative.",
            lambda block: math.floor(math.log2(max(block))) - 2,
        ),
        Mistake(
            "no clipping",
            "that is the smallest scale with which nothing is clipped; the OCP's rule takes the floor and lets clip.",
            lambda block: math.ceil(math.log2(max(map(abs, block)) / _ELEMENT.maximum)),
        ),
        Mistake(
            "round",
            "the rule takes the floor of the logarithm, not the nearest integer.",
            lambda block: round(math.log2(max(map(abs, block)))) - 2,
        ),
    ),
)


def _element(block: Sequence[float], place: int) -> float:
    quantizer = Quantizer(_ELEMENT, PerBlock(len(block), scale_format=E8M0))
    return float(quantizer(np.array(block, np.float32))[place])


def _element_with(block: Sequence[float], place: int, *, scale: float | None = None, again: bool = True) -> float:
    s = 2.0 ** _exponent(block) if scale is None else scale
    y = float(round_to(np.array([np.float32(block[place]) / s]), _ELEMENT)[0])
    return y * s if again else y


def _unsaturated(block: Sequence[float], place: int) -> float:
    s = 2.0 ** _exponent(block)
    t = float(np.float32(block[place])) / s
    unit = 2.0 ** (max(math.frexp(t)[1] - 1, 0) - 1)
    return round(t / unit) * unit * s


def _integer_element(block: Sequence[float], place: int) -> float:
    s = 2.0 ** _exponent(block)
    return max(-6, min(6, round(float(np.float32(block[place])) / s))) * s


MX_ELEMENT = Exercise(
    name="mx_value",
    truth=_element,
    inputs=lambda: tuple((block, place) for block in _BLOCKS for place in range(4)),
    mistakes=(
        Mistake(
            "not scaled back",
            "what is stored must be multiplied by the scale again.",
            functools.partial(_element_with, again=False),
        ),
        Mistake(
            "absmax scale",
            "the scale of an MX block is a power of two, not max|x| / 6.",
            lambda block, place: _element_with(block, place, scale=max(map(abs, block)) / 6),
        ),
        Mistake(
            "beyond the end",
            "E2M1 has no value beyond 6: what is scaled beyond it becomes 6 times the scale.",
            _unsaturated,
        ),
        Mistake(
            "not rounded to the grid",
            "E2M1 has half steps up to 2, whole steps to 4, and then 6: rounding to an integer is another format.",
            _integer_element,
        ),
    ),
)


# -- a tensor core's sum --------------------------------------------------------------------------------------------

_TERMS = (
    (((1.0, 0), (1.5, -1)), 3),
    (((1.75, 0), (1.0, -4)), 3),
    (((1.0, 2), (-1.5, -2), (1.25, -1)), 3),
    (((3.25, 0), (1.25, 1), (1.5, -3)), 3),
    (((1.0, 3), (1.5, -2), (1.5, -2), (1.5, -2)), 4),
    (((-2.25, 1), (1.875, 1), (-1.5, -3), (1.125, -4)), 4),
    (((1.0, 0), (-1.96875, -1), (3.0625, -2)), 4),
)


def _cut_at(terms: Terms, f: int, *, cut: Callable[[float], int] = math.trunc) -> float:
    largest = max(e for _, e in terms)
    return sum(cut(s * 2.0 ** (f + e - largest)) for s, e in terms) * 2.0 ** (largest - f)


def _normalized(terms: Terms) -> Terms:
    return tuple((s / 2, e + 1) if abs(s) >= 2 else (s, e) for s, e in terms)


def _cut_last(terms: Terms, f: int) -> float:
    largest = max(e for _, e in terms)
    return math.trunc(sum(s * 2.0**e for s, e in terms) * 2.0 ** (f - largest)) * 2.0 ** (largest - f)


ALIGNED = Exercise(
    name="aligned_sum",
    truth=_cut_at,
    inputs=lambda: _TERMS,
    mistakes=(
        Mistake(
            "toward minus infinity",
            "truncation goes toward zero: math.floor moves negative terms away from it.",
            functools.partial(_cut_at, cut=math.floor),
        ),
        Mistake(
            "nearest",
            "bits behind the last place are cut off, not rounded: the unit has no rounding before the sum.",
            functools.partial(_cut_at, cut=round),
        ),
        Mistake(
            "cut after the sum",
            "each term is cut before it is added; summed first, small terms would survive together.",
            _cut_last,
        ),
        Mistake(
            "normalized",
            "a product's significand may lie between 2 and 4; its exponent is e all the same.",
            lambda terms, f: _cut_at(_normalized(terms), f),
        ),
        Mistake(
            "own exponent",
            "all terms are cut at one place, f bits behind the largest exponent, not each behind its own.",
            lambda terms, f: sum(math.trunc(s * 2.0**f) * 2.0 ** (e - f) for s, e in terms),
        ),
    ),
)

EXERCISES = (ENCODE, SPACING, NEXT_UP, DIRECTED, STOCHASTIC, MX_SCALE, MX_ELEMENT, ALIGNED)
