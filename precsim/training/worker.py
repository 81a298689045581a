"""What runs in another process: a population as one task, or a worker fed through its standard input."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import Any


def run_population(population: Any, cache: str | None) -> list:
    """The runs of a population, as one task of a cluster."""
    from precsim.training.compilation import cached_in

    runs: list = []
    with cached_in(cache):
        _work(population, lambda kind, what: runs.append(what) if kind == "run" else None)
    return runs


def main() -> None:
    """Serve until standard input ends; that also ends the work in hand, so no worker outlives its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with messages
    settings = pickle.load(sys.stdin.buffer)
    if settings["core"] is not None:
        os.sched_setaffinity(0, {settings["core"]})
    tasks: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()

    def say(*message: Any) -> None:
        pickle.dump(message, out)
        out.flush()

    from precsim.training.compilation import cached_in

    with cached_in(settings["cache"]):
        while True:
            try:
                _work(tasks.get(), say)
            except Exception:
                say("failed", traceback.format_exc())
            say("idle")


def _work(population: Any, say: Any) -> None:
    from precsim.training.engine import train_population

    cost = 6 * population.jobs[0].N
    trained = train_population(
        population.jobs,
        members=population.members,
        together=population.together,
        progress=lambda tokens: say("progress", cost * tokens),
    )
    for one in trained:
        say("run", one.run)


def _listen(tasks: queue.SimpleQueue) -> None:
    try:
        while True:
            tasks.put(pickle.load(sys.stdin.buffer))
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main()
