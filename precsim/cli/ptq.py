"""``precsim ptq``: the models of stored runs, quantized in other ways."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from precsim.cli.grid_values import treatment
from precsim.cli.positions import Position
from precsim.cli.runs import existing, pick
from precsim.cli.sweep import go, where_options
from precsim.training.job import job_of
from precsim.training.ptq import AWQ, GPTQ, RTN


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = (
        "Quantize the models of stored runs in other ways. A store keeps no weights: the models are "
        "trained again from their spec (same job, same machine, same bits) and evaluated with the treatments given."
    )
    parser.add_argument("runs", metavar="RUNS.db", help="store with the runs")
    parser.add_argument(
        "--job", action="append", metavar="KEY", help="key of a run, or its beginning; all runs by default"
    )
    parser.add_argument(
        "--post", action="append", required=True, metavar="FORMAT", help="INT4, MXFP4, …; may be repeated"
    )
    parser.add_argument("--method", choices=("rtn", "gptq", "gptq-ordered", "awq"), default="rtn")
    parser.add_argument("--store", required=True, metavar="OUT.db", help="store for the new runs")
    where_options(parser)
    parser.set_defaults(run=_ptq)


def _ptq(options: argparse.Namespace) -> int:
    methods = {method.name: method for method in (RTN(), GPTQ(), GPTQ(ordered=True), AWQ())}
    posts = []
    for word in options.post:
        (post,) = treatment(word, Position("--post", "", ()))
        posts.append(dataclasses.replace(post, method=methods[options.method]))
    with existing(options.runs) as store:
        runs = pick(store, options.job)
    jobs = [dataclasses.replace(job_of(run), post=tuple(posts)) for run in runs]
    if not options.json:
        print(f"{len(jobs)} models are trained again from their specs: a store keeps no weights", file=sys.stderr)
    return go(tuple(jobs), options)
