"""Many training runs: grouped into `populations`, run here or in worker processes, kept as they end, taken up again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from precsim.runs.tables import Run, RunStore, table
from precsim.training.executors import Accelerator, Cluster, Cores, Local, Where
from precsim.training.job import Job
from precsim.training.populations import Population, pieces, populations_of
from precsim.training.worker import run_population, train_and_report
from precsim.training.workers import Failed, Folders, SweepError, Worker, run_in_workers

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Future
    from tqdm import tqdm

__all__ = ["Accelerator", "Cluster", "Cores", "Local", "SweepError", "finished", "sweep"]


def sweep(
    jobs: Iterable[Job],
    store: RunStore | str | Path | None = None,
    *,
    where: Where | None = None,
    cache: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every job, keep each run as it ends, and return the table of all of them.

    Parameters
    ----------
    jobs : iterable of Job
        A job given twice is trained once.
    store : RunStore or path, optional
        Where runs are kept. Jobs that are there already are not trained again, so a sweep that was
        stopped or killed is taken up by calling it again. Without a store the runs are kept in memory only.
    where : Local, Cores, Accelerator or Cluster, optional
        Where the jobs run; `Local` by default.
    cache : path, optional
        Folder for compiled programs, made if absent; a later sweep of the same shapes starts in seconds.
    progress : bool
        Show a bar on standard error with the rate and the time left.

    Returns
    -------
    pandas.DataFrame
        One row for each (job, evaluation), in the order of the jobs; see `runs.COLUMNS`. A run that
        diverged is a row with ``diverged=True``, never an exception.

    Raises
    ------
    ValueError
        If `where` is something else, or something in `jobs` is no Job.
    StoreError
        If the store cannot be used; nothing was trained.
    SweepError
        After all else is done, if some jobs could not be finished: workers died over them three times. It says which,
        the store keeps the reasons, and ``table`` of the error is what was finished. At once, if no worker can work.

    Notes
    -----
    Only this process writes to the store, one transaction for each finished run. An interruption (Ctrl-C) stops the
    workers and leaves the store ready to be taken up again.

    Examples
    --------
    >>> from precsim.training.languages import ZipfFacts
    >>> from precsim.models import MLP
    >>> from precsim.training import Job
    >>> jobs = Job.grid(model=MLP(4), language=ZipfFacts(), tokens=10_000, seed=range(2))
    >>> sweep(jobs, progress=False)[["N", "D", "seed", "diverged"]].to_dict("records")
    [{'N': 256, 'D': 10240, 'seed': 0, 'diverged': False}, {'N': 256, 'D': 10240, 'seed': 1, 'diverged': False}]
    """
    where = Local() if where is None else where
    if not isinstance(where, Where):
        raise ValueError(f"where must be Local(), Cores(n), Accelerator() or Cluster(scheduler), not {where!r}")
    wanted = {_key(job): job for job in jobs}
    with contextlib.ExitStack() as stack:
        if isinstance(store, (str, Path)):
            store = stack.enter_context(RunStore(store))
        kept = {} if store is None else {run.job: run for run in store.runs(store.keys() & wanted.keys())}
        todo = populations_of(wanted, where.members, frozenset(kept))
        try:
            for run in stack.enter_context(contextlib.closing(finished(todo, where, cache=cache, progress=progress))):
                kept[run.job] = run
                if store is not None:
                    store.add(run)
        except SweepError as failure:
            if store is not None:
                for key, reason in failure.failed.items():
                    store.fail(key, reason)
            done = table(kept[key] for key in wanted if key in kept)
            raise SweepError(str(failure), failure.failed, done) from None
    return table(kept[key] for key in wanted)


