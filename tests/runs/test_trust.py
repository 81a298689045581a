"""A store where something is wrong with the disk, the file or what is in it: nothing lost, nothing misread."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.disks import fill, seal, small_disk

from precsim.cli import main
from precsim.runs import CorruptStore, Evaluation, Run, RunStore, StoreError, load_runs
from precsim.runs.store import SCHEMA

STORES = sorted((Path(__file__).parent / "stores").glob("*.sqlite"))


def make(job="a", **fields):
    looks = (
        Evaluation(step=10, loss=3.0, gap=0.5, delta=-0.0, delta_se=0.0, weight_rms=0.1, rate=1e-3),
        Evaluation(step=10, loss=3.25, gap=0.75, delta=0.25, delta_se=0.01, post=4.0, post_method="rtn"),
    )
    given = {"model": "MLP", "N": 1024, "D": 10240, "entropy": 2.5, "steps": 10, "weights": 3.0, "evaluations": looks}
    return Run(job=job, **given | fields)


def filled(path, count=50):
    with RunStore(path) as store:
        store.add_all(make(f"job{n}", seed=n) for n in range(count))
    return path


def changed(path, statement):
    """The store after a statement of SQL that goes past us."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


# -- disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pending", [False, True], ids=["closed", "with a log"])
@pytest.mark.parametrize("trouble", [fill, seal], ids=["full", "read-only"])
def test_a_store_is_read_where_nothing_can_be_written(tmp_path, trouble, pending):
    with small_disk(tmp_path / "disk") as disk:
        path = filled(disk / "runs.db")
        if pending:  # a killed writer leaves its log; here it is taken from a writer at work
            with RunStore(path) as store:
                store.add(make("last"))
                copies = [shutil.copy(disk / name, tmp_path) for name in ("runs.db", "runs.db-wal")]
            for copy in copies:
                shutil.copy(copy, disk)
        trouble(disk)
        before = {p.name: p.read_bytes() for p in disk.glob("runs.db")}
        with RunStore(path) as store:
            assert len(store.table()) == 2 * len(store) == (102 if pending else 100)
            assert store.check().faults == ()
            with pytest.raises(StoreError, match=r"read but not written|full"):
                store.add_all(make(f"new{n}") for n in range(1000))
        if trouble is seal:
            assert {p.name: p.read_bytes() for p in disk.glob("runs.db")} == before
            seal(disk, sealed=False)
        (disk / "filler").unlink(missing_ok=True)
        with RunStore(path) as store:
            assert len(store) >= (51 if pending else 50)
            assert store.check().faults == ()


def test_a_disk_that_fills_while_runs_are_added_keeps_those_that_were_reported(tmp_path, capsys):
    with small_disk(tmp_path / "disk", kilobytes=600) as disk:
        kept = 0
        with RunStore(disk / "runs.db") as store:
            with contextlib.suppress(StoreError):
                for n in range(5000):
                    kept += store.add(make(f"job{n}", model="x" * 500))
            with pytest.raises(StoreError, match="full"):
                store.add_all(make(f"more{n}", model="x" * 500) for n in range(100))
            assert len(store) == kept > 10
        assert main(["runs", "ls", str(disk / "runs.db"), "--json"]) == 0
        assert capsys.readouterr().out.count('"job"') == kept
        fill(disk)
        with pytest.raises((StoreError, OSError), match=r"full|No space"):
            RunStore(disk / "second.db")
        assert not (disk / "second.db").exists()


# -- what is in the file ---------------------------------------------------------------------------------------------


def test_no_flipped_bit_changes_the_table_in_silence(tmp_path):
    path = filled(tmp_path / "runs.db", 12)
    whole, expected = path.read_bytes(), load_runs(path)
    moments, noticed = random.Random(20), 0
    for _ in range(150):
        content = bytearray(whole)
        content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
        path.write_bytes(content)
        try:
            found = load_runs(path)
        except (StoreError, ValueError):
            noticed += 1
        else:
            pd.testing.assert_frame_equal(found, expected)
    assert noticed > 15  # the other bits are of places that hold nothing


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET N = N + 1 WHERE job = 'job3'",
        "UPDATE runs SET N = 'many' WHERE job = 'job3'",
        "UPDATE runs SET seconds = 1.5 WHERE job = 'job3'",
        "UPDATE evaluations SET loss = 1.0 WHERE job = 'job3' AND ordinal = 1",
        "DELETE FROM evaluations WHERE job = 'job3' AND ordinal = 0",
        "DELETE FROM evaluations WHERE job = 'job3'",
        "UPDATE runs SET model = CAST(x'ff' AS TEXT) WHERE job = 'job3'",
        "UPDATE runs SET job = 'job333' WHERE job = 'job3'",
    ],
)
def test_a_changed_run_is_named_when_it_is_read_and_by_check(tmp_path, capsys, statement):
    path = filled(tmp_path / "runs.db", 6)
    changed(path, statement)
    with RunStore(path) as store:
        for read in (store.table, lambda: list(store.runs()), lambda: store.merge(path)):
            with pytest.raises(CorruptStore, match="damaged"):
                read()
    for verb in ("ls", "check"):
        assert main(["runs", verb, str(path)]) != 0
        out, err = capsys.readouterr()
        assert "damaged" in out + err
        assert "Traceback" not in out + err


