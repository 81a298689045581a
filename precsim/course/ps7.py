"""Problem set 7: derivations. Best bits, a corrected equation, a rate, critical data, two bounds, how N_eff emerges."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad
from scipy.optimize import root_scalar

from precsim.course.checking import Exercise, Mistake
from precsim.laws.published import KUMAR_2024
from precsim.symbolic.largest import mean_square

__all__ = [
    "BEST_BITS",
    "CHATTER",
    "CRITICAL",
    "DATA_RATIO",
    "EXERCISES",
    "GRID_RATE",
    "JOINT",
    "KEPT",
    "LARGEST",
    "TERMS",
    "paper",
]


def paper() -> dict[str, float]:
    """The published constants, by the names of the package.

    Examples
    --------
    >>> paper()["gamma_post"]
    0.5907
    """
    return {name: float(value) for name, value in KUMAR_2024.parameters.items()}


# -- best bits -----------------------------------------------------------------------------------------------------


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a falling function between low and high; `low` where a mistake makes it negative throughout."""
    return low if f(low) <= 0 else float(root_scalar(f, bracket=(low, high), xtol=1e-12).root)


def _best(gamma: float, parts: int, *, front: float = 1.0, level: float = 1.0, use: bool = True) -> float:
    k = parts if use else 1
    return round(_root(lambda P: front * k * (P / gamma) / np.expm1(P / gamma) - level, 1e-9, 60 * gamma), 6)


BEST_BITS = Exercise(
    name="best_bits",
    truth=_best,
    inputs=lambda: ((1.9475, 3), (1.0, 2), (2.6745, 2), (0.8, 5), (3.0, 3)),
    mistakes=(
        Mistake(
            "spare alpha",
            "α stands on both sides of the condition and divides out; equation 7 as printed keeps it on the left.",
            functools.partial(_best, front=0.4965),
        ),
        Mistake(
            "price",
            "the price is P, so d ln c / d ln P = 1; 1/2 is that of a price √P.",
            functools.partial(_best, level=0.5),
        ),
        Mistake(
            "slope in P",
            "set the derivative by ln P to 1, not that by P: a factor P is missing.",
            lambda gamma, parts: round(gamma * math.log1p(parts / gamma), 6),
        ),
        Mistake(
            "in units of gamma",
            "that is x = P/γ; multiply by γ to get bits.",
            lambda gamma, parts: round(_best(1.0, parts), 6),
        ),
    ),
)


# -- the corrected D* ----------------------------------------------------------------------------------------------


def _ratio(P: float, f: float, alpha: float, beta: float, *, f_power: int = 1, tokens=-1.0, sizes=0.0) -> float:
    """f^(±α/(α+β)) p^((tokens·α + sizes·β)/(α+β)), a ratio to 16 bits."""
    total = alpha + beta
    return round(f ** (f_power * alpha / total) * (P / 16) ** ((tokens * alpha + sizes * beta) / total), 9)


DATA_RATIO = Exercise(
    name="data_ratio",
    truth=_ratio,
    inputs=lambda: (
        (8.0, 0.828, 0.4965, 0.4965),
        (4.0, 0.191, 0.4965, 0.4965),
        (6.0, 0.6, 0.34, 0.28),
        (12.0, 0.97, 0.3, 0.7),
        (32.0, 1.0, 0.5, 0.4),
    ),
    mistakes=(
        Mistake(
            "printed",
            "with this power N* D* P is not the same at every P, so the budget is not spent: count the powers of P.",
            functools.partial(_ratio, tokens=0.0, sizes=1.0),
        ),
        Mistake(
            "size",
            "that is the ratio of the sizes N*; the tokens have f to a positive power.",
            functools.partial(_ratio, f_power=-1, tokens=0.0, sizes=-1.0),
        ),
        Mistake(
            "f only",
            "cheaper parameters and tokens leave more of the budget: the price P/16 is missing.",
            functools.partial(_ratio, tokens=0.0),
        ),
        Mistake(
            "f upside down",
            "a smaller f moves the budget from tokens to parameters: f has a positive power here.",
            functools.partial(_ratio, f_power=-1),
        ),
    ),
)


# -- the rate of the grid -------------------------------------------------------------------------------------------


def _rate(P: int, *, first: Callable[[int], float], squared: bool = True) -> float:
    return round(1 / ((2 if squared else 1) * math.log(first(P + 1) / first(P))), 9)


