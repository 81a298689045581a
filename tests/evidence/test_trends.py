"""Trends and levels against plain pandas and NumPy on the raw table."""

from __future__ import annotations

import numpy as np
import pytest

from precsim.evidence import fitted, rows, trends


@pytest.fixture(scope="module")
def table():
    return rows.open_table()


@pytest.fixture(scope="module")
def raw(table):
    """Models in full precision with their weights rounded to integers by channel, by a query that shares no code."""
    end = table.query(
        "batch in ['main', 'repeats'] and step == steps and not diverged and N >= 24000 and post_method == 'rtn'"
        " and post_scaling == 'channel' and weights == inf and activations == inf and kv == inf"
        " and post_activations == inf and post_kv == inf",
        local_dict={"inf": np.inf},
    )
    return end[end["post_format"].isin(["INT2", "INT3", "INT4", "INT5", "INT6"])]


def test_with_held_out_runs_damage_falls_in_115_of_130_steps_of_size(table, raw):
    means = raw.groupby(["D", "post", "N"])["delta"].mean().unstack()
    steps = np.diff(means.to_numpy(), axis=1)
    assert (np.sum(steps < 0), np.sum(np.isfinite(steps))) == trends.steps_in_size(table) == (115, 130)
    assert trends.held_out_steps(table).value == pytest.approx(115 / 130)


def test_the_growth_of_damage_by_size_is_that_of_lines_through_means(table, raw):
    some = raw[~raw["holdout"].astype(bool) & (raw["post"] >= 3)]
    for size, found in trends.damage_growth_by_size(table).items():
        means = some[some["N"] == size].groupby(["post", "D"])["delta"].mean()
        means = means[means > 0]
        x = np.log(means.index.get_level_values("D").to_numpy(float))
        y = np.log(means.to_numpy())
        for post in (3, 4, 5, 6):
            at = means.index.get_level_values("post") == post
            x[at] -= x[at].mean()
            y[at] -= y[at].mean()
        assert found.value == pytest.approx((x @ y) / (x @ x), rel=1e-9)
        assert found.low < found.value < found.high


def test_the_largest_size_is_overpredicted_at_every_width(table, raw):
    found = trends.damage_of_large(table)
    largest = found[found["N"] == found["N"].max()]
    assert len(largest) == 8
    law = fitted.damage(table).law.parameters
    for row in largest.itertuples():
        measured = raw[(raw["N"] == row.N) & (raw["D"] == row.D) & (raw["post"] == row.post)]["delta"].mean()
        said = law["C_T"] * row.D ** law["gamma_D"] * row.N ** -law["gamma_N"] * np.exp(-row.post / law["gamma_post"])
        assert row.ratio == pytest.approx(said / measured, rel=1e-9)
        assert row.ratio > 1.2
        assert row.from_small > 1.4


def test_robustness_falls_with_data(table):
    every = table.query("batch == 'main' and step == steps and post_format == 'INT3' and post_scaling == 'channel'")
    every = every[(every["post_method"] == "rtn") & (every["N"] >= 24000) & ~every["holdout"].astype(bool)]
    every = every[np.isinf(every[["activations", "kv", "post_activations", "post_kv"]]).all(axis=1)]
    means = every.groupby(["D", "N", "weights"])["delta"].mean().unstack()
    ratio = np.log(means[4.0] / means[np.inf]).groupby(level="D").mean()
    found = trends.robustness_by_budget(table)
    assert list(found) == [int(d) for d in ratio.index]
    assert [v.value for v in found.values()] == pytest.approx(np.exp(ratio.to_numpy()).tolist())
    values = [v.value for v in found.values()]
    assert values == sorted(values, reverse=True)


def test_the_cost_of_training_in_few_bits_grows_less_where_data_are_plenty(table):
    late = [trends.cost_growth(table, least).value for least in (0, 60, 200, 400)]
    assert late == sorted(late, reverse=True)
    assert late == pytest.approx([0.490, 0.318, 0.232, 0.186], abs=1e-3)


def test_intervals_of_sizes_are_wider_for_the_exponent_of_size(table):
    levels = trends.damage_levels()
    width = {level: found["gamma_N"].high - found["gamma_N"].low for level, found in levels.items()}
    assert width["sizes"] > 2 * width["cells"]
    for found in levels.values():
        assert found["gamma_D"].low <= found["gamma_D"].value <= found["gamma_D"].high


def test_ratios_by_size(table):
    pairs = rows.methods(table)
    gptq, rtn = (pairs[pairs["post_method"] == m].set_index(["job", "post"])["delta"] for m in ("gptq", "rtn"))
    size = pairs.groupby("job")["N"].first()
    ratio = np.log(gptq / rtn)
    expected = ratio.groupby(size.reindex(ratio.index.get_level_values("job")).to_numpy()).mean()
    found = trends.method_by_size(table)
    assert {n: v.value for n, v in found.items()} == pytest.approx({int(n): np.exp(v) for n, v in expected.items()})
    assert list(trends.schedule_by_size(table)) == [24576, 98304]
