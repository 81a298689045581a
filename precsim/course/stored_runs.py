"""Stored runs that exercises ask about: real networks, trained once, with every seed kept.

``ps4_bits.csv`` has the networks of `grids.one_sitting` with 1024 and 4096 parameters that were trained in float32, as
trained and rounded to 2, 3 and 4 bits. ``ps4_parts.csv`` has `lessons.parts` from eight seeds. A test trains some of
them again.
"""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One network trained in float32 and rounded afterward: tokens, bits after training, seed, gap [nats/token]."""

    D: int
    bits: float
    seed: int
    gap: float


def runs(N: int, *, drop: int = 0) -> tuple[Run, ...]:
    """Return stored runs of `grids.one_sitting` with N = 1024 or 4096: 2, 3, 4 bits after training, and inf.

    Parameters
    ----------
    N : int
        Parameters.
    drop : int
        Leave out every run whose number in the table is a multiple of this, as if it had been lost; 0: none.

    Raises
    ------
    ValueError
        If there are no runs of this size.

    Examples
    --------
    >>> len(runs(1024)), len(runs(1024, drop=3))
    (80, 53)
    """
    rows = [
        Run(int(r["D"]), float(r["post"]), int(r["seed"]), float(r["gap"]))
        for r in _stored("ps4_bits.csv")
        if int(r["N"]) == N
    ]
    if not rows:
        raise ValueError(f"there are stored runs with N = 1024 and 4096, not {N}")
    return tuple(row for n, row in enumerate(rows) if not drop or n % drop)


class PartRun(NamedTuple):
    """One transformer trained with one part in few bits ("none": all in float32): part, seed, gap [nats/token]."""

    part: str
    seed: int
    gap: float


_NAMES = {"weights": "weights", "activations": "activations", "KV cache": "kv"}


def part_runs(bits: int, *, lost: Sequence[tuple[str, int]] = ()) -> tuple[PartRun, ...]:
    """Return stored runs of `lessons.parts` at 2, 3 or 4 bits from eight seeds, but for those lost (part, seed).

    Raises
    ------
    ValueError
        If there are no runs of this width.

    Examples
    --------
    >>> len(part_runs(3)), len(part_runs(3, lost=[("kv", 0)]))
    (32, 31)
    """
    stored = _stored("ps4_parts.csv")
    rows = [
        PartRun("none", int(r["seed"]), float(r["gap"]))
        for r in stored
        if r["part"] == "weights" and r["bits"] == "inf"
    ]
    found = [
        PartRun(_NAMES[r["part"]], int(r["seed"]), float(r["gap"]))
        for r in stored
        if r["part"] in _NAMES and float(r["bits"]) == bits
    ]
    if not found:
        raise ValueError(f"there are stored runs with 2, 3 and 4 bits, not {bits}")
    return tuple(row for row in (*rows, *found) if (row.part, row.seed) not in lost)


def _stored(name: str) -> list[dict[str, str]]:
    file = importlib.resources.files("precsim.course") / name
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
