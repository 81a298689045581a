"""What the chapter on rivals says of the open table: the damage grows with data, and no form says how far."""

import numpy as np
import pytest

import precsim as ps
from precsim.evidence import drift
from precsim.runs import slices


@pytest.fixture(scope="module")
def judged():
    cells = slices.cells(slices.as_trained(ps.load_runs("precsim-2026")))
    return drift.judge(cells, rng=np.random.default_rng(2), n=100)


@pytest.mark.slow
def test_the_damage_grows_with_data_under_every_base(judged):
    assert len(judged) == 9
    for found in judged:
        assert set(found.exponents) == {"none": set(), "in D": {"k_D"}, "in D and N": {"k_D", "k_N"}}[found.drift]
        if found.exponents:
            assert found.exponents["k_D"][1].low > 0, found


@pytest.mark.slow
def test_no_drift_predicts_both_longer_and_larger_runs(judged):
    longer = np.reshape([found.longer for found in judged], (3, 3))
    larger = np.reshape([found.larger for found in judged], (3, 3))
    none, data, both = range(3)
    assert (larger[:, data] < larger[:, none]).all()
    assert (larger[:, both] > larger[:, none]).all()
    assert (longer[:, data] > longer[:, none]).all()
    assert (longer[1:, both] < longer[1:, none]).all()
