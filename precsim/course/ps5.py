"""Problem set 5: laws, from an exponent to a law on trial, and three questions to the open table's second edition."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from precsim.course import second_edition
from precsim.course.checking import Exercise, Mistake
from precsim.course.stored_runs import Foretold, Served, foretold, networks
from precsim.fitting.fits import fit
from precsim.fitting.uncertainty import Draws, interval
from precsim.laws import Chinchilla, KumarDegradation, Law, OuterExponent, critical_tokens
from precsim.laws.optima import implied_factor

__all__ = [
    "CRITICAL",
    "EXERCISES",
    "EXPONENT",
    "GROWTH",
    "HELD_OUT",
    "INTERVAL",
    "LOG_SCORE",
    "OBJECTIVE",
    "SERVED_NETWORK",
    "SHARE",
    "STUDENT",
    "Foretold",
    "Served",
    "foretold",
    "networks",
    "runs",
]

Numbers = Sequence[float]


def runs(seed: int, *, law: Law | None = None, noise: float = 0.002) -> dict[str, np.ndarray]:
    """Return a simulated table of runs: columns N, D and loss of 49 runs, from Chinchilla's form by default.

    Examples
    --------
    >>> table = runs(1)
    >>> sorted(table), len(table["loss"])
    (['D', 'N', 'loss'], 49)
    """
    law = law or Chinchilla(E=1.8, A=480.0, B=2100.0, alpha=0.35, beta=0.37)
    N, D = map(np.ravel, np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e9, 1e11, 7)))
    loss = law(N, D) * np.exp(noise * np.random.default_rng(seed).standard_normal(49))
    return {"N": N, "D": D, "loss": np.asarray(loss)}


# -- an exponent -----------------------------------------------------------------------------------------------------


def _slope(x: ArrayLike, y: ArrayLike) -> float:
    across, up = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    across = across - across.mean()
    return float(across @ up / (across @ across))


def _curve(alpha: float, E: float, seed: int) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    sizes = np.geomspace(1e6, 1e9, 7)
    noise = np.exp(0.01 * np.random.default_rng(seed).standard_normal(7))
    return tuple(sizes.tolist()), tuple((E + 300 * sizes**-alpha * noise).tolist()), E


EXPONENT = Exercise(
    name="exponent",
    truth=lambda sizes, losses, floor: -_slope(np.log(sizes), np.log(np.asarray(losses) - floor)),
    inputs=lambda: (_curve(0.5, 0.0, 1), _curve(0.35, 1.8, 2), _curve(0.3, 2.5, 3), _curve(0.45, 1.0, 4)),
    mistakes=(
        Mistake(
            "floor kept",
            "a loss with a floor is no straight line on logarithmic axes: subtract the floor first.",
            lambda sizes, losses, floor: -_slope(np.log(sizes), np.log(losses)),
        ),
        Mistake(
            "sign",
            "the loss falls with size, and the exponent is the positive number in N**-alpha.",
            lambda sizes, losses, floor: _slope(np.log(sizes), np.log(np.asarray(losses) - floor)),
        ),
        Mistake(
            "half logarithmic",
            "both axes are logarithmic: log of the size too.",
            lambda sizes, losses, floor: -_slope(sizes, np.log(np.asarray(losses) - floor)),
        ),
        Mistake(
            "ends only",
            "it joins the first and the last point; least squares uses all.",
            lambda sizes, losses, floor: (
                -math.log((losses[-1] - floor) / (losses[0] - floor)) / math.log(sizes[-1] / sizes[0])
            ),
        ),
    ),
    tolerance=1e-6,
)


# -- a robust objective ----------------------------------------------------------------------------------------------


def _objective(
    seen: Numbers, predicted: Numbers, knee: float, *, log: bool = True, half: float = 0.5, linear: bool = True
) -> float:
    total = 0.0
    for a, b in zip(seen, predicted, strict=True):
        r = abs(math.log(a) - math.log(b)) if log else abs(a - b)
        if r <= knee or not linear:
            total += half * r * r
        else:
            total += knee * (r - half * knee)
    return total


_SEEN = (3.2, 3.0, 2.9, 2.7)
OBJECTIVE = Exercise(
    name="objective",
    truth=_objective,
    inputs=lambda: (
        ((3.0,), (3.001,), 0.01),
        ((3.0,), (3.3,), 0.01),
        (_SEEN, (3.21, 2.98, 2.9, 2.4), 0.005),
        (_SEEN, (3.1, 3.1, 2.8, 2.8), 0.5),
        (tuple(runs(1)["loss"].tolist()), tuple(runs(2)["loss"].tolist()), 0.001),
    ),
    mistakes=(
        Mistake(
            "no logarithm",
            "residuals are differences of logarithms, so that every run counts by its relative error.",
            functools.partial(_objective, log=False),
        ),
        Mistake(
            "least squares",
            "beyond the knee it is linear: knee * (|r| - knee / 2).",
            functools.partial(_objective, linear=False),
        ),
        Mistake(
            "a jump",
            "the two branches must meet at the knee: the linear one is knee * (|r| - knee / 2).",
            lambda seen, predicted, knee: sum(
                0.5 * r * r if r <= knee else knee * r
                for r in (abs(math.log(a / b)) for a, b in zip(seen, predicted, strict=True))
            ),
        ),
        Mistake(
            "no half",
            "inside the knee it is r**2 / 2.",
            lambda seen, predicted, knee: sum(
                r * r if r <= knee else knee * (r - 0.5 * knee)
                for r in (abs(math.log(a / b)) for a, b in zip(seen, predicted, strict=True))
            ),
        ),
        Mistake(
            "signed",
            "a residual below zero counts like one above: compare |r| with the knee.",
            lambda seen, predicted, knee: sum(
                0.5 * r * r if r <= knee else knee * (r - 0.5 * knee)
                for r in (math.log(a) - math.log(b) for a, b in zip(seen, predicted, strict=True))
            ),
        ),
    ),
    tolerance=1e-9,
)


# -- an interval -----------------------------------------------------------------------------------------------------


def _width(draws: Numbers, level: float, *, sides: float = 2.0) -> float:
    tail = (1 - level) / sides
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(high - low)


def _package_width(draws: Numbers, level: float) -> float:
    found = interval(
        Draws(Chinchilla(E=0.0, A=1.0, B=1.0, beta=0.3), {"alpha": np.asarray(draws)}), lambda law: law.alpha, level
    )
    return found.high - found.low


def _lognormal(n: int, seed: int) -> tuple[float, ...]:
    return tuple(np.random.default_rng(seed).lognormal(-1.0, 0.5, n).tolist())


INTERVAL = Exercise(
    name="interval_width",
    truth=_package_width,
    inputs=lambda: (
        (tuple(float(i) for i in range(101)), 0.9),
        (_lognormal(1000, 1), 0.95),
        (_lognormal(400, 2), 0.68),
        (_lognormal(2001, 3), 0.99),
    ),
    mistakes=(
        Mistake(
            "one tail",
            "what is left over is split between both ends: (1 - level) / 2 on each side.",
            functools.partial(_width, sides=1.0),
        ),
        Mistake(
            "normal",
            "mean and standard deviation assume a bell; draws of a fit are often lopsided. Use the percentiles.",
            lambda draws, level: 2 * 1.96 * float(np.std(draws)),
        ),
        Mistake(
            "of the mean",
            "that is the error of the mean of the draws, which shrinks with their number; the interval does not.",
            lambda draws, level: 2 * 1.96 * float(np.std(draws)) / math.sqrt(len(draws)),
        ),
        Mistake("range", "it spans all draws, whatever the level.", lambda draws, level: max(draws) - min(draws)),
    ),
    tolerance=1e-6,
)


# -- effective parameters --------------------------------------------------------------------------------------------


def _share(low: float, full: float, N: float, A: float, alpha: float) -> float:
    D = 1e12  # any: the tokens' term cancels
    law = Chinchilla(E=full - A * N**-alpha - D**-0.3, A=A, B=1.0, alpha=alpha, beta=0.3)
    return float(implied_factor(law, N, D, low))


SHARE = Exercise(
    name="share",
    truth=_share,
    inputs=lambda: (
        (3.1, 3.0, 1e8, 400.0, 0.35),
        (2.53, 2.5, 1e9, 400.0, 0.35),
        (3.4, 3.0, 3e7, 4300.0, 0.5),
        (2.7001, 2.7, 1e9, 1800.0, 0.4),
    ),
    mistakes=(
        Mistake(
            "inverse",
            "low precision leaves fewer parameters: the share is below 1.",
            lambda low, full, N, A, alpha: 1 / _share(low, full, N, A, alpha),
        ),
        Mistake(
            "exponent",
            "from f**-alpha to f takes the power -1/alpha, not -alpha.",
            lambda low, full, N, A, alpha: (1 + (low - full) * N**alpha / A) ** -alpha,
        ),
        Mistake(
            "ratio of losses",
            "only A * N**-alpha feels N; the floor and the data's term cancel in the difference of the losses.",
            lambda low, full, N, A, alpha: (low / full) ** (-1 / alpha),
        ),
        Mistake(
            "first order",
            "that is the first term of a series in the difference; solve A * (f * N)**-alpha for f.",
            lambda low, full, N, A, alpha: 1 - (low - full) * N**alpha / (A * alpha),
        ),
    ),
    tolerance=1e-6,
)


# -- critical data ---------------------------------------------------------------------------------------------------


def _critical(B, beta, C_T, gamma_D, gamma_N, gamma_post, N, P) -> float:
    law = Chinchilla(E=0.0, A=1.0, B=B, alpha=0.3, beta=beta) | KumarDegradation(
        C_T=C_T, gamma_D=gamma_D, gamma_N=gamma_N, gamma_post=gamma_post
    )
    return float(critical_tokens(law, N, P))


def _closed(B, beta, C_T, gamma_D, gamma_N, gamma_post, N, P, *, balance=True, bits=1.0, power=1.0) -> float:
    log_ratio = math.log((beta / gamma_D if balance else 1.0) * B / C_T) + gamma_N * math.log(N) + bits * P / gamma_post
    return math.exp(min(log_ratio / (gamma_D + power * beta), 700.0))


_PAPER = (1.806e4, 0.4965, 0.0598, 0.5068, 0.3439, 0.5907)
CRITICAL = Exercise(
    name="critical",
    truth=_critical,
    inputs=lambda: (
        (*_PAPER, 3e7, 3),
        (*_PAPER, 8e9, 4),
        (*_PAPER, 8e9, 5),
        (2000.0, 0.37, 0.01, 0.6, 0.2, 0.62, 1e6, 4),
    ),
    mistakes=(
        Mistake(
            "equal terms",
            "the minimum is where the slopes cancel, not where the two terms are equal: beta and gamma_D come down.",
            functools.partial(_closed, balance=False),
        ),
        Mistake(
            "bits hurt",
            "more bits make the damage smaller and the critical data larger: exp(+P / gamma_post) stands above.",
            functools.partial(_closed, bits=-1.0),
        ),
        Mistake(
            "difference of exponents",
            "D**-beta over D**gamma_D is D**-(beta + gamma_D): the root has the sum.",
            functools.partial(_closed, power=-1.0),
        ),
        Mistake(
            "no root",
            "what is left is D to the power gamma_D + beta; take the root.",
            lambda *args: _closed(*args) ** (args[3] + args[1]),
        ),
    ),
    tolerance=1e-6,
)


# -- a law on trial --------------------------------------------------------------------------------------------------

_OTHER = OuterExponent(E=1.3, A=1.5e5, B=5e5, alpha=0.589, beta=0.544, g=0.274)


def _held_out(table: dict[str, np.ndarray], *, blind: bool = True, large: bool = True, root: bool = False) -> float:
    compute = table["N"] * table["D"]
    limit = np.quantile(compute, 0.7 if large else 0.3)
    held = compute > limit if large else compute < limit
    known = {c: v[~held] if blind else v for c, v in table.items()}
    law = fit(Chinchilla(), known).law
    error = np.abs(np.log(table["loss"][held]) - np.log(law(table["N"][held], table["D"][held])))
    return float(np.sqrt(np.mean(error**2)) if root else np.mean(error))


HELD_OUT = Exercise(
    name="held_out_error",
    truth=_held_out,
    inputs=lambda: ((runs(1),), (runs(2),), (runs(3, law=_OTHER),), (runs(4, law=_OTHER, noise=0.0005),)),
    mistakes=(
        Mistake(
            "seen",
            "the fit has seen the rows it is judged on: leave them out of the fit.",
            functools.partial(_held_out, blind=False),
        ),
        Mistake(
            "small ones",
            "a law is needed for the next, larger run: hold out the largest compute.",
            functools.partial(_held_out, large=False),
        ),
        Mistake(
            "root mean square",
            "the mean of the absolute errors is asked for, on which single runs weigh less.",
            functools.partial(_held_out, root=True),
        ),
        Mistake(
            "in sample",
            "that is the error on the rows of the fit, not on those held out.",
            lambda table: float(np.mean(np.abs(fit(Chinchilla(), table).residuals))),
        ),
    ),
    tolerance=1e-4,
)


# -- the second edition ------------------------------------------------------------------------------------------------

#: Quantile of Student's t for a two-sided 95 % interval of the mean of so many values.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}

GROWTH = Exercise(
    name="growth",
    truth=functools.partial(second_edition.growth, students=STUDENT),
    inputs=second_edition.growth_inputs,
    mistakes=second_edition.growth_mistakes(STUDENT),
    tolerance=1e-6,
)
SERVED_NETWORK = Exercise(
    name="served_network",
    truth=second_edition.served,
    inputs=second_edition.served_inputs,
    mistakes=second_edition.SERVED_MISTAKES,
)
LOG_SCORE = Exercise(
    name="log_score",
    truth=second_edition.log_score,
    inputs=second_edition.score_inputs,
    mistakes=second_edition.SCORE_MISTAKES,
    tolerance=1e-6,
)

EXERCISES = (EXPONENT, OBJECTIVE, INTERVAL, SHARE, CRITICAL, HELD_OUT, GROWTH, SERVED_NETWORK, LOG_SCORE)
