"""What the chapter on rivals says of the open table: the damage grows with data, and no form says how far."""

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.evidence import drift, rows
from precsim.laws import Bending, reported
from precsim.runs import slices


@pytest.fixture(scope="module")
def every():
    cells = slices.cells(slices.as_trained(ps.load_runs("precsim-2026")))
    return drift.judge(cells, rng=np.random.default_rng(2), n=100)


@pytest.fixture(scope="module")
def judged(every):
    return [found for found in every if found.drift not in drift.BENDS]


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


@pytest.mark.slow
def test_bends_predict_longer_runs_better_than_a_factor_on_their_base(every):
    """And N_eff as they report it drifts with data, fast at first and slower once the gap has bent."""
    bends = [found for found in every if found.drift in drift.BENDS]
    factors = [found for found in every if found.base == "Chinchilla" and found.drift not in drift.BENDS]
    assert [found.constants for found in bends] == [8, 8, 8]
    assert max(found.longer for found in bends) < min(found.longer for found in factors)
    for found in bends:
        said = reported(found.fitted, 1e5, np.array([2e6, 1e8]), weights=3)
        assert said.in_data[0] > said.in_data[1] > 0.05
        assert said.share[0] > said.share[1]


def test_bends_are_of_the_first_base_and_have_the_constants_of_the_largest_factor():
    known = drift.forms(1e5, 1e7)
    bends = [form for _, word, form in known if word in drift.BENDS]
    assert [word for _, word, _ in known[-3:]] == list(drift.BENDS)
    assert all(isinstance(form.parts[-1], Bending) for form in bends)
    assert {len(form.free) for form in bends} == {9}  # with E, which an excess over the known entropy fixes at 0
    assert max(len(form.free) for base, word, form in known if base == "Chinchilla") == 9


def test_the_second_edition_as_trained_against_a_query():
    table = ps.load_runs("precsim-2027")
    found = rows.standard_block_trained(table)
    full = set(rows.standard_block(table)["job"])
    local = {"usual": sorted(set(rows.standard_block(table)["model"]))}
    few = table.query(
        "batch in ['gate', 'bits'] and weights < 16 and model in @usual and step == steps", local_dict=local
    )
    expected = pd.concat([table[table["job"].isin(full) & (table["step"] == table["steps"])], few])
    expected = expected[expected["post_method"] == "none"]
    assert sorted(found["job"]) == sorted(expected["job"])
    assert set(found["weights"]) == {3.0, 4.0, 6.0, np.inf}