def _steps(P: int) -> float:
    return 2 ** (P - 1) - 1


GRID_RATE = Exercise(
    name="grid_rate",
    truth=functools.partial(_rate, first=_steps),
    inputs=lambda: ((3,), (4,), (5,), (6,), (8,)),
    mistakes=(
        Mistake(
            "amplitude",
            "the damage goes with the square of the step.",
            functools.partial(_rate, first=_steps, squared=False),
        ),
        Mistake(
            "powers of two",
            "a symmetric grid has 2**(P-1) - 1 steps from zero to its end, not a power of two.",
            functools.partial(_rate, first=lambda P: 2.0**P),
        ),
        Mistake(
            "both sides",
            "that is the number of steps of a grid from one end to the other without its middle: 2**P - 1.",
            functools.partial(_rate, first=lambda P: 2.0**P - 1),
        ),
        Mistake(
            "rate",
            "that is 1/γ, e-folds per bit; γ is bits per e-fold.",
            lambda P: round(2 * math.log(_steps(P + 1) / _steps(P)), 9),
        ),
    ),
)


# -- critical data --------------------------------------------------------------------------------------------------


def _critical(
    N: float, bits: float, *, both: bool = True, exponents: bool = True, size: int = 1, offset: bool = True
) -> float:
    k = paper()
    front = k["B"] / k["C_T"] * (k["beta"] / k["gamma_D"] if exponents else 1.0)
    inside = front * N ** (size * k["gamma_N"]) * math.exp(bits / k["gamma_post"] - (k["b"] if offset else 0.0))
    return round(math.log10(inside) / (k["gamma_D"] + (k["beta"] if both else 0.0)), 9)


CRITICAL = Exercise(
    name="critical_decades",
    truth=_critical,
    inputs=lambda: ((3e7, 3), (3e7, 4), (8e9, 4), (8e9, 8), (7e10, 5)),
    mistakes=(
        Mistake(
            "balance",
            "the two *derivatives* balance, not the two terms: β and γ_D come down.",
            functools.partial(_critical, exponents=False),
        ),
        Mistake(
            "one exponent",
            "the data term falls while δ rises: the exponents add up, 1/(γ_D + β).",
            functools.partial(_critical, both=False),
        ),
        Mistake(
            "size", "a larger model is damaged less, so its turn comes later.", functools.partial(_critical, size=-1)
        ),
        Mistake(
            "offset",
            "the constants were fitted with an offset b in the exponent of δ; the main text drops it.",
            functools.partial(_critical, offset=False),
        ),
    ),
)


# -- n against sqrt(n) ----------------------------------------------------------------------------------------------


def _terms(precision: int, tolerance: float, mean_zero: bool, *, u: int = 0, swap: bool = False, plus: int = 1) -> int:
    steps = math.floor(tolerance * 2.0 ** (precision - u) + 1e-9)
    square = mean_zero != swap
    return (math.floor((tolerance * 2.0 ** (precision - u)) ** 2 + 1e-9) if square else steps) + plus


TERMS = Exercise(
    name="terms_allowed",
    truth=_terms,
    inputs=lambda: ((8, 0.0625, False), (8, 0.0625, True), (11, 0.01, False), (11, 0.01, True), (24, 1e-3, True)),
    mistakes=(
        Mistake(
            "swap",
            "errors of mean zero add up like the square root: they allow more terms, not fewer.",
            functools.partial(_terms, swap=True),
        ),
        Mistake("n additions", "n terms need n - 1 additions.", functools.partial(_terms, plus=0)),
        Mistake(
            "eps",
            "nearest rounding has u = 2**-p; 2**(1-p) is the spacing above 1.",
            functools.partial(_terms, u=1),
        ),
        Mistake(
            "root of n",
            "sqrt(n - 1) u at most the tolerance: square the tolerance over u, do not take its root.",
            lambda p, t, zero: (math.floor(math.sqrt(t * 2.0**p)) if zero else math.floor(t * 2.0**p + 1e-9)) + 1,
        ),
    ),
)


# -- the largest weight ---------------------------------------------------------------------------------------------


def _square(n: int) -> float:
    return float(mean_square(n))


