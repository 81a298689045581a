"""What a plan chooses from and what it pays with: widths of every tensor, prices of a FLOP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from precsim.laws.setting import CONTEXT, bits_of
from precsim.planning.hardware import Hardware

_REFERENCE = 16.0  # bits at which a FLOP costs one FLOP: the paper's C = 6 N D at 16 bits


def _width(x: Any) -> float:
    """Bits of a number or `Format`; numbers pass by the checks of arrays, half the time of a plan of 150 choices."""
    return float(x) if isinstance(x, (int, float)) and x > 0 else float(bits_of(x))


@dataclass(frozen=True, slots=True)
class Choice:
    """Bits (or `Format`s) of every tensor in training, and of the weights after it; inf is left unquantized.

    Attributes
    ----------
    weights, activations, kv, post : float or Format
        [bits]
    context : mapping
        What else some laws read, by the names of a law's call: ``{"scheme": "W4A4"}``, ``{"group": 128}``,
        ``{"experts": 8}``.
    expert_share : float, optional
        Of a mixture of experts: the share of the active parameters that its one active expert holds, 2/3 where the
        feed-forward layers of a standard block (8 d² of 12 d²) are the experts. Laws of experts know the active
        parameters; what is stored is more, and needs this.

    Raises
    ------
    ValueError
        For an input that no law reads, and a share of experts outside (0, 1] or without ``experts``.

    Examples
    --------
    >>> Choice.tied(8).width
    8.0
    >>> Choice(4, 4, context={"scheme": "QuEST"}).label
    'W4A4KV16 QuEST'
    >>> Choice(context={"experts": 8}, expert_share=0.5).stored
    4.5
    """

    weights: Any = np.inf
    activations: Any = np.inf
    kv: Any = np.inf
    post: Any = np.inf
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)
    expert_share: float | None = None

    def __post_init__(self):
        if unknown := set(self.context) - CONTEXT:
            raise ValueError(f"no law reads {sorted(unknown)}; beside bits they read {', '.join(sorted(CONTEXT))}")
        if self.expert_share is not None:
            if not 0 < self.expert_share <= 1:
                raise ValueError(f"expert_share is a share of the active parameters, got {self.expert_share}")
            if "experts" not in self.context:
                raise ValueError("expert_share is of a mixture of experts: give context={'experts': ...} with it")

    @staticmethod
    def tied(P, post=np.inf) -> Choice:
        """Weights, activations and KV cache all at P bits in training."""
        return Choice(P, P, P, post)

    @property
    def bits(self) -> dict[str, float]:
        """The widths [bits] as a law takes them."""
        return {name: _width(getattr(self, name)) for name in ("weights", "activations", "kv", "post")}

    @property
    def inputs(self) -> dict[str, Any]:
        """Widths and context: what a law is called with beside N and D."""
        return self.bits | dict(self.context)

    @property
    def width(self) -> float:
        """Width that sets the price of a training FLOP: the wider operand of a product; 16 where unquantized."""
        b = self.bits
        return float(min(max(b["weights"], b["activations"]), _REFERENCE))

    @property
    def serving(self) -> float:
        """Bits of a stored weight when the model is served."""
        b = self.bits
        return float(min(b["post"], b["weights"], _REFERENCE))

    @property
    def served_width(self) -> float:
        """Width that sets the price and the speed of a served FLOP: the wider of served weights and activations."""
        return max(self.serving, float(min(self.bits["activations"], _REFERENCE)))

    @property
    def stored(self) -> float | None:
        """Parameters that are stored for each active one: 1 + (experts - 1)·share; None where the share is unknown."""
        experts = float(self.context.get("experts", 1))
        if experts == 1:
            return 1.0
        return None if self.expert_share is None else 1 + (experts - 1) * self.expert_share

    @property
    def label(self) -> str:
        """``W8A8KV8`` and, if quantized after training, ``>4``; then the scheme and other inputs."""
        b = self.bits

        def text(x):
            return "16" if np.isinf(x) else f"{x:g}"

        after = "" if np.isinf(b["post"]) else f">{b['post']:g}"
        rest = "".join(f" {v}" if k == "scheme" else f" {k}={v:g}" for k, v in self.context.items())
        return f"W{text(b['weights'])}A{text(b['activations'])}KV{text(b['kv'])}{after}{rest}"


@dataclass(frozen=True, slots=True)
class PriceByBits:
    """The paper's price: a FLOP at P bits costs P/16 of one at 16 bits, on no particular machine."""

    name: str = "C = 6 N D P / 16"

    def price(self, bits: float) -> float:
        """Cost of a FLOP at P bits over that at 16: P/16."""
        return bits / _REFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent.

    Attributes
    ----------
    flops : float
        Training and serving together, in FLOPs at 16 bits.
    machine : Hardware or PriceByBits
        What a narrower FLOP costs.
    served_tokens : float
        Tokens that the model will generate or read in its life, at 2N FLOPs each.
    max_parameters, max_tokens : float
        Limits from memory, or from the size of the data set.

    Examples
    --------
    The tokens that 6e15 FLOP leave for a model of a million parameters, at 16 and at 8 bits:

    >>> budget = Budget(flops=6e15)
    >>> budget.tokens(1e6, Choice()), budget.tokens(1e6, Choice.tied(8))
    (1000000000.0, 2000000000.0)
    """

    flops: float
    machine: Hardware | PriceByBits = field(default_factory=PriceByBits)
    served_tokens: float = 0.0
    max_parameters: float = np.inf
    max_tokens: float = np.inf

    def prices(self, choice: Choice) -> tuple[float, float]:
        """Cost of a FLOP of training and of serving at these widths, relative to 16 bits."""
        return self.machine.price(choice.width), self.machine.price(choice.served_width)

    def tokens(self, N, choice: Choice):
        """Training tokens that the budget leaves for N parameters at these widths (negative: none)."""
        train, serve = self.prices(choice)
        return (self.flops - 2 * N * self.served_tokens * serve) / (6 * N * train)

    def cost(self, N, D, choice: Choice):
        """What N parameters on D tokens cost with their serving, in FLOPs at 16 bits."""
        train, serve = self.prices(choice)
        return 6 * N * D * train + 2 * N * self.served_tokens * serve
