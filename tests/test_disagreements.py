"""What the chapter on rivals says of the open table: the damage grows with data, and no form says how far."""

import numpy as np
import pytest

import precsim as ps
from precsim import laws, slices
from precsim.comparison import ByData, BySize, compare

UNITS = {"N0": 1e5, "D0": 1e7}
STILL = laws.Saturating(laws.WEIGHTS)
DRIFTS = (STILL, laws.Drifting(STILL, drift_N=0.0, **UNITS), laws.Drifting(STILL, **UNITS))
BASES = (laws.Chinchilla(), laws.OuterExponent(), laws.BetaOfN(**UNITS))
FORMS = [base | drift for base in BASES for drift in DRIFTS]


@pytest.fixture(scope="module")
def table():
    return slices.cells(slices.as_trained(ps.load_runs("precsim-2026")))


def test_the_damage_grows_with_data_under_every_base(table):
    for form in FORMS:
        if "drift_D_w" in form.free:
            draws = ps.bootstrap(ps.fit(form, table, strict=False), n=100, rng=np.random.default_rng(1))
            assert ps.interval(draws, lambda law: law.parameters["drift_D_w"]).low > 0, form.label


@pytest.mark.slow
def test_no_drift_predicts_both_longer_and_larger_runs(table):
    origins = (0.2, 0.3, 0.4, 0.5)
    longer, larger = (
        np.reshape(
            [s.held_out for s in compare(FORMS, table, split=split(origins), rng=np.random.default_rng(2)).scores],
            (3, 3),
        )
        for split in (ByData, BySize)
    )
    none, data, both = range(3)
    assert (larger[:, data] < larger[:, none]).all()
    assert (larger[:, both] > larger[:, none]).all()
    assert (longer[:, data] > longer[:, none]).all()
    assert (longer[1:, both] < longer[1:, none]).all()
