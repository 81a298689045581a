"""Runs in a file: a SQLite database that survives a kill at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from precsim.runs.opening import (
    FAILURES,
    SCHEMA,
    CorruptStore,
    ForeignStore,
    NewerStore,
    StoreError,
    create,
    opened,
    told,
)
from precsim.runs.rows import LATER, LOOK, RUN, checksum, kind, looks_of, misfit, row_of, values
from precsim.runs.run import COLUMNS, TEXT, Run
from precsim.writing import draft_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "CorruptStore", "ForeignStore", "Health", "NewerStore", "RunStore", "StoreError"]

_BATCH = 4000  # runs that are in memory at a time
_Kept = tuple[list[Any], list[list[Any]]]  # the values of a run, and of each of its evaluations


@dataclass(frozen=True, slots=True)
class Health:
    """What `RunStore.check` found.

    Attributes
    ----------
    runs, evaluations : int
    unsummed : int
        Runs without a checksum, kept by a version that wrote none: a change in them shows only if it breaks something.
    faults : tuple of str
        What is damaged, one line each; nothing in a sound store.
    """

    runs: int
    evaluations: int
    unsummed: int
    faults: tuple[str, ...]


class RunStore:
    """Finished runs in one SQLite file; each is committed whole, at once, and only once.

    Parameters
    ----------
    path : path
        Made if there is no such file; its folder must exist.

    Raises
    ------
    ForeignStore, CorruptStore, NewerStore
        All `StoreError`, a ValueError: before anything in the file is changed.

    Notes
    -----
    The database is in write-ahead mode with full synchronization: when `add` returns, the run is on the disk, and a
    process killed before that leaves no trace of it. Several processes may write to one store.

    Each run has a checksum, which is compared whenever the run is read. A store that an earlier version made is read
    as it is; the first run that is added brings it up to date. Where nothing can be written (a folder without the
    permission, a full disk) a store can still be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from precsim.runs.run import Evaluation
    >>> look = Evaluation(step=10, loss=3.0, gap=0.5, delta=0.0, delta_se=0.0)
    >>> run = Run(job="a", model="MLP(width=8)", N=1024, D=10240, entropy=2.5, steps=10, evaluations=(look,))
    >>> with tempfile.TemporaryDirectory() as folder, RunStore(pathlib.Path(folder) / "runs.db") as store:
    ...     store.add(run), store.add(run), "a" in store, len(store)
    (True, False, True, 1)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            create(self.path)
        self._db, self._sealed = opened(self.path)

    def close(self) -> None:
        """Close the file; later calls fail."""
        self._db.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __contains__(self, job: str) -> bool:
        return bool(self._ask("SELECT 1 FROM runs WHERE job = ?", job))

    def __len__(self) -> int:
        return self._ask("SELECT count(*) FROM runs")[0][0]

    def __repr__(self) -> str:
        return f"RunStore({str(self.path)!r})"

    def keys(self, beginning: str = "") -> frozenset[str]:
        """Keys of all finished jobs, or of those that begin so."""
        if not beginning:
            return frozenset(job for (job,) in self._ask("SELECT job FROM runs"))
        found = self._ask("SELECT job FROM runs WHERE job >= ? AND job < ?", beginning, f"{beginning}\U0010ffff")
        return frozenset(job for (job,) in found)

    def add(self, run: Run) -> bool:
        """Keep a finished run, in one transaction; False (and nothing changed) if its job is there already.

        Raises
        ------
        ValueError
            If a field holds what its column cannot, the key is not that of the spec, or the model as trained was not
            evaluated at the end.
        StoreError
            If the file cannot be written; nothing was changed.
        """
        return self.add_all([run]) == 1

    def add_all(self, runs: Iterable[Run]) -> int:
        """Keep many finished runs, all or none, in one transaction; how many were new."""
        with self._transaction():
            return sum(self._insert(run) for run in runs)

    def runs(self, jobs: Iterable[str] | None = None) -> Iterator[Run]:
        """Every run, or those of the given keys, in the order in which they were added.

        Raises
        ------
        CorruptStore
            At the first run that is damaged, naming it.
        """
        for run, looks in self._kept(self._numbers() if jobs is None else self._numbers({"job": list(jobs)})):
            yield Run(**dict(zip(RUN, run, strict=True)), evaluations=looks_of(looks))

    def table(self, only: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """All runs as one table, one row for each (trained model, evaluation); columns as in `COLUMNS`.

        Parameters
        ----------
        only : mapping of str to value or list of values, optional
            Column of a run (not of an evaluation) -> what it may be; other runs are not read.

        Raises
        ------
        ValueError
            If there is no such column.
        CorruptStore
            If a run is damaged, naming it.
        """
        import pandas as pd

        same: dict[str, str] = {}  # one object for equal words
        parts: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        kept = self._kept(self._numbers(only or {}))
        while some := list(itertools.islice(kept, _BATCH)):
            batch = [(run, look) for run, looks in some for look in looks]
            for names, rows in ((RUN, [run for run, _ in batch]), (LOOK, [look for _, look in batch])):
                for name, column in zip(names, zip(*rows, strict=True), strict=True):
                    if name in TEXT:
                        parts[name] += [same.setdefault(word, word) for word in column]
                    elif name in parts:
                        parts[name].append(np.array(column))
        if not parts["job"]:
            return pd.DataFrame([], columns=list(COLUMNS))
        return pd.DataFrame({name: found if name in TEXT else np.concatenate(found) for name, found in parts.items()})

    def merge(self, other: str | Path) -> int:
        """Copy the runs of another store that are not here yet, all or none; the number copied."""
        with RunStore(other) as source:
            return self.add_all(source.runs())

    def export(self, path: str | Path) -> Path:
        """Write the table to a new .parquet or .csv file, which appears whole or not at all.

        Raises
        ------
        ValueError
            If the ending is another.
        """
        path = Path(path)
        if path.suffix not in (".parquet", ".csv"):
            raise ValueError(f"cannot export to {path.name!r}: use a name that ends in .parquet or .csv")
        table = self.table()
        with draft_of(path) as draft:
            table.to_parquet(draft, index=False) if path.suffix == ".parquet" else table.to_csv(draft, index=False)
        return path

    def fail(self, job: str, reason: str) -> None:
        """Keep why a job could not be finished, until it is."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO failures (job, reason) VALUES (?, ?)", (job, reason))

    def failures(self) -> dict[str, str]:
        """Key -> reason, of the jobs that could not be finished."""
        return dict(self._ask("SELECT job, reason FROM failures")) if self._version() >= 3 else {}

    def check(self) -> Health:
        """Read everything that the file holds and compare it with its checksums; nothing is changed."""
        faults = [text for (text,) in self._ask("PRAGMA integrity_check(20)") if text != "ok"]
        for table, *_ in self._ask("PRAGMA foreign_key_check"):
            faults.append(f"a row of {table} belongs to no run")
        for _ in self._kept(self._numbers(), faults.append):
            pass
        unsummed = " WHERE checksum IS NULL" if self._version() >= 3 else ""
        looks, without = (
            self._ask(f"SELECT count(*) FROM {what}")[0][0] for what in ("evaluations", f"runs{unsummed}")
        )
        return Health(len(self), looks, without, tuple(dict.fromkeys(faults)))

    # -- reading -------------------------------------------------------------------------------------------------------

    def _ask(self, query: str, *values: Any) -> list[tuple]:
        with told(self.path):
            return self._db.execute(query, values).fetchall()

    def _version(self) -> int:
        return self._ask("PRAGMA user_version")[0][0]

    def _numbers(self, only: Mapping[str, Any] | None = None) -> list[int]:
        """Row numbers of runs, in the order in which they were added."""
        for name in only or {}:
            if name not in RUN:
                raise ValueError(f"a run has no column {name!r}; it has {', '.join(RUN)}")
        tests = [f"{name} IN (SELECT value FROM json_each(?))" for name in only or {}]
        lists = [value if isinstance(value, (list, tuple)) else [value] for value in (only or {}).values()]
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        texts = [f"[{', '.join(map(_in_json, each))}]" for each in lists]
        return sorted(number for (number,) in self._ask(f"SELECT rowid FROM runs{where}", *texts))

    def _kept(self, numbers: list[int], tell: Callable[[str], Any] | None = None) -> Iterator[_Kept]:
        """Runs by their row numbers, each compared with its checksum; a fault is told, or else raised."""
        runs, looks = self._selection("runs", RUN), self._selection("evaluations", LOOK)
        summed = "checksum" if self._version() >= 3 else "NULL"
        chosen = "rowid IN (SELECT value FROM json_each(?))"
        for n in range(0, len(numbers), _BATCH):
            batch = json.dumps(numbers[n : n + _BATCH])
            found: dict[str, list[list[Any]]] = {}
            of = f"SELECT job, {looks} FROM evaluations WHERE job IN (SELECT job FROM runs WHERE {chosen})"
            for job, *row in self._ask(f"{of} ORDER BY job, ordinal", batch):
                found.setdefault(job, []).append(values(LOOK, row))
            for total, *row in self._ask(f"SELECT {summed}, {runs} FROM runs WHERE {chosen} ORDER BY rowid", batch):
                run, its = values(RUN, row), found.get(row[0], [])
                if fault := _fault(total, run, its):
                    text = f"{self.path} is damaged: run {run[0]}: {fault}"
                    if tell is None:
                        raise CorruptStore(f"{text}; restore it from a copy (precsim runs check lists all faults)")
                    tell(text)
                yield run, its

    def _selection(self, table: str, names: tuple[str, ...]) -> str:
        """The columns of a table; those that its schema did not have yet as what their absence means."""
        there = {row[1] for row in self._ask(f"PRAGMA table_info({table})")}
        late = LATER if self._version() < SCHEMA else {}
        return ", ".join(name if name in there or name not in late else _literal(late[name]) for name in names)

    # -- writing -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._sealed is not None:
            raise StoreError(f"{self.path} can be read but not written here: {self._sealed}")
        with told(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                version = self._version()
                if version > SCHEMA:  # another process has brought it up to its own date meanwhile
                    raise NewerStore(f"{self.path} has schema {version} now, later than {SCHEMA}: upgrade precsim")
                if version < SCHEMA:
                    self._widen()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself takes back what does not fit on the disk
                    self._db.execute("ROLLBACK")
                raise

    def _widen(self) -> None:
        """Give a store of an earlier schema what came later, checksums included."""
        kept = list(self._kept(self._numbers()))
        for table, names in (("runs", (*RUN, "checksum")), ("evaluations", LOOK)):
            there = {row[1] for row in self._ask(f"PRAGMA table_info({table})")}
            for name in names:
                if name not in there:
                    what = f"{kind(name)} DEFAULT {_literal(LATER[name])}" if name in LATER else "BLOB"
                    self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {what}")
        sums = [(checksum(run, looks), run[0]) for run, looks in kept]
        self._db.executemany("UPDATE runs SET checksum = ? WHERE job = ?", sums)
        self._db.execute(FAILURES)
        self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    def _insert(self, run: Run) -> bool:
        row, looks = row_of(run), [row_of(look) for look in run.evaluations]
        if fault := _mismatch(run.job, run.spec):
            raise ValueError(f"run {run.job} cannot be kept: {fault}")
        _ = run.final  # refuses a run whose model was not evaluated at the end
        if run.job in self:
            return False
        self._db.execute(_insertion("runs", (*RUN, "checksum")), [*row, checksum(row, looks)])
        rows = [(run.job, n, *look) for n, look in enumerate(looks)]
        self._db.executemany(_insertion("evaluations", ("job", "ordinal", *LOOK)), rows)
        self._db.execute("DELETE FROM failures WHERE job = ?", (run.job,))
        return True


def _insertion(table: str, names: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _in_json(value: Any) -> str:
    """A value as JSON; that has no infinity, but a number too large to be kept is one to SQLite."""
    plain = value.item() if isinstance(value, np.generic) else value
    return "9e999" if plain == float("inf") else json.dumps(plain)


def _literal(value: Any) -> str:
    """A default value in SQL; NaN is NULL there."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if value != value:
        return "NULL"
    return "9e999" if value == float("inf") else str(int(value) if isinstance(value, bool) else value)


def _mismatch(job: str, spec: str) -> str | None:
    """Whether a key is not that of the spec beside it."""
    if not spec or hashlib.sha256(spec.encode()).hexdigest()[:16] == job:
        return None
    return "its key is not that of its spec"


def _fault(total: bytes | None, run: list[Any], looks: list[list[Any]]) -> str | None:
    """What is wrong with a run as it was read."""
    for names, row in ((RUN, run), *((LOOK, look) for look in looks)):
        if total is None and (fault := misfit(names, row)):
            return fault
    try:
        if total is not None and total != checksum(run, looks):
            return "it is not what was written (its checksum differs)"
    except (TypeError, ValueError, struct.error) as failure:
        return f"a value of another kind ({failure})"
    return _mismatch(run[0], run[RUN.index("spec")])
