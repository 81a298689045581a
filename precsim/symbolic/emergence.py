"""How δ and N_eff emerge from one mechanism: rounding noise, what a trained network makes of it, what is reported.

A network that is trained with rounded weights feels noise of their step, which acts as a ridge. It gives up curvature
until that costs as much as it saves, so that its gap bends away from the damage that rounding afterwards would do. That
gap, reported as a loss of parameters, is the effective parameter count, and it drifts.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from precsim.symbolic.steps import Derivation, Steps

__all__ = [
    "chatter",
    "crossed",
    "damage",
    "degrees_of_freedom",
    "drift",
    "early_ridges",
    "effective_share",
    "envelope",
    "gap",
    "gap_of_ridge",
    "joint",
    "kept",
    "late_ridges",
    "noise_is_a_ridge",
    "size_exponent",
]

h, lam, tau = sp.symbols("h lambda tau", positive=True)  # step, curvature of a direction, strength of the ridge
target, x = sp.symbols("w x", real=True)
a, beta = sp.symbols("a beta", positive=True)  # curvatures fall as i^-a, the loss of the teacher as t^-beta
v, K, rho = sp.symbols("v K rho", positive=True)  # damage of the twin, where the bend begins, share of curvature kept
g1, g2 = sp.symbols("g_1 g_2", positive=True)  # gaps that two tensors add alone
u, alpha, g = sp.symbols("u alpha gamma_D", positive=True)  # term A N^-alpha, its exponent, exponent of D in v
nu = sp.Symbol("nu", positive=True)


@Derivation
def chatter() -> Steps:
    """Error of a weight trained through the rounding at a constant rate: h²/6, twice that of rounding to nearest."""
    p = sp.Symbol("p", positive=True)
    balance = sp.Eq(p * (1 - nu) * h - (1 - p) * nu * h, 0)
    yield (
        "The best value lies the share nu of a step h above a grid point. At the upper point, in a share p of the "
        "steps, the rounded weight is (1 - nu) h too high, else nu h too low. The weight behind it stays where it is, "
        "so that what moves it sums to nothing:",
        balance,
    )
    share = sp.solve(balance, p)[0]
    yield "So it stands at the upper point in a share of the steps", share
    error = sp.factor(sp.simplify(share * ((1 - nu) * h) ** 2 + (1 - share) * (nu * h) ** 2))
    yield "and its mean squared error is", error
    yield "Averaged over where the best value lies between them:", sp.integrate(error, (nu, 0, 1))


@Derivation
def noise_is_a_ridge() -> Steps:
    """Mean loss of a product of two noisy weights: noise of variance tau adds tau/2 times their squares, a ridge."""
    p, q, e, d = sp.symbols("p q e d", real=True)
    loss = ((p + e) * (q + d) - target) ** 2 / 2
    yield "Two weights p and q in a chain, whose product is to be w, carry the errors e and d:", loss
    mean = sp.expand(loss).subs({e**2: tau, d**2: tau}).subs({e: 0, d: 0})
    yield (
        "Multiply out. Errors have mean 0, variance tau and are independent: what is odd in one drops out, a square "
        "becomes tau:",
        mean,
    )
    yield (
        "That is the loss itself and a ridge on each weight, but for a constant:",
        sp.simplify(mean - (p * q - target) ** 2 / 2 - tau**2 / 2),
    )


@Derivation
def gap_of_ridge() -> Steps:
    """What a ridge of strength tau adds to the least loss of one direction of curvature lambda."""
    loss = lam * (x - target) ** 2 / 2 + tau * x**2 / 2
    yield "Loss of a direction whose best weight is w, with the ridge:", loss
    slope = sp.Eq(sp.diff(loss, x), 0)
    yield "Its slope is zero at the least:", slope
    best = sp.solve(slope, x)[0]
    yield "which is at", best
    yield "where the loss is", sp.simplify(loss.subs(x, best))


@Derivation
def envelope() -> Steps:
    """The slope of the gap is the damage that one more unit of noise does to the network as it was trained."""
    yield "The gap of a ridge grows with its strength by", sp.simplify(sp.diff(gap_of_ridge(), tau))
    best = lam * target / (lam + tau)
    yield "Half the square of the weight that is left, which is what a unit of noise costs there:", best**2 / 2
    yield "Their difference:", sp.simplify(sp.diff(gap_of_ridge(), tau) - best**2 / 2)


@Derivation
def degrees_of_freedom() -> Steps:
    """Effective number of parameters of ridge regression, the sum of λ/(λ+τ), where curvatures fall as i^-a."""
    z = sp.Symbol("z", positive=True)
    index = (tau * z) ** (-1 / a)
    yield "Number directions by their curvature over the ridge, z; the direction of z is number", index
    weight = sp.simplify(z / (1 + z) * -sp.diff(index, z))
    yield "A direction counts z/(1+z), and there are -di/dz of them at z:", weight
    plain = sp.integrate(z ** (beta - 1) / (1 + z), (z, 0, sp.oo), conds="none")
    yield "An integral of Euler's, for 0 < beta < 1:", sp.gammasimp(plain)
    total = tau ** (-1 / a) / a * sp.gammasimp(plain).subs(beta, 1 - 1 / a)
    yield "With beta = 1 - 1/a it is the sum over all directions:", sp.simplify(total)


@Derivation
def late_ridges() -> Steps:
    """What a ridge costs all directions once they are learned, where curvatures fall as i^-a and signals as i^-c."""
    z = sp.Symbol("z", positive=True)
    index = (tau * z) ** (-1 / a)
    yield "The direction whose curvature is z times the ridge is number", index
    signal = (tau * z) ** (1 / a + beta)
    yield "Its signal, curvature times the square of its best weight, is that to the -c, with c = 1 + a beta:", signal
    one = sp.simplify(gap_of_ridge().subs(target, sp.sqrt(signal / lam)).subs(lam, tau * z))
    yield "The ridge costs it", one
    weight = sp.powsimp(sp.simplify(one * -sp.diff(index, z)), force=True)
    yield "and there are -di/dz of them at z:", weight
    plain = sp.integrate(z ** (beta - 1) / (1 + z), (z, 0, sp.oo), conds="none")
    yield "The integral of Euler's once more, for 0 < beta < 1:", sp.gammasimp(plain)
    yield (
        "So the gap grows as a power of the noise, in which z has gone:",
        sp.simplify(weight / (z ** (beta - 1) / (1 + z))) * sp.gammasimp(plain),
    )


@Derivation
def early_ridges() -> Steps:
    """What a little noise costs a model that is learning all its directions, over what rounding afterwards costs it."""
    mu, theta = sp.symbols("mu theta", positive=True)
    share = mu / (mu + theta) * (1 - sp.exp(-mu - theta))
    yield "With mu the curvature times the time and theta the ridge times the time, flow has learned the share", share
    cost = (1 - share) ** 2 + theta / mu * share**2 - sp.exp(-2 * mu)
    yield "of a direction. The ridge costs it, in units of its signal and beside flow without a ridge,", cost
    little = sp.expand(sp.simplify(mu * sp.diff(cost, theta).subs(theta, 0)))
    yield "A little noise costs, per theta and times mu:", little
    weigh = lambda g: sp.integrate(mu ** (beta - 1) * sp.expand(sp.diff(g, mu)), (mu, 0, sp.oo), conds="none")  # noqa: E731
    trained = sp.simplify(weigh(little) / (1 - beta))
    yield (
        "Signal times number of directions goes as mu^(beta - 1), as in `loss` of the teacher, and with the mu from "
        "above as mu^(beta - 2). By parts, with nothing left at the ends, all of them cost",
        trained,
    )
    rounded = sp.simplify(weigh((1 - sp.exp(-mu)) ** 2) / (1 - beta))
    yield "Rounding afterwards costs the squares of the weights that were learned without noise:", rounded
    yield "Training with a little noise costs more by", sp.simplify(sp.gammasimp(trained / rounded))


@Derivation
def gap() -> Steps:
    """What training in few bits adds, G(v), if curvature can be given up at the price K (ρ - 1 - ln ρ)."""
    loss = v * rho + K * (rho - 1 - sp.log(rho))
    yield "A network that keeps the share rho of its curvature loses this to rounding and to having changed:", loss
    slope = sp.Eq(sp.diff(loss, rho), 0)
    yield "At the best share the slope is zero:", slope
    best = sp.solve(slope, rho)[0]
    yield "so that the share is", best
    yield "and what is lost at it, which is K ln(1 + v/K):", sp.factor(sp.expand_log(loss.subs(rho, best), force=True))


@Derivation
def kept() -> Steps:
    """Share of the damage of further rounding that is left in a network trained in few bits: the slope of its gap."""
    slope = sp.simplify(sp.diff(gap(), v))
    yield "The gap grows with the damage of the twin by", slope
    yield "For little damage everything is kept:", sp.limit(slope, v, 0)
    yield "In general:", slope


@Derivation
def damage() -> Steps:
    """The damage of the twin that belongs to a gap: the bend undone."""
    seen = sp.Symbol("G", positive=True)
    found = sp.solve(sp.Eq(K * sp.log(1 + v / K), seen), v)[0]
    yield "The gap in its usual form, solved for the damage:", found
    yield "To second order, a gap stands for more damage than itself:", sp.series(found, seen, 0, 3).removeO()
    yield "Exactly:", found


@Derivation
def joint() -> Steps:
    """What two tensors add together: their damages add before the bend, so less than the sum of their gaps."""
    seen = sp.Symbol("G", positive=True)
    total = damage().subs(seen, g1) + damage().subs(seen, g2)
    yield "Noise of two tensors adds, and so does its damage:", total
    together = sp.simplify(K * sp.log(1 + total / K))
    yield "The gap of the sum:", together
    small = sp.Symbol("epsilon", positive=True)
    order = sp.series(together.subs({g1: small * g1, g2: small * g2}), small, 0, 3).removeO().subs(small, 1)
    yield "To second order the sum of the gaps less a cross term:", sp.expand(order)
    yield "Exactly:", together


@Derivation
def crossed() -> Steps:
    """What two tensors add together if N_eff is a product of factors: more than the sum of their gaps, always."""
    one, two = ((1 + each / u) ** (-1 / alpha) for each in (g1, g2))
    yield "A gap g over the term u = A N^-alpha is the factor of N that gives it:", one
    product = sp.powsimp(sp.powdenest((one * two) ** -alpha, force=True), force=True)
    yield "Two factors multiply; the term grows by", product
    yield (
        "so that together they add the sum of the gaps and a cross term of the other sign:",
        sp.expand(u * (product - 1)),
    )


@Derivation
def effective_share() -> Steps:
    """N_eff/N as the paper reports it, of a network whose gap is the bend of its twin's damage."""
    f = sp.Symbol("f", positive=True)
    reported = sp.Eq(u * (f**-alpha - 1), gap())
    yield "N_eff is the size at which a network in full precision has the same loss:", reported
    yield "which gives its share of N:", sp.simplify(sp.solve(reported, f)[0])


