"""What the models read: languages whose next-token probabilities are known exactly, and one real text.

A synthetic language is a law p(next token | context) over a small vocabulary, with a law of the
contexts themselves. Both are tables, so three things are exact that real text leaves unknown: the
entropy rate E (the best loss any model can reach), the excess loss of a model (its
Kullback-Leibler divergence from the language), and the number of tokens on offer (no end of them,
drawn inside the compiled training program). Languages are frozen values; the same value gives the
same tables on every machine. `KingJames` is real text, of which only the characters are known.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precsim.training.languages.text import KingJames

__all__ = ["Exact", "KingJames", "Language", "Synthetic", "ZipfFacts", "Zipfgram", "entropy", "exact", "excess"]

_SWEEPS = 500  # power iteration; a positive chain over 64 symbols mixes in a few dozen


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """A language written out: how often each context occurs, and what follows it.

    Attributes
    ----------
    contexts : ndarray, shape (S,)
        Probability of each context; sums to 1. Context number c reads, in base V, as its tokens,
        the oldest first.
    conditional : ndarray, shape (S, V)
        Probability of each next token given the context; rows sum to 1.
    entropy : float
        Entropy rate, sum_c contexts[c] H(conditional[c]) [nats/token].
    """

    contexts: NDArray[np.float64]
    conditional: NDArray[np.float64]
    entropy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Zipfgram:
    """Markov language of a given order: Zipf's law, perturbed by every shorter context.

    log p(x | last K tokens) = -s log(rank of x) + b sum_k G_k[last k tokens, x] - log Z, with k from
    1 to K and every G_k a table of independent standard normal numbers. The tables have V^(K+1)
    entries, so a larger model has more to learn, at every scale of frequency.

    Parameters
    ----------
    order : int
        K, tokens of context, at least 1; the tables of orders above 3 do not fit in memory.
    seed : int
        Draws the tables G.
    vocabulary : int
        V, number of symbols.
    exponent : float
        s, exponent of Zipf's law, at least 0.
    strength : float
        b, standard deviation of each perturbation [nats], at least 0.

    Raises
    ------
    ValueError
        If a parameter is outside its range, or the table would have more than 2^27 entries.

    Notes
    -----
    The law of contexts is the stationary law of the chain, by power iteration to a change below
    1e-13 in total variation.

    Examples
    --------
    >>> coin = Zipfgram(order=1, vocabulary=2, exponent=0.0, strength=0.0)
    >>> exact(coin).entropy  # a fair coin: log 2
    0.6931471805599453
    """

    order: int = 2
    seed: int = 0
    vocabulary: int = 64
    exponent: float = 1.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        _at_least("order", self.order, 1)
        _at_least("seed", self.seed, 0)
        _at_least("vocabulary", self.vocabulary, 2)
        _not_negative("exponent", self.exponent)
        _not_negative("strength", self.strength)
        if self.vocabulary ** (self.order + 1) > 2**27:
            raise ValueError(
                f"a Zipfgram of order {self.order} over {self.vocabulary} symbols needs "
                f"{self.vocabulary}^{self.order + 1} probabilities; keep that at most 2^27 "
                "(order 3 at 64 symbols has 2^24)"
            )

    @property
    def context_length(self) -> int:
        """Tokens that the next one depends on."""
        return self.order

    @property
    def successive(self) -> bool:
        """True: contexts overlap, so the language can be read as one long sequence."""
        return True

    def write_out(self) -> Exact:
        """Compute the tables of this language (see `exact`, which keeps them)."""
        rng = np.random.default_rng(self.seed)
        V, K = self.vocabulary, self.order
        logits = np.broadcast_to(-self.exponent * np.log(np.arange(1, V + 1)), (V,) * (K + 1)).copy()
        for k in range(1, K + 1):  # G_k broadcasts over the K - k older tokens
            logits += self.strength * rng.standard_normal((V,) * (k + 1))
        conditional = _softmax(logits.reshape(V**K, V))
        contexts = _stationary(conditional, V)
        return Exact(contexts, conditional, _entropy(contexts, conditional))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipfFacts:
    """Facts to be learned by heart: a two-token key, drawn with a power law, has its own law of answers.

    Key number k (a random permutation of the V^2 keys) is drawn with probability proportional to
    k^-(1 + tail); p(answer | key) is the softmax of V independent normal numbers with standard
    deviation `spread`. Nothing generalizes from one key to the next, so the loss falls as a clean
    power of N and of D, with exponents near `tail`.

    Parameters
    ----------
    seed : int
        Draws the answers and the order of the keys.
    vocabulary : int
        V, number of symbols.
    tail : float
        Positive; a larger tail leaves less to the rare keys.
    spread : float
        Standard deviation of the logits [nats], at least 0.

    Raises
    ------
    ValueError
        If a parameter is outside its range.

    Examples
    --------
    >>> facts = exact(ZipfFacts(seed=1))
    >>> facts.conditional.shape, round(float(facts.contexts.max()), 4)
    ((4096, 64), 0.3874)
    """

    seed: int = 0
    vocabulary: int = 64
    tail: float = 0.5
    spread: float = 2.0

    def __post_init__(self) -> None:
        _at_least("seed", self.seed, 0)
        _at_least("vocabulary", self.vocabulary, 2)
        _not_negative("spread", self.spread)
        if not (math.isfinite(self.tail) and self.tail > 0):
            raise ValueError(f"tail must be a positive number, not {self.tail!r}; 0.5 is the usual choice")
        if self.vocabulary**3 > 2**27:
            raise ValueError(f"vocabulary {self.vocabulary} needs {self.vocabulary}^3 probabilities; use 512 or fewer")

    @property
    def context_length(self) -> int:
        """2: the next token depends on the two tokens of its key."""
        return 2

    @property
    def successive(self) -> bool:
        """False: each key is drawn anew, so there is no long sequence to read."""
        return False

    def write_out(self) -> Exact:
        """Compute the tables of this language (see `exact`, which keeps them)."""
        rng = np.random.default_rng(self.seed)
        keys = self.vocabulary**2
        frequency = np.arange(1, keys + 1, dtype=float) ** -(1.0 + self.tail)
        contexts = (frequency / frequency.sum())[rng.permutation(keys)]
        conditional = _softmax(self.spread * rng.standard_normal((keys, self.vocabulary)))
        return Exact(contexts, conditional, _entropy(contexts, conditional))


Synthetic = Zipfgram | ZipfFacts
Language = Synthetic | KingJames


@functools.lru_cache(maxsize=4)
def exact(language: Language) -> Exact:
    """Tables of a language: probability of each context and of each token after it; kept for the last few languages.

    Parameters
    ----------
    language : Zipfgram or ZipfFacts

    Returns
    -------
    Exact
        ``contexts`` (S,), ``conditional`` (S, V) and ``entropy`` [nats/token], read-only arrays.

    Raises
    ------
    ValueError
        If the language is real text, whose law nobody knows.
    """
    if isinstance(language, KingJames):
        raise ValueError("the law of real text is not known; tables are for Zipfgram and ZipfFacts")
    tables = language.write_out()
    tables.contexts.flags.writeable = False
    tables.conditional.flags.writeable = False
    return tables


def unseeded(language: Language) -> Language:
    """The language of this kind with seed 0: what languages that differ in their seed alone have in common."""
    return language if isinstance(language, KingJames) else replace(language, seed=0)


def entropy(language: Language) -> float:
    """Entropy rate of a language, E [nats/token]: no model reads it with a lower loss. NaN for real text: unknown.

    Examples
    --------
    >>> entropy(Zipfgram(order=1, vocabulary=2, exponent=0.0, strength=0.0))
    0.6931471805599453
    """
    return math.nan if isinstance(language, KingJames) else exact(language).entropy


def excess(language: Language, log_probabilities: NDArray) -> float:
    """Kullback-Leibler divergence of a model from the language [nats/token]: its loss above the entropy.

    Parameters
    ----------
    language : Zipfgram or ZipfFacts
    log_probabilities : array_like, shape (S, V)
        The model's log p(next token | context), one row per context, in the order of `exact`.

    Returns
    -------
    float
        sum_c p(c) sum_x p(x|c) (log p(x|c) - log_probabilities[c, x]); at least 0.

    Raises
    ------
    ValueError
        If the shape does not match the language's tables.

    Examples
    --------
    >>> coin = Zipfgram(order=1, vocabulary=2, exponent=0.0, strength=0.0)
    >>> round(excess(coin, np.log([[0.9, 0.1], [0.5, 0.5]])), 4)  # half of KL(0.5 || 0.9)
    0.2554
    """
    tables = exact(language)
    model = np.asarray(log_probabilities, dtype=np.float64)
    if model.shape != tables.conditional.shape:
        raise ValueError(f"log_probabilities has shape {model.shape}; this language needs {tables.conditional.shape}")
    divergence = np.sum(tables.conditional * (np.log(tables.conditional) - model), axis=1)
    return float(tables.contexts @ divergence)


def _stationary(conditional: NDArray, V: int) -> NDArray:
    """Stationary law of contexts, by power iteration: drop the oldest token, append the next."""
    S = len(conditional)
    step = conditional.reshape(V, S // V, V)
    law, change = np.full(S, 1.0 / S), np.inf
    for _ in range(_SWEEPS):
        new = np.einsum("ac,acx->cx", law.reshape(V, S // V), step).reshape(S)
        new /= new.sum()
        change = 0.5 * np.abs(new - law).sum()
        law = new
        if change < 1e-13:
            return law
    raise ValueError(f"power iteration has not converged after {_SWEEPS} sweeps (last change {change:.1e})")


def _softmax(logits: NDArray) -> NDArray:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _entropy(contexts: NDArray, conditional: NDArray) -> float:
    # strong perturbations may underflow a probability to 0, which contributes nothing
    safe = np.where(conditional > 0, conditional, 1.0)
    return float(contexts @ -np.sum(conditional * np.log(safe), axis=1))


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")
