"""One instruction of a matrix unit, step by step in exact rationals: for pictures, lessons and tests, not for speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from precsim.numerics.matrix_product import multiply
from precsim.numerics.matrix_unit import Join, MatrixUnit

__all__ = ["Instruction", "instruction"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """What happens to the terms of one instruction.

    Parameters
    ----------
    terms : tuple of Fraction
        The products, then the accumulator, exact.
    exponents : tuple of int
        That each term counts with: the sum of its factors' exponents, so that a product of exponent e is below
        ``2**(e + 2)``.
    largest : int
        E, to which all are aligned.
    last : int
        Place of the last bit that is kept: E - f.
    kept : tuple of Fraction
        The terms after truncation to multiples of ``2**last``.
    total : Fraction
        Their exact sum.
    result : float
        The sum in the accumulator's format.
    """

    terms: tuple[Fraction, ...]
    exponents: tuple[int, ...]
    largest: int
    last: int
    kept: tuple[Fraction, ...]
    total: Fraction
    result: float


def instruction(a: Sequence[float], b: Sequence[float], unit: MatrixUnit, start: float = 0.0) -> Instruction:
    """Return the steps in which a unit adds the products of a and b to an accumulator.

    Parameters
    ----------
    a, b : sequences of float
        Finite values of the unit's formats, at most as many as the unit takes at once.
    unit : MatrixUnit
        One without block scales that aligns the accumulator with the products.
    start : float
        The accumulator.

    Raises
    ------
    ValueError
        If there are too many factors, a value is not finite or not of its format, or the unit is of another kind.

    Examples
    --------
    >>> from precsim.numerics.named_units import H100_FP8
    >>> steps = instruction([256, 1], [256, 0.0625], H100_FP8, 6.0)
    >>> steps.largest, steps.last, [float(t) for t in steps.kept], steps.result
    (16, 3, [65536.0, 0.0, 0.0], 65536.0)
    """
    if unit.join is not Join.ALIGNED or unit.scales is not None:
        raise ValueError(f"steps are shown of units that align all terms, without block scales; received {unit}")
    most = unit.terms // unit.split
    if len(a) != len(b) or not 1 <= len(a) <= most:
        raise ValueError(f"{unit} takes 1 to {most} products at once; received {len(a)} and {len(b)} factors")
    if bad := [v for v in (*a, *b, start) if not math.isfinite(v)]:
        raise ValueError(f"steps are those of finite numbers; received {bad[0]}")
    x, y = (np.array([v], np.float64) for v in (a, b))
    result = float(multiply(x, y.T, unit, start=start)[0, 0])
    terms = [Fraction(p) * Fraction(q) for p, q in zip(a, b, strict=True)] + [Fraction(start)]
    exponents = [_exponent(p, unit.left.emin) + _exponent(q, unit.right.emin) for p, q in zip(a, b, strict=True)]
    exponents.append(_exponent(start, unit.output.emin))
    counted = tuple(e if t else unit.least_exponent for e, t in zip(exponents, terms, strict=True))
    largest = max(counted)
    step = Fraction(2) ** (largest - unit.fraction_bits)
    kept = tuple(math.trunc(t / step) * step for t in terms)
    return Instruction(
        tuple(terms), counted, largest, largest - unit.fraction_bits, kept, sum(kept, Fraction(0)), result
    )


def _exponent(x: float, least: int) -> int:
    return max(math.frexp(x)[1] - 1, least) if x else least
