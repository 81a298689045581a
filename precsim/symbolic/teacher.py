"""The linear teacher and student in closed form: why the damage of rounding grows with data.

Eigenvalues λ_i = i^-a, signal λ_i w*_i² = i^-c, gradient flow from zero for a time t = rate · steps (the tokens, D):
w_i(t) = w*_i (1 - e^(-λ_i t)). For many weights the sums over i become integrals over x = i t^(-1/a).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

__all__ = ["a", "best_time", "c", "damage", "exponents", "geometric_mean", "loss", "optimal_factor", "size", "t"]

a, c, t = sp.symbols("a c t", positive=True)
_K, _kappa, _n = sp.symbols("K kappa n", positive=True)


def loss() -> Any:
    """½ Σ i^-c e^(-2 t i^-a) for 1 ≪ t: Γ((c-1)/a) (2t)^(-(c-1)/a) / (2a)."""
    beta = (c - 1) / a
    return sp.gamma(beta) * (2 * t) ** -beta / (2 * a)


def size() -> Any:
    """|w(t)|² = Σ i^(a-c) (1 - e^(-t i^-a))² for 1 ≪ t: Γ(-s)(2^s - 2) t^s / a with s = (a - c + 1)/a, 0 < s < 1.

    With y = x^-a it is (t^s/a) ∫ y^(-s-1) (1 - 2e^-y + e^-2y) dy, and ∫ y^(-s-1) e^(-ky) dy is Γ(-s) k^s: the terms
    that diverge at y = 0 cancel.
    """
    s = (a - c + 1) / a
    return sp.gamma(-s) * (2**s - 2) * t**s / a


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


def damage(steps: sp.Expr) -> Any:
    """κ |w(t)|²/steps²: what rounding adds to the loss, `steps` the steps from zero to the largest weight.

    κ = Tr(Λ) (max|w|/|w|)²/24 is constant in t: the curvature is that of the data, and the largest of many weights in a
    random basis is a fixed multiple of their root mean square.
    """
    return _kappa * size() / steps**2


def best_time() -> Any:
    """Time at which loss + damage is least: proportional to steps², hence to 4^P.

    d/dt of k₁ t^-β + k₂ t^(1-β)/steps² vanishes at t = β k₁ steps²/((1-β) k₂): the same for every β.
    """
    steps = sp.Symbol("steps", positive=True)
    beta = (c - 1) / a
    first = sp.simplify(loss() * t**beta)
    second = sp.simplify(damage(steps) * steps**2 / t ** (1 - beta))
    return beta * first * steps**2 / ((1 - beta) * second)


def geometric_mean() -> Any:
    """Geometric mean of i^-a for i = 1 … n: (n!)^(-a/n)."""
    return sp.gamma(_n + 1) ** (-a / _n)


def optimal_factor(steps: sp.Expr) -> Any:
    """N_eff/N when weights are rounded with optimal correction: (1 + K/steps²)^(-1/α), α = c - 1, 2^(P-1) - 1 steps.

    K = (c-1) e^a ln n/(6 (a-c+1)) keeps ln n of the size and nothing else: the damage is step²/24 · n times the
    *geometric* mean of the spectrum, (n/e)^-a, and the loss of a learned student of n weights falls like n^(1-c) too.
    """
    return (1 + _K / steps**2) ** (-1 / (c - 1))


def capacity_constant() -> Any:
    """K of `optimal_factor` for n weights: (c-1) e^a ln n / (6 (a-c+1))."""
    return (c - 1) * sp.exp(a) * sp.log(_n) / (6 * (a - c + 1))
