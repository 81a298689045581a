"""Runs: the table's schema, its checks, and a store that refuses what it cannot trust."""

import dataclasses
import math
import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest

from precsim.runs import (
    COLUMNS,
    CorruptStore,
    Evaluation,
    ForeignStore,
    NewerStore,
    Run,
    RunStore,
    StoreError,
    check,
    excess,
    load_runs,
    table,
)
from precsim.runs.store import SCHEMA


def make(job="a", **fields):
    looks = (
        Evaluation(step=10, loss=3.0, gap=0.5, delta=0.0, delta_se=0.0, weight_rms=0.1, rate=1e-3),
        Evaluation(step=10, loss=3.25, gap=0.75, delta=0.25, delta_se=0.01, post=4.0, post_format="INT4",
                   post_scaling="PerChannel(axis=-1)", post_method="rtn"),
    )  # fmt: skip
    given = {"model": "MLP(width=8, layers=2)", "N": 1024, "D": 10240, "entropy": 2.5, "steps": 10, "weights": 3.0}
    return Run(job=job, evaluations=looks, **given | fields)


@pytest.fixture
def store(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        yield store


def test_every_field_has_a_column_and_every_column_a_meaning():
    fields = {*Run.__slots__, *Evaluation.__slots__} - {"evaluations", "spec"}
    assert set(COLUMNS) == fields
    assert all(meaning for meaning, _ in COLUMNS.values())
    assert list(table([make()]).columns) == list(COLUMNS)
    assert list(table([]).columns) == list(COLUMNS)


def test_run_round_trip_through_the_store(store):
    runs = [make(), make("b", diverged=True, seconds=1.5, learning_rate=math.nan, seed=2**32 - 1, holdout=True)]
    assert [store.add(run) for run in runs] == [True, True]
    assert [repr(run) for run in store.runs()] == [repr(run) for run in runs]  # repr, because NaN != NaN
    assert store.keys() == {"a", "b"}
    pd.testing.assert_frame_equal(store.table(), table(runs), check_dtype=False)


def test_a_job_is_kept_once_and_the_first_stays(store):
    store.add(make())
    assert not store.add(make(seconds=99.0))
    assert len(store) == 1
    assert math.isnan(next(store.runs()).seconds)


def test_a_run_is_kept_whole_or_not_at_all(store):
    first, second = make().evaluations
    broken = dataclasses.replace(make("bad"), evaluations=(first, dataclasses.replace(second, post_format=None)))
    with pytest.raises(ValueError, match="post_format of a run must be a text"):
        store.add(broken)
    assert len(store) == 0
    assert store.table().empty
    assert store.add(make("bad"))


def test_several_writers_to_one_store(tmp_path):
    path = tmp_path / "shared.db"

    def write(start):
        with RunStore(path) as store:
            for n in range(start, start + 30):
                store.add(make(f"job{n}"))

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 10, 20, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with RunStore(path) as store:
        assert store.keys() == {f"job{n}" for n in range(50)}
        assert len(store.table()) == 100


def test_merge_takes_what_is_new(tmp_path, store):
    store.add(make("a"))
    with RunStore(tmp_path / "other.db") as other:
        other.add(make("a", seconds=7.0))
        other.add(make("b"))
    assert store.merge(tmp_path / "other.db") == 1
    assert store.keys() == {"a", "b"}


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet"])
def test_export_and_load_give_the_same_table(tmp_path, store, name):
    store.add(make("a"))
    store.add(make("b", weights=math.inf, weights_format=""))
    loaded = load_runs(store.export(tmp_path / name))
    pd.testing.assert_frame_equal(loaded, store.table(), check_dtype=False)
    pd.testing.assert_frame_equal(load_runs(store.path), store.table())
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("runs.db")) == [name]


def test_unknown_endings_and_missing_files(tmp_path, store):
    with pytest.raises(ValueError, match=r"\.parquet or \.csv"):
        store.export(tmp_path / "runs.xlsx")
    (tmp_path / "runs.txt").write_text("")
    with pytest.raises(ValueError, match=r"runs\.txt"):
        load_runs(tmp_path / "runs.txt")
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv"):
        load_runs(tmp_path / "nothing.csv")


