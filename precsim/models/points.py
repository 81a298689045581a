"""Quantization points: the named places in a network where a number may be rounded on its way through.

A model knows *where* its numbers may be rounded and says so by name; a recipe knows *how*. Between
the two stands a `Points` value: one function for each kind of tensor, called with the name of the
matrix product it feeds and the tensor itself.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Kind(enum.Enum):
    """Kinds of tensor that a recipe can quantize."""

    WEIGHTS = "weights"  # a matrix, (inputs, outputs)
    ACTIVATIONS = "activations"  # what is multiplied with it, (…, inputs)
    KV = "kv"  # keys and values kept for later tokens, (batch, time, heads, width of a head)


class Points(NamedTuple):
    """How each kind of tensor is rounded; each function takes (name of the product, tensor)."""

    weights: Callable[[str, Array], Array]
    activations: Callable[[str, Array], Array]
    kv: Callable[[str, Array], Array]


def _unchanged(name: str, x: Array) -> Array:
    return x


#: No rounding anywhere.
EXACT = Points(_unchanged, _unchanged, _unchanged)


def linear(points: Points, name: str, x: Array, weight: Array) -> Array:
    """X @ weight with both sides rounded first: (…, inputs) and (inputs, outputs) give (…, outputs)."""
    return points.activations(name, x) @ points.weights(name, weight)


def map_weights(params: Any, change: Callable[[str, Array], Array]) -> Any:
    """The same pytree with each matrix replaced by ``change(name, matrix)``, names as in a model's `sites`."""

    def visit(path: tuple, matrix: Array) -> Array:
        steps = [step.key if isinstance(step, jax.tree_util.DictKey) else step.idx for step in path]
        return change(f"block{steps[1]}.{steps[2]}" if steps[0] == "blocks" else str(steps[0]), matrix)

    return jax.tree_util.tree_map_with_path(visit, params)


def chain(first: Points, then: Points) -> Points:
    """Round by `first`, and what it gives by `then`."""
    return Points(
        *(lambda name, x, f=f, g=g: g(name, f(name, x)) for f, g in zip(first, then, strict=True)),
    )


def rms_norm(x: Array) -> Array:
    """X over its root mean square along the last axis; no gain, which would fold into the next matrix."""
    return x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
