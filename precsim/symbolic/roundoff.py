"""Errors of rounding as formulas: their variance on a grid, and the rate at which bits remove them.

A symmetric integer grid of P bits has 2^(P-1) - 1 steps from zero to its end, not 2^P: hence the rates of few bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from precsim.symbolic.forms import P

__all__ = [
    "decay_bits",
    "normal_error",
    "sawtooth_series",
    "step",
    "stochastic_moments",
    "sum_spread",
    "uniform_variance",
]

_h, _x, _nu = sp.symbols("h x nu", positive=True)


def uniform_variance() -> Any:
    """Variance of the error of nearest rounding to spacing h, the number uniform within a cell: h²/12.

    Examples
    --------
    >>> uniform_variance()
    h**2/12
    """
    return sp.integrate(_x**2, (_x, -_h / 2, _h / 2)) / _h


def stochastic_moments() -> tuple[Any, Any, Any]:
    """(mean, variance, variance averaged over the fraction ν) of the error of stochastic rounding: 0, h²ν(1-ν), h²/6.

    Up by (1 - ν)h with probability ν, down by νh with probability 1 - ν.

    Examples
    --------
    >>> stochastic_moments()[0]
    0
    """
    up, down = (1 - _nu) * _h, -_nu * _h
    mean = sp.simplify(_nu * up + (1 - _nu) * down)
    variance = sp.factor(sp.simplify(_nu * up**2 + (1 - _nu) * down**2 - mean**2))
    return mean, variance, sp.integrate(variance, (_nu, 0, 1))


def step() -> Any:
    """Spacing of a symmetric integer grid in units of its largest number: 1/(2^(P-1) - 1).

    Examples
    --------
    >>> [step().subs(P, bits) for bits in (2, 3, 4)]
    [1, 1/3, 1/7]
    """
    return 1 / (2 ** (P - 1) - 1)


def decay_bits() -> Any:
    """γ of the grid between P and P + 1 bits: bits for the squared step to fall by a factor e.

    1/γ = 2 ln((2^P - 1)/(2^(P-1) - 1)), and γ → 1/(2 ln 2) as P grows.

    Examples
    --------
    >>> [round(float(decay_bits().subs(P, bits)), 2) for bits in (3, 4, 5)]
    [0.59, 0.66, 0.69]
    """
    return 1 / (2 * sp.log(step() / step().subs(P, P + 1)))


def sawtooth_series(terms: int) -> Any:
    r"""Mean squared error of rounding a normal number of variance 1 to multiples of h: first terms of a series.

    h²/12 + Σ_k (-1)^k (h²/(π²k²)) e^(-2π²k²/h²), from the Fourier series of the squared sawtooth, whose coefficient of
    cos(2πkx/h) is (-1)^k h²/(π²k²), and E cos(ωx) = e^(-ω²/2). Relative to h²/12 the correction is 3·10⁻⁹ at h = 1, one
    percent at h = 2 and a seventh at h = 3: h²/12 holds as long as the step is not larger than the spread.

    Parameters
    ----------
    terms : int
        Terms of the sum, at least 0.
    """
    k = sp.Symbol("k", integer=True, positive=True)
    term = (-1) ** k * _h**2 / (sp.pi * k) ** 2 * sp.exp(-2 * (sp.pi * k) ** 2 / _h**2)
    return _h**2 / 12 + sum((term.subs(k, i) for i in range(1, terms + 1)), sp.S.Zero)


def sum_spread(terms: ArrayLike, precision: int) -> float:
    """Standard deviation of the stochastically rounded sum of positive terms, one by one, relative to the sum.

    A partial sum is on the grid of its binade, spacing h, so adding t leaves the fraction ν of t/h, and the variance is
    h²ν(1-ν) (`stochastic_moments`). Terms of many spacings have h²/6 on average, and the spread grows like √n; terms
    far below a spacing have h t, and it stays as it is.

    Parameters
    ----------
    terms : array_like, shape (n,)
        Positive, at least 2.
    precision : int
        Significand bits of every sum.

    Raises
    ------
    ValueError
        If there are fewer than 2 terms, or one is not positive.

    Examples
    --------
    >>> round(sum_spread([1.0, 0.25, 0.25], precision=2), 3)  # 1.5 by two coins: spacing 0.5, ν = 1/2, twice
    0.236
    """
    t = np.asarray(terms, float)
    if t.ndim != 1 or t.size < 2 or not np.all(t > 0):
        raise ValueError(f"needs at least 2 positive terms in one row; received shape {t.shape}")
    sums = np.cumsum(t)
    h = 2.0 ** (np.frexp(sums[1:])[1] - precision)
    fraction = np.mod(t[1:] / h, 1.0)
    return math.sqrt(float(np.sum(h * h * fraction * (1 - fraction)))) / float(sums[-1])


def normal_error(bits: int, largest: sp.Expr) -> Any:
    r"""Mean squared error, divided by step²/12, of normal numbers on a symmetric grid whose end is at `largest`.

    Exact, by integrals of x²φ(x) over the cells; numbers beyond the end saturate.

    Parameters
    ----------
    bits : int
        From 2 to 8.
    largest : Expr
        End of the grid in standard deviations.

    Raises
    ------
    ValueError
        If bits is outside its range.

    Examples
    --------
    >>> [round(float(normal_error(bits, sp.Float(2.5))), 2) for bits in (2, 3, 4)]
    [0.95, 1.03, 1.21]
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"a symmetric integer grid is summed here for 2 to 8 bits, not {bits}")
    count = 2 ** (bits - 1) - 1
    h = largest / count
    total = sp.S.Zero
    for i in range(-count, count + 1):
        low = -sp.oo if i == -count else (i - sp.Rational(1, 2)) * h
        high = sp.oo if i == count else (i + sp.Rational(1, 2)) * h
        total += _second_moment(low, high, i * h)
    return total / (h**2 / 12)


def _second_moment(low: sp.Expr, high: sp.Expr, center: sp.Expr) -> Any:
    """∫ (x - c)² φ(x) dx from low to high, by Φ and φ."""

    def density(x: sp.Expr) -> Any:
        return sp.S.Zero if x in (sp.oo, -sp.oo) else sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)

    def edge(x: sp.Expr) -> Any:  # antiderivative of (x - c)² φ
        if x == sp.oo:
            return 1 + center**2
        if x == -sp.oo:
            return sp.S.Zero
        share = (1 + sp.erf(x / sp.sqrt(2))) / 2
        return (1 + center**2) * share - (x - 2 * center) * density(x)

    return edge(high) - edge(low)
