"""Make the open table of runs: train what its batches define and is missing, and write the files that ship."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from precsim.evidence.experiments import open_table, second_edition
from precsim.runs.tables import OPEN_TABLE, SECOND_EDITION, Evaluation, Run, RunStore, check
from precsim.training.populations import populations_of
from precsim.training.sweeps import Accelerator, finished
from precsim.writing import draft_of

if TYPE_CHECKING:
    from precsim.training.job import Job
    from precsim.training.populations import Population


EDITIONS = {OPEN_TABLE: open_table.batches, SECOND_EDITION: second_edition.batches}
DATA = Path(__file__).parents[2] / "data"  # where the files that ship are, and are written


def main(arguments: list[str] | None = None) -> None:
    """Train the missing runs of the chosen batches into one store, and write the table of all that is there.

    Interrupted work is taken up again. Without a GPU, or with --write alone, nothing is trained.
    """
    parser = argparse.ArgumentParser(prog="python -m precsim.evidence.experiments.make", description=main.__doc__)
    parser.add_argument("batches", nargs="*", metavar="BATCH", help="all by default")
    parser.add_argument("--edition", choices=list(EDITIONS), default=OPEN_TABLE, help="which table (%(default)s)")
    parser.add_argument("--store", type=Path, default=Path("open_table.db"), help="where runs are kept (%(default)s)")
    parser.add_argument("--cache", type=Path, help="folder of compiled programs")
    parser.add_argument("--states", type=Path, help="folder of the states of unfinished populations")
    parser.add_argument("--devices", type=int, default=1, help="GPUs (%(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="processes for each GPU (%(default)s)")
    parser.add_argument("--write", action="store_true", help="train nothing, only write the table")
    options = parser.parse_args(arguments)
    known = EDITIONS[options.edition]()
    for name in options.batches:
        if name not in known:
            parser.error(f"there is no batch {name!r}; the batches are {', '.join(known)}")
    with RunStore(options.store) as store:
        take_up(store, known, options.edition)
        if not options.write:
            where = Accelerator(devices=options.devices, workers=options.workers)
            done = store.keys()
            todo = [p for name in options.batches or known for p in populations_of(known[name], where.members, done)]
            todo.sort(key=_seconds, reverse=True)
            show = sys.stderr.isatty()
            for run in finished(todo, where, cache=options.cache, states=options.states, progress=show):
                store.add(run)
        write(store, known, DATA, options.edition)


def _seconds(population: Population) -> float:
    """About how long a population takes on one GPU: by its tokens, but no step below half a millisecond."""
    jobs = population.jobs
    steps = sum(job.steps for job in jobs) / population.members
    dear = 6 if jobs[0].recipe.backward or jobs[-1].recipe.backward else 1  # six quantizers, all recipes in one program
    return max(5e-4 * max(steps, *(job.steps for job in jobs)), dear * sum(job.D * job.N**0.4 for job in jobs) / 3e9)


def take_up(store: RunStore, known: dict[str, tuple[Job, ...]], name: str = OPEN_TABLE) -> int:
    """Put the runs of the table that ships into a store, so that they are not trained again; how many were new."""
    path = DATA / f"{name}.parquet"
    if not path.exists():
        return 0
    specs = {job.key: job.spec for jobs in known.values() for job in jobs}
    looks, fields = Evaluation.__slots__, [n for n in Run.__slots__ if n not in ("spec", "evaluations")]
    runs = []
    for job, rows in pd.read_parquet(path).groupby("job", sort=False):
        if job not in specs:
            continue  # of a batch that was changed since
        records = rows.to_dict("records")
        evaluations = tuple(Evaluation(**{name: row[name] for name in looks}) for row in records)
        kept = Run(**{name: records[0][name] for name in fields}, spec=specs[str(job)], evaluations=evaluations)
        runs.append(kept)
    return store.add_all(runs)


def write(store: RunStore, known: dict[str, tuple[Job, ...]], folder: Path, name: str = OPEN_TABLE) -> dict:
    """Write the table as Parquet and CSV, and a record of what is in it; each file appears whole or not at all.

    Returns
    -------
    dict
        The record: hashes of the files, and for each batch the number of jobs declared and made.
    """
    runs = {job: rows for job, rows in store.table().groupby("job", sort=False)}
    parts = [runs[job.key].assign(batch=batch) for batch, jobs in known.items() for job in jobs if job.key in runs]
    if not parts:
        raise ValueError(f"{store} has no run of these batches; train some first")
    table: Any = check(pd.concat(parts, ignore_index=True))
    files = {f"{name}.parquet": _parquet, f"{name}.csv.gz": _csv}
    trained = table.drop_duplicates("job")
    record = {
        "sha256": {file: _replace(folder / file, table, writer) for file, writer in files.items()},
        "models": len(trained),
        "evaluations": len(table),
        "diverged": int(trained["diverged"].sum()),
        "tokens": int(trained["D"].sum()),
        "seconds": round(float(trained["seconds"].sum())),
        "batches": {
            batch: {"declared": len(jobs), "made": sum(job.key in runs for job in jobs)}
            for batch, jobs in known.items()
        },
        "devices": sorted(set(table["device"])),
        "versions": sorted(set(table["versions"])),
    }
    text = json.dumps(record, indent=1) + "\n"
    _replace(folder / f"{name}.json", text, lambda words, path: path.write_text(words))
    return record


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, compression="zstd")


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, compression={"method": "gzip", "mtime": 0})  # equal tables make equal files


def _replace(path: Path, content, writer) -> str:
    with draft_of(path) as draft:
        writer(content, draft)
        return hashlib.sha256(draft.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
