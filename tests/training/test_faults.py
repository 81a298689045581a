"""Everything that may happen to a sweep: killed, stopped, two at once, no room. `make faults`; ten minutes.

What holds each time: what was reported as kept is there, nothing is there twice or in part, and the next start goes on.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.disks import fill, small_disk
from support.places import ROOT
from support.processes import killed, python

from precsim.models import MLP
from precsim.runs import Evaluation, Run, RunStore
from precsim.training import Job
from precsim.training.languages import ZipfFacts

pytestmark = [pytest.mark.faults, pytest.mark.weekly]

JOBS = Job.grid(
    model=[MLP(4), MLP(6)], language=ZipfFacts(vocabulary=8), batch_tokens=64, tokens=[3200, 32_000], seed=range(20)
)
KEYS = {job.key for job in JOBS}
_SWEEP_KILLS, _WORKER_KILLS = 25, 15

_SCRIPT = """
import importlib.util, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs behind with it ignored
spec = importlib.util.spec_from_file_location("jobs", {file!r})
jobs = importlib.util.module_from_spec(spec)
sys.path.insert(0, {tests!r})
spec.loader.exec_module(jobs)
from precsim.runs import RunStore
from precsim.training import Cores, Local, sweep
add = RunStore.add
def told(store, run):
    new = add(store, run)
    print(run.job, flush=True)
    return new
RunStore.add = told
sweep(jobs.JOBS, {store!r}, where={where}, cache={cache!r}, progress=False)
"""


def script(store: Path, cache: Path, where: str) -> str:
    return textwrap.dedent(_SCRIPT).format(
        file=__file__, tests=str(ROOT / "tests"), store=str(store), cache=str(cache), where=where
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Compiled programs, so that a start is a matter of seconds."""
    folder = tmp_path_factory.mktemp("cache")
    for where in ("Local(members=2)", "Cores(2, members=2)"):
        subprocess.run([sys.executable, "-c", script(folder / f"{where[:5]}.db", folder, where)], check=True)
    return folder


def sound(store: Path, reported: set[str]) -> set[str]:
    """The keys in a store in which all is well and nothing that was reported is missing."""
    if not store.exists():
        assert not reported
        return set()
    with RunStore(store) as kept:
        keys = [run.job for run in kept.runs()]
        assert len(keys) == len(set(keys)) == len(kept)
        assert kept.check().faults == ()
        assert reported <= set(keys) <= KEYS
    assert not list(store.parent.glob("*.half"))
    return set(keys)


def words_of(file: Path) -> set[str]:
    """What a script has reported, but for a line that the kill cut."""
    text = file.read_text()
    return set(text[: text.rfind("\n") + 1].split())


def test_a_sweep_that_is_killed_at_random_moments(tmp_path, cache):
    moments, kills, round_ = random.Random(20), 0, 0
    while kills < _SWEEP_KILLS:
        round_ += 1
        store, reported = tmp_path / f"runs{round_}.db", set()
        while kills < _SWEEP_KILLS:
            log = tmp_path / "log"
            with open(log, "wb") as out, python(script(store, cache, "Local(members=2)"), stdout=out) as process:
                enough, deadline = moments.randrange(6), time.monotonic() + 120
                while process.poll() is None and len(words_of(log)) < enough and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(moments.uniform(0, 3.0) if enough == 0 else moments.uniform(0, 0.2))
                running = process.poll() is None
                process.kill()
                process.wait()
            kills += running
            reported |= words_of(log)
            if len(sound(store, reported)) == len(KEYS):
                break
    subprocess.run([sys.executable, "-c", script(store, cache, "Local(members=2)")], check=True)
    assert sound(store, reported) == KEYS


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def test_workers_that_are_killed_at_random_moments(tmp_path, cache):
    moments, kills, round_ = random.Random(21), 0, 0
    while kills < _WORKER_KILLS:
        round_ += 1
        store, reported = tmp_path / f"runs{round_}.db", set()
        for _ in range(4):  # a job over which workers died three times is given up until the next start
            log = tmp_path / "log"
            with open(log, "wb") as out, python(script(store, cache, "Cores(2, members=2)"), stdout=out) as process:
                before = 0
                while process.poll() is None:
                    if len(words_of(log)) > before and kills < _WORKER_KILLS:
                        time.sleep(moments.uniform(0, 0.3))
                        before = len(words_of(log))
                        workers = children(process.pid)
                        kills += bool(workers) and killed(moments.choice(workers))
                    time.sleep(0.02)
            reported |= words_of(log)
            keys = sound(store, reported)
            if process.returncode == 0:
                break
            with RunStore(store) as kept:
                assert set(kept.failures()) | keys == KEYS
        assert keys == KEYS


