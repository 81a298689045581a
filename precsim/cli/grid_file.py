"""Grid files: TOML in which every key is a field of a Job and a list is a set of alternatives.

Keys at the top hold for every ``[[grid]]`` below them; without one they are the grid. `precsim sweep --help` shows an
example, `grid_values` reads the values.
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

from precsim.cli.grid_values import FIELDS, MOST_ALTERNATIVES, known, products, several
from precsim.cli.positions import GridError, Position
from precsim.models import Kind
from precsim.training.job import Job

__all__ = ["EXAMPLE", "GridError", "load", "read"]


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
    top = Position(name, text)
    shared = {key: value for key, value in content.items() if key != "grid"}
    grids = content.get("grid", [{}])
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
        top.into("grid").fail("is written [[grid]], once for each set of jobs")
    jobs: list[Job] = []
    for n, grid in enumerate(grids):
        inside = top.into("grid", n) if "grid" in content else top
        jobs += _jobs(shared, grid, top, inside, MOST_ALTERNATIVES - len(jobs))
    return tuple(jobs)


def _jobs(shared: dict[str, Any], grid: dict[str, Any], top: Position, inside: Position, room: int) -> list[Job]:
    positions: dict[str, Position] = {}
    choices: dict[str, list] = {}
    for table, where in ((shared, top), (grid, inside)):
        known(table, FIELDS, where)
        for key, value in table.items():
            positions[key] = where.into(key)
            reader = FIELDS[key]
            whole = key in ("post", "looks", "in_force")  # a list is one value
            choices[key] = reader(value, positions[key]) if whole else several(reader, value, positions[key])
    for key in ("model", "language", "tokens"):
        if key not in choices:
            inside.fail(f"needs {key}; {', '.join(FIELDS)} can be set")
    if math.prod(map(len, choices.values())) > room:
        inside.fail(f"the file makes more than {MOST_ALTERNATIVES:,} jobs; split it")
    return [_job(values, positions, inside) for values in products(choices, inside)]


def _job(values: dict[str, Any], positions: dict[str, Position], inside: Position) -> Job:
    try:
        return Job(**values)
    except (ValueError, TypeError, OverflowError) as failure:
        named = next((key for key in _suspects(str(failure), values) if key in positions), None)
        (inside if named is None else positions[named]).fail(str(failure))


def _suspects(message: str, values: dict[str, Any]) -> list[str]:
    """Keys that a job's refusal is about, the likeliest first: named, shown at its start, or holding quantizers."""
    words = message.replace(",", " ").split()
    quantizing = ["recipe", "post"] if {kind.value for kind in Kind} & set(words) else []
    shown = [key for key, value in values.items() if message.startswith(str(value))]
    return [*quantizing, *words, *shown] if quantizing else [*shown, *words]


EXAMPLE = """\
# every key is a field of a Job; a list is a set of alternatives
language = {kind = "zipf-facts", vocabulary = 64}
model = {kind = "mlp", width = [8, 16]}             # two models
tokens = [80_000, 500_000]
post = ["INT3", "INT4", {weights = "INT3", method = "gptq"}]   # all of them, on every model

[[grid]]
seed = [0, 1, 2, 3]                                 # in float32

[[grid]]
recipe = {weights = ["INT2", "INT3", "INT4"]}       # low-precision training
"""
