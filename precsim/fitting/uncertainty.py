"""How sure: bootstrap draws of a fitted law, intervals for anything computed from one, profiles, predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import overload

import numpy as np

from precsim.equality import Record
from precsim.fitting.fits import Fit, FitError, Stage
from precsim.fitting.newton import minimize
from precsim.fitting.objective import LOG_MAX, Objective
from precsim.fitting.starting_points import scan
from precsim.laws.law import Law

__all__ = ["Draws", "Interval", "bootstrap", "interval", "percentiles", "predict", "profile"]

_ELEMENTS = 16_384  # lanes × rows of one batch: its arrays stay in the cache


@dataclass(frozen=True, eq=False)
class Interval(Record):
    """A range [low, high] for a quantity, with its level and how it was made.

    `n` is the number of draws (bootstrap) or refits (profile) behind it.
    """

    low: float
    high: float
    level: float
    method: str
    n: int

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, eq=False)
class Draws(Record, Sequence):
    """Laws refitted to resampled tables: a sequence of `Law`, and one law whose parameters are arrays.

    Attributes
    ----------
    form : Law
        The fitted law; its given parameters hold for every draw.
    values : dict of str to ndarray, shape (n,)
        The estimated parameters.
    failed : int
        Resamples whose refit did not converge; they are not among the draws.
    method : str
        What an interval of these draws is called.
    rescanned : int
        Resamples that found no minimum from the fit's own parameters and were searched anew.
    """

    form: Law
    values: dict[str, np.ndarray]
    failed: int = 0
    method: str = "bootstrap percentile"
    rescanned: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @overload
    def __getitem__(self, index: int) -> Law: ...
    @overload
    def __getitem__(self, index: slice) -> Draws: ...
    def __getitem__(self, index):
        """The law of one draw; a slice gives fewer draws."""
        if isinstance(index, slice):
            return Draws(self.form, {k: v[index] for k, v in self.values.items()}, method=self.method)
        return self.form.replace(**{k: float(v[index]) for k, v in self.values.items()})

    def __iter__(self) -> Iterator[Law]:
        return (self[i] for i in range(len(self)))

    @property
    def stacked(self) -> Law:
        """One law whose estimated parameters are arrays of shape (n,): evaluates all draws at once."""
        return self.form.replace(**self.values)


def bootstrap(
    fit: Fit, *, n: int = 1000, rng: np.random.Generator, by: str | None = None, rescan: bool = False
) -> Draws:
    """Laws refitted to `n` tables resampled with replacement.

    Parameters
    ----------
    fit : Fit
    n : int
        Number of resamples.
    rng : numpy.random.Generator
    by : str, optional
        Column whose equal values are resampled together: ``"job"`` for tables with several evaluations of a trained
        model, which are not independent. By default each row is drawn by itself.
    rescan : bool
        Search every resample globally instead of starting from the fit: slower, and a check of the latter. Resamples
        that find no minimum from there are searched in any case; `Draws.rescanned` counts them.

    Returns
    -------
    Draws
        A two-stage fit is resampled as a whole: each δ stage uses the factors of its own draw. Their spread assumes
        the form; `precsim.fitting.misfit.bootstrap` gives draws that do not.

    Raises
    ------
    ValueError
        If the table has no column `by`, or only one group in it.
    FitError
        If more than a tenth of the refits fail, searched anew: these rows do not hold the law.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim.fitting import fit
    >>> from precsim.laws import Chinchilla
    >>> rng = np.random.default_rng(1)
    >>> N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e8, 1e10, 6)))
    >>> truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> runs = {"N": N, "D": D, "loss": truth(N, D) * np.exp(0.001 * rng.standard_normal(36))}
    >>> draws = bootstrap(fit(Chinchilla(), runs), n=200, rng=rng)
    >>> len(draws), draws[0].alpha != draws[1].alpha
    (200, True)
    """
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    labels = _labels(fit, by)
    groups = np.unique(np.concatenate([labels[s.observations.row] for s in fit.stages]))
    if len(groups) < 3:
        raise ValueError(f"{len(groups)} group(s) in column {by!r}: nothing to resample; use by=None or more jobs")
    counts = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=n)

    anew = np.full(n, rescan)

    def again(stage: Stage, given: dict[str, np.ndarray]):
        place = np.searchsorted(groups, labels[stage.observations.row])
        weight = counts[:, place] * stage.observations.weight
        theta, converged = _refit(stage, weight, given, rescan)
        if not rescan and (lost := np.flatnonzero(~converged)).size:
            anew[lost] = True
            theta[lost], converged[lost] = _refit(stage, weight[lost], {k: v[lost] for k, v in given.items()}, True)
        return theta, converged

    return replace(stage_by_stage(fit, n, again), rescanned=int(anew.sum()))


def stage_by_stage(fit: Fit, n: int, again: Callable, method: str = "bootstrap percentile") -> Draws:
    """Draws from refits of each stage in turn: ``again(stage, given)``, given what earlier stages found.

    It returns the stage's parameters on their scale of search, (n, parameters), and which refits converged, (n,).
    """
    values: dict[str, np.ndarray] = {}
    good = np.ones(n, dtype=bool)
    for stage in fit.stages:
        theta, converged = again(stage, {k: v for k, v in values.items() if k in stage.law.parameters})
        good &= converged & stage.problem.holds(theta).all(-1)
        for i, name in enumerate(stage.names):
            values[name] = np.exp(np.clip(theta[:, i], -LOG_MAX, LOG_MAX)) if stage.problem.positive[i] else theta[:, i]
        values |= {a: values[b] for a, b in stage.tied.items()}
    failed = int((~good).sum())
    if failed > 0.1 * n:
        raise FitError(
            f"{failed} of {n} resamples have no minimum: these rows do not hold this law; add rows, give a parameter "
            "(fix=), or fit a simpler form",
            fit,
        )
    return Draws(fit.law, {k: v[good] for k, v in values.items()}, failed, method)


def _labels(fit: Fit, by: str | None) -> np.ndarray:
    if by is None:
        return np.arange(len(fit.runs["N"]))
    names = fit.runs.columns if hasattr(fit.runs, "columns") else fit.runs
    if by not in names:
        raise ValueError(f"the table has no column {by!r} to resample by; it has {', '.join(map(str, names))}")
    return np.unique(np.asarray(fit.runs[by]).astype(str), return_inverse=True)[1]


def _refit(stage: Stage, weight: np.ndarray, given: dict[str, np.ndarray], rescan: bool):
    """θ of each resample (lanes, p) and whether it converged."""
    data = stage.observations
    problem = Objective(stage.form, stage.names, stage.tied, data, given)
    start, whiten = stage.theta, problem.own is not None
    size = max(1, _ELEMENTS // len(data))
    theta, converged = np.empty((len(weight), len(start))), np.zeros(len(weight), dtype=bool)
    for i in range(0, len(weight), size):
        chunk = slice(i, min(i + size, len(weight)))
        length = chunk.stop - i
        lanes, owner = np.tile(start, (length, 1)), np.arange(length)
        if rescan:
            found = [scan(stage.problem, w, 2) for w in weight[chunk]]
            lanes = np.concatenate([lanes, *found])
            owner = np.concatenate([owner, np.repeat(np.arange(length), [len(f) for f in found])])
        w, home = weight[chunk][owner], owner + i
        end = minimize(
            lambda t, k, w=w, home=home: problem.curvature(t, w[k], stage.delta, home[k]),
            lanes,
            tolerance=1e-12,
            whiten=whiten,
        )
        order = np.lexsort((end.value, owner))
        first = order[np.searchsorted(owner[order], np.arange(length))]
        theta[chunk], converged[chunk] = end.theta[first], end.converged[first]
    return theta, converged


def interval(draws: Draws, fn: Callable[[Law], float], level: float = 0.95) -> Interval:
    """Bootstrap-percentile interval of any number computed from a law.

    Parameters
    ----------
    draws : Draws
    fn : callable
        Law → float, for example ``lambda law: law.best_bits()``. If it also maps a law of arrays to an array of
        results (checked on two draws), all draws are computed at once.
    level : float
        Probability that the interval is to cover.

    Raises
    ------
    ValueError
        If the level is not in (0, 1), or the quantity is NaN in some draw.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim.fitting import fit
    >>> from precsim.laws import Chinchilla
    >>> rng = np.random.default_rng(1)
    >>> N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e8, 1e10, 6)))
    >>> truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> runs = {"N": N, "D": D, "loss": truth(N, D) * np.exp(0.001 * rng.standard_normal(36))}
    >>> draws = bootstrap(fit(Chinchilla(), runs), n=200, rng=rng)
    >>> 0.35 in interval(draws, lambda law: law.alpha)
    True
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    values = _evaluate(draws, fn)
    if np.isnan(values).any():
        raise ValueError(f"the quantity is NaN in {int(np.isnan(values).sum())} of {len(values)} draws")
    return Interval(*percentiles(values, level), level, draws.method, len(values))


