"""Training in low precision: which form of the effective parameters predicts runs that it has not seen.

Every run is divided by the run in full precision of the same size, data, language and seed, and multiplied by the
base law, so that neither the luck of the seed nor an error of the base law is laid to a form's account.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.findings._finding import STATED, Finding, found, nothing
from precsim.evidence.resampling import redraw, slope
from precsim.evidence.rows import SMALLEST, against_full, base
from precsim.fitting.comparison import Comparison, compare
from precsim.fitting.fits import fit
from precsim.fitting.uncertainty import Interval, bootstrap, interval
from precsim.runs import slices

_MIDDLE = (3.0, 4.0, 5.0, 6.0)
PAPER = "0 (the paper)"


class Part(Enum):
    """What is trained in few bits: the tensors, and how many values share a scale."""

    WEIGHTS = "weights, a scale for each channel"
    ACTIVATIONS = "activations, one scale for a tensor"
    ACTIVATIONS_BY_TOKEN = "activations, a scale for each token"
    KV = "KV cache"
    JOINT = "all combined, activations by tensor"
    JOINT_BY_TOKEN = "all combined, activations by token"

    @property
    def tensors(self) -> tuple[laws.Tensor, ...]:
        """The tensors that a law of this part has a factor for."""
        one = {Part.WEIGHTS: laws.WEIGHTS, Part.KV: laws.KV}
        one |= dict.fromkeys((Part.ACTIVATIONS, Part.ACTIVATIONS_BY_TOKEN), laws.ACTIVATIONS)
        return (one[self],) if self in one else (laws.WEIGHTS, laws.ACTIVATIONS, laws.KV)

    @property
    def granularity(self) -> str:
        """Scaling of the activations in the rows of this part."""
        return "token" if self in (Part.ACTIVATIONS_BY_TOKEN, Part.JOINT_BY_TOKEN) else "tensor"


@dataclass(frozen=True, slots=True)
class Ahead:
    """Holds out, in turn: every run of the largest size, the longest runs of every size, each width in the middle.

    Parameters
    ----------
    part : Part
    """

    part: Part

    def folds(self, runs: Any, data: Any) -> list[tuple[str, np.ndarray]]:
        """The folds that this part's rows allow, each a label and a mask."""
        N, D = data.setting.N, data.setting.D
        longest = np.zeros(len(N), dtype=bool)
        for size in np.unique(N):
            longest |= (N == size) & (D == D[N == size].max())
        found = [("largest size", np.max(N) == N), ("longest runs", longest)]
        if len(self.part.tensors) == 1:
            bits = getattr(data.setting, self.part.tensors[0].value)
            found += [(f"{P:.0f} bits", bits == P) for P in _MIDDLE if (bits == P).any()]
        return found


class Flagged:
    """Holds out the rows that the table declares held out: the largest size and the longest runs of all."""

    def folds(self, runs: Any, data: Any) -> list[tuple[str, np.ndarray]]:
        """One fold."""
        return [("extrapolation set", np.asarray(runs["declared"], dtype=bool)[data.row])]


_NAMES = {
    laws.Plain: "plain",  # 1 − exp(−P/γ), as printed
    laws.Offset: "offset",  # 1 − exp(n − P/γ), as fitted by the paper
    laws.Saturating: "saturating",  # exp(−c exp(−P/γ))
    laws.Drifting: "drifting",  # saturating, its damage a power of D and N
}


def forms(below: laws.Law, part: Part) -> tuple[laws.Law, ...]:
    """The forms that are compared, over a base law that is given: the factors of each tensor have one form."""

    def law(factor: Any) -> laws.Law:
        out = below
        for tensor in part.tensors:
            out = out | factor(tensor)
        return out

    return (*map(law, (laws.Plain, laws.Offset, laws.Saturating)), law(_drifting))


def _drifting(tensor: laws.Tensor) -> laws.Law:
    return laws.Drifting(laws.Saturating(tensor), N0=1e5, D0=1e7)


def remaining(table: Any, part: Part, bits: tuple[float, ...] = (3.0, 4.0, 6.0)) -> tuple[tuple[float, Interval], ...]:
    """Share of the parameters that training one part at each of these widths leaves, in the batch "parts".

    The saturating factor over the base law, an average over sizes and budgets that are the same for every part; with
    its 95 % interval by redrawing cells.
    """
    (tensor,) = part.tensors
    below = base(table)
    best = fit(below | laws.Saturating(tensor), _cells(_paired(table, part, batch="parts"), below), strict=False)
    draws = bootstrap(best, n=300, rng=np.random.default_rng(0))
    out = []
    for P in bits:
        here: Any = partial(laws.Law.n_eff, N=1.0, **{tensor.value: P})
        out.append((float(here(best.law)), interval(draws, here)))
    return tuple(out)


def _paired(table: Any, part: Part, batch: str = "") -> Any:
    batch = batch or ("main" if part is Part.WEIGHTS else "parts")
    names = ("weights", "activations", "kv")
    rows: Any = slices.as_trained(table, batch=batch, only=names)
    rows = rows[rows["N"] >= SMALLEST]
    low = np.isfinite(rows[list(names)].to_numpy())
    wanted = [name in [t.value for t in part.tensors] for name in names]
    keep = low.any(axis=1) & ~low[:, ~np.array(wanted)].any(axis=1)
    keep &= np.isinf(rows["activations"]) | rows["activations_scaling"].eq(part.granularity)
    return against_full(rows[keep], rows[~low.any(axis=1)])


