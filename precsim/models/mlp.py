"""The residual multilayer perceptron that reads a fixed number of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from precsim.models.points import EXACT, Kind, Normal, Points, Weights, draw, linear, rms_norm


@dataclass(frozen=True, slots=True)
class MLP:
    """Next-token model with a fixed window: embed the context, pass residual blocks, predict one token.

    h_0 = sum_k E_k[token k];  h_(l+1) = h_l + GELU(norm(h_l) U_l) V_l;  logits = norm(h_L) W, where norm
    divides by the root mean square. Each U is width x 4 width, each V 4 width x width.

    Parameters
    ----------
    width : int
        d, at least 1.
    layers : int
        L, residual blocks, at least 1.

    Raises
    ------
    ValueError
        If width or layers is below 1.

    Notes
    -----
    N = 8 L d^2 (`parameters`) counts the matrices of the blocks: what a recipe quantizes by default. The
    embeddings (K V d) and the unembedding (V d) are left out, as is usual for N in scaling laws.

    Matrices start as normal numbers of standard deviation inputs^-1/2, those that write to the
    residual stream (V_l) divided by sqrt(2L), and the unembedding multiplied by 0.1.

    Examples
    --------
    >>> MLP(16).parameters
    4096
    """

    width: int
    layers: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 1:
            raise ValueError(f"MLP needs width and layers of at least 1, not {self.width} and {self.layers}")

    @property
    def parameters(self) -> int:
        """N, non-embedding parameters: 8 layers width^2."""
        return 8 * self.layers * self.width**2

    @property
    def learning_rate(self) -> float:
        """Learning rate that suits AdamW at this width: 0.32 / width."""
        return 0.32 / self.width

    @property
    def embedding_rate(self) -> float | None:
        """Learning rate of the embedding: None, that of the matrices."""
        return None

    @property
    def weight_decay(self) -> float:
        """Usual decay of weights: none."""
        return 0.0

    @property
    def decay_embedding(self) -> bool:
        """Whether the embedding decays like a matrix."""
        return True

    @property
    def batch_tokens(self) -> int:
        """Usual number of targets in one step."""
        return 1024

    @property
    def sites(self) -> dict[Kind, tuple[str, ...]]:
        """Names of the matrix products where each kind of tensor may be rounded; "head" is the unembedding."""
        products = (*(f"block{n}.{part}" for n in range(self.layers) for part in ("up", "down")), "head")
        matrices = ("embedding", *products)
        return {
            Kind.WEIGHTS: matrices,
            Kind.ACTIVATIONS: products,
            Kind.KV: (),
            Kind.GRADIENTS: products,
            Kind.ACCUMULATOR: products,
            Kind.MASTER: matrices,
        }

    def input_of(self, weight: str) -> str:
        """Name of the activations that are multiplied with this matrix: its own."""
        return weight

    def init(self, key: Array, vocabulary: int, context_length: int) -> Weights:
        """Draw the starting weights: a pytree of float32 arrays."""
        d, scale = self.width, (2 * self.layers) ** -0.5
        block = {
            "up": Normal((d, 4 * d), d**-0.5),
            "down": Normal((4 * d, d), (4 * d) ** -0.5 * scale),
        }
        plan = {
            "embedding": Normal((context_length, vocabulary, d), context_length**-0.5),
            "blocks": [block] * self.layers,
            "head": Normal((d, vocabulary), 0.1 * d**-0.5),
        }
        return draw(key, plan)

    def logits(self, params: Weights, tokens: Array, points: Points = EXACT) -> Array:
        """Unnormalized log-probabilities of the next token.

        Parameters
        ----------
        params : pytree
            From `init`.
        tokens : int array, shape (batch, context_length)
        points : Points
            How tensors are rounded on their way.

        Returns
        -------
        Array, shape (batch, vocabulary)
        """
        table = points.weights("embedding", params["embedding"])
        # a product with one-hot rows: its gradient is a product too, where a gather's is a slow scatter
        h = jnp.einsum("bkv,kvd->bd", jax.nn.one_hot(tokens, table.shape[1]), table)
        for n, block in enumerate(params["blocks"]):
            inner = jax.nn.gelu(linear(points, f"block{n}.up", rms_norm(h), block["up"]))
            h = h + linear(points, f"block{n}.down", inner, block["down"])
        return linear(points, "head", rms_norm(h), params["head"])
