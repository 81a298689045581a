"""Slices of a table of runs: exactly the rows a law speaks of, and means that say how many runs they are of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim import laws
from precsim.runs import slices

INF = np.inf


def table() -> pd.DataFrame:
    """Two networks of every kind, each with one row that must be left out."""
    base = {
        "batch": "main", "N": 100, "D": 1000, "loss": 3.0, "gap": 1.0, "delta": 0.0, "weights": INF, "activations": INF,
        "kv": INF, "weights_format": "", "post": INF, "post_activations": INF, "post_kv": INF, "post_format": "",
        "post_scaling": "", "post_method": "none", "step": 10, "steps": 10, "diverged": False, "holdout": False,
    }  # fmt: skip
    rounded = {"post": 4.0, "post_format": "INT4", "post_scaling": "channel", "post_method": "rtn", "delta": 0.1}
    changes: list[dict] = [
        {}, {"gap": 2.0}, {"batch": "parts"}, {"diverged": True}, {"step": 5}, {"activations": 4.0},
        {"weights": 4.0, "weights_format": "INT4"}, {"weights": 4.0, "weights_format": "FP4_E2M1"},
        rounded, {**rounded, "delta": 0.3}, {**rounded, "post_scaling": "tensor"}, {**rounded, "post_format": "NF4"},
        {**rounded, "post_method": "gptq"}, {**rounded, "weights": 4.0, "weights_format": "INT4"},
        {**rounded, "post": 8.0, "post_format": "INT8/2^6", "post_scaling": "block 32 E8M0"},
    ]  # fmt: skip
    return pd.DataFrame([{**base, **change, "row": i} for i, change in enumerate(changes)])


def test_rows_as_trained_are_finished_integer_and_of_their_batch():
    rows = table()
    assert slices.as_trained(rows)["row"].tolist() == [0, 1, 6]
    assert slices.as_trained(rows, only=())["row"].tolist() == [0, 1]
    assert slices.as_trained(rows, batch="parts")["row"].tolist() == [2]
    assert slices.as_trained(rows, batch=("main", "parts"))["row"].tolist() == [0, 1, 2, 6]
    assert slices.as_trained(rows, only=("weights", "activations"))["row"].tolist() == [0, 1, 5, 6]
    assert slices.as_trained(rows.drop(columns="batch"), batch=None)["row"].tolist() == [0, 1, 2, 6]


def test_rows_rounded_after_are_to_nearest_by_channel():
    rows = table()
    assert slices.rounded_after(rows, bits=(4,))["row"].tolist() == [8, 9]
    assert slices.rounded_after(rows, bits=(4,), trained=(4.0, INF))["row"].tolist() == [8, 9, 13]
    assert slices.rounded_after(rows, bits=(4,), trained=None)["row"].tolist() == [8, 9, 13]
    assert slices.rounded_after(rows, bits=(4,), method="gptq")["row"].tolist() == [12]
    assert slices.rounded_after(rows, bits=(8,)).empty


def test_rows_rounded_after_may_have_been_trained_with_other_tensors_in_few_bits():
    rows = table()
    rows.loc[9, "activations"] = 4.0
    rows = rows.assign(activations_format="INT4")
    assert slices.rounded_after(rows, bits=(4,))["row"].tolist() == [8]
    assert slices.rounded_after(rows, bits=(4,), only=("weights", "activations"))["row"].tolist() == [8, 9]


def test_a_cell_is_the_mean_gap_of_its_runs_with_the_error_of_delta():
    (cell,) = slices.cells(slices.rounded_after(table(), bits=(4,))).to_dict("records")
    assert cell["loss"] == 1.0
    assert cell["delta"] == pytest.approx(0.2)
    assert cell["delta_se"] == pytest.approx(0.1)
    assert cell["runs"] == 2
    assert cell["entropy"] == 0.0
    found = slices.cells(slices.as_trained(table()))
    assert found.set_index("weights")["loss"].to_dict() == {4.0: 1.0, INF: 1.5}


def test_the_open_table_gives_a_law_of_each_kind():
    """The table that ships: what is fitted in the chapters converges, and δ grows with data."""
    runs = ps.load_runs("precsim-2026")
    trained = slices.cells(slices.as_trained(runs))
    found = ps.fit(laws.Chinchilla() | laws.Saturating(laws.WEIGHTS), trained)
    assert found.law.E == 0.0
    shares = [float(found.law.n_eff(1.0, weights=P)) for P in (2, 3, 4, 6, 8)]
    assert np.all(np.diff(shares) > 0)
    after = ps.fit(laws.KumarDegradation(), slices.cells(slices.rounded_after(runs)))
    assert after.law.gamma_D > 0.3
    assert 0.5 < after.law.gamma_post < 0.8  # a symmetric grid's step squared falls by 4 to 5.4 a bit
