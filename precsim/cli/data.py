"""``precsim data``: the public tables, and fetching one after asking."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precsim.cli.printing import as_json, columns

if TYPE_CHECKING:
    from precsim.data import PublicTable


def add_to(commands: Any) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("data", help="public tables of training runs: list them, fetch one")
    verbs = group.add_subparsers(dest="verb", required=True, metavar="VERB")

    ls = verbs.add_parser("ls", help="what there is, with source and licence")
    ls.add_argument("--names", action="store_true", help="names only")
    ls.add_argument("--json", action="store_true", help="print JSON")
    ls.set_defaults(run=_ls)

    fetch = verbs.add_parser("fetch", help="download a table from its source, check it, and write it as our table")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("--out", metavar="TABLE", help="a .parquet or .csv file; NAME.parquet by default")
    fetch.add_argument("--from", dest="folder", metavar="FOLDER", help="read the files from here; download nothing")
    fetch.add_argument("--yes", action="store_true", help="do not ask before downloading")
    fetch.add_argument("--cache", metavar="FOLDER", help="where downloaded files are kept")
    fetch.add_argument("--host", metavar="URL", help="a mirror of raw.githubusercontent.com")
    fetch.add_argument("--force", action="store_true", help="replace a file that is there")
    fetch.set_defaults(run=_fetch)


def _ls(options: argparse.Namespace) -> int:
    from precsim.data import TABLES

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
    from precsim.data import fetch, load_folder
    from precsim.data.public import known

    table = known(options.name)
    out = Path(options.out or f"{table.name}.parquet")
    if out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"cannot write {out.name!r}: use a name that ends in .parquet or .csv")
    if out.exists() and not options.force:
        raise ValueError(f"{out} is there already; choose another name, or --force to replace it")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent}")
    if options.folder:
        found = load_folder(table.name, options.folder)
    else:
        _consent(table, options.yes)
        more = {"host": options.host.rstrip("/")} if options.host else {}
        found = fetch(table.name, cache=options.cache, **more)
    found.to_parquet(out, index=False) if out.suffix == ".parquet" else found.to_csv(out, index=False)
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
