"""Real text: what a model reads when nobody knows the law behind it, so that its entropy is unknown too."""

from __future__ import annotations

import bz2
import functools
import hashlib
import importlib.resources
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALPHABET", "STRETCH", "KingJames", "characters", "stretches"]

#: The characters of the book (all but X occur), in the order of their token numbers.
ALPHABET = "\n !'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
STRETCH = 4096  # characters of one stretch of text; a stretch is for training or held out, as a whole
_EVERY = 16  # one stretch of so many is held out
_FIRST = 7  # the first one held out: past the opening of Genesis
_SHA256 = "b5c4940bcfeee072c0935b5200d0f9d88a00a0199cb0961d16133458fcdfae5d"
_MOST_PASSES = 500  # keeps positions of all passes below 2^31


@dataclass(frozen=True, slots=True, kw_only=True)
class KingJames:
    """The King James Bible (1611, in the spelling of 1769), character by character: 64 symbols, one verse a line.

    The text is cut into stretches of 4,096 characters. Every 16th is held out for evaluation; nothing of it is read in
    training, not even as context. The rest is read in random order without replacement: within one pass, each
    training position is a target at most once. The entropy of English is not known, so a run records entropy and gap
    as NaN, and as its loss the cross-entropy of the held-out characters that are really there.

    Parameters
    ----------
    passes : int
        How often training may read the text, at most; a job that needs more is refused, because a text read many
        times is no longer the same as fresh data. From 1 to 500.
    context : int
        Characters that an `MLP` reads before the one it predicts, from 1 to 64. A `Transformer` reads its window.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Notes
    -----
    4,137,850 characters, of which 3,878,912 are in training stretches and 258,048 in held-out ones (the last 890
    belong to neither). Formulas and verses that the book repeats may stand in both. Windows of a Transformer do not
    overlap within a pass; where they begin changes from pass to pass.

    In the public domain in most countries; in the United Kingdom printing it is a privilege of the Crown. The file is
    the text of Debian's package bible-kjv-text without the numbers of the verses (``data/SOURCES.md``).

    Examples
    --------
    >>> KingJames().vocabulary, KingJames(passes=2).positions(64)
    (64, 7636608)
    """

    passes: int = 1
    context: int = 6

    def __post_init__(self) -> None:
        for name, most in (("passes", _MOST_PASSES), ("context", 64)):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"{name} must be an integer from 1 to {most}, not {value!r}")

    @property
    def vocabulary(self) -> int:
        """64: the symbols of `ALPHABET`."""
        return len(ALPHABET)

    @property
    def context_length(self) -> int:
        """Characters that a model of single contexts is given."""
        return self.context

    @property
    def successive(self) -> bool:
        """True: it can be read as long sequences."""
        return True

    @property
    def seed(self) -> int:
        """0: there is one such text."""
        return 0

    def positions(self, window: int | None = None) -> int:
        """Targets on offer in all passes: to a model of single contexts, or to one that reads windows.

        Raises
        ------
        ValueError
            If a window does not fit into a stretch.
        """
        before = self.context if window is None else 1
        stride = window or 1
        return self.passes * len(stretches(held_out=False)) * passages_in_a_stretch(before + stride, stride) * stride

    def check(self, tokens: int, window: int | None = None) -> None:
        """Refuse a number of training tokens that the stated passes do not hold.

        Raises
        ------
        ValueError
            Naming the passes that would be needed.
        """
        once = self.positions(window) // self.passes
        if tokens > self.passes * once:
            needed = math.ceil(tokens / once)
            advice = f"allow it by passes={needed}" if needed <= _MOST_PASSES else f"at most {_MOST_PASSES} are allowed"
            raise ValueError(
                f"{tokens} training tokens would read the text {needed} times, and passes={self.passes} was asked for "
                f"(one pass has {once} positions); {advice}"
            )


def passages_in_a_stretch(length: int, stride: int) -> int:
    """Passages of this length, so far apart, that one stretch holds.

    Raises
    ------
    ValueError
        If it holds none.
    """
    if not 1 <= length <= STRETCH:
        raise ValueError(f"passages of {length} characters do not fit into stretches of {STRETCH} of the text")
    return (STRETCH - length) // stride + 1


@functools.lru_cache(maxsize=1)
def characters() -> NDArray[np.uint8]:
    """The book as token numbers, (4137850,), read-only.

    Raises
    ------
    ValueError
        If the file in the package is not the text that results are known for.

    Examples
    --------
    >>> "".join(ALPHABET[token] for token in characters()[:31])
    'In the beginning God created th'
    """
    packed = importlib.resources.files("precsim").joinpath("data", "king_james.txt.bz2").read_bytes()
    text = bz2.decompress(packed)
    if (found := hashlib.sha256(text).hexdigest()) != _SHA256:
        raise ValueError(f"king_james.txt.bz2 holds another text (sha256 {found}, not {_SHA256}); install again")
    numbers = np.zeros(256, np.uint8)
    numbers[list(ALPHABET.encode())] = np.arange(len(ALPHABET))
    tokens = numbers[np.frombuffer(text, np.uint8)]
    tokens.flags.writeable = False
    return tokens


def stretches(*, held_out: bool) -> NDArray[np.int32]:
    """Where the stretches of one part begin, in characters.

    Examples
    --------
    >>> len(stretches(held_out=False)), len(stretches(held_out=True))
    (947, 63)
    """
    number = np.arange(len(characters()) // STRETCH, dtype=np.int32)
    chosen = number % _EVERY == _FIRST
    return STRETCH * number[chosen if held_out else ~chosen]
