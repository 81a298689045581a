"""The least loss within a budget and the least budget for a loss, for many choices and draws side by side.

A law costs a third of a millisecond to call, for one setting as for a thousand, so all choices of a plan (and all
draws of each) are searched together, each in a lane of its own, with SciPy's elementwise solvers. Measured in CPU
seconds of one thread of a busy machine: a plan of 8 choices 0.11 s, with the budgets that each would need, where a grid
and golden sections for one choice after the other took 0.31 s without them; the same over 4,000 draws 0.50 s, before
0.91 s. Where more data hurt, the best number of tokens is a root inside that search: 5 choices over 4,000 draws 1.5 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from precsim.laws.jets import Jet
from precsim.laws.law import Law
from precsim.laws.precision import BitFactor, PerScheme
from precsim.planning.budget import Budget, Choice

_NONE = 1e100  # stands for "no prediction": larger than any loss, and finite, because the solvers subtract
_MOST = 1e40  # tokens that no run reads


@dataclass(frozen=True)
class Lanes:
    """What is searched side by side; every array has one entry for each lane.

    Attributes
    ----------
    law : Law
    draws : mapping of str to ndarray
        Parameters that differ between lanes.
    inputs : mapping of str to ndarray
        Bits and context of each lane's choice.
    train, serve : ndarray
        Price of a FLOP.
    low, high : ndarray
        Fewest and most parameters.
    served, most_tokens : float
        Tokens to be served, and of the data set.
    turns : bool
        Whether more data may hurt, so that the best number of tokens may be less than what the budget allows.
    """

    law: Law
    draws: Mapping[str, np.ndarray]
    inputs: Mapping[str, np.ndarray]
    train: np.ndarray
    serve: np.ndarray
    low: np.ndarray
    high: np.ndarray
    served: float
    most_tokens: float
    turns: bool

    @staticmethod
    def of(law: Law, draws: Mapping[str, np.ndarray], choices: Sequence[Choice], budget: Budget, low, high) -> Lanes:
        """One lane for each choice and each draw, choices outermost; `low` and `high` have one entry a choice."""
        repeats = len(next(iter(draws.values()))) if draws else 1
        prices = np.array([budget.prices(choice) for choice in choices])
        spread = lambda values: np.repeat(np.asarray(values), repeats)  # noqa: E731
        inputs = {name: spread([c.inputs[name] for c in choices]) for name in choices[0].inputs}
        tiled = {name: np.tile(values, len(choices)) for name, values in draws.items()}
        return Lanes(
            law, tiled, inputs, spread(prices[:, 0]), spread(prices[:, 1]), spread(low), spread(high),
            budget.served_tokens, budget.max_tokens, any(may_turn(law, c) for c in choices),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.train)

    def _ask(self, i) -> tuple[Law, dict[str, Any]]:
        law = self.law.replace(**{k: v[i] for k, v in self.draws.items()}) if self.draws else self.law
        return law, {k: v[i] for k, v in self.inputs.items()}

    def loss(self, N, D, i):
        """Predicted loss of lanes i; `_NONE` where there is no token or no prediction."""
        law, inputs = self._ask(i)
        with np.errstate(all="ignore"):
            out = law(N, np.maximum(D, 1.0), **inputs)
        return np.where((D >= 1) & (out < _NONE), out, _NONE)

    def slope(self, log_tokens, N, i):
        """∂L/∂ln D of lanes i."""
        law, inputs = self._ask(i)
        with np.errstate(all="ignore"):
            out = law.evaluate(law.setting(N, Jet.exponential(log_tokens, 0), **inputs))
        return np.broadcast_to(out.first.get(0, 0.0), np.shape(log_tokens))

    def tokens(self, N, flops, i):
        """The best number of tokens of lanes i for N parameters: all that is affordable, or fewer if more would hurt.

        In ln D the loss of every law here falls first and rises after, if it rises at all: sums of exponentials are
        convex, and an outer exponent g < 1 leaves −∂(falling part)/∂ln D decreasing. So the slope has one root.
        """
        with np.errstate(over="ignore"):
            most = (flops[i] - 2 * N * self.served * self.serve[i]) / (6 * N * self.train[i])
        most = np.minimum(most, self.most_tokens)
        if not self.turns:
            return most
        most = np.minimum(most, _MOST)
        end = np.log(np.maximum(most, 1.0))
        rising = np.flatnonzero(self.slope(end, N, i) > 0)
        if rising.size:
            from scipy.optimize.elementwise import find_root

            args, start = (N[rising], i[rising]), np.zeros(rising.size)
            root = find_root(self.slope, (start, end[rising]), args=args, tolerances={"xatol": 1e-11})
            most[rising] = np.where(root.success, np.exp(root.x), 1.0)  # no sign change: it rises from the first token
        return most


def may_turn(law: Law, choice: Choice) -> bool:
    """Whether more data may raise the loss of this choice: something in the law grows with D and acts on it."""
    if not all(isinstance(part, (BitFactor, PerScheme)) for part in law.factors):
        return True
    bits = choice.bits
    return any(bits["post"] < bits["weights"] or not part.paired for part in law.degradations)


def least_loss(lanes: Lanes, flops, near=None, accuracy: float = 1e-9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, D, loss) of least loss in each lane, spending `flops` or less; loss inf where nothing can be had.

    Parameters
    ----------
    lanes : Lanes
    flops : ndarray, shape of the lanes
    near : ndarray, optional
        Parameters around which to look, a factor of 50 either way; by default everywhere.
    accuracy : float
        Of ln N.
    """
    from scipy.optimize.elementwise import find_minimum

    lane = np.arange(len(lanes))
    flops = np.broadcast_to(np.asarray(flops, dtype=float), lane.shape)
    first = np.log(lanes.low)
    with np.errstate(divide="ignore"):
        affordable = flops / (6 * lanes.train + 2 * lanes.served * lanes.serve)  # the largest N, with one token
        last = np.log(np.minimum(lanes.high, affordable))
    nothing, last = last < first, np.maximum(first, last)

    def size(x, i):  # mirrored at both ends, so that an end is a minimum with neighbors on both sides
        x = np.where(x < first[i], 2 * first[i] - x, x)
        return np.exp(np.where(x > last[i], 2 * last[i] - x, x))

    def value(x, i):
        N = size(x, i)
        return lanes.loss(N, lanes.tokens(N, flops, i), i)

    left, right = (first, last) if near is None else (np.clip(np.log(near) + s, first, last) for s in (-4.0, 4.0))
    points = 257 if near is None else 17
    grid = left + (right - left) * np.linspace(0.0, 1.0, points)[:, None]
    found = value(grid.ravel(), np.tile(lane, points)).reshape(grid.shape)
    x, step = grid[np.argmin(found, axis=0), lane], (right - left) / (points - 1)
    wide = np.flatnonzero(step > 0)
    if wide.size:
        bracket = (x[wide] - step[wide], x[wide], x[wide] + step[wide])
        stop = {"xatol": accuracy, "xrtol": 0, "fatol": 0, "frtol": 0}
        end = find_minimum(value, bracket, args=(wide,), tolerances=stop)
        x[wide] = np.where(np.isfinite(end.x) & (end.f_x <= found.min(axis=0)[wide]), end.x, x[wide])
    N = np.where(first == last, lanes.low, size(x, lane))
    D = lanes.tokens(N, flops, lane)
    loss = lanes.loss(N, D, lane)
    return N, D, np.where(nothing | (loss >= _NONE), np.inf, loss)


