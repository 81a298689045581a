"""Errors on their way through a norm and through attention, against noise that is really added."""

import numpy as np
import pytest

from precsim.symbolic import propagation


def test_a_norm_keeps_all_of_the_relative_error_but_the_share_along_the_vector():
    rng, n = np.random.default_rng(0), 8
    x = rng.standard_normal(n)
    noise = 1e-3 * np.sqrt((x**2).mean()) * rng.standard_normal((200_000, n))
    normed = lambda v: v / np.sqrt((v**2).mean(axis=-1, keepdims=True))  # noqa: E731
    seen = ((normed(x + noise) - normed(x)) ** 2).mean()
    said = float(propagation.norm_noise().subs({propagation.n: n, propagation.e: 1e-6}))
    assert seen == pytest.approx(said, rel=0.01)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_noise_of_values_and_keys_in_attention(spread):
    """64 keys of width 16 with noise of a few percent; the formula is of first order."""
    rng, keys, d = np.random.default_rng(1), 64, 16
    q, k, v = rng.standard_normal(d) * spread, rng.standard_normal((keys, d)), rng.standard_normal(keys)

    def attend(k: np.ndarray, v: np.ndarray) -> np.ndarray:
        scores = k @ q / np.sqrt(d)
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        p = p / p.sum(axis=-1, keepdims=True)
        return (p * v).sum(axis=-1)

    s_k, s_v = 0.02, 0.03
    draws = 20_000
    seen = attend(k + s_k * rng.standard_normal((draws, keys, d)), v + s_v * rng.standard_normal((draws, keys)))
    scores = k @ q / np.sqrt(d)
    p = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    letters = {
        propagation.s_v: s_v, propagation.s_k: s_k, propagation.width: d,
        propagation.query: np.sqrt((q**2).sum()),
        propagation.concentration: (p**2).sum(), propagation.contrast: (p**2 * (v - p @ v) ** 2).sum(),
    }  # fmt: skip
    said = float(propagation.attention_noise().subs(letters))
    assert ((seen - attend(k, v)) ** 2).mean() == pytest.approx(said, rel=0.05)


def test_the_slope_of_an_output_in_a_score():
    rng = np.random.default_rng(2)
    s, v = rng.standard_normal(5), rng.standard_normal(5)
    p = np.exp(s) / np.exp(s).sum()
    out = lambda s: (np.exp(s) @ v) / np.exp(s).sum()  # noqa: E731
    step = np.eye(5)[3] * 1e-6
    letters = {propagation.p: p[3], propagation.value: v[3], propagation.output: p @ v}
    said = float(propagation.softmax_slope().subs(letters))
    assert (out(s + step) - out(s - step)) / 2e-6 == pytest.approx(said, rel=1e-6)
