"""Training in low precision: which form of the effective parameters predicts runs that it has not seen.

Every run is divided by the run in full precision of the same size, data, language and seed, and multiplied by the
base law, so that neither the luck of the seed nor an error of the base law is laid to a form's account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

import numpy as np

from precsim import laws
from precsim.evidence import fitted
from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import TWINS, Number, draws, number, of_law, redraw, slope
from precsim.evidence.rows import TENSORS, against_full, elsewhere, free, parts, trained_weights
from precsim.fitting.comparison import Comparison, compare
from precsim.fitting.fits import Fit, fit
from precsim.fitting.observations import Observations
from precsim.runs import Table, slices

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

    def folds(self, runs: Table, data: Observations) -> list[tuple[str, np.ndarray]]:
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

    def folds(self, runs: Table, data: Observations) -> list[tuple[str, np.ndarray]]:
        """The one fold: every row that the table declares held out."""
        return [("extrapolation set", np.asarray(runs["declared"], dtype=bool)[data.row])]


_NAMES = {
    laws.Plain: "plain",  # 1 − exp(−P/γ), as printed
    laws.Offset: "offset",  # 1 − exp(n − P/γ), as fitted by the paper
    laws.Saturating: "saturating",  # exp(−c exp(−P/γ))
    laws.Drifting: "drifting",  # saturating, its damage a power of D and N
}


def forms(below: laws.Law, part: Part) -> tuple[laws.Law, ...]:
    """The forms that are compared, over a base law that is given: the factors of each tensor have one form."""

    def law(factor: Callable[[laws.Tensor], laws.Law]) -> laws.Law:
        out = below
        for tensor in part.tensors:
            out = out | factor(tensor)
        return out

    return (*map(law, (laws.Plain, laws.Offset, laws.Saturating)), law(_drifting))


def _drifting(tensor: laws.Tensor) -> laws.Law:
    return laws.Drifting(laws.Saturating(tensor), N0=1e5, D0=1e7)


def remaining(table: Table, part: Part, bits: tuple[float, ...] = (3.0, 4.0, 6.0)) -> tuple[Number, ...]:
    """The share f(P) of parameters that training one part at each of these widths leaves, by `factor_of`."""
    (tensor,), best = part.tensors, factor_of(table, part)
    return tuple(of_law(best, partial(laws.Law.n_eff, N=1.0, **{tensor.value: P})) for P in bits)


def factor_of(table: Table, part: Part) -> Fit:
    """The saturating factor of one part in the batch "parts", for comparing tensors with each other.

    Over the given base law, an average over sizes and budgets that are the same for every part.
    `precsim.evidence.fitted.weights` has f of the weights over all sizes and budgets, fitted together with its base.
    """
    (tensor,), below = part.tensors, fitted.base(table).law
    return fit(below | laws.Saturating(tensor), _cells(_beside_full(parts(table), part), below), strict=False)


def beside(table: Table, part: Part) -> Table:
    """Rows of a part and their ratios to full precision: of weights in the main batch, which has more of them."""
    return _beside_full(trained_weights(table) if part is Part.WEIGHTS else parts(table), part)


def tried(table: Table) -> tuple[Part, ...]:
    """The parts that the table has networks of: the second edition has no activations with one scale."""
    scales = {part: set(beside(table, part)["activations_scaling"]) for part in Part}
    return tuple(
        part
        for part, found in scales.items()
        if found and (laws.ACTIVATIONS not in part.tensors or part.granularity in found)
    )


def _beside_full(rows: Table, part: Part) -> Table:
    low = np.isfinite(rows[list(TENSORS)].to_numpy())
    wanted = [name in [t.value for t in part.tensors] for name in TENSORS]
    keep = low.any(axis=1) & ~low[:, ~np.array(wanted)].any(axis=1)
    keep &= np.isinf(rows["activations"]) | rows["activations_scaling"].eq(part.granularity)
    return against_full(rows.loc[keep], rows.loc[~low.any(axis=1)])


def _cells(rows: Table, below: laws.Law) -> Table:
    loss = np.asarray(below(rows["N"], rows["D"])) * rows["ratio"]
    cells = slices.cells(rows.assign(gap=loss))
    return cells.assign(declared=cells["holdout"].astype(bool), holdout=False)


def trial(table: Table, part: Part, base_form: laws.Law | None = None) -> Comparison:
    """The forms of `forms`, judged on the rows that `Ahead` holds out; the declared extrapolation set is left out.

    Parameters
    ----------
    table : DataFrame
    part : Part
    base_form : Law, optional
        Form of the base law, with E = 0; by default Chinchilla's.
    """
    below = fitted.base(table, base_form).law
    rows = _cells(beside(table, part), below)
    rows = rows.loc[~rows["declared"]].reset_index(drop=True)
    return compare(forms(below, part), rows, split=Ahead(part), rng=np.random.default_rng(0))


def extrapolation(table: Table) -> Comparison:
    """The same forms for weights, fitted to all runs but the extrapolation set and judged on that."""
    below, part = fitted.base(table).law, Part.WEIGHTS
    rows = _cells(beside(table, part), below)
    return compare(forms(below, part), rows, split=Flagged(), rng=np.random.default_rng(0))


def trial_of_facts(table: Table) -> Comparison:
    """The same forms for weights, on the MLPs that learn facts and the base law of those."""
    rows, _ = elsewhere(table, "facts")
    full = rows.loc[np.isinf(rows["weights"])]
    below = fit(laws.Chinchilla(E=0.0), slices.cells(full), strict=False).law
    low = _cells(against_full(rows.loc[np.isfinite(rows["weights"])], full), below)
    return compare(forms(below, Part.WEIGHTS), low, split=Ahead(Part.WEIGHTS), rng=np.random.default_rng(0))


def said(judged: Comparison) -> str:
    """The verdict of a comparison of `forms` in words."""
    if judged.verdict is not None:
        return f"{_name(judged.verdict)} predicts best"
    return "cannot tell between " + ", ".join(map(_name, judged.candidates))


def _name(law: laws.Law) -> str:
    return next(words for kind, words in _NAMES.items() if isinstance(law.factors[0], kind))


def drift(table: Table, part: Part) -> Finding:
    """Exponent of D in the damage ln(1/f) that training one part in few bits does; 0 in the paper's law."""
    paired, below = beside(table, part), fitted.base(table).law
    best = fit(forms(below, part)[-1], _undeclared(_cells(paired, below)), strict=False)
    name = next(name for name in best.parameters if name.startswith("drift_D"))
    values = np.concatenate([[best.parameters[name]], draws(best).values[name]])
    return of_the_paper(f"exponent of D in ln(N/N_eff), {part.value}", values, paired)


