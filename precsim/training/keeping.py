"""The state of a population on disk, so that what is killed goes on where it was and not from the start."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from precsim.training.job import Job
from precsim.writing import draft_of

_SECONDS = 60  # between two copies: what is lost at most


class Keeper:
    """Writes what a population needs to go on, every `seconds`, and reads it back.

    Parameters
    ----------
    folder : path or None
        Made if absent; None keeps nothing.
    jobs : sequence of Job
        Of the population. The longest of them, which is the last to be finished, names the file.
    seconds : float
        Time between two copies.
    """

    def __init__(self, folder: str | Path | None, jobs: Sequence[Job], seconds: float = _SECONDS) -> None:
        first = max(jobs, key=lambda job: (job.steps, job.key))
        name = hashlib.sha256(first.key.encode()).hexdigest()[:16]
        self._path = None if folder is None else Path(folder) / f"{name}.state"
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        """Whether it is time for another copy."""
        return self._path is not None and time.monotonic() - self._last >= self._seconds

    def write(self, slots: Any, waiting: Any, state: Any) -> None:
        """Keep slots, the keys of jobs that wait, and arrays; the file appears whole or not at all."""
        assert self._path is not None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        arrays = jax.tree.map(np.asarray, state)
        with draft_of(self._path) as draft, open(draft, "wb") as file:
            pickle.dump((slots, waiting, arrays), file)
        self._last = time.monotonic()

    def read(self) -> tuple[Any, Any, Any] | None:
        """What was kept last; None if nothing was."""
        if self._path is None or not self._path.exists():
            return None
        return pickle.loads(self._path.read_bytes())

    def forget(self) -> None:
        """Remove the copy: all jobs are done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
