"""Shares of steps, rates and recipes of the second edition: pairs picked by hand, intervals by SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import precsim as ps
from precsim.evidence import training_choices
from precsim.evidence.experiments import second_edition
from precsim.models import Recipe
from precsim.runs import Table


@pytest.fixture(scope="module")
def table() -> Table:
    return ps.load_runs("precsim-2027")


def test_what_a_late_share_adds_by_hand(table):
    """3 bits in the last tenth at 221k: six pairs by their jobs, their means by language, Student's t over three."""
    found = training_choices.shares(table).set_index(["bits", "N", "D", "share"])
    ends = table[table["post_method"].eq("none")].set_index("job")
    jobs = [j for j in second_edition.share() if j.model.width == 96 and j.in_force[0] == 0.9]
    jobs = [j for j in jobs if str(j.recipe.weights.format) == "INT3" and j.tokens == second_edition.budget(5)]
    full = {
        (j.language.seed, j.seed): ends.loc[j.key, "gap"]
        for j in second_edition.laws()
        if j.model.width == 96 and j.tokens == second_edition.budget(5) and j.recipe == Recipe()
    }
    assert len(jobs) == 6
    added = {}
    for job in jobs:
        pair = (job.language.seed, job.seed)
        added.setdefault(pair[0], []).append(ends.loc[job.key, "gap"] - full[pair])
    means = [np.mean(values) for values in added.values()]
    row = found.loc[(3.0, 221_184, jobs[0].D)]
    row = row.loc[np.isclose(row.index, 0.1)].iloc[0]
    interval = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert [row["added"], row["low"], row["high"]] == pytest.approx([np.mean(means), *interval])


def test_a_ratio_of_methods_is_a_geometric_mean_over_the_same_networks(table):
    found = training_choices.method_ratios(table)
    one = found[found["method"].eq("gptq") & found["bits"].eq(4) & found["N"].eq(24_576)].iloc[0]
    rows = table[table["batch"].eq("methods") & table["N"].eq(24_576) & table["D"].eq(one["D"])]
    rows = rows[rows["post_format"].eq("INT4") & rows["post_scaling"].eq("channel")]
    wide = rows.pivot(index=["language_seed", "seed"], columns="post_method", values="delta")
    assert len(wide) == 6
    assert one["ratio"] == pytest.approx(stats.gmean(wide["gptq"] / wide["rtn"]))
    assert one["low"] < one["ratio"] < one["high"]


def test_costs_of_recipes_are_those_of_the_cell(table):
    from precsim.evidence.architecture import added

    costs = training_choices.recipe_costs(table)
    assert set(costs.groupby("name").size()) == {7}
    here = costs[costs["N"].eq(98_304) & rows_near(costs["D"], 4)]
    alone = added(table, second_edition.trained_as()).set_index("name")
    for row in here.itertuples():
        assert row.added == pytest.approx(alone.loc[row.name, "added"])


def rows_near(D: pd.Series, k: int) -> pd.Series:
    return (np.log(D / second_edition.budget(k))).abs() < 0.01


def test_rates_are_of_the_usual_one_at_equal_budgets(table):
    found = training_choices.rates(table)
    assert set(found["rate"]) == {0.25, 0.5, 1.0, 2.0, 4.0}
    assert set(found["batch"]) == {512, 2048, 8192, 32768}
    usual = found[found["rate"].eq(1) & found["batch"].eq(2048) & found["budget"].eq(6)].set_index("bits")
    rows = table[table["N"].eq(98_304) & table["D"].eq(122_071_040) & table["seed"].eq(0)]
    rows = rows[rows["batch"].isin(["laws", "bits"]) & rows["post_method"].eq("none")]
    for bits in (3.0, 4.0, np.inf):
        assert usual.loc[bits, "gap"] == pytest.approx(rows.loc[rows["weights"].eq(bits), "gap"].mean())
