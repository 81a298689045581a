"""What a transformer's layers are made of besides their matrices: norms, gains, the size of embeddings."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from precsim.models.points import rms_norm

__all__ = ["FIRST_EDITION", "STANDARD", "Block", "Norm"]


class Norm(enum.Enum):
    """What a vector is divided by before a layer reads it."""

    RMS = "root mean square"
    LAYER = "standard deviation, after the mean is taken off"

    def __repr__(self) -> str:
        return f"Norm.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The parts of a transformer's layers that are no matrices.

    Parameters
    ----------
    norm : Norm
        RMSNorm, or LayerNorm without a bias.
    gains : bool
        Whether each norm has a trained gain for every channel, 1 at the start.
    embedding : float, optional
        Standard deviation of the embedding at the start; width^-1/2 if not given.
    query_key_norm : bool
        Whether queries and keys are divided by their root mean square, head by head, before they are turned; with
        gains if `gains`.

    Raises
    ------
    ValueError
        If `norm` is no `Norm`, or `embedding` is not positive.

    Notes
    -----
    `STANDARD` is what the field trains: RMSNorm with gains, embeddings of standard deviation width^-1/2.
    `FIRST_EDITION` has no gains and embeddings of unit variance: the network of the open table's first edition.

    References
    ----------
    RMSNorm: zhang2019. LayerNorm: ba2016. Norms of queries and keys: henry2020.

    Examples
    --------
    >>> FIRST_EDITION == Block(gains=False, embedding=1.0)
    True
    """

    norm: Norm = Norm.RMS
    gains: bool = True
    embedding: float | None = None
    query_key_norm: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.norm, Norm):
            raise ValueError(f"norm must be Norm.RMS or Norm.LAYER, not {self.norm!r}")
        if self.embedding is not None and not (math.isfinite(self.embedding) and self.embedding > 0):
            raise ValueError(f"embedding must be a positive standard deviation or None, not {self.embedding!r}")

    def normalized(self, x: Array, gain: Array | None) -> Array:
        """x as a layer reads it: over its size along the last axis, times the gain if there is one."""
        if self.norm is Norm.LAYER:
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = rms_norm(x)
        return x if gain is None else x * gain

    def starting_gains(self, width: int, head_width: int) -> dict[str, Array]:
        """Gains of one layer at the start, by name."""
        if not self.gains:
            return {}
        found = {"attention_gain": jnp.ones(width), "feed_gain": jnp.ones(width)}
        if self.query_key_norm:
            found |= {"query_gain": jnp.ones(head_width), "key_gain": jnp.ones(head_width)}
        return found


STANDARD = Block()
FIRST_EDITION = Block(gains=False, embedding=1.0)
