"""Stored runs that exercises ask about: real networks, trained once, with every seed kept.

``ps4_bits.csv`` has the networks of `grids.one_sitting` with 1024 and 4096 parameters that were trained in float32, as
trained and rounded to 2, 3 and 4 bits. ``ps4_parts.csv`` has `lessons.parts` from eight seeds. A test trains some of
them again.

Of the open table's second edition: ``ps5_networks.csv`` has the networks of the batch `architecture` with the standard
block beside them, ``ps5_foretold.csv`` what was written down of the batch `large` and what was measured then. A test
compares both with the table.
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


class Served(NamedTuple):
    """One network, as trained and rounded to 4 bits: tokens, language, gap, and δ added by rounding [nats/token]."""

    network: str
    D: int
    language: int
    gap: float
    delta: float


def networks(N: int, *, of: str = "", budget: int = 0, lost: Sequence[tuple[str, int]] = ()) -> tuple[Served, ...]:
    """Return networks of the second edition that differ in their block and its decay: eleven, each in three languages.

    Parameters
    ----------
    N : int
        Parameters: 98304 or 221184.
    of : str
        One network by its name; by default all.
    budget : int
        1 to 4: of one budget, 7.8, 19.5, 48.8 or 122 million tokens; 0: of all four.
    lost : sequence of (str, int)
        Networks and languages that are left out.

    Raises
    ------
    ValueError
        If there are none of this size or name.

    Examples
    --------
    >>> len(networks(98304)), len(networks(98304, of="standard")), len(networks(221184, budget=4))
    (132, 12, 33)
    """
    rows = [
        Served(r["network"], int(r["D"]), int(r["language"]), float(r["gap"]), float(r["delta"]))
        for r in _stored("ps5_networks.csv")
        if int(r["N"]) == N and of in ("", r["network"])
    ]
    if not rows:
        raise ValueError(f"there are stored networks with N = 98304 and 221184; not N = {N}, {of or 'any'}")
    budgets = sorted({row.D for row in rows})
    kept = set(budgets[budget - 1 : budget] if budget else budgets)
    return tuple(row for row in rows if row.D in kept and (row.network, row.language) not in lost)


class Foretold(NamedTuple):
    """What a law said of ln of a quantity before the runs, and how uncertain it was: both natural logarithms."""

    ln: float
    sd: float


def foretold(what: str, law: str) -> tuple[tuple[Foretold, tuple[float, ...], float], ...]:
    """Return what a law of `predictions-2.json` said of each held-out network, what was measured, and a run's spread.

    Parameters
    ----------
    what : str
        "gap" or "delta at 3 bits", 4, 6.
    law : str
        As the file names it, for example "power law".

    Returns
    -------
    tuple
        For each network: what was said; the values measured, one for each language [nats/token]; the standard
        deviation of ln of one run.

    Raises
    ------
    ValueError
        If the law said nothing of it.

    Examples
    --------
    >>> said, measured, spread = foretold("gap", "Chinchilla, E known")[0]
    >>> said, len(measured)
    (Foretold(ln=-1.9113, sd=0.0636), 3)
    """
    rows = [r for r in _stored("ps5_foretold.csv") if (r["what"], r["law"]) == (what, law)]
    if not rows:
        raise ValueError(f"{law!r} said nothing of {what!r}")
    return tuple(
        (Foretold(float(r["ln"]), float(r["sd"])), tuple(map(float, r["measured"].split())), float(r["spread"]))
        for r in rows
    )


def _stored(name: str) -> list[dict[str, str]]:
    file = importlib.resources.files("precsim.course") / name
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