def least_budget(lanes: Lanes, loss, start: float, near=None, accuracy: float = 1e-10) -> np.ndarray:
    """FLOPs that each lane needs to reach a loss, serving included; inf where no budget does.

    Parameters
    ----------
    lanes : Lanes
    loss : float or ndarray of the shape of the lanes
        [nats/token]
    start : float
        A budget from which to look up and down.
    near : ndarray, optional
        Parameters of least loss at `start`; at other budgets they are looked for around N ∝ √C. By default everywhere.
    accuracy : float
        Of ln C.
    """
    from scipy.optimize.elementwise import find_root

    target, highest = np.broadcast_to(loss, len(lanes)), 1e3 + np.max(np.abs(loss), initial=0.0)
    sharp = max(accuracy, 1e-7)  # of ln N: where the data set ends the minimum is a kink, and an error costs its like

    def above(log_flops, i):  # nothing to be had counts as far above: the root lies where something is
        around = None if near is None else near[i] * np.exp((log_flops - np.log(start)) / 2)
        found = least_loss(_some(lanes, i), np.exp(log_flops), around, sharp)
        return np.minimum(found[2], highest) - target[i]

    lane, ends = np.arange(len(lanes)), np.full((2, len(lanes)), np.log(start))
    enough = above(ends[0], lane) <= 0
    for side, going in ((0, np.flatnonzero(enough)), (1, np.flatnonzero(~enough))):
        for reach in (2.0, 8.0, 32.0, 60.0):  # e-folds of compute
            if going.size:
                ends[side, going] = np.log(start) + (2 * side - 1) * reach
                short = above(ends[side, going], going) > 0
                going = going[short if side else ~short]
    root = find_root(above, tuple(ends), args=(lane,), tolerances={"xatol": accuracy})
    return np.where(root.success, np.exp(root.x), np.inf)


def _some(lanes: Lanes, i) -> Lanes:
    """These lanes of a search, the others left out."""
    pick = lambda values: {k: v[i] for k, v in values.items()}  # noqa: E731
    return Lanes(
        lanes.law, pick(lanes.draws), pick(lanes.inputs), lanes.train[i], lanes.serve[i], lanes.low[i], lanes.high[i],
        lanes.served, lanes.most_tokens, lanes.turns,
    )  # fmt: skip
