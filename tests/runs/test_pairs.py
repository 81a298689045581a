"""Runs in pairs, against plain merges and the textbook's formulas."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.runs import pairs

INF = np.inf


def test_a_penalty_is_the_gap_less_that_of_the_row_that_a_merge_finds(rng):
    keys = pd.DataFrame(itertools.product((8, 9), (0, 1, 2)), columns=["N", "seed"])
    table = pd.concat([keys.assign(bits=b, gap=rng.random(6)) for b in (3.0, 4.0, INF)], ignore_index=True)
    table = table.sample(frac=1.0, random_state=1)
    found = pairs.penalties(table, by=["N", "seed"], full={"bits": INF})
    both = table[table["bits"] < INF].merge(table[table["bits"] == INF], on=["N", "seed"], suffixes=("", "_full"))
    expected = both.set_index(["N", "seed", "bits"]).eval("gap - gap_full").sort_index()
    pd.testing.assert_series_equal(
        found.set_index(["N", "seed", "bits"])["penalty"].sort_index(), expected, check_names=False
    )
    assert len(found) == 12


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, INF, 0.2), (0, INF, 0.3), (0, 4, 0.4)], "more than one row with {'bits': inf}"),
        ([(0, INF, 0.2), (1, 4, 0.4)], "1 rows have no reference"),
        ([(0, INF, np.nan), (0, 4, 0.4)], "1 rows have no reference with .* and a finite gap"),
    ],
)
def test_rows_without_exactly_one_reference_are_refused(rows, words):
    table = pd.DataFrame(rows, columns=["seed", "bits", "gap"])
    with pytest.raises(ValueError, match=words):
        pairs.penalties(table, by=["seed"], full={"bits": INF})
    with pytest.raises(ValueError, match="no column width; it has seed, bits, gap"):
        pairs.penalties(table, by=["seed"], full={"width": INF})


def test_joint_penalties_of_a_product_are_its_product(rng):
    """Gaps made by multiplying T by a factor for each part: "product" is what was put in, "sum" is less."""
    rows = []
    for seed in range(5):
        whole = 0.2 + 0.1 * rng.random()
        for (w, fw), (a, fa) in itertools.product({INF: 1.0, 4.0: 1.3, 3.0: 2.0}.items(), {INF: 1.0, 3.0: 1.7}.items()):
            rows.append((w, a, seed, whole * fw * fa))
    found = pairs.joint(pd.DataFrame(rows, columns=["W", "A", "seed", "gap"]).assign(scale="one"))
    assert [(row["W"], row["A"]) for row in found] == [(3.0, 3.0), (4.0, 3.0)] or len(found) == 2
    for row in found:
        assert row["observed"] == pytest.approx(row["product"], rel=1e-12)
        assert row["sum"] < row["product"]
        assert row["error"] > 0
    with pytest.raises(ValueError, match="one has no row with both parts in float32"):
        pairs.joint(pd.DataFrame(rows[1:2], columns=["W", "A", "seed", "gap"]).assign(scale="one"))


def test_spread_and_standard_error_are_those_of_the_standard_library(rng):
    values = rng.random(7).tolist()
    assert pairs.spread(values) == pytest.approx(statistics.stdev(values))
    assert pairs.standard_error(values) == pytest.approx(statistics.stdev(values) / 7**0.5)


def test_the_open_table_that_is_missing_or_damaged_says_so_and_is_not_taken_for_absent(tmp_path, monkeypatch):
    """Both were once reported as an installation without a table, and every figure as not tested."""
    from precsim.runs import tables

    monkeypatch.setattr(tables.resources, "files", lambda package: tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"open_table\.parquet, which comes with precsim, is missing; reinstall"
    ):
        ps.load_runs("precsim-2026")
    (tmp_path / "open_table.parquet").write_bytes(b"half a table")
    (tmp_path / "open_table.json").write_text('{"sha256": {"open_table.parquet": "00"}}')
    with pytest.raises(ValueError, match="is not the file that was shipped"):
        ps.load_runs("precsim-2026")
