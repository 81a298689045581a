"""Problem set 6: a budget, a machine's widths, a fixed model, a served model, and what a list of runs would tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from precsim.course.checking import Exercise, Mistake
from precsim.laws import Chinchilla, Offset, Tensor
from precsim.planning.design import Cell, expected
from precsim.planning.plans import Choice, Hardware, plan

__all__ = [
    "EXERCISES",
    "FIXED",
    "HALF_WIDTH",
    "SERVED",
    "SIZE",
    "SIZES",
    "WIDTH",
    "WIDTHS",
    "loss",
    "share",
    "tokens_for",
]

# -- a budget --------------------------------------------------------------------------------------------------------

_LAWS = ((406.4, 410.7, 0.336, 0.283), (482.01, 2085.43, 0.3478, 0.3658), (4299.0, 18060.0, 0.4965, 0.4965))


def _size(A, B, alpha, beta, C, *, flop=6.0, ratio=True, own=False) -> float:
    share = 1 / (alpha + beta)
    G = ((alpha / beta if ratio else 1.0) * A / B) ** share
    return G * (C / flop) ** ((alpha if own else beta) * share)


SIZE = Exercise(
    name="best_size",
    truth=lambda A, B, alpha, beta, C: float(Chinchilla(E=0.0, A=A, B=B, alpha=alpha, beta=beta).optimum(C)[0]),
    inputs=lambda: tuple((*law, C) for law in _LAWS for C in (1e20, 5.76e23)),
    mistakes=(
        Mistake("six", "C = 6 N D: N * D is a sixth of the compute.", functools.partial(_size, flop=1.0)),
        Mistake(
            "equal terms",
            "at the minimum the slopes are equal, alpha A N**-alpha = beta B D**-beta, not the terms.",
            functools.partial(_size, ratio=False),
        ),
        Mistake(
            "exponents exchanged",
            "N grows with C to the power beta / (alpha + beta): the faster data stop helping, the more goes into size.",
            functools.partial(_size, own=True),
        ),
        Mistake(
            "tokens",
            "these are the tokens; the parameters are asked for.",
            lambda A, B, alpha, beta, C: C / 6 / _size(A, B, alpha, beta, C),
        ),
    ),
    tolerance=1e-6,
)


# -- the widths of a machine -----------------------------------------------------------------------------------------

Factor = dict[int, float]


def _price(P: int, able: Sequence[int]) -> float:
    machine = Hardware(name="machine", peak={b: 16 / b for b in able}, memory=1.0, bandwidth=1.0, source="exercise")
    return machine.price(P)


def _best(share: Factor, able: Sequence[int], *, worth: Callable[[float, int, Sequence[int]], float]) -> int:
    return max(share, key=lambda P: worth(share[P], P, able))


_SHARES: tuple[Factor, ...] = (
    {3: 0.35, 4: 0.55, 6: 0.8, 8: 0.93, 16: 1.0},
    {3: 0.1, 4: 0.191, 6: 0.611, 7: 0.74, 8: 0.828, 16: 0.994},
    {2: 0.17, 3: 0.43, 4: 0.7, 8: 0.99, 16: 1.0},
)
WIDTH = Exercise(
    name="best_width",
    truth=functools.partial(_best, worth=lambda f, P, able: f / _price(P, able)),
    inputs=lambda: tuple((share, able) for share in _SHARES for able in ((8, 16), (4, 8, 16), (16,), (6, 12, 16))),
    mistakes=(
        Mistake(
            "price by bits",
            "a width the machine does not multiply costs as much as the next one it has.",
            functools.partial(_best, worth=lambda f, P, able: f / P),
        ),
        Mistake(
            "share only",
            "the largest share is always that of the most bits; divide by the price.",
            functools.partial(_best, worth=lambda f, P, able: f),
        ),
        Mistake(
            "cheapest",
            "the fewest bits are the cheapest; what counts is the share of parameters for the price.",
            functools.partial(_best, worth=lambda f, P, able: -P),
        ),
        Mistake(
            "native only",
            "a width the machine lacks may still be used, at the price of the next.",
            functools.partial(_best, worth=lambda f, P, able: f / P if P in able else -1.0),
        ),
    ),
)


# -- a fixed model ---------------------------------------------------------------------------------------------------

_FORM = Chinchilla(E=2.76, A=4299.0, B=18060.0, alpha=0.4965, beta=0.4965)
_GAMMA, _N = 2.2102, 1.4072
#: Widths to choose from [bits].
WIDTHS = (4, 5, 6, 7, 8, 10, 12, 16)


def loss(N: float, D: float) -> float:
    """Return the loss of N (effective) parameters and D tokens, by the paper's constants [nats/token].

    Examples
    --------
    >>> round(loss(8e9, 15e12), 4)
    2.8172
    """
    return float(_FORM(N, D))


def share(P: int) -> float:
    """Return f(P) = N_eff/N of activations at P bits, by the paper's constants.

    Examples
    --------
    >>> round(share(8), 3)
    0.891
    """
    return 1 - math.exp(_N - P / _GAMMA)


def _fixed_truth(N: float, C: float) -> int:
    law = _FORM | Offset(Tensor.TIED, gamma=_GAMMA, n=_N)
    found = plan(law, compute=C, parameters=N, choices=[Choice.tied(P) for P in WIDTHS])
    return int(found.choice.width)


def _fixed(N: float, C: float, *, price: float = 1.0, on_size: float = 1.0, on_data: float = 0.0) -> int:
    def of(P: int) -> float:
        D = C / (6 * N) * (16 / P) ** price
        return loss(N * share(P) ** on_size, D * share(P) ** on_data)

    return min(WIDTHS, key=of)


FIXED = Exercise(
    name="fixed_bits",
    truth=_fixed_truth,
    inputs=lambda: ((8e9, 1e22), (8e9, 7e23), (8e9, 1e26), (70e9, 6e24), (405e9, 1e24), (405e9, 4e25), (1e9, 1e20)),
    mistakes=(
        Mistake(
            "same tokens",
            "fewer bits buy more tokens for the same compute: D = 16 C / (6 N P).",
            functools.partial(_fixed, price=0.0),
        ),
        Mistake(
            "no loss of parameters",
            "with all N parameters effective at every width the fewest bits always win; put f(P) N in the law.",
            functools.partial(_fixed, on_size=0.0),
        ),
        Mistake(
            "share of the tokens",
            "low precision takes parameters, not tokens: f(P) stands with N.",
            functools.partial(_fixed, on_size=0.0, on_data=1.0),
        ),
    ),
)


# -- a served model --------------------------------------------------------------------------------------------------

_BASE = Chinchilla(E=1.69, A=406.4, B=410.7, alpha=0.336, beta=0.283)
#: Sizes to choose from [parameters].
SIZES = tuple(float(f"{n:.3g}") for n in np.geomspace(1e9, 6e10, 40))


def tokens_for(N: float, target: float) -> float:
    """Return the tokens with which N parameters reach a loss, inf if none do.

    Examples
    --------
    >>> f"{tokens_for(7e9, 2.05):.3g}", tokens_for(1e9, 1.8)
    ('1.11e+12', inf)
    """
    left = target - _BASE.E - _BASE.A * N**-_BASE.alpha
    return (_BASE.B / left) ** (1 / _BASE.beta) if left > 0 else math.inf


def _served(target: float, served: float, *, cost: Callable[[float, float, float], float]) -> float:
    return min(SIZES, key=lambda N: cost(N, tokens_for(N, target), served))


SERVED = Exercise(
    name="served_size",
    truth=functools.partial(_served, cost=lambda N, D, T: 6 * N * D + 2 * N * T),
    inputs=lambda: ((2.1, 0.0), (2.05, 2e12), (2.05, 2e13), (2.2, 1e12), (2.0, 1e13)),
    mistakes=(
        Mistake(
            "training only",
            "serving costs 2 N operations for each token served; add them.",
            functools.partial(_served, cost=lambda N, D, T: 6 * N * D),
        ),
        Mistake(
            "six for serving",
            "a token served goes forward only: 2 N operations, a third of a token trained.",
            functools.partial(_served, cost=lambda N, D, T: 6 * N * (D + T)),
        ),
        Mistake(
            "smallest",
            "the smallest model that can reach the loss needs almost endless training: both costs count.",
            functools.partial(_served, cost=lambda N, D, T: N if D < math.inf else math.inf),
        ),
        Mistake(
            "serving only",
            "training costs 6 N D; for small models it is the larger part.",
            functools.partial(_served, cost=lambda N, D, T: 2 * N * max(T, 1.0) if D < 1e15 else math.inf),
        ),
    ),
)


# -- what runs would tell --------------------------------------------------------------------------------------------


def _half_width_truth(sizes: Sequence[float], noise: float) -> float:
    law = Chinchilla(E=0.0, A=400.0, B=1e-9, alpha=0.35, beta=1.0)
    cells = [Cell(n, 1e15) for n in sizes]
    widths, _ = expected(law, cells, noise=noise, fixed=("B", "beta"))
    return float(widths["alpha"] * law.alpha)


def _half_width(
    sizes: Sequence[float],
    noise: float,
    *,
    centered: bool = True,
    root: bool = True,
    z: float = 1.959964,
    log: Any = np.log,
) -> float:
    x = log(np.asarray(sizes))
    x = x - x.mean() if centered else x
    variance = noise**2 / float(x @ x)
    return z * (math.sqrt(variance) if root else variance)


HALF_WIDTH = Exercise(
    name="half_width",
    truth=_half_width_truth,
    inputs=lambda: (
        ((1e6, 1e9), 0.005),
        ((1e6, 1e7, 1e8, 1e9), 0.005),
        ((1e6, 1e6, 1e9, 1e9), 0.002),
        ((3e7, 6e7, 1.1e8, 2.2e8), 0.005),
    ),
    mistakes=(
        Mistake(
            "not centered",
            "the height of the line is unknown too: only distances from the mean of ln N tell about the slope.",
            functools.partial(_half_width, centered=False),
        ),
        Mistake(
            "variance", "that is a variance; the half-width needs its root.", functools.partial(_half_width, root=False)
        ),
        Mistake(
            "standard error",
            "a 95 % interval reaches 1.96 standard errors to each side.",
            functools.partial(_half_width, z=1.0),
        ),
        Mistake(
            "decades",
            "natural logarithms: with log10 the slope's unit is another.",
            functools.partial(_half_width, log=np.log10),
        ),
    ),
    tolerance=1e-4,
)

EXERCISES = (SIZE, WIDTH, FIXED, SERVED, HALF_WIDTH)
