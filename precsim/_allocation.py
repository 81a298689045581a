"""The best number of parameters for one choice of widths: a search over N with the tokens the budget leaves."""

from __future__ import annotations

import numpy as np

from precsim._choices import Budget, Choice
from precsim.laws.composition import Law


def size_range(
    budget: Budget, choice: Choice, most: float, parameters: float | None, smallest: float = 1.0
) -> tuple[float, float]:
    """Smallest and largest N worth looking at: from the smallest model to one whose budget leaves one token."""
    if parameters is not None:
        if budget.tokens(parameters, choice) < 1:
            raise ValueError(f"{budget.flops:g} FLOP leave no token for {parameters:g} parameters")
        return parameters, parameters
    train, serve = budget.machine.price(choice.width), budget.machine.price(min(choice.width, choice.serving))
    free = budget.flops / (6 * train)  # the largest N, with D = 1 token
    if budget.served_tokens:
        free = min(free, budget.flops / (2 * budget.served_tokens * serve) * (1 - 1e-9))
    high = min(free, most)
    if high < smallest:
        one = "one parameter" if smallest == 1 else f"{smallest:g} parameters"
        served = " and serving" if budget.served_tokens else ""
        raise ValueError(
            f"{budget.flops:g} FLOP are less than the smallest model of {one} needs for a token of training{served}"
        )
    return smallest, high


def loss_at(law: Law, N, budget: Budget, choice: Choice):
    """Loss at N with all the tokens that the budget leaves; inf where there are none or no prediction."""
    D = np.minimum(budget.tokens(N, choice), budget.max_tokens)
    with np.errstate(all="ignore"):
        out = law(N, np.where(D >= 1, D, 1.0), **choice.bits)
    return np.where((D >= 1) & np.isfinite(out), out, np.inf)


def minimize(fn, low, high, start=None):
    """Minimum over N in [low, high] on a logarithmic scale: a grid, then golden sections; for arrays of laws too."""
    a, b = np.log(low), np.log(high)
    if a == b:
        return np.exp(a), fn(np.exp(a))[()]
    if start is None:
        grid = np.linspace(a, b, 257)
        i = int(np.argmin(fn(np.exp(grid))))
        left, right = grid[max(i - 1, 0)], grid[min(i + 1, 256)]
    else:
        left, right = np.maximum(start[0], a), np.minimum(start[1], b)
    ratio = (np.sqrt(5.0) - 1) / 2
    x1, x2 = right - ratio * (right - left), left + ratio * (right - left)
    f1, f2 = fn(np.exp(x1)), fn(np.exp(x2))
    for _ in range(40):  # the bracket shrinks by 2e8: to the square root of the precision of the loss
        down = f1 < f2
        left, right = np.where(down, left, x1), np.where(down, x2, right)
        x1, x2 = right - ratio * (right - left), left + ratio * (right - left)
        f1, f2 = fn(np.exp(x1)), fn(np.exp(x2))
    middle = 0.5 * (left + right)
    return np.exp(middle)[()], np.asarray(fn(np.exp(middle)))[()]


def flat_range(law, budget, best, low, high, tolerance) -> tuple[float, float]:
    """Range of N around the best within the tolerance."""
    if low == high:
        return best.N, best.N
    grid = np.geomspace(low, high, 2001)
    inside = np.flatnonzero(loss_at(law, grid, budget, best.choice) <= best.loss + tolerance)
    if inside.size == 0:
        return best.N, best.N
    return float(min(grid[inside[0]], best.N)), float(max(grid[inside[-1]], best.N))
