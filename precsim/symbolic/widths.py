"""The best number of bits as formulas: independent of the budget, growing with data, or with the logarithm of compute.

Each is a stationarity condition solved as far as it goes. The laws are the package's own, with symbols in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from precsim.symbolic.forms import C, D, N, P, symbol
from precsim.symbolic.numbers import serving_optimum

__all__ = [
    "best_step",
    "bits_with_drift",
    "elasticity",
    "fixed_size_asymptote",
    "fixed_size_bits",
    "fixed_size_condition",
    "serving_optimum",
    "serving_slope",
    "sun_best_bits",
    "sun_compute_exponents",
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


def fixed_size_condition() -> Any:
    """What P* of a model of given size solves, for one tensor with f = 1 - e^(n - P/γ) and C = 6 N D P/16.

    Bits cost tokens: D = 16 C/(6 N P). The left side is what one more percent of bits gains through N_eff, the right
    side what it loses through the tokens it costs.

    References: kumar2024, section 4.3 and appendix E, with the offset n that its constants belong to.
    """
    A, B, alpha, beta, gamma, n = _letters()
    damage = sp.exp(n - P / gamma)
    gain = alpha * (P / gamma) * damage * (1 - damage) ** (-alpha - 1) * A * N**-alpha
    return sp.Eq(gain, beta * B * _tokens() ** -beta)


def fixed_size_bits() -> Any:
    r"""P* of a model of given size where f is close to 1: in closed form by the branch W₋₁ of Lambert's function.

    With (1 - damage)^(-α - 1) replaced by 1 the condition is P^(1-β) e^(-P/γ) = K, so that
    P* = -(1-β) γ W₋₁(-K^(1/(1-β)) / ((1-β) γ)), for β < 1. The relative error falls like e^(n - P/γ).
    """
    A, B, alpha, beta, gamma, n = _letters()
    K = beta * gamma * B * N**alpha * (P * _tokens()) ** -beta * sp.exp(-n) / (alpha * A)
    K = sp.powsimp(sp.simplify(K), force=True)
    return -(1 - beta) * gamma * sp.LambertW(-(K ** (1 / (1 - beta))) / ((1 - beta) * gamma), -1)


def fixed_size_asymptote(order: int) -> Any:
    """P* of a model of given size for large compute: ln(1/K) γ (order 1), and (1-β) γ ln of that more (order 2).

    Order 1 contains the paper's statement P* ~ β γ ln C. Order 2 adds the logarithm of the logarithm.

    Raises
    ------
    ValueError
        If the order is neither 1 nor 2.
    """
    A, B, alpha, beta, gamma, n = _letters()
    K = beta * gamma * B * N**alpha * (P * _tokens()) ** -beta * sp.exp(-n) / (alpha * A)
    first = gamma * sp.expand_log(-sp.log(sp.simplify(K)), force=True)
    if order == 1:
        return first
    if order == 2:
        return first + (1 - beta) * gamma * sp.log(first)
    raise ValueError(f"order must be 1 or 2, got {order!r}")


def bits_with_drift() -> tuple[Any, Any]:
    """(P*, dP*/d ln D) when the damage ln(1/f) = c e^(-P/γ) (D/D₀)^k grows with the data, N, D and P all free.

    The condition d ln f/d ln P = 1 becomes (c P/γ) e^(-P/γ) (D/D₀)^k = 1, so P* = -γ W₋₁(-(D₀/D)^k / c), and
    every e-fold of data costs k γ/(1 - γ/P*) bits.
    """
    gamma, c, k, D0 = symbol("gamma"), symbol("c"), symbol("k"), symbol("D_0")
    best = -gamma * sp.LambertW(-((D0 / D) ** k) / c, -1)
    return best, k * gamma / (1 - gamma / P)


def sun_best_bits() -> Any:
    """P* of Sun et al.'s law for given data, N and P free: P*^q = κ (q - α) D^β/(α A).

    The law is A/N^α + B/D^β + E + κ D^β N^(-α) P^(-q), with the exponent and significand bits already split in the
    best way (q = δ + ν); the condition in N and the condition in P have the same multiplier.

    References: sun2025.
    """
    A, _, alpha, beta, _, _ = _letters()
    kappa, q = symbol("kappa"), symbol("q")
    return (kappa * (q - alpha) * D**beta / (alpha * A)) ** (1 / q)


def sun_compute_exponents() -> dict[str, Any]:
    """{"N", "D", "P": exponent of compute} of Sun et al.'s law with everything free: P* grows, slowly."""
    alpha, beta, q = symbol("alpha"), symbol("beta"), symbol("q")
    per_token = {"N": beta / alpha, "D": sp.Integer(1), "P": beta / q}
    total = sum(per_token.values(), sp.S.Zero)
    return {name: sp.simplify(value / total) for name, value in per_token.items()}


def serving_slope() -> Any:
    """dP*/d ln N of the paper's serving problem (cost N P, data free) for large budgets, bits per e-fold of size.

    Eliminating D leaves A N^(-α) + K N^(-sγ_N) e^(-sP/γ) with s = β/(β + γ_D). Both terms fall together only if
    e^(-sP/γ) P ∝ N^(sγ_N - α), so P* ~ γ (α - s γ_N)/s · ln N.

    References: kumar2024, equation 29.
    """
    alpha, beta = symbol("alpha"), symbol("beta")
    gamma, gamma_D, gamma_N = symbol("gamma_post"), symbol("gamma_D"), symbol("gamma_N", positive=False)
    s = beta / (beta + gamma_D)
    return sp.simplify(gamma * (alpha - s * gamma_N) / s)


def _letters() -> tuple[Any, ...]:
    return (
        *(symbol(name) for name in ("A", "B", "alpha", "beta", "gamma")),
        symbol("n", positive=False),
    )


def _tokens() -> Any:
    """D that a budget leaves for a model of N parameters in P bits, C = 6 N D P/16."""
    return sp.Rational(16, 6) * C / (N * P)
