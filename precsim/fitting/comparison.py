"""Which law predicts: forms judged on runs they were not fitted to, with a verdict that may be "cannot tell"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from precsim.equality import Record
from precsim.fitting.fits import Fit, FitError, fit
from precsim.fitting.objective import Response
from precsim.fitting.observations import Observations, read
from precsim.laws.law import Law

__all__ = ["ByCompute", "ByData", "BySize", "Comparison", "Groups", "Score", "Split", "compare"]


class Split(Protocol):
    """A rule that says which rows to hold out, possibly several times over."""

    def folds(self, runs, data: Observations) -> list[tuple[str, np.ndarray]]:
        """All folds, each a label and the mask of the held-out observations."""
        ...


def _top(values: np.ndarray, share: float | tuple[float, ...], name: str) -> list[tuple[str, np.ndarray]]:
    """The rows of largest value, whole groups of equal ones, about `share` of all; a fold for each share."""
    shares = share if isinstance(share, tuple) else (share,)
    if not shares or not all(0 < x < 1 for x in shares):
        raise ValueError(f"share must be between 0 and 1, or several such numbers, got {share}")
    found = {}
    for limit in (np.quantile(values, 1 - x, method="higher") for x in shares):
        mask = values >= limit
        if mask.all():
            raise ValueError(f"all rows have the same {name}: there is nothing larger to predict")
        found[f"{name} >= {limit:.3g}"] = mask
    return list(found.items())


@dataclass(frozen=True, slots=True)
class ByCompute:
    """Holds out the rows of largest N·D, to see whether the law predicts the next, larger run.

    Parameters
    ----------
    share : float or tuple of float
        Of the rows. Several shares are several folds, from each of which a form has to predict what is larger: with
        few rows a steadier basis for a choice than one of them.
    """

    share: float | tuple[float, ...] = 0.3

    def folds(self, runs, data):
        """One fold for each share."""
        return _top(data.setting.N * data.setting.D, self.share, "N*D")


@dataclass(frozen=True, slots=True)
class BySize:
    """Holds out the rows of largest N, a share of them or, one after the other, several shares."""

    share: float | tuple[float, ...] = 0.3

    def folds(self, runs, data):
        """One fold for each share."""
        return _top(data.setting.N, self.share, "N")


@dataclass(frozen=True, slots=True)
class ByData:
    """Holds out the rows of largest D, a share of them or, one after the other, several shares."""

    share: float | tuple[float, ...] = 0.3

    def folds(self, runs, data):
        """One fold for each share."""
        return _top(data.setting.D, self.share, "D")


@dataclass(frozen=True, slots=True)
class Groups:
    """Holds out every value of a column in turn: widths, methods, seeds.

    Parameters
    ----------
    column : str
        Name of the column.
    only : tuple, optional
        Values to hold out; by default all finite ones, so that the unquantized rows always stay.
    """

    column: str
    only: tuple | None = None

    def folds(self, runs, data):
        """One fold for each value."""
        names = runs.columns if hasattr(runs, "columns") else runs
        if self.column not in names:
            raise ValueError(
                f"the table has no column {self.column!r} to split by; it has {', '.join(map(str, names))}"
            )
        values = np.asarray(runs[self.column])[data.row]
        wanted = self.only
        if wanted is None:
            numeric = np.issubdtype(values.dtype, np.number)
            wanted = np.unique(values[np.isfinite(values)] if numeric else values.astype(str))
        return [(f"{self.column} = {v}", values == v) for v in wanted]


@dataclass(frozen=True, eq=False)
class Score(Record):
    """How one form did.

    Attributes
    ----------
    form : Law
    fit : Fit or None
        To all rows; None if that failed.
    parameters : int
    rmse : float
        In-sample root mean square of the residuals (of ln L: a relative error).
    bic : float
        n·ln(mean square) + p·ln n; comparable between forms fitted to the same rows.
    held_out : float
        Mean absolute residual over all held-out rows; inf if a fold could not be fitted.
    interval : tuple of float
        Of `held_out`, by resampling cells of equal (N, D, bits).
    folds : dict of str to float
        The same for each fold.
    note : str
        Why a fold or the fit failed, or the status of the fit.
    """

    form: Law
    fit: Fit | None
    parameters: int
    rmse: float
    bic: float
    held_out: float
    interval: tuple[float, float]
    folds: dict[str, float]
    note: str


@dataclass(frozen=True, eq=False)
class Comparison(Record):
    """Scores in the order of the forms given, and the verdict.

    Attributes
    ----------
    scores : tuple of Score
    verdict : Law or None
        The form that predicts held-out rows better than every other, None if the rows cannot tell.
    candidates : tuple of Law
        Forms that the best one does not beat beyond chance, itself included.
    preferred : Law
        The candidate with fewest parameters: what to use until more runs tell.
    """

    scores: tuple[Score, ...]
    verdict: Law | None
    candidates: tuple[Law, ...]
    preferred: Law

    def __str__(self) -> str:
        lines = [f"{'held-out %':>24} {'RMSE %':>7} {'BIC':>8}  p  form"]
        for s in self.scores:
            low, high = (100 * x for x in s.interval)
            lines.append(
                f"{100 * s.held_out:8.3f} [{low:5.3f}, {high:6.3f}] {100 * s.rmse:7.3f} {s.bic:8.0f} "
                f"{s.parameters:2d}  {s.form.label}"
            )
        lines += [f"inf: {s.form.label}: {s.note}" for s in self.scores if np.isinf(s.held_out)]
        lines.append(
            f"verdict: {self.verdict.label}"
            if self.verdict is not None
            else f"verdict: cannot tell between {len(self.candidates)} forms; the simplest is {self.preferred.label}"
        )
        return "\n".join(lines)


def compare(
    laws: Sequence[Law],
    runs,
    *,
    split: Split,
    rng: np.random.Generator,
    delta: float | None = None,
    level: float = 0.95,
    n: int = 2000,
) -> Comparison:
    """Fit every form without the held-out rows and judge it by its error on them.

    Parameters
    ----------
    laws : sequence of Law
        Forms for `precsim.fitting.fits.fit`. Those with a base are judged on losses; degradations alone on paired δ.
    runs : DataFrame or mapping
    split : Split
        `ByCompute`, `BySize`, `ByData` or `Groups`.
    rng : numpy.random.Generator
        For the intervals.
    delta : float, optional
        Knee of Huber's loss, as in `fit`.
    level : float
        Of the intervals and of the verdict.
    n : int
        Resamples behind them.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there are no forms, or they do not predict the same quantity, or the split leaves nothing out.

    Notes
    -----
    The verdict compares the absolute held-out errors of two forms cell by cell (cells are rows of equal N, D and
    bits) and resamples the cells. A form wins if the interval of its advantage over every other one excludes zero.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim.laws import Chinchilla, Tied
    >>> rng = np.random.default_rng(1)
    >>> N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 6), np.geomspace(1e8, 1e10, 6)))
    >>> truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.5)
    >>> runs = {"N": N, "D": D, "loss": truth(N, D) * np.exp(0.001 * rng.standard_normal(36))}
    >>> found = compare([Tied(), Chinchilla()], runs, split=ByCompute(), rng=rng)
    >>> found.verdict
    Chinchilla(E=None, A=None, B=None, alpha=None, beta=None)
    """
    laws = tuple(laws)
    if not laws:
        raise ValueError("no laws to compare")
    paired = {law.base is None for law in laws}
    if len(paired) > 1:
        raise ValueError("a law with a base predicts losses, one without predicts delta: compare like with like")
    data = read(runs, paired=paired.pop())
    folds = split.folds(runs, data)
    held = np.zeros(len(data), dtype=int)
    for label, mask in folds:
        if not mask.any() or mask.all():
            raise ValueError(f"holding out {label} leaves {'no' if mask.all() else 'all'} rows to fit")
        held += mask
    cells = _cells(data)
    found = [_errors(law, runs, data, folds, delta) for law in laws]
    errors, why = [rows for rows, _ in found], [reason for _, reason in found]
    rows = np.flatnonzero(held)
    groups, where = np.unique(cells[rows], return_inverse=True)
    counts = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=n)[:, where]
    counts = counts * held[rows]  # a row held out by several folds counts as often
    scores = tuple(
        _score(law, runs, delta, error, rows, held, counts, level, reason)
        for law, error, reason in zip(laws, errors, why, strict=True)
    )
    return _verdict(scores, errors, rows, counts, level)


def _cells(data: Observations) -> np.ndarray:
    s = data.setting
    keys = np.column_stack([s.N, s.D, s.weights, s.activations, s.kv, s.post])
    return np.ravel(np.unique(keys, axis=0, return_inverse=True)[1])


def _errors(law: Law, runs, data: Observations, folds, delta) -> tuple[dict[str, np.ndarray], str]:
    """Fold → residual of each held-out row (NaN elsewhere), inf where the fit failed; and why the first one did."""
    response = Response(data.floor)
    out, why = {}, ""
    for label, mask in folds:
        row = np.full(len(data), np.nan)
        weight = np.zeros(len(runs["N"]))
        weight[data.row[~mask]] = 1.0
        try:
            found = fit(law, runs, delta=delta, weights=weight, floor=data.floor or None, strict=False)
            rest = data.take(np.flatnonzero(mask))
            with np.errstate(all="ignore"):
                predicted = response(found.law.evaluate(rest.setting)) - response(rest.value)
            row[mask] = np.where(np.isfinite(predicted), predicted, np.inf)
            if lost := int((~np.isfinite(predicted)).sum()):
                why = why or f"no prediction for {lost} of {len(rest)} rows held out by {label}"
        except (FitError, ValueError) as failure:  # this form cannot be fitted without these rows: that is its score
            row[mask] = np.inf
            why = why or f"without {label}: {failure}"
        out[label] = row
    return out, why


def _mean_error(error: dict[str, np.ndarray]) -> np.ndarray:
    """Mean absolute residual of each row over the folds that held it out."""
    stack = np.abs(np.array(list(error.values())))
    return np.nansum(stack, 0) / np.maximum((~np.isnan(stack)).sum(0), 1)


def _score(law, runs, delta, error, rows, held, counts, level, why) -> Score:
    size = _mean_error(error)[rows]
    folds = {label: float(np.nanmean(np.abs(r))) for label, r in error.items()}
    mean = float(np.average(size, weights=held[rows]))
    if np.isfinite(size).all():
        tail = 50 * (1 - level)
        low, high = np.percentile((counts * size).sum(-1) / counts.sum(-1), [tail, 100 - tail])
    else:
        low = high = np.inf
    try:
        full = fit(law, runs, delta=delta, strict=False)
    except (FitError, ValueError) as failure:
        return Score(law, None, len(law.free), np.inf, np.inf, mean, (low, high), folds, str(failure))
    r, p = full.residuals, len(full.stages[0].names)
    bic = len(r) * np.log(np.mean(r**2)) + p * np.log(len(r))
    rmse = float(np.sqrt(np.mean(r**2)))
    return Score(law, full, p, rmse, float(bic), mean, (float(low), float(high)), folds, why or full.status.name)


def _verdict(scores, errors, rows, counts, level) -> Comparison:
    sizes = [_mean_error(e)[rows] for e in errors]
    best = int(np.argmin([s.held_out for s in scores]))
    tail = 50 * (1 - level)
    close = []
    for i, size in enumerate(sizes):
        if i == best:
            close.append(i)
        elif np.isfinite(size).all():
            advantage = (counts * (size - sizes[best])).sum(-1) / counts.sum(-1)
            if np.percentile(advantage, tail) <= 0:
                close.append(i)
    simplest = min(close, key=lambda i: (scores[i].parameters, scores[i].held_out))
    candidates = tuple(scores[i].form for i in close)
    verdict = scores[best].form if len(close) == 1 and np.isfinite(scores[best].held_out) else None
    return Comparison(scores, verdict, candidates, scores[simplest].form)
