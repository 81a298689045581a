"""Worker processes of a sweep: started, fed, watched and replaced by the one process that writes results."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import precsim
from precsim.training.populations import Population, pieces

if TYPE_CHECKING:
    import pandas as pd

    from precsim.runs.tables import Run
    from precsim.training.job import Job

_ATTEMPTS = 3  # a job that kills this many workers is given up
# A worker has one core and XLA one thread: small products do not divide well, and two such workers do more than one
# process with two threads (`make bench` measures it). The bits of a worker, which adds in one order, are then also
# the same on machines with more cores; tests/training/test_sweeps.py compares one thread with two: 1e-5 apart.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
# autotuning makes compiles slower, and which kernels win differs from run to run; Triton's products make programs
# 3 times slower; cuBLASLt has TF32 kernels for newer GPUs than cuBLAS takes by itself
_GPU_FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false --xla_gpu_enable_cublaslt=true"


class SweepError(RuntimeError):
    """Workers could not work at all, or some jobs could not be finished though all others were.

    Attributes
    ----------
    failed : mapping of str to str
        Key of a job -> why it could not be finished.
    table : DataFrame or None
        The runs that were finished, as `sweep` would have returned them.
    """

    def __init__(
        self, message: str, failed: Mapping[str, str] | None = None, table: pd.DataFrame | None = None
    ) -> None:
        super().__init__(message)
        self.failed, self.table = dict(failed or {}), table


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that no worker could finish, and why."""

    job: Job
    reason: str


@dataclass(frozen=True, slots=True)
class Worker:
    """How a worker process is set up before it loads JAX."""

    core: int | None
    platform: str | None
    flags: str
    settings: tuple[tuple[str, str], ...] = ()

    @classmethod
    def pinned(cls, core: int | None) -> Worker:
        """One thread, on one core if a number is given."""
        return cls(core, "cpu", _ONE_THREAD)

    @classmethod
    def on_accelerator(cls, device: int, sharing: int) -> Worker:
        """GPU number `device`, shared by so many workers, with compiler settings for small models."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        chosen = visible[device] if len(visible) > device and visible[device] else str(device)
        share = f"{0.9 / sharing:.3f}"
        return cls(
            None, None, _GPU_FLAGS, (("CUDA_VISIBLE_DEVICES", chosen), ("XLA_PYTHON_CLIENT_MEM_FRACTION", share))
        )


def command() -> list[str]:
    """What starts a worker process.

    -P keeps the current folder off the path: a ``queue.py`` that lies there must not be executed in place of the
    library's. The folder that this package is in comes last on it, for a package that runs from its sources.
    """
    folder = str(Path(precsim.__file__).parents[1])
    start = f"import sys; sys.path.append({folder!r}); from precsim.training.worker import main; main()"
    return [sys.executable, "-P", "-c", start]


class Folders(NamedTuple):
    """Where workers keep what they need again."""

    cache: str | Path | None = None  # compiled programs
    states: str | Path | None = None  # populations that are not finished


class _Process:
    """A running worker; its messages arrive in a queue as (process, message), the last being None."""

    def __init__(self, worker: Worker, folders: Folders, inbox: queue.SimpleQueue) -> None:
        self.worker = worker
        self.shapes: set[int] = set()  # populations whose program it has compiled
        self.task: tuple[int, Population] | None = None
        self.done: set[str] = set()  # jobs of the task that have become runs
        self.ready = False
        environment = dict(os.environ)
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {worker.flags}".strip()
        environment |= dict(worker.settings)
        if worker.platform:
            environment["JAX_PLATFORMS"] = worker.platform
        self._child = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._to, self._from = self._child.stdin, self._child.stdout
        self._send((worker.core, *(None if folder is None else str(Path(folder).absolute()) for folder in folders)))
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def give(self, number: int, population: Population) -> None:
        """Send work; the worker answers with progress, runs, and at last "idle"."""
        self.task, self.done = (number, population), set()
        self.shapes.add(number)
        self._send(population)

    def left(self) -> tuple[int, Population]:
        """What it has not finished of its task."""
        assert self.task is not None
        number, piece = self.task
        return number, dataclasses.replace(piece, jobs=tuple(job for job in piece.jobs if job.key not in self.done))

    def ended(self) -> str:
        """How a process whose messages have ended did so, in words."""
        try:
            code = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "fell silent"
        return f"ended by signal {-code}" if code < 0 else f"ended with status {code}"

    def stop(self) -> None:
        """Kill the process: finished runs are with the parent already, and the rest will be run again."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # a dead worker is noticed where its messages end
            pickle.dump(message, self._to)
            self._to.flush()

    def _listen(self, inbox: queue.SimpleQueue) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                inbox.put((self, pickle.load(self._from)))
        inbox.put((self, None))


