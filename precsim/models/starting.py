"""Starting weights: every matrix of a model from one draw of normal numbers, so that little has to be compiled."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Normal(NamedTuple):
    """A matrix of independent normal numbers to be: its shape and their standard deviation."""

    shape: tuple[int, ...]
    deviation: float


def draw(key: Array, plan: Any) -> Any:
    """The pytree of arrays that a pytree of `Normal` describes; float32."""
    wanted, structure = jax.tree.flatten(plan, is_leaf=lambda leaf: isinstance(leaf, Normal))
    sizes = [math.prod(one.shape) for one in wanted]
    numbers = jnp.split(jax.random.normal(key, (sum(sizes),)), [sum(sizes[:n]) for n in range(1, len(sizes))])
    arrays = [part.reshape(one.shape) * one.deviation for part, one in zip(numbers, wanted, strict=True)]
    return jax.tree.unflatten(structure, arrays)