@pytest.mark.parametrize("column", ["N", "seed", "checksum"])
def test_a_missing_column_is_said(tmp_path, column):
    path = filled(tmp_path / "runs.db", 3)
    changed(path, f"ALTER TABLE runs DROP COLUMN {column}")
    with RunStore(path) as store, pytest.raises(CorruptStore, match=f"no such column: {column}"):
        store.table()


def test_a_sound_store_passes_the_check_of_the_command(tmp_path, capsys):
    path = filled(tmp_path / "runs.db", 6)
    assert main(["runs", "check", str(path)]) == 0
    assert "6 runs, 12 evaluations: sound" in capsys.readouterr().out


def test_a_key_that_is_not_that_of_its_spec_is_refused(tmp_path):
    spec = '{"is":"Job"}'
    key = hashlib.sha256(spec.encode()).hexdigest()[:16]
    with RunStore(tmp_path / "runs.db") as store:
        with pytest.raises(ValueError, match="key is not that of its spec"):
            store.add(make("0123456789abcdef", spec=spec))
        assert store.add(make(key, spec=spec))
        assert len(store) == 1


def test_a_run_that_was_not_evaluated_at_its_end_is_refused(tmp_path):
    half = dataclasses.replace(make(), evaluations=make().evaluations[1:])
    with RunStore(tmp_path / "runs.db") as store:
        for run in (half, make(evaluations=()), make(steps=11)):
            with pytest.raises(ValueError, match="no evaluation of the model as trained at its last step"):
                store.add(run)
        assert len(store) == 0
    with pytest.raises(ValueError, match="run a has no evaluation"):
        _ = half.loss


@pytest.mark.parametrize(("field", "value"), [("N", 1.5), ("N", "many"), ("seed", math.nan), ("entropy", "2"),
                                              ("model", 3), ("D", 2**63)])  # fmt: skip
def test_a_field_that_its_column_cannot_hold_is_refused(tmp_path, field, value):
    with RunStore(tmp_path / "runs.db") as store, pytest.raises(ValueError, match=f"{field} of a run must be"):
        store.add(make(**{field: value}))


# -- stores of earlier versions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", STORES, ids=lambda path: path.stem)
def test_a_store_of_an_earlier_schema_is_read_as_it_is_and_widened_by_the_first_run(tmp_path, old):
    path = tmp_path / "runs.db"
    shutil.copy(old, path)
    before = path.read_bytes()
    with RunStore(path) as store:
        first, second = store.runs()
        assert (first.job, first.loss, second.job, second.loss) == ("old-a", 3.0, "old-b", 4.0)
        assert math.isnan(first.final.second_order)
        assert (first.gradients, first.master_format) == (math.inf, "")
        table, health = store.table(), store.check()
        assert (health.runs, health.unsummed, health.faults) == (2, 2, ())
        assert store.failures() == {}
    assert path.read_bytes() == before
    with RunStore(path) as store:
        store.add(make("new"))
        assert store.check().unsummed == 0
        pd.testing.assert_frame_equal(store.table().iloc[: len(table)], table)
    assert len(load_runs(path)) == 6


def test_there_is_a_store_of_each_earlier_schema():
    assert {int(path.stem.split("-")[1]) for path in STORES} == set(range(1, SCHEMA))


def test_text_in_a_store_without_checksums_is_said(tmp_path):
    path = tmp_path / "runs.db"
    shutil.copy(STORES[0], path)
    changed(path, "UPDATE runs SET N = 'many' WHERE job = 'old-b'")
    with RunStore(path) as store, pytest.raises(CorruptStore, match="run old-b: column N holds 'many'"):
        store.table()


# -- parts of a store ------------------------------------------------------------------------------------------------


def test_part_of_a_store_is_that_part_of_its_table(tmp_path):
    path = filled(tmp_path / "runs.db", 20)
    with RunStore(path) as store:
        store.add(make("full", weights=math.inf, holdout=True))
        whole = store.table()
        assert [run.job for run in store.runs(["full", "job3", "none"])] == ["job3", "full"]
        assert store.keys("job1") == {job for job in store.keys() if job.startswith("job1")}
        for only in (
            {"weights": math.inf},
            {"seed": np.int64(4)},
            {"job": ["full", "Infinity"]},
            {"seed": [3, 5]},
            {"weights": 3.0, "seed": 7},
            {"holdout": True},
        ):
            kept = whole
            for name, value in only.items():
                kept = kept[kept[name].isin(value if isinstance(value, list) else [value])]
            assert len(kept)
            pd.testing.assert_frame_equal(store.table(only), kept.reset_index(drop=True))
        with pytest.raises(ValueError, match="no column 'loss'"):
            store.table({"loss": 3.0})


def test_failures_are_kept_until_the_job_is_done(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        store.fail("a", "3 workers died")
        assert store.failures() == {"a": "3 workers died"}
        store.add(make("a"))
        assert store.failures() == {}
