"""Intervals: of anything, by cluster, by profile, and whether they cover."""

from dataclasses import replace

import numpy as np
import pytest
from support.simulated import TRUTH, grid

from precsim import laws
from precsim.fitting import bootstrap, fit, interval, predict, profile
from precsim.laws import WEIGHTS


def test_intervals_of_anything(rng):
    table = grid(TRUTH | laws.Saturating(WEIGHTS, c=3.0, gamma=1.2), noise=0.003, rng=rng, widths=(3, 4, 6, 8, np.inf))
    found = fit(laws.Chinchilla() | laws.Saturating(WEIGHTS), table)
    draws = bootstrap(found, n=200, rng=rng, by="job")
    assert len(draws) + draws.failed == 200
    bits = interval(draws, lambda law: law.best_bits())
    assert found.law.best_bits() in bits
    one_by_one = interval(draws[:20], lambda law: float(law.alpha))  # float() of an array fails: the slow route
    assert one_by_one == interval(draws[:20], lambda law: law.alpha)
    low, high = predict(draws, [1e8, 1e9], 1e10, weights=4)
    assert (low < found.law([1e8, 1e9], 1e10, weights=4)).all()
    assert (found.law([1e8, 1e9], 1e10, weights=4) < high).all()
    wide = predict(draws, 1e8, 1e10, run=found, rng=rng)
    assert wide[1] - wide[0] > predict(draws, 1e8, 1e10)[1] - predict(draws, 1e8, 1e10)[0]


def test_same_generator_same_draws():
    found = fit(laws.Chinchilla(), grid(noise=0.003, rng=np.random.default_rng(1)))
    one, two = (bootstrap(found, n=20, rng=np.random.default_rng(5)) for _ in range(2))
    assert list(one) == list(two)


def test_clusters_widen_what_copies_narrowed():
    """Four looks at each job, equal but for their label: rows alone pretend to four times the data."""
    rng = np.random.default_rng(11)
    table = grid(noise=0.004, rng=rng, sizes=10, lengths=10)
    table["job"] = np.arange(100)
    copies = {k: np.repeat(v, 4) for k, v in table.items()} | {"seed": np.tile(np.arange(4), 100)}
    found = fit(laws.Chinchilla(), copies)
    spread = [np.std(bootstrap(found, n=300, rng=rng, by=by).values["alpha"]) for by in (None, "job")]
    assert 1.6 < spread[1] / spread[0] < 2.4  # √4 = 2, and the sampling error of two standard deviations


def test_profile_and_wald_agree_where_the_law_is_nearly_linear(rng):
    found = fit(laws.Chinchilla(), grid(noise=0.0005, rng=rng, sizes=8, lengths=8))
    values, excess, bounds = profile(found, "alpha")
    error = found.law.alpha * found.stages[0].standard_errors["alpha"]
    assert min(excess) == pytest.approx(0.0, abs=1e-6)
    assert (bounds.high - bounds.low) / (2 * 1.96 * error) == pytest.approx(1.0, abs=0.25)
    assert values[0] < bounds.low < found.law.alpha < bounds.high < values[-1]


@pytest.mark.parametrize("shift", [-2.5, 1.5])
def test_the_profile_of_a_fit_that_stopped_too_early_is_around_the_minimum_that_it_missed(shift, rng):
    """It measured from where the fit stood, so that the side away from the minimum ended too soon."""
    found = fit(laws.Chinchilla(), grid(noise=0.0005, rng=rng, sizes=8, lengths=8))
    stage = found.stages[0]
    i = stage.names.index("alpha")
    theta = stage.theta + shift * stage.covariance[:, i] / np.sqrt(stage.covariance[i, i])
    law = stage.law.replace(**dict(zip(stage.names, np.exp(theta), strict=True)))
    value = float(stage.problem.value(theta, stage.observations.weight, stage.delta))
    off = replace(found, stages=(replace(stage, law=law, objective=value),))
    assert value > stage.objective
    (_, excess, moved), (_, _, true) = (profile(f, "alpha", points=161, width=6.0) for f in (off, found))
    assert excess.min() == 0
    assert moved.low == pytest.approx(true.low, rel=2e-4)
    assert moved.high == pytest.approx(true.high, rel=2e-4)


