"""Which law predicts: forms judged on runs they were not fitted to, with a verdict that may be "cannot tell"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from precsim.equality import Record
from precsim.fitting.fits import Fit, FitError, Status, fit, joined
from precsim.fitting.objective import Response
from precsim.fitting.observations import Observations, read
from precsim.fitting.splits import ByCompute, ByData, BySize, Groups, Split
from precsim.laws.law import Law
from precsim.laws.setting import Setting
from precsim.runs.columns import Copies, names_of

__all__ = ["ByCompute", "ByData", "BySize", "Comparison", "Groups", "Score", "Split", "compare"]

_FURTHER = 10.0  # times the largest compute of the table: where candidates are asked whether they agree
_UNUSABLE = (Status.BOUND, Status.NOT_CONVERGED)


@dataclass(frozen=True, eq=False)
class Score(Record):
    """How one form did in one stage: on losses as trained, or on δ.

    Attributes
    ----------
    form : Law
    fit : Fit or None
        Of this stage, to all rows; None if that failed.
    parameters : int
        Estimated in this stage.
    rmse : float
        In-sample root mean square of the residuals of this stage (of ln L: a relative error).
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
    unasked : bool
        Whether some fold leaves rows that cannot determine this form, such as five for five parameters: it is not
        judged by them, though `held_out` is inf.
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
    unasked: bool = False

    @property
    def usable(self) -> bool:
        """Whether `fit` would return this fit: a form that ran to a bound is scored, but never recommended."""
        return self.fit is not None and self.fit.status not in _UNUSABLE and bool(np.isfinite(self.held_out))


@dataclass(frozen=True, eq=False)
class Comparison(Record):
    """Scores in the order of the forms given, and the verdict.

    Attributes
    ----------
    scores : tuple of Score
        On losses as trained; on δ for degradations alone.
    verdict : Law or None
        The form that predicts held-out rows better than every other, None if the rows cannot tell, or if a form
        that `fit` refuses predicts better than all that it accepts.
    candidates : tuple of Law
        Usable forms that the best one does not beat beyond chance, itself included.
    preferred : Law
        The candidate with fewest parameters: what to use until more runs tell.
    apart : float
        How far the candidates' predictions are from each other (of ln L or the response of δ) at ten times the
        largest compute of the table. Where that is more than the held-out error of the best, the choice matters and
        the rows do not make it.
    refused : tuple of Law
        Forms that `fit` refuses and that no form which it accepts beats beyond chance: often their E ran to zero, and
        they are usable with ``E=0.0`` given. Where one of them beats all that are accepted there is no verdict. Also
        forms that were not judged, because a fold leaves too few rows for them, though they describe all rows better
        than the best one (BIC): there is no verdict beside them either.
    delta : Comparison or None
        For laws of two stages, the same on δ, of those forms that predict it; the base then has all losses.
    """

    scores: tuple[Score, ...]
    verdict: Law | None
    candidates: tuple[Law, ...]
    preferred: Law
    apart: float = 0.0
    refused: tuple[Law, ...] = ()
    delta: Comparison | None = None

    def __str__(self) -> str:
        lines = self._table()
        if self.delta is not None:
            lines += ["delta, with the base fitted to all losses:", *self.delta._table()]
        lines.append(f"verdict: {self.answer}")
        error = min(s.held_out for s in self.scores)
        if len(self.candidates) > 1 and self.apart > error:
            lines.append(
                f"which matters: at {_FURTHER:g} times the largest compute they differ by {100 * self.apart:.2f} %, "
                f"more than the held-out error of the best, {100 * error:.2f} %"
            )
        return "\n".join(lines)

    @property
    def answer(self) -> str:
        """The verdict in words, with the forms that it cannot exclude."""
        if self.verdict is not None:
            text = self.verdict.label
        else:
            text = f"cannot tell between {len(self.candidates)} forms; the simplest is {self.preferred.label}"
            if len(self.candidates) == 1:
                text = f"none; until more is known {self.preferred.label}"
        if self.refused:
            names = ", ".join(law.label for law in self.refused)
            text += (
                f"; not beaten by it, though refused by fit, whole or in a fold: {names} (mend what fit says, "
                "such as a parameter to be given, and compare again)"
            )
        return text

    def _table(self) -> list[str]:
        lines = [f"{'held-out %':>24} {'RMSE %':>7} {'BIC':>8}  p  form"]
        for s in self.scores:
            low, high = (100 * x for x in s.interval)
            lines.append(
                f"{100 * s.held_out:8.3f} [{low:5.3f}, {high:6.3f}] {100 * s.rmse:7.3f} {s.bic:8.0f} "
                f"{s.parameters:2d}  {s.form.label}"
            )
        lines += [f"inf: {s.form.label}: {s.note}" for s in self.scores if np.isinf(s.held_out)]
        return lines + [
            f"not recommended: {s.form.label}: {s.fit.status.name}, {s.fit.message}"
            for s in self.scores
            if s.fit is not None and s.fit.status in _UNUSABLE and np.isfinite(s.held_out)
        ]


