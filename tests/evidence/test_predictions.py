"""Predictions for networks held out: written once, before the runs, from the table that ships."""

import hashlib
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from support.commits import record_before

import precsim as ps
from precsim.evidence import predictions as foretold
from precsim.evidence.experiments.second_edition import large
from precsim.runs import Table

FILE, RECORD = "precsim/data/predictions-2.json", "precsim/data/precsim-2027.json"


@pytest.fixture(scope="module")
def table() -> Table:
    return ps.load_runs("precsim-2027")


def test_the_file_is_the_one_that_was_written_before_the_runs(monkeypatch):
    content = resources.files("precsim.data").joinpath("predictions-2.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == foretold.DIGEST
    monkeypatch.setattr(foretold, "DIGEST", "0" * 64)
    with pytest.raises(ValueError, match="before the runs"):
        foretold.predictions()


def test_it_is_about_the_networks_of_the_batch_that_is_held_out_and_every_law_speaks_of_each():
    jobs = large()
    assert all(job.holdout for job in jobs)
    assert {(job.N, job.D) for job in jobs} == set(foretold.HELD_OUT)
    rows = pd.DataFrame(foretold.predictions()["predictions"])
    assert not rows.duplicated(["N", "D", "what", "law"]).any()
    assert rows.groupby(["what", "law"]).size().eq(len(foretold.HELD_OUT)).all()
    assert rows.groupby("what")["law"].nunique().to_dict() == {
        "gap": 2, "delta at 3 bits": 6, "delta at 4 bits": 6, "delta at 6 bits": 6
    }  # fmt: skip
    assert (rows["sd"] > 0).all()


def test_its_commit_precedes_the_runs_and_the_table_it_was_made_from_had_none_of_them():
    before = record_before(FILE, RECORD)
    assert before["sha256"]["precsim-2027.parquet"] == foretold.predictions()["table"]
    assert before["batches"].get("large", {"made": 0})["made"] == 0


def test_the_power_law_of_the_file_is_that_of_the_normal_equations(table):
    """Of rows picked here by hand, without `rows` and `cells_of`; in exact sums the file's four digits."""
    heads = table["model"].str.extract(r"head_width=(\d+)", expand=False).astype(int)
    usual = heads.eq(np.where(table["N"] > 800_000, 64, 16)) & np.isinf(table["weights"])
    picked = table[usual & table["batch"].isin(["gate", "laws"])]
    for bits in (3, 4, 6):
        rows = picked[picked["post_format"].eq(f"INT{bits}") & picked["post_scaling"].eq("channel")]
        rows = rows[rows["delta"] > 0]
        cells = np.log(rows[["N", "D", "delta"]]).groupby(["N", "D"], as_index=False).mean().to_numpy()
        x = np.column_stack([np.ones(len(cells)), cells[:, :2]])
        a, n, d = np.linalg.solve(x.T @ x, x.T @ cells[:, 2])
        for row in foretold.predictions()["predictions"]:
            if (row["what"], row["law"]) == (f"delta at {bits} bits", "power law"):
                assert row["ln"] == pytest.approx(a + n * np.log(row["N"]) + d * np.log(row["D"]), abs=2e-4)


def test_a_score_is_of_the_measured_mean_and_takes_the_luck_of_three_runs_into_account(table):
    """Networks made to measure: exactly as one law says, so that its error is 0 and the others' their distance."""
    said = pd.DataFrame(foretold.predictions()["predictions"])
    law = said[said["law"].eq("Chinchilla, E known")].set_index(["N", "D"])["ln"]
    one = table[table["batch"].eq("laws") & table["post_method"].eq("none")].head(1)
    made = [one.assign(N=N, D=D, batch="large", gap=np.exp(ln), seed=s) for (N, D), ln in law.items() for s in range(3)]
    found = foretold.score(pd.concat([table[table["batch"].isin(["gate", "laws"])], *made], ignore_index=True))
    assert set(found["what"]) == {"gap"}
    right = found[found["law"].eq("Chinchilla, E known")]
    np.testing.assert_allclose(right["error"], 0, atol=1e-12)
    assert right["inside"].all()
    alone = said[said["law"].eq("Chinchilla, E known")].merge(right, on=["N", "D"])
    assert (alone["sd_y"] > alone["sd_x"]).all()
    np.testing.assert_allclose(right["log_score"], -np.log(right["sd"] * np.sqrt(2 * np.pi)))
    other = found[found["law"].ne("Chinchilla, E known")].merge(right, on=["N", "D"])
    np.testing.assert_allclose(other["error_x"], np.log(other["predicted_y"] / other["predicted_x"]))
    with pytest.raises(ValueError, match=r"'large' is not trained"):
        foretold.score(table[table["batch"].ne("large")])
