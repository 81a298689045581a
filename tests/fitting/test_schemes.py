"""Factors of many schemes: separable, so as fast as a few parameters, and the same numbers as all at once."""

import time

import numpy as np
import pytest
from support.simulated import TRUTH

from precsim import laws
from precsim.fitting import Status, bootstrap, fit
from precsim.fitting.objective import Objective
from precsim.fitting.observations import read

FACTORS = {f"s{k}": 0.5 + 0.4 * k / 32 for k in range(33)}
NAMES = tuple(FACTORS)


def table(rng, noise=0.002, names=NAMES, repeats=17):
    """`repeats` runs of each scheme and of full precision, on a random cloud of N and D."""
    scheme = np.repeat(["full", *names], repeats)
    N = np.exp(rng.uniform(np.log(1e7), np.log(1e9), len(scheme)))
    D = np.exp(rng.uniform(np.log(1e9), np.log(1e11), len(scheme)))
    law = TRUTH | laws.PerScheme(names, tuple(FACTORS[s] for s in names))
    return {
        "N": N,
        "D": D,
        "scheme": scheme,
        "loss": law(N, D, scheme=scheme) * np.exp(noise * rng.standard_normal(len(N))),
    }


@pytest.mark.parametrize(
    "form",
    [
        laws.Chinchilla() | laws.PerScheme(NAMES[:4]),
        laws.BetaOfN() | laws.Drifting(laws.PerScheme(NAMES[:4])),
        laws.OuterExponent() | laws.PerScheme(NAMES[:4], (0.6, None, None, None)),
        laws.Tied() | laws.PerScheme(NAMES[:3], on=laws.Effective.D),
    ],
    ids=lambda form: form.label,
)
def test_one_factor_a_row_gives_the_derivatives_of_all_factors(form, rng):
    runs = table(rng, names=NAMES[:4], repeats=6)
    problem = Objective(form, form.free, {}, read(runs, paired=False))
    dense = Objective(form, form.free, {}, read(runs, paired=False))
    assert problem.own is not None
    dense.own, dense.short, dense.setting = None, form, dense.data.setting
    theta = rng.uniform(-0.5, 0.1, (3, len(form.free)))
    weight = rng.integers(0, 3, len(runs["N"])).astype(float)
    for separable, whole in zip(
        problem.curvature(theta, weight, 0.01), dense.curvature(theta, weight, 0.01), strict=True
    ):
        np.testing.assert_allclose(separable, whole, rtol=1e-10, atol=1e-10 * np.abs(whole).max())
    np.testing.assert_allclose(problem.residuals(theta), dense.residuals(theta), rtol=1e-12)
    np.testing.assert_allclose(problem.jacobian(theta), dense.jacobian(theta), rtol=1e-12)


def test_thirty_three_schemes_are_found_in_seconds(rng):
    runs = table(rng)
    start = time.process_time()
    found = fit(laws.Chinchilla() | laws.PerScheme(NAMES), runs)
    assert time.process_time() - start < 4  # 578 rows: 0.9 s alone on a machine; 31 to 125 s with a variable a scheme
    assert found.status is Status.CONVERGED
    exact = fit(laws.Chinchilla() | laws.PerScheme(NAMES), table(rng, noise=0.0))
    for scheme, factor in FACTORS.items():
        assert exact.law.parameters[f"f_{scheme}"] == pytest.approx(factor, rel=1e-6)


def test_beta_of_n_with_drift_of_every_scheme_ends(rng):
    start = time.process_time()
    found = fit(laws.BetaOfN() | laws.Drifting(laws.PerScheme(NAMES)), table(rng), strict=False)
    assert time.process_time() - start < 20
    assert found.stages[0].converged


def test_resamples_of_schemes_refit(rng):
    found = fit(laws.Chinchilla() | laws.PerScheme(NAMES[:4]), table(rng, names=NAMES[:4], repeats=12))
    draws = bootstrap(found, n=40, rng=rng)
    assert len(draws) == 40
    low, high = np.percentile(draws.values["f_s1"], [0.5, 99.5])
    assert low < FACTORS["s1"] < high