LARGEST = Exercise(
    name="largest_square",
    truth=_square,
    inputs=lambda: ((1,), (2,), (32,), (64,), (4096,)),
    tolerance=1e-6,
    mistakes=(
        Mistake(
            "leading term",
            "2 ln n is only the leading term for large n; at 64 numbers it is a fifth too high: do the integral.",
            lambda n: 2 * math.log(n),
        ),
        Mistake(
            "one side",
            "a magnitude is below y with probability erf(y/√2); (1 + erf)/2 is that of a signed number.",
            lambda n: float(_integral(lambda y: 1 - ((1 + math.erf(y / math.sqrt(2))) / 2) ** n)),
        ),
        Mistake(
            "mean, not square",
            "the mean of the square is the integral of 2y times the probability to be beyond y; you left out 2y.",
            lambda n: float(quad(lambda y: 1 - math.erf(y / math.sqrt(2)) ** n, 0, 12, limit=200)[0]),
        ),
    ),
)


def _integral(beyond: Callable[[float], float]) -> float:
    return float(quad(lambda y: 2 * y * beyond(y), 0, 12, limit=200)[0])


# -- training with noise --------------------------------------------------------------------------------------------


def _chatter(h: float, nu: float, *, of: Callable[[float], float] = lambda nu: nu * (1 - nu)) -> float:
    return round(h * h * of(nu), 9)


CHATTER = Exercise(
    name="chatter",
    truth=_chatter,
    inputs=lambda: ((1.0, 0.5), (1.0, 0.1), (0.5, 0.75), (2.0, 0.3), (1.0, 0.0)),
    mistakes=(
        Mistake(
            "nearest",
            "that is rounding to nearest; a weight that is trained through the rounding visits both neighbors.",
            functools.partial(_chatter, of=lambda nu: min(nu, 1 - nu) ** 2),
        ),
        Mistake(
            "even odds",
            "it does not visit both equally often: the slopes cancel only if the upper one has the share nu.",
            functools.partial(_chatter, of=lambda nu: (nu**2 + (1 - nu) ** 2) / 2),
        ),
        Mistake(
            "mean over the cell",
            "h²/6 is the average over nu; the question is about one nu.",
            functools.partial(_chatter, of=lambda nu: 1 / 6),
        ),
    ),
)


def _kept(v: float, K: float) -> float:
    return round(K / (K + v), 9)


KEPT = Exercise(
    name="kept",
    truth=_kept,
    inputs=lambda: ((0.05, 0.05), (0.01, 0.05), (0.2, 0.05), (0.02, 0.15), (1e-6, 0.05)),
    mistakes=(
        Mistake(
            "share of the gap",
            "G/v is how much of the damage the gap is; what is kept is the slope dG/dv.",
            lambda v, K: round(K * math.log1p(v / K) / v, 9),
        ),
        Mistake(
            "given up",
            "that is the share given up; the question is what is kept.",
            lambda v, K: round(v / (K + v), 9),
        ),
        Mistake(
            "exponential",
            "solve v + K (1 - 1/rho) = 0 for rho: it is a fraction, not an exponential.",
            lambda v, K: round(math.exp(-v / K), 9),
        ),
    ),
)


def _joint(g1: float, g2: float, K: float) -> float:
    return round(K * math.log(math.exp(g1 / K) + math.exp(g2 / K) - 1), 9)


JOINT = Exercise(
    name="joint_gap",
    truth=_joint,
    inputs=lambda: ((0.05, 0.05, 0.15), (0.1, 0.02, 0.15), (0.2, 0.2, 0.05), (0.01, 0.0, 0.05), (0.03, 0.07, 1.0)),
    tolerance=1e-7,
    mistakes=(
        Mistake(
            "sum",
            "damages add, gaps do not: turn each gap back into its damage first.",
            lambda g1, g2, K: round(g1 + g2, 9),
        ),
        Mistake(
            "product law",
            "a product of factors gives the cross term the sign +; a gap that bends gives it the sign -.",
            lambda g1, g2, K: round(g1 + g2 + g1 * g2 / K, 9),
        ),
        Mistake(
            "second order",
            "g1 + g2 - g1 g2/K is right for small gaps only.",
            lambda g1, g2, K: round(g1 + g2 - g1 * g2 / K, 9),
        ),
        Mistake(
            "bent twice",
            "the gaps are bent already: undo the bend before you add, do not bend the sum once more.",
            lambda g1, g2, K: round(K * math.log1p((g1 + g2) / K), 9),
        ),
    ),
)

EXERCISES = (BEST_BITS, DATA_RATIO, GRID_RATE, CRITICAL, TERMS, LARGEST, CHATTER, KEPT, JOINT)
