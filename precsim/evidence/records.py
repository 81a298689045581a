"""What this project computed from public tables: fits, errors and verdicts, stored because the tables are not.

``make records TABLES=folder`` makes every record again from the tables in a folder (`precsim.data.load_folder`);
`record` reads the stored ones, which is all that the book needs.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from precsim.data.public import TABLES, digest, load_folder
from precsim.evidence.public_fits import MAKERS
from precsim.runs import Table
from precsim.writing import write

_PLACE = "summaries"


def names() -> tuple[str, ...]:
    """Names of the stored records."""
    folder = files("precsim.data").joinpath(_PLACE)
    return tuple(sorted(p.name.removesuffix(".json") for p in folder.iterdir() if p.name.endswith(".json")))


def record(name: str) -> dict[str, Any]:
    """A stored record: which table at which commit, what was fitted to it, and what came out.

    Raises
    ------
    ValueError
        If there is none of this name.

    Examples
    --------
    >>> record("chinchilla-epoch")["source"]["repository"]
    'epoch-research/analyzing-chinchilla'
    """
    if name not in names():
        raise ValueError(f"no record {name!r}; there are {', '.join(names())}")
    return json.loads(files("precsim.data").joinpath(_PLACE, f"{name}.json").read_text(encoding="utf-8"))


def provenance(name: str) -> str:
    """Where a record's table is and how to get it, in two lines for a page.

    Examples
    --------
    >>> print(provenance("kyo-llm"))
    kyo-llm: 234 rows of kyo-takano/chinchilla at 75e5858f6e7c (Apache-2.0)
    not in this project; to have it: precsim data fetch kyo-llm --out kyo-llm.csv
    """
    source = record(name)["source"]
    return (
        f"{name}: {source['rows']} rows of {source['repository']} at {source['commit'][:12]} ({source['licence']})\n"
        f"not in this project; to have it: precsim data fetch {source['table']} --out {source['table']}.csv"
    )


def table(name: str, folder: Path) -> Table:
    """A public table from ``folder/NAME.csv``, as ``precsim data fetch NAME --out`` writes it, or from its files.

    Raises
    ------
    ValueError
        If it is not there, or is not the known table; the message says how to get it.
    """
    path = folder / f"{name}.csv"
    if path.is_file():
        found = pd.read_csv(path)
        if digest(found) != TABLES[name].sha256:
            raise ValueError(f"{path} is not the table {name}: its content differs")
        return found
    try:
        return load_folder(name, folder)
    except ValueError as failure:
        raise ValueError(f"{failure}; fetch it: precsim data fetch {name} --out {path}") from None


def main(arguments: list[str] | None = None) -> int:
    """Make the records again; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m precsim.evidence.records", description=__doc__)
    parser.add_argument("tables", help="folder with a folder for each public table")
    parser.add_argument("--out", default=str(files("precsim.data").joinpath(_PLACE)), help="where the records go")
    options = parser.parse_args(arguments)
    found, missing = {}, []
    for name in TABLES:
        try:
            found[name] = table(name, Path(options.tables))
        except ValueError as failure:
            missing.append(str(failure))
    for name, (needed, make) in MAKERS.items():
        if set(needed) <= set(found):
            text = json.dumps(make({n: found[n] for n in needed}), indent=1, ensure_ascii=False)
            write(Path(options.out, f"{name}.json"), text + "\n")
    for line in missing:
        sys.stderr.write(f"{line}\n")
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
