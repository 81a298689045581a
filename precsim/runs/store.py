"""Runs in a file: a SQLite database that survives a kill at any moment."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precsim.runs.run import COLUMNS, TEXT, Evaluation, Run

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 2  # kept in the header of the file (user_version); raised whenever a table changes
_OURS = 0x70726373  # application_id in the header, "prcs"
_MAGIC = b"SQLite format 3\x00"


class StoreError(ValueError):
    """A file cannot be used as a store of runs; the file was not changed."""


class ForeignStore(StoreError):
    """The file is something else: not SQLite, or another program's database."""


class CorruptStore(StoreError):
    """The file began as a store of runs, but parts of it are damaged or missing."""


class NewerStore(StoreError):
    """The store was made by a later version of precsim."""


_BOOL = {"diverged", "holdout"}
_WHOLE = {"N", "D", "step", "steps", "seed", "language_seed", "batch_tokens"}
_JOB = [n for n in Run.__slots__ if n != "evaluations"]
_LOOK = list(Evaluation.__slots__)


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

    Examples
    --------
    >>> import tempfile, pathlib
    >>> look = Evaluation(step=10, loss=3.0, gap=0.5, delta=0.0, delta_se=0.0)
    >>> run = Run(job="a", model="MLP(width=8)", N=1024, D=10240, entropy=2.5, steps=10, evaluations=(look,))
    >>> with tempfile.TemporaryDirectory() as folder, RunStore(pathlib.Path(folder) / "runs.db") as store:
    ...     store.add(run), store.add(run), "a" in store, len(store)
    (True, False, True, 1)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            _create(self.path)
        _inspect(self.path)
        self._db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA synchronous = FULL")
        self._widen()

    def close(self) -> None:
        """Close the file; later calls fail."""
        self._db.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __contains__(self, job: str) -> bool:
        return self._db.execute("SELECT 1 FROM runs WHERE job = ?", (job,)).fetchone() is not None

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM runs").fetchone()[0]

    def __repr__(self) -> str:
        return f"RunStore({str(self.path)!r})"

    def keys(self) -> frozenset[str]:
        """Keys of all finished jobs."""
        return frozenset(job for (job,) in self._db.execute("SELECT job FROM runs"))

    def add(self, run: Run) -> bool:
        """Keep a finished run, in one transaction; False (and nothing changed) if its job is there already."""
        with self._transaction():
            return self._insert(run)

    def add_all(self, runs: Iterable[Run]) -> int:
        """Keep many finished runs, all or none, in one transaction; how many were new."""
        with self._transaction():
            return sum(self._insert(run) for run in runs)

    def runs(self) -> Iterator[Run]:
        """Every run, in the order in which they were added."""
        for row in self._db.execute(f"SELECT {', '.join(_JOB)} FROM runs ORDER BY rowid").fetchall():
            values = _read(_JOB, row)
            looks = self._db.execute(
                f"SELECT {', '.join(_LOOK)} FROM evaluations WHERE job = ? ORDER BY ordinal", (values["job"],)
            )
            yield Run(**values, evaluations=tuple(Evaluation(**_read(_LOOK, look)) for look in looks.fetchall()))

    def table(self) -> pd.DataFrame:
        """All runs as one table, one row for each (trained model, evaluation); columns as in `COLUMNS`."""
        import pandas as pd

        columns = ", ".join(f"{'e' if name in _LOOK else 'r'}.{name} AS {name}" for name in COLUMNS)
        query = f"SELECT {columns} FROM runs r JOIN evaluations e ON e.job = r.job ORDER BY r.rowid, e.ordinal"
        rows = [tuple(_read(list(COLUMNS), row).values()) for row in self._db.execute(query)]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def merge(self, other: str | Path) -> int:
        """Copy the runs of another store that are not here yet, all or none; the number copied."""
        with RunStore(other) as source:
            runs = list(source.runs())
        return self.add_all(runs)

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
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".precsim-") as folder:
            draft = Path(folder) / path.name
            table.to_parquet(draft, index=False) if path.suffix == ".parquet" else table.to_csv(draft, index=False)
            os.replace(draft, path)
        return path

    def _widen(self) -> None:
        """Give a store of an earlier schema the columns that came later, empty; all or none."""
        if self._db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
            return
        with self._transaction():  # another process may have done it meanwhile
            for table, names in (("runs", _JOB), ("evaluations", _LOOK)):
                known = {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}
                for name in names:
                    if name not in known:
                        default = " DEFAULT ''" if name in TEXT else ""
                        self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {_kind(name)}{default}")
            self._db.execute(f"PRAGMA user_version = {SCHEMA}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _insert(self, run: Run) -> bool:
        if run.job in self:
            return False
        self._db.execute(_insertion("runs", _JOB), [_write(getattr(run, name)) for name in _JOB])
        looks = [
            (run.job, n, *(_write(getattr(look, name)) for name in _LOOK)) for n, look in enumerate(run.evaluations)
        ]
        self._db.executemany(_insertion("evaluations", ["job", "ordinal", *_LOOK]), looks)
        return True


def _insertion(table: str, names: list[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _write(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _read(names: list[str], row: tuple) -> dict[str, Any]:
    # SQLite has no NaN: it keeps NULL instead, and only numbers can be NaN
    values = {name: float("nan") if value is None else value for name, value in zip(names, row, strict=True)}
    return {name: bool(value) if name in _BOOL else value for name, value in values.items()}


def _kind(name: str) -> str:
    if name in TEXT or name == "spec":
        return "TEXT NOT NULL"
    return "INTEGER NOT NULL" if name in _BOOL | _WHOLE else "REAL"


def _create(path: Path) -> None:
    """Make an empty store beside its place and move it there complete, so that no one ever sees half of one."""
    if not path.parent.is_dir():
        raise StoreError(f"cannot make a store at {path}: there is no folder {path.parent}")
    looks = ", ".join(f"{name} {_kind(name)}" for name in _LOOK)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".precsim-") as folder:
        draft = Path(folder) / "new.db"
        with contextlib.closing(sqlite3.connect(draft)) as db:
            job = ", ".join(f"{name} {_kind(name)}" for name in _JOB[1:])
            db.execute(f"CREATE TABLE runs (job TEXT PRIMARY KEY NOT NULL, {job})")
            db.execute(
                "CREATE TABLE evaluations (job TEXT NOT NULL REFERENCES runs, ordinal INTEGER NOT NULL, "
                f"{looks}, PRIMARY KEY (job, ordinal)) WITHOUT ROWID"
            )
            db.execute(f"PRAGMA application_id = {_OURS}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            db.commit()
            db.execute("PRAGMA journal_mode = WAL")
        with contextlib.suppress(FileExistsError):  # another process was faster: its store is as good
            os.link(draft, path)


def _inspect(path: Path) -> None:
    """Refuse a file that is not a sound store of ours; reads the header as bytes before SQLite touches the file."""
    if not path.is_file():
        raise ForeignStore(f"{path} is not a file, so it is no store of runs")
    with open(path, "rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise ForeignStore(f"{path} is not a store of runs: it is no SQLite file; give another path")
    version, owner = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if owner != _OURS:
        raise ForeignStore(f"{path} is a SQLite file of another program (application id {owner:#x}, not {_OURS:#x})")
    if version > SCHEMA:
        raise NewerStore(
            f"{path} was written with schema {version}; this version of precsim reads up to {SCHEMA}: upgrade precsim"
        )
    log = Path(f"{path}-wal")
    # without a log of pending writes, nothing beside the file is needed, and SQLite is told to make nothing
    alone = "" if log.exists() and log.stat().st_size else "&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{alone}", uri=True)) as db:
            found = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
            db.execute("SELECT count(*) FROM runs JOIN evaluations USING (job)").fetchone()
    except sqlite3.DatabaseError as error:
        raise CorruptStore(f"{path} is damaged: {error}; restore it from a copy") from None
    if found != ["ok"]:
        raise CorruptStore(f"{path} is damaged: {'; '.join(found)}; restore it from a copy")
