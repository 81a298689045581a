"""The second edition under the first's names: which networks, once each, and nothing of them changed."""

from __future__ import annotations

import numpy as np
import pytest

import precsim as ps
from precsim.evidence import rows
from precsim.evidence.editions import standard, standard_table
from precsim.evidence.experiments import second_edition
from precsim.models import Recipe
from precsim.runs import Table


@pytest.fixture(scope="module")
def raw() -> Table:
    return ps.load_runs("precsim-2027")


def test_the_main_batch_is_the_standard_block_with_six_networks_a_cell():
    main = standard_table().query("batch == 'main'").drop_duplicates("job")
    names = ("gate", "laws", "bits", "methods", "large", "larger")
    made = {job.key: job for name in names for job in getattr(second_edition, name)()}
    jobs = [made[key] for key in main["job"]]
    assert all(job.model == second_edition.network(job.model.width) for job in jobs)
    assert {job.compute for job in jobs} == {second_edition.COMPUTE}
    cells = {(job.model, job.tokens, job.recipe, job.language, job.seed) for job in jobs}
    assert len(cells) == len(jobs)  # once each
    wanted = {
        (job.model, job.tokens, job.recipe, job.language, job.seed)
        for job in (*second_edition.laws(), *second_edition.bits(), *second_edition.large(), *second_edition.larger())
    }
    assert cells == wanted
    free = main[~main["holdout"]]
    assert set(free.groupby(["N", "D", "weights"]).size()) == {6}
    for row, job in zip(main.itertuples(), jobs, strict=True):
        assert abs(row.D / job.tokens - 1) < 1e-3
        assert np.isinf(row.weights) == (job.recipe == Recipe())


def test_rows_are_the_raw_ones_but_for_batch_and_budget(raw):
    kept = ["job", "post_format", "post_scaling", "post_method", "post_activations", "weights", "gap", "delta", "N"]
    both = standard_table().merge(raw, on=kept[:5], suffixes=("", "_raw"))
    assert len(both) == len(standard_table())
    for name in ("gap", "delta", "N", "weights", "seed", "language_seed", "weight_rms"):
        np.testing.assert_array_equal(both[name], both[f"{name}_raw"])
    np.testing.assert_allclose(both["D"], both["D_raw"], rtol=1e-3)


def test_selections_of_the_first_edition_read_it(raw):
    table = standard_table()
    at_once = rows.damage(table).groupby(["D", "N"]).size().unstack("N")
    assert at_once.loc[7_812_500].notna().sum() == 5  # one budget, whatever the size of a step
    controls = rows.controls(table)
    by_hand = controls[controls["N"].eq(98_304) & controls["weight_decay"].gt(0) & controls["batch_tokens"].eq(2048)]
    assert by_hand["learning_rate"].nunique() == 5
    assert set(controls["weight_decay"]) == {0.0, 0.1}
    assert set(rows.methods(table)["post_method"]) == {"rtn", "gptq", "awq"}
    one = standard(raw[raw["language_seed"].eq(1)])
    assert one["job"].nunique() == table[table["language_seed"].eq(1)]["job"].nunique()
