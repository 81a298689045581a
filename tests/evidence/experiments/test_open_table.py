"""The open table: declared, whole, unchanged, and the same when its rows are trained again."""

import gzip
import hashlib
import io
import json
from importlib import resources

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.evidence.experiments.make import DATA, take_up, write
from precsim.evidence.experiments.open_table import batches
from precsim.models import Transformer
from precsim.runs import COLUMNS, RunStore
from precsim.training import train

FOLDER = resources.files("precsim.data")
RECORD = json.loads((FOLDER / "open_table.json").read_text())


@pytest.fixture(scope="module")
def declared():
    return batches()


@pytest.fixture(scope="module")
def table():
    return ps.load_runs("precsim-2026")


def test_every_row_belongs_to_a_declared_job_and_says_what_that_job_says(declared, table):
    jobs = {job.key: (name, job) for name, made in declared.items() for job in made}
    assert len(jobs) == sum(len(made) for made in declared.values())
    ends = table[table["post_method"].eq("none") & table["step"].eq(table["steps"])].set_index("job")
    assert ends.index.is_unique
    assert set(table["job"]) == set(ends.index)
    for key, row in ends.iterrows():
        name, job = jobs[key]
        assert (row["batch"], row["N"], row["D"], row["seed"]) == (name, job.N, job.D, job.seed)
        assert (row["language_seed"], row["holdout"], row["steps"]) == (job.language.seed, job.holdout, job.steps)
    counts = table.groupby("job").size()
    expected = {key: (1 + len(jobs[key][1].post)) * len(jobs[key][1].look_steps) for key in counts.index}
    assert counts.to_dict() == expected


def test_the_record_counts_what_is_there(declared, table):
    assert RECORD["models"] == table["job"].nunique()
    assert RECORD["evaluations"] == len(table)
    trained = table.drop_duplicates("job")
    for name, made in declared.items():
        assert RECORD["batches"][name] == {"declared": len(made), "made": int((trained["batch"] == name).sum())}
    for name, digest in RECORD["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
    size = sum((FOLDER / name).stat().st_size for name in RECORD["sha256"])
    assert size <= 20 * 2**20


def test_both_files_hold_the_same_table(table):
    with gzip.open(io.BytesIO((FOLDER / "open_table.csv.gz").read_bytes())) as file:
        other = pd.read_csv(file, low_memory=False)  # in chunks, pandas would guess the types of words several times
    assert list(other.columns) == list(table.columns) == [*COLUMNS, "batch"]
    for name in table.columns:
        if pd.api.types.is_numeric_dtype(table[name]):
            assert np.array_equal(table[name].to_numpy(float), other[name].to_numpy(float), equal_nan=True), name
        else:
            assert (table[name].astype(str) == other[name].astype(object).fillna("").astype(str)).all(), name


def test_a_changed_file_and_an_unknown_batch_are_refused(tmp_path, monkeypatch):
    for name in ("open_table.parquet", "open_table.json"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"no batch 'mian'; it has .*main"):
        ps.load_runs("precsim-2026", batch="mian")
    with open(tmp_path / "open_table.parquet", "r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    with pytest.raises(ValueError, match=r"open_table\.parquet is not the file that was shipped"):
        ps.load_runs("precsim-2026")
    with pytest.raises(ValueError, match="batches are parts of the open table"):
        ps.load_runs("mine.csv", batch="main")


def test_the_files_that_ship_are_where_the_next_runs_look_for_them():
    assert DATA == FOLDER
    assert all((DATA / name).exists() for name in RECORD["sha256"])


@pytest.mark.weekly  # a minute and a half; the files are frozen, and their digests are tested above
def test_what_ships_is_taken_up_and_written_again_bit_for_bit(tmp_path, declared):
    with RunStore(tmp_path / "runs.db") as store:
        assert take_up(store, declared) == RECORD["models"]
        assert write(store, declared, tmp_path)["sha256"] == RECORD["sha256"]


@pytest.mark.weekly  # another row each time, so that one day it may be the odd one
def test_a_random_row_trained_again_on_this_processor(declared, table):
    """Training is chaotic and a GPU multiplies in TF32, so that only the size of numbers can agree.

    Losses of the smallest runs came out within 0.5 % of the table's, a third of the spread between two seeds. Another
    row in each run of the tests: half a minute.
    """
    jobs = {job.key: job for made in declared.values() for job in made}
    small = [key for key in table["job"].unique() if 6 * jobs[key].N * jobs[key].D < 3e10]
    small = [key for key in small if isinstance(jobs[key].model, Transformer) and jobs[key].language.seed == 0]
    for key in np.random.default_rng().choice(small, 1):
        rows = table[table["job"] == key].reset_index(drop=True)
        looks = train(jobs[key]).evaluations
        again = pd.DataFrame([{"gap": e.gap, "delta": e.delta, "rms": e.weight_rms} for e in looks])
        what = f"{jobs[key].model} {jobs[key].recipe} seed {jobs[key].seed}"
        assert again["gap"][0] == pytest.approx(rows["gap"][0], rel=0.015), what
        assert again["rms"][0] == pytest.approx(rows["weight_rms"][0], rel=0.03), what
        large = rows["delta"] > 0.03
        assert np.allclose(again["delta"][large], rows["delta"][large], rtol=0.4), what


def test_the_data_card_describes_every_column_and_counts_what_is_there(table):
    card = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")
    lines = [line.strip("|").split("|") for line in card.splitlines() if line.startswith("| `")]
    described = {name.strip(" `"): (meaning.strip(), unit.strip()) for name, meaning, unit in lines}
    assert list(described) == list(table.columns)
    assert all(described[name] == (meaning, unit or "–") for name, (meaning, unit) in COLUMNS.items())
    for digest in RECORD["sha256"].values():
        assert digest in card
    assert f"{RECORD['models']:,} models" in card
    assert f"{RECORD['evaluations']:,} evaluations" in card
    assert f"{RECORD['tokens'] / 1e9:.1f} billion" in card
    assert RECORD["diverged"] == 0
    assert all(batch["made"] == batch["declared"] for batch in RECORD["batches"].values())