def percentiles(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The ends of the middle part of some draws, which is the one rule for intervals of draws in this package.

    Linear between draws; where one of them is infinite, values that were drawn, because inf − inf is no number.

    Examples
    --------
    >>> low, high = percentiles(np.arange(101.0), 0.9)
    >>> round(low, 9), round(high, 9)
    (5.0, 95.0)
    """
    tail = 50 * (1 - level)
    low, high = np.percentile(values, [tail, 100 - tail], method="linear" if np.isfinite(values).all() else "lower")
    return float(low), float(high)


def _evaluate(draws: Draws, fn) -> np.ndarray:
    ends = [float(fn(draws[0])), float(fn(draws[len(draws) - 1]))]
    try:
        values = np.asarray(fn(draws.stacked), dtype=float)
    except (TypeError, ValueError):  # written for one law at a time
        values = np.empty(0)
    if values.shape == (len(draws),) and np.allclose([values[0], values[-1]], ends, rtol=1e-9, equal_nan=True):
        return values
    return np.array([float(fn(law)) for law in draws])


def predict(
    draws: Draws, N, D, *, level: float = 0.95, run: Fit | None = None, rng: np.random.Generator | None = None, **bits
):
    """(low, high) of the predicted loss at a setting, each of the setting's shape.

    Without `run` the interval is that of the law's mean. With `run` (the fit) and `rng`, a residual of the fit is
    added to each draw, and the interval is that of one more run.

    Notes
    -----
    Both assume that the form is right. Under a wrong form they are too narrow: give draws of
    `precsim.fitting.misfit.bootstrap`, and away from the data put the held-out error of `compare` beside.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim.fitting import fit
    >>> from precsim.laws import Chinchilla
    >>> rng = np.random.default_rng(1)
    >>> N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e8, 1e10, 6)))
    >>> truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> runs = {"N": N, "D": D, "loss": truth(N, D) * np.exp(0.001 * rng.standard_normal(36))}
    >>> low, high = predict(bootstrap(fit(Chinchilla(), runs), n=200, rng=rng), 1e9, 1e11)
    >>> bool(low < truth(1e9, 1e11) < high)
    True
    """
    if (run is None) != (rng is None):
        raise ValueError("run= and rng= go together: residuals are drawn at random")
    N, D = np.asarray(N, dtype=float), np.asarray(D, dtype=float)
    shape = np.broadcast_shapes(N.shape, D.shape, *(np.shape(getattr(b, "bits", b)) for b in bits.values()))
    column = {k: np.reshape(v, (-1, *(1,) * len(shape))) for k, v in draws.values.items()}
    values = np.broadcast_to(draws.form.replace(**column)(N, D, **bits), (len(draws), *shape))
    if run is not None and rng is not None:
        values = values * np.exp(rng.choice(run.stages[0].residuals, size=values.shape))
    tail = 50 * (1 - level)
    return tuple(np.percentile(values, [tail, 100 - tail], axis=0))


def profile(fit: Fit, name: str, *, level: float = 0.95, points: int = 41, width: float = 4.0):
    """Profile of the objective in one parameter: the least objective for each value of it, and its interval.

    Parameters
    ----------
    fit : Fit
    name : str
        An estimated parameter.
    level : float
    points : int
        Values tried, from −`width` to `width` standard errors around the estimate.

    Returns
    -------
    values, excess : ndarray, shape (points,)
        The values, and twice the objective above its minimum in units of its expected noise: excess ≤ χ²₁(level)
        is the interval.
    Interval
        With an end at ±inf where the profile does not rise to the limit within the values tried.

    Notes
    -----
    The unit is κ = Σψ²/(n − p) / mean ψ′, which makes the robust likelihood-ratio (τ) statistic χ² distributed. Where
    the profile falls below the fit's own objective (it had not converged), the interval is around that lower place.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim.fitting import fit
    >>> from precsim.laws import Chinchilla
    >>> rng = np.random.default_rng(1)
    >>> N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e8, 1e10, 6)))
    >>> truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> runs = {"N": N, "D": D, "loss": truth(N, D) * np.exp(0.001 * rng.standard_normal(36))}
    >>> values, excess, band = profile(fit(Chinchilla(), runs), "alpha")
    >>> 0.35 in band, len(values), bool(excess.min() < 0.01)
    (True, 41, True)
    """
    stage = next((s for s in fit.stages if name in s.names), None)
    if stage is None:
        raise ValueError(f"{name!r} was not estimated; the estimated ones are {', '.join(fit.parameters)}")
    i = stage.names.index(name)
    data, centre = stage.observations, stage.theta
    positive = stage.problem.positive[i]
    step = stage.standard_errors[name]  # inf where rounding left no variance: then as far as makes sense
    step = step if np.isfinite(step) else LOG_MAX if positive else max(abs(centre[i]), 1.0)
    reach = min(width * step, LOG_MAX - abs(centre[i])) if positive else width * step  # as far as a float64 goes
    grid = centre[i] + reach * np.linspace(-1, 1, points)
    rest = [j for j in range(len(centre)) if j != i]
    natural = np.exp(grid) if positive else grid
    given = {name: natural} | {a: natural for a, b in stage.tied.items() if b == name}
    names = tuple(n for n in stage.names if n != name)
    tied = {a: b for a, b in stage.tied.items() if b != name}
    problem = Objective(stage.form, names, tied, data, given)
    if rest:
        covariance = stage.covariance
        with np.errstate(all="ignore"):
            slope = covariance[rest, i] / covariance[i, i]
        slope = np.where(np.isfinite(slope), slope, 0.0)
        start = centre[rest] + (grid - centre[i])[:, None] * slope
        end = minimize(lambda t, lanes: problem.curvature(t, data.weight, stage.delta, lanes), start)
        least, known = end.value, end.converged & np.isfinite(end.value)
    else:  # nothing is left to minimize over
        least = np.array([stage.problem.value(np.array([x]), data.weight, stage.delta) for x in grid])
        known = np.isfinite(least)
    r = stage.residuals
    psi = np.clip(r, -stage.delta, stage.delta)
    noise = (psi**2).sum() / (len(r) - len(centre)) / np.mean(np.abs(r) <= stage.delta)
    # a fit that did not converge is not at the least value on its own profile: then that value is what counts
    floor = min(stage.objective, np.min(least[known], initial=np.inf))
    excess = 2 * (least - floor) / noise
    middle = points // 2 if floor == stage.objective else int(np.argmin(np.where(known, least, np.inf)))
    limit = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    ends = []
    for side, order in ((-np.inf, range(middle, -1, -1)), (np.inf, range(middle, points))):
        order = list(order)
        # where the others found no minimum, the excess is no more than an upper bound: nothing is beyond the limit
        over = next((k for k in range(1, len(order)) if known[order[k]] and excess[order[k]] > limit), None)
        if over is None:
            ends.append(side)
            continue
        a, b = order[over - 1], order[over]
        share = (limit - excess[a]) / (excess[b] - excess[a]) if known[a] and excess[a] <= limit else 1.0
        x = grid[a] + (grid[b] - grid[a]) * share
        ends.append(np.exp(x) if positive else x)
    return natural, excess, Interval(float(ends[0]), float(ends[1]), level, "profile", points)
