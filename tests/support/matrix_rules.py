"""The rules of matrix units in exact rationals, one dot product at a time: from the rules, not from the kernels.

A number is significand times 2**exponent; a subnormal keeps its format's least exponent. See
`precsim.numerics.matrix_unit`.
"""

from __future__ import annotations

import math
from fractions import Fraction

from precsim.numerics import FP16, Rounding
from precsim.numerics.matrix_unit import Join, MatrixUnit

NONE = -(10**6)  # exponent of a product that is zero


def power(e: int) -> Fraction:
    return Fraction(2) ** e


def exponent(value: Fraction, least: int) -> int:
    """floor(log2 |value|), at least `least`."""
    size = abs(value)
    if not size:
        return least
    e = size.numerator.bit_length() - size.denominator.bit_length()
    return max(e if size >= power(e) else e - 1, least)


def cut(value: Fraction, unit: Fraction) -> Fraction:
    return math.trunc(value / unit) * unit


def rounded(value: Fraction, unit: MatrixUnit) -> float:
    """The sum in the accumulator's format."""
    fmt = unit.output
    spacing = power(exponent(value, fmt.emin) - fmt.precision + 1)
    nearest = unit.rounding is Rounding.NEAREST_EVEN
    result = round(value / spacing) * spacing if nearest else cut(value, spacing)
    if abs(result) >= power(fmt.emax + 1):
        return math.copysign(math.inf, value)
    return float(result)


def special(values) -> float | None:
    """What infinities and NaN make of a sum; None if there are none."""
    strange = [v for v in values if not math.isfinite(v)]
    if not strange:
        return None
    if any(math.isnan(v) for v in strange) or len({math.copysign(1, v) for v in strange}) == 2:
        return math.nan
    return strange[0]


def product(x: float, y: float) -> float:
    """Infinite or undefined products only; 0 for the finite ones."""
    if math.isfinite(x) and math.isfinite(y):
        return 0.0
    return x * y


def instruction(a, b, c: float, unit: MatrixUnit, scales=None) -> float:
    """One (part of an) instruction: c plus the products of a and b. scales: of each term, pairs."""
    strange = [product(x, y) for x, y in zip(a, b, strict=True)]
    if scales is not None:
        strange += [s for pair in scales for s in pair]
    if unit.join is not Join.ALIGNED:  # a product of 2**128 is infinite there
        strange += [
            math.copysign(math.inf, x * y) for x, y in zip(a, b, strict=True) if 2.0**128 <= abs(x * y) < math.inf
        ]
    found = special([*strange, c])
    if found is not None:
        return found
    a, b, c = [Fraction(x) for x in a], [Fraction(y) for y in b], Fraction(c)
    if unit.join is not Join.ALIGNED:
        return afterwards(a, b, c, unit)
    ea = [exponent(x, unit.left.emin) for x in a]
    eb = [exponent(y, unit.right.emin) for y in b]
    terms = [x * y for x, y in zip(a, b, strict=True)]
    exponents = [e + g if t else unit.least_exponent for e, g, t in zip(ea, eb, terms, strict=True)]
    if scales is not None:
        terms, exponents = scaled(terms, exponents, scales, unit)
    terms.append(c)
    exponents.append(exponent(c, unit.output.emin) if c else unit.least_exponent)
    top = max(exponents)
    total = sum(cut(t, power(top - unit.fraction_bits)) for t in terms)
    return rounded(total, unit)


def scaled(terms, exponents, scales, unit):
    """Terms times the scales of their blocks; with exact sums of a group where the unit makes them."""
    fmt, group = unit.scales.format, unit.scales.exact
    least = -127 if fmt.precision == 1 else fmt.emin
    factors = [(Fraction(s), Fraction(t)) for s, t in scales]
    powers = [exponent(s, least) + exponent(t, least) for s, t in factors]
    if group is None:
        return (
            [t * s * u for t, (s, u) in zip(terms, factors, strict=True)],
            [e + p if t else unit.least_exponent for t, e, p in zip(terms, exponents, powers, strict=True)],
        )
    sums, tops = [], []
    for g in range(0, len(terms), group):
        s, u = factors[g]
        sums.append(sum(terms[g : g + group]) * s * u)
        tops.append(powers[g] if any(terms[g : g + group]) and s * u else unit.least_exponent)
    return sums, tops


def afterwards(a, b, c: Fraction, unit: MatrixUnit) -> float:
    """CDNA 3: the products' sum and the accumulator, rounded down."""

    def along(step_a, step_b):
        terms = [x * y for x, y in zip(step_a, step_b, strict=True)]
        exponents = [
            exponent(x, unit.left.emin) + exponent(y, unit.right.emin) if x * y else NONE
            for x, y in zip(step_a, step_b, strict=True)
        ]
        top = max(exponents, default=NONE)
        return sum(cut(t, power(top - 24)) for t in terms if t), top

    if unit.join is Join.AFTER_PAIRS:
        (even, high), (odd, other) = along(a[::2], b[::2]), along(a[1::2], b[1::2])
        top = max(high, other)
        unit_of = power(top - 24)
        total = math.floor(even / unit_of) * unit_of + math.floor(odd / unit_of) * unit_of
    else:
        total, top = along(a, b)
    ec = exponent(c, -126)
    both = max(top, ec)
    total = math.floor(total / power(both - 32)) * power(both - 32)
    c = math.floor(c / power(both - 24)) * power(both - 24)
    if unit.join is Join.AFTER_PAIRS and ec < both - 25:
        c = Fraction(0)
    value = total + c
    step = power(exponent(value, -126) - 31)
    return rounded(math.floor(value / step) * step, unit)


def added(x: float, y: float) -> float:
    """One float32 addition, rounded to nearest-even."""
    found = special([x, y])
    if found is not None:
        return found
    total = Fraction(x) + Fraction(y)
    spacing = power(exponent(total, -126) - 23)
    result = round(total / spacing) * spacing
    return math.copysign(math.inf, total) if abs(result) >= power(128) else float(result)


def dot(a, b, unit: MatrixUnit, *, start=0.0, promote=None, parts=(), scales=None) -> float:
    """A whole dot product; scales are those of each term."""
    whole = None
    first = 0
    for part in parts or (len(a),):
        total, c = None, start
        for k in range(first, first + part, unit.terms // unit.split):
            end = min(k + unit.terms // unit.split, first + part)
            pairs = None if scales is None else scales[k:end]
            c = instruction(a[k:end], b[k:end], c, unit, pairs)
            if promote is not None and ((end - first) % promote == 0 or end == first + part):
                total, c = c if total is None else added(total, c), 0.0
        first += part
        result = c if promote is None else total
        whole = result if whole is None else added(whole, result)
    return whole


def nan_code(unit: MatrixUnit) -> int:
    """The bits of every NaN result."""
    return 0x7FFF if unit.output is FP16 else 0x7FFFFFFF
