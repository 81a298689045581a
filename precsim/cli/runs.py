"""``precsim runs``: what a store of runs holds, one run in full, files made of it, stores joined."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from precsim.cli.printing import as_json, check_new, columns, count, duration
from precsim.runs import Run, RunStore


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the verbs ls, show, check, export and merge."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    ls = verbs.add_parser("ls", help="one line for each run")
    ls.add_argument("store", metavar="RUNS.db")
    ls.add_argument("--json", action="store_true", help="print JSON")
    ls.set_defaults(run=_ls)

    show = verbs.add_parser("show", help="everything about one run")
    show.add_argument("store", metavar="RUNS.db")
    show.add_argument("job", metavar="KEY", help="key of the run, or its beginning")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(run=_show)

    check = verbs.add_parser("check", help="read all of it and compare it with its checksums")
    check.add_argument("store", metavar="RUNS.db")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(run=_check)

    export = verbs.add_parser("export", help="write the table of runs to a .parquet or .csv file")
    export.add_argument("store", metavar="RUNS.db")
    export.add_argument("out", metavar="TABLE")
    export.add_argument("--force", action="store_true", help="replace a file that is there")
    export.set_defaults(run=_export)

    merge = verbs.add_parser("merge", help="copy the runs of other stores into one")
    merge.add_argument("store", metavar="RUNS.db", help="store that receives; made if absent")
    merge.add_argument("others", metavar="OTHER.db", nargs="+")
    merge.set_defaults(run=_merge)


@contextlib.contextmanager
def existing(path: str | Path) -> Iterator[RunStore]:
    """Open a store that is there already; looking at one must not make it."""
    if not Path(path).exists():
        raise ValueError(f"there is no store of runs at {path}")
    with RunStore(path) as store:
        yield store


def pick(store: RunStore, beginnings: Iterable[str] | None) -> list[Run]:
    """The runs whose keys begin as given, each beginning naming one run; all runs without any.

    Raises
    ------
    ValueError
        If a beginning fits no run or several, or the store is empty.
    """
    if not len(store):
        raise ValueError(f"{store.path} holds no runs yet")
    if not beginnings:
        return list(store.runs())
    chosen = []
    for text in beginnings:
        keys = sorted(store.keys(text))
        if len(keys) != 1:
            which = f"{len(keys)} runs: {', '.join(keys[:4])}" if keys else "no run"
            raise ValueError(f"the key {text!r} names {which}; see precsim runs ls {store.path}")
        chosen += keys
    found = {run.job: run for run in store.runs(chosen)}
    return [found[key] for key in chosen]


def _ls(options: argparse.Namespace) -> int:
    with existing(options.store) as store:
        runs, failed = list(store.runs()), store.failures()
    rows = [
        {
            "job": run.job,
            "model": run.model,
            "N": run.N,
            "D": run.D,
            "weights": run.weights,
            "activations": run.activations,
            "kv": run.kv,
            "seed": run.seed,
            "loss": run.loss,
            "gap": run.gap,
            "evaluations": len(run.evaluations),
            "diverged": run.diverged,
            "seconds": run.seconds,
        }
        for run in runs
    ]
    if options.json:
        print(as_json(rows))
    elif not rows:
        print(f"{options.store} holds no runs yet")
    else:
        print(columns([{**row, "N": count(row["N"]), "D": count(row["D"])} for row in rows]))
        looks = sum(row["evaluations"] for row in rows)
        total = duration(sum(row["seconds"] for row in rows if row["seconds"] > 0))
        print(
            f"{len(rows)} runs, {looks} evaluations, {sum(r['diverged'] for r in rows)} diverged, {total} of training"
        )
        for job, reason in failed.items():
            print(f"not finished: {job}: {reason}")
    return 0


def _show(options: argparse.Namespace) -> int:
    with existing(options.store) as store:
        (run,) = pick(store, [options.job])
    record = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    looks = [dataclasses.asdict(look) for look in run.evaluations]
    record["evaluations"] = looks
    if options.json:
        record["spec"] = json.loads(run.spec) if run.spec else None
        print(as_json(record))
        return 0
    width = max(map(len, record))
    for name, value in record.items():
        if name != "evaluations":
            print(f"{name:<{width}}  {value}")
    names = ("step", "post", "post_activations", "post_kv", "post_format", "post_method", "loss", "gap", "delta")
    print("\n" + columns(looks, [*names, "delta_se"]))
    return 0


def _check(options: argparse.Namespace) -> int:
    with existing(options.store) as store:
        health = store.check()
    if options.json:
        print(as_json(dataclasses.asdict(health)))
    else:
        for fault in health.faults:
            print(fault)
        verdict = f"{len(health.faults)} faults" if health.faults else "sound"
        print(f"{health.runs} runs, {health.evaluations} evaluations: {verdict}")
        if health.unsummed:
            print(f"{health.unsummed} runs have no checksum: an earlier version of precsim kept them")
    return 1 if health.faults else 0


def _export(options: argparse.Namespace) -> int:
    out = Path(options.out)
    check_new(out, force=options.force)
    with existing(options.store) as store:
        written = store.export(out)
        print(f"{written}: {len(store)} runs")
    return 0


def _merge(options: argparse.Namespace) -> int:
    for other in options.others:
        with existing(other):  # all of them, before anything is changed
            pass
    with RunStore(options.store) as store:
        for other in options.others:
            print(f"{other}: {store.merge(other)} runs copied")
        print(f"{options.store}: {len(store)} runs")
    return 0
