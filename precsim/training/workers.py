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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import precsim
from precsim.training.populations import Population, pieces

if TYPE_CHECKING:
    from precsim.runs.tables import Run

_ATTEMPTS = 3  # a population that kills this many workers is given up
# A worker has one core and XLA one thread: small products do not divide well, and two such workers do more than one
# process with two threads (`make bench` measures it). The bits of a worker, which adds in one order, are then also
# the same on machines with more cores; tests/training/test_sweeps.py compares one thread with two: 1e-5 apart.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
# autotuning makes compiles slower, and which kernels win differs from run to run; Triton's products make programs
# 3 times slower; cuBLASLt has TF32 kernels for newer GPUs than cuBLAS takes by itself
_GPU_FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false --xla_gpu_enable_cublaslt=true"


class SweepError(RuntimeError):
    """Workers died again and again over the same jobs, or could not work at all."""


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
        self.task = (number, population)
        self.shapes.add(number)
        self._send(population)

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
) -> Iterator[Run]:
    """Run the populations in worker processes, whole or in pieces of one filling, and yield runs as they end.

    A worker prefers pieces of a shape that it has compiled, then shapes that nobody has. What a dead worker had
    not finished goes to its successor.
    """
    waiting = [(n, p) for n, population in enumerate(todo) for p in ([population] if whole else pieces(population))]
    deaths: dict[str, int] = {}
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    alive: list[_Process] = []

    def feed(process: _Process) -> None:
        process.task = None
        if waiting:
            started = {n for other in alive for n in other.shapes}
            best = min(waiting, key=lambda item: (item[0] not in process.shapes, item[0] in started))
            waiting.remove(best)
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
                    process.stop()
                    waiting.insert(0, _what_is_left(process, deaths))
                    alive.append(_Process(process.worker, folders, inbox))
                    feed(alive[-1])
                case ("progress", flops):
                    report(flops)
                case ("run", run):
                    assert process.task is not None
                    number, piece = process.task
                    rest = tuple(job for job in piece.jobs if job.key != run.job)
                    process.task = (number, dataclasses.replace(piece, jobs=rest))
                    yield run
                case ("idle",):
                    feed(process)
                case ("failed", text):
                    raise SweepError(f"a worker could not run its jobs:\n{text}")
    finally:
        for process in alive:
            process.stop()


def _what_is_left(process: _Process, deaths: dict[str, int]) -> tuple[int, Population]:
    assert process.task is not None
    number, piece = process.task
    for job in piece.jobs:
        deaths[job.key] = deaths.get(job.key, 0) + 1
        if deaths[job.key] >= _ATTEMPTS:
            raise SweepError(
                f"{_ATTEMPTS} workers died while running job {job.key} ({job.model}); it may need more memory"
            )
    return number, piece
