"""Languages: exact laws against closed forms, Monte Carlo and the frequencies of what is drawn."""

import itertools
import math

import jax
import numpy as np
import pytest
from scipy import stats

from precsim.training.languages import ZipfFacts, Zipfgram, entropy, exact, excess, sampling

SMALL = Zipfgram(order=2, seed=3, vocabulary=6)


def test_without_perturbation_the_entropy_is_that_of_zipfs_law():
    p = 1 / np.arange(1, 65) ** 1.3
    p /= p.sum()
    plain = Zipfgram(order=1, exponent=1.3, strength=0.0)
    assert entropy(plain) == pytest.approx(-np.sum(p * np.log(p)), rel=1e-12)


def test_stationary_law_of_contexts_against_an_eigenvector():
    law = exact(SMALL)
    V, S = 6, 36
    transition = np.zeros((S, S))
    for c, x in itertools.product(range(S), range(V)):
        transition[c, c % V * V + x] = law.conditional[c, x]
    values, vectors = np.linalg.eig(transition.T)
    vector = np.real(vectors[:, np.argmax(np.real(values))])
    np.testing.assert_allclose(law.contexts, vector / vector.sum(), atol=1e-12)


def test_rows_are_laws_and_equal_values_give_equal_tables():
    for language in (SMALL, ZipfFacts(vocabulary=5)):
        law = exact(language)
        np.testing.assert_allclose(law.conditional.sum(axis=1), 1, rtol=1e-12)
        assert law.contexts.sum() == pytest.approx(1, abs=1e-12)
        again = language.write_out()
        assert np.array_equal(law.conditional, again.conditional)
    assert not np.array_equal(exact(SMALL).conditional, exact(Zipfgram(order=2, seed=4, vocabulary=6)).conditional)


def test_entropy_rate_against_the_mean_surprise_of_drawn_text():
    language = Zipfgram(seed=1)
    table = sampling.tables(language)
    tokens = np.asarray(sampling.draw_sequences(language, table, jax.random.key(0), 400, 200))
    contexts = np.asarray(sampling.context_numbers(language, tokens))[:, :-1]
    surprise = -np.log(exact(language).conditional[contexts, tokens[:, 2:]])
    by_text = surprise.mean(axis=1)  # texts are independent, tokens within one are not
    z = (by_text.mean() - entropy(language)) / (by_text.std(ddof=1) / math.sqrt(len(by_text)))
    assert abs(z) < 4


@pytest.mark.parametrize("language", [SMALL, ZipfFacts(vocabulary=6, seed=2)])
def test_frequencies_of_drawn_pairs_against_the_exact_law(language):
    tokens, targets = sampling.draw_pairs(language, sampling.tables(language), jax.random.key(1), 400_000)
    contexts = np.asarray(sampling.context_numbers(language, tokens))[:, 0]
    law = exact(language)
    expected = law.contexts[:, None] * law.conditional * len(contexts)
    observed = np.zeros_like(expected)
    np.add.at(observed, (contexts, np.asarray(targets)), 1)
    enough = expected > 5
    chi2 = np.sum((observed[enough] - expected[enough]) ** 2 / expected[enough])
    assert stats.chi2.sf(chi2, enough.sum()) > 1e-4


def test_frequencies_inside_drawn_sequences_against_the_stationary_law():
    tokens = sampling.draw_sequences(SMALL, sampling.tables(SMALL), jax.random.key(2), 200_000, 7)
    last = np.asarray(sampling.context_numbers(SMALL, tokens))[:, -1]
    expected = exact(SMALL).contexts * len(last)
    observed = np.bincount(last, minlength=36)
    assert stats.chi2.sf(np.sum((observed - expected) ** 2 / expected), 35) > 1e-4


def test_context_numbers_and_tokens_are_inverse():
    tokens = sampling.all_contexts(SMALL)
    assert np.array_equal(sampling.context_numbers(SMALL, tokens)[:, 0], np.arange(36))
    assert sampling.draw_sequences(SMALL, sampling.tables(SMALL), jax.random.key(0), 3, 1).shape == (3, 1)


def test_excess_is_zero_for_the_language_itself_and_positive_for_any_other():
    law = exact(SMALL)
    assert excess(SMALL, np.log(law.conditional)) == pytest.approx(0, abs=1e-15)
    other = exact(Zipfgram(order=2, seed=9, vocabulary=6)).conditional
    assert excess(SMALL, np.log(other)) > 0
    with pytest.raises(ValueError, match=r"\(2, 6\).*\(36, 6\)"):
        excess(SMALL, np.zeros((2, 6)))


def test_tables_of_a_language_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        exact(SMALL).contexts[0] = 1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Zipfgram(order=0), "order.*at least 1.*0"),
        (lambda: Zipfgram(order=4), "2\\^27"),
        (lambda: Zipfgram(vocabulary=True), "vocabulary"),
        (lambda: Zipfgram(exponent=-1.0), "exponent.*-1.0"),
        (lambda: Zipfgram(strength=math.nan), "strength.*nan"),
        (lambda: ZipfFacts(tail=0.0), "tail.*0.0"),
        (lambda: ZipfFacts(seed=-1), "seed.*-1"),
        (lambda: ZipfFacts(vocabulary=1000), "512 or fewer"),
    ],
)
def test_impossible_languages_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
