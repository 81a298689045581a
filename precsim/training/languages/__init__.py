"""What the models read: languages whose entropy is known exactly, and real text.

`Zipfgram` (a Markov chain), `ZipfFacts` (pairs to be learned by heart) and `KingJames` are values; ``sampling`` draws
from the first two inside a compiled program, ``passages`` cuts the third.
"""

from precsim.training.languages.synthetic import (
    Exact,
    KingJames,
    Language,
    Synthetic,
    ZipfFacts,
    Zipfgram,
    entropy,
    exact,
    excess,
)
from precsim.training.languages.text import ALPHABET, STRETCH, characters, stretches

__all__ = [
    "ALPHABET",
    "STRETCH",
    "Exact",
    "KingJames",
    "Language",
    "Synthetic",
    "ZipfFacts",
    "Zipfgram",
    "characters",
    "entropy",
    "exact",
    "excess",
    "stretches",
]
