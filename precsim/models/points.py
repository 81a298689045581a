"""Quantization points: the named sites of a network where a number may be rounded on its way through.

A model knows *where* its numbers may be rounded and says so by name; a recipe knows *how*. Between
the two stands a `Points` value: one function for each kind of tensor, called with the name of the
matrix product it feeds and the tensor itself.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


class Kind(enum.Enum):
    """Kinds of tensor that a recipe can quantize."""

    WEIGHTS = "weights"  # a matrix, (inputs, outputs)
    ACTIVATIONS = "activations"  # what is multiplied with it, (…, inputs)
    KV = "kv"  # keys and values kept for later tokens, (batch, time, heads, width of a head)
    GRADIENTS = "gradients"  # derivative of the loss by a product, (tokens, outputs), on its way back
    ACCUMULATOR = "accumulator"  # partial sums of a product
    MASTER = "master"  # the copy of a matrix that the optimizer updates


GAIN = "_gain"  # how the names of gains end
#: The weights of a network: a pytree of float32 arrays, with "blocks" a list of such dicts, one for each block.
Weights = dict[str, Any]


class Points(NamedTuple):
    """How each kind of tensor is rounded; functions take (name of the product, tensor).

    `gradients` returns its argument and rounds what comes back through it; `multiply` takes (name, x, matrix)
    with x of shape (tokens, inputs). `carrier` is the type of the operands and results of products while
    training (None: float32). `products` takes (name, x, matrices) and carries out a product whose operands it rounds
    itself, in all three passes; it answers None for products that it leaves to the others. `attention` takes query,
    key and value, (batch, time, heads, width of a head), and gives what causal attention mixes of them.
    """

    weights: Callable[[str, Array], Array]
    activations: Callable[[str, Array], Array]
    kv: Callable[[str, Array], Array]
    gradients: Callable[[str, Array], Array]
    multiply: Callable[[str, Array, Array], Array] | None = None
    carrier: DTypeLike | None = None
    products: Callable[[str, Array, list[Array]], Array | None] | None = None
    attention: Callable[[Array, Array, Array], Array] | None = None


def _unchanged(name: str, x: Array) -> Array:
    return x


#: No rounding anywhere.
EXACT = Points(_unchanged, _unchanged, _unchanged, _unchanged)


def product(points: Points, name: str, x: Array, weight: Array) -> Array:
    """x @ weight as these points carry products out: (…, inputs) and (inputs, outputs) give (…, outputs).

    Tokens are laid out along one axis first, so that the gradient of the matrix is one plain product and
    nothing has to be transposed in memory.
    """
    flat = x.reshape(-1, x.shape[-1])
    if points.multiply is not None:
        result = points.multiply(name, flat, weight)
    elif points.carrier is None or name == "head":  # logits of few bits would spoil the loss
        result = flat @ weight
    else:
        result = (flat.astype(points.carrier) @ weight.astype(points.carrier)).astype(x.dtype)
    return points.gradients(name, result).reshape(*x.shape[:-1], weight.shape[-1])


def contract(points: Points, subscripts: str, a: Array, b: Array) -> Array:
    """`einsum` of two activations in the carrier of these points."""
    if points.carrier is None:
        return jnp.einsum(subscripts, a, b)
    return jnp.einsum(subscripts, a.astype(points.carrier), b.astype(points.carrier)).astype(a.dtype)


def linear(points: Points, name: str, x: Array, weight: Array) -> Array:
    """x @ weight with both sides rounded first: (…, inputs) and (inputs, outputs) give (…, outputs)."""
    return joined(points, name, x, {name: weight})


def joined(points: Points, name: str, x: Array, matrices: dict[str, Array]) -> Array:
    """Products of one input with several matrices as one: the input is read once, forward and back.

    (…, inputs) and matrices (inputs, outputs) by name give (…, all outputs), both sides rounded first.
    """
    if points.products is not None:
        flat = x.reshape(-1, x.shape[-1])
        result = points.products(name, flat, list(matrices.values()))
        if result is not None:
            return result.reshape(*x.shape[:-1], result.shape[-1])
    rounded = [points.weights(each, matrix) for each, matrix in matrices.items()]
    weight = rounded[0] if len(rounded) == 1 else jnp.concatenate(rounded, 1)
    return product(points, name, points.activations(name, x), weight)


def map_weights(params: Weights, change: Callable[[str, Array], Array]) -> Weights:
    """The same pytree with each matrix replaced by ``change(name, matrix)``, names as in a model's `sites`.

    Gains, which are no matrices, stay as they are.
    """

    def visit(path: tuple, matrix: Array) -> Array:
        steps = [step.key if isinstance(step, jax.tree_util.DictKey) else step.idx for step in path]
        if str(steps[-1]).endswith(GAIN):
            return matrix
        return change(f"block{steps[1]}.{steps[2]}" if steps[0] == "blocks" else str(steps[0]), matrix)

    return jax.tree_util.tree_map_with_path(visit, params)


def chain(first: Points, then: Points) -> Points:
    """Round by `first`, and what it gives by `then`; products are carried out as `then` says, if it does."""

    def both(f: Callable[[str, Array], Array], g: Callable[[str, Array], Array]) -> Callable[[str, Array], Array]:
        return lambda name, x: g(name, f(name, x))

    return Points(
        both(first.weights, then.weights),
        both(first.activations, then.activations),
        both(first.kv, then.kv),
        both(first.gradients, then.gradients),
        then.multiply or first.multiply,
        then.carrier or first.carrier,
        then.products or first.products,
        then.attention or first.attention,
    )


def rms_norm(x: Array) -> Array:
    """x over its root mean square along the last axis; no gain, which would fold into the next matrix."""
    return x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


class Normal(NamedTuple):
    """A matrix of independent normal numbers to be: its shape and their standard deviation."""

    shape: tuple[int, ...]
    deviation: float


def draw(key: Array, plan: dict) -> Weights:
    """The pytree of arrays that a pytree of `Normal` describes; float32."""
    wanted, structure = jax.tree.flatten(plan, is_leaf=lambda leaf: isinstance(leaf, Normal))
    sizes = [math.prod(one.shape) for one in wanted]
    numbers = jnp.split(jax.random.normal(key, (sum(sizes),)), [sum(sizes[:n]) for n in range(1, len(sizes))])
    arrays = [part.reshape(one.shape) * one.deviation for part, one in zip(numbers, wanted, strict=True)]
    return jax.tree.unflatten(structure, arrays)
