"""Sums that are cut, against chains added by hand and against the simulator of a GPU's unit."""

import numpy as np
import pytest

import precsim as ps
from precsim.numerics.named_units import H100_FP8
from precsim.symbolic import truncation


def chain(terms: np.ndarray, bits: int) -> np.ndarray:
    """Sums along the last axis; each term is cut toward zero to the last place that the sum has, as a unit does."""
    total = np.zeros(terms.shape[:-1])
    for n in range(terms.shape[-1]):
        largest = np.maximum(np.abs(total), np.abs(terms[..., n]))
        place = 2.0 ** (np.floor(np.log2(largest)) - bits)
        total = np.trunc(total / place) * place + np.trunc(terms[..., n] / place) * place
    return total


@pytest.mark.parametrize("K", [1024, 3000])
def test_bias_of_products_of_one_sign(K):
    terms = np.random.default_rng(0).uniform(0.5, 1.5, (400, K))
    exact = terms.sum(axis=1)
    significand = exact.mean() / 2 ** np.floor(np.log2(exact.mean()))
    letters = {truncation.f: 16, truncation.K: K, truncation.m: significand}
    said = float(truncation.bias_of_equal_signs().subs(letters))
    assert (chain(terms, 16) / exact - 1).mean() == pytest.approx(said, rel=0.02)
    assert abs(said) <= float(truncation.worst_bias().subs({truncation.f: 16, truncation.K: K}))


def test_the_worst_bias_is_three_sixteenths_of_the_products_times_the_last_bit():
    letters = {truncation.f: 13, truncation.K: 4096}
    assert float(truncation.worst_bias().subs(letters)) == pytest.approx(3 / 16 * 4096 * 2**-13)
    found = [float(truncation.bias_of_equal_signs().subs(letters | {truncation.m: m})) for m in np.linspace(1, 2, 101)]
    assert -min(found) == pytest.approx(3 / 16 * 4096 * 2**-13, rel=1e-4)


def test_a_unit_of_the_hardware_stays_within_it():
    """Coarse products lose nothing until the last place passes theirs, so that an H100's bias is less."""
    from precsim.numerics.arithmetic import Chain, matmul

    rng = np.random.default_rng(1)
    a, b = (
        ps.round_to(np.abs(rng.standard_normal(s)).astype(np.float32), ps.FP8_E4M3) for s in ((64, 4096), (4096, 4))
    )
    exact = a.astype(float) @ b.astype(float)
    bias = float((matmul(a, b, H100_FP8, chain=Chain()) / exact - 1).mean())
    worst = float(truncation.worst_bias().subs({truncation.f: 13, truncation.K: 4096}))
    assert -worst < bias < -0.5 * worst


@pytest.mark.parametrize("K", [512, 2048])
def test_spread_of_products_of_random_sign(K):
    terms = np.random.default_rng(2).standard_normal((1000, K))
    error = np.sqrt(((chain(terms, 16) - terms.sum(axis=1)) ** 2).mean()) / np.sqrt(K)
    said = float(truncation.spread_of_random_signs().subs({truncation.f: 16, truncation.K: K}))
    assert error == pytest.approx(said, rel=0.2)  # the sum is not everywhere in a binade alike
    assert said == pytest.approx(0.300 * 2**-16 * np.sqrt(K), rel=0.01)
