"""Make the open table of runs: train what its batches define and is missing, and write the files that ship."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from precsim.open_table import batches
from precsim.runs import RunStore
from precsim.sweeps import Accelerator, sweep


def main(arguments: list[str] | None = None) -> None:
    """Train the missing runs of the chosen batches into one store; interrupted work is taken up again."""
    known = batches()
    parser = argparse.ArgumentParser(prog="python -m precsim.data.make", description=main.__doc__)
    parser.add_argument("batches", nargs="*", metavar="BATCH", help=f"{', '.join(known)}; all by default")
    parser.add_argument("--store", type=Path, default=Path("open_table.db"), help="where runs are kept (%(default)s)")
    parser.add_argument("--cache", type=Path, help="folder of compiled programs")
    parser.add_argument("--devices", type=int, default=1, help="GPUs (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes for each GPU (%(default)s)")
    options = parser.parse_args(arguments)
    for name in options.batches:
        if name not in known:
            parser.error(f"there is no batch {name!r}; the batches are {', '.join(known)}")
    where = Accelerator(devices=options.devices, workers=options.workers)
    jobs = [job for name in options.batches or known for job in known[name]]
    with RunStore(options.store) as store:
        sweep(jobs, store, where=where, cache=options.cache, progress=sys.stderr.isatty())


if __name__ == "__main__":
    main()
