"""``precsim design``: which runs to make for a budget, and what they would tell."""

from __future__ import annotations

import argparse
from typing import Any

from precsim.cli.law_words import believed, laws_option
from precsim.cli.plan import choices
from precsim.cli.printing import as_json, columns
from precsim.laws import Law
from precsim.planning import Choice
from precsim.planning.design import Design, candidates, propose


def add_options(design: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    design.description = (
        "The list of runs that tells most about a law within a budget of 6*N*D, with the intervals to "
        "expect. All of it assumes the law: FIT.json with draws guards against a wrong guess."
    )
    design.add_argument("--law", required=True, metavar="LAW", help="a published name (kumar-2024), or FIT.json")
    design.add_argument("--fix", action="append", metavar="NAME=VALUE", help="change a parameter of the law")
    design.add_argument("--known", action="append", metavar="NAME", help="a parameter that need not be estimated")
    design.add_argument("--sizes", required=True, metavar="N,N,…", help="parameters of the runs to choose from")
    design.add_argument("--tokens", required=True, metavar="D,D,…", help="their training tokens")
    design.add_argument("--bits", metavar="P,P,…", help="common widths of weights, activations and KV")
    design.add_argument("--choice", action="append", metavar="W,A,KV[,POST]", help="one more choice of widths")
    design.add_argument("--budget", type=float, required=True, metavar="FLOP", help="of all runs together")
    design.add_argument("--noise", type=float, required=True, help="standard deviation of ln L between repeated runs")
    design.add_argument("--max-runs", type=int, metavar="K")
    design.add_argument("--overhead", type=float, default=0.0, metavar="FLOP", help="of every run")
    design.add_argument("--aim", choices=["parameters", "best-bits"], default="parameters", help="what is to be known")
    design.add_argument("--json", action="store_true", help="print JSON")
    laws_option(design)
    design.set_defaults(run=_design)


def _design(options: argparse.Namespace) -> int:
    law, draws = believed(options.law, options.fix)
    if law.base is None:
        raise ValueError(
            f"{options.law} predicts an added loss only; a design of training runs needs a law with a base"
        )
    cells = candidates(
        _numbers(options.sizes, "--sizes"),
        _numbers(options.tokens, "--tokens"),
        (Choice(), *(choices(options.bits, options.choice) or ())),
    )
    after = [name for part in law.degradations if part.paired for name in part.names.values()]
    quantized = any(cell.choice.bits["post"] < 1e9 for cell in cells)
    found = propose(
        draws or law,
        cells,
        budget=options.budget,
        noise=options.noise,
        max_runs=options.max_runs,
        overhead=options.overhead,
        targets=[lambda law: float(law.best_bits())] if options.aim == "best-bits" else (),
        fixed=[*(options.known or ()), *(() if quantized else after)],
    )
    print(as_json(record_of(found, options.law)) if options.json else text_of(found, options.law, law))
    return 0


def _numbers(text: str, option: str) -> list[float]:
    """Positive numbers, separated by commas.

    Examples
    --------
    >>> _numbers("3e7,6e7", "--sizes")
    [30000000.0, 60000000.0]
    """
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < x < float("inf") for x in found):
        raise ValueError(f"{option} takes positive numbers separated by commas, such as 3e7,6e7; got {text!r}")
    return found


def record_of(found: Design, law: str) -> dict[str, Any]:
    """A design as JSON values."""
    return {
        "law": law,
        "runs": found.runs,
        "cost_flop": found.cost,
        "cells": [
            {"N": c.N, "D": c.D, "bits": c.choice.bits, "runs": n}
            for c, n in zip(found.cells, found.repeats, strict=True)
        ],
        "half_widths": found.half_widths,
        "targets": list(found.targets),
        "left_out": found.dropped,
    }


def text_of(found: Design, name: str, law: Law) -> str:
    """A design for a person."""
    rows = [
        {"N": f"{c.N:.3g}", "D": f"{c.D:.3g}", "widths": c.choice.label, "runs": n, "FLOP": f"{c.flops:.2e}"}
        for c, n in zip(found.cells, found.repeats, strict=True)
    ]
    expect = [
        {"parameter": p, "guess": law.parameters[p], "+-": f"{w:.1%}" if law.describe(p)["positive"] else f"{w:.2g}"}
        for p, w in found.half_widths.items()
    ]
    lines = [
        f"law     {name}",
        f"runs    {found.runs} in {len(rows)} cells, {found.cost:.3g} FLOP; "
        f"{found.dropped} candidates left out (N_eff/N too small)",
        "",
        columns(rows),
        "",
        "95% intervals to expect, half-widths, if the law is right:",
        columns(expect),
        *(f"P* +- {half:.2g} bits" for half in found.targets),
    ]
    return "\n".join(lines)
