"""``precsim gaps``: what runs in low precision lose against runs in full precision, without a law of N and D."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from precsim.cli.law_words import believed, laws_option
from precsim.cli.printing import as_json, columns
from precsim.cli.tables import RUNS, reading_of, rows_options, table_of
from precsim.fitting import Gap, gaps


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = (
        "What runs in low precision lose against runs in full precision of the same N, D and, where there is one, "
        "seed. For tables in which N and D do not vary enough to fit a law of them."
    )
    parser.add_argument("runs", metavar="RUNS", help=RUNS)
    parser.add_argument("--pair", action="append", metavar="COLUMN", help="a column that is equal in a pair (seed)")
    parser.add_argument("--same", action="append", metavar="COLUMN", help="a column in which a pair agrees, such as lr")
    parser.add_argument("--law", metavar="LAW", help="a published name or FIT.json: also the share N_eff/N of each gap")
    parser.add_argument("--fix", action="append", metavar="NAME=VALUE", help="change a parameter of the law")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (0.95)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    rows_options(parser)
    laws_option(parser)
    parser.set_defaults(run=_gaps)


def _gaps(options: argparse.Namespace) -> int:
    if options.law is None and options.fix:
        raise ValueError("--fix changes a parameter of --law, which is missing")
    law = None if options.law is None else believed(options.law, options.fix)[0]
    found = gaps(
        table_of(options),
        pair=options.pair,
        same=options.same or (),
        law=law,
        level=options.level,
        **reading_of(options),
    )
    if options.json:
        print(as_json({"level": found.level, "reading": asdict(found.reading), "gaps": list(map(asdict, found.rows))}))
        return 0
    print(columns([_shown(gap, law is not None) for gap in found.rows]))
    print(f"{found.reading}\n{found.level:.0%} intervals: Student's t of pairs, Welch's where there are none")
    if law is not None:
        print(f"N_eff/N by {options.law}: the doubt of the gap, not of the law")
    return 0


def _shown(gap: Gap, shares: bool) -> dict[str, object]:
    widths = {name: getattr(gap, name) for name in ("weights", "activations", "kv")}
    row = {"N": gap.N, "D": gap.D, **widths, **gap.labels, "runs": gap.runs, "full": gap.references}
    row |= {"pairs": gap.pairs, "gap": gap.gap, "low": gap.low, "high": gap.high}
    if shares:
        row |= {"N_eff/N": gap.share, "share low": gap.share_low, "share high": gap.share_high}
    return row
