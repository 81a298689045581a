"""The best number of bits as formulas: independent of the budget, growing with data, or with the logarithm of compute.

Each is a stationarity condition solved as far as it goes, in steps that SymPy executes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from precsim.symbolic.forms import C, D, N, P, symbol
from precsim.symbolic.numbers import serving_optimum
from precsim.symbolic.steps import Derivation, Steps

__all__ = [
    "best_step",
    "bits_per_efold",
    "bits_with_drift",
    "elasticity",
    "fixed_size_asymptote",
    "fixed_size_bits",
    "fixed_size_condition",
    "fixed_size_large",
    "serving_optimum",
    "serving_slope",
    "sun_best_bits",
    "sun_compute_exponents",
    "sun_exponents",
]


def elasticity(expr: sp.Expr, x: sp.Symbol) -> Any:
    """d ln(expr)/d ln(x): by how many percent the expression grows when x grows by one percent.

    Examples
    --------
    >>> elasticity(3 * P**2, P)
    2
    """
    return sp.simplify(x * sp.diff(expr, x) / expr)


def best_step(factor: Callable[[float], Any], price: Callable[[float], float], ends: Sequence[float]) -> float:
    """P* for a price with steps: the right end of a tread at which factor/price is largest [bits].

    On a tread d ln c/d ln P = 0 < d ln f/d ln P, so every further bit is free and no point inside can be best; at a
    step c jumps. The condition of `precsim.symbolic.best_bits` has no solution, and comparison of the ends decides.

    Parameters
    ----------
    factor : callable
        P → N_eff/N, increasing.
    price : callable
        P → relative cost, constant up to each end.
    ends : sequence of float
        Widths that the machine has [bits].

    Raises
    ------
    ValueError
        If there is no end with a positive factor.

    Examples
    --------
    >>> best_step(lambda P: 1 - 2 ** (1 - P), lambda P: 0.5 if P <= 8 else 1.0, [8, 16])
    8
    """
    worth = {end: float(factor(end)) / float(price(end)) for end in ends}
    if not any(value > 0 for value in worth.values()):
        raise ValueError(f"none of the widths {', '.join(f'{e:g}' for e in ends)} has a positive factor")
    return max((end for end in worth if worth[end] > 0), key=worth.__getitem__)


A, B, E, alpha, beta, gamma = (symbol(name) for name in ("A", "B", "E", "alpha", "beta", "gamma"))
kappa, q, c, k, D_0 = (symbol(name) for name in ("kappa", "q", "c", "k", "D_0"))
C_T, gamma_D, gamma_post = (symbol(name) for name in ("C_T", "gamma_D", "gamma_post"))
n, gamma_N = (symbol(name, positive=False) for name in ("n", "gamma_N"))
w = sp.Symbol("w", real=True)  # Lambert's W where it is solved for


@Derivation
def fixed_size_condition() -> Steps:
    """What P* of a model of given size solves, for one tensor with f = 1 - e^(n - P/γ) and C = 6 N D P/16.

    References: kumar2024, section 4.3 and appendix E, with the offset n that its constants belong to.
    """
    tokens = sp.solve(sp.Eq(C, 6 * N * D * P / 16), D)[0]
    yield "Bits cost tokens: the budget leaves", sp.Eq(D, tokens)
    damage = sp.exp(n - P / gamma)
    loss = A * (N * (1 - damage)) ** -alpha + B * tokens**-beta + E
    yield "Then the loss of a model of N parameters depends on P alone:", loss
    gain = sp.powdenest(-P * sp.diff(A * (N * (1 - damage)) ** -alpha, P), force=True)
    yield "One more percent of bits gains through N_eff", sp.powsimp(sp.expand_power_base(gain, force=True))
    price = sp.simplify(P * sp.diff(B * tokens**-beta, P))
    yield "and loses through the tokens that it costs", price
    yield "At the best P both are equal:", sp.Eq(sp.powsimp(sp.expand_power_base(gain, force=True)), price)


@Derivation
def fixed_size_bits() -> Steps:
    """P* of a model of given size where f is close to 1: in closed form by the branch W₋₁ of Lambert's function.

    For β < 1. The relative error falls like e^(n - P/γ).
    """
    gain, price = fixed_size_condition().args
    gain = gain.subs(1 - sp.exp(n - P / gamma), 1)
    yield "Where f is close to 1, its power on the side of the gain is 1:", sp.Eq(gain, price)
    small = sp.powsimp(sp.simplify(price / gain * P ** (1 - beta) * sp.exp(-P / gamma)), force=True)
    yield "Collect what contains P: P^(1-β) e^(-P/γ) = K with", small
    bare = sp.Symbol("K", positive=True)
    power = 1 / (1 - beta)
    yield "Take the power 1/(1-β):", sp.Eq(P * sp.exp(-P * power / gamma), bare**power)
    equation = (P * sp.exp(-P * power / gamma)).subs(P, -(1 - beta) * gamma * w)
    yield "Put P = -(1-β) γ w; then w e^w stands on the left:", sp.Eq(sp.simplify(equation), bare**power)
    inner = sp.simplify(bare**power / (equation / (w * sp.exp(w))))
    yield "So w is Lambert's function of", sp.factor(inner)
    best = -(1 - beta) * gamma * sp.LambertW(sp.factor(inner), -1)
    yield "P beyond (1-β) γ means w < -1, the branch -1:", sp.Eq(P, best)
    yield "With K put back:", best.subs(bare, small)


@Derivation
def fixed_size_large() -> Steps:
    """P* of a model of given size for large compute: γ ln(1/K), and (1-β) γ ln of that more, and so on.

    The first order contains the paper's statement P* ~ β γ ln C; the second adds the logarithm of the logarithm.
    """
    small = fixed_size_bits.steps[1].result
    bare = sp.Symbol("K", positive=True)
    yield "What was to be solved is P^(1-β) e^(-P/γ) = K with", sp.Eq(bare, small)
    logarithm = sp.expand_log(sp.log(P ** (1 - beta) * sp.exp(-P / gamma)), force=True) - sp.log(bare)
    alone = sp.expand(sp.solve(logarithm.subs(sp.log(P), w), P)[0]).subs(w, sp.log(P))
    yield "Its logarithm, solved for the P that stands outside of a logarithm:", sp.Eq(P, alone)
    first = gamma * sp.expand_log(-sp.log(small), force=True)
    yield "K falls with compute, so that for large budgets the logarithm of P is small beside that of 1/K:", first
    yield "Put this P into the logarithm:", alone.subs(P, first).subs(sp.log(bare), -first / gamma)


def fixed_size_asymptote(order: int) -> Any:
    """P* of a model of given size for large compute (`fixed_size_large`): its leading term, or two terms.

    Raises
    ------
    ValueError
        If the order is neither 1 nor 2.
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    return fixed_size_large.steps[order - 3].result


