"""Sweeps: grouping, resuming, worker processes, and a kill at any moment."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pandas as pd
import pytest

from precsim.evidence.experiments.chapters import one_sitting
from precsim.models import MLP
from precsim.numerics import INT2, INT3, INT4, PerChannel, Quantizer
from precsim.runs import ForeignStore, RunStore
from precsim.training import Cluster, Cores, Job, Local, Recipe, SweepError, populations_of, sweep, workers
from precsim.training.languages import ZipfFacts
from precsim.training.workers import command
from tests.support.places import ROOT
from tests.support.processes import killed, python

LOW = [Recipe(), *(Recipe(weights=Quantizer(fmt, PerChannel())) for fmt in (INT2, INT3))]
SHARED = {"language": ZipfFacts(vocabulary=8), "batch_tokens": 64, "post": (Quantizer(INT4, PerChannel()),)}
JOBS = Job.grid(model=[MLP(4), MLP(6)], tokens=[640, 6400, 32_000], recipe=LOW, **SHARED)


def settled(table):
    """What must not depend on when and where the jobs ran."""
    return table.drop(columns=["seconds"]).sort_values(["job", "post"], ignore_index=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def quiet_workers(cache):
    return sweep(JOBS, where=Cores(2, members=3), cache=cache, progress=False)


@pytest.fixture(scope="module")
def quiet(cache):
    return sweep(JOBS, where=Local(members=3), cache=cache, progress=False)


def test_table_has_every_job_in_order_and_its_evaluations(quiet):
    assert quiet["job"].drop_duplicates().tolist() == [job.key for job in JOBS]
    assert len(quiet) == 2 * len(JOBS)
    assert (quiet.groupby("model")["seconds"].sum() > 0).all()


def test_a_job_given_twice_is_trained_once(cache):
    assert sweep([JOBS[0], JOBS[0]], cache=cache, progress=False)["job"].nunique() == 1
    assert sweep([], progress=False).empty


def test_resumed_sweep_repeats_nothing_and_gives_the_same_bits(tmp_path, cache, quiet):
    store = tmp_path / "runs.db"
    sweep(JOBS[3:8], store, where=Local(members=3), cache=cache, progress=False)
    with RunStore(store) as before:
        seconds = {run.job: run.seconds for run in before.runs()}
    table = sweep(JOBS, store, where=Local(members=3), cache=cache, progress=False)
    assert all((table.loc[table["job"] == job, "seconds"] == took).all() for job, took in seconds.items())
    pd.testing.assert_frame_equal(settled(table), settled(quiet))


@pytest.mark.slow
def test_worker_processes_give_the_same_runs(tmp_path, cache, quiet):
    short = [job for job in JOBS if job.tokens == 640]
    with RunStore(tmp_path / "runs.db") as store:
        table = sweep(short, store, where=Cores(2, members=3), cache=cache, progress=False)
        assert len(store) == len(short)
    expected = quiet[quiet["D"] == 640].reset_index(drop=True)
    # one thread adds in another order than two: equal to rounding errors, over these 10 steps
    pd.testing.assert_frame_equal(settled(table), settled(expected), rtol=1e-5, atol=1e-6)


def test_progress_goes_to_standard_error_with_rate_and_time_left(capsys, cache):
    sweep(JOBS[:3], where=Local(members=3), cache=cache)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "FLOP/s" in shown.err
    assert "3 of 3 runs" in shown.err


def test_a_bad_store_is_refused_before_any_training(tmp_path):
    (tmp_path / "notes.db").write_text("my notes")
    with pytest.raises(ForeignStore, match="not a store"):
        sweep(JOBS, tmp_path / "notes.db", progress=False)
    assert (tmp_path / "notes.db").read_text() == "my notes"


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"Local\(\).*'here'"):
        sweep(JOBS, where="here")
    with pytest.raises(ValueError, match="made of Jobs; received 'job'"):
        sweep(["job"])
    with pytest.raises(ValueError, match=r"members.*0"):
        Local(members=0)
    with pytest.raises(ValueError, match="count"):
        Cores(0)


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def script(store, cache, where):
    return textwrap.dedent(f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("jobs", {__file__!r})
        jobs = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(jobs)
        jobs.sweep(jobs.JOBS, {str(store)!r}, where=jobs.{where}, cache={str(cache)!r}, progress=False)
    """)