@Derivation
def drift() -> Steps:
    """Exponent of D in what is reported as ln(N/N_eff), while it is small: that of the damage, bent."""
    seen = sp.Symbol("G", positive=True)
    exact = sp.log(1 + seen / u) / alpha
    yield "A gap G is the share (1 + G/u)^(-1/alpha) of N, so that ln(N/N_eff) is", exact
    first = sp.series(exact, seen, 0, 2).removeO()
    yield "While the gap is small beside u that is", first
    cost = first.subs(seen, gap())
    yield "with the bent gap", cost
    rate = sp.simplify(g * v * sp.diff(sp.log(cost), v))
    yield "The damage grows as D to the gamma_D, so what is reported grows as D to the", rate
    yield "At first as the damage itself:", sp.limit(rate, v, 0)
    yield "A number of parameters would need 0, which is reached for endless damage only:", sp.limit(rate, v, sp.oo)
    yield "In between:", sp.factor(rate)


@Derivation
def size_exponent() -> Steps:
    """γ_N of an undertrained layer of n outputs and inputs: half, less what a larger channel's largest weight costs."""
    k, n = sp.symbols("k n", positive=True)
    size = sp.Function("W")(n)
    each = n**k * size / n
    yield (
        "The n weights of an output have the mean square W/n; their largest, which sets the step, has kappa² times it, "
        "and kappa² grows as n to the k. The damage of an output, and their mean, goes as the squared step:",
        each,
    )
    slope = sp.simplify(n * sp.diff(sp.log(each), n))
    yield "Its slope in ln n:", slope
    early = slope.subs(sp.Derivative(size, n), 0)
    yield "Undertrained, further features have not been learned, and the squares do not change with n:", early
    yield "N grows as n², so the damage falls with N to the", sp.simplify(-early / 2)


def numeric(derived: Derivation, *letters: sp.Symbol) -> Any:
    """The result of a derivation as a function of NumPy arrays, its arguments in this order.

    Examples
    --------
    >>> G = numeric(gap, v, K)
    >>> round(float(G(0.05, 0.05)), 6)
    0.034657
    """
    return sp.lambdify(letters, derived(), "numpy")
