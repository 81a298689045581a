"""What a trained model is examined on: all contexts, or held-out text; and its divergence there, unit by unit."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.models import MLP, Model, Points, Weights
from precsim.training.languages import passages, sampling
from precsim.training.languages.synthetic import KingJames, Language, Synthetic, exact
from precsim.training.languages.text import passages_in_a_stretch

_WARM = 8  # positions from here on see the whole context of every language offered (order at most 3)
_STRIDE = 64  # positions of one unit of real text, for models that read single contexts
_BLOCK = 4096  # positions evaluated at a time, which bounds the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Held-out text: sequences that are never read in training.

    Models that read single contexts of a synthetic language need none: all contexts are enumerated, weighted by their
    probability. Of real text they read every position of sequences of 64 characters.
    """

    sequences: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sequences < 2:
            raise ValueError(f"a standard error needs at least 2 sequences, not {self.sequences}")


@functools.lru_cache(maxsize=4)
def held_out(model: Model, language: Language, sample: Sample) -> tuple[Array, Array]:
    """Tokens and the language's own probabilities, in blocks: (blocks, units, …, tokens), (blocks, units, …, V).

    The law of real text is not known; the character that is there stands for it, with probability 1.

    Raises
    ------
    ValueError
        If the held-out part of a real text has fewer sequences.
    """
    if isinstance(language, KingJames):
        tokens, teacher = _passage(model, language, sample)
        count = math.gcd(len(tokens), max(1, _BLOCK // teacher.shape[1]))
        return tokens.reshape(-1, count, *tokens.shape[1:]), teacher.reshape(-1, count, *teacher.shape[1:])
    table = sampling.tables(language)
    if isinstance(model, MLP):
        tokens, teacher = sampling.all_contexts(language), table.conditional
        count = math.gcd(len(tokens), _BLOCK)
    else:
        tokens, teacher = _sequences(language, sample.sequences, model.window, table, np.uint32(sample.seed))
        count = math.gcd(len(tokens), max(1, _BLOCK // model.window))
    return tokens.reshape(-1, count, *tokens.shape[1:]), teacher.reshape(-1, count, *teacher.shape[1:])


def importance(model: Model, language: Language, sample: Sample) -> np.ndarray:
    """Share of each unit (context or sequence) in the mean, (units,); sums to 1."""
    if enumerated(model, language):
        return exact(language).contexts
    return np.full(sample.sequences, 1.0 / sample.sequences)


def enumerated(model: Model, language: Language) -> bool:
    """Whether the units are all contexts there are, so that a mean over them has no error of sampling."""
    return isinstance(model, MLP) and not isinstance(language, KingJames)


def divergence(model: Model, params: Weights, points: Points, part: tuple[Array, Array]) -> Array:
    """KL(language || model) of each unit of one block of text, (units,) [nats/token]; cross-entropy if it is real."""
    tokens, teacher = part
    if isinstance(model, MLP):  # a unit of real text holds several contexts
        student = model.logits(params, tokens.reshape(-1, tokens.shape[-1]), points).reshape(teacher.shape)
    else:
        student = model.logits(params, tokens, points)[:, _WARM:]
    student = jax.nn.log_softmax(student)
    sure = jnp.where(teacher > 0, teacher, 1.0)  # 0 log 0 = 0
    return jnp.sum(teacher * (jnp.log(sure) - student), axis=-1).reshape(tokens.shape[0], -1).mean(axis=1)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sequences(
    language: Synthetic, count: int, window: int, table: sampling.Tables, seed: Array
) -> tuple[Array, Array]:
    key = jax.random.fold_in(jax.random.key(seed), 2**31)  # training folds in 0 to 2 only
    tokens = sampling.draw_sequences(language, table, key, count, window)
    contexts = sampling.context_numbers(language, tokens)[:, _WARM - language.context_length + 1 :]
    return tokens, table.conditional[contexts]


def _passage(model: Model, language: KingJames, sample: Sample) -> tuple[Array, Array]:
    """Held-out sequences and what comes next in them, as probabilities 0 and 1."""
    source = passages.book(language)
    window = _STRIDE if isinstance(model, MLP) else model.window
    before = language.context if isinstance(model, MLP) else 1
    if sample.sequences > (most := len(source.held_out) * passages_in_a_stretch(before + window, window)):
        raise ValueError(f"the held-out text has {most} sequences of {window} characters, not {sample.sequences}")
    key = jax.random.fold_in(jax.random.key(np.uint32(sample.seed)), 2**31)
    begin = passages.starts(source.held_out, key, 0, sample.sequences, before + window, window)
    if isinstance(model, MLP):
        read = passages.read(source.tokens, begin[:, None] + jnp.arange(window), before + 1)
        return read[..., :-1], jax.nn.one_hot(read[..., -1], language.vocabulary)
    read = passages.read(source.tokens, begin, window + 1)
    return read[:, :-1], jax.nn.one_hot(read[:, 1 + _WARM :], language.vocabulary)
