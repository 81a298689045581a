"""Functions of numbers, element by element, rounded once to a format: sums, quotients, roots, exponentials.

Two ways to one rounding. The exact error of a float64 sum, product, quotient or root is itself known, so those are
rounded to odd in float64 first, and rounding that to at most 51 bits is rounding the exact result (Boldo and Melquiond
2008). An exponential has no such error: its float64 value is taken with a margin, both ends are rounded, and where
they differ (one element in 2**27 at 24 bits, and exact results) the value is found to 200 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from precsim.numerics.binary_format import Format
from precsim.numerics.inputs import as_numbers
from precsim.numerics.modes import NanRule, Rounding, Saturation
from precsim.numerics.rounding import round_to

__all__ = ["elementwise"]

_MARGIN = 8  # float64 spacings; NumPy's vector functions state 4 at most
_DIGITS = 200  # bits; the hardest case known for float32 arguments needs 113


def elementwise(
    function: np.ufunc,
    *x: ArrayLike,
    fmt: Format,
    rounding: Rounding = Rounding.NEAREST_EVEN,
    saturate: bool | Saturation | None = None,
    nan: NanRule | None = None,
) -> np.ndarray:
    """Return a function of numbers with its exact value rounded once to a format.

    Parameters
    ----------
    function : numpy.ufunc
        ``np.add``, ``subtract``, ``multiply``, ``divide``, ``sqrt``, ``exp``, ``exp2``, ``expm1``, ``log``, ``log2``,
        ``log1p``, ``sin``, ``cos``, ``tanh``.
    *x : array_like, float, shapes that broadcast
        As many as the function takes; they are not rounded first.
    fmt : Format
        Of at most 26 bits of precision.
    rounding : Rounding
        Any but the stochastic ones.
    saturate, nan
        As for `precsim.round_to`.

    Returns
    -------
    numpy.ndarray, float64
        Values of the format.

    Raises
    ------
    ValueError
        If the function is not one of these, the rounding is stochastic, or the format is too precise.

    Examples
    --------
    >>> from precsim.numerics import BF16, FP8_E4M3
    >>> elementwise(np.divide, [1.0, 2.0], 3.0, fmt=FP8_E4M3)
    array([0.34375, 0.6875 ])
    >>> elementwise(np.exp, 1.0, fmt=BF16, rounding=Rounding.DOWN)
    np.float64(2.703125)
    """
    if function not in _EXACT and function not in _PRECISE:
        known = ", ".join(f.__name__ for f in [*_EXACT, *_PRECISE])
        raise ValueError(f"elementwise knows {known}; received {function!r}")
    if rounding.is_stochastic:
        raise ValueError(f"elementwise rounds deterministically; received {rounding!r}: round the float64 result")
    if fmt.precision > 26:
        raise ValueError(f"one rounding through float64 is proven for at most 26 bits; {fmt} has {fmt.precision}")
    if len(x) != function.nin:
        raise ValueError(f"{function.__name__} takes {function.nin} arrays; received {len(x)}")
    operands = list(np.broadcast_arrays(*(as_numbers(v).astype(np.float64) for v in x)))

    def finish(values: np.ndarray | np.float64) -> np.ndarray:
        return np.asarray(round_to(values, fmt, rounding, saturate=saturate, nan=nan))

    with np.errstate(all="ignore"):
        near = _without_overflow(function, np.asarray(function(*operands)), operands)
        if function in _EXACT:
            return finish(_to_odd(near, np.asarray(_EXACT[function](near, *operands))))[()]
        result = finish(near)
        reach = _MARGIN * np.spacing(np.abs(near))
        doubtful = np.isfinite(near) & (finish(near - reach) != finish(near + reach))
    for place in zip(*np.nonzero(np.atleast_1d(doubtful)), strict=True):
        where = place if near.ndim else ()
        result[where] = finish(_precisely(_PRECISE[function], *(float(v[where]) for v in operands)))
    return result[()]


def _to_odd(near: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Move an even last bit toward the exact value, which lies beyond `near` by something of the sign of `error`."""
    inexact = np.isfinite(near) & (error != 0) & ~np.isnan(error) & (near.view(np.int64) & 1 == 0)
    with np.errstate(over="ignore", under="ignore"):
        return np.where(inexact, np.nextafter(near, np.copysign(np.inf, error)), near)


def _without_overflow(function: np.ufunc, near: np.ndarray, operands: list[np.ndarray]) -> np.ndarray:
    """The largest float64 in the place of an infinity that no operand and no pole explains: the exact value is finite.

    So that rounding toward zero stops at the format's largest value there too.
    """
    finite = np.logical_and.reduce([np.isfinite(v) for v in operands])
    pole = function in (np.log, np.log2, np.log1p) or (function is np.divide and operands[1] == 0)
    return np.where(np.isinf(near) & finite & np.logical_not(pole), np.copysign(np.finfo(np.float64).max, near), near)


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a b as a float64 and its exact error (Dekker 1971, with Veltkamp's split into 26 and 27 bits)."""
    product = a * b
    a_high, b_high = (v * 134217729.0 - (v * 134217729.0 - v) for v in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _sum_error(s: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    t = s - a
    return (a - (s - t)) + (b - t)


def _product_error(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # of the significands, whose product neither overflows nor underflows; p may have
    (a_part, a_power), (b_part, b_power) = np.frexp(a), np.frexp(b)
    whole, rest = _two_product(a_part, b_part)
    return (whole - np.ldexp(p, -a_power - b_power)) + rest


def _quotient_error(q: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (a_part, a_power), (b_part, b_power), (q_part, q_power) = (np.frexp(v) for v in (a, b, q))
    whole, rest = _two_product(q_part, b_part)
    power = q_power + b_power - a_power
    return ((a_part - np.ldexp(whole, power)) - np.ldexp(rest, power)) * np.sign(b_part)


def _root_error(s: np.ndarray, a: np.ndarray) -> np.ndarray:
    (a_part, a_power), (s_part, s_power) = np.frexp(a), np.frexp(s)
    whole, rest = _two_product(s_part, s_part)
    return (np.ldexp(a_part, a_power - 2 * s_power) - whole) - rest


#: The error that a float64 result has, up to a positive factor: only its sign is used.
_EXACT: dict[np.ufunc, Callable[..., np.ndarray]] = {
    np.add: _sum_error,
    np.subtract: lambda s, a, b: _sum_error(s, a, -b),
    np.multiply: _product_error,
    np.divide: _quotient_error,
    np.sqrt: _root_error,
}

#: Names in mpmath, which knows the same functions to any precision.
_PRECISE: dict[np.ufunc, str] = {
    np.exp: "exp",
    np.exp2: "exp2",
    np.expm1: "expm1",
    np.log: "ln",
    np.log2: "log2",
    np.log1p: "log1p",
    np.sin: "sin",
    np.cos: "cos",
    np.tanh: "tanh",
}


def _precisely(name: str, x: float) -> np.float64:
    """One value to 200 bits, rounded to odd in float64."""
    import mpmath

    with mpmath.workprec(_DIGITS):
        wide = mpmath.mpf(x)
        if name == "exp2":
            exact = mpmath.power(2, wide)
        elif name == "log2":
            exact = mpmath.log(wide, 2)
        else:
            exact = getattr(mpmath, name)(wide)
        near = np.clip(np.float64(float(exact)), -np.finfo(np.float64).max, np.finfo(np.float64).max)
        error = np.float64(float(mpmath.sign(exact - mpmath.mpf(float(near)))))
        return np.float64(_to_odd(np.asarray(near), np.asarray(error)))