def compare(
    laws: Sequence[Law],
    runs,
    *,
    split: Split,
    rng: np.random.Generator,
    delta: float | None = None,
    level: float = 0.95,
    n: int = 2000,
    copies: Copies = Copies.REFUSE,
    units_checked: bool = False,
) -> Comparison:
    """Fit every form without the held-out rows and judge it by its error on them, stage by stage.

    Parameters
    ----------
    laws : sequence of Law
        Forms for `precsim.fitting.fits.fit`. Those with a base are judged on losses, by what they say of models as
        trained; those that also have a degradation after training then on δ. Degradations alone are judged on δ.
    runs : DataFrame or mapping
    split : Split
        `ByCompute`, `BySize`, `ByData` or `Groups`; applied to the rows of each stage.
    rng : numpy.random.Generator
        For the intervals.
    delta : float, optional
        Knee of Huber's loss, as in `fit`.
    level : float
        Of the intervals and of the verdict.
    n : int
        Resamples behind them.
    copies, units_checked
        As in `fit`.

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
    A form whose fit to all rows ended at a bound or did not converge cannot win: `fit` would refuse it. Of two-stage
    laws one wins that does so at both stages; laws that say the same of a stage share its score.

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
    if len({law.base is None for law in laws}) > 1:
        raise ValueError("a law with a base predicts losses, one without predicts delta: compare like with like")
    asked = _Asked(runs, split, rng, delta, level, n, {"copies": copies, "units_checked": units_checked})
    if laws[0].base is None:
        return _judged(laws, asked, paired=True)
    trained = [joined(p for p in law.parts if p not in law.degradations or not p.paired) for law in laws]
    different = tuple(dict.fromkeys(trained))
    first = _judged(different, asked, paired=False)
    of = dict(zip(different, first.scores, strict=True))
    scores = tuple(replace(of[t], form=law) for law, t in zip(laws, trained, strict=True))
    simplest = {t: law for law, t in zip(reversed(laws), reversed(trained), strict=True)}
    after = tuple(
        law for law in laws if {"delta", "post"} <= set(names_of(runs)) and any(p.paired for p in law.degradations)
    )
    if not after:
        candidates = tuple(law for law, t in zip(laws, trained, strict=True) if t in first.candidates)
        verdict = simplest[first.verdict] if first.verdict is not None and len(candidates) == 1 else None
        refused = tuple(law for law, t in zip(laws, trained, strict=True) if t in first.refused)
        return Comparison(scores, verdict, candidates, simplest[first.preferred], first.apart, refused)
    base_of = dict(zip(laws, trained, strict=True))
    given = {law: of[base_of[law]].fit for law in after}
    second = _judged(after, asked, paired=True, given=given)
    both = tuple(law for law in second.candidates if base_of[law] in first.candidates)
    candidates = both or tuple(dict.fromkeys([*(simplest[t] for t in first.candidates), *second.candidates]))
    parameters = {s.form: s.parameters + of[base_of[s.form]].parameters for s in second.scores}
    preferred = min(both or second.candidates, key=lambda law: parameters[law])
    refused = tuple(law for law in laws if base_of[law] in first.refused or law in second.refused)
    outdone = any(len(stage.candidates) == 1 and stage.verdict is None for stage in (first, second))
    decided = len(both) == 1 and len(first.candidates) == 1 and not outdone
    apart = max(first.apart, second.apart)
    return Comparison(scores, both[0] if decided else None, candidates, preferred, apart, refused, second)


@dataclass(frozen=True)
class _Asked:
    """The table and the question, the same for every form and stage."""

    runs: Any
    split: Split
    rng: np.random.Generator
    delta: float | None
    level: float
    n: int
    reading: dict

    def fit(self, law: Law, data: Observations, weights: np.ndarray | None = None) -> Fit:
        """The form fitted to the table, some rows of which count for nothing."""
        return fit(
            law, self.runs, delta=self.delta, weights=weights, floor=data.floor or None, strict=False, **self.reading
        )


def _judged(laws: tuple[Law, ...], asked: _Asked, *, paired: bool, given: dict | None = None) -> Comparison:
    """Scores and verdict of one stage; `given` has the fits of the stage before."""
    data = read(asked.runs, paired=paired, **asked.reading)
    folds = asked.split.folds(asked.runs, data)
    held = np.zeros(len(data), dtype=int)
    for label, mask in folds:
        if not mask.any() or mask.all():
            raise ValueError(f"holding out {label} leaves {'no' if mask.all() else 'all'} rows to fit")
        held += mask
    forms = [_given(law, (given or {}).get(law)) for law in laws]
    found = [_errors(law, asked, data, folds) for law in forms]
    errors = [rows for rows, _, _ in found]
    rows = np.flatnonzero(held)
    groups, where = np.unique(_cells(data)[rows], return_inverse=True)
    counts = asked.rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=asked.n)[:, where]
    counts = counts * held[rows]  # a row held out by several folds counts as often
    scores = tuple(
        replace(_score(form, asked, data, error, rows, held, counts, why), form=law, unasked=unasked)
        for law, form, (error, why, unasked) in zip(laws, forms, found, strict=True)
    )
    return _verdict(scores, errors, rows, counts, asked.level, data)


def _given(law: Law, before: Fit | None) -> Law:
    """The form with what the stage before has found: the factors stay, the base is done."""
    if before is None:
        return law
    parts = joined(p for p in law.parts if p is not law.base)
    return parts.replace(**{k: v for k, v in before.law.parameters.items() if k in parts.parameters})


def _cells(data: Observations) -> np.ndarray:
    s = data.setting
    keys = np.column_stack([s.N, s.D, s.weights, s.activations, s.kv, s.post])
    return np.ravel(np.unique(keys, axis=0, return_inverse=True)[1])


def _errors(law: Law, asked: _Asked, data: Observations, folds) -> tuple[dict[str, np.ndarray], str, bool]:
    """Fold → residual of each held-out row (NaN elsewhere), inf where the fit failed; why; whether for want of rows."""
    response = Response(data.floor)
    out, why, unasked = {}, "", False
    for label, mask in folds:
        row = np.full(len(data), np.nan)
        weight = np.zeros(len(asked.runs["N"]))
        weight[data.row[~mask]] = data.weight[~mask]
        try:
            found = asked.fit(law, data, weight)
            rest = data.take(np.flatnonzero(mask))
            with np.errstate(all="ignore"):
                predicted = response(found.law.evaluate(rest.setting)) - response(rest.value)
            row[mask] = np.where(np.isfinite(predicted), predicted, np.inf)
            if lost := int((~np.isfinite(predicted)).sum()):
                why = why or f"no prediction for {lost} of {len(rest)} rows held out by {label}"
        except (FitError, ValueError) as failure:  # this form cannot be fitted without these rows: that is its score
            row[mask] = np.inf
            why = why or f"without {label}: {failure}"
            unasked |= isinstance(failure, ValueError)  # `require` says what the rows lack
        out[label] = row
    return out, why, unasked


def _mean_error(error: dict[str, np.ndarray]) -> np.ndarray:
    """Mean absolute residual of each row over the folds that held it out."""
    stack = np.abs(np.array(list(error.values())))
    return np.nansum(stack, 0) / np.maximum((~np.isnan(stack)).sum(0), 1)


def _score(law: Law, asked: _Asked, data: Observations, error, rows, held, counts, why: str) -> Score:
    size = _mean_error(error)[rows]
    folds = {label: float(np.nanmean(np.abs(r))) for label, r in error.items()}
    mean = float(np.average(size, weights=held[rows]))
    if np.isfinite(size).all():
        tail = 50 * (1 - asked.level)
        low, high = np.percentile((counts * size).sum(-1) / counts.sum(-1), [tail, 100 - tail])
    else:
        low = high = np.inf
    try:
        full = asked.fit(law, data)
    except (FitError, ValueError) as failure:
        return Score(law, None, len(law.free), np.inf, np.inf, mean, (low, high), folds, str(failure))
    r, p = full.residuals, len(full.stages[0].names)
    bic = len(r) * np.log(np.mean(r**2)) + p * np.log(len(r))
    rmse = float(np.sqrt(np.mean(r**2)))
    return Score(law, full, p, rmse, float(bic), mean, (float(low), float(high)), folds, why or full.status.name)


def _verdict(scores, errors, rows, counts, level: float, data: Observations) -> Comparison:
    """The best usable form and those it does not beat; all of them count where none is usable."""
    sizes = [_mean_error(e)[rows] for e in errors]
    usable = [i for i, s in enumerate(scores) if s.usable]
    among = usable or list(range(len(scores)))
    best = min(among, key=lambda i: scores[i].held_out)
    tail = 50 * (1 - level)

    def beaten(loser: int, winner: int) -> bool:
        """Whether the winner's error is less, beyond chance; a form that could not be fitted everywhere is beaten."""
        if loser == winner or not np.isfinite(sizes[winner]).all():
            return False
        if not np.isfinite(sizes[loser]).all():
            return True
        return np.percentile((counts * (sizes[loser] - sizes[winner])).sum(-1) / counts.sum(-1), tail) > 0

    close = [i for i in among if i == best or not beaten(i, best)]
    refused = [i for i, s in enumerate(scores) if i not in among and np.isfinite(s.held_out) and not beaten(i, best)]
    unasked = [i for i, s in enumerate(scores) if s.unasked and s.bic < scores[best].bic]
    simplest = min(close, key=lambda i: (scores[i].parameters, scores[i].held_out))
    candidates = tuple(scores[i].form for i in close)
    outdone = bool(unasked) or any(beaten(best, i) for i in refused)
    verdict = scores[best].form if len(close) == 1 and usable and not outdone else None
    apart = _apart([scores[i] for i in close], data)
    open_ones = tuple(scores[i].form for i in (*refused, *unasked))
    return Comparison(scores, verdict, candidates, scores[simplest].form, apart, open_ones)


def _apart(scores: list[Score], data: Observations) -> float:
    """The largest difference of the predictions at `_FURTHER` times the compute of the largest rows."""
    s = data.setting
    largest = np.flatnonzero(s.N * s.D == (s.N * s.D).max())
    some = data.take(largest).setting
    more = np.sqrt(_FURTHER)
    bits = {name: getattr(some, name) for name in ("weights", "activations", "kv", "post")}
    there = Setting(some.N * more, some.D * more, context=some.context, **bits)
    response = Response(data.floor)
    with np.errstate(all="ignore"):
        values = [response(np.asarray(x.fit.law.evaluate(there))) for x in scores if x.fit is not None]
    return float(np.nanmax(np.ptp(values, axis=0))) if len(values) > 1 and np.isfinite(values).any() else 0.0