def finished(
    todo: Iterable[Population],
    where: Where,
    *,
    cache: str | Path | None = None,
    states: str | Path | None = None,
    progress: bool = True,
) -> Generator[Run, None, None]:
    """Train populations and yield each run as it ends, in no particular order; nothing is kept.

    Parameters
    ----------
    todo : iterable of Population
        From `populations_of`; those of several sweeps may be trained together, each as if alone.
    where, cache, progress
        As in `sweep`.
    states : path, optional
        Folder where workers on a machine of this one's keep the states of unfinished populations, every minute, so that
        a sweep that was killed goes on inside of them.

    Raises
    ------
    SweepError
        After all other runs, if some jobs could not be finished; at once, if no worker can work.
    """
    todo = tuple(todo)
    total, done = sum(len(population.jobs) for population in todo), 0
    failed: dict[str, Failed] = {}
    with _bar(todo, progress) as bar, contextlib.closing(_run(todo, where, Folders(cache, states), bar.update)) as runs:
        for run in runs:
            if isinstance(run, Failed):
                failed[run.job.key] = run
                continue
            done += 1
            bar.set_postfix_str(f"{done} of {total} runs", refresh=False)
            yield run
    if failed:
        few = "; ".join(f"{key} ({each.job.model}): {each.reason}" for key, each in list(failed.items())[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        reasons = {key: each.reason for key, each in failed.items()}
        raise SweepError(f"{len(failed)} of {total} jobs could not be finished: {few}{more}", reasons)


def _run(
    todo: tuple[Population, ...], where: Where, folders: Folders, report: Callable
) -> Generator[Run | Failed, None, None]:
    """Run all populations where they are to run; `report` is called with training FLOP done."""
    match where:
        case Local():
            for population in todo:
                yield from train_and_report(population, folders.cache, report, folders.states)
        case Cores():
            cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
            count = where.count or len(cores) or os.cpu_count() or 1
            workers = [Worker.pinned(cores[n % len(cores)] if cores else None) for n in range(count)]
            yield from run_in_workers(todo, workers, folders, report)
        case Cluster():
            yield from _run_on_cluster(todo, where, folders.cache, report)
        case Accelerator():
            workers = [
                Worker.on_accelerator(n, where.workers) for _ in range(where.workers) for n in range(where.devices)
            ]
            yield from run_in_workers(todo, workers, folders, report, whole=True)


def _run_on_cluster(
    todo: tuple[Population, ...], where: Cluster, cache: str | Path | None, report: Callable
) -> Iterator[Run | Failed]:
    from distributed import Client, KilledWorker, as_completed

    folder = None if cache is None else str(Path(cache).absolute())
    with contextlib.ExitStack() as stack:
        client = where.scheduler
        if isinstance(client, str):
            client = stack.enter_context(Client(client))
        futures: dict[Future, tuple[Population, int]] = {}  # what each is to do, and how many workers died of it

        def submit(piece: Population, deaths: int) -> Future:
            future = client.submit(run_population, piece, folder, retries=where.retries, pure=False)
            futures[future] = piece, deaths
            return future

        stack.callback(lambda: client.cancel(list(futures)))
        done = as_completed([submit(piece, 0) for population in todo for piece in pieces(population)])
        for future in done:
            piece, deaths = futures[future]
            if future.status == "finished":
                yield from future.result()
                report(piece.flops)
            elif isinstance(future.exception(), KilledWorker) and deaths < where.retries:
                done.add(submit(piece, deaths + 1))  # the scheduler gives up on a task long before
            elif len(piece.jobs) > 1:
                for job in piece.jobs:  # which of them is to blame shows when each is alone
                    done.add(submit(dataclasses.replace(piece, jobs=(job,)), deaths))
            else:
                yield from (Failed(job, f"the cluster could not run it: {future.exception()!r}") for job in piece.jobs)


def _bar(todo: tuple[Population, ...], show: bool) -> tqdm:
    from tqdm.auto import tqdm

    total = sum(population.flops for population in todo)
    return tqdm(total=total, unit="FLOP", unit_scale=True, disable=not show or not todo, desc="sweep")


def _key(job: Job) -> str:
    if not isinstance(job, Job):
        raise ValueError(f"a sweep is made of Jobs; received {job!r}")
    return job.key