def run_in_workers(
    todo: tuple[Population, ...],
    workers: list[Worker],
    folders: Folders,
    report: Callable[[float], None],
    *,
    whole: bool = False,
) -> Iterator[Run | Failed]:
    """Run the populations in worker processes, whole or in pieces of one filling, and yield runs as they end.

    A worker prefers pieces of a shape that it has compiled, then shapes that nobody has. What a dead worker had
    not finished goes to its successor; a job over which workers die again and again is given up, alone.

    Raises
    ------
    SweepError
        If workers die before they are ready: then something else than the jobs is wrong.
    """
    waiting = _Waiting(todo, whole=whole)
    unready = 0  # workers in a row that died before they were ready
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    alive: list[_Process] = []

    def feed(process: _Process) -> None:
        process.task = None
        if (best := waiting.take(process.shapes, {n for other in alive for n in other.shapes})) is not None:
            process.give(*best)

    try:
        for worker in workers[: len(waiting)]:
            alive.append(_Process(worker, folders, inbox))
            feed(alive[-1])
        while any(process.task for process in alive):
            process, message = inbox.get()
            if process not in alive:
                continue
            match message:
                case None:
                    alive.remove(process)
                    how = process.ended()
                    process.stop()
                    unready = 0 if process.ready else unready + 1
                    if unready >= _ATTEMPTS:
                        raise SweepError(f"{unready} workers died before they were ready; the last {how}")
                    if process.task is not None:
                        number, piece = process.left()
                        reason = f"a worker {how} while running it; it may need more memory"
                        yield from waiting.again(number, piece, reason if process.ready else None)
                    alive.append(_Process(process.worker, folders, inbox))
                    feed(alive[-1])
                case ("ready",):
                    process.ready = True
                case ("progress", flops):
                    report(flops)
                case ("run", run):
                    process.done.add(run.job)
                    yield run
                case ("idle",):
                    feed(process)
                case ("failed", text):
                    last = text.strip().rpartition("\n")[2]
                    number, piece = process.left()
                    yield from waiting.again(number, piece, f"a worker could not run it: {last}")
    finally:
        for process in alive:
            process.stop()


class _Waiting:
    """Work that no worker has: pieces by the number of their shape, and how often workers failed over each job.

    A piece that failed twice is divided, fillings before single jobs, until the job is alone that is to blame. The
    slots of a population stay as many, so that the bits of the others do not change.
    """

    def __init__(self, todo: tuple[Population, ...], *, whole: bool) -> None:
        self._pieces = {n: deque([p] if whole else pieces(p)) for n, p in enumerate(todo)}
        self._failures: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._pieces.values()))

    def take(self, known: set[int], started: set[int]) -> tuple[int, Population] | None:
        """The next piece for a worker that has compiled the shapes `known`."""
        numbers = [n for n, left in self._pieces.items() if left]
        if not numbers:
            return None
        best = min(numbers, key=lambda n: (n not in known, n in started))
        return best, self._pieces[best].popleft()

    def again(self, number: int, piece: Population, reason: str | None) -> Iterator[Failed]:
        """Put a piece back that was not finished, and give up its job if it is to blame; None blames no job."""
        if not piece.jobs:
            return
        parts = [piece]
        if reason is not None:
            for job in piece.jobs:
                self._failures[job.key] = self._failures.get(job.key, 0) + 1
            most = max(self._failures[job.key] for job in piece.jobs)
            if len(piece.jobs) == 1 and most >= _ATTEMPTS:
                yield Failed(piece.jobs[0], f"{reason} ({most} times)")
                return
            if most >= _ATTEMPTS - 1 and len(piece.jobs) > 1:
                parts = pieces(piece)
                if len(parts) == 1:
                    parts = [dataclasses.replace(piece, jobs=(job,)) for job in piece.jobs]
        self._pieces[number].extendleft(reversed(parts))
