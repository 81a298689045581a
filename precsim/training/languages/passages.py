"""Real text inside a compiled program: passages in random order, each once within a pass."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from precsim.training.languages.text import STRETCH, KingJames, characters, passages_in_a_stretch, stretches

_ROUNDS = 4  # of a Feistel network; four with a random round function are indistinguishable from random order
_NOISE = 2654435769  # 2^32 / golden ratio: spreads small numbers over all bits


class Book(NamedTuple):
    """A text on the device."""

    tokens: Array  # (characters,) uint8
    training: Array  # (stretches,) int32, where those for training begin
    held_out: Array  # (stretches,) int32


@functools.lru_cache(maxsize=1)
def book(language: KingJames) -> Book:
    """The text as device arrays."""
    return Book(
        jnp.asarray(characters()),
        jnp.asarray(stretches(held_out=False)),
        jnp.asarray(stretches(held_out=True)),
    )


def starts(where: Array, key: Array, first: Array | int, count: int, length: int, stride: int) -> Array:
    """Where passages number first to first + count begin, (count,) int32; numbers beyond one pass start the next.

    Parameters
    ----------
    where : Array
        Beginnings of the stretches to be read (of a `Book`).
    key
        Random key of the order.
    length : int
        Characters of a passage.
    stride : int
        Characters from the beginning of one to that of the next.
    """
    each = passages_in_a_stretch(length, stride)
    words = jax.random.bits(key, (2,), jnp.uint32)
    number = jnp.asarray(first, jnp.uint32) + jnp.arange(count, dtype=jnp.uint32)
    once = jnp.uint32(where.shape[0] * each)
    turn, number = number // once, number % once
    share = jnp.uint32(each)
    stretch, within = shuffled(number // share, number % share, where.shape[0], each, turn, words)
    begin = where[stretch.astype(jnp.int32)] + within.astype(jnp.int32) * stride
    # what is left over at the end of a stretch is left at its beginning in part, another part in each pass
    spare = jnp.uint32(STRETCH - (each - 1) * stride - length + 1)
    return begin + (_mixed(turn, words[0], 2 * _ROUNDS) % spare).astype(jnp.int32)


def read(text: Array, begin: Array, length: int) -> Array:
    """Tokens (…, length) int32 of the passages that begin there."""
    return text[begin[..., None] + jnp.arange(length)].astype(jnp.int32)


def shuffled(a: Array, b: Array, A: int, B: int, turn: Array, words: Array) -> tuple[Array, Array]:
    """A permutation of the pairs (a, b) with a < A and b < B, another one for each turn and each pair of words.

    Each half is moved round its circle by a hash of the other (a Feistel network), which can be undone, so no two
    pairs meet.
    """
    for n in range(_ROUNDS):
        a = (a + _mixed(b ^ _mixed(turn, words[0], n), words[0], 2 * n) % jnp.uint32(A)) % jnp.uint32(A)
        b = (b + _mixed(a ^ _mixed(turn, words[1], n), words[1], 2 * n + 1) % jnp.uint32(B)) % jnp.uint32(B)
    return a, b


def _mixed(value: Array, word: Array, salt: int) -> Array:
    """Hash of 32 bits: two rounds of multiply and shift, of value, word and salt."""
    h = (value + jnp.uint32(salt + 1)) * jnp.uint32(_NOISE) ^ word
    for factor in (0x85EBCA6B, 0xC2B2AE35):  # of MurmurHash3's last step
        h = (h ^ (h >> jnp.uint32(16))) * jnp.uint32(factor)
    return h ^ (h >> jnp.uint32(15))
