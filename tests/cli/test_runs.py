"""Sweeps, stores and quantization after training from the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from support.commands import SMALL, call, store_in

import precsim as ps
from precsim.cli.grid_file import read
from precsim.runs import RunStore


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return store_in(tmp_path_factory.mktemp("sweep"))


def test_a_sweep_keeps_every_run_and_goes_on_where_it_stopped(capsys, store):
    jobs = read(SMALL)
    with RunStore(store) as kept:
        assert kept.keys() == {job.key for job in jobs}
    grid = store.parent / "grid.toml"
    status, out, _ = call(capsys, "sweep", grid, "--store", store, "--dry-run")
    assert status == 0
    assert "4, 4 of them in" in out
    assert "training    0FLOP" in out
    status, out, _ = call(capsys, "sweep", grid, "--store", store, "--json", "--quiet")
    assert json.loads(out)["runs"] == 4


def test_the_dry_run_counts_what_the_sweep_does(capsys, store):
    status, out, _ = call(capsys, "sweep", store.parent / "grid.toml", "--dry-run", "--json")
    record = json.loads(out)
    jobs = read(SMALL)
    assert status == 0
    assert record["jobs"] == record["to_train"] == 4
    assert record["flop"] == sum(6 * job.N * job.D for job in jobs)
    assert record["evaluations"] == 12
    assert not (store.parent / "None").exists()


def test_runs_ls_show_export_merge(capsys, store, tmp_path):
    status, out, _ = call(capsys, "runs", "ls", store, "--json")
    assert status == 0
    listed = json.loads(out)
    assert len(listed) == 4
    key = listed[0]["job"]
    status, out, _ = call(capsys, "runs", "show", store, key[:10], "--json")
    shown = json.loads(out)
    assert shown["job"] == key
    assert shown["spec"]["is"] == "Job"
    assert len(shown["evaluations"]) == 3
    status, out, _ = call(capsys, "runs", "ls", store)
    assert "4 runs, 12 evaluations, 0 diverged" in out
    status, out, _ = call(capsys, "runs", "show", store, key)
    assert "entropy" in out
    for name in ("t.parquet", "t.csv"):
        assert call(capsys, "runs", "export", store, tmp_path / name)[0] == 0
        assert len(ps.load_runs(tmp_path / name)) == 12
    status, _, err = call(capsys, "runs", "export", store, tmp_path / "t.csv")
    assert status == 2
    assert "is there already" in err
    status, out, _ = call(capsys, "runs", "merge", tmp_path / "all.db", store, store)
    assert status == 0
    assert out.count("4 runs copied") == 1
    assert "0 runs copied" in out


def test_ptq_trains_again_and_agrees_with_the_stored_model(capsys, store, tmp_path):
    with RunStore(store) as kept:
        run = next(run for run in kept.runs() if math.isinf(run.weights))
    out_store = tmp_path / "ptq.db"
    words = ("ptq", store, "--job", run.job, "--post", "INT2", "--post", "INT4", "--store", out_store, "--quiet")
    assert call(capsys, *words)[0] == 0
    with RunStore(out_store) as kept:
        (again,) = kept.runs()
    assert again.loss == pytest.approx(run.loss, rel=1e-5)  # the population had more places: another order of sums
    old = next(e for e in run.evaluations if e.post == 4)
    new = next(e for e in again.evaluations if e.post == 4)
    assert new.delta == pytest.approx(old.delta, rel=1e-3)
    assert {e.post for e in again.evaluations} == {math.inf, 2.0, 4.0}
