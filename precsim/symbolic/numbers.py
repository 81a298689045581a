"""Numbers beside the paper's equations: each route takes an equation in symbols and says how far from it numbers are.

Optima are found by search in 40 digits, with no formula for them; laws are the package's own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, SupportsFloat

import mpmath
import sympy as sp
from mpmath import mpf

from precsim.laws import published
from precsim.laws.base import Chinchilla
from precsim.laws.degradation import RobustDegradation
from precsim.laws.law import Composite
from precsim.laws.precision import Plain
from precsim.laws.setting import Tensor

Real = Any  #: mpmath's numbers, of which it has no types
_TENSORS = ("w", "a", "kv")
#: The paper's constants by the names of symbols; the gains C_x, which it does not print, are examples.
CONSTANTS = {
    **{{"E": "E_inf"}.get(k, k): float(v) for k, v in published.KUMAR_2024.parameters.items()},
    "C_w": 0.7,
    "C_a": 1.1,
    "C_kv": 1.9,
}
#: The mean of the three γ, which equations 7 and 28 use.
CONSTANTS["gamma"] = sum(CONSTANTS[f"gamma_{x}"] for x in _TENSORS) / 3
_K = {name: mpf(value) for name, value in CONSTANTS.items()}
#: (α, β) at which formulas in both are checked: the paper ties them, the algebra does not.
EXPONENTS = ((_K["alpha"], _K["beta"]), (mpf("0.34"), mpf("0.28")), (mpf("0.3"), mpf("0.7")))
_BITS = (4.0, 6.0, 11.0)
_SIZES = (math.log(1e4), math.log(1e17))


def value(expr: sp.Basic, **given: Real) -> Real:
    """An expression at the paper's constants and the given values, in the precision of mpmath."""
    known = _K | {k: mpf(v) for k, v in given.items()}
    names = sorted({str(x) for x in expr.free_symbols})
    missing = [n for n in names if n not in known]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    plain = {x: sp.Symbol(str(x)) for x in expr.free_symbols}
    return sp.lambdify([sp.Symbol(n) for n in names], expr.xreplace(plain), "mpmath")(*(known[n] for n in names))


def _loss(n: Real, d: Real, alpha: Real = _K["alpha"], beta: Real = _K["beta"]) -> Real:
    return _K["A"] * n**-alpha + _K["B"] * d**-beta


def _product(P: Real) -> Real:
    return mpmath.fprod(1 - mpmath.exp(_K[f"n_{x}"] - P / _K[f"gamma_{x}"]) for x in _TENSORS)


def _tied(P: Real) -> Real:
    return (1 - mpmath.exp(-P / _K["gamma"])) ** 3


def _damage(n: Real, d: Real, P: Real) -> Real:
    return _K["C_T"] * d ** _K["gamma_D"] * n ** -_K["gamma_N"] * mpmath.exp(_K["b"] - P / _K["gamma_post"])


# -- forms: the expression against the package's law ----------------------------------------------------------------


def against_law(law: Callable[..., SupportsFloat], **fixed: float) -> Callable[[sp.Eq], float]:
    """Route of a form: its right side at several sizes, tokens and bits against a law's numbers."""

    def route(equation: sp.Eq) -> float:
        worst = 0.0
        for n, d, post, w in itertools.product((3e7, 2e8), (1.5e9, 2.6e10), (3.0, 5.0), (7.0, 9.0)):
            bits = {"P_w": w, "P_a": w + 1, "P_kv": w - 1}
            n_eff = float(published.KUMAR_2024.n_eff(n, weights=w, activations=w + 1, kv=w - 1))
            got = value(equation.rhs, N=n, D=d, P_post=post, N_eff=n_eff, **bits, **fixed)
            worst = max(worst, difference(got, float(law(n, d, post, w))))
        return worst

    return route


_KUMAR = published.KUMAR_2024
_SHARED = {name: CONSTANTS[name] for name in ("C_T", "gamma_D", "gamma_N", "gamma_post")}
_ROBUST = RobustDegradation(**_SHARED, **{f"C_{x}": CONSTANTS[f"C_{x}"] for x in _TENSORS})
_WITH_FACTORS = Composite(_KUMAR.parts[:4]) | _ROBUST


def _all(w: float) -> dict[str, float]:
    return {"weights": w, "activations": w + 1, "kv": w - 1}


base = against_law(lambda n, d, post, w: Composite(_KUMAR.parts[:1])(n, d))
damage = against_law(lambda n, d, post, w: _KUMAR.delta(n, d, post=post))
weights_factor = against_law(lambda n, d, post, w: _KUMAR.n_eff(n, weights=w))
robust = against_law(lambda n, d, post, w: _ROBUST(n, d, weights=w, post=post))
robust_product = against_law(lambda n, d, post, w: _WITH_FACTORS.delta(n, d, **_all(w), post=post))


