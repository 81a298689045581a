"""The decoder-only transformer, whose keys, values and products may each be rounded on their way."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array

from precsim.equality import unwritten
from precsim.models.block import FIRST_EDITION, STANDARD, Block
from precsim.models.points import EXACT, Kind, Normal, Points, Weights, contract, draw, joined, linear, rms_norm

_FREQUENCY_BASE = 10_000.0  # RoPE's usual base
_SHARED = {"query": "attention", "key": "attention", "value": "attention", "gate": "up"}  # one input, one product


class Feed(enum.Enum):
    """Nonlinearity of the feed-forward part."""

    GELU = "GELU(x U) V"
    SWIGLU = "(SiLU(x G) * x U) V"

    def __repr__(self) -> str:
        return f"Feed.{self.name}"


@dataclass(frozen=True, slots=True, repr=False)
class Transformer:
    """Decoder-only transformer: pre-norm, rotary positions, causal attention, GELU or SwiGLU, untied head.

    h <- h + Attention(norm(h)) O;  h <- h + GELU(norm(h) U) V, `layers` times; logits = norm(h) W, with the
    norms of `block`. With SwiGLU the inner vector is SiLU(norm(h) G) * (norm(h) U).

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
    feed : Feed
        What stands between the two products of the feed-forward part: GELU, or SwiGLU with a third
        matrix and inner width 8 d / 3 (rounded up to a multiple of 8), which costs about the same.
    kv_heads : int, optional
        Heads of keys and values, each shared by as many query heads (grouped-query attention); by default
        one for each query head. Divides the number of heads.
    block : Block
        Norms, gains and the size of embeddings; by default what the field trains (`STANDARD`).

    Raises
    ------
    ValueError
        If width is not a positive multiple of head_width, head_width is odd, layers or window is below 1, or
        kv_heads does not divide the number of heads, or block is no `Block`.

    Notes
    -----
    N (`parameters`) counts the matrices of the layers: 12 L d^2 with GELU and full attention, four d x d
    matrices of attention and two of 4 d^2 in each layer. The embedding and unembedding (2 V d) and the gains are
    left out. The starting weights follow the same rule as `MLP`, the embedding's that of `block`.

    How the parts are trained, unless a `Job` says otherwise: rate 0.25 / width for matrices and 0.02 for the embedding
    and gains, whose best rate does not shrink with width; decay 0.1 on matrices, the unembedding among them, none on
    the embedding and gains. The first edition's network is trained as it was: 0.38 / width for everything, no decay.

    The KV points see keys after the rotation, as a cache would hold them, and values.

    References
    ----------
    RoPE: su2021. RMSNorm: zhang2019. SwiGLU: shazeer2020. Grouped-query attention: ainslie2023.

    Examples
    --------
    >>> Transformer(32).parameters
    24576
    >>> Transformer(64, kv_heads=1, feed=Feed.SWIGLU).parameters
    88064
    """

    width: int
    layers: int = 2
    head_width: int = 16
    window: int = 64
    feed: Feed = Feed.GELU
    kv_heads: int | None = None
    # a description without this field is of a network that was trained before there was a choice
    block: Block = field(default=STANDARD, metadata=unwritten(FIRST_EDITION))

    def __post_init__(self) -> None:
        if self.head_width < 2 or self.head_width % 2:
            raise ValueError(f"head_width must be even and positive, not {self.head_width}")
        if self.width < 1 or self.width % self.head_width:
            raise ValueError(f"width {self.width} is not a multiple of head_width {self.head_width}")
        if self.layers < 1 or self.window < 1:
            raise ValueError(f"layers and window must be at least 1, not {self.layers} and {self.window}")
        if not isinstance(self.feed, Feed):
            raise ValueError(f"feed must be Feed.GELU or Feed.SWIGLU, not {self.feed!r}")
        heads = self.width // self.head_width
        if self.kv_heads is not None and (self.kv_heads < 1 or heads % self.kv_heads):
            raise ValueError(f"kv_heads must divide the {heads} heads, not {self.kv_heads}")
        if not isinstance(self.block, Block):
            raise ValueError(f"block must be a Block, such as STANDARD or FIRST_EDITION, not {self.block!r}")

    def __repr__(self) -> str:
        shape = f"width={self.width}, layers={self.layers}, head_width={self.head_width}, window={self.window}"
        block = "" if self.block == FIRST_EDITION else f", block={self.block}"
        return f"Transformer({shape}, feed={self.feed!r}, kv_heads={self.kv_heads}{block})"

    @property
    def inner(self) -> int:
        """Width between the two products of the feed-forward part."""
        return 4 * self.width if self.feed is Feed.GELU else -(-self.width // 3) * 8

    @property
    def kv_width(self) -> int:
        """Columns of the key and of the value matrix."""
        return self.width if self.kv_heads is None else self.kv_heads * self.head_width

    @property
    def parameters(self) -> int:
        """N, non-embedding parameters: layers (2 d^2 + 2 d d_kv + 2 or 3 d d_inner)."""
        matrices = 2 if self.feed is Feed.GELU else 3
        return self.layers * self.width * (2 * self.width + 2 * self.kv_width + matrices * self.inner)

    @property
    def learning_rate(self) -> float:
        """Learning rate that suits AdamW at this width: 0.25 / width; the first edition's network has 0.38 / width."""
        return (0.38 if self._first_edition else 0.25) / self.width

    @property
    def embedding_rate(self) -> float | None:
        """Learning rate of the embedding and gains: 0.02; None, as the matrices, in the first edition's network."""
        return None if self._first_edition else 0.02

    @property
    def weight_decay(self) -> float:
        """Usual decay of matrices, before the learning rate: 0.1; none in the first edition's network."""
        return 0.0 if self._first_edition else 0.1

    @property
    def decay_embedding(self) -> bool:
        """Whether the embedding decays like a matrix: only in the first edition's network."""
        return self._first_edition

    @property
    def _first_edition(self) -> bool:
        return self.block == FIRST_EDITION

    @property
    def batch_tokens(self) -> int:
        """Usual number of targets in one step: 32 sequences."""
        return 32 * self.window

    @property
    def sites(self) -> dict[Kind, tuple[str, ...]]:
        """Names of the sites where each kind of tensor may be rounded.

        "attention" is the input that query, key and value share, and "up" that of gate and up; each such group is
        one product. "head" is the unembedding.
        """
        layers = range(self.layers)

        def names(*parts: str) -> tuple[str, ...]:
            return tuple(f"block{n}.{part}" for n in layers for part in parts)

        feed = ("up", "down") if self.feed is Feed.GELU else ("gate", "up", "down")
        matrices = ("embedding", *names("query", "key", "value", "out", *feed), "head")
        products = (*names("attention", "out", "up", "down"), "head")
        return {
            Kind.WEIGHTS: matrices,
            Kind.ACTIVATIONS: products,
            Kind.KV: names("key", "value"),
            Kind.GRADIENTS: products,
            Kind.ACCUMULATOR: products,
            Kind.MASTER: matrices,
        }

    def input_of(self, weight: str) -> str:
        """Name of the activations that are multiplied with this matrix."""
        block, _, part = weight.partition(".")
        return f"{block}.{_SHARED.get(part, part)}" if part else weight

    def init(self, key: Array, vocabulary: int, context_length: int) -> Weights:
        """Draw the starting weights: a pytree of float32 arrays. The context length changes nothing here."""
        d, scale = self.width, (2 * self.layers) ** -0.5

        def matrix(inputs: int, outputs: int, factor: float = 1.0) -> Normal:
            return Normal((inputs, outputs), factor * inputs**-0.5)

        block = {
            "query": matrix(d, d),
            "key": matrix(d, self.kv_width),
            "value": matrix(d, self.kv_width),
            "out": matrix(d, d, scale),
            "up": matrix(d, self.inner),
            "down": matrix(self.inner, d, scale),
        }
        if self.feed is Feed.SWIGLU:
            block["gate"] = matrix(d, self.inner)
        plan = {
            "embedding": Normal((vocabulary, d), d**-0.5 if self.block.embedding is None else self.block.embedding),
            "blocks": [block] * self.layers,
            "head": matrix(d, vocabulary, 0.1),
        }
        params = draw(key, plan)
        gains = self.block.starting_gains(d, self.head_width)
        params["blocks"] = [{**block, **gains} for block in params["blocks"]]
        return {**params, "head_gain": jnp.ones(d)} if gains else params

    def logits(self, params: Weights, tokens: Array, points: Points = EXACT) -> Array:
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
            seen = self.block.normalized(h, block.get("attention_gain"))
            h = h + self._attention(points, f"block{n}", seen, block)
            inner = self._inner(points, f"block{n}", self.block.normalized(h, block.get("feed_gain")), block)
            h = h + linear(points, f"block{n}.down", inner, block["down"])
        return linear(points, "head", self.block.normalized(h, params.get("head_gain")), params["head"])

    def _inner(self, points: Points, name: str, x: Array, block: dict) -> Array:
        if self.feed is Feed.GELU:
            return jax.nn.gelu(linear(points, f"{name}.up", x, block["up"]))
        gate, up = _together(points, name, "up", x, block, ("gate", "up"))
        return jax.nn.silu(gate) * up

    def _attention(self, points: Points, name: str, x: Array, block: dict) -> Array:
        batch, time, _ = x.shape
        parts = _together(points, name, "attention", x, block, ("query", "key", "value"))
        query, key, value = (part.reshape(batch, time, -1, self.head_width) for part in parts)
        if self.block.query_key_norm:
            query, key = self._sized(query, block, "query_gain"), self._sized(key, block, "key_gain")
        query, key = _rotate(query), _rotate(key)
        key, value = points.kv(f"{name}.key", key), points.kv(f"{name}.value", value)
        if (share := query.shape[2] // key.shape[2]) > 1:
            key, value = (jnp.repeat(kept, share, axis=2) for kept in (key, value))
        if points.attention is not None:
            return linear(points, f"{name}.out", points.attention(query, key, value).reshape(x.shape), block["out"])
        scores = contract(points, "bqhd,bkhd->bhqk", query, key) * self.head_width**-0.5
        causal = jnp.tril(jnp.ones((time, time), bool))
        attention = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
        mixed = contract(points, "bhqk,bkhd->bqhd", attention, value)
        return linear(points, f"{name}.out", mixed.reshape(batch, time, -1), block["out"])

    @staticmethod
    def _sized(x: Array, block: dict, gain: str) -> Array:
        """Queries or keys over their root mean square, head by head, times their gain if there is one."""
        return rms_norm(x) * block[gain] if gain in block else rms_norm(x)


def _together(
    points: Points, name: str, shared: str, x: Array, block: dict, parts: tuple[str, ...]
) -> tuple[Array, ...]:
    """Products of one input with several matrices of a layer, part by part."""
    matrices = {f"{name}.{part}": block[part] for part in parts}
    result = joined(points, f"{name}.{shared}", x, matrices)
    ends = list(itertools.accumulate(matrix.shape[1] for matrix in matrices.values()))
    return tuple(jnp.split(result, ends[:-1], axis=-1))


def _rotate(x: Array) -> Array:
    """Turn the pair (i, i + half) of each head by position x base^(-i/half): rotary position embedding."""
    half = x.shape[-1] // 2
    angle = jnp.arange(x.shape[1])[:, None] * _FREQUENCY_BASE ** (-jnp.arange(half) / half)
    cos, sin = jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)
