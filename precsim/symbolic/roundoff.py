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
from precsim.symbolic.steps import Derivation, Steps

__all__ = [
    "cell_error",
    "decay_bits",
    "normal_error",
    "sawtooth_series",
    "sawtooth_term",
    "step",
    "stochastic_error",
    "stochastic_moments",
    "sum_spread",
    "uniform_variance",
]

h, x, nu, omega = sp.symbols("h x nu omega", positive=True)
k = sp.Symbol("k", integer=True, positive=True)
m = sp.Symbol("m", real=True)  # a value of the grid
z = sp.Symbol("z", real=True)  # a normal number
density = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)


@Derivation
def uniform_variance() -> Steps:
    """Variance of the error of nearest rounding to spacing h, the number uniform within a cell: h²/12."""
    yield "A number lies anywhere in a cell of width h with the same density; its squared error, times that:", x**2 / h
    yield "Over the cell, whose value is in the middle:", sp.integrate(x**2 / h, (x, -h / 2, h / 2))


@Derivation
def stochastic_error() -> Steps:
    """Mean and variance of the error of stochastic rounding, and the variance averaged over the fraction ν."""
    up, down = (1 - nu) * h, -nu * h
    mean = sp.simplify(nu * up + (1 - nu) * down)
    yield "A number at the fraction ν of a cell goes up with probability ν, else down. Its mean error:", mean
    variance = sp.factor(sp.simplify(nu * up**2 + (1 - nu) * down**2))
    yield "So its variance is the mean square:", variance
    yield "Averaged over the cell it is twice that of nearest rounding:", sp.integrate(variance, (nu, 0, 1))


def stochastic_moments() -> tuple[Any, Any, Any]:
    """(mean, variance, averaged variance) of `stochastic_error`: 0, h²ν(1-ν), h²/6.

    Examples
    --------
    >>> stochastic_moments()[0]
    0
    """
    mean, variance, averaged = (one.result for one in stochastic_error.steps)
    return mean, variance, averaged


@Derivation
def step() -> Steps:
    """Spacing of a symmetric integer grid in units of its largest number: 1/(2^(P-1) - 1).

    Examples
    --------
    >>> [step().subs(P, bits) for bits in (2, 3, 4)]
    [1, 1/3, 1/7]
    """
    q = sp.Symbol("q", positive=True)
    codes = sp.Eq(2 * q + 1, 2**P - 1)
    yield "P bits have 2^P codes; one is left over, the others are q steps up, q steps down and zero:", codes
    q = sp.expand(sp.solve(codes, q)[0])
    yield "So the steps from zero to the end are", q
    yield "and one of them is, in units of the end,", 1 / q


@Derivation
def decay_bits() -> Steps:
    """γ of the grid between P and P + 1 bits: bits for the squared step to fall by a factor e; → 1/(2 ln 2).

    Examples
    --------
    >>> [round(float(decay_bits().subs(P, bits)), 2) for bits in (3, 4, 5)]
    [0.59, 0.66, 0.69]
    """
    gamma = sp.Symbol("gamma", positive=True)
    ratio = step().subs(P, P + 1) / step()
    yield "One bit more multiplies the step by", ratio
    condition = sp.Eq(2 * sp.log(ratio), -1 / gamma)
    yield "If its square were e^(-P/γ), the factor of one bit would be e^(-1/γ):", condition
    yield "Solve for γ:", sp.solve(condition, gamma)[0]


@Derivation
def sawtooth_term() -> Steps:
    """Term k of the mean squared error of rounding a normal number of variance 1 to multiples of h, beside h²/12."""
    coefficient = sp.simplify(2 / h * sp.integrate(z**2 * sp.cos(2 * sp.pi * k * z / h), (z, -h / 2, h / 2)))
    yield "The squared error is a periodic function of the number. Its Fourier coefficient of cos(2πkx/h):", coefficient
    mean = sp.simplify(sp.integrate(sp.cos(omega * z) * density, (z, -sp.oo, sp.oo)))
    yield "The mean of the cosine of omega times a normal number:", mean
    yield (
        "Their product, with omega = 2πk/h, is what this term adds:",
        sp.powsimp(coefficient * mean.subs(omega, 2 * sp.pi * k / h)),
    )


def sawtooth_series(terms: int) -> Any:
    r"""Mean squared error of rounding a normal number of variance 1 to multiples of h: first terms of a series.

    h²/12 (`uniform_variance`) and the terms of `sawtooth_term`. Relative to h²/12 they are 3·10⁻⁹ at h = 1, one
    percent at h = 2 and a seventh at h = 3: h²/12 holds as long as the step is not larger than the spread.

    Parameters
    ----------
    terms : int
        Terms of the sum, at least 0.
    """
    return uniform_variance() + sum((sawtooth_term().subs(k, i) for i in range(1, terms + 1)), sp.S.Zero)


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
    spacing, half = largest / count, sp.Rational(1, 2)

    first, last = (sp.limit(cell_error(), z, end) for end in (-sp.oo, sp.oo))

    def up_to(edge: Any, value: int) -> Any:  # the antiderivative at an edge of the cell of a value
        whole = {count + half: last, -count - half: first}.get(edge, cell_error())  # the outer cells have no end
        return whole.subs({z: edge * spacing, m: value * spacing}, simultaneous=True)

    total = sum((up_to(i + half, i) - up_to(i - half, i) for i in range(-count, count + 1)), sp.S.Zero)
    return total / uniform_variance().subs(h, spacing)


@Derivation
def cell_error() -> Steps:
    """Antiderivative in z of (z - m)² φ(z): what the cell of m adds to the mean squared error of normal numbers."""
    yield "A normal number z that is rounded to m has the squared error, times its density,", (z - m) ** 2 * density
    yield "Integrated:", sp.simplify(sp.integrate(sp.expand((z - m) ** 2 * density), z))
