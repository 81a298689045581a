"""Fits of public tables against published optima, objectives and bootstrap errors."""

import numpy as np
import pytest
from support.simulated import chinchilla_points, public

from precsim import laws
from precsim.fitting import fit


@pytest.mark.parametrize(
    ("name", "reference"),
    [("chinchilla_epoch", 1.0182740178006e-3), ("kyo_llm", 8.4009311996e-04), ("quartet1_mxfp4", 6.7919465766e-05)],
)
def test_objective_is_the_reference_optimum(name, reference):
    table = chinchilla_points() if name == "chinchilla_epoch" else public(name)
    if name == "quartet1_mxfp4":
        table = table[(table["forward"] == "BF16") & (table["backward"] == "BF16")]
    found = fit(laws.Chinchilla(), table, delta=1e-3, strict=False)
    assert found.objective <= reference * (1 + 1e-9)
    assert found.objective >= reference * (1 - 1e-6)  # far below it would be another objective


def test_chinchilla_constants_at_both_knees():
    found = fit(laws.Chinchilla(), chinchilla_points(), delta=1e-3).law
    for name, value in dict(A=477.826, B=2143.417, E=1.817218, alpha=0.347310, beta=0.367172).items():
        assert found.parameters[name] == pytest.approx(value, rel=2e-6)
    adaptive = fit(laws.Chinchilla(), chinchilla_points()).law
    for name, value in dict(A=498.4, B=2540.6, E=1.8273, alpha=0.3498, beta=0.3752).items():
        assert adaptive.parameters[name] == pytest.approx(value, rel=2e-4)


def test_the_published_fit_is_not_the_optimum_of_its_objective():
    from precsim.laws.published import EPOCH_2024

    best = fit(laws.Chinchilla(), chinchilla_points(), delta=1e-3)
    stage = best.stages[0]
    printed = stage.problem.value(stage.problem.theta(EPOCH_2024), stage.observations.weight, 1e-3)
    assert printed > best.objective * (1 + 1e-4)


def test_bootstrap_reproduces_the_notebook():
    """The notebook's own 4,000 resamples (legacy generator, seed 42) and the standard errors it prints."""
    from precsim.fitting.uncertainty import _refit

    stage = fit(laws.Chinchilla(), chinchilla_points(), delta=1e-3).stages[0]
    legacy = np.random.RandomState(42)
    weight = np.array([np.bincount(legacy.choice(240, size=240, replace=True), minlength=240) for _ in range(4000)])
    theta, converged = _refit(stage, weight.astype(float), {}, False)
    assert converged.all()
    errors = dict(zip(stage.names, np.exp(theta).std(0), strict=True))
    for name, value in dict(A=124.49, B=1293.17, E=0.02566, alpha=0.01540, beta=0.02059).items():
        assert errors[name] == pytest.approx(value, rel=5e-3)


def test_no_resample_has_a_better_minimum(rng):
    """A global search in every resample finds nothing below the warm start."""
    from precsim.fitting.uncertainty import _refit

    stage = fit(laws.Chinchilla(), chinchilla_points(), delta=1e-3).stages[0]
    weight = rng.multinomial(240, np.full(240, 1 / 240), size=60).astype(float)
    warm, _ = _refit(stage, weight, {}, False)
    cold, _ = _refit(stage, weight, {}, True)
    for w, a, b in zip(weight, warm, cold, strict=True):
        value = [float(stage.problem.value(t, w, stage.delta)) for t in (a, b)]
        assert value[0] <= value[1] * (1 + 1e-9)
