"""Grid files: TOML in which every key is a field of a Job and a list is a set of alternatives.

Keys at the top hold for every ``[[grid]]`` below them; without one they are the grid. `precsim sweep --help` shows an
example, `jobwords` reads the values.
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

from precsim.cli.grid_values import FIELDS, MOST_ALTERNATIVES, known, products, several
from precsim.cli.positions import GridError, Place
from precsim.models import Kind
from precsim.training.job import Job

__all__ = ["GridError", "load", "read"]


def load(path: str | Path) -> tuple[Job, ...]:
    """The jobs of a grid file.

    Raises
    ------
    GridError
        Naming the file, the line and the key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GridError(f"there is no grid file {path}") from None
    except UnicodeDecodeError as failure:
        raise GridError(f"{path}: not a text file in UTF-8 ({failure.reason} at byte {failure.start})") from None
    return read(text, path.name)


def read(text: str, name: str = "grid.toml") -> tuple[Job, ...]:
    """The jobs that a text describes, in the order of its grids, the last key changing fastest.

    Examples
    --------
    >>> jobs = read(EXAMPLE)
    >>> len(jobs), len(jobs[0].post), jobs[-1].recipe.weights.format.name
    (28, 3, 'INT4')
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        found = re.search(r"at line (\d+)", str(failure))
        line = found[1] if found else text.rstrip().count("\n") + 1  # "at end of document"
        raise GridError(f"{name}:{line}: not TOML: {failure}") from None
    except RecursionError:
        raise GridError(f"{name}: brackets are nested too deeply") from None
    top = Place(name, text)
    shared = {key: value for key, value in content.items() if key != "grid"}
    grids = content.get("grid", [{}])
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
        top.into("grid").fail("is written [[grid]], once for each set of jobs")
    jobs: list[Job] = []
    for n, grid in enumerate(grids):
        inside = top.into("grid", n) if "grid" in content else top
        jobs += _jobs(shared, grid, top, inside, MOST_ALTERNATIVES - len(jobs))
    return tuple(jobs)


def _jobs(shared: dict[str, Any], grid: dict[str, Any], top: Place, inside: Place, room: int) -> list[Job]:
    places: dict[str, Place] = {}
    choices: dict[str, list] = {}
    for table, where in ((shared, top), (grid, inside)):
        known(table, FIELDS, where)
        for key, value in table.items():
            places[key] = where.into(key)
            reader = FIELDS[key]
            choices[key] = (
                reader(value, places[key]) if key in ("post", "looks") else several(reader, value, places[key])
            )
    for key in ("model", "language", "tokens"):
        if key not in choices:
            inside.fail(f"needs {key}; {', '.join(FIELDS)} can be set")
    if math.prod(map(len, choices.values())) > room:
        inside.fail(f"the file makes more than {MOST_ALTERNATIVES:,} jobs; split it")
    return [_job(values, places, inside) for values in products(choices, inside)]


def _job(values: dict[str, Any], places: dict[str, Place], inside: Place) -> Job:
    try:
        return Job(**values)
    except (ValueError, TypeError, OverflowError) as failure:
        named = next((key for key in _suspects(str(failure), values) if key in places), None)
        (inside if named is None else places[named]).fail(str(failure))


def _suspects(message: str, values: dict[str, Any]) -> list[str]:
    """Keys that a job's refusal is about, the likeliest first: named, shown at its start, or holding quantizers."""
    words = message.replace(",", " ").split()
    quantizing = ["recipe", "post"] if {kind.value for kind in Kind} & set(words) else []
    shown = [key for key, value in values.items() if message.startswith(str(value))]
    return [*quantizing, *words, *shown] if quantizing else [*shown, *words]
