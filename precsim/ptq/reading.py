"""What a trained model is examined on: all contexts, or held-out text; and its divergence there, unit by unit."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim import _sampling
from precsim.languages import Language, exact
from precsim.models import MLP, Model, Points

_WARM = 8  # positions from here on see the whole context of every language offered (order at most 3)
_BLOCK = 4096  # positions evaluated at a time, which bounds the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Held-out text for models that read sequences; never drawn in training.

    Models that read single contexts need none: all contexts are enumerated, weighted by their probability.
    """

    sequences: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sequences < 2:
            raise ValueError(f"a standard error needs at least 2 sequences, not {self.sequences}")


@functools.lru_cache(maxsize=4)
def held_out(model: Model, language: Language, sample: Sample) -> tuple[Array, Array]:
    """Tokens and the language's own probabilities, in blocks: (blocks, units, tokens), (blocks, units, …, V)."""
    table = _sampling.tables(language)
    if isinstance(model, MLP):
        tokens, teacher = _sampling.all_contexts(language), table.conditional
        count = math.gcd(len(tokens), _BLOCK)
    else:
        tokens, teacher = _sequences(language, sample.sequences, model.window, table, np.uint32(sample.seed))
        count = math.gcd(len(tokens), max(1, _BLOCK // model.window))
    return tokens.reshape(-1, count, *tokens.shape[1:]), teacher.reshape(-1, count, *teacher.shape[1:])


def importance(model: Model, language: Language, sample: Sample) -> np.ndarray:
    """Share of each unit (context or sequence) in the mean, (units,); sums to 1."""
    if isinstance(model, MLP):
        return exact(language).contexts
    return np.full(sample.sequences, 1.0 / sample.sequences)


def divergence(model: Model, params: Any, points: Points, part: tuple[Array, Array]) -> Array:
    """KL(language || model) of each unit of one block of text, (units,) [nats/token]."""
    tokens, teacher = part
    student = jax.nn.log_softmax(model.logits(params, tokens, points))
    if not isinstance(model, MLP):
        student = student[:, _WARM:]
    sure = jnp.where(teacher > 0, teacher, 1.0)  # 0 log 0 = 0
    return jnp.sum(teacher * (jnp.log(sure) - student), axis=-1).reshape(tokens.shape[0], -1).mean(axis=1)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sequences(
    language: Language, count: int, window: int, table: _sampling.Tables, seed: Array
) -> tuple[Array, Array]:
    key = jax.random.fold_in(jax.random.key(seed), 2**31)  # training folds in 0 to 2 only
    tokens = _sampling.draw_sequences(language, table, key, count, window)
    contexts = _sampling.context_numbers(language, tokens)[:, _WARM - language.context_length + 1 :]
    return tokens, table.conditional[contexts]
