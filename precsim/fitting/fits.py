"""Fit a law to a table of runs: global without starting values, robust, and with a report of how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

import numpy as np

from precsim.equality import Record
from precsim.fitting.newton import Minimum, minimize
from precsim.fitting.objective import Objective
from precsim.fitting.observations import ignored, read, require, sentence, unread
from precsim.fitting.stage import Stage, spread
from precsim.fitting.starting_points import scan
from precsim.laws.law import Base, Composite, Law, Part
from precsim.runs.columns import Copies, renamed

__all__ = ["Fit", "FitError", "Stage", "Status", "fit"]

_STARTS = 6
_PATIENCE = 8  # iterations for slower starts once one has converged
_HUBER = 1.345  # Huber's constant: 95 % efficiency at the normal distribution
_OPEN = 1.0  # standard error of ln p from which an exponent or a rate counts as not determined: a factor of e
_OPEN_SIZE = 5.0  # the same for amplitudes, which extrapolate to N = D = 1 and are loose in every good fit


class Status(Enum):
    """How a fit ended, and what to do about it."""

    CONVERGED = "the objective is at a minimum that several starts share"
    LONE = "the minimum was reached by one start only: other minima may be near; look at the residuals"
    WEAK = "some direction of the parameters is not determined by these rows: give a parameter or add runs"
    UNDETERMINED = (
        "the rows leave a parameter open, or the law predicts them worse than their mean does: do not plan with it"
    )
    BOUND = "a parameter ran to zero or infinity: the rows do not need it; give it or leave its part out"
    NOT_CONVERGED = "no start converged: do not use the parameters"


class FitError(RuntimeError):
    """No estimate that could be used; `fit` holds the suspicious one, where there is one."""

    def __init__(self, message: str, fit: Fit | None = None):
        super().__init__(message)
        self.fit = fit


@dataclass(frozen=True, eq=False)
class Fit(Record):
    """A fitted law, what it was fitted to, and how that ended.

    Attributes
    ----------
    law : Law
        The law with every parameter.
    form : Law
        The same form as it was given to `fit`, with `fix` filled in.
    stages : tuple of Stage
        Losses as trained first, then paired δ; one of the two alone where the law or the table has no more.
    status : Status
    message : str
        Why, in one sentence for each finding.
    runs : DataFrame or mapping
        The table as it was given.

    Examples
    --------
    >>> from precsim.laws import KumarDegradation
    >>> truth = KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.3, gamma_post=0.6)
    >>> N, D, post = (x.ravel() for x in np.meshgrid([1e6, 1e7], [1e8, 1e9], [3.0, 4.0]))
    >>> found = fit(KumarDegradation(), {"N": N, "D": D, "post": post, "delta": truth(N, D, post=post)})
    >>> found.status.name, round(found.r2, 6), round(found.law.gamma_D, 6)
    ('CONVERGED', 1.0, 0.5)
    """

    law: Law
    form: Law
    stages: tuple[Stage, ...]
    status: Status
    message: str
    runs: Any = field(default=None, repr=False, compare=False)

    @property
    def residuals(self) -> np.ndarray:
        """Residuals of all stages, one after the other; see `Stage`."""
        return np.concatenate([s.residuals for s in self.stages])

    @property
    def r2(self) -> float:
        """R² of the first stage; each stage has its own."""
        return self.stages[0].r2

    @property
    def objective(self) -> float:
        """Objective of the first stage."""
        return self.stages[0].objective

    @property
    def parameters(self) -> dict[str, float]:
        """The estimated parameters by name."""
        return {n: self.law.parameters[n] for n in self.form.free}

    def report(self) -> str:
        """What a reader needs to judge the fit, as text: form, data, objective, starts, weak directions.

        The list follows the checklist of li2025misfitting.
        """
        lines = [f"form      {self.form.label}", f"status    {self.status.name}: {self.message}"]
        for s in self.stages:
            kind = (
                f"paired delta, noise floor {s.observations.floor:.2g}" if s.observations.floor else "loss, log scale"
            )
            worst, weak = s.condition
            errors = s.standard_errors
            reading = s.observations.reading
            lines += [
                f"rows      {reading} ({kind})",
                *(f"          {note}" for note in reading.notes),
                *([f"unread    columns that vary: {', '.join(reading.unused)}"] if reading.unused else []),
                f"objective Huber, knee {s.delta:.4g}: {s.objective:.10g}",
                f"residuals scale {s.scale:.4g}, R2 {s.r2:.4f}",
                f"starts    {s.agree} of {s.starts} starts agree",
                f"condition {worst:.2g}, weakest direction: {', '.join(weak)}",
            ]
            for name in s.names:
                positive = s.form.describe(name)["positive"]
                unit = f"{100 * errors[name]:.1f} %" if positive else f"{errors[name]:.2g}"
                lines.append(f"  {name:<10} {s.law.parameters[name]:.6g} (standard error {unit})")
        return "\n".join(lines)


def fit(
    law: Law,
    runs,
    *,
    delta: float | None = None,
    fix: Mapping[str, float] | None = None,
    tie: Iterable[tuple[str, str]] = (),
    weights=None,
    floor: float | None = None,
    strict: bool = True,
    starts: int = _STARTS,
    columns: Mapping[str, str | None] | None = None,
    copies: Copies = Copies.REFUSE,
    units_checked: bool = False,
) -> Fit:
    """Best parameters of this form by a global scan and exact Newton steps; no starting values are needed.

    The objective is Σ w·Huber(ln L_observed − ln L_predicted). A law with a base is fitted to the rows evaluated as
    trained (post = inf). Its degradation after training, or a degradation alone, is fitted to the paired column
    ``delta`` of the quantized rows, with the base as fitted: run noise never enters δ, and δ never bends the base.

    Parameters
    ----------
    law : Law
        A form: parameters that are None are estimated, numbers are kept.
    runs : DataFrame or mapping of columns
        N, D, loss; weights, activations, kv, post [bits, inf = off; a missing column means off]; delta, delta_se for
        paired fits. Rows marked diverged or holdout are left out, so are rows with activations or KV cache quantized
        after training and, from the losses, checkpoints before the last step. A column ``entropy`` that is 0
        throughout (see `precsim.runs.tables.excess`) means that the loss is an excess: E is then 0.
    delta : float, optional
        Knee of Huber's loss; the literature uses 1e-3. By default 1.345 robust standard deviations of the residuals
        of this fit, for each stage.
    fix : mapping of str to float, optional
        Parameters to keep at a value, as if the law had been given with it.
    tie : iterable of (str, str)
        Pairs of parameters that are to be equal, ``[("alpha", "beta")]``; the second follows the first.
    weights : array_like, shape (rows of runs,), optional
        Weight of each row; 0 leaves it out.
    floor : float, optional
        Noise floor s of δ [nats/token]: residuals of paired rows are differences of arsinh(δ/2s), which is a
        logarithm well above s and linear below, so that rows with δ ≤ 0 count. By default the larger of the
        median ``delta_se`` and the standard deviation between repeats (rows equal in all but the seed) where δ is
        least; without either, 1/1000 of the median δ.
    strict : bool
        Raise `FitError` where the status is BOUND or NOT_CONVERGED; False returns the suspicious fit.
    starts : int
        Starting points that are followed to their minimum; more are slower and may find a better one.
    columns : mapping of str to str or None, optional
        New name -> column of the table, scaled: ``{"N": "params (M)*1e6"}``; see `precsim.runs.columns.renamed`.
    copies : Copies
        What to do with rows that are equal in every column.
    units_checked : bool
        True says that N and D are plain counts, however strange they look.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If the table lacks what the form needs; the message says what can still be estimated.
    FitError
        See `strict`.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim.laws import Chinchilla
    >>> truth = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    >>> N, D = map(np.ravel, np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    >>> found = fit(Chinchilla(), {"N": N, "D": D, "loss": truth(N, D)})
    >>> round(found.law.alpha, 9)
    0.35
    """
    if not isinstance(law, Law):
        raise ValueError(f"law must be a Law such as Chinchilla(), got {law!r}")
    if delta is not None and not delta > 0:
        raise ValueError(f"delta must be positive (None: adapted to the residuals), got {delta}")
    if starts < 1:
        raise ValueError(f"starts must be at least 1, got {starts}")
    notes = []
    form, runs = law.replace(**dict(fix or {})), renamed(runs, columns)
    if form.base is not None and "E" in form.free and _is_excess(runs):
        form = form.replace(E=0.0)
        notes.append("the losses are an excess over the known entropy, so E = 0")
    tied = _ties(form, tie)
    if not form.free:
        raise ValueError("every parameter of this law has a value: nothing to fit; use law.blank() to free them all")
    table = _Table(runs, tied, delta, weights, floor, starts, copies, units_checked)
    after = [p for p in form.degradations if p.paired]
    before = [p for p in form.parts if p not in after]
    stages: list[Stage] = []
    trained: Any = joined(before)
    if form.base is not None:
        if trained.free:
            stages.append(_stage(trained, table, paired=False))
            trained = stages[0].law
    elif trained is not None and trained.free and not (after or trained.degradations):
        raise ValueError("precision factors alone predict no loss: join them to a base, Chinchilla() | ...")
    if after and joined(after).free:
        stages.append(_after(trained, after, table))
    elif form.base is None and not after:
        stages.append(_stage(form, table, paired=True))
    done = {n: v for s in stages for n, v in s.law.parameters.items()}
    complete = form.replace(**{n: done[n] for n in form.free})
    status, findings = judge(stages)
    alike = {n: values for s in stages for n, values in ignored(s.law, s.observations, runs).items()}
    notes += [sentence(alike)] if alike else []
    result = Fit(complete, form, tuple(stages), status, "; ".join(findings + notes), runs)
    if strict and status in (Status.BOUND, Status.NOT_CONVERGED):
        raise FitError(f"{result.message}. Pass strict=False to look at the fit all the same", result)
    return result


@dataclass(frozen=True)
class _Table:
    """A table and how it is to be fitted, the same for every stage."""

    runs: Any
    tied: dict[str, str]
    delta: float | None
    weights: Any
    floor: float | None
    starts: int
    copies: Copies
    units_checked: bool


def _is_excess(runs) -> bool:
    names = runs.columns if hasattr(runs, "columns") else runs
    return "entropy" in names and bool(np.all(np.asarray(runs["entropy"], dtype=float) == 0.0))


def joined(parts: Iterable[Part]) -> Any:
    """The law of these parts; None of none."""
    parts = tuple(parts)
    return None if not parts else parts[0] if len(parts) == 1 else Composite(parts)


def _ties(form: Law, tie) -> dict[str, str]:
    tied = {}
    for first, second in tie:
        for name in (first, second):
            if name not in form.free:
                raise ValueError(f"cannot tie {name!r}: the free parameters are {', '.join(form.free)}")
        if first == second:
            raise ValueError(f"cannot tie {first!r} to itself: tie two names")
        if {first, second} & {"A", "B", "E"} or first in tied or second in {*tied, *tied.values()}:
            raise ValueError(f"cannot tie {second!r} to {first!r}: tie exponents or rates, each to a free one")
        tied[second] = first
    return tied


def _after(trained, after, table: _Table) -> Stage:
    """The stage of δ: the degradation with N_eff from the factors fitted before."""
    factors = [p for p in (trained.parts if trained is not None else ()) if not isinstance(p, Base)]
    return _stage(joined([*factors, *after]), table, paired=True)


def _stage(form, table: _Table, *, paired: bool) -> Stage:
    data = read(
        table.runs,
        paired=paired,
        weights=table.weights,
        floor=table.floor,
        copies=table.copies,
        units_checked=table.units_checked,
    )
    free = tuple(n for n in form.free if n not in table.tied)
    require(form, free, data)
    if form.base is not None and numeric_floor(form) >= data.value.min():
        raise ValueError(
            f"E = {numeric_floor(form):g} is not below the smallest loss, {data.value.min():g}; a loss cannot be under "
            "the irreducible one: free E, or check the units of the loss"
        )
    data = replace(data, reading=replace(data.reading, unused=unread(form, data, table.runs)))
    ties = {a: b for a, b in table.tied.items() if a in form.free}
    problem = Objective(form, free, ties, data)
    theta, knee, found = solve(problem, data.weight, table.delta, table.starts)
    best = int(np.argmin(found.value))
    agree = min(table.starts, int((found.value <= found.value[best] * (1 + 1e-6) + 1e-20).sum()))
    if beyond := [n for n, held in zip(problem.names, problem.holds(theta), strict=True) if not held]:
        raise FitError(
            f"these rows drive {', '.join(beyond)} beyond what a float64 holds: look for values of another unit or kind"
            f" among them, give {beyond[0]} (fix=), or fit a simpler form"
        )
    fitted = problem.lawful(theta)
    return Stage(
        fitted,
        form,
        ties,
        data,
        float(knee),
        float(found.value[best]),
        -problem.residuals(theta),
        table.starts,
        agree,
        bool(found.converged[best]),
    )


def numeric_floor(form: Law) -> float:
    """The irreducible loss that a form prescribes, −inf where it is free."""
    E = form.parameters["E"]
    return -np.inf if E is None else float(E)


def solve(problem: Objective, weight, delta, starts: int = _STARTS) -> tuple[np.ndarray, float, Minimum]:
    """Best θ, the knee used, and the lanes: scan, then Newton at 100, 10 and 1 times the knee."""
    theta = scan(problem, weight, starts)
    if len(theta) == 0:
        raise FitError("no start gives a finite prediction for every row: is a quantized width too low for this form?")

    whiten = problem.own is not None
    # dozens of factors share a narrow valley: the knee may follow from part of the way, and the last stretch is long
    few, many, patience = (30, 200, 25) if whiten else (150, 150, None)

    def polish(theta, knee, tolerance=1e-14, iterations=150, patience=None):
        def curvature(t, _):
            return problem.curvature(t, weight, knee)

        return minimize(curvature, theta, tolerance=tolerance, iterations=iterations, patience=patience, whiten=whiten)

    def near(found):  # lanes still worth polishing: stragglers would cost most of the time
        return found.theta[found.value <= 2.0 * found.value.min() + 1e-20]

    if delta is not None:
        direct = polish(theta, delta, patience=_PATIENCE)
        for wider in (100.0, 10.0):
            theta = near(polish(theta, wider * delta, 1e-6, 40, _PATIENCE))
        found = with_better(polish(theta, delta, iterations=many, patience=patience), direct)
        found = _without_floor(found, problem, weight, delta)
        return found.theta[np.argmin(found.value)], delta, found
    found = polish(theta, 1e6, 1e-8, 50, _PATIENCE)  # plain least squares
    best, knee = found.theta[[np.argmin(found.value)]], 1e6
    for _ in range(12):  # the knee follows the residuals of the best lane
        new = _HUBER * spread(problem.residuals(best[0]))
        if not new > 1e-9:  # an exact fit has no residuals to follow
            break
        if abs(new / knee - 1) < 1e-4:
            break
        knee = new
        best = polish(best, knee, 1e-9, few).theta
    lanes = near(found)
    lanes[np.argmin(problem.value(lanes, weight, 1e6))] = best[0]
    found = polish(lanes, knee, iterations=many, patience=patience)
    found = _without_floor(found, problem, weight, knee)
    return found.theta[np.argmin(found.value)], knee, found


def with_better(found: Minimum, other: Minimum) -> Minimum:
    """The lanes of both where the other has a lower one; a difference of rounding is none.

    The way over wider knees ends in the basin of least squares, which a narrow knee may not share: on under-tuned
    tables it missed the optimum of a knee of 1e-3 by up to 3 %.
    """
    if not other.value.min() < found.value.min() * (1 - 1e-9):
        return found
    return Minimum(*(np.concatenate([getattr(x, f.name) for x in (found, other)]) for f in fields(Minimum)))


def _without_floor(found: Minimum, problem: Objective, weight, knee: float) -> Minimum:
    """The lanes, and one of the law without a floor where the best one has not come to an end.

    ln E runs down an endless slope where the losses show no floor: hundreds of steps that change nothing else. Where
    the law with E = 0 is the better one, that is where the slope ends.
    """
    best = int(np.argmin(found.value))
    if found.converged[best] or "E" not in problem.names or "E" in problem.tied.values():
        return found
    place = problem.names.index("E")
    names = tuple(n for n in problem.names if n != "E")
    floorless = Objective(problem.law.replace(E=0.0), names, problem.tied, problem.data)
    starts = scan(floorless, weight, 2)
    if len(starts) == 0:
        return found
    end = minimize(
        lambda theta, _: floorless.curvature(theta, weight, knee),
        starts,
        patience=_PATIENCE,
        whiten=problem.own is not None,
    )
    nothing = np.log(1e-8 * problem.data.value.min())
    return with_better(found, replace(end, theta=np.insert(end.theta, place, nothing, axis=1)))


def judge(stages) -> tuple[Status, list[str]]:
    """The worst status of the stages, and a sentence for each finding."""
    findings: list[tuple[Status, str]] = []
    for s in stages:
        if not s.converged:
            findings.append((Status.NOT_CONVERGED, "no start converged"))
        low = s.observations.value.min()
        for name in s.names:
            value = s.law.parameters[name]
            if name == "E" and value < 1e-4 * low:
                findings.append((Status.BOUND, f"E ran to zero ({value:.2g}): the losses show no floor; fix E=0.0"))
            elif not 1e-12 < abs(value) < 1e40 and s.form.describe(name)["positive"]:
                findings.append((Status.BOUND, f"{name} ran to {value:.2g}: these rows do not determine it"))
        condition, weak = s.condition
        if condition > 1e13:
            findings.append((Status.WEAK, f"{', '.join(weak)} are not determined separately by these rows"))
        findings += [(Status.UNDETERMINED, text) for text in _undetermined(s)]
        if s.starts > 2 and s.agree == 1:
            findings.append((Status.LONE, f"one of {s.starts} starts reached the best objective"))
    order = list(Status)
    worst = max((status for status, _ in findings), key=order.index, default=Status.CONVERGED)
    texts = [text for _, text in findings] or [Status.CONVERGED.value]
    return worst, texts


def _undetermined(s: Stage) -> list[str]:
    """What the rows of a stage leave open, in sentences that name the parameters."""
    texts = []
    setting = s.observations.setting
    keys = [setting.N, setting.D, setting.weights, setting.activations, setting.kv, setting.post]
    keys += [np.unique(np.asarray(c).astype(str), return_inverse=True)[1] for c in setting.context.values()]
    settings = len(np.unique(np.column_stack(keys), axis=0))
    if settings <= len(s.names):
        texts.append(f"{settings} different settings cannot determine {len(s.names)} parameters, {', '.join(s.names)}")
    if s.r2 < 0:
        texts.append(f"R2 = {s.r2:.3g}: with these {', '.join(s.names)} the law predicts worse than the mean does")
    sizes = {"A", "B"} | {part.names[part.amplitude[0]] for part in s.form.degradations}
    loose = []
    for name, error in s.standard_errors.items():
        search = s.form.describe(name)
        most = _OPEN_SIZE if name in sizes else _OPEN if search["positive"] else (search["high"] - search["low"]) / 2
        if not error <= most:
            loose.append(f"{name} ({100 * error:.0f} %)" if search["positive"] else f"{name} ({error:.2g})")
    if loose:
        texts.append(f"these rows do not determine {', '.join(loose)}: the standard errors are in brackets")
    return texts
