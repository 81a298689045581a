"""``precsim data``: the public tables, and fetching one after asking."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from precsim.cli.printing import as_json, check_new, columns
from precsim.data import TABLES, PublicTable, fetch, load_folder
from precsim.data.public import known
from precsim.writing import draft_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the verbs ls and fetch."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    ls = verbs.add_parser("ls", help="what there is, with source and licence")
    ls.add_argument("--names", action="store_true", help="names only")
    ls.add_argument("--json", action="store_true", help="print JSON")
    ls.set_defaults(run=_ls)

    get = verbs.add_parser("fetch", help="download a table from its source, check it, and write it as our table")
    get.add_argument("name", metavar="NAME")
    get.add_argument("--out", metavar="TABLE", help="a .parquet or .csv file; NAME.parquet by default")
    get.add_argument("--from", dest="folder", metavar="FOLDER", help="read the files from here; download nothing")
    get.add_argument("--yes", action="store_true", help="do not ask before downloading")
    get.add_argument("--cache", metavar="FOLDER", help="where downloaded files are kept")
    get.add_argument("--host", metavar="URL", help="a mirror of raw.githubusercontent.com")
    get.add_argument("--force", action="store_true", help="replace a file that is there")
    get.set_defaults(run=_fetch)


def _ls(options: argparse.Namespace) -> int:
    if options.names:
        print("\n".join(TABLES))
        return 0
    if options.json:
        fields = ("name", "title", "repository", "commit", "files", "licence", "reference", "rows", "sha256", "note")
        records = [{n: getattr(t, n) for n in fields} | {"columns": dict(t.columns)} for t in TABLES.values()]
        print(as_json(records))
        return 0
    print(columns({"name": t.name, "rows": t.rows, "licence": t.licence, "what": t.title} for t in TABLES.values()))
    print("\nprecsim data fetch NAME downloads from the source at a pinned commit; nothing is part of the package")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    table = known(options.name)
    out = Path(options.out or f"{table.name}.parquet")
    if out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"cannot write {out.name!r}: use a name that ends in .parquet or .csv")
    check_new(out, force=options.force)
    if options.folder:
        found = load_folder(table.name, options.folder)
    else:
        _consent(table, options.yes)
        more = {"host": options.host.rstrip("/")} if options.host else {}
        found = fetch(table.name, cache=options.cache, **more)
    with draft_of(out) as draft:
        found.to_parquet(draft, index=False) if out.suffix == ".parquet" else found.to_csv(draft, index=False)
    print(f"{out}: {len(found)} rows, checked ({table.sha256[:16]}…)")
    if table.note:
        print(f"note: {table.note}")
    return 0


def _consent(table: PublicTable, yes: bool) -> None:
    """Ask before anything is downloaded.

    Raises
    ------
    ValueError
        If the answer is no, or nobody can answer.
    """
    print(f"{table.title}\nfrom https://github.com/{table.repository} at {table.commit[:12]}", file=sys.stderr)
    print(f"licence: {table.licence}\nfiles: {', '.join(table.files)}", file=sys.stderr)
    if yes:
        return
    if not sys.stdin.isatty():
        raise ValueError("nothing was downloaded: nobody to ask here; pass --yes to agree")
    print("Download? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ValueError("nothing was downloaded")
