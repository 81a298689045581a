"""The largest of n weights and the error of a grid that ends there, for weights with heavier tails than normal ones.

Which law weights follow decides what bits cost: with tails like Laplace's the largest of n grows as ln n, with those of
Student's law as a power of n, and the step with it. Everything comes from a density with variance 1: its partial
moments are integrated by SymPy, and what is left is an integral over the largest, done by quadrature.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from precsim.symbolic.largest import n, u, y
from precsim.symbolic.roundoff import density as normal
from precsim.symbolic.roundoff import z
from precsim.symbolic.steps import Derivation, Steps

__all__ = ["LAPLACE", "NORMAL", "Tails", "error", "largest_of", "student", "student_density", "student_square"]

nu: Any = sp.Symbol("nu", positive=True)
x: Any = sp.Symbol("x", positive=True)


@Derivation
def student_density() -> Steps:
    """Density of Student's law with nu degrees of freedom, scaled to variance 1, for nu above 2."""
    plain = sp.Pow(1 + x**2 / nu, -(nu + 1) / 2)
    yield "Student's law falls as", plain
    area = sp.sqrt(sp.pi * nu) * sp.gamma(nu / 2) / sp.gamma((nu + 1) / 2)
    yield "whose integral over all numbers, Euler's beta function, is", area
    scale = sp.sqrt((nu - 2) / nu)
    yield "and whose variance is nu/(nu - 2). Numbers times", scale
    yield "have variance 1 and the density", plain.subs(x, x / scale) / (area * scale)


@Derivation
def student_square() -> Steps:
    """κ²(n) for many numbers of Student's law with variance 1: a power of n; what is left out falls as n^(-2/nu)."""
    far = student_density() / (1 + x**2 / (nu - 2)) ** (-(nu + 1) / 2) * (x**2 / (nu - 2)) ** (-(nu + 1) / 2)
    yield "Far out the 1 in the density does not count:", sp.powsimp(sp.powdenest(far, force=True), force=True)
    beyond = sp.powdenest(2 * sp.simplify(far * x ** (nu + 1)) * y**-nu / nu, force=True)
    yield "so that one number is beyond y in magnitude with probability", beyond
    scale = (sp.simplify(beyond * y**nu) * n) ** (2 / nu)
    yield (
        "As for normal numbers n times that is u, which is exponential with mean 1. Solved for y²:",
        scale * u ** (-2 / nu),
    )
    mean = sp.gamma(1 - 2 / nu)
    yield "The mean of u to the -2/nu is, for nu above 2,", mean
    yield "and κ²(n) is", scale * mean


@dataclass(frozen=True, slots=True)
class Tails:
    """A law of weights, symmetric, of variance 1.

    Attributes
    ----------
    title : str
    density : sympy expression in x > 0
        Of the signed weight.
    """

    title: str
    density: Any

    def moments(self, to: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
        """Integrals of the density times 1, x and x² from 0 to each magnitude, as SymPy has integrated them."""
        at = np.asarray(to, float)
        zero, one, two = (np.broadcast_to(f(at), at.shape) for f in _moments(self))
        return zero, one, two

    def below(self, y: ArrayLike) -> NDArray:
        """Probability that one magnitude is below y."""
        return 2 * self.moments(y)[0]


@functools.lru_cache(maxsize=32)
def _moments(tails: Tails) -> tuple[Any, ...]:
    end = sp.Symbol("x_1", positive=True)
    return tuple(
        sp.lambdify(end, sp.expand(sp.integrate(x**k * tails.density, (x, 0, end))), ["scipy", "numpy"])
        for k in range(3)
    )


@functools.lru_cache(maxsize=16)
def student(freedom: int) -> Tails:
    """Student's law with an odd number of degrees of freedom, from 3, scaled to variance 1; 3 has the heaviest tails.

    Raises
    ------
    ValueError
        For another number: variance 1 needs more than 2, and partial moments are elementary for odd ones.

    Examples
    --------
    >>> round(float(student(3).below(2.0)), 4)
    0.9595
    """
    if freedom < 3 or freedom % 2 != 1:
        raise ValueError(f"Student's law is taken with 3, 5, 7, … degrees of freedom, not {freedom}")
    return Tails(f"Student, {freedom}", sp.simplify(student_density().subs(nu, freedom)))


NORMAL = Tails("normal", normal.subs(z, x))
LAPLACE = Tails("Laplace", sp.exp(-sp.sqrt(2) * x) / sp.sqrt(2))


def largest_of(tails: Tails, count: float) -> float:
    """κ²(n) of a law: mean square of the largest of `count` magnitudes, by quadrature.

    Parameters
    ----------
    tails : Tails
    count : float
        Numbers that share a scale, 1 to 1e9.

    Raises
    ------
    ValueError
        If the count is outside its range.

    Examples
    --------
    >>> [round(largest_of(one, 64), 2) for one in (NORMAL, LAPLACE, student(3))]
    [6.91, 12.07, 23.46]
    """
    if not 1 <= count <= 1e9:
        raise ValueError(f"a scale is shared by 1 to 1e9 numbers, not {count}")
    return _over_largest(tails, count, lambda y: y * y)


def error(tails: Tails, bits: int, count: int) -> float:
    """Mean squared error of `count` weights of this law on a symmetric grid of so many bits that ends at their largest.

    The others are below it, so that their law is cut there; the largest has no error.

    Parameters
    ----------
    tails : Tails
    bits : int
        From 2 to 8.
    count : int
        Weights that share a scale, 2 to 1e9.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> round(error(NORMAL, 4, 64), 6), round(error(LAPLACE, 4, 64), 6)
    (0.011578, 0.019819)
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"a symmetric integer grid is summed here for 2 to 8 bits, not {bits}")
    if not 2 <= count <= 1e9:
        raise ValueError(f"a scale that costs something is shared by 2 to 1e9 numbers, not {count}")
    steps = 2 ** (bits - 1) - 1
    centers = np.arange(steps + 1) / steps
    edges = np.concatenate([[0.0], (np.arange(steps) + 0.5) / steps, [1.0]])

    def of(y: NDArray) -> NDArray:
        zero, one, two = (np.diff(m, axis=-1) for m in tails.moments(y[:, None] * edges))
        c = y[:, None] * centers
        return (two - 2 * c * one + c * c * zero).sum(axis=-1) / tails.moments(y)[0]

    return (count - 1) / count * _over_largest(tails, count, of)


def _over_largest(tails: Tails, count: float, of: Callable[[NDArray], NDArray]) -> float:
    """Mean of a function of the largest of `count` magnitudes.

    The trapezoidal rule in ln y, in which everything is analytic and falls at both ends as a power of y at least; half
    and a quarter of this step give the same eleven digits.
    """
    y = np.exp(np.arange(-16.0, 32.0, 0.02))
    below = np.minimum(tails.below(y), 1.0)
    law = count * below ** (count - 1) * 2 * _density(tails)(y) * y
    with np.errstate(invalid="ignore", divide="ignore"):
        found = law * of(y)
    return float(found[law > 0].sum() * 0.02)


@functools.lru_cache(maxsize=32)
def _density(tails: Tails) -> Any:
    return sp.lambdify(x, tails.density, ["scipy", "numpy"])
