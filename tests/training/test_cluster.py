"""A cluster on which nothing is safe: workers killed again and again, the client killed once."""

import contextlib
import json
import os
import sys
import textwrap
import time

import pandas as pd
import pytest

from precsim.models import MLP
from precsim.numerics import INT2, INT3, INT4, PerChannel, Quantizer
from precsim.runs import RunStore
from precsim.training import Cluster, Job, Recipe, SweepError, engine, sweep
from precsim.training.languages import ZipfFacts
from tests.support.processes import killed, python

MEMBERS = 5
RECIPES = [Recipe(), *(Recipe(weights=Quantizer(fmt, PerChannel())) for fmt in (INT2, INT3, INT4))]


def grid(tokens):
    """Two hundred jobs of three lengths."""
    shared = {"language": ZipfFacts(vocabulary=8), "batch_tokens": 64, "post": (Quantizer(INT4, PerChannel()),)}
    lengths = [tokens // 4, tokens // 2, tokens, tokens * 2]
    jobs = Job.grid(model=MLP(4), tokens=lengths, recipe=RECIPES, seed=list(range(13)), **shared)
    return jobs[:200]


def client(address, store, cache, tokens):
    """A process that sweeps the grid on the cluster."""
    code = textwrap.dedent(f"""
        import importlib.util
        spec = importlib.util.spec_from_file_location("chaos", {__file__!r})
        chaos = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(chaos)
        where = chaos.Cluster({address!r}, members=chaos.MEMBERS)
        chaos.sweep(chaos.grid({tokens}), {str(store)!r}, where=where, cache={str(cache)!r}, progress=False)
    """)
    return python(code)


def stored(path):
    if not path.exists():
        return 0
    with RunStore(path) as store:
        return len(store)


def chaos(folder, tokens, interval, least_kills):
    """Sweep in peace, then with a worker killed every `interval` seconds and the client once; what happened."""
    import distributed

    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    jobs, store, cache = grid(tokens), folder / "runs.db", folder / "programs"
    began = time.monotonic()
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as here:
        quiet = sweep(jobs, where=Cluster(here, members=MEMBERS), cache=cache, progress=False)
    peace = time.monotonic() - began
    began, kills, at_death = time.monotonic(), 0, None
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as here:
        with contextlib.ExitStack() as clients:
            process = clients.enter_context(client(cluster.scheduler_address, store, cache, tokens))
            next_kill = began + interval
            while process.poll() is None:
                time.sleep(0.1)
                if at_death is None and stored(store) >= len(jobs) // 3:
                    process.kill()
                    process.wait()
                    at_death = stored(store)
                    process = clients.enter_context(client(cluster.scheduler_address, store, cache, tokens))
                elif time.monotonic() >= next_kill:
                    workers = here.run(os.getpid, on_error="ignore")
                    if workers:  # one that went by itself since it answered does not count
                        kills += killed(sorted(workers.values())[kills % len(workers)])
                    next_kill += interval
                    cluster.scale(2)  # a worker that a busy machine was too slow to start is given up unless asked for
        assert process.returncode == 0
    with RunStore(store) as kept:
        table, keys = kept.table(), list(kept.keys())
    assert at_death is not None
    assert 0 < at_death < len(jobs)  # the client died in the middle
    assert sorted(keys) == sorted(job.key for job in jobs)
    assert len(table) == 2 * len(jobs)  # each as trained and after its treatment, once
    found, wanted = (t.drop(columns="seconds").sort_values(["job", "post"], ignore_index=True) for t in (table, quiet))
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_exact=True)
    assert kills >= least_kills, f"{kills} kills: the jobs are too short for this machine"
    return {
        "jobs": len(jobs),
        "workers killed": kills,
        "runs stored when the client was killed": at_death,
        "seconds in peace": round(peace),
        "seconds in chaos": round(time.monotonic() - began),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_200_jobs_end_once_each_and_bit_for_bit_while_workers_and_the_client_are_killed(tmp_path):
    pytest.importorskip("distributed")
    chaos(tmp_path, tokens=60_000, interval=4.0, least_kills=2)


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore")
def test_the_same_for_minutes_with_a_kill_every_20_seconds(tmp_path, capsys):
    pytest.importorskip("distributed")
    report = chaos(tmp_path, tokens=3_000_000, interval=20.0, least_kills=5)
    with capsys.disabled():
        sys.stdout.write(json.dumps(report) + "\n")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_job_that_a_cluster_cannot_run_is_named_after_all_others_are_done(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    jobs = Job.grid(model=MLP(4), language=ZipfFacts(vocabulary=8), batch_tokens=64, tokens=640, seed=range(5))
    bad, train = jobs[2].key, engine.train_population

    def spoiled(given, **rest):
        if bad in {job.key for job in given}:
            raise MemoryError("no room")
        return train(given, **rest)

    monkeypatch.setattr(engine, "train_population", spoiled)
    settings = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as here:
        with pytest.raises(SweepError, match=f"1 of 5 jobs could not be finished: {bad}.*no room") as caught:
            sweep(jobs, tmp_path / "runs.db", where=Cluster(here, members=3, retries=1), progress=False)
    assert set(caught.value.table["job"]) == {job.key for job in jobs} - {bad}
    with RunStore(tmp_path / "runs.db") as store:
        assert (len(store), list(store.failures())) == (4, [bad])
