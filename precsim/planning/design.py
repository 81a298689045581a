"""Which runs to make: lists of cells that tell most about a law, or about a decision, for a budget.

The information of a run is the outer product of ∂ln L/∂θ at its cell, divided by its squared relative noise. A design
is judged by the determinant of the sum (D-optimal: all parameters) or by the variance of named quantities
(target-optimal). All of it is local: it holds at the law assumed, so give draws of a prior where you can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from precsim.equality import Record
from precsim.fitting.uncertainty import Draws
from precsim.laws.law import Law
from precsim.planning.information import (
    Cell,
    candidates,
    expected,
    expected_draws,
    gradients,
    half_widths,
    information,
    names_of,
    target_gradients,
)

__all__ = ["Cell", "Criterion", "Design", "candidates", "expected", "expected_draws", "power", "propose", "search"]


@dataclass(frozen=True, eq=False)
class Design(Record):
    """Cells with the number of runs of each, and what they are expected to tell.

    Attributes
    ----------
    cells : tuple of Cell
    repeats : tuple of int
        Runs of each cell.
    cost : float
        In the units of the budget, overheads included.
    half_widths : dict of str to float
        Expected 95 % half-width of each parameter: relative for positive ones, absolute for the others.
    targets : tuple of float
        The same for each target, absolute.
    logdet : float
        Log determinant of the information, averaged over the prior.
    dropped : int
        Candidates that the guard refused.
    """

    cells: tuple[Cell, ...]
    repeats: tuple[int, ...]
    cost: float
    half_widths: dict[str, float]
    targets: tuple[float, ...]
    logdet: float
    dropped: int

    @property
    def runs(self) -> int:
        """Runs of all cells, repeats included."""
        return sum(self.repeats)


def propose(
    law: Law | Draws,
    cells: Sequence[Cell],
    *,
    budget: float,
    noise: float,
    max_runs: int | None = None,
    targets: Sequence[Callable[[Law], float]] = (),
    cost: Callable[[Cell], float] | None = None,
    overhead: float = 0.0,
    max_repeats: int = 3,
    guard: float = 0.08,
    fixed: Iterable[str] = (),
    done: Sequence[Cell] = (),
    draws: int = 8,
) -> Design:
    """The list of runs that tells most within a budget: greedy choice, then exchanges until none helps.

    Parameters
    ----------
    law : Law or Draws
        What is believed. With draws the criterion is averaged over the first `draws` of them, which guards against a
        wrong guess; the intervals are those at the first.
    cells : sequence of Cell
        What could be run, from `candidates`.
    budget : float
        Sum of the costs, [FLOP] unless `cost` says otherwise.
    noise : float
        Standard deviation of ln L between repeated runs.
    max_runs : int, optional
    targets : sequence of callables
        Law → float. With targets the design minimizes the sum of the logarithms of their variances; without, it
        maximizes the determinant of the information (D-optimal).
    cost : callable, optional
        Cell → cost; 6·N·D by default. `overhead` is added to each run.
    max_repeats : int
        Runs of one cell.
    guard : float
        Cells whose N_eff/N is below this are left out: such runs tend to diverge, and the law does not hold there.
    fixed : iterable of str
        Parameters that are known.
    done : sequence of Cell
        Runs that exist already: the proposal is what to make next.
    draws : int
        Prior draws to average over.

    Raises
    ------
    ValueError
        If the budget does not buy as many runs as there are parameters, or the candidates cannot determine them.

    Notes
    -----
    All of this trusts the form of the law. Keep a tenth to a fifth of the budget for cells in the middle, where a
    wrong form shows.
    """
    prior = [law] if not isinstance(law, Draws) else list(law[:draws])
    names = names_of(prior[0], fixed)
    for name, x in (("budget", budget), ("noise", noise)):
        if not x > 0:
            raise ValueError(f"{name} must be positive, got {x}")
    if not 0 <= overhead < np.inf:
        raise ValueError(f"overhead must be 0 or more, got {overhead}")
    cells = tuple(cells)
    kept = tuple(c for c in cells if all(_sound(p, c, guard) for p in prior))
    price = np.array([(cost or (lambda c: c.flops))(c) + overhead for c in kept])
    limit = max_runs if max_runs is not None else 10**6
    if (
        len(kept) == 0
        or limit + len(done) < len(names)
        or np.sort(price)[: max(len(names) - len(done), 1)].sum() > budget
    ):
        raise ValueError(
            f"{len(names)} parameters need at least {len(names)} runs; {len(kept)} candidates, a budget of {budget:g} "
            f"and at most {limit} runs do not allow them: lower N or D, or fix parameters"
        )
    G = np.array([gradients(p, names, kept) / noise for p in prior])
    T = np.array([target_gradients(p, names, targets) for p in prior]) if targets else None
    start = np.array([information(p, names, done, noise) for p in prior])
    counts = search(Criterion(G, T, start), price, budget, limit, max_repeats)
    chosen = np.flatnonzero(counts)
    M = start[0] + (G[0].T * counts) @ G[0]
    widths, aims = half_widths(M, names, T[0] if T is not None else np.empty((0, len(names))))
    if np.isinf(next(iter(widths.values()))):
        raise ValueError(
            "no list of these candidates determines every parameter: vary N, D and every width, or fix some"
        )
    return Design(
        tuple(kept[i] for i in chosen),
        tuple(int(counts[i]) for i in chosen),
        float(price @ counts),
        widths,
        aims,
        float(np.mean([np.linalg.slogdet(start[k] + (G[k].T * counts) @ G[k])[1] for k in range(len(prior))])),
        len(cells) - len(kept),
    )


def _sound(law: Law, cell: Cell, guard: float) -> bool:
    b = cell.choice.bits
    f = law.n_eff(cell.N, cell.D, weights=b["weights"], activations=b["activations"], kv=b["kv"]) / cell.N
    return bool(f >= guard)  # False for NaN: the law has no prediction there


def power(
    law: Law,
    cells: Sequence[Cell],
    question: Callable[[Law], float],
    *,
    noise: float,
    against: float = 0.0,
    repeats: Sequence[int] | None = None,
    level: float = 0.95,
    fixed: Iterable[str] = (),
) -> float:
    """Probability that these runs show question(law) to differ from `against`, if `law` is the truth.

    Examples
    --------
    A degradation that does not grow with data is refuted by an interval of γ_D that excludes 0:

    >>> from precsim.laws import KumarDegradation
    >>> from precsim.planning import Choice
    >>> law = KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.59)
    >>> cells = candidates([1e6, 1e7], [1e8, 1e9], [Choice(post=3), Choice(post=4)])
    >>> power(law, cells, lambda law: law.gamma_D, noise=0.05) > 0.99
    True
    """
    _, (half,) = expected(law, cells, noise=noise, repeats=repeats, fixed=fixed, targets=[question])
    normal = NormalDist()
    error = half / normal.inv_cdf(0.975)
    if np.isinf(error):
        return 0.0
    shift, z = abs(float(question(law)) - against) / error, normal.inv_cdf(0.5 + level / 2)
    return normal.cdf(shift - z) + normal.cdf(-shift - z)


class Criterion:
    """Value of a design and of every design one run away, averaged over the prior."""

    def __init__(self, G, T, start):
        scale = 1e-8 * np.max((G**2).sum(-1), axis=1)  # keeps the first steps, which determine nothing yet, finite
        self.G, self.T = G, T
        self.start = start + scale[:, None, None] * np.eye(G.shape[2])

    def matrix(self, counts):
        """Information of the design for every prior draw."""
        return self.start + np.einsum("kip,i,kiq->kpq", self.G, counts, self.G)

    def gains(self, M):
        """Criterion after adding one run of each candidate, shape (cells,); larger is better."""
        total = 0.0
        for k, m in enumerate(M):
            V = np.linalg.inv(m)
            VG = self.G[k] @ V
            d = (VG * self.G[k]).sum(-1)
            if self.T is None:
                total = total + np.linalg.slogdet(m)[1] + np.log1p(d)
            else:
                TV = self.T[k] @ V
                variance = (TV * self.T[k]).sum(-1)[:, None] - (TV @ self.G[k].T) ** 2 / (1 + d)
                total = total - np.log(np.maximum(variance, 1e-300)).sum(0)
        return total / len(M)

    def value(self, M) -> float:
        """Criterion of the design itself."""
        if self.T is None:
            return float(np.mean([np.linalg.slogdet(m)[1] for m in M]))
        return float(
            np.mean([-np.log((np.linalg.solve(m, t.T) * t.T).sum(0)).sum() for m, t in zip(M, self.T, strict=True)])
        )


def search(criterion: Criterion, price, budget, limit, repeats) -> np.ndarray:
    """Counts of each candidate: greedy by gain for each share of the scarcer limit, then exchanges."""
    best, best_value = np.zeros(len(price)), -np.inf
    for weight in (0.25, 0.5, 1.0):  # how strongly the greedy choice minds the price
        counts = np.zeros(len(price))
        while counts.sum() < limit:
            M = criterion.matrix(counts)
            room = (price <= budget - price @ counts) & (counts < repeats)
            if not room.any():
                break
            gain = criterion.gains(M) - criterion.value(M)
            rate = np.where(room, gain / (price / budget + 1.0 / limit) ** weight, -np.inf)
            counts[np.argmax(rate)] += 1
        counts = _exchange(criterion, counts, price, budget, repeats)
        value = criterion.value(criterion.matrix(counts))
        if value > best_value:
            best, best_value = counts, value
    return best


def _exchange(criterion, counts, price, budget, repeats) -> np.ndarray:
    """Swap one run at a time for the candidate that improves the criterion most, until no swap does."""
    for _ in range(60):
        improved = False
        for i in np.flatnonzero(counts):
            M = criterion.matrix(counts)
            now = criterion.value(M)
            counts[i] -= 1
            room = (price <= budget - price @ counts) & (counts < repeats)
            gains = np.where(room, criterion.gains(criterion.matrix(counts)), -np.inf)
            j = int(np.argmax(gains))
            if gains[j] > now + 1e-9:
                counts[j] += 1
                improved = improved or j != i
            else:
                counts[i] += 1
        if not improved:
            return counts
    return counts
