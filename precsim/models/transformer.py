"""The decoder-only transformer."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from precsim.models.points import EXACT, Kind, Points, linear, rms_norm

_FREQUENCY_BASE = 10_000.0  # RoPE's usual base


@dataclass(frozen=True, slots=True)
class Transformer:
    """Decoder-only transformer: pre-norm, rotary positions, full causal attention, GELU, untied head.

    h <- h + Attention(norm(h)) O;  h <- h + GELU(norm(h) U) V, `layers` times; logits = norm(h) W. norm
    divides by the root mean square and has no gain.

    Parameters
    ----------
    width : int
        d, a multiple of `head_width`.
    layers : int
        L, at least 1.
    head_width : int
        Width of one attention head, even (RoPE turns pairs).
    window : int
        T, tokens of one training sequence.

    Raises
    ------
    ValueError
        If width is not a positive multiple of head_width, head_width is odd, or layers or window is below 1.

    Notes
    -----
    N = 12 L d^2 (`parameters`): four d x d matrices of attention and two of 4 d^2 in each layer. The
    embedding and unembedding (2 V d) are left out. The starting weights follow the same rule as `MLP`.

    The KV points see keys after the rotation, as a cache would hold them, and values.

    References
    ----------
    RoPE: su2021. RMSNorm: zhang2019.

    Examples
    --------
    >>> Transformer(32).parameters
    24576
    """

    width: int
    layers: int = 2
    head_width: int = 16
    window: int = 64

    def __post_init__(self) -> None:
        if self.head_width < 2 or self.head_width % 2:
            raise ValueError(f"head_width must be even and positive, not {self.head_width}")
        if self.width < 1 or self.width % self.head_width:
            raise ValueError(f"width {self.width} is not a multiple of head_width {self.head_width}")
        if self.layers < 1 or self.window < 1:
            raise ValueError(f"layers and window must be at least 1, not {self.layers} and {self.window}")

    @property
    def parameters(self) -> int:
        """N, non-embedding parameters: 12 layers width^2."""
        return 12 * self.layers * self.width**2

    @property
    def learning_rate(self) -> float:
        """Learning rate that suits AdamW at this width: 0.38 / width."""
        return 0.38 / self.width

    @property
    def batch_tokens(self) -> int:
        """Usual number of targets in one step: 32 sequences."""
        return 32 * self.window

    @property
    def sites(self) -> dict[Kind, tuple[str, ...]]:
        """Names of the places where each kind of tensor may be rounded.

        "attention" is the input that query, key and value share; "head" is the unembedding.
        """
        layers = range(self.layers)

        def names(*parts: str) -> tuple[str, ...]:
            return tuple(f"block{n}.{part}" for n in layers for part in parts)

        return {
            Kind.WEIGHTS: ("embedding", *names("query", "key", "value", "out", "up", "down"), "head"),
            Kind.ACTIVATIONS: (*names("attention", "out", "up", "down"), "head"),
            Kind.KV: names("key", "value"),
        }

    def input_of(self, weight: str) -> str:
        """Name of the activations that are multiplied with this matrix."""
        block, _, part = weight.partition(".")
        return f"{block}.attention" if part in ("query", "key", "value") else weight

    def init(self, key: Array, vocabulary: int, context_length: int) -> dict:
        """Draw the starting weights: a pytree of float32 arrays. The context length changes nothing here."""
        d, scale = self.width, (2 * self.layers) ** -0.5
        keys = iter(jax.random.split(key, 6 * self.layers + 2))

        def matrix(inputs: int, outputs: int, factor: float = 1.0) -> Array:
            return jax.random.normal(next(keys), (inputs, outputs)) * (factor * inputs**-0.5)

        return {
            "embedding": jax.random.normal(next(keys), (vocabulary, d)),
            "blocks": [
                {
                    "query": matrix(d, d),
                    "key": matrix(d, d),
                    "value": matrix(d, d),
                    "out": matrix(d, d, scale),
                    "up": matrix(d, 4 * d),
                    "down": matrix(4 * d, d, scale),
                }
                for _ in range(self.layers)
            ],
            "head": matrix(d, vocabulary, 0.1),
        }

    def logits(self, params: dict, tokens: Array, points: Points = EXACT) -> Array:
        """Unnormalized log-probabilities of the token after each position.

        Parameters
        ----------
        params : pytree
            From `init`.
        tokens : int array, shape (batch, time)
        points : Points
            How tensors are rounded on their way.

        Returns
        -------
        Array, shape (batch, time, vocabulary)
        """
        table = points.weights("embedding", params["embedding"])
        h = jax.nn.one_hot(tokens, table.shape[0]) @ table
        for n, block in enumerate(params["blocks"]):
            h = h + self._attention(points, f"block{n}", rms_norm(h), block)
            inner = jax.nn.gelu(linear(points, f"block{n}.up", rms_norm(h), block["up"]))
            h = h + linear(points, f"block{n}.down", inner, block["down"])
        return linear(points, "head", rms_norm(h), params["head"])

    def _attention(self, points: Points, name: str, x: Array, block: dict) -> Array:
        batch, time, _ = x.shape
        x = points.activations(f"{name}.attention", x)

        def heads(part: str) -> Array:
            return (x @ points.weights(f"{name}.{part}", block[part])).reshape(batch, time, -1, self.head_width)

        query, key, value = _rotate(heads("query")), _rotate(heads("key")), heads("value")
        key, value = points.kv(f"{name}.key", key), points.kv(f"{name}.value", value)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) * self.head_width**-0.5
        causal = jnp.tril(jnp.ones((time, time), bool))
        attention = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", attention, value)
        return linear(points, f"{name}.out", mixed.reshape(batch, time, -1), block["out"])


def _rotate(x: Array) -> Array:
    """Turn the pair (i, i + half) of each head by position x base^(-i/half): rotary position embedding."""
    half = x.shape[-1] // 2
    angle = jnp.arange(x.shape[1])[:, None] * _FREQUENCY_BASE ** (-jnp.arange(half) / half)
    cos, sin = jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