def unified(equation: sp.Eq) -> float:
    """Equation 11: a sum of the base at N_eff and a damage, against the composed law."""
    worst = 0.0
    for n, d, post, w in itertools.product((3e7, 2e8), (1.5e9, 2.6e10), (3.0, 5.0), (7.0, 9.0)):
        delta = float(_WITH_FACTORS.delta(n, d, **_all(w), post=post))
        got = value(equation.rhs, N_eff=float(_KUMAR.n_eff(n, **_all(w))), D=d, delta=delta)
        worst = max(worst, difference(got, float(_WITH_FACTORS(n, d, **_all(w), post=post))))
    return worst


# -- optima: the expression against a search -------------------------------------------------------------------------


def least_bits(f: Callable[[Real], Real], compute: float, alpha: Real, beta: Real, low: float) -> Real:
    """P of least loss with N, D and P free at C = 6 N D P/16: two nested searches, no derivation."""

    def least(P: Real) -> Real:
        def loss(log_n: Real) -> Real:
            n = mpmath.exp(log_n)
            return _loss(n * f(P), mpf(compute) * 16 / (6 * n * P), alpha, beta)

        return loss(stationary(loss, *_SIZES))

    return stationary(least, low, 20.0)


def product_bits(equation: sp.Eq) -> float:
    """Equation 4: the P that makes N_eff/P largest, all tensors at P, against the search in (N, D, P)."""

    def share(P: Real) -> Real:
        return -value(equation.rhs, N=1, P_w=P, P_a=P, P_kv=P) / P

    found = least_bits(_product, 1e21, *EXPONENTS[0], low=3.2)
    # below 3.2 bits two factors with offsets are negative, and their product is not
    offsets = any(str(x).startswith("n_") for x in equation.free_symbols)
    return difference(stationary(share, 3.2 if offsets else 1.0, 20.0), found)


def tied_bits(equation: sp.Eq) -> float:
    """Equations 7 and 28: the P that solves it against the search at three budgets and three (α, β).

    Inf if no P solves it.
    """
    left: Any = equation.lhs
    gap = left - equation.rhs
    at = [mpf(i) / 10 for i in range(1, 300)]
    signs = [value(gap, P=P) > 0 for P in at]
    if len(set(signs)) == 1:
        return math.inf
    turn = signs.index(False)
    root = mpmath.findroot(lambda P: value(gap, P=P), (at[turn - 1], at[turn]), solver="illinois", verify=False)
    pairs = zip((1e20, 1e24, 1e21), EXPONENTS, strict=True)
    return max(difference(root, least_bits(_tied, compute, *e, low=1.0)) for compute, e in pairs)


def split_of_compute(equations: sp.And) -> float:
    """Equations 6, 16, 17: ratios to 16 bits of the N* and D* found by search, three (α, β), three widths."""
    worst, compute = 0.0, mpf(10) ** 21
    sizes, tokens = sorted(equations.atoms(sp.Eq), key=lambda e: str(e.lhs), reverse=True)
    for alpha, beta in EXPONENTS:
        reference = _best_split(mpf(16), mpf(1), compute, alpha, beta)
        for P in map(mpf, _BITS):
            found = _best_split(P, _product(P), compute, alpha, beta)
            given = {"f": _product(P), "p": P / 16, "alpha": alpha, "beta": beta}
            for equation, one, other in zip((sizes, tokens), found, reference, strict=True):
                worst = max(worst, difference(value(equation.rhs, **given), one / other))
    return worst


def _best_split(P: Real, f: Real, compute: Real, alpha: Real, beta: Real) -> tuple[Real, Real]:
    def loss(log_n: Real) -> Real:
        n = mpmath.exp(log_n)
        return _loss(n * f, compute * 16 / (6 * n * P), alpha, beta)

    n = mpmath.exp(stationary(loss, *_SIZES))
    return n, compute * 16 / (6 * n * P)


def critical_data(equation: sp.Eq) -> float:
    """Equations 12 and 13 against the least point of the loss in D."""
    worst = 0.0
    for n, bits in itertools.product((3e7, 8e9), (3, 4, 5)):

        def loss(log_d: Real, n: float = n, bits: int = bits) -> Real:
            d = mpmath.exp(log_d)
            return _loss(mpf(n), d) + _damage(mpf(n), d, bits)

        found = mpmath.exp(stationary(loss, math.log(1e6), math.log(1e15)))
        worst = max(worst, difference(value(equation.rhs, N=n, P_post=bits), found))
    return worst


def fixed_size(equation: sp.Eq) -> float:
    """Section 4.3: both sides at the P of least loss for C = N D P."""
    worst = 0.0
    for n, compute in ((1e9, 1e23), (8e9, 1e25)):
        found = stationary(lambda P, n=n, c=compute: _loss(n * _tied(P), mpf(c) / (n * P)), 0.5, 40.0)
        given = {"N": n, "C": compute, "P": found}
        worst = max(worst, difference(value(equation.lhs, **given), value(equation.rhs, **given)))
    return worst