def _undeclared(cells: Table) -> Table:
    """Cells that are not declared held out."""
    return cells.loc[~cells["declared"]]


def penalty_with_data(table: Table, part: Part) -> Finding:
    """Exponent of D in the gap that training in 4 bits or fewer adds, against the run that differs in nothing else."""
    rows, name = free(beside(table, part)), part.tensors[0].value
    rows = rows.loc[rows[name] <= 4]
    rows = rows.assign(penalty=rows["gap"] * (1 - 1 / rows["ratio"]))
    cells, means = redraw(rows, unit=TWINS).means("penalty", ["N", "D", name])
    with np.errstate(invalid="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    group = cells.groupby(["N", name]).ngroup().to_numpy()
    values = slope(np.log(cells["D"].to_numpy(dtype=float)), logs, group)
    return of_the_paper(f"exponent of D in the gap added by 2–4 bits, {part.value}", values, rows)


def of_the_paper(question: str, values: np.ndarray, rows: Table) -> Finding:
    """A number that is 0 by the paper's law, which its interval has to hold for."""
    zero = number(values).against(0.0) == "inside"
    return found(question, PAPER, values, rows, lambda _: zero)


def held_out(table: Table) -> tuple[Finding, ...]:
    """Mean held-out error of the form that predicts best, for every part and for the declared extrapolation set."""
    answers = [best_of(f"{p.value}: mean error held out", trial(table, p), beside(table, p)) for p in tried(table)]
    question = "weights, declared extrapolation set: mean error"
    return (*answers, best_of(question, extrapolation(table), beside(table, Part.WEIGHTS)))


def best_of(question: str, judged: Comparison, rows: Table) -> Finding:
    """The held-out error of the form that predicts best, with the verdict and the error of the paper's form."""
    best = min(judged.scores, key=lambda score: score.held_out)
    paper = next(s for s in judged.scores if any(isinstance(f, laws.Offset) for f in s.form.factors))
    off = f"errs by {paper.held_out:.1%}" if np.isfinite(paper.held_out) else "has no value for some"
    words = f"{said(judged)}; offset, the paper's, {off}"
    models = rows["job"].nunique()
    return Finding(question, STATED, best.held_out, *best.interval, len(rows), models, None, words)


def effective_parameters(table: Table) -> tuple[Finding, ...]:
    """Drift of every part, and how the added gap moves with data without any law."""
    single = [part for part in tried(table) if len(part.tensors) == 1]
    return (*(drift(table, part) for part in single), *(penalty_with_data(table, part) for part in single))