def refuse(path, error, words):
    before = path.read_bytes()
    with pytest.raises(error, match=words) as caught:
        RunStore(path)
    assert isinstance(caught.value, ValueError)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_newer_schema_is_refused_before_anything_is_changed(tmp_path):
    path = tmp_path / "runs.db"
    RunStore(path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.close()
    refuse(path, NewerStore, f"schema {SCHEMA + 1}.*up to {SCHEMA}.*upgrade")


def test_older_store_gains_the_columns_that_came_later(tmp_path):
    path = tmp_path / "runs.db"
    with RunStore(path) as store:
        store.add(make())
    db = sqlite3.connect(path)
    for name in ("curvature_se", "second_order"):  # schema 1 had neither
        db.execute(f"ALTER TABLE evaluations DROP COLUMN {name}")
    db.execute("PRAGMA user_version = 1")
    db.close()
    with RunStore(path) as store:
        (run,) = store.runs()
        assert (run.job, run.loss) == ("a", 3.0)
        assert math.isnan(run.final.second_order)
        store.add(make("b"))
        assert len(store) == 2


@pytest.mark.parametrize("content", [b"", b"SQLite", b"job,N,D,loss\na,1,2,3\n" * 20], ids=["empty", "short", "csv"])
def test_file_that_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "runs.db"
    path.write_bytes(content)
    refuse(path, ForeignStore, "not a store of runs")


def test_database_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE runs (job TEXT)")
    db.close()
    refuse(path, ForeignStore, "another program")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(ForeignStore, match="not a file"):
        RunStore(tmp_path / "folder.db")
    with pytest.raises(StoreError, match="no folder"):
        RunStore(tmp_path / "missing" / "runs.db")


@pytest.mark.parametrize("damage", ["cut", "zeroed"])
def test_damaged_store_is_refused(tmp_path, damage):
    path = tmp_path / "runs.db"
    with RunStore(path) as store:
        for n in range(200):
            store.add(make(f"job{n}"))
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[4096 : len(content) - 4096] = bytes(len(content) - 8192)
    path.write_bytes(content)
    refuse(path, CorruptStore, "damaged.*restore")


GOOD = pd.DataFrame({"job": ["a", "a", "b"], "N": [10, 10, 20], "D": [1e3, 1e3, 2e3], "loss": [2.0, 2.1, 1.9]})


def test_check_passes_good_tables_through():
    assert check(GOOD) is GOOD
    check(table([make(), make("b", diverged=True, D=-1)]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"N": [10, 10, -20]}, "column N must be positive; row 2 has -20"),
        ({"D": [1e3, np.nan, 2e3]}, "column D must be positive; row 1 has nan"),
        ({"loss": [2.0, np.inf, 1.0]}, "loss must be finite"),
        ({"loss": ["two", "2", "3"]}, "loss must hold numbers"),
        ({"weights": [4.0, 4.0, 0.0]}, "weights must be at least 1 bit.*row 2 has 0.0"),
        ({"post": [4.0, np.nan, 3.0]}, "post must be at least 1 bit"),
        ({"gap": [0.1, 0.2, -0.5]}, "gap must be at least 0; row 2 has -0.5"),
        ({"delta_se": [0.1, -0.2, 0.5]}, "delta_se"),
        ({"D": [1e3, 2e3, 2e3]}, "job a has more than one value of D"),
    ],
)
def test_check_names_what_is_wrong(changes, words):
    with pytest.raises(ValueError, match=words):
        check(GOOD.assign(**changes))


def test_check_names_missing_columns():
    with pytest.raises(ValueError, match="no column D, loss; it has job, N"):
        check(GOOD[["job", "N"]])


def test_excess_replaces_the_loss_by_the_gap():
    runs = table([make()])
    assert excess(runs)["loss"].tolist() == [0.5, 0.75]
    assert runs["loss"].tolist() == [3.0, 3.25]
    with pytest.raises(ValueError, match="no column gap"):
        excess(GOOD)
    with pytest.raises(ValueError, match="NaN"):
        excess(GOOD.assign(gap=np.nan))