def serving(equation: sp.Eq) -> float:
    """Equation 29: N of its least value by two nested searches against the one with D eliminated by equation 12."""
    return max(difference(_serving_by_search(equation.rhs, cost), serving_optimum(cost)[0]) for cost in (1e10, 1e13))


def _serving_by_search(expr: sp.Basic, cost: float) -> Real:
    plain = {x: sp.Symbol(str(x)) for x in expr.free_symbols}
    left = expr.xreplace(plain).subs({sp.Symbol(k): v for k, v in CONSTANTS.items()})
    loss = sp.lambdify([sp.Symbol(x) for x in ("N", "D", "P")], left, "mpmath")

    def least(log_n: Real) -> Real:
        n = mpmath.exp(log_n)

        def at(log_d: Real) -> Real:
            return loss(n, mpmath.exp(log_d), cost / n)

        return at(stationary(at, math.log(1e3), math.log(1e40)))

    return mpmath.exp(stationary(least, *_serving_range(cost)))


def serving_optimum(cost: float) -> tuple[float, float, float]:
    """(N*, D*, P*) of equation 29 for a cost N P, by a search over N with D eliminated by equation 12.

    Examples
    --------
    >>> round(serving_optimum(1e12)[2], 2)
    8.87
    """

    def loss(log_n: Real) -> Real:
        n = mpmath.exp(log_n)
        d = _best_data(n, cost / n)
        return _loss(n, d) + _damage(n, d, cost / n)

    n = mpmath.exp(stationary(loss, *_serving_range(cost)))
    return float(n), float(_best_data(n, cost / n)), float(cost / n)


def _serving_range(cost: float) -> tuple[float, float]:
    return math.log(cost / 30.0), math.log(cost / 1.2)


def _best_data(n: Real, P: Real) -> Real:
    front = _K["beta"] * _K["B"] / (_K["gamma_D"] * _K["C_T"])
    inside = front * n ** _K["gamma_N"] * mpmath.exp(P / _K["gamma_post"] - _K["b"])
    return inside ** (1 / (_K["gamma_D"] + _K["beta"]))


# -- identities ------------------------------------------------------------------------------------------------------


def noise_difference(equation: sp.Eq) -> float:
    """Equation 10: both sides at several bits, C_w as in the equation."""
    pairs = ((6.0, 3.0), (5.0, 4.0), (8.0, 4.0))
    return max(difference(value(equation.lhs, P_w=w, P_post=q), value(equation.rhs, P_w=w, P_post=q)) for w, q in pairs)


def read_off(equation: sp.Eq) -> float:
    """Equation 30: f recovered from two losses of a law with unequal exponents."""
    law = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37) | Plain(Tensor.WEIGHTS, gamma=2.0)
    worst = 0.0
    for bits in (2.0, 4.0, 6.0):
        gap = float(law(1e6, 1e9, weights=bits)) - float(law(1e6, 1e9))
        found = value(equation.rhs, L=gap, A=400.0, alpha=0.35, N=1e6)
        worst = max(worst, difference(found, float(law.n_eff(1.0, weights=bits))))
    return worst


# mpmath and not SciPy: ten digits of a stationary point found from differences need far more than a double's 16 in the
# function itself.
_SCAN = 24  # points of the scan: the losses searched have one minimum
_H = 1e-12  # of the difference quotient; its error is of the order of the square, far below ten digits


def stationary(value: Callable[[Real], Real], low: float, high: float) -> Real:
    """Least point of a function of one variable in [low, high]: a scan, then a root of its numeric derivative.

    In 40 digits, so that more than ten of the result are sure: the derivative is a difference quotient, not a formula.

    Raises
    ------
    ValueError
        If the least value of the scan is at an end.
    """
    with mpmath.workdps(40):
        grid = [mpmath.mpf(low) + (mpmath.mpf(high) - low) * i / _SCAN for i in range(_SCAN + 1)]
        heights = [value(x) for x in grid]
        best = min(range(_SCAN + 1), key=heights.__getitem__)
        if best in (0, _SCAN):
            raise ValueError(f"no minimum inside [{low}, {high}]: the least value is at {float(grid[best]):g}")

        def slope(x: Real) -> Real:
            return (value(x + _H) - value(x - _H)) / (2 * _H)

        # the bracket is kept: a secant alone may leave it where the function is flat
        return mpmath.findroot(slope, (grid[best - 1], grid[best + 1]), solver="illinois", tol=1e-40, verify=False)


def difference(found: Real, expected: Real) -> float:
    """|found/expected - 1|, the relative distance of two numbers."""
    return float(abs(found / expected - 1))
