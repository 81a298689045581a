"""Laws with symbols in them: optima, exponents, critical tokens and limits as formulas, checked against numbers.

The formulas are not typed again: `law` puts SymPy symbols into the same law object that fits and plans use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from precsim.laws.base import PowerBase
from precsim.laws.law import Law
from precsim.laws.setting import Effective
from precsim.symbolic.browser import to_tree, to_vega

__all__ = [
    "C",
    "D",
    "N",
    "P",
    "P_post",
    "best_bits",
    "check",
    "critical_tokens",
    "exponents",
    "law",
    "limits",
    "optimum",
    "stationarity",
    "symbol",
    "to_latex",
    "to_numpy",
    "to_tree",
    "to_vega",
]

N, D, C, P, P_post = sp.symbols("N D C P P_post", positive=True)

#: Parameters whose own letter means something else to SymPy, to Vega or to Python, and the symbol they get.
_RENAMED = {"E": "E_inf"}


def symbol(name: str, *, positive: bool = True) -> sp.Symbol:
    """The symbol that stands for a law's parameter: its name, but E_inf for E, which is 2.718… to a browser's chart.

    Examples
    --------
    >>> symbol("alpha"), symbol("E")
    (alpha, E_inf)
    """
    return sp.Symbol(_RENAMED.get(name, name), **({"positive": True} if positive else {"real": True}))


def law(form: Law, *, keep: Sequence[str] = ()) -> Law:
    """The same law with symbols for its parameters.

    Parameters
    ----------
    form : Law
        Values do not matter, except those of `keep`.
    keep : sequence of str
        Parameters that keep their value, for example ``["b"]`` for an offset that is 0.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> law(Chinchilla())(N, D)
    A/N**alpha + B/D**beta + E_inf
    """
    names = [n for n in form.parameters if n not in keep]
    kept = {
        n: sp.Integer(int(v)) if float(v).is_integer() else sp.Float(v) for n, v in form.parameters.items() if n in keep
    }
    return form.replace(**{n: symbol(n, positive=form.describe(n)["positive"]) for n in names}, **kept)


def _two_powers(expr: sp.Expr, x: sp.Symbol) -> list[tuple[sp.Expr, sp.Expr]]:
    """[(coefficient, power)] of a sum of powers of x, powers equal up to rewriting put together."""
    terms: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(sp.powsimp(sp.expand_power_base(expr, force=True)))):
        power = sp.simplify(x * sp.diff(term, x) / term)
        if power.has(x):
            raise ValueError(f"no closed form: {term} is not a power of {x}")
        terms[power] = terms.get(power, sp.S.Zero) + sp.simplify(term / x**power)
    return [(c, p) for p, c in terms.items() if c != 0]


def _inner(s: Law, n, d) -> sp.Expr:
    """The part of the loss that N and D change: A·T₁ + B·T₂ of which any outer power is monotone."""
    if not isinstance(s.base, PowerBase):
        raise ValueError("an optimum over N and D needs a base law, such as Chinchilla()")
    first, second = s.base.terms(n, d)
    return s.base.A * first + s.base.B * second


def stationarity(s: Law, constraint: sp.Eq, **bits) -> sp.Basic:
    """The condition for least loss along a budget, in N: marginal gain of parameters equals that of tokens.

    Parameters
    ----------
    s : Law
        With symbols, from `law`.
    constraint : Eq
        Budget in N, D and C, for example ``Eq(C, 6*N*D)``.
    **bits
        As for a law.
    """
    tokens: Any = sp.solve(constraint, D)
    if len(tokens) != 1:
        raise ValueError(f"the constraint must give D; {constraint} has {len(tokens)} solutions")
    n, d = s.effective(s.setting(N, tokens[0], **bits))
    marginal: Any = sp.powdenest(N * sp.diff(_inner(s, n, d), N), force=True)
    slope = _two_powers(marginal, N)
    falling = sum((c * N**p for c, p in slope if p.could_extract_minus_sign()), sp.S.Zero)
    rest = sum((c * N**p for c, p in slope if not p.could_extract_minus_sign()), sp.S.Zero)
    return sp.Eq(-falling, rest)


def optimum(s: Law, constraint: sp.Eq, **bits) -> dict[sp.Symbol, sp.Expr]:
    """Minimizer {N: …, D: …} of the loss under a budget, in closed form.

    The loss must come down to two powers of N along the budget, as every base here does whose factors do not depend
    on N or D.

    Raises
    ------
    ValueError
        If there is no such closed form.

    Examples
    --------
    >>> from precsim.laws import Tied
    >>> best = optimum(law(Tied()), sp.Eq(C, 6 * N * D))
    >>> sp.simplify(best[D] / best[N] - (symbol("B") / symbol("A")) ** (1 / symbol("alpha")))
    0
    """
    tokens: Any = sp.solve(constraint, D)
    if len(tokens) != 1:
        raise ValueError(f"the constraint must give D; {constraint} has {len(tokens)} solutions")
    n, d = s.effective(s.setting(N, tokens[0], **bits))
    slope = _two_powers(N * sp.diff(_inner(s, n, d), N), N)
    if len(slope) != 2:
        raise ValueError(f"no closed form: {len(slope)} powers of N balance at the optimum")
    (c1, p1), (c2, p2) = slope
    ratio: Any = sp.powdenest((-c2 / c1) ** (1 / (p1 - p2)), force=True)
    best: Any = sp.simplify(ratio)
    return {N: best, D: sp.simplify(tokens[0].subs(N, best))}


def exponents(s: Law, constraint: sp.Eq, variable: sp.Symbol = C, **bits) -> dict[sp.Symbol, sp.Expr]:
    """{N: ∂ln N*/∂ln C, D: ∂ln D*/∂ln C} of the optimum.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> exponents(law(Chinchilla()), sp.Eq(C, 6 * N * D))[N]
    beta/(alpha + beta)
    """
    best = optimum(s, constraint, **bits)
    return {x: sp.simplify(variable * sp.diff(sp.expand_log(sp.log(y), force=True), variable)) for x, y in best.items()}


def best_bits(s: Law, price: sp.Expr = P) -> sp.Basic:
    """The equation for P*, d ln f/d ln P = d ln price/d ln P: no A, B, E, α, β or C is in it.

    Proof: at the optimum over N for a given P the loss depends on P only through f(P)/price(P), the effective
    parameters bought for one unit of compute, and falls in it.

    Examples
    --------
    >>> from precsim.laws import Plain, Tensor, Chinchilla
    >>> best_bits(law(Chinchilla() | Plain(Tensor.WEIGHTS)))
    Eq(P/(gamma_w*(exp(P/gamma_w) - 1)), 1)
    """
    if not s.factors or any(part.on is Effective.D or hasattr(part, "inner") for part in s.factors):
        raise ValueError("P* is independent of the budget only if precision acts on N alone, without drift")
    total = sp.S.Zero
    setting = s.setting(N, D, weights=P, activations=P, kv=P)
    for part in s.factors:
        f = part.factor(setting)
        total += sp.simplify(P * sp.diff(f, P) / f)
    return sp.Eq(total, sp.simplify(P * sp.diff(price, P) / price))


def critical_tokens(s: Law, **bits) -> sp.Expr:
    """D at which ∂L/∂D = 0: beyond it more training hurts the quantized model.

    Examples
    --------
    >>> from precsim.laws import Chinchilla, KumarDegradation
    >>> form = law(Chinchilla() | KumarDegradation(), keep=["b"])
    >>> value = critical_tokens(form)
    >>> sp.simplify(N * sp.diff(sp.expand_log(sp.log(value), force=True), N))
    gamma_N/(beta + gamma_D)
    """
    bits.setdefault("post", P_post)
    terms = _two_powers(sp.expand(D * sp.diff(s(N, D, **bits), D)), D)
    if len(terms) != 2:
        raise ValueError(f"no closed form: {len(terms)} powers of D balance")
    (c1, p1), (c2, p2) = terms
    return sp.powsimp(sp.powdenest((-c2 / c1) ** (1 / (p1 - p2)), force=True))


def limits(s: Law) -> dict[str, sp.Expr]:
    """What the loss tends to: infinite data, infinite size, and every tensor at infinitely many bits."""
    full = s(N, D)
    found = {"D → ∞": sp.limit(full, D, sp.oo), "N → ∞": sp.limit(full, N, sp.oo)}
    if s.factors:
        n, d = s.effective(s.setting(N, D, weights=P, activations=P, kv=P))
        found["N_eff/N, P → ∞"] = sp.limit(n / N, P, sp.oo)
        found["D_eff/D, P → ∞"] = sp.limit(d / D, P, sp.oo)
    return found


def to_latex(expr: sp.Basic) -> str:
    r"""LaTeX of an expression.

    Examples
    --------
    >>> to_latex(symbol("gamma_w") / N)
    '\\frac{\\gamma_{w}}{N}'
    """
    return sp.latex(expr, symbol_names={sp.Symbol("E_inf", positive=True): r"E_{\infty}"})


def to_numpy(expr: sp.Expr, arguments: Sequence[sp.Symbol]) -> Callable:
    """A function of NumPy arrays that evaluates the expression."""
    return sp.lambdify(list(arguments), expr, "numpy")


def _values(of: Law) -> dict[str, float]:
    return {_RENAMED.get(n, n): float(v) for n, v in of.parameters.items() if v is not None}


def check(expr: sp.Expr, numeric: Callable, laws: Sequence[Law], at: Sequence[Mapping[str, float]] = ({},)) -> float:
    """Largest relative difference between a formula and a numeric route, over these laws and settings.

    Parameters
    ----------
    expr : Expr
        In the symbols of `law` and of this module (N, D, C, P, P_post).
    numeric : callable
        ``numeric(law, **setting)`` → the same quantity as a number, by another way.
    laws : sequence of Law
        With numbers; `Draws` will do.
    at : sequence of mappings
        Values of the module's symbols, ``[{"C": 1e21}, {"C": 1e23}]``.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> some = [Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)]
    >>> best = optimum(law(Chinchilla()), sp.Eq(C, 6 * N * D))
    >>> check(best[N], lambda law, C: law.optimum(C)[0], some, [{"C": 1e21}]) < 1e-12
    True
    """
    names: list[Any] = sorted(expr.free_symbols, key=str)
    function = to_numpy(expr, names)
    worst = 0.0
    for one in laws:
        for setting in at:
            values = _values(one) | {k: float(v) for k, v in setting.items()}
            missing = [str(x) for x in names if str(x) not in values]
            if missing:
                raise ValueError(f"no value for {', '.join(missing)}: neither a parameter of the law nor in at=")
            formula = float(function(*(values[str(x)] for x in names)))
            number = float(numeric(one, **setting))
            worst = max(worst, abs(formula - number) / max(abs(number), np.finfo(float).tiny))
    return worst