@Derivation
def bits_with_drift() -> Steps:
    """P* when the damage ln(1/f) = c e^(-P/γ) (D/D₀)^k grows with the data, N, D and P all free."""
    factor = sp.exp(-c * sp.exp(-P / gamma) * (D / D_0) ** k)
    yield "The factor, whose damage grows with data:", factor
    condition: Any = sp.Eq(elasticity(factor, P), 1)
    yield "Where size and bits cost the same, the best bits have d ln f/d ln P = 1:", condition
    left = sp.simplify(condition.lhs.subs(P, -gamma * w))
    yield "Put P = -γ w; then w e^w stands on the left:", sp.Eq(left, 1)
    inner = sp.simplify(w * sp.exp(w) / left)
    yield "So w is Lambert's function of", inner
    yield "P beyond γ means w < -1, the branch -1:", -gamma * sp.LambertW(inner, -1)


@Derivation
def bits_per_efold() -> Steps:
    """dP*/d ln D of `bits_with_drift`: the bits that an e-fold of data costs; it has P* on its right side."""
    x = sp.Symbol("x", real=True)
    condition: Any = bits_with_drift.steps[1].result.lhs.subs(D, D_0 * sp.exp(x))
    yield "The condition, with ln(D/D₀) = x:", sp.Eq(condition, 1)
    logarithm = sp.expand_log(sp.log(sp.simplify(condition)), force=True)
    yield "Its logarithm is zero on the whole line of optima:", sp.Eq(logarithm, 0)
    yield "So P* moves with x by", sp.simplify(-sp.diff(logarithm, x) / sp.diff(logarithm, P))


