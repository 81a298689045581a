"""The constants of fits and intervals, tied to closed forms, another library, or simulation.

Most tests use a law with one free parameter whose logarithm is linear in it, ln L = ln A − α ln N: with a wide knee its
fit is a mean, its standard error and profile are those of a mean, and its bootstrap is that of a weighted mean.
"""

import numpy as np
import pytest
from scipy.special import huber
from scipy.stats import binom, norm

from precsim import laws
from precsim.fitting import ByCompute, Draws, bootstrap, compare, fit, interval, predict, profile
from precsim.laws import WEIGHTS

MEAN = laws.Chinchilla(E=0.0, B=0.0, alpha=0.3, beta=0.3)  # A is free
LEVELS = (0.90, 0.95, 0.99)


def sample(rng, n=40, noise=0.01):
    N = np.geomspace(1e6, 1e9, n)
    return {"N": N, "D": 20 * N, "loss": 400.0 * N**-0.3 * np.exp(noise * rng.standard_normal(n))}


def logarithms(runs):
    """What each row says of ln A."""
    return np.log(runs["loss"] / runs["N"] ** -0.3)


# -- objective ---------------------------------------------------------------------------------------------------------
def test_the_fit_is_the_weighted_mean_where_no_residual_is_beyond_the_knee(rng):
    runs, weights = sample(rng), rng.uniform(0.5, 3.0, 40)
    found = fit(MEAN, runs, weights=weights, delta=1.0)
    assert np.log(found.law.A) == pytest.approx(np.average(logarithms(runs), weights=weights), rel=1e-10)


@pytest.mark.parametrize("knee", [0.002, 0.02])
def test_the_objective_is_hubers_with_this_knee(rng, knee):
    found = fit(MEAN, sample(rng), delta=knee)
    (stage,) = found.stages
    assert found.objective == pytest.approx(huber(knee, stage.residuals).sum(), rel=1e-12)
    assert np.clip(stage.residuals, -knee, knee).sum() == pytest.approx(0.0, abs=1e-6 * knee)  # estimating equation


def test_the_knee_that_is_not_given_is_1_345_robust_standard_deviations(rng):
    (stage,) = fit(MEAN, sample(rng)).stages
    mad = np.median(np.abs(stage.residuals)) / norm.ppf(0.75)
    assert stage.scale == pytest.approx(mad, rel=1e-4)
    assert stage.delta == pytest.approx(1.345 * mad, rel=1e-3)


def test_r2_is_that_of_a_mean(rng):
    runs = sample(rng)
    found = fit(MEAN, runs, delta=1.0)
    t = np.log(runs["loss"])
    assert found.r2 == pytest.approx(1 - (found.residuals**2).sum() / ((t - t.mean()) ** 2).sum(), rel=1e-12)


# -- standard errors and profiles --------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [6, 40])
def test_the_standard_error_is_that_of_a_mean_with_n_minus_p(rng, n):
    runs = sample(rng, n)
    error = fit(MEAN, runs, delta=1.0).stages[0].standard_errors["A"]
    assert error == pytest.approx(np.std(logarithms(runs), ddof=1) / np.sqrt(n), rel=1e-9)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [6, 40])
def test_the_profile_of_a_mean_is_its_interval(rng, level, n):
    runs = sample(rng, n)
    _, _, band = profile(fit(MEAN, runs, delta=1.0), "A", level=level, points=401)
    y = logarithms(runs)
    half = norm.ppf(0.5 + level / 2) * np.std(y, ddof=1) / np.sqrt(n)
    assert (np.log(band.low), np.log(band.high)) == pytest.approx((y.mean() - half, y.mean() + half), abs=1e-3 * half)
    assert band.level == level


