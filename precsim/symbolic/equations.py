"""The numbered equations of the paper as data: what is printed, what holds, its proof, and a numeric check of both.

References: kumar2024. `EQUATIONS` has them in the order of the paper; ``by_number("7")`` finds one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from precsim.symbolic import numbers as num
from precsim.symbolic.forms import C, D, N, P, P_post, symbol
from precsim.symbolic.numbers import CONSTANTS, value

__all__ = ["CONSTANTS", "EQUATIONS", "Equation", "Standing", "by_number", "value"]


class Standing(enum.Enum):
    """What is known of a printed equation."""

    HOLDS = "holds"  #: derived here as printed
    CORRECTED = "holds after correction"  #: derived here, and not as printed
    ASSUMPTION = "assumption"  #: a form that was chosen because it fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """One equation of the paper.

    Parameters
    ----------
    number : str
        As printed; several that say the same with a comma; a section where it has no number.
    says : str
        In words.
    printed : Basic
        As printed, in this package's letters.
    statement : Basic
        What holds; equal to `printed` unless it is corrected.
    standing : Standing
    proof : str
        Two lines; for an assumption, what it rests on.
    consequence : str
        What the number is that changes, or what follows.
    route : callable
        Takes an equation like this one and returns the largest relative difference between it and numbers that were
        found without it: by search, or from the package's law; inf if it has no solution.
    """

    number: str
    says: str
    printed: Any
    statement: Any
    standing: Standing
    proof: str
    consequence: str
    route: Callable[[Any], float]

    def error(self) -> float:
        """Relative difference between what holds and the numbers."""
        return self.route(self.statement)

    def misprint(self) -> float:
        """Relative difference between what is printed and the numbers."""
        return self.route(self.printed)


def by_number(number: str) -> Equation:
    """The equation with this number.

    Raises
    ------
    ValueError
        If the list has no such number.

    Examples
    --------
    >>> by_number("7").standing.value
    'holds after correction'
    """
    for equation in EQUATIONS:
        if number in equation.number.split(", "):
            return equation
    raise ValueError(f"no equation {number!r}; there are {', '.join(e.number for e in EQUATIONS)}")


# -- letters -------------------------------------------------------------------------------------------------------

A, B, E, alpha, beta = (symbol(name) for name in ("A", "B", "E", "alpha", "beta"))
C_T, gamma_D, gamma_N, gamma_post = (symbol(name) for name in ("C_T", "gamma_D", "gamma_N", "gamma_post"))
P_w, P_a, P_kv, C_w, C_a, C_kv, f, N_eff, L, delta = sp.symbols(
    "P_w P_a P_kv C_w C_a C_kv f N_eff L delta", positive=True
)
gamma_bar, n_bar, price = sp.symbols("gamma n p", positive=True)
_b = symbol("b", positive=False)
_width = {"w": P_w, "a": P_a, "kv": P_kv}
_gain = {"w": C_w, "a": C_a, "kv": C_kv}


def _both(one: Any, other: Any) -> Any:
    return sp.And(one, other)


def _plain(x: str) -> Any:
    return 1 - sp.exp(-_width[x] / symbol(f"gamma_{x}"))


def _offset(x: str) -> Any:
    return 1 - sp.exp(symbol(f"n_{x}", positive=False) - _width[x] / symbol(f"gamma_{x}"))


def _robust(x: str) -> Any:
    return 1 - sp.exp(-_gain[x] * (_width[x] - P_post))


def _product(of: Callable[[str], Any]) -> Any:
    return sp.Mul(*(of(x) for x in ("w", "a", "kv")))


_damage = C_T * D**gamma_D * N**-gamma_N * sp.exp(-P_post / gamma_post)
_share = beta / (alpha + beta)
_x = P / gamma_bar
_u = (1 - sp.exp(-_x)) ** (-3 * alpha)
_critical = (beta * B * N**gamma_N * sp.exp(P_post / gamma_post) / (gamma_D * C_T)) ** (1 / (gamma_D + beta))
_size_ratio, _data_ratio = sp.symbols("N*/N_Ch D*/D_Ch", positive=True)
_fixed_gain = 3 * alpha / gamma_bar * sp.exp(-_x) * (1 - sp.exp(-_x)) ** (-3 * alpha - 1) * A * N**-alpha

EQUATIONS: tuple[Equation, ...] = (
    Equation(
        number="1",
        says="loss = size term + data term + floor",
        printed=sp.Eq(L, A * N**-alpha + B * D**-beta + E),
        statement=sp.Eq(L, A * N**-alpha + B * D**-beta + E),
        standing=Standing.ASSUMPTION,
        proof="Chosen because it fits (Hoffmann et al.); the paper ties α = β. "
        "What can be derived is its optimum, D/N = (B/A)^(1/α) for α = β.",
        consequence="18.0 tokens a parameter with the paper's constants, at every budget",
        route=num.base,
    ),
    Equation(
        number="2",
        says="damage of rounding after training",
        printed=sp.Eq(delta, _damage),
        statement=sp.Eq(delta, _damage * sp.exp(_b)),
        standing=Standing.CORRECTED,
        proof="A form that fits; its constants were fitted with an offset b in the exponent (appendix K). "
        "It is a function of D/N alone only if γ_D = γ_N; fitted are 0.51 and 0.34.",
        consequence="the offset multiplies every damage by e^b = 3.09",
        route=num.damage,
    ),
    Equation(
        number="3",
        says="effective parameters, weights in low precision",
        printed=sp.Eq(N_eff, N * _plain("w")),
        statement=sp.Eq(N_eff, N * _offset("w")),
        standing=Standing.CORRECTED,
        proof="A form that fits, and the table's constants belong to 1 - e^(n - P/γ): the text drops n. "
        "Only with +n do they give the paper's own results.",
        consequence="weights at 4 bits count 70 %, not 78 %",
        route=num.weights_factor,
    ),
    Equation(
        number="4",
        says="effective parameters, weights, activations and KV cache",
        printed=sp.Eq(N_eff, N * _product(_plain)),
        statement=sp.Eq(N_eff, N * _product(_offset)),
        standing=Standing.CORRECTED,
        proof="That factors multiply is an assumption (tested in the paper's figure 5). "
        "P* = argmax f(P)/P of the product is 7.0 bits with the offsets and 3.5 without.",
        consequence="P* 7.0 or 3.5 bits; 1/f(4) is 5.2 or 1.6",
        route=num.product_bits,
    ),
    Equation(
        number="8",
        says="damage after training in few bits: weights",
        printed=sp.Eq(delta, _damage * _robust("w")),
        statement=sp.Eq(delta, _damage * _robust("w")),
        standing=Standing.ASSUMPTION,
        proof="Chosen so that δ = 0 at P_post = P_w (nothing is rounded twice) and so that it tends to equation 2 "
        "as P_w → ∞. The package's law is the same expression.",
        consequence="no value of C_w is printed",
        route=num.robust,
    ),
    Equation(
        number="9",
        says="the same for weights, activations and KV cache",
        printed=sp.Eq(delta, _damage.subs(N, N_eff) * _product(_robust)),
        statement=sp.Eq(delta, _damage.subs(N, N_eff) * _product(_robust)),
        standing=Standing.ASSUMPTION,
        proof="Equation 8 with N_eff for N and one bracket for each tensor: that they multiply is assumed. "
        "The package's law is the same expression, to all digits.",
        consequence="no value of any C_x is printed",
        route=num.robust_product,
    ),
    Equation(
        number="10",
        says="the bracket as a difference of two noise powers",
        printed=sp.Eq(
            sp.exp(-P_post / gamma_post) * _robust("w").subs(C_w, 1),
            sp.exp(-P_post / gamma_post) - sp.exp(-P_w / gamma_post),
        ),
        statement=sp.Eq(
            sp.exp(-P_post / gamma_post) * _robust("w").subs(C_w, 1 / gamma_post),
            sp.exp(-P_post / gamma_post) - sp.exp(-P_w / gamma_post),
        ),
        standing=Standing.CORRECTED,
        proof="e^(-Q/γ) (1 - e^(-C(P-Q))) = e^(-Q/γ) - e^(-CP) e^(-Q(1/γ - C)), Q the bits after training. "
        "The last factor is 1 for every Q only if C = 1/γ, and then the term is e^(-P/γ).",
        consequence="C_w = 1/γ_post = 1.69, where the paper sets C_w = 1",
        route=num.noise_difference,
    ),
    Equation(
        number="11",
        says="the unified law",
        printed=sp.Eq(L, A * N_eff**-alpha + B * D**-beta + E + delta),
        statement=sp.Eq(L, A * N_eff**-alpha + B * D**-beta + E + delta),
        standing=Standing.ASSUMPTION,
        proof="Equations 1, 4 and 9 put together; that the damage is added, and not multiplied, is assumed. "
        "The package's composed law equals the expression to all digits.",
        consequence="the precision of training acts on both terms that contain N_eff",
        route=num.unified,
    ),
    Equation(
        number="6, 16, 17",
        says="best size and data at given bits, relative to 16",
        printed=_both(
            sp.Eq(_size_ratio, f ** (-alpha / (alpha + beta)) * price**-_share),
            sp.Eq(_data_ratio, f ** (alpha / (alpha + beta)) * price**_share),
        ),
        statement=_both(
            sp.Eq(_size_ratio, f ** (-alpha / (alpha + beta)) * price**-_share),
            sp.Eq(_data_ratio, f ** (alpha / (alpha + beta)) * price ** (-alpha / (alpha + beta))),
        ),
        standing=Standing.CORRECTED,
        proof="With p = P/16 the budget is C = 6 N D p, so N* D* p is C, whatever the bits. "
        "The powers of p must add up to -1: -β/(α+β) of N* leaves -α/(α+β) for D*.",
        consequence="at 4 bits, α = β, the printed D* is 1/p = 4 times too small",
        route=num.split_of_compute,
    ),
    Equation(
        number="7",
        says="P* with size, data and bits free",
        printed=sp.Eq(3 * alpha * _x / (sp.exp(_x) - 1), 1),
        statement=sp.Eq(3 * _x / (sp.exp(_x) - 1), 1),
        standing=Standing.CORRECTED,
        proof="∂L/∂ln N = -α A N_eff^-α and ∂L/∂ln P = -α A N_eff^-α · d ln f/d ln P have the same multiplier, "
        "as the budget contains N and P alike. Divide: d ln f/d ln P = 1, and α cancels.",
        consequence="1.46 bits as printed, 3.7 bits as derived, with the mean γ of 1.95",
        route=num.tied_bits,
    ),
    Equation(
        number="28",
        says="the same condition, in the appendix",
        printed=sp.Eq(3 * _x / (sp.exp(_x) - 1), _u),
        statement=sp.Eq(3 * _x / (sp.exp(_x) - 1), 1),
        standing=Standing.CORRECTED,
        proof="u(P) = f^-α stands in both conditions and divides out; on the right it is left over. "
        "With it, P* would depend on α, though the condition is one of f and P alone.",
        consequence="as printed, no number of bits solves it; as derived, 3.7 bits",
        route=num.tied_bits,
    ),
    Equation(
        number="12, 13",
        says="data beyond which more data hurts",
        printed=sp.Eq(sp.Symbol("D_crit", positive=True), _critical),
        statement=sp.Eq(sp.Symbol("D_crit", positive=True), _critical * sp.exp(-_b / (gamma_D + beta))),
        standing=Standing.CORRECTED,
        proof="∂/∂ln D of B D^-β + δ is -β B D^-β + γ_D δ. Setting it to zero and solving for D gives the power "
        "1/(γ_D + β). The algebra holds; the offset b of δ goes along.",
        consequence="with b, the critical data are e^(b/(γ_D+β)) = 3.1 times fewer",
        route=num.critical_data,
    ),
    Equation(
        number="section 4.3",
        says="P* of a model of given size",
        printed=sp.Eq(_fixed_gain, beta * B * C**-beta * N**beta * P ** (beta - 1)),
        statement=sp.Eq(_fixed_gain, beta * B * C**-beta * N**beta * P ** (beta - 1)),
        standing=Standing.HOLDS,
        proof="Put D = C/(N P) into L and differentiate by P, with f = (1 - e^(-P/γ))³. "
        "For large C the left side is e^(-P/γ) up to a factor that tends to 1: P* ~ β γ ln C.",
        consequence="P* grows by β γ ln 10 bits for every factor of ten in compute",
        route=num.fixed_size,
    ),
    Equation(
        number="29",
        says="least loss for a cost of inference N P",
        printed=sp.Eq(L, A * N**-alpha + B * D**-beta + _damage.subs(P_post, P)),
        statement=sp.Eq(L, A * N**-alpha + B * D**-beta + _damage.subs(P_post, P) * sp.exp(_b)),
        standing=Standing.CORRECTED,
        proof="Data are free, so D = D_crit of equation 12; with P = C/N one variable is left. "
        "Its condition gives P* ~ γ (α - s γ_N)/s · ln N with s = β/(β + γ_D).",
        consequence="the offset b goes along with δ; asymptotically 0.39 bits for every e-fold of size",
        route=num.serving,
    ),
    Equation(
        number="30",
        says="the factor read off two losses",
        printed=sp.Eq(f, (L / A + N**-alpha) ** (-1 / alpha) / N),
        statement=sp.Eq(f, (L / A + N**-alpha) ** (-1 / alpha) / N),
        standing=Standing.HOLDS,
        proof="L(P) - L(∞) = A (N f)^-α - A N^-α: data term and floor cancel (L in the formula is this difference). "
        "Solve for f.",
        consequence="it needs A and α from a fit: the factor is not measured without a law",
        route=num.read_off,
    ),
)