def check_store(store, quiet):
    with RunStore(store) as kept:
        assert sorted(kept.keys()) == sorted(job.key for job in JOBS)
        assert all(len(run.evaluations) == 2 for run in kept.runs())
        pd.testing.assert_frame_equal(settled(kept.table()), settled(quiet), check_dtype=False)


@pytest.mark.slow
def test_killed_at_five_random_moments_no_run_is_lost_doubled_or_half_written(tmp_path, cache, quiet):
    store, moments = tmp_path / "runs.db", random.Random(11)
    done = [0]
    for _ in range(5):
        # the moment counts from the first sign of life, so that kills fall into the work and not the imports
        enough, deadline = done[-1] + moments.randrange(4), time.monotonic() + 60
        with python(script(store, cache, "Local(members=3)")) as process:
            while process.poll() is None and time.monotonic() < deadline:
                if store.exists() and count(store) >= enough:
                    time.sleep(moments.uniform(0, 0.6))
                    break
                time.sleep(0.01)
        done.append(count(store) if store.exists() else 0)
    assert done == sorted(done)  # nothing that was finished is lost
    subprocess.run([sys.executable, "-c", script(store, cache, "Local(members=3)")], check=True)
    check_store(store, quiet)


def count(store):
    with RunStore(store) as kept:
        assert all(len(run.evaluations) == 2 for run in kept.runs())  # nothing is half-written
        return len(kept)


@pytest.mark.slow
def test_killed_workers_are_replaced_and_their_work_is_done(tmp_path, cache, quiet_workers):
    store = tmp_path / "runs.db"
    kills = 0
    with python(script(store, cache, "Cores(2, members=3)")) as process:
        while process.poll() is None:
            time.sleep(1.0)  # both kills fall into the sweep, however quick the machine
            for child in children(process.pid)[:1] if kills < 2 else []:
                kills += killed(child)
    assert process.returncode == 0
    assert kills == 2
    check_store(store, quiet_workers)


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path, cache):
    with python(script(tmp_path / "runs.db", cache, "Cores(2, members=3)")) as process:
        while not (workers := children(process.pid)):
            time.sleep(0.05)
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}")]


