"""A population trained and reported: in this process, as one task of a cluster, or in a worker process.

A worker process is fed through its standard input by `precsim.training.workers`. It pins its core before JAX is
loaded, because JAX starts as many threads as it finds cores; so this module loads neither JAX nor a model.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precsim.runs.tables import Run
    from precsim.training.populations import Population


def train_and_report(
    population: Population,
    cache: str | Path | None,
    report: Callable[[float], None],
    states: str | Path | None = None,
) -> Iterator[Run]:
    """Train a population in this process and yield each run as it ends.

    Parameters
    ----------
    population : Population
    cache : path or None
        Folder for compiled programs.
    report : callable
        Called now and then with the training FLOP done since the last call, at 6 N for each token.
    states : path or None
        Folder for the states of unfinished populations.
    """
    from precsim.training.engine import train_population  # loads JAX, after a worker has pinned its core
    from precsim.training.program import cached_in

    cost = 6 * population.jobs[0].N
    with cached_in(cache):
        for trained in train_population(
            population.jobs,
            members=population.members,
            together=population.together,
            progress=lambda tokens: report(cost * tokens),
            states=states,
        ):
            yield trained.run


def run_population(population: Population, cache: str | None) -> list[Run]:
    """The runs of a population, as one task of a cluster."""
    return list(train_and_report(population, cache, lambda flops: None))


def main() -> None:
    """Serve until standard input ends; that also ends the work in hand, so no worker outlives its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with messages
    try:
        core, cache, states = pickle.load(sys.stdin.buffer)
    except EOFError:
        return
    if core is not None:
        os.sched_setaffinity(0, {core})
    import precsim.training.engine  # noqa: F401 - a worker that cannot load it is no fault of its jobs

    tasks: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()

    def say(*message: object) -> None:
        pickle.dump(message, out)
        out.flush()

    say("ready")
    while True:
        try:
            for run in train_and_report(tasks.get(), cache, lambda flops: say("progress", flops), states):
                say("run", run)
        except Exception:
            say("failed", traceback.format_exc())
        say("idle")


def _listen(tasks: queue.SimpleQueue) -> None:
    try:
        while True:
            tasks.put(pickle.load(sys.stdin.buffer))
    except (EOFError, OSError):
        os._exit(0)
