"""What a trained model costs to serve: memory of weights and KV cache, and tokens per second of a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precsim.planning.budget import Choice
from precsim.planning.hardware import Hardware

__all__ = ["LLAMA3_8B", "LLAMA3_70B", "LLAMA3_405B", "MODELS", "ServedModel", "kv_bytes", "tokens_per_second"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A transformer as its server sees it.

    Attributes
    ----------
    name : str
    N : float
        Parameters.
    D : float
        Tokens it was trained on.
    layers, kv_heads, head_size : int
        What the KV cache is made of: 2·layers·kv_heads·head_size numbers for each token.
    source : str

    Examples
    --------
    >>> LLAMA3_8B.weight_bytes(Choice(post=4)) / 1e9
    4.015
    """

    name: str
    N: float
    D: float
    layers: int
    kv_heads: int
    head_size: int
    source: str

    def weight_bytes(self, choice: Choice) -> float:
        """Bytes of the stored weights, scales left out; `N` counts all of them, experts included."""
        return self.N * choice.serving / 8


def kv_bytes(model: ServedModel, choice: Choice, tokens: float) -> float:
    """Bytes of the KV cache of `tokens` tokens held at once; 16 bits where the choice leaves KV unquantized.

    Examples
    --------
    >>> kv_bytes(LLAMA3_8B, Choice(), 8192) / 2**30
    1.0
    """
    bits = min(choice.bits["kv"], 16.0)
    return 2 * model.layers * model.kv_heads * model.head_size * tokens * bits / 8


def tokens_per_second(
    model: ServedModel, machine: Hardware, choice: Choice, *, sequences: int, context: float, devices: int = 1
) -> float:
    """Upper bound on generated tokens per second: each step reads all weights and caches once, or computes.

    Parameters
    ----------
    model : ServedModel
    machine : Hardware
    choice : Choice
        Widths as served: the weights of ``choice.serving`` bits, the cache of ``choice.kv``.
    sequences : int
        Generated together.
    context : float
        Mean number of tokens in each sequence's cache.
    devices : int
        That share the model, without cost of communication.

    Returns
    -------
    float
        0 if weights and caches do not fit into the memory.

    Notes
    -----
    time of a step = max(bytes/bandwidth, 2·N·sequences FLOP/rate); the rate is the peak at the wider of the served
    weights and activations.

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    One sequence reads the weights once for each token, so four times fewer bits are four times faster:

    >>> from precsim.planning import H200
    >>> full, low = (tokens_per_second(LLAMA3_8B, H200, c, sequences=1, context=1) for c in (Choice(), Choice(post=4)))
    >>> round(low / full, 2)
    4.0
    """
    for name, x in (("sequences", sequences), ("context", context), ("devices", devices)):
        if not x > 0:
            raise ValueError(f"{name} must be positive, got {x}")
    size = model.weight_bytes(choice) + kv_bytes(model, choice, sequences * context)
    if size > machine.memory * devices:
        return 0.0
    reading = size / (machine.bandwidth * devices)
    computing = 2 * model.N * sequences / (machine.rate(choice.served_width) * devices)
    return float(sequences / np.maximum(reading, computing))


_LLAMA = "Grattafiori et al. 2024, arXiv 2407.21783, table 3 (key and value heads: 8) and section 3.2 (15.6T tokens)"
LLAMA3_8B = ServedModel(name="Llama 3 8B", N=8.03e9, D=15e12, layers=32, kv_heads=8, head_size=128, source=_LLAMA)
LLAMA3_70B = ServedModel(name="Llama 3 70B", N=70.6e9, D=15e12, layers=80, kv_heads=8, head_size=128, source=_LLAMA)
LLAMA3_405B = ServedModel(name="Llama 3 405B", N=405e9, D=15.6e12, layers=126, kv_heads=8, head_size=128, source=_LLAMA)

MODELS = {"llama3-8b": LLAMA3_8B, "llama3-70b": LLAMA3_70B, "llama3-405b": LLAMA3_405B}
