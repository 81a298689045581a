"""``precsim fit`` and ``precsim compare``: laws fitted to a table of runs, and judged on runs they have not seen."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precsim.cli.printing import as_json, columns
from precsim.runs.columns import Copies

if TYPE_CHECKING:
    import pandas as pd

    from precsim.fitting.comparison import Comparison, Split
    from precsim.fitting.fits import Fit
    from precsim.fitting.misfit import Misfit
    from precsim.fitting.uncertainty import Draws, Interval

_RUNS = "precsim-2026, a store (.db), or a file: .csv, .tsv, .jsonl, .json, .parquet, .xlsx, also with .gz"
_LAW = "chinchilla+saturating:weights+kumar; see --laws"


class _Laws(argparse.Action):
    """An option that prints how laws are written, and ends the command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from precsim.cli.law_words import WORDS, published

        rows = [{"name": name, "source": entry.source, "form": entry.law.label} for name, entry in published().items()]
        print(f"{WORDS}\n\n{columns(rows)}")
        parser.exit(0)


def laws_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--laws``."""
    parser.add_argument("--laws", action=_Laws, nargs=0, help="print how laws are written and which are published")


def add_to(commands: Any) -> None:
    """Add the commands of this group."""
    fit = commands.add_parser("fit", help="fit a law to a table of runs", description="Fit a law to a table of runs.")
    fit.add_argument("runs", metavar="RUNS", help=_RUNS)
    fit.add_argument("--law", required=True, metavar="LAW", help=_LAW)
    fit.add_argument("--fix", action="append", metavar="NAME=VALUE", help="keep a parameter at a value")
    fit.add_argument("--tie", action="append", metavar="A=B", help="two parameters that are equal")
    fit.add_argument("--refit", action="store_true", help="estimate every parameter, also those that the law gives")
    fit.add_argument("--bootstrap", type=int, metavar="N", help="resamples for intervals")
    fit.add_argument("--rescan", action="store_true", help="search every resample anew instead of from the fit")
    fit.add_argument("--starts", type=int, metavar="N", help="starting points of the search")
    fit.add_argument("--by", metavar="COLUMN", help="column whose equal values are resampled together, such as job")
    fit.add_argument("--misfit", action="store_true", help="intervals that also hold a smooth error of the form")
    fit.add_argument("--level", type=float, default=0.95, help="of the intervals (0.95)")
    fit.add_argument("--suspicious", action="store_true", help="also accept a fit that did not converge or hit a bound")
    fit.add_argument("--json", action="store_true", help="print JSON, which plan and fit read as a law")
    fit.add_argument("--save", metavar="FIT.json", help="write the same JSON to a file")
    fit.add_argument("--html", metavar="REPORT.html", help="write a report with charts")
    _table_options(fit)
    fit.set_defaults(run=_fit)

    compare = commands.add_parser(
        "compare", help="judge laws on held-out runs", description="Judge laws by their error on runs left out."
    )
    compare.add_argument("runs", metavar="RUNS", help=_RUNS)
    compare.add_argument("--law", action="append", required=True, metavar="LAW", help=_LAW)
    compare.add_argument(
        "--split", required=True, help="compute, size or data (the largest rows), or a column: group:scheme"
    )
    compare.add_argument(
        "--share", default="0.3", help="of the rows that are held out (0.3); several, 0.2,0.3,0.4, are several origins"
    )
    compare.add_argument("--level", type=float, default=0.95, help="of the intervals and the verdict (0.95)")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.add_argument("--html", metavar="REPORT.html", help="write a report with charts")
    _table_options(compare)
    compare.set_defaults(run=_compare)


def _table_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        action="append",
        metavar="COLUMN=A,B",
        help="rows with these values only, an empty one included: post_format=,INT4",
    )
    parser.add_argument(
        "--column",
        action="append",
        metavar="NAME=COLUMN",
        help='a column under another name, scaled: N="params (M)*1e6"; nothing after = leaves a column unread',
    )
    parser.add_argument("--units-checked", action="store_true", help="N and D are plain counts, however they look")
    parser.add_argument(
        "--copies",
        choices=[way.name.lower() for way in Copies],
        default="refuse",
        help="rows that are equal in every column (refuse)",
    )
    parser.add_argument("--excess", action="store_true", help="use the gap, the loss above the language's entropy")
    parser.add_argument("--means", action="store_true", help="average over seeds first")
    parser.add_argument("--delta", type=float, metavar="KNEE", help="knee of Huber's loss; adapted by default")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    laws_option(parser)


def table_of(options: argparse.Namespace) -> pd.DataFrame:
    """The table that the options describe."""
    from precsim.runs.tables import excess, load_runs, mean_over_seeds

    table: Any = load_runs(options.runs, columns=_columns(options.column))
    for text in options.only or ():
        table = _only(table, text)
    if options.means:
        table = mean_over_seeds(table)
    return excess(table) if options.excess else table


def _columns(texts: list[str] | None) -> dict[str, str | None]:
    """``NAME=COLUMN`` as a mapping; a name with nothing after it is left unread."""
    found: dict[str, str | None] = {}
    for text in texts or ():
        name, equals, column = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f'--column is NAME=COLUMN, as in N="params (M)*1e6"; got {text!r}')
        found[name.strip()] = column.strip() or None
    return found


def _reading(options: argparse.Namespace) -> dict[str, Any]:
    """How `fit` and `compare` are to take the rows."""
    return {"copies": Copies[options.copies.upper()], "units_checked": options.units_checked}


def _only(table: pd.DataFrame, text: str) -> Any:
    name, equals, rest = text.partition("=")
    if not equals or name not in table.columns:
        raise ValueError(f"--only is COLUMN=A,B with a column of {', '.join(map(str, table.columns))}; got {text!r}")
    column = table[name]
    if column.dtype.kind in "iuf":
        try:
            wanted: list[Any] = [float(word) for word in rest.split(",")]
        except ValueError:
            raise ValueError(f"column {name} holds numbers; got {rest!r}") from None
        kept = column.astype(float).isin(wanted)
    else:
        kept = column.fillna("").astype(str).isin(rest.split(","))
    if not kept.to_numpy().any():
        seen = ", ".join(map(str, list(column.unique())[:12]))
        raise ValueError(f"no row has {name} = {rest}; there are {seen}")
    return table[kept]


def _rng(options: argparse.Namespace) -> Any:
    import numpy as np

    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    return np.random.default_rng(options.seed)


def _fit(options: argparse.Namespace) -> int:
    from precsim.cli.law_words import assignments, form, ties
    from precsim.fitting import misfit
    from precsim.fitting.fits import FitError, fit
    from precsim.fitting.uncertainty import bootstrap

    _writable(options.html, options.save)
    if not 0 < options.level < 1:
        raise ValueError(f"--level must be between 0 and 1, got {options.level}")
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
            **_reading(options),
        )
    except FitError as failure:
        text = str(failure).replace("Pass strict=False to look at", "Add --suspicious to see")
        raise FitError(text, failure.fit) from None
    draws, left = None, None
    if options.misfit:
        if options.bootstrap is None or options.by is not None:
            raise ValueError("--misfit draws tables of its own: give it --bootstrap N, without --by")
        left = misfit.misfit(found)
        draws = misfit.bootstrap(found, n=options.bootstrap, rng=_rng(options))
    elif options.bootstrap is not None:
        draws = bootstrap(found, n=options.bootstrap, rng=_rng(options), by=options.by, rescan=options.rescan)
    elif options.rescan:
        raise ValueError("--rescan is about resamples: give it --bootstrap N")
    text = as_json(record_of(found, draws, options.level, left))
    if options.save:
        Path(options.save).write_text(text + "\n", encoding="utf-8")
    if options.html:
        from precsim.cli.reports import of_fit

        Path(options.html).write_text(of_fit(found, draws, table, options.level), encoding="utf-8")
    print(text if options.json else _report(found, draws, options.level, left))
    return 0


def intervals(draws: Draws | None, level: float) -> dict[str, Interval]:
    """Interval of every estimated parameter."""
    from precsim.fitting.uncertainty import interval

    if draws is None:
        return {}
    return {name: interval(draws, lambda law, n=name: getattr(law, n), level) for name in draws.values}


def _region(found: Fit) -> dict[str, Any]:
    """The sizes and tokens of the runs behind a fit."""
    import numpy as np

    from precsim.laws.region import Region

    settings = [stage.observations.setting for stage in found.stages]
    return asdict(Region.of({name: np.concatenate([getattr(s, name) for s in settings]) for name in ("N", "D")}))


def record_of(found: Fit, draws: Draws | None, level: float, left: tuple[Misfit, ...] | None = None) -> dict[str, Any]:
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


def _report(found: Fit, draws: Draws | None, level: float, left: tuple[Misfit, ...] | None) -> str:
    spread = intervals(draws, level)
    if not spread or draws is None:
        return found.report()
    rows = [
        {"parameter": name, "value": found.parameters[name], "low": i.low, "high": i.high} for name, i in spread.items()
    ]
    failed = f", {draws.failed} resamples without a fit left out" if draws.failed else ""
    if draws.rescanned:
        failed += f", {draws.rescanned} searched from new starts"
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


def split(text: str, share: str) -> Split:
    """The rule that says which rows are held out.

    Examples
    --------
    >>> split("compute", "0.3")
    ByCompute(share=0.3)
    >>> split("data", "0.2,0.4")
    ByData(share=(0.2, 0.4))
    >>> split("group:scheme=W4A4,W3A3", "0.3").only
    ('W4A4', 'W3A3')
    """
    from precsim.fitting.comparison import ByCompute, ByData, BySize, Groups

    largest = {"compute": ByCompute, "size": BySize, "data": ByData}
    if text in largest:
        shares = tuple(_value(word) for word in share.split(","))
        if not all(isinstance(x, float) and 0 < x < 1 for x in shares):
            raise ValueError(f"--share must be between 0 and 1, or several such numbers with commas, got {share!r}")
        return largest[text](shares if "," in share else float(share))
    word, colon, rest = text.partition(":")
    column, equals, values = rest.partition("=")
    if word != "group" or not colon or not column:
        raise ValueError(f"--split is compute, size, data or group:COLUMN[=A,B]; got {text!r}")
    return Groups(column, tuple(map(_value, values.split(","))) if equals else None)


def _value(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _compare(options: argparse.Namespace) -> int:
    from precsim.cli.law_words import form
    from precsim.fitting.comparison import compare

    _writable(options.html)
    if not 0 < options.level < 1:
        raise ValueError(f"--level must be between 0 and 1, got {options.level}")
    forms = [form(text).blank() for text in options.law]
    rule, table = split(options.split, options.share), table_of(options)
    found = compare(forms, table, split=rule, rng=_rng(options), delta=options.delta, level=options.level)
    if options.html:
        from precsim.cli.reports import of_comparison

        Path(options.html).write_text(of_comparison(found, table, options.level), encoding="utf-8")
    print(as_json(_comparison(found, options)) if options.json else str(found))
    return 0


def _comparison(found: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    names = {id(score.form): text for score, text in zip(found.scores, options.law, strict=True)}
    return {
        "split": options.split,
        "level": options.level,
        "scores": [
            {
                "law": text,
                "form": s.form.label,
                "parameters": s.parameters,
                "held_out": s.held_out,
                "interval": list(s.interval),
                "rmse": s.rmse,
                "bic": s.bic,
                "folds": s.folds,
                "note": s.note,
            }
            for s, text in zip(found.scores, options.law, strict=True)
        ],
        "verdict": None if found.verdict is None else names[id(found.verdict)],
        "candidates": [names[id(candidate)] for candidate in found.candidates],
        "preferred": names[id(found.preferred)],
    }


def _writable(*paths: str | None) -> None:
    """Refuse a place that cannot be written before the work is done."""
    for path in paths:
        if path is not None and not Path(path).resolve().parent.is_dir():
            raise ValueError(f"there is no folder {Path(path).resolve().parent} to write {Path(path).name} to")
