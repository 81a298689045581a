"""What the experiments of the chapters gave: trained once, shipped, and tried again in part wherever a page is built.

A page asks for a `result`. It gets the table that ships, after one network in twenty has been trained again here and
agrees with it; with the environment variable PRECSIM_LIVE=1 (``make book LIVE=1``) all are trained again. So text and
charts rest on the same numbers everywhere, and a build takes minutes on any machine.

``make lessons`` trains all of them and writes the files.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from precsim.evidence.experiments import chapters
from precsim.evidence.experiments.chapters import Cell
from precsim.runs.run import COLUMNS, TEXT
from precsim.runs.tables import check, table
from precsim.training.job import Job
from precsim.training.populations import populations_of
from precsim.training.sweeps import Local, finished
from precsim.writing import draft_of, write

__all__ = ["LESSONS", "MEMBERS", "TOLERANCE", "Disagreement", "Lesson", "compare", "load", "make", "result", "sample"]

LESSONS: dict[str, Callable[[], tuple[Cell, ...]]] = {
    made.__name__: made
    for made in (
        chapters.loss_scales,
        chapters.master_weights,
        chapters.accumulators,
        chapters.activation_scales,
        chapters.parts,
        chapters.seeds,
        chapters.treatments,
        chapters.twice,
        chapters.two_lengths,
        chapters.decayed,
        chapters.courses,
    )
}
MEMBERS = 8  # of a population: a slice of eight costs an eighth of sixty-four, and a CPU gains little from more
SHARE = 20  # one network in so many is trained again
# Of the gap. On one kind of processor the slice comes out equal to the last bit. Where sums are added in another order,
# rounded networks fall to other sides of ties and go other ways. Tried with all networks, on vectors of 128, 256 and
# 512 bits: half of the evaluations differ by less than 3e-3 in each experiment, nine in ten by less than 7e-3, the
# worst single one, early in a training in few bits, by 0.11.
TOLERANCE = 0.25  # of one evaluation
TYPICAL = 0.08  # of half of them, which may be one


class Disagreement(ValueError):
    """Networks trained here differ from the stored ones by more than `TOLERANCE`, or half of them by `TYPICAL`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The result of an experiment, and how much of it was trained again here.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each (cell, evaluation): the labels of the experiment and the columns of `runs.COLUMNS`.
    models, again : int
        Networks of the experiment, and of those trained here.
    difference : float
        Largest difference of a gap or δ trained here from the stored one, over the stored gap.
    made : str
        Where and with what the stored table was made.
    """

    table: pd.DataFrame
    models: int
    again: int
    difference: float
    made: str

    def __str__(self) -> str:
        """What a page says about where its numbers come from."""
        return f"{self.source} (allowed: {TOLERANCE:g})\ntrained on {self.made}"

    @property
    def source(self) -> str:
        """The same in a line, for the caption of a figure."""
        off = "equal to the last bit" if self.difference == 0 else f"within {self.difference:.1e} of the gap"
        return f"{self.models} networks, stored with the package; trained again here: {self.again}, gaps and δ {off}"


def result(name: str, *, live: bool | None = None) -> Lesson:
    """Load what an experiment gave, after training a part of it, or all of it, again.

    Parameters
    ----------
    name : str
        One of `LESSONS`.
    live : bool, optional
        Train all of it again and return that; by default whether PRECSIM_LIVE is 1 in the environment.

    Raises
    ------
    ValueError
        If there is no such experiment, or what is stored is not what was shipped or declared (see `load`).
    Disagreement
        If what is trained here differs from what is stored; see `compare`.
    """
    if live is None:
        live = os.environ.get("PRECSIM_LIVE") == "1"
    stored, record = load(name)
    cells = LESSONS[name]()
    jobs = _distinct(cells)
    chosen = jobs if live else sample(name, jobs)
    again = _train(jobs, chosen)
    difference = compare(name, stored, again)
    shown = chapters.labeled(cells, again if live else stored)
    return Lesson(shown, len(jobs), len(chosen), difference, f"{record['device']}\nwith {record['versions']}")


def load(name: str) -> tuple[pd.DataFrame, dict]:
    """Load the table of an experiment as it was stored, without labels, and the record beside it.

    Raises
    ------
    ValueError
        If there is no such experiment, a file is not the one that was shipped, or its jobs are not those declared now.

    Examples
    --------
    >>> stored, record = load("seeds")
    >>> len(stored), record["models"]
    (48, 48)
    """
    if name not in LESSONS:
        raise ValueError(f"there is no lesson {name!r}; the lessons are {', '.join(LESSONS)}")
    with resources.as_file(resources.files("precsim.data") / "lessons") as folder:
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        path = folder / f"{name}.csv.gz"
        if hashlib.sha256(path.read_bytes()).hexdigest() != record["sha256"]:
            raise ValueError(f"{path.name} is not the file that was shipped: its SHA-256 differs from {name}.json")
        # "none" and empty words are words here, whatever they mean in tables of other people.
        numbers = {column: [""] for column in COLUMNS if column not in TEXT}
        words = dict.fromkeys(TEXT, str)
        read = {"dtype": words, "keep_default_na": False, "na_values": numbers}
        stored = check(pd.read_csv(path, **read))
    declared = [job.key for job in _distinct(LESSONS[name]())]
    if list(dict.fromkeys(stored["job"])) != declared:
        raise ValueError(f"{path.name} has other jobs than the experiment {name} of today: make lessons")
    return stored, record


def sample(name: str, jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Choose one job in `SHARE`, at least one, of one population; the name of the experiment decides which.

    Examples
    --------
    >>> jobs = [cell.job for cell in LESSONS["seeds"]()]
    >>> len(sample("seeds", jobs)), sample("seeds", jobs) == sample("seeds", jobs)
    (3, True)
    """
    jobs = tuple(jobs)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    groups = populations_of(jobs, MEMBERS)
    among = groups[rng.integers(len(groups))].jobs  # of one, since each population compiles a program
    count = min(-(-len(jobs) // SHARE), MEMBERS, len(among))
    return tuple(among[n] for n in sorted(rng.choice(len(among), count, replace=False)))


def compare(name: str, stored: pd.DataFrame, again: pd.DataFrame) -> float:
    """Compare rows trained again with those of the same job and evaluation in the stored table.

    Parameters
    ----------
    name : str
        What the message calls them.
    stored, again : pandas.DataFrame
        With the columns of `runs.COLUMNS`; each job of `again` has its rows in the same order in `stored`.

    Returns
    -------
    float
        The largest difference of a gap or δ over the stored gap; a network that diverged must do so again.

    Raises
    ------
    Disagreement
        If it is more than `TOLERANCE`, the median difference more than `TYPICAL`, or an evaluation is missing. Names
        the network that is furthest off.
    """
    old = stored[stored["job"].isin(list(again["job"]))].reset_index(drop=True)
    new = again.reset_index(drop=True)
    same = ["job", "step", "post_method", "post_format"]
    if len(old) != len(new) or not np.all(np.asarray(old[same] == new[same])):
        raise Disagreement(f"lesson {name}: {len(new)} evaluations here, others or {len(old)} in the stored table")
    gap = np.asarray(old["gap"], float)
    scale = np.where(np.isnan(gap), 1.0, gap)
    worst = np.zeros(len(old))
    for column in ("gap", "delta"):
        a, b = np.asarray(old[column], float), np.asarray(new[column], float)
        off = np.where(np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b) / scale)
        worst = np.maximum(worst, np.where(np.isnan(off), np.inf, off))
    at = int(np.argmax(worst))
    if worst[at] > TOLERANCE:
        row = old.iloc[at]
        raise Disagreement(
            f"lesson {name}: {row['model']}, seed {row['seed']}, step {row['step']}, job {row['job']}:"
            f" gap {new['gap'][at]:.6g} and δ {new['delta'][at]:.6g} here,"
            f" {row['gap']:.6g} and {row['delta']:.6g} stored;"
            f" {worst[at]:.2g} of the gap apart, allowed are {TOLERANCE:g}"
        )
    if (typical := float(np.median(worst))) > TYPICAL:
        raise Disagreement(
            f"lesson {name}: half of its evaluations are {typical:.2g} of the gap and more away from the stored ones;"
            f" allowed are {TYPICAL:g}, since another order of summation moves few of them that far"
        )
    return float(worst[at])


def make(names: Iterable[str] = LESSONS, folder: Path | None = None, *, say: Callable[[str], object] = print) -> None:
    """Train experiments and write each as a table (CSV, gzip) with a record of how it was made beside it.

    Raises
    ------
    ValueError
        If there is no such experiment; before anything is trained.
    """
    names = list(names)
    if unknown := [name for name in names if name not in LESSONS]:
        raise ValueError(f"there is no lesson {unknown[0]!r}; the lessons are {', '.join(LESSONS)}")
    folder = Path(__file__).parents[2] / "data" / "lessons" if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        jobs = _distinct(LESSONS[name]())
        say(_write(name, jobs, _train(jobs, jobs), folder))


def _write(name: str, jobs: tuple[Job, ...], found: pd.DataFrame, folder: Path) -> str:
    path = folder / f"{name}.csv.gz"
    with draft_of(path) as draft:  # equal tables make equal files
        found.to_csv(draft, index=False, compression={"method": "gzip", "mtime": 0})
    record = {
        "function": f"{LESSONS[name].__module__}.{name}",
        "made_by": f"make lessons, in populations of {MEMBERS}",
        "models": len(jobs),
        "evaluations": len(found),
        "tokens": sum(job.D for job in jobs),
        "seeds": sorted({job.seed for job in jobs}),
        "device": found["device"].iloc[0],
        "versions": found["versions"].iloc[0],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    write(folder / f"{name}.json", json.dumps(record, indent=1) + "\n")
    return f"{name}: {len(jobs)} networks, {len(found)} evaluations, {path.stat().st_size:,} bytes"


def _distinct(cells: Iterable[Cell]) -> tuple[Job, ...]:
    return tuple({cell.job.key: cell.job for cell in cells}.values())


def _train(jobs: tuple[Job, ...], chosen: tuple[Job, ...]) -> pd.DataFrame:
    """Train some jobs of an experiment exactly as in a training of all: the same programs and places."""
    done = frozenset(job.key for job in jobs) - {job.key for job in chosen}
    runs = {run.job: run for run in finished(populations_of(jobs, MEMBERS, done), Local(MEMBERS), progress=False)}
    return table(runs[job.key] for job in jobs if job.key in runs)


if __name__ == "__main__":
    make(sys.argv[1:] or LESSONS)
