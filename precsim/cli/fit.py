"""``precsim fit``: a law fitted to a table of runs, with intervals, as text, JSON or a report."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from precsim.cli.law_words import assignments, form, ties
from precsim.cli.printing import as_json, check_new, columns
from precsim.cli.tables import LAW, RUNS, reading_of, rng_of, table_of, table_options
from precsim.fitting import Draws, Fit, FitError, Interval, bootstrap, fit, interval, misfit
from precsim.laws.region import Region
from precsim.writing import write


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = "Fit a law to a table of runs."
    parser.add_argument("runs", metavar="RUNS", help=RUNS)
    parser.add_argument("--law", required=True, metavar="LAW", help=LAW)
    parser.add_argument("--fix", action="append", metavar="NAME=VALUE", help="keep a parameter at a value")
    parser.add_argument("--tie", action="append", metavar="A=B", help="two parameters that are equal")
    parser.add_argument("--refit", action="store_true", help="estimate every parameter, also those that the law gives")
    parser.add_argument("--bootstrap", type=int, metavar="N", help="resamples for intervals")
    parser.add_argument("--rescan", action="store_true", help="search every resample anew instead of from the fit")
    parser.add_argument("--starts", type=int, metavar="N", help="starting points of the search")
    parser.add_argument("--by", metavar="COLUMN", help="column whose equal values are resampled together, such as job")
    parser.add_argument("--misfit", action="store_true", help="intervals that also hold a smooth error of the form")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (0.95)")
    parser.add_argument(
        "--suspicious", action="store_true", help="also accept a fit that did not converge or hit a bound"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, which plan and fit read as a law")
    parser.add_argument("--save", metavar="FIT.json", help="write the same JSON to a file")
    parser.add_argument("--html", metavar="REPORT.html", help="write a report with charts")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    table_options(parser)
    parser.set_defaults(run=_fit)


def _fit(options: argparse.Namespace) -> int:
    check_new(options.html, options.save, force=options.force)
    if not 0 < options.level < 1:
        raise ValueError(f"--level must be between 0 and 1, got {options.level}")
    for option, given in (("--by", options.by is not None), ("--rescan", options.rescan)):
        if given and options.bootstrap is None:
            raise ValueError(f"{option} is about resamples: give it --bootstrap N")
    law, fixed, tied = form(options.law), assignments(options.fix), ties(options.tie)
    law = law.blank() if options.refit else law
    table = table_of(options)
    try:
        found = fit(
            law,
            table,
            fix=fixed,
            tie=tied,
            delta=options.delta,
            strict=not options.suspicious,
            **({} if options.starts is None else {"starts": options.starts}),
            **reading_of(options),
        )
    except FitError as failure:
        text = str(failure).replace("Pass strict=False to look at", "Add --suspicious to see")
        raise FitError(text, failure.fit) from None
    draws, left = None, None
    if options.misfit:
        if options.bootstrap is None or options.by is not None:
            raise ValueError("--misfit draws tables of its own: give it --bootstrap N, without --by")
        left = misfit.misfit(found)
        draws = misfit.bootstrap(found, n=options.bootstrap, rng=rng_of(options))
    elif options.bootstrap is not None:
        draws = bootstrap(found, n=options.bootstrap, rng=rng_of(options), by=options.by, rescan=options.rescan)
    text = as_json(record_of(found, draws, options.level, left))
    if options.save is not None:
        write(options.save, text + "\n")
    if options.html is not None:
        from precsim.cli.reports import of_fit  # loads altair

        write(options.html, of_fit(found, draws, table, options.level))
    print(text if options.json else _report(found, draws, options.level, left))
    return 0


def intervals(draws: Draws | None, level: float) -> dict[str, Interval]:
    """Interval of every estimated parameter."""
    if draws is None:
        return {}
    return {name: interval(draws, lambda law, n=name: getattr(law, n), level) for name in draws.values}


def _region(found: Fit) -> dict[str, Any]:
    """The sizes and tokens of the runs behind a fit."""
    settings = [stage.observations.setting for stage in found.stages]
    return asdict(Region.of({name: np.concatenate([getattr(s, name) for s in settings]) for name in ("N", "D")}))


def record_of(
    found: Fit, draws: Draws | None, level: float, left: tuple[misfit.Misfit, ...] | None = None
) -> dict[str, Any]:
    """A fit as JSON values; ``law`` is what `precsim.cli.law_words.read` needs."""
    spread = intervals(draws, level)
    return {
        "law": json.loads(found.law.to_json()),
        "form": found.form.label,
        "runs": _region(found),
        "status": found.status.name,
        "message": found.message,
        "parameters": {
            name: {"value": value}
            | ({"low": spread[name].low, "high": spread[name].high} if name in spread else {})
            | ({"standard_error": _error(found, name)} if _error(found, name) is not None else {})
            for name, value in found.parameters.items()
        },
        "interval": {"level": level, "method": draws.method, "n": len(draws), "rescanned": draws.rescanned}
        if draws
        else None,
        "misfit": [asdict(each) for each in left] if left else None,
        "stages": [
            {
                "rows": len(stage.observations),
                "reading": asdict(stage.observations.reading),
                "kind": "delta" if stage.observations.floor else "loss",
                "huber_knee": stage.delta,
                "objective": stage.objective,
                "residual_scale": stage.scale,
                "r2": stage.r2,
                "starts": stage.starts,
                "agree": stage.agree,
                "condition": stage.condition[0],
                "weakest": list(stage.condition[1]),
            }
            for stage in found.stages
        ],
        "draws": draws.values if draws else None,
    }


def _error(found: Fit, name: str) -> float | None:
    """Standard error of a parameter in its own unit."""
    for stage in found.stages:
        if name in stage.names:
            error = stage.standard_errors[name]
            return float(error * (found.law.parameters[name] if stage.form.describe(name)["positive"] else 1.0))
    return None


def _report(found: Fit, draws: Draws | None, level: float, left: tuple[misfit.Misfit, ...] | None) -> str:
    spread = intervals(draws, level)
    if not spread or draws is None:
        return found.report()
    rows = [
        {"parameter": name, "value": found.parameters[name], "low": i.low, "high": i.high} for name, i in spread.items()
    ]
    failed = f", {draws.failed} resamples without a fit left out" if draws.failed else ""
    failed += f", {draws.rescanned} searched from new starts" if draws.rescanned else ""
    text = f"{found.report()}\n\n{columns(rows)}\n{level:.0%} intervals, {draws.method}, n = {len(draws)}{failed}"
    if left is None:
        return (
            text
            + "\nthey assume the form: --misfit widens them by what it leaves behind, compare tells how it predicts"
        )
    return "\n".join(
        [text, "of tables drawn with the misfit that the residuals show:"]
        + [
            f"  smooth part {m.size:.2g}, noise {m.noise:.2g}, log-likelihood {m.gain:.0f} above noise alone"
            for m in left
        ]
    )
