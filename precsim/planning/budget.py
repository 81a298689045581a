"""What a plan chooses from and what it pays with: widths of every tensor, prices of a FLOP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from precsim.laws.setting import bits_of
from precsim.planning.hardware import Hardware

_REFERENCE = 16.0  # bits at which a FLOP costs one FLOP: the paper's C = 6 N D at 16 bits


@dataclass(frozen=True, slots=True)
class Choice:
    """Bits (or `Format`s) of every tensor in training, and of the weights after it; inf is left unquantized.

    Examples
    --------
    >>> Choice.tied(8).width
    8.0
    """

    weights: Any = np.inf
    activations: Any = np.inf
    kv: Any = np.inf
    post: Any = np.inf

    @staticmethod
    def tied(P, post=np.inf) -> Choice:
        """Weights, activations and KV cache all at P bits in training."""
        return Choice(P, P, P, post)

    @property
    def bits(self) -> dict[str, float]:
        """The widths [bits] as a law takes them."""
        return {name: float(bits_of(getattr(self, name))) for name in ("weights", "activations", "kv", "post")}

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
    def label(self) -> str:
        """``W8A8KV8`` and, if quantized after training, ``>4``."""
        b = self.bits

        def text(x):
            return "16" if np.isinf(x) else f"{x:g}"

        after = "" if np.isinf(b["post"]) else f">{b['post']:g}"
        return f"W{text(b['weights'])}A{text(b['activations'])}KV{text(b['kv'])}{after}"


@dataclass(frozen=True, slots=True)
class PriceByBits:
    """The paper's price: a FLOP at P bits costs P/16 of one at 16 bits, on no particular machine."""

    name: str = "C = 6 N D P / 16"

    def price(self, bits: float) -> float:
        """P/16."""
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

    def tokens(self, N, choice: Choice):
        """Training tokens that the budget leaves for N parameters at these widths (negative: none)."""
        train, serve = self.machine.price(choice.width), self.machine.price(min(choice.width, choice.serving))
        return (self.flops - 2 * N * self.served_tokens * serve) / (6 * N * train)
