"""Search for the best list of runs: greedy choice, then exchanges of one run for another."""

from __future__ import annotations

import numpy as np


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