def _cells(rows: Any, below: laws.Law) -> Any:
    loss = np.asarray(below(rows["N"], rows["D"])) * rows["ratio"]
    cells: Any = slices.cells(rows.assign(gap=loss))
    return cells.assign(declared=cells["holdout"].astype(bool), holdout=False)


def trial(table: Any, part: Part, base_form: laws.Law | None = None) -> Comparison:
    """The forms of `forms`, judged on the rows that `Ahead` holds out; the declared extrapolation set is left out.

    Parameters
    ----------
    table : DataFrame
    part : Part
    base_form : Law, optional
        Form of the base law, with E = 0; by default Chinchilla's.
    """
    below = base(table, base_form)
    rows = _cells(_paired(table, part), below)
    rows = rows[~rows["declared"]].reset_index(drop=True)
    return compare(forms(below, part), rows, split=Ahead(part), rng=np.random.default_rng(0))


def extrapolation(table: Any) -> Comparison:
    """The same forms for weights, fitted to all runs but the extrapolation set and judged on that."""
    below, part = base(table), Part.WEIGHTS
    rows = _cells(_paired(table, part), below)
    return compare(forms(below, part), rows, split=Flagged(), rng=np.random.default_rng(0))


def trial_of_facts(table: Any) -> Comparison:
    """The same forms for weights, on the MLPs that learn facts and the base law of those."""
    rows: Any = slices.as_trained(table, batch="facts")
    full = rows[np.isinf(rows["weights"])]
    cells: Any = slices.cells(full)
    below = fit(laws.Chinchilla(E=0.0), cells, strict=False).law
    low = _cells(against_full(rows[np.isfinite(rows["weights"])], full), below)
    return compare(forms(below, Part.WEIGHTS), low, split=Ahead(Part.WEIGHTS), rng=np.random.default_rng(0))


def said(judged: Comparison) -> str:
    """The verdict of a comparison of `forms` in words."""
    if judged.verdict is not None:
        return f"{_name(judged.verdict)} predicts best"
    return "cannot tell between " + ", ".join(map(_name, judged.candidates))


def _name(law: laws.Law) -> str:
    return next(words for kind, words in _NAMES.items() if isinstance(law.factors[0], kind))


def drift(table: Any, part: Part) -> Finding:
    """Exponent of D in the damage ln(1/f) that training one part in few bits does; 0 in the paper's law."""
    question = f"exponent of D in ln(N/N_eff), {part.value}"
    paired = _paired(table, part)
    if paired.empty:
        return nothing(question, PAPER)
    below = base(table)
    rows = _cells(paired, below)
    best = fit(forms(below, part)[-1], rows[~rows["declared"]], strict=False)
    draws = bootstrap(best, n=300, rng=np.random.default_rng(0))
    name = next(name for name in best.parameters if name.startswith("drift_D"))
    values = np.concatenate([[best.parameters[name]], draws.values[name]])
    low, high = np.quantile(draws.values[name], [0.025, 0.975])
    return found(question, PAPER, values, paired, lambda _: bool(low <= 0 <= high))


def penalty_with_data(table: Any, part: Part) -> Finding:
    """Exponent of D in the gap that training in 2 to 4 bits adds, against the run that differs in nothing else."""
    question = f"exponent of D in the gap added by 2–4 bits, {part.value}"
    rows = _paired(table, part)
    rows = rows[~rows["holdout"].astype(bool)]
    name = part.tensors[0].value
    rows = rows[rows[name] <= 4]
    if rows.empty:
        return nothing(question, PAPER)
    rows = rows.assign(penalty=rows["gap"] * (1 - 1 / rows["ratio"]))
    drawn = redraw(rows, unit=("N", "D", "language_seed", "seed"), within=())
    cells, means = drawn.means("penalty", ["N", "D", name])
    with np.errstate(invalid="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    group = cells.groupby(["N", name]).ngroup().to_numpy()
    values = slope(np.log(cells["D"].to_numpy(dtype=float)), logs, group)
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return found(question, PAPER, values, rows, lambda _: bool(low <= 0 <= high))


def held_out(table: Any) -> tuple[Finding, ...]:
    """Mean held-out error of the form that predicts best, for every part and for the declared extrapolation set."""
    trials: dict[str, tuple[Part, Any]] = {
        f"{part.value}: mean error held out": (part, partial(trial, part=part)) for part in Part
    }
    trials["weights, declared extrapolation set: mean error"] = (Part.WEIGHTS, extrapolation)
    answers = []
    for question, (part, judge) in trials.items():
        rows = _paired(table, part)
        answers.append(best_of(question, judge(table), rows) if len(rows) else nothing(question, STATED))
    return tuple(answers)


def best_of(question: str, judged: Comparison, rows: Any) -> Finding:
    """The held-out error of the form that predicts best, with the verdict and the error of the paper's form."""
    best = min(judged.scores, key=lambda score: score.held_out)
    paper = next(s for s in judged.scores if any(isinstance(f, laws.Offset) for f in s.form.factors))
    words = f"{said(judged)}; offset, the paper's, errs by {paper.held_out:.1%}"
    models = rows["job"].nunique()
    return Finding(question, STATED, best.held_out, *best.interval, len(rows), models, None, words)


def effective_parameters(table: Any) -> tuple[Finding, ...]:
    """Drift of every part, and how the added gap moves with data without any law."""
    single = [part for part in Part if len(part.tensors) == 1]
    return (*(drift(table, part) for part in single), *(penalty_with_data(table, part) for part in single))
