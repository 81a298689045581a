"""The arguments of a law: sizes, bits of each tensor, and what else some laws read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from precsim.equality import Record
from precsim.laws.jets import Jet, numeric


class HasBits(Protocol):
    """A format, or what rounds to one."""

    @property
    def bits(self) -> float: ...  # noqa: D102


class Symbolic(Protocol):
    """An expression of SymPy, which laws never import."""

    @property
    def free_symbols(self) -> set: ...  # noqa: D102


Number = ArrayLike | Jet | Symbolic  #: what a law is evaluated on
Bits = Number | HasBits  #: how many bits a tensor has

#: Stands for "not quantized" inside expressions: every factor is 1 to the last bit there, and so are its derivatives.
_OFF = 1e9


#: Further columns that some rival laws read: the scheme's name, elements per group or per scale, the bits of a float's
#: two fields, the Gaussian capacity of a grid; tokens of the data set, experts of which one is active, the share of
#: tokens that a last, quantized phase reads, and the share of the weights that are quantized.
CONTEXT = frozenset(
    {
        *("scheme", "group", "block", "exponent_bits", "significand_bits", "capacity"),
        *("unique_tokens", "experts", "qat_share", "quantized_share"),
    }
)


class Tensor(Enum):
    """Which tensor's bits a factor reads; TIED reads the one width that all quantized tensors share."""

    WEIGHTS = "weights"
    ACTIVATIONS = "activations"
    KV = "kv"
    TIED = "tied"


class Effective(Enum):
    """What a factor multiplies: the parameters N (the paper's choice) or the tokens D."""

    N = "N"
    D = "D"


def parameter(
    low: float, high: float, *, positive: bool = True, default: float | None = None, divides: bool = False
) -> Any:
    """Field of a part that a fit may estimate: searched first in [low, high], then without limits.

    `positive` parameters are moved on a logarithmic scale; one that `divides` cannot be zero either.
    """
    rule = {"low": low, "high": high, "positive": positive, "default": default, "divides": divides}
    return field(default=default, metadata=rule)


def bits_of(x):
    """Bits of a `Format` or `Quantizer` (its ``bits``), or x itself; inf means not quantized."""
    bits = getattr(x, "bits", x) if not hasattr(x, "free_symbols") else x
    if numeric(bits):
        bits = np.asarray(bits, dtype=float)[()]
        if np.any(np.isnan(bits)) or np.any(bits <= 0):
            raise ValueError(f"bits must be positive (inf for not quantized), got {x!r}")
    return bits


@dataclass(frozen=True, slots=True, eq=False)
class Setting(Record):
    """One point (or an array of points) at which a law is evaluated.

    N : parameters; D : tokens; weights, activations, kv : bits in training; post : bits of the weights after
    training; context : further columns some rival laws read (scheme, group, exponent_bits, significand_bits).
    """

    N: Any
    D: Any
    weights: Any = np.inf
    activations: Any = np.inf
    kv: Any = np.inf
    post: Any = np.inf
    context: Mapping[str, Any] = field(default_factory=dict)

    def bits(self, tensor: Tensor):
        """Bits of a tensor with inf replaced by a width at which nothing changes; None if nothing is quantized."""
        if tensor is not Tensor.TIED:
            return _quantized(getattr(self, tensor.value))
        used = [b for b in map(_quantized, (self.weights, self.activations, self.kv)) if b is not None]
        if not used:
            return None
        if all(numeric(b) for b in used):
            lowest = np.minimum.reduce(np.broadcast_arrays(*used))
            for b in used:
                if np.any((b != lowest) & (b != _OFF)):
                    raise ValueError(
                        "a tied factor needs one width for all quantized tensors; got different bits for weights, "
                        "activations and kv; use one factor for each tensor instead"
                    )
            return lowest[()]
        if any(b != used[0] for b in used[1:]):
            raise ValueError("a tied factor needs the same symbol for every quantized tensor")
        return used[0]

    def need(self, name: str, part: str):
        """The context column `name`, or an error that says which part wants it."""
        if name not in self.context:
            raise ValueError(f"{part} needs {name}=; pass it to the law, or as a column of the table")
        return self.context[name]


def _quantized(bits):
    if not numeric(bits):
        return bits
    off = np.isinf(bits)
    if np.all(off):
        return None
    return np.where(off, _OFF, bits)[()]
