"""The largest of n weights, which sets the step of a grid with one scale, and what that grid does to the others.

κ²(n) is the mean square of the largest of n normal numbers of variance 1. The leading term of large n, 2 ln n, is a
fifth too high for any channel of a network, so the exact mean is used (`mean_square`).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad

from precsim.symbolic.roundoff import cell_error, density, m, z
from precsim.symbolic.steps import Derivation, Steps

__all__ = [
    "absmax_error",
    "for_many",
    "laplace_square",
    "largest_square",
    "law_of_largest",
    "mean_error",
    "mean_square",
]

n, y, u = sp.symbols("n y u", positive=True)
w = sp.Symbol("w", real=True)  # ln y while y² is solved for


@Derivation
def law_of_largest() -> Steps:
    """Probability that the largest magnitude of n independent normal numbers is below y."""
    one = sp.simplify(2 * sp.integrate(density, (z, 0, y)))
    yield "One number is below y in magnitude with probability", one
    yield "and all of n, which are independent, with", one**n


@Derivation
def largest_square() -> Steps:
    """κ²(n), the mean square of the largest magnitude of n normal numbers of variance 1, as an integral."""
    above = 1 - law_of_largest()
    yield "The largest is beyond y with probability", above
    yield (
        "The mean of a square is the integral of 2y times the probability to be beyond y:",
        sp.Integral(2 * y * above, (y, 0, sp.oo)),
    )


@Derivation
def for_many() -> Steps:
    """κ²(n) for many numbers: 2 ln n - ln(2 ln n) - ln(π/2) + 2γ; what is left out falls like ln ln n/ln n."""
    tail = sp.sqrt(2 / sp.pi) * sp.exp(-(y**2) / 2) / y
    ratio = sp.limit((1 - law_of_largest().base) / tail, y, sp.oo)
    yield "Far out one number is beyond y with probability √(2/π) e^(-y²/2)/y; the ratio of the two tends to", ratio
    among = sp.limit((1 - u / n) ** n, n, sp.oo)
    yield "If that probability is u/n, all n are below y with probability", among
    logarithm = sp.expand_log(sp.log(n * tail / u), force=True)
    square = sp.symbols("y2", positive=True)
    found = sp.solve(logarithm.subs(sp.log(y), w).subs(y, sp.sqrt(square)), square)[0].subs(w, sp.log(square) / 2)
    yield "So n √(2/π) e^(-y²/2)/y = u. Its logarithm, solved for the y² that stands alone (y2 is y²):", found
    first = sp.expand(found.subs(square, 2 * sp.log(n)))
    yield "ln y² changes slowly: put the leading term 2 ln n into it.", first
    mean = sp.integrate(sp.exp(-u) * -sp.log(u), (u, 0, sp.oo))
    yield "u is exponential with mean one, and the mean of -ln u is Euler's constant:", mean
    yield "The mean of y²:", first.subs(sp.log(u), -mean)


@Derivation
def laplace_square() -> Steps:
    """The same for n numbers of Laplace's law with variance 1: heavy tails have larger largest ones."""
    k = sp.Symbol("k", integer=True, positive=True)
    mean: Any = sp.summation(1 / k, (k, 1, n))
    yield "The largest of n exponential numbers is a sum of n independent ones of means 1/n, …, 1/2, 1. Its mean:", mean
    variance = sp.summation(1 / k**2, (k, 1, n))
    yield "and its variance, the sum of theirs:", variance
    yield "Laplace's magnitudes are exponential; with variance one their mean is 1/√2:", (mean**2 + variance) / 2


@functools.lru_cache(maxsize=32)
def _integrand() -> Any:
    return sp.lambdify((y, n), largest_square().function, ["scipy", "numpy"])


@functools.lru_cache(maxsize=4096)
def _square(count: float) -> float:
    return float(quad(_integrand(), 0, 12, args=(count,), limit=200, epsabs=1e-13, epsrel=1e-12)[0])


def mean_square(count: ArrayLike) -> NDArray[np.float64] | float:
    """κ²(n) as a number: `largest_square` by quadrature.

    Parameters
    ----------
    count : array_like of float
        Numbers that share a scale, at least 1.

    Raises
    ------
    ValueError
        If a count is below 1 or above 10^12.

    Examples
    --------
    >>> round(mean_square(1), 12), round(mean_square(64), 3), round(2 * float(np.log(64)), 3)
    (1.0, 6.914, 8.318)
    """
    counts = np.asarray(count, float)
    if not np.all((counts >= 1) & (counts <= 1e12)):
        raise ValueError(f"a scale is shared by 1 to 1e12 numbers, not {count}")
    found = np.array([_square(one) for one in counts.ravel()]).reshape(counts.shape)
    return float(found) if found.ndim == 0 else found


def absmax_error(bits: int) -> Any:
    """Mean squared error of normal numbers on a symmetric grid whose end `y` is the largest of them, given y.

    The others are below y, so that their law is cut there; the largest itself has no error, which is the factor
    (n-1)/n. Exact, a sum over the cells of `precsim.symbolic.roundoff.cell_error`.

    Parameters
    ----------
    bits : int
        From 2 to 8.

    Raises
    ------
    ValueError
        If bits is outside its range.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"a symmetric integer grid is summed here for 2 to 8 bits, not {bits}")
    steps = 2 ** (bits - 1) - 1
    spacing, half, total = y / steps, sp.Rational(1, 2), sp.S.Zero
    for value in range(-steps, steps + 1):
        low, high = max(value - half, -steps), min(value + half, steps)
        ends = [cell_error().subs({z: e * spacing, m: value * spacing}, simultaneous=True) for e in (low, high)]
        total += ends[1] - ends[0]
    return (n - 1) / n * total / law_of_largest().base


def mean_error(bits: int, count: int) -> float:
    """Mean squared error of `count` normal numbers of variance 1 rounded with one scale, over all their largest ones.

    Parameters
    ----------
    bits : int
        From 2 to 8.
    count : int
        Numbers that share a scale, at least 2.

    Raises
    ------
    ValueError
        If an argument is outside its range.

    Examples
    --------
    Two bits have one step, so the error is a tenth less than a step squared over twelve:

    >>> round(mean_error(2, 64) / (mean_square(64) / 12), 3)
    0.893
    """
    if count < 2:
        raise ValueError(f"a scale that costs something is shared by 2 numbers or more, not {count}")
    error = sp.lambdify(y, absmax_error(bits).subs(n, count), ["scipy", "numpy"])
    law = sp.lambdify(y, sp.diff(law_of_largest(), y).subs(n, count), ["scipy", "numpy"])
    return float(quad(lambda x: law(x) * error(x), 0.01, 12, limit=400)[0])
