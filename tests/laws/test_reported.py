"""N_eff as a law reports it, and its drift: against differences, and 0 where the paper's factor says so."""

from __future__ import annotations

import numpy as np
import pytest

from precsim.laws import (
    WEIGHTS,
    Bent,
    BentRidge,
    Chinchilla,
    Drifting,
    KumarDegradation,
    OuterExponent,
    Saturating,
    SecondOrderDegradation,
    reported,
)
from precsim.laws.optima import implied_factor

BASE = Chinchilla(E=0.5, A=7.0, B=42.0, alpha=0.3, beta=0.35)
TWIN = SecondOrderDegradation(K=0.004, gamma_D=0.7, gamma_N=0.4)
LAWS = {
    "bend": BASE | Bent(TWIN, K_bend=0.05),
    "ridge": BASE | BentRidge(TWIN, K_bend=0.05),
    "outer": OuterExponent(E=0.5, A=900.0, B=9e4, alpha=0.5, beta=0.6, g=0.6) | Bent(TWIN, K_bend=0.05),
    "drifting": BASE | Drifting(Saturating(WEIGHTS, c=2.0, gamma=1.0), drift_D=0.1, drift_N=0.05),
}


@pytest.mark.parametrize("name", list(LAWS))
def test_the_drift_is_that_of_the_share_by_differences(name):
    law, h = LAWS[name], 1e-4
    N, D = np.array([3e4, 1e5, 3e6]), np.array([1e7, 1e7, 1e9])
    short = lambda n, d: np.log(-np.log(implied_factor(law, n, d, law(n, d, weights=4))))  # noqa: E731
    found = reported(law, N, D, weights=4)
    assert found.share == pytest.approx(implied_factor(law, N, D, law(N, D, weights=4)), rel=1e-12)
    in_data = (short(N, D * np.exp(h)) - short(N, D * np.exp(-h))) / (2 * h)
    in_size = -(short(N * np.exp(h), D) - short(N * np.exp(-h), D)) / (2 * h)
    assert found.in_data == pytest.approx(in_data, rel=1e-5, abs=1e-7)
    assert found.in_size == pytest.approx(in_size, rel=1e-5, abs=1e-7)


def test_the_papers_factor_drifts_not_at_all_and_a_drifting_one_as_it_says():
    still = reported(BASE | Saturating(WEIGHTS, c=2.0, gamma=1.0), 1e5, 1e7, weights=4)
    assert [still.in_data, still.in_size] == pytest.approx([0.0, 0.0], abs=1e-9)
    drifting = reported(LAWS["drifting"], 1e5, 1e7, weights=4)
    assert [drifting.in_data, drifting.in_size] == pytest.approx([0.1, 0.05], rel=1e-7)


def test_without_rounding_there_is_no_drift_and_a_law_needs_a_base():
    none = reported(LAWS["bend"], 1e5, np.array([1e7, 1e8]))
    assert none.share == pytest.approx([1.0, 1.0])
    assert np.isnan(none.in_data).all()
    assert np.isnan(none.in_size).all()
    with pytest.raises(ValueError, match="read off a base"):
        reported(KumarDegradation(1.0, 0.5, 0.5, 0.6), 1e5, 1e7, weights=4)