def test_two_sweeps_on_one_store(tmp_path, cache):
    store = tmp_path / "runs.db"
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(python(script(store, cache, "Local(members=2)"))) for _ in range(2)]
        assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert sound(store, KEYS) == KEYS


@pytest.mark.parametrize("where", ["Local(members=2)", "Cores(2, members=2)"])
@pytest.mark.parametrize("between", [0.0, 0.02, 0.3])
def test_ctrl_c_twice(tmp_path, cache, where, between):
    store, log = tmp_path / "runs.db", tmp_path / "log"
    with open(log, "wb") as out, python(script(store, cache, where), stdout=out, stderr=subprocess.PIPE) as process:
        while process.poll() is None and len(words_of(log)) < 3:
            time.sleep(0.01)
        workers = children(process.pid)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(between)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(sound(store, words_of(log))) < len(KEYS)
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}")]
    subprocess.run([sys.executable, "-c", script(store, cache, where)], check=True)
    assert sound(store, words_of(log)) == KEYS


def test_a_disk_that_fills_in_the_middle_of_a_sweep(tmp_path, cache):
    with small_disk(tmp_path / "disk", kilobytes=8192) as disk:
        store, log = disk / "runs.db", tmp_path / "log"
        with (
            open(log, "wb") as out,
            python(script(store, cache, "Local(members=2)"), stdout=out, stderr=subprocess.PIPE, text=True) as process,
        ):
            while process.poll() is None and len(words_of(log)) < 2:
                time.sleep(0.01)
            filler = fill(disk)
            _, err = process.communicate(timeout=120)
        assert process.returncode != 0
        assert "full" in err.splitlines()[-1]
        sound(store, words_of(log))
        filler.unlink()
        subprocess.run([sys.executable, "-c", script(store, cache, "Local(members=2)")], check=True)
        assert sound(store, words_of(log)) == KEYS


def make(job: str) -> Run:
    look = Evaluation(step=10, loss=3.0, gap=0.5, delta=0.0, delta_se=0.0)
    return Run(job=job, model="MLP" * 30, N=1024, D=10240, entropy=2.5, steps=10, evaluations=(look,) * 2)


def test_a_log_that_is_cut_at_every_page_keeps_the_runs_before_the_cut(tmp_path):
    path, keys = tmp_path / "runs.db", [f"job{n:03}" for n in range(40)]
    with RunStore(path) as store:
        for key in keys:
            store.add(make(key))
        content, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    header, frame = 32, 24 + int.from_bytes(log[8:12], "big")
    assert (len(log) - header) % frame == 0
    seen = set()
    cuts = [cut + off for cut in range(header, len(log) + 1, frame) for off in (0, -1, 1, frame // 2)]
    for n, cut in enumerate([0, 1, 31, *cuts]):
        folder = tmp_path / f"cut{n}"
        folder.mkdir()
        (folder / "runs.db").write_bytes(content)
        Path(folder / "runs.db-wal").write_bytes(log[: max(cut, 0)])
        with RunStore(folder / "runs.db") as store:
            found = [run.job for run in store.runs()]
            assert found == keys[: len(found)]
            assert store.check().faults == ()
            assert store.add(make("next"))
        seen.add(len(found))
        shutil.rmtree(folder)
    assert seen == set(range(41))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give up its permissions")
def test_permission_that_is_lost_midway(tmp_path):
    """In a process of its own, which becomes nobody: the store and its folder stay another's."""
    code = f"""
    import os, pathlib, sys, tempfile
    sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
    from training.test_faults import make
    from precsim.runs import RunStore, StoreError
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder) / "runs.db"
        with RunStore(path) as store:
            kept = sum(store.add(make(f"a{{n}}")) for n in range(20))
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            status = 1
            with RunStore(path) as store:
                assert len(list(store.runs())) == kept
                try:
                    store.add(make("b"))
                except StoreError as failure:
                    status = 0 if "runs.db" in str(failure) else 2
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with RunStore(path) as store:
            assert len(store) == kept and store.add(make("b"))
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], check=True)


def test_a_limit_on_the_size_of_files_keeps_what_was_reported(tmp_path):
    code = f"""
    import resource, sys
    sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
    from training.test_faults import make
    from precsim.runs import RunStore, StoreError
    with RunStore({str(tmp_path / "runs.db")!r}) as store:
        print(store.add(make("first")))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            for n in range(2000):
                store.add(make(f"job{{n:04}}"))
                print("job", flush=True)
        except StoreError as failure:
            print("refused", failure)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("refused")
    with RunStore(tmp_path / "runs.db") as store:
        assert len(store) == len(lines) - 1
        assert store.check().faults == ()
        assert store.add(make("next"))
