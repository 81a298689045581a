"""What a plan is: the best option, its competitors, and how much the choice matters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from precsim.laws.law import Degradation, Law
from precsim.laws.setting import Tensor
from precsim.planning.budget import Budget, Choice


class Binding(Enum):
    """Which limit the plan runs into."""

    COMPUTE = "compute alone: N and D are balanced freely"
    PARAMETERS = "the number of parameters: memory, or a fixed model"
    TOKENS = "the number of tokens: the data set is used up"
    NOTHING = "none: both N and D are at their limits and compute is left over"


@dataclass(frozen=True)
class Option:
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
    loss_interval, regret_interval : tuple of float or None
        Over the draws, each draw planning for itself; None for a plan from a single law.
    """

    choice: Choice
    N: float
    D: float
    loss: float
    regret: float
    loss_interval: tuple[float, float] | None = None
    regret_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Plan:
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
        to this law their low precision costs nothing.
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
        """Parameters."""
        return self.best.N

    @property
    def D(self) -> float:
        """Training tokens."""
        return self.best.D

    @property
    def loss(self) -> float:
        """Predicted loss [nats/token]."""
        return self.best.loss

    @property
    def choice(self) -> Choice:
        """Widths."""
        return self.best.choice


_READ = {
    Tensor.WEIGHTS: {"weights"},
    Tensor.ACTIVATIONS: {"activations"},
    Tensor.KV: {"kv"},
    Tensor.TIED: {"weights", "activations", "kv"},
}


def unseen(law: Law, choices: Iterable[Choice]) -> tuple[str, ...]:
    """The tensors that these choices quantize in training and that no factor or penalty of the law reads.

    Examples
    --------
    >>> from precsim.laws import WEIGHTS, Chinchilla, Saturating
    >>> unseen(Chinchilla() | Saturating(WEIGHTS), [Choice.tied(4)])
    ('activations', 'kv')
    """
    read: set[str] = set()
    for part in law.parts:
        if part is law.base or (isinstance(part, Degradation) and part.paired):
            continue
        tensor = getattr(getattr(part, "inner", part), "tensor", None)
        if tensor is None:  # a scheme or a format as a whole
            return ()
        read |= _READ[tensor]
    low = {name for choice in choices for name in _READ[Tensor.TIED] if choice.bits[name] < 16}
    return tuple(name for name in ("weights", "activations", "kv") if name in low - read)