# -- draws -------------------------------------------------------------------------------------------------------------
def test_resamples_are_means_of_the_rows_drawn_with_their_weights(rng):
    runs, weights = sample(rng), rng.uniform(0.2, 5.0, 40)
    draws = bootstrap(fit(MEAN, runs, weights=weights, delta=1.0), n=50, rng=np.random.default_rng(9))
    counts = np.random.default_rng(9).multinomial(40, np.full(40, 1 / 40), size=50)
    y = logarithms(runs)
    expected = (counts * weights * y).sum(1) / (counts * weights).sum(1)
    np.testing.assert_allclose(np.log(draws.values["A"]), expected, rtol=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_tails_of_an_interval_are_equal_and_together_one_minus_the_level(level):
    draws = Draws(MEAN, {"A": np.linspace(0.0, 1.0, 1001)})
    found = interval(draws, lambda law: law.A, level)
    assert (found.low, found.high) == pytest.approx(((1 - level) / 2, (1 + level) / 2), abs=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_tails_of_a_prediction_are_equal_and_together_one_minus_the_level(level):
    draws = Draws(MEAN, {"A": np.linspace(1.0, 2.0, 1001)})
    low, high = predict(draws, 1e6, 1e8, level=level)
    unit = 1e6**-0.3
    assert (low / unit, high / unit) == pytest.approx((1 + (1 - level) / 2, 1 + (1 + level) / 2), rel=1e-9)


def test_a_run_is_predicted_with_the_residuals_of_runs():
    rng = np.random.default_rng(4)
    found = fit(MEAN, sample(rng, n=4000, noise=0.01), delta=1.0)
    draws = Draws(MEAN, {"A": np.full(20_000, found.law.A)})
    low, high = predict(draws, 1e6, 1e8, level=0.95, run=found, rng=rng)
    assert np.log(high / low) == pytest.approx(2 * norm.ppf(0.975) * 0.01, rel=0.04)


def test_intervals_cover_as_often_as_they_say():
    """300 tables of 80 rows; each band is that of a binomial count, so 90, 95 and 99 % cannot stand for each other."""
    inside = dict.fromkeys(LEVELS, 0)
    N = np.geomspace(1e6, 1e9, 80)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        runs = {"N": N, "D": 20 * N, "loss": 400.0 * N**-0.3 * np.exp(0.01 * rng.standard_normal(80))}
        draws = bootstrap(fit(MEAN, runs, delta=1.0), n=400, rng=rng)
        for level in LEVELS:
            inside[level] += 400.0 in interval(draws, lambda law: law.A, level)
    for level, count in inside.items():
        expected = 2 * norm.cdf(norm.ppf(0.5 + level / 2) * np.sqrt(79 / 80)) - 1  # a percentile has /n, not /(n-1)
        assert binom.ppf(0.0005, 300, expected) <= count <= binom.ppf(0.9995, 300, expected)


# -- comparisons -------------------------------------------------------------------------------------------------------
def test_scores_are_the_textbooks(rng):
    runs = sample(rng)
    (score,) = compare([MEAN], runs, split=ByCompute(0.3), rng=rng, delta=1.0).scores
    y = logarithms(runs)
    top = np.arange(40) >= 28
    assert score.held_out == pytest.approx(np.abs(y[top] - y[~top].mean()).mean(), rel=1e-8)
    assert score.rmse == pytest.approx(y.std(), rel=1e-8)
    assert score.bic == pytest.approx(40 * np.log(y.var()) + 1 * np.log(40), rel=1e-8)


@pytest.mark.parametrize("level", LEVELS)
def test_the_interval_of_a_score_has_its_level(level):
    rng = np.random.default_rng(8)
    runs = sample(rng, n=2000)
    (score,) = compare([MEAN], runs, split=ByCompute(0.3), rng=rng, delta=1.0, level=level).scores
    y = logarithms(runs)
    size = np.abs(y[1400:] - y[:1400].mean())
    half = norm.ppf(0.5 + level / 2) * size.std() / np.sqrt(600)
    assert (score.interval[1] - score.interval[0]) / 2 == pytest.approx(half, rel=0.08)


# -- laws --------------------------------------------------------------------------------------------------------------
def test_damage_drifts_up_with_tokens_and_down_with_size():
    law = laws.Drifting(laws.Saturating(WEIGHTS, c=2.0, gamma=1.0), drift_D=0.1, drift_N=0.2)
    damage = 2.0 * np.exp(-4.0)
    for N, D, factor in ((1e9, 1e10, 10**-0.2), (1e8, 1e11, 10**0.1), (1e7, 1e9, 10**0.2 * 10**-0.1)):
        assert np.log(law.n_eff(N, D, weights=4) / N) == pytest.approx(-damage * factor, rel=1e-12)


def test_a_narrow_knee_is_searched_in_its_own_basin():
    """40 under-tuned runs at a knee of 1e-3: the way over wider knees alone ends 1.8e-5 above the optimum."""
    rng = np.random.default_rng(5)
    N = np.exp(rng.uniform(np.log(1e7), np.log(3e9), 40))
    D = N * np.exp(rng.uniform(np.log(2), np.log(200), 40))
    law = laws.OuterExponent(E=1.3, A=1.5e5, B=5e5, alpha=0.589, beta=0.544, g=0.274)
    tuning = 0.004 * rng.standard_normal(40) + 0.03 * rng.exponential(1, 40) * (rng.random(40) < 0.5)
    runs = {"N": N, "D": D, "loss": law(N, D) * np.exp(tuning)}
    usual = fit(law.blank(), runs, delta=1e-3, strict=False)
    thorough = fit(law.blank(), runs, delta=1e-3, strict=False, starts=40)
    assert usual.objective <= thorough.objective * (1 + 1e-9)
