"""The linear teacher and student in closed form: why the damage of rounding grows with data.

Eigenvalues λ_i = i^-a, signal λ_i w*_i² = i^-c, gradient flow from zero for a time t = rate · steps (the tokens, D):
w_i(t) = w*_i (1 - e^(-λ_i t)). Everything here is derived by SymPy in steps (`precsim.symbolic.steps`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from precsim.symbolic.largest import mean_square
from precsim.symbolic.steps import Derivation, Steps

if TYPE_CHECKING:
    from precsim.models import Teacher

__all__ = [
    "a",
    "best_time",
    "c",
    "capacity_constant",
    "damage",
    "damage_constant",
    "exponents",
    "geometric_mean",
    "kappa2",
    "loss",
    "optimal_factor",
    "predicted_damage",
    "size",
    "steps",
    "t",
]

a, c, t = sp.symbols("a c t", positive=True)
#: Steps of the grid from zero to the largest weight: 2^(P-1) - 1 of P bits.
steps = sp.Symbol("steps", positive=True)
#: κ²(n), the mean square of the largest of n normal numbers: `precsim.symbolic.largest.mean_square` has its value.
kappa2 = sp.Symbol("kappa^2", positive=True)
K, kappa, n, i, u, y, f, C = sp.symbols("K kappa n i u y f C", positive=True)
beta, s = sp.symbols("beta s", positive=True)  # (c-1)/a and 1 - β while an integral is taken


@Derivation
def loss() -> Steps:
    """½ Σ i^-c e^(-2 t i^-a) for 1 ≪ t: what is not learned yet, a power of time."""
    mode = i**-c * sp.exp(-2 * t * i**-a) / 2
    yield (
        "A mode has learned all of its weight but e^(-λt), and the loss is half the sum of what this squares to.",
        mode,
    )
    place = sp.solve(sp.Eq(u, 2 * t * i**-a), i)[0]
    yield "For many modes the sum is an integral over i. Call the exponent u; the mode that has it is", sp.Eq(i, place)
    density = sp.powsimp(sp.simplify(mode.subs(i, place) * -sp.diff(place, u)), force=True)
    yield "Put it in, with di = (di/du) du:", density
    density = sp.powsimp(sp.simplify(density.subs(c, 1 + a * beta)), force=True)
    yield "With c = 1 + aβ this is the integrand of a gamma function:", density
    total = sp.integrate(density, (u, 0, sp.oo), conds="none")
    yield "Integrate over all u, which costs nothing where 1 ≪ t:", total
    yield "β in the letters of the teacher:", sp.simplify(total).subs(beta, (c - 1) / a)


@Derivation
def size() -> Steps:
    """|w(t)|² = Σ i^(a-c) (1 - e^(-t i^-a))² for 1 ≪ t and 0 < (a - c + 1)/a < 1: it grows with time."""
    mode = i ** (a - c) * (1 - sp.exp(-t * i**-a)) ** 2
    yield "The squared weight of a mode is its signal over its eigenvalue, times the learned share squared.", mode
    place = sp.solve(sp.Eq(y, t * i**-a), i)[0]
    density = sp.powsimp(sp.simplify(mode.subs(i, place) * -sp.diff(place, y)), force=True)
    yield "The sum is an integral over i. Put y = t i^-a:", density
    density = sp.powsimp(sp.simplify(density.subs(c, 1 + a - a * s)), force=True)
    yield "With s = (a - c + 1)/a:", density
    learned = sp.expand((1 - sp.exp(-y)) ** 2)
    yield "The learned share starts like y², so that the integral exists at 0 for s < 2:", sp.series(learned, y, 0, 3)
    front = sp.simplify(density / (y ** (-s - 1) * learned))
    parts = front / s * y**-s * sp.diff(learned, y)
    yield "Integrate by parts; what stands at the ends is zero:", parts
    total = sum(sp.integrate(term, (y, 0, sp.oo), conds="none") for term in sp.expand(parts).as_ordered_terms())
    total = sp.factor(sp.gammasimp(total))
    yield "Each exponential is now a gamma function that exists for 0 < s < 1:", total
    yield "s in the letters of the teacher:", total.subs(s, (a - c + 1) / a)


def exponents() -> dict[str, Any]:
    """{"beta": of the loss, "gamma_D": of |w|² and so of the damage}: (c-1)/a and (a-c+1)/a, whose sum is 1.

    Examples
    --------
    >>> sum(exponents().values()).simplify()
    1
    """
    return {
        "beta": sp.simplify(-t * sp.diff(loss(), t) / loss()),
        "gamma_D": sp.simplify(t * sp.diff(size(), t) / size()),
    }


@Derivation
def damage() -> Steps:
    """What rounding adds to the loss after a time t, κ |w(t)|²/steps², κ a constant: it grows as the weights do."""
    width, trace, peak = sp.symbols("h T m", positive=True)
    each = sp.integrate(u**2 / width, (u, -width / 2, width / 2))
    yield "Rounding to a grid of spacing h moves a weight by an error of variance", each
    added = trace * each / 2
    yield "The loss is a bowl: errors that do not depend on each other add half its trace T times that.", added
    added = added.subs(width, peak * sp.sqrt(size()) / steps)
    yield (
        "The grid ends at the largest weight. In a random basis that is a fixed multiple m of |w|, whatever the time:",
        added,
    )
    added = added.subs(trace, 24 * kappa / peak**2)
    yield "T and m are constants, the curvature being that of the data; call T m²/24 κ:", added


def predicted_damage(world: Teacher, times: ArrayLike, bits: int) -> NDArray[np.float64]:
    """`damage` of a teacher of finite width after so many steps of training: its own |w(t)|², κ²(d) for the largest.

    Parameters
    ----------
    world : Teacher
    times : array_like
        Steps of gradient descent.
    bits : int
        Of symmetric integers with one scale for all weights.

    Returns
    -------
    ndarray, shape of `times`

    Raises
    ------
    ValueError
        If bits is below 2.
    """
    if bits < 2:
        raise ValueError(f"symmetric integers have at least 2 bits, not {bits}")
    size = np.sum(world.student(times) ** 2, axis=-1)
    return damage_constant(world) * size / (2 ** (bits - 1) - 1) ** 2


def damage_constant(world: Teacher) -> float:
    """κ of `damage` for a teacher of finite width d: Tr(Λ) κ²(d)/(24 d)."""
    return float(world.eigenvalues.sum() * mean_square(world.width) / world.width / 24)


@Derivation
def best_time() -> Steps:
    """Time at which loss + damage is least: proportional to steps², hence to 4^P."""
    first, second, b = sp.symbols("k_1 k_2 beta", positive=True)
    both = first * t**-b + second * t ** (1 - b) / steps**2
    yield "Loss falls like t^-β, the damage grows like t^(1-β) because the two exponents add up to one.", both
    slope = sp.simplify(t ** (b + 1) * sp.diff(both, t))
    yield "The derivative, times t^(β+1):", slope
    best = sp.solve(slope, t)[0]
    yield "It is zero at one time, the same power of the steps for every β:", sp.Eq(t, best)
    power = (c - 1) / a
    k_1, k_2 = sp.simplify(loss() * t**power), sp.simplify(damage() * steps**2 / t ** (1 - power))
    yield "Put in what was derived for both:", best.subs({first: k_1, second: k_2, b: power}, simultaneous=True)


@Derivation
def geometric_mean() -> Steps:
    """Geometric mean of the eigenvalues i^-a, i = 1 … n: (n!)^(-a/n)."""
    product: Any = sp.Product(i, (i, 1, n)).doit()
    yield "The product of the first n whole numbers:", product
    mean: Any = sp.powdenest(product ** (-a / n), force=True)
    yield "Each eigenvalue is the power -a of its number, and the mean is the n-th root:", mean
    yield "A factorial is a gamma function:", mean.rewrite(sp.gamma)


@Derivation
def optimal_factor() -> Steps:
    """N_eff/N when weights are rounded with optimal correction: (1 + K/steps²)^(-1/(c-1))."""
    limit = sp.integrate(u**-c / 2, (u, n, sp.oo), conds="none")
    yield "A student of n weights that has learned them all is left with the modes beyond n:", limit
    rounded = limit * (1 + K / steps**2)
    yield "Rounding adds a multiple of it that is of order 1/steps² (`capacity_constant` is K):", rounded
    as_smaller: Any = sp.Eq(sp.powsimp(limit.subs(n, f * n) / limit), sp.powsimp(rounded / limit))
    yield "A smaller student of f n weights has the same loss where", as_smaller
    logarithm = sp.solve(sp.expand_log(sp.log(as_smaller.lhs), force=True) - sp.log(as_smaller.rhs), sp.log(f))[0]
    yield "Both sides as logarithms, solved for ln f:", sp.Eq(sp.log(f), logarithm)
    yield "So f is", sp.exp(sp.simplify(logarithm)).rewrite(sp.Pow)


@Derivation
def capacity_constant() -> Steps:
    """K of `optimal_factor` for n weights, many of them; of the size it keeps κ²(n), which grows like 2 ln n."""
    r = sp.Symbol("r", positive=True)
    weights = sp.integrate(u ** (r - 1), (u, 0, n)).subs(r, a - c + 1)
    yield "A weight that is learned has the square i^(a-c); n of them, for a - c + 1 = r > 0:", weights
    width = kappa2 * weights / n / steps**2
    yield "The largest weight has κ²(n) times their mean square (`largest_square`); the squared step is", width
    root = sp.limit(sp.exp(sp.loggamma(n + 1) / n) / n, n, sp.oo)
    yield "The geometric mean of the eigenvalues tends to (n/e)^-a, as the n-th root of n! over n tends to", root
    added = width / 24 * n * (n * root) ** -a
    yield "Optimal correction leaves at least step²/24 times n times that mean:", added
    limit = sp.integrate(u**-c / 2, (u, n, sp.oo), conds="none")
    share = sp.powsimp(sp.expand_power_base(added / limit, force=True), force=True)
    yield "Over the loss that is left of all modes beyond n, times steps²:", sp.factor(sp.simplify(share * steps**2))
