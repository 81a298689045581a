"""What a plan is: the best option, its competitors, and how much the choice matters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from precsim.equality import Record
from precsim.laws.region import Region
from precsim.planning.budget import Budget, Choice


class Binding(Enum):
    """Which limit the plan runs into."""

    COMPUTE = "compute alone: N and D are balanced freely"
    PARAMETERS = "the number of parameters: memory, a fixed model, or the smallest one considered"
    TOKENS = "the number of tokens: the data set is used up"
    DAMAGE = "the damage of rounding: more data would hurt this model; compute is left over"
    NOTHING = "none: both N and D are at their limits and compute is left over"


def more_compute(extra: float) -> str:
    """Extra compute as text.

    Examples
    --------
    >>> more_compute(1.2154), more_compute(0.0), more_compute(float("inf"))
    ('+122 %', '0', 'no budget')
    """
    if not math.isfinite(extra):
        return "no budget"
    return "0" if extra < 5e-6 else f"+{100 * extra:.3g} %"


def between_compute(interval: tuple[float, float] | None) -> str:
    """An interval of extra compute as text; empty without one.

    Examples
    --------
    >>> between_compute((0.0, 0.371)), between_compute((0.5, float("inf"))), between_compute(None)
    ('0 to +37.1 %', '+50 % to no budget', '')
    """
    return "" if interval is None else " to ".join(map(more_compute, interval))


@dataclass(frozen=True, eq=False)
class Option(Record):
    """The best that one choice of widths can do.

    Attributes
    ----------
    choice : Choice
    N, D : float
        Parameters and tokens of least predicted loss.
    loss : float
        [nats/token]
    regret : float
        Loss above that of the best choice [nats/token].
    extra_compute : float
        The regret in money: the least budget at which this choice reaches the loss of the best one, over the budget,
        minus 1. 1.22 is 122 % more; inf where no budget is enough.
    flops : float
        What the option costs, serving included, in FLOPs at 16 bits: less than the budget where not all of it helps.
    beyond : mapping of str to float
        ``N``, ``D``, ``D/N`` → the factor by which the option lies outside the runs behind the law; empty inside.
    loss_interval, regret_interval, extra_interval : tuple of float or None
        Of loss, regret and extra compute over the draws, each draw planning for itself; None for a plan from a single
        law.
    """

    choice: Choice
    N: float
    D: float
    loss: float
    regret: float
    extra_compute: float
    flops: float
    beyond: Mapping[str, float] = field(default_factory=dict)
    loss_interval: tuple[float, float] | None = None
    regret_interval: tuple[float, float] | None = None
    extra_interval: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Plan(Record):
    """The recommended option, its competitors, and how much the choice matters.

    Attributes
    ----------
    best : Option
    options : tuple of Option
        Every choice that has a prediction, in the order given: the regret curve.
    binding : Binding
    near : tuple of Choice
        Choices whose loss is within `tolerance` of the best.
    sizes : tuple of float
        Range of N around the best one over which the loss stays within `tolerance`, at the same budget and widths.
    tolerance : float
        [nats/token]
    refused : dict of str to str
        Label of a choice → why it has no option.
    budget : Budget
    unseen : tuple of str
        Tensors (weights, activations, kv) that some option quantizes in training and whose width the law does not read:
        to this law their low precision costs nothing. Empty unless `Unread.FREE` was asked for.
    held : tuple of str
        Tensors whose width the law does not read and that every option leaves at 16 bits for that reason.
    runs : Region or None
        Where the law was learned, if that is known.
    reach : float
        Factor outside the runs beyond which an option counts as an extrapolation.
    """

    best: Option
    options: tuple[Option, ...]
    binding: Binding
    near: tuple[Choice, ...]
    sizes: tuple[float, float]
    tolerance: float
    refused: dict[str, str]
    budget: Budget
    unseen: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    runs: Region | None = None
    reach: float = 10.0

    def extrapolated(self, option: Option) -> dict[str, float]:
        """What of an option lies more than `reach` times outside the runs → by which factor; empty if nothing does."""
        return {name: factor for name, factor in option.beyond.items() if factor > self.reach}

    @property
    def extrapolation(self) -> dict[str, float]:
        """The same of the recommended option."""
        return self.extrapolated(self.best)

    def outside(self, option: Option) -> str:
        """What of an option is an extrapolation, as text: ``N ×243, D ×27``; empty if nothing is."""
        return ", ".join(f"{name} ×{factor:.3g}" for name, factor in self.extrapolated(option).items())

    @property
    def spent(self) -> float:
        """Share of the budget that the recommended option costs, in [0, 1]."""
        return self.best.flops / self.budget.flops

    @property
    def lacking(self) -> dict[float, float]:
        """Operand widths among the options that the device does not multiply → the width whose price they pay."""
        peak = getattr(self.budget.machine, "peak", None)
        if peak is None:
            return {}
        widths = sorted({o.choice.width for o in self.options} - set(peak))
        return {w: min(p for p in peak if p > w) for w in widths}

    @property
    def N(self) -> float:
        """Parameters of the best option."""
        return self.best.N

    @property
    def D(self) -> float:
        """Training tokens of the best option."""
        return self.best.D

    @property
    def loss(self) -> float:
        """Predicted loss of the best option [nats/token]."""
        return self.best.loss

    @property
    def choice(self) -> Choice:
        """Widths of the best option."""
        return self.best.choice
