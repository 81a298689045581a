"""Tokens of a language, drawn inside a compiled program: the JAX side of `precsim.training.languages.synthetic`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.training.languages import passages
from precsim.training.languages.synthetic import KingJames, Language, Synthetic, exact


class Tables(NamedTuple):
    """A language on the device: what sampling and exact evaluation read.

    Cumulative laws are integers out of 2^32, so that a draw is a comparison of integers: a probability
    is off by at most 2^-32, where float32 would be off by 2^-24.
    """

    context_cdf: Array  # (S,) uint32, law of contexts
    next_cdf: Array  # (S, V) uint32, law of the next token
    contexts: Array  # (S,) float32
    conditional: Array  # (S, V) float32


Source = Tables | passages.Book


def shelf(languages: tuple[Language, ...]) -> Source:
    """What batches of languages that differ in their seed alone are made from, on the device: tables or a text."""
    first = languages[0]
    return passages.book(first) if isinstance(first, KingJames) else _shelf(languages)


def taken(shelf: Source, which: Array) -> Source:
    """One language of a shelf; the text is the same for all."""
    if isinstance(shelf, passages.Book):
        return shelf
    rows: Any = _Rows(shelf.next_cdf, which)
    return Tables(shelf.context_cdf[which], rows, shelf.contexts[which], shelf.conditional[which])


def batch(
    language: Language, source: Source, key: Array, step: Array, count: int, window: int | None = None
) -> tuple[Array, Array]:
    """What one training step reads, and the token after each position that counts.

    With a window, `count` sequences and their next tokens, both (count, window); without one, `count` contexts
    (count, K) and targets (count,). A synthetic language is drawn anew at each step; a text is read on.
    """
    if isinstance(source, passages.Book):
        assert isinstance(language, KingJames)
        number = jnp.asarray(step, jnp.uint32) * jnp.uint32(count)
        length = (window or language.context) + 1
        read = passages.read(
            source.tokens, passages.starts(source.training, key, number, count, length, window or 1), length
        )
        return (read[:, :-1], read[:, -1]) if window is None else (read[:, :-1], read[:, 1:])
    assert not isinstance(language, KingJames)
    key = jax.random.fold_in(key, step)
    if window is None:
        return draw_pairs(language, source, key, count)
    tokens = draw_sequences(language, source, key, count, window + 1)
    return tokens[:, :-1], tokens[:, 1:]


@functools.lru_cache(maxsize=4)
def tables(language: Synthetic) -> Tables:
    """The language's tables as device arrays, kept for the last few languages."""
    law = exact(language)
    return Tables(
        jnp.asarray(_integer_cdf(law.contexts)),
        jnp.asarray(_integer_cdf(law.conditional)),
        jnp.asarray(law.contexts, jnp.float32),
        jnp.asarray(law.conditional, jnp.float32),
    )


@functools.lru_cache(maxsize=2)
def _shelf(languages: tuple[Synthetic, ...]) -> Tables:
    """Tables of several languages, stacked along a new first axis."""
    every = [tables(language) for language in languages]
    nothing = jnp.zeros((len(every), 0))  # only evaluation reads the probabilities themselves
    first, after, contexts = (jnp.stack(column) for column in zip(*(each[:3] for each in every), strict=True))
    return Tables(first, after, contexts, nothing)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one language of a shelf; picked together with the context, so that no table is copied."""

    every: Array
    which: Array

    def __getitem__(self, context: Array) -> Array:
        return self.every[self.which, context]


def draw_pairs(language: Synthetic, table: Tables, key: Array, count: int) -> tuple[Array, Array]:
    """Draw `count` independent (context, next token) pairs: tokens (count, K) and targets (count,), int32."""
    first, second = jax.random.split(key)
    context = _draw_context(table, first, (count,))
    target = _draw_next(table, jax.random.bits(second, (count,), jnp.uint32), context)
    return _tokens(language, context), target


def draw_sequences(language: Synthetic, table: Tables, key: Array, count: int, length: int) -> Array:
    """Draw `count` stretches of the stationary chain, tokens (count, length) int32."""
    V, K, S = language.vocabulary, language.context_length, table.contexts.shape[0]
    first, second = jax.random.split(key)
    context = _draw_context(table, first, (count,))
    if length <= K:
        return _tokens(language, context)[:, :length]

    def append(context: Array, noise: Array) -> tuple[Array, Array]:
        token = _draw_next(table, noise, context)
        return (context * V + token) % S, token

    _, later = jax.lax.scan(append, context, jax.random.bits(second, (length - K, count), jnp.uint32))
    return jnp.concatenate([_tokens(language, context), later.T], axis=1)


def context_numbers(language: Synthetic, tokens: Array) -> Array:
    """Number of the context that ends at each position >= K - 1: (…, T) -> (…, T - K + 1)."""
    V, K = language.vocabulary, language.context_length
    length = tokens.shape[-1] - K + 1
    number = jnp.zeros((*tokens.shape[:-1], length), jnp.int32)
    for k in range(K):
        number = number * V + tokens[..., k : k + length]
    return number


def all_contexts(language: Synthetic) -> Array:
    """Every context's tokens, (S, K) int32, in the order of the tables."""
    V, K = language.vocabulary, language.context_length
    return jnp.asarray(np.indices((V,) * K, dtype=np.int32).reshape(K, -1).T)


def _tokens(language: Synthetic, context: Array) -> Array:
    V, K = language.vocabulary, language.context_length
    return jnp.stack([context // V ** (K - 1 - k) % V for k in range(K)], axis=-1)


def _draw_context(table: Tables, key: Array, shape: tuple[int, ...]) -> Array:
    noise = jax.random.bits(key, shape, jnp.uint32)
    return jnp.searchsorted(table.context_cdf[:-1], noise, side="right").astype(jnp.int32)


def _draw_next(table: Tables, noise: Array, context: Array) -> Array:
    # number of thresholds passed; the last threshold is the certain event and is left out
    rows = table.next_cdf[context]
    return jnp.sum(noise[:, None] >= rows[:, :-1], axis=-1, dtype=jnp.int32)


def _integer_cdf(law: np.ndarray) -> np.ndarray:
    cdf = np.cumsum(law, axis=-1)
    cdf /= cdf[..., -1:]
    return np.minimum(np.floor(cdf * 2.0**32), 2.0**32 - 1).astype(np.uint32)