@Derivation
def sun_best_bits() -> Steps:
    """P* of Sun et al.'s law for given data, N and P free at a cost of N P.

    The exponent and significand bits are already split in the best way (q = δ + ν).

    References: sun2025.
    """
    loss = A / N**alpha + B / D**beta + E + kappa * D**beta * N**-alpha * P**-q
    yield "The law:", loss
    size, bits = (sp.simplify(x * sp.diff(loss, x) * N**alpha) for x in (N, P))
    yield "One percent of size changes the loss, times N^α, by", size
    yield "One percent of bits changes it, on the same scale, by", bits
    yield "They cost the same, so both are equal; solved for P:", sp.solve(sp.Eq(size, bits), P)[0]


@Derivation
def sun_exponents() -> Steps:
    """Exponents of compute of N, D and P, in this order, in Sun et al.'s law with everything free."""
    bits = sp.simplify(elasticity(sun_best_bits(), D))
    yield "The best bits are a power of the data, with the exponent", bits
    beyond = sp.Symbol("m", positive=True)  # q - α
    share: Any = sp.powdenest((kappa * D**beta * P**-q).subs(P, sun_best_bits().subs(alpha, q - beyond)), force=True)
    yield "At them κ D^β P^(-q) does not depend on the data:", sp.simplify(share).subs(beyond, q - alpha)
    flat = sp.Symbol("K", positive=True)
    loss = (A + flat) * N**-alpha + B * D**-beta
    yield "so that with K for it the loss is a sum of two powers:", loss
    condition = sp.Eq(alpha * A * N**-alpha + alpha * flat * N**-alpha, beta * B * D**-beta - beta * flat * N**-alpha)
    yield "One percent of size and one of data (whose part in κ D^β counts) cost the same and gain the same:", condition
    size = elasticity(sp.solve(condition, N)[0], D)
    yield "The best size is a power of the data too, with the exponent", size
    total = size + 1 + bits
    yield "Compute is N D P, so that its exponent in D is their sum:", sp.factor(total)
    yield "Per unit of compute, N, D and P have", sp.Tuple(*(sp.simplify(x / total) for x in (size, 1, bits)))


def sun_compute_exponents() -> dict[str, Any]:
    """{"N", "D", "P": exponent of compute} of `sun_exponents`: P* grows, slowly."""
    return dict(zip(("N", "D", "P"), sun_exponents(), strict=True))


@Derivation
def serving_slope() -> Steps:
    """dP*/d ln N of the paper's serving problem (cost N P, data free) for large budgets, bits per e-fold of size.

    References: kumar2024, equation 29.
    """
    damage = C_T * D**gamma_D * N**-gamma_N * sp.exp(-P / gamma_post)
    best = sp.solve(sp.Eq(beta * B * D**-beta, gamma_D * damage), D)[0]
    yield "Data are free, so there are as many as help. The data term falls as fast as the damage grows at", best
    rest = sp.expand_log(sp.log(best**-beta), force=True)
    size, bits = sp.simplify(-N * sp.diff(rest, N)), sp.simplify(-sp.diff(rest, P))
    yield "There both are multiples of D^(-β); a unit of ln N takes from its logarithm", size
    yield "and a bit takes", bits
    x, first, scale = sp.symbols("x M_1 M_2", real=True)
    s_N, s_P = sp.symbols("s_N s_P", positive=True)
    line = sp.Eq(alpha * first * sp.exp(-alpha * x), scale * sp.exp(-s_N * x - s_P * P) * (s_P * P - s_N))
    yield "On N P = C, with x = ln N, more size gains on the left what the bits it costs lose on the right:", line
    equal = (-alpha * x) - (-s_N * x - s_P * P + sp.log(s_P * P - s_N))
    yield "The difference of the logarithms, up to a constant:", equal
    slope = sp.simplify(-sp.diff(equal, x) / sp.diff(equal, P))
    yield "It stays zero along the line of optima, so that P* moves with ln N by", slope
    limit = sp.limit(slope, P, sp.oo)
    yield "For many bits:", limit
    yield "In the letters of the law:", sp.simplify(limit.subs({s_N: size, s_P: bits}))