@pytest.mark.slow
def test_an_interruption_stops_the_workers_and_leaves_a_usable_store(tmp_path, cache, quiet_workers):
    store = tmp_path / "runs.db"
    with python(script(store, cache, "Cores(2, members=3)"), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (store.exists() and count(store)):
            time.sleep(0.02)  # the first run is in the store: the workers are at work, and most of it is left
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert 0 < count(store) < len(JOBS)
    sweep(JOBS, store, where=Cores(2, members=3), cache=cache, progress=False)
    check_store(store, quiet_workers)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_a_cluster_that_loses_a_worker_gives_every_run_once(tmp_path, cache):
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    store, small = tmp_path / "runs.db", [job for job in JOBS if job.tokens < 32_000]
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        quiet = sweep(small, where=Cluster(client, members=3), cache=cache, progress=False)
        victim = next(iter(client.run(os.getpid).values()))
        killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
        killer.start()
        sweep(small[:4], store, where=Cluster(client, members=1), progress=False)
        killer.join()
        sweep(small, store, where=Cluster(client, members=3), cache=cache, progress=False)
    with RunStore(store) as kept:
        assert sorted(kept.keys()) == sorted(job.key for job in small)
        pd.testing.assert_frame_equal(
            settled(kept.table()), settled(quiet), check_dtype=False, rtol=1e-4, atol=1e-5
        )  # populations of one and of three add in another order


def test_a_file_in_the_current_folder_is_not_executed_in_place_of_the_library(tmp_path):
    """A worker started with ``-m`` looked for ``queue`` in the folder where the sweep was called, before anywhere."""
    (tmp_path / "queue.py").write_text("raise SystemExit('queue.py of the current folder was executed')")
    plain = [word for word in command() if word != "-P"]
    assert len(plain) == len(command()) - 1
    for words, executed in ((command(), False), (plain, True)):
        done = subprocess.run(words, cwd=tmp_path, input=b"", capture_output=True, check=False)
        assert (b"queue.py of the current folder" in done.stderr) == executed
        assert (done.returncode != 0) == executed  # a worker whose input ends at once ends in peace


def test_workers_that_cannot_start_end_the_sweep_and_blame_no_job(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(
        SweepError, match="3 workers died before they were ready; the last ended with status 1"
    ) as caught:
        sweep(JOBS, where=Cores(1), progress=False)
    assert caught.value.failed == {}


@pytest.mark.slow
@pytest.mark.parametrize("end", ["os._exit(7)", "raise MemoryError('no room')"], ids=["dies", "raises"])
def test_a_job_that_workers_cannot_run_is_marked_and_the_sweep_goes_on(
    monkeypatch, tmp_path, cache, quiet_workers, end
):
    bad = JOBS[4]
    start = f"""
import os, sys
sys.path.append({str(ROOT)!r})
from precsim.training import engine, worker
train = engine.train_population
def spoiled(jobs, **rest):
    for trained in train(jobs, **rest):
        if any(job.key == {bad.key!r} for job in jobs):
            {end}
        yield trained
engine.train_population = spoiled
worker.main()
"""
    monkeypatch.setattr(workers, "command", lambda: [sys.executable, "-P", "-c", start])
    reason = "status 7.*3 times" if "exit" in end else "MemoryError: no room.*3 times"
    with pytest.raises(
        SweepError, match=rf"1 of {len(JOBS)} jobs could not be finished: {bad.key}.*{reason}"
    ) as caught:
        sweep(JOBS, tmp_path / "runs.db", where=Cores(2, members=3), cache=cache, progress=False)
    others = quiet_workers[quiet_workers["job"] != bad.key].reset_index(drop=True)
    pd.testing.assert_frame_equal(settled(caught.value.table), settled(others))
    with RunStore(tmp_path / "runs.db") as store:
        assert list(store.failures()) == list(caught.value.failed) == [bad.key]
        assert store.keys() == {job.key for job in JOBS} - {bad.key}
    monkeypatch.undo()
    sweep(JOBS, tmp_path / "runs.db", where=Cores(2, members=3), cache=cache, progress=False)
    with RunStore(tmp_path / "runs.db") as store:
        assert store.failures() == {}
        assert len(store) == len(JOBS)


def test_planning_takes_no_longer_for_a_job_among_many():
    """Each job was compared with all jobs before it: four times as many took ten times as long."""

    def seconds(count):
        jobs = Job.grid(model=MLP(4), tokens=640, recipe=LOW, seed=range(count // 3), **SHARED)
        begun = time.process_time()
        populations_of(jobs, 8)
        return time.process_time() - begun

    seconds(30)
    assert min(seconds(6000) for _ in range(2)) < 8 * min(seconds(1500) for _ in range(3))


@pytest.mark.weekly  # the opening page trains the same grid in every build
def test_the_opening_grid_shows_both_laws():
    table = sweep(one_sitting(), where=Cores(2, members=9), progress=False)
    assert not table["diverged"].any()
    plain = table[table["weights"] == float("inf")]
    rounded = plain[plain["post_method"] == "rtn"].groupby(["N", "post", "D"])
    damage = rounded["delta"].mean().unstack()
    rises = damage.loc[damage.index.get_level_values("post").isin([3, 4, 5])].diff(axis=1).iloc[:, 1:] > 0
    assert rises.to_numpy().mean() >= 0.95
    total = rounded["gap"].mean().unstack()
    for bits in (2, 3):  # the best budget of most sizes is an inner one: beyond it, more data hurts
        best = total.xs(bits, level="post").idxmin(axis=1)
        inner = total.columns[1:-1] if bits == 3 else total.columns[:-1]
        assert best.isin(inner).mean() >= 0.75
