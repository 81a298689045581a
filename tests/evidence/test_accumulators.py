"""What a 13-bit accumulator does to training: the numbers of the page, found again by plain means."""

import json

import numpy as np
import pytest
from scipy import stats

from precsim.evidence import accumulators, rows


@pytest.fixture(scope="module")
def table():
    return rows.second_edition()


def _by_hand(table):
    """Final gaps by what added, told apart by what the stored jobs say."""
    here = table[(table["batch"] == "sums") & (table["post_method"] == "none") & (table["step"] == table["steps"])]
    names = {}
    for job in {job.key: job for job in accumulators.second_edition.sums()}.values():
        back = json.loads(job.spec)["recipe"]["backward"]
        name = "13 bits" if "unit" in back else "float32"
        names[job.key] = name + (", promoted every 128" if "chain" in back else "")
    each = here.assign(added=here["job"].map(names))
    return each.pivot_table(index=["N", "D", "language_seed", "seed"], columns="added", values="gap")


def test_changes_are_those_of_pairs_and_intervals_those_of_a_textbook(table):
    gaps = _by_hand(table)
    assert len(gaps) == 72
    for name in accumulators.UNITS:
        logs = np.log(gaps[name] / gaps["float32"])
        found = accumulators.changes(table)
        np.testing.assert_allclose(np.sort(found.loc[found["name"] == name, "change"]), np.sort(logs), atol=1e-12)
        languages, pairs = accumulators.overall(table, name)
        means = logs.groupby("language_seed").mean()
        for sure, values in ((languages, means), (pairs, logs)):
            want = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
            np.testing.assert_allclose((sure.low, sure.high), want, rtol=1e-9)


def test_effective_parameters_are_read_off_the_gap_against_size(table):
    gaps = _by_hand(table)["float32"].groupby(["N", "D"]).mean().unstack("D")
    shared = gaps.dropna(axis=1, thresh=2)
    dummies = [np.log(column.dropna()) - np.log(column.dropna()).mean() for _, column in shared.items()]
    sizes = [np.log(np.array(one.index, float)) - np.log(np.array(one.index, float)).mean() for one in dummies]
    slope = -np.concatenate(dummies) @ np.concatenate(sizes) / (np.concatenate(sizes) @ np.concatenate(sizes))
    assert accumulators.gain_of_size(table) == pytest.approx(slope, rel=1e-9)
    assert 0.1 < slope < 0.25


def test_a_planted_loss_of_five_percent_is_found_as_parameters(table):
    """Gaps 5 % larger through the unit are what fewer parameters give: e^(-.049 / slope) of them."""
    names = {job.key for job in accumulators.second_edition.sums() if '"unit"' in job.spec}
    worse = table.copy()
    worse.loc[worse["job"].isin(names), "gap"] *= 1.05
    found = accumulators.effective(worse, accumulators.UNITS[0])
    assert found.low < np.exp(-np.log(1.05) / accumulators.gain_of_size(table)) < found.high
    assert found.high < 0.8
    assert (accumulators.by_cell(worse)["low"] > 0).all()
