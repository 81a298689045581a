"""``precsim sweep``: jobs from a grid file, trained and kept."""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import textwrap
from pathlib import Path
from typing import Any

from precsim.cli.grid_file import EXAMPLE, load
from precsim.cli.printing import as_json, columns, count, duration
from precsim.runs import RunStore
from precsim.training import Accelerator, Cluster, Cores, Job, Local, populations_of, sweep
from precsim.training.executors import Where

# Training speed of small models [FLOP/s at 6 N D], order of magnitude, measured with this engine: one process on two
# cores of a CPU, and one H200. The runs of the store replace them as soon as there are some on this kind of device.
_CPU_RATE, _GPU_RATE = 8e9, 1e13


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = (
        "Train every job of a grid file and keep each run as it ends; a sweep that was stopped goes on."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "example of a grid file:\n\n" + textwrap.indent(EXAMPLE, "  ")
    parser.add_argument("grid", metavar="GRID.toml")
    parser.add_argument("--store", metavar="RUNS.db", help="where runs are kept; needed unless --dry-run")
    where_options(parser)
    parser.set_defaults(run=_sweep)


def where_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where jobs run, and what is shown of it."""
    parser.add_argument("--where", default="local", help="local (default), cores, cores:N, gpu, or tcp://… (Dask)")
    parser.add_argument("--members", type=int, metavar="N", help="most jobs side by side in one program")
    parser.add_argument("--cache", metavar="FOLDER", help="keep compiled programs here")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def executor(text: str, members: int | None) -> Where:
    """Where jobs run, from the words of ``--where``.

    Raises
    ------
    ValueError
        With the words that are understood.

    Examples
    --------
    >>> executor("cores:2", None)
    Cores(count=2, members=8)
    """
    size: dict[str, Any] = {} if members is None else {"members": members}
    word, _, rest = text.partition(":")
    if text == "local":
        return Local(**size)
    if word == "cores" and (not rest or rest.isdecimal()):
        return Cores(int(rest) if rest else None, **size)
    if text == "gpu":
        return Accelerator(**size)
    if word in ("tcp", "tls", "ucx") and rest.startswith("//") and len(rest) > 2:
        return Cluster(text, **size)
    raise ValueError(
        f"--where is local, cores, cores:N, gpu or the address of a Dask scheduler (tcp://…); got {text!r}"
    )


def _sweep(options: argparse.Namespace) -> int:
    jobs = load(options.grid)
    if not options.store and not options.dry_run:
        raise ValueError("--store says where the runs are kept, as in --store runs.db (or --dry-run to only look)")
    return go(jobs, options)


def go(jobs: tuple[Job, ...], options: argparse.Namespace) -> int:
    """Train the jobs as the options say, or only say what that would be."""
    where = executor(options.where, options.members)
    store = Path(options.store) if options.store else None
    if options.cache is not None and Path(options.cache).exists() and not Path(options.cache).is_dir():
        raise ValueError(f"--cache is a folder for compiled programs; {options.cache} is none")
    if options.dry_run:
        return _say(jobs, where, store, options)
    with RunStore(store) as kept:  # type: ignore[arg-type]
        table = sweep(jobs, kept, where=where, cache=options.cache, progress=not options.quiet)
    final: Any = table[table["post_method"] == "none"].drop_duplicates("job")  # pyright: ignore[reportCallIssue]
    record = {
        "store": str(store),
        "runs": len(final),
        "evaluations": len(table),
        "diverged": int(final["diverged"].sum()),
        "seconds": float(final["seconds"].sum()),
    }
    print(as_json(record) if options.json else columns([{**record, "seconds": duration(record["seconds"])}]))
    return 0


def _say(jobs: tuple[Job, ...], where: Where, store: Path | None, options: argparse.Namespace) -> int:
    """What a sweep would do: jobs, FLOP, populations, time."""
    wanted = {job.key: job for job in jobs}
    done: frozenset[str] = frozenset()
    measured: float | None = None
    if store is not None and store.exists():
        with RunStore(store) as kept:
            done = kept.keys() & wanted.keys()
            measured = _measured_rate(kept, gpu=options.where == "gpu")
    todo = [job for key, job in wanted.items() if key not in done]
    flops = float(sum(6 * job.N * job.D for job in todo))
    rate = measured or _guess(options.where)
    record = {
        "jobs": len(jobs),
        "distinct": len(wanted),
        "stored": len(done),
        "to_train": len(todo),
        "evaluations": sum((1 + len(job.post)) * len(job.look_steps) for job in todo),
        "populations": len(populations_of(wanted, where.members, done)),
        "N": [min(job.N for job in jobs), max(job.N for job in jobs)],
        "D": [min(job.D for job in jobs), max(job.D for job in jobs)],
        "flop": flops,
        "seconds": flops / rate,
        "flop_per_second": rate,
        "basis": "the runs of the store" if measured else "a typical speed; compiling and evaluating come on top",
    }
    if options.json:
        print(as_json(record))
        return 0
    doubled = f" ({len(jobs) - len(wanted)} given twice)" if len(wanted) < len(jobs) else ""
    kept_already = f", {len(done)} of them in {store} already" if done else ""
    (low, high), (short, long) = record["N"], record["D"]
    print(
        f"jobs        {len(wanted)}{doubled}{kept_already}\n"
        f"models      N {count(low)} to {count(high)} parameters, D {count(short)} to {count(long)} tokens\n"
        f"evaluations {record['evaluations']}\n"
        f"programs    {record['populations']} populations of at most {where.members}\n"
        f"training    {count(flops)}FLOP\n"
        f"time        about {duration(record['seconds'])} at {count(rate)}FLOP/s: {record['basis']}"
    )
    return 0


def _guess(where: str) -> float:
    if where == "gpu":
        return _GPU_RATE
    if where.startswith("cores"):
        number = where.partition(":")[2]
        return _CPU_RATE * max(1.0, (int(number) if number else os.cpu_count() or 1) * 0.75)  # two workers do 1.5
    return _CPU_RATE


def _measured_rate(store: RunStore, *, gpu: bool) -> float | None:
    """Median of 6 N D / seconds over the stored runs on this kind of device."""
    rates = [
        6 * run.N * run.D / run.seconds
        for run in itertools.islice(store.runs(), 1000)  # enough for a median
        if run.seconds > 0 and ("cpu" not in run.device.lower()) == gpu
    ]
    return statistics.median(rates) if rates else None
