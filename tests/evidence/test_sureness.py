"""Half-widths of the second edition against SciPy, on cells picked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import precsim as ps
from precsim.evidence import sureness
from precsim.evidence.experiments import second_edition


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return ps.load_runs("precsim-2027")


def half(values) -> float:
    sure = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return (sure.high - sure.low) / 2


def test_the_exponent_of_the_largest_size_by_its_jobs(table):
    keys = {job.key for job in second_edition.laws() if job.model.width == 192}
    some = table[table["job"].isin(keys) & table["post_format"].eq("INT4") & table["post_scaling"].eq("channel")]
    slopes = [np.polyfit(np.log(one["D"]), np.log(one["delta"]), 1)[0] for _, one in some.groupby("language_seed")]
    assert len(slopes) == 3
    assert sureness.of_sizes(table)[-1] == pytest.approx(half(slopes))


def test_what_four_bits_add_to_one_cell_by_its_jobs(table):
    gaps = table[table["post_method"].eq("none")].set_index("job")["gap"]

    def of(jobs, bits):
        mine = [j for j in jobs if j.model.width == 192 and j.D == 122_068_992]
        mine = [j for j in mine if bits is None or str(j.recipe.weights.format) == bits]
        return {(j.language.seed, j.seed): gaps[j.key] for j in mine}

    full, few = of(second_edition.laws(), None), of(second_edition.bits(), "INT4")
    assert full.keys() == few.keys()
    means = [np.mean([few[one, s] - full[one, s] for s in (0, 1)]) for one in range(3)]
    assert sureness.of_penalties(table, 4)[-1] == pytest.approx(half(means) / np.mean(means))


def test_bars_count_cells_and_say_in_how_many_they_are_met(table):
    found = sureness.bars(table)
    each = (sureness.of_sizes(table), sureness.of_differences(table), sureness.of_penalties(table, 4))
    for (_, row), widths in zip(found.iterrows(), each, strict=False):
        assert (row["cells"], row["met"]) == (len(widths), sum(width <= row["bar"] for width in widths))
        assert [row["least"], row["median"], row["most"]] == [min(widths), np.median(widths), max(widths)]
    assert len(sureness.of_recipes(table)) == 3 * 7
    assert len(sureness.of_differences(table)) == 2 * (len(second_edition.compared()) - 1)


def test_a_difference_is_taken_within_languages(table):
    """Exponents of two networks that rise together from language to language differ by less than each is unsure."""
    named = second_edition.compared()
    some = table[table["job"].isin(named["standard"] | named["no gains, no decay"])].copy()
    steps = some["language_seed"].map({0: 0.1, 1: 0.4, 2: 0.9})
    some["delta"] = 1e-3 * some["D"].astype(float) ** (steps + some["weight_decay"].eq(0))
    few = {name: named[name] for name in ("standard", "no gains, no decay")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(second_edition, "compared", lambda: few)
        assert sureness.of_differences(some) == pytest.approx([0, 0], abs=1e-9)
