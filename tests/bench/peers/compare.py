"""Measure the peers against precsim and ``np.copyto``: ``PYTHONPATH=. peers/bin/python -m tests.bench.peers.compare``.

Process CPU time, each call alternated with a copy of the same array, medians, one thread. Writes the two tables that
the book shows, precsim/data/peers_speed.csv and precsim/data/peers_wrong.csv.
"""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.bench.peers.rounders import FORMATS, ROUNDERS, blocks, installed
from tests.bench.peers.wrong_values import WRONG

DATA = Path(__file__).parents[3] / "precsim" / "data"
SIZES = (10**3, 10**5, 10**7)


def ratio_to_copy(call: Callable[[], Any], x: np.ndarray) -> float:
    """Return the median CPU time of a call over that of copying x."""
    out = np.zeros_like(x)

    def seconds(work: Callable[[], Any], repeats: int) -> float:
        start = time.process_time()
        for _ in range(repeats):
            work()
        return (time.process_time() - start) / repeats

    copies = max(1, 2 * 10**6 // x.size)
    seconds(call, 1), seconds(lambda: np.copyto(out, x), copies)  # compile, touch pages
    once = max(seconds(call, 1), 1e-7)
    repeats = max(1, min(copies, int(0.05 / once)))
    pairs = [(seconds(call, repeats), seconds(lambda: np.copyto(out, x), copies)) for _ in range(5)]
    return median(mine / copy for mine, copy in pairs)


def version(peer: str) -> str:
    """Return the installed version of a peer."""
    if peer == "precsim":
        import precsim

        return precsim.__version__
    return importlib.metadata.version(peer)


def speeds() -> list[dict[str, Any]]:
    """Return one row for each task, size and peer."""
    rng = np.random.default_rng(0)
    stamp = {"date": datetime.date.today().isoformat(), "machine": machine(), "python": platform.python_version()}
    rows = []
    for size in SIZES:
        x = rng.standard_normal(size - size % 32 if size > 1000 else 1024).astype(np.float32)
        tasks: list[tuple[str, str, Callable[[], Any] | None]] = [
            (str(fmt), peer, make(fmt, x)) for fmt in FORMATS for peer, make in ROUNDERS.items() if installed(peer)
        ]
        tasks += [
            ("MXFP4", peer, blocks(peer, x.reshape(-1, 32))) for peer in ("precsim", "torchao") if installed(peer)
        ]
        for task, peer, call in tasks:
            if call is not None:
                ratio = round(ratio_to_copy(call, x.reshape(-1)), 2)
                rows.append({"task": task, "n": size, "peer": peer, "version": version(peer), "copies": ratio, **stamp})
    return rows


def wrong_values() -> list[dict[str, Any]]:
    """Return one row for each wrong value of an installed peer, as found now."""
    lines = [line for line in WRONG if installed(line.peer)]
    return [
        {
            "peer": line.peer,
            "version": version(line.peer),
            "task": line.task,
            "given": repr(line.given),
            "peers_value": repr(line.peers_value()),
            "right_value": repr(line.right_value()),
        }
        for line in lines
    ]


def machine() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        return f"{names[0]}, {len(names)} cores" if names else platform.machine()
    return platform.processor() or platform.machine()


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if installed("torch"):
        import torch

        torch.set_num_threads(1)
    write(DATA / "peers_wrong.csv", wrong_values())
    write(DATA / "peers_speed.csv", speeds())
