"""What block, decay and recipe do: exponents and intervals against SciPy, and every sentence of the page about them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import precsim as ps
from precsim.evidence import architecture, predictions
from precsim.evidence.experiments import second_edition
from precsim.runs import Table


@pytest.fixture(scope="module")
def table() -> Table:
    return ps.load_runs("precsim-2027")


@pytest.fixture(scope="module")
def found(table) -> Table:
    return architecture.exponents(table, second_edition.compared()).set_index(["name", "N"])


@pytest.fixture(scope="module")
def scored(table) -> Table:
    return predictions.score(table)


def test_an_exponent_is_that_of_a_power_of_data_and_its_interval_students(table):
    """δ made to be c D^g with another g in each language; the interval is `scipy.stats.ttest_1samp`'s."""
    keys = second_edition.compared()["standard"]
    rows, slopes = table[table["job"].isin(keys) & table["N"].eq(221_184)].copy(), [0.3, 0.4, 0.62]
    rows["delta"] = 1e-3 * rows["D"].astype(float) ** rows["language_seed"].map(dict(enumerate(slopes)))
    (only,) = architecture.exponents(rows, {"made": keys}).itertuples()
    wanted = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    np.testing.assert_allclose([only.gamma_D, only.low, only.high], [np.mean(slopes), *wanted], rtol=1e-9)


def test_what_a_recipe_adds_is_against_its_own_partner():
    """Partners of very unequal gaps, so that a difference of means over other networks would show."""
    base = pd.DataFrame({"language_seed": [0, 0, 1, 1], "seed": [0, 1, 0, 1], "gap": [1.0, 2.0, 4.0, 8.0]})
    base = base.assign(N=1, D=1, post_method="none", job=[f"plain{n}" for n in range(4)])
    more = base.assign(gap=base["gap"] + [0.1, 0.3, 0.4, 0.4], job=[f"few{n}" for n in range(4)]).iloc[[3, 0, 2, 1]]
    named = {"full precision": set(base["job"]), "few bits": set(more["job"])}
    (only,) = architecture.added(pd.concat([base, more]), named).itertuples()
    wanted = stats.ttest_1samp([0.2, 0.4], 0).confidence_interval(0.95)
    np.testing.assert_allclose([only.added, only.low, only.high, only.share], [0.3, *wanted, 0.3 / 3.75])
    with pytest.raises(ValueError, match=r"no 'float64'.*few bits"):
        architecture.added(base, named, "float64")


def test_page_decay_lowers_the_exponent_and_the_damage_in_every_block_and_size(found):
    pairs = [(name, N) for name, N in found.index if name.endswith(", no decay")]
    assert len(pairs) == 8
    for name, N in pairs:
        without, decayed = found.loc[(name, N)], found.loc[(name.replace("no decay", "decay of everything"), N)]
        assert decayed["gamma_D"] < without["gamma_D"]
        assert decayed["delta"] < without["delta"]
        assert decayed["gap"] > without["gap"]
        assert decayed["gap"] + decayed["delta"] < without["gap"] + without["delta"]


def test_page_the_first_editions_block_has_the_largest_exponent_and_gains_take_part_of_it(found):
    for N in (98_304, 221_184):
        here = found.xs(N, level="N")["gamma_D"]
        assert here.idxmax() == "no gains, unit embeddings, no decay"
        assert here["unit embeddings, no decay"] < here["no gains, unit embeddings, no decay"]
        assert found.loc[("standard", N), "gap"] < found.loc[("standard, decay of everything", N), "gap"]


def test_page_norms_of_queries_and_keys_show_nothing(found):
    normed, usual = found.loc[("queries and keys normed", 221_184)], found.loc[("standard", 221_184)]
    assert usual["low"] < normed["gamma_D"] < usual["high"]


def test_page_every_law_says_too_much_of_the_largest_network_and_curvature_scores_best(scored):
    largest = scored[scored["N"].eq(10_616_832)]
    assert len(largest) == 20
    assert (largest["predicted"] > largest["measured"]).all()
    total = scored.groupby(["what", "law"])["log_score"].sum()
    for bits in (3, 4):
        assert total[f"delta at {bits} bits"].idxmax().startswith("second order")
    error = scored.assign(error=scored["error"].abs()).groupby(["what", "law"])["error"].median()
    inside = scored.groupby(["what", "law"])["inside"].all()
    for bits in (3, 4, 6):
        assert error[f"delta at {bits} bits"].idxmax() == "power law"
        assert inside[f"delta at {bits} bits"]["power law"]


def test_page_four_bits_cost_several_times_eight_and_most_of_it_is_the_forward_pass(table):
    costs = architecture.added(table, second_edition.trained_as()).set_index("name")
    eight, four = costs.loc[["FP8 per tensor", "FP8 in blocks", "MXFP8"]], costs.loc[costs.index.str.contains("4|Quar")]
    assert len(four) == 6
    assert four["added"].min() > 5 * eight["added"].max()
    assert (eight["low"] < 0.001).all()
    for name in ("NVFP4", "MXFP4"):
        whole, forward = costs.loc[name], costs.loc[f"{name}, forward only"]
        assert 0.5 * whole["added"] < forward["added"]
        assert whole["low"] < forward["added"] < whole["high"]