def test_a_profile_where_rounding_left_no_variance_goes_as_far_as_makes_sense(rng):
    """On one build of Python the variance of an undetermined parameter came out below zero."""
    found = fit(laws.Chinchilla(), grid(noise=0.0005, rng=rng, sizes=8, lengths=8))
    stage = found.stages[0]
    broken = stage.covariance.copy()
    i = stage.names.index("alpha")
    broken[i, i] = -1e-12
    stage.__dict__["covariance"] = broken
    values, _, band = profile(found, "alpha", points=401)
    assert np.isfinite(values).all()
    assert band.low <= found.law.alpha <= band.high


def test_a_profile_of_what_the_rows_do_not_determine_ends_where_floats_do():
    """Two budgets a billionth apart: four standard errors of C_T reached beyond e^709, with a warning for an answer."""
    rng = np.random.default_rng(0)
    N, D, post = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 5), [1e9, 1e9 + 1], [3.0, 4.0, 5.0]))
    truth = laws.KumarDegradation(C_T=1e-3, gamma_D=0.5, gamma_N=0.3, gamma_post=0.6)
    noisy = truth.delta(N, D, post=post) * np.exp(0.05 * rng.standard_normal(N.size))
    runs = {"N": N, "D": D, "post": post, "weights": np.full(N.size, 16.0), "delta": noisy}
    found = fit(laws.KumarDegradation(), runs, strict=False)
    error = found.stages[0].standard_errors
    assert error["C_T"] / found.law.C_T * 4 > 709
    values, _, _ = profile(found, "C_T")
    assert np.isfinite(values).all()
    assert (values > 0).all()


def _coverage(law, make, sets):
    """Share of simulated tables whose 95 % Wald interval holds each parameter."""
    inside = {}
    for seed in range(sets):
        found = fit(law.blank(), make(np.random.default_rng(seed)), strict=False)
        for name, error in found.stages[0].standard_errors.items():
            value, truth = found.law.parameters[name], law.parameters[name]
            off = np.log(value / truth) if law.describe(name)["positive"] else value - truth
            inside.setdefault(name, []).append(abs(off) < 1.96 * error)
    return {name: np.mean(hits) for name, hits in inside.items()}


@pytest.mark.slow
def test_intervals_cover_on_the_papers_grid():
    """The paper's constants and about its grid of runs, independent noise of 0.5 %: 60 tables."""
    from precsim.laws import ACTIVATIONS, KV, published

    law = laws.Composite(published.KUMAR_2024.parts[:4])
    rows = []
    for width in (3, 4, 5, 6, 8, 12):
        rows += [(width, np.inf, np.inf)] + (
            [(np.inf, width, np.inf), (np.inf, np.inf, width), (width,) * 3] if width > 3 else []
        )
    rows.append((np.inf,) * 3)
    N, D, k = map(np.ravel, np.meshgrid([3e7, 6e7, 1.1e8, 2.2e8], [1.5e9, 3e9, 6e9, 1.3e10, 2.6e10], range(len(rows))))
    bits = np.array(rows)[k.astype(int)].T
    exact = law(N, D, weights=bits[0], activations=bits[1], kv=bits[2])

    def make(rng):
        return {
            "N": N,
            "D": D,
            "weights": bits[0],
            "activations": bits[1],
            "kv": bits[2],
            "loss": exact * np.exp(0.005 * rng.standard_normal(len(N))),
        }

    assert law.parts[2].tensor is ACTIVATIONS
    assert law.parts[3].tensor is KV
    coverage = _coverage(law, make, 60)
    assert min(coverage.values()) >= 0.90, coverage
    assert max(coverage.values()) <= 0.98, coverage
    # a smooth misfit of 0.5 %, as a wrong form leaves: intervals that trust the form are then far too narrow
    x = np.column_stack([np.log(N / 1e8), np.log(D / 6e9), bits.T.clip(0, 16) / 4])
    near = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1) / 2)
    root = np.linalg.cholesky(near + 1e-8 * np.eye(len(x)))

    def bent(rng):
        table = make(rng)
        return table | {"loss": table["loss"] * np.exp(0.005 * root @ rng.standard_normal(len(x)))}

    assert max(_coverage(law, bent, 30).values()) < 0.90


def test_bootstrap_arguments(rng):
    found = fit(laws.Chinchilla(), grid(noise=0.002, rng=rng))
    with pytest.raises(ValueError, match="no column 'cell'"):
        bootstrap(found, n=10, rng=rng, by="cell")
    with pytest.raises(ValueError, match="at least 2"):
        bootstrap(found, n=1, rng=rng)
    with pytest.raises(ValueError, match="level must be"):
        interval(bootstrap(found, n=10, rng=rng), lambda law: law.alpha, level=95)
    with pytest.raises(ValueError, match="not estimated"):
        profile(found, "gamma_w")
