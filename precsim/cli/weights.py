"""``precsim weights``: what number formats would do to the weights in a checkpoint."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from precsim.cli.printing import as_json, check_new, columns
from precsim.writing import write

if TYPE_CHECKING:
    from precsim.weights import Survey

_LIMITS = (
    "errors of the weights alone: no loss and no answer to which format is good enough, which needs data; "
    "K layouts of GGUF are read but not made, since their scales are searched for"
)
_CHARTS = 6  # tensors drawn in a report: those with the largest outliers


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("model", metavar="MODEL", help="a .safetensors or .gguf file")
    parser.add_argument("--formats", metavar="A,B", help="formats to measure; --formats help lists them")
    parser.add_argument("--tensors", metavar="PATTERN", default="*", help="only tensors whose name matches")
    parser.add_argument("--rotate", action="store_true", help="multiply rows by a Hadamard matrix first")
    parser.add_argument("--each", action="store_true", help="print every tensor, not the ranking alone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", metavar="FILE", help="write a page with tables and distributions")
    parser.add_argument("--force", action="store_true", help="replace a page that is there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from precsim.weights.surveys import FORMATS, USUAL, survey

    if options.formats == "help":
        print("\n".join(f"{name:10} {way.bits:g} bits" for name, way in FORMATS.items()))
        return 0
    check_new(options.html, force=options.force)
    names = [name.strip() for name in options.formats.split(",")] if options.formats else USUAL
    shown = sys.stderr.isatty() and not options.quiet
    found = survey(options.model, names, tensors=options.tensors, rotate=options.rotate, progress=shown)
    if options.html is not None:
        write(options.html, _page(found))
    if options.json:
        print(as_json(_record(found)))
        return 0
    if options.each:
        print(columns(found.rows()), end="\n\n")
    rotated = " after a Hadamard rotation" if found.rotated else ""
    print(
        f"{found.path.name}: {len(found.tensors)} matrices, {sum(t.size for t in found.tensors):,} weights{rotated}\n"
    )
    print(columns(found.ranking()))
    print(f"\nlargest outliers (max|x| / rms, kurtosis): {_outliers(found)}")
    if found.skipped:
        reasons = sorted(set(found.skipped.values()))
        print(f"left out: {len(found.skipped)} tensors ({'; '.join(reasons)})")
    print(f"what this cannot say: {_LIMITS}")
    return 0


def _outliers(found: Survey) -> str:
    top = sorted(found.tensors, key=lambda t: -t.outlier)[:3]
    return ", ".join(f"{t.name} {t.outlier:.3g}, {t.kurtosis:.3g}" for t in top)


def _record(found: Survey) -> dict[str, object]:
    return {
        "file": str(found.path),
        "rotated": found.rotated,
        "ranking": found.ranking(),
        "tensors": found.rows(),
        "left out": dict(found.skipped),
        "cannot say": _LIMITS,
    }


def _page(found: Survey) -> str:
    from precsim import view
    from precsim.numerics.quantize import Quantizer
    from precsim.weights import FORMATS

    parts: list[tuple[str, object]] = [
        ("Ranking", columns(found.ranking())),
        ("What this cannot say", _LIMITS),
    ]
    names = [score.format for score in found.tensors[0].scores]
    ways = {name: way.format for name in names if isinstance(way := FORMATS[name], Quantizer) and way.format.bits <= 4}
    for tensor in sorted(found.tensors, key=lambda t: -t.outlier)[:_CHARTS] if ways else []:
        chart = view.weight_distribution(
            tensor.counts, tensor.edges, ways, outlier=tensor.outlier, title=tensor.name
        )  # fmt: skip
        parts.append((f"{tensor.name}: largest over rms {tensor.outlier:.3g}, kurtosis {tensor.kurtosis:.3g}", chart))
    parts.append(("Each tensor", columns(found.rows())))
    return view.page(f"Weights of {found.path.name}", parts)
