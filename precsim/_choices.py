"""What a plan chooses from and what it pays with: widths of every tensor, prices of a FLOP, machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from precsim.laws.setting import bits_of

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A device: what it computes at each width, stores and moves, with the source of the numbers.

    Attributes
    ----------
    name : str
    peak : mapping of float to float
        Operand width [bits] → dense peak [FLOP/s or integer operations/s].
    memory : float
        [bytes]
    bandwidth : float
        [bytes/s]
    source : str
        Where the numbers stand.
    utilization : float
        Share of the peak that training reaches; 0.4 is common practice, not a property of the device.

    Examples
    --------
    >>> toy = Hardware(name="toy", peak={16: 1e12, 8: 2e12}, memory=8e9, bandwidth=1e11, source="made up")
    >>> toy.price(8), toy.price(4), toy.price(12)
    (0.5, 0.5, 1.0)
    """

    name: str
    peak: Mapping[float, float]
    memory: float
    bandwidth: float
    source: str
    utilization: float = 0.4

    def __post_init__(self):
        object.__setattr__(self, "peak", MappingProxyType({float(k): float(v) for k, v in self.peak.items()}))
        if not 0 < self.utilization <= 1:
            raise ValueError(f"utilization must be in (0, 1], got {self.utilization}")

    def rate(self, bits: float) -> float:
        """Peak at operands of `bits` bits: that of the narrowest width the device has which holds them [FLOP/s].

        Raises
        ------
        ValueError
            If the operands are wider than anything the device multiplies.
        """
        able = [w for w in self.peak if w >= bits]
        if not able:
            widths = ", ".join(f"{w:g}" for w in sorted(self.peak))
            raise ValueError(f"{self.name} has no products of {bits:g}-bit operands; it has {widths} bits")
        return self.peak[min(able)]

    def has(self, bits: float) -> bool:
        """Whether the device multiplies operands of exactly this width; else it gains nothing over the next one."""
        return float(bits) in self.peak

    def price(self, bits: float) -> float:
        """Time of a FLOP at this width relative to 16 bits: a width the device lacks is no cheaper than the next."""
        return self.rate(_REFERENCE) / self.rate(bits)


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


_GB, _TB, _T = 1e9, 1e12, 1e12

A100 = Hardware(
    name="A100 SXM 80GB",
    peak={16: 312 * _T, 8: 624 * _T, 4: 1248 * _T},
    memory=80 * _GB,
    bandwidth=2.039 * _TB,
    source="NVIDIA A100 Tensor Core GPU data sheet, 2021 (dense; 8 and 4 bits are integers)",
)
H100 = Hardware(
    name="H100 SXM",
    peak={16: 989.4 * _T, 8: 1978.9 * _T},
    memory=80 * _GB,
    bandwidth=3.35 * _TB,
    source="NVIDIA H100 Tensor Core GPU architecture white paper, SXM5 (dense; 8 bits FP8 or INT8)",
)
H200 = Hardware(
    name="H200 SXM",
    peak={16: 989.4 * _T, 8: 1978.9 * _T},
    memory=141 * _GB,
    bandwidth=4.8 * _TB,
    source="NVIDIA H200 Tensor Core GPU data sheet (dense: half of the printed sparse figures)",
)
B200 = Hardware(
    name="B200 SXM",
    peak={16: 2250 * _T, 8: 4500 * _T, 4: 9000 * _T},
    memory=180 * _GB,
    bandwidth=7.7 * _TB,
    source="NVIDIA Blackwell data sheet, one GPU of HGX B200 (half of the printed sparse figures; 4 bits FP4)",
)
MI300X = Hardware(
    name="MI300X",
    peak={16: 1307.4 * _T, 8: 2614.9 * _T},
    memory=192 * _GB,
    bandwidth=5.3 * _TB,
    source="AMD Instinct MI300X data sheet (dense; printed with sparsity as twice as much)",
)
TPU_V5P = Hardware(
    name="TPU v5p",
    peak={16: 459 * _T, 8: 918 * _T},
    memory=95 * 2**30,
    bandwidth=2.765 * _TB,
    source="Google Cloud TPU documentation, v5p: 459 TFLOP/s BF16, the same for FP8; 8 bits are INT8, 918 TOP/s",
)

HARDWARE = {"a100": A100, "h100": H100, "h200": H200, "b200": B200, "mi300x": MI300X, "tpu-v5p": TPU_V5P}
