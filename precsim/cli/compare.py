"""``precsim compare``: laws judged by their error on runs that they have not seen."""

from __future__ import annotations

import argparse
from typing import Any

from precsim.cli.law_words import assignments, form
from precsim.cli.printing import as_json, check_new
from precsim.cli.tables import LAW, RUNS, reading_of, rng_of, table_of, table_options
from precsim.fitting import ByCompute, ByData, BySize, Comparison, Groups, Split, compare
from precsim.laws import Law
from precsim.writing import write


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = "Judge laws by their error on runs left out."
    parser.add_argument("runs", metavar="RUNS", help=RUNS)
    parser.add_argument("--law", action="append", required=True, metavar="LAW", help=LAW)
    parser.add_argument(
        "--fix", action="append", metavar="NAME=VALUE", help="keep a parameter at a value, in every form that has it"
    )
    parser.add_argument(
        "--split", required=True, help="compute, size or data (the largest rows), or a column: group:scheme"
    )
    parser.add_argument(
        "--share",
        default="0.2,0.3,0.4,0.5",
        help="of the rows that are held out; several (0.2,0.3,0.4,0.5 by default) are several origins",
    )
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals and the verdict (0.95)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", metavar="REPORT.html", help="write a report with charts")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    table_options(parser)
    parser.set_defaults(run=_compare)


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


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _compare(options: argparse.Namespace) -> int:
    check_new(options.html, force=options.force)
    if not 0 < options.level < 1:
        raise ValueError(f"--level must be between 0 and 1, got {options.level}")
    if options.delta is not None and not options.delta > 0:
        raise ValueError(f"--delta must be positive, got {options.delta}")
    forms = _fixed([form(text).blank() for text in options.law], assignments(options.fix))
    rule, table = split(options.split, options.share), table_of(options)
    found = compare(
        forms,
        table,
        split=rule,
        rng=rng_of(options),
        delta=options.delta,
        level=options.level,
        **reading_of(options),
    )
    if options.html is not None:
        from precsim.cli.reports import of_comparison  # loads altair

        write(options.html, of_comparison(found, table, options.level))
    print(as_json(_comparison(found, options)) if options.json else str(found))
    return 0


def _fixed(forms: list[Law], values: dict[str, float]) -> list[Law]:
    """Each form with the values of its own parameters."""
    for name in values:
        if not any(name in law.parameters for law in forms):
            raise ValueError(f"none of these forms has a parameter {name!r} (--fix)")
    return [law.replace(**{k: v for k, v in values.items() if k in law.parameters}) for law in forms]


def _comparison(found: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    names = {id(score.form): text for score, text in zip(found.scores, options.law, strict=True)}
    return {"split": options.split, "level": options.level, **_judgment(found, names)}


def _judgment(found: Comparison, names: dict[int, str]) -> dict[str, Any]:
    """One stage's scores and verdict; `names` says how each form was written."""
    return {
        "scores": [
            {
                "law": names[id(s.form)],
                "form": s.form.label,
                "parameters": s.parameters,
                "held_out": s.held_out,
                "interval": list(s.interval),
                "rmse": s.rmse,
                "bic": s.bic,
                "folds": s.folds,
                "status": None if s.fit is None else s.fit.status.name,
                "note": s.note,
            }
            for s in found.scores
        ],
        "verdict": None if found.verdict is None else names[id(found.verdict)],
        "candidates": [names[id(candidate)] for candidate in found.candidates],
        "preferred": names[id(found.preferred)],
        "refused": [names[id(law)] for law in found.refused],
        "apart": found.apart,
        "delta": None if found.delta is None else _judgment(found.delta, names),
    }
