"""The file of a store: made whole, looked at before SQLite touches it, opened for writing or, failing that, reading."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from precsim.runs.rows import LOOK, RUN, kind

__all__ = ["SCHEMA", "CorruptStore", "ForeignStore", "NewerStore", "Opened", "StoreError", "create", "opened", "told"]

SCHEMA = 3  # kept in the header of the file (user_version); raised whenever a table changes
_OURS = 0x70726373  # application_id in the header, "prcs"
_MAGIC = b"SQLite format 3\x00"
_SMALL = 2**25  # bytes of a file that is checked page by page whenever it is opened: a tenth of a second

FAILURES = "CREATE TABLE IF NOT EXISTS failures (job TEXT PRIMARY KEY NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID"


class StoreError(ValueError):
    """A file cannot be used as a store of runs; the file was not changed."""


class ForeignStore(StoreError):
    """The file is something else: not SQLite, or another program's database."""


class CorruptStore(StoreError):
    """The file began as a store of runs, but parts of it are damaged or missing."""


class NewerStore(StoreError):
    """The store was made by a later version of precsim."""


class Opened(NamedTuple):
    """A connection, and why nothing can be written through it (None: it can)."""

    db: sqlite3.Connection
    sealed: str | None


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Errors of SQLite as our own, which say whether the file is damaged or could not be reached.

    Raises
    ------
    StoreError, CorruptStore
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "no such" in str(error) or "decode" in str(error):  # a table, a column; a text that is none
            raise CorruptStore(f"{path} is damaged: {error}; restore it from a copy") from None
        raise StoreError(f"{path}: {error}; what was kept before is safe") from None
    except sqlite3.DatabaseError as error:
        raise CorruptStore(f"{path} is damaged: {error}; restore it from a copy") from None


def create(path: Path) -> None:
    """Make an empty store beside its place and move it there complete, so that no one ever sees half of one."""
    if not path.parent.is_dir():
        raise StoreError(f"cannot make a store at {path}: there is no folder {path.parent}")
    looks = ", ".join(f"{name} {kind(name)}" for name in LOOK)
    with told(path), tempfile.TemporaryDirectory(dir=path.parent, prefix=".precsim-") as folder:
        draft = Path(folder) / "new.db"
        with contextlib.closing(sqlite3.connect(draft)) as db:
            job = ", ".join(f"{name} {kind(name)}" for name in RUN[1:])
            db.execute(f"CREATE TABLE runs (job TEXT PRIMARY KEY NOT NULL, {job}, checksum BLOB)")
            db.execute(
                "CREATE TABLE evaluations (job TEXT NOT NULL REFERENCES runs, ordinal INTEGER NOT NULL, "
                f"{looks}, PRIMARY KEY (job, ordinal)) WITHOUT ROWID"
            )
            db.execute(FAILURES)
            db.execute(f"PRAGMA application_id = {_OURS}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            db.commit()
            db.execute("PRAGMA journal_mode = WAL")
        with contextlib.suppress(FileExistsError):  # another process was faster: its store is as good
            os.link(draft, path)


def opened(path: Path) -> Opened:
    """The store in a file, for writing or, on a full disk or where nothing may be written, for reading alone.

    Raises
    ------
    ForeignStore, CorruptStore, NewerStore
        Before anything in the file is changed.
    """
    _header(path)
    log = Path(f"{path}-wal")
    pending = log.exists() and log.stat().st_size > 0
    alone = f"{path.resolve().as_uri()}?mode=ro&immutable=1"  # SQLite then makes nothing beside the file
    if not pending:
        with told(path), contextlib.closing(sqlite3.connect(alone, uri=True)) as db:
            _sound(db, path)
    db = sqlite3.connect(path, timeout=60.0, isolation_level=None)
    sealed = None
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # makes the files beside the store
    except sqlite3.OperationalError as error:
        db.close()
        sealed = str(error)
        db = _copied(path, log) if pending else sqlite3.connect(alone, uri=True, isolation_level=None)
    try:
        with told(path):
            if pending:
                _sound(db, path)
            _compared(path, db.execute("PRAGMA user_version").fetchone()[0])
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return Opened(db, sealed)


def _copied(path: Path, log: Path) -> sqlite3.Connection:
    """The store with what waits in its log, in memory: it cannot be joined where the file is."""
    with tempfile.TemporaryDirectory(prefix="precsim-") as folder, told(path):
        copy = Path(folder) / "runs.db"
        shutil.copyfile(path, copy)
        shutil.copyfile(log, f"{copy}-wal")
        db = sqlite3.connect(":memory:", isolation_level=None)
        with contextlib.closing(sqlite3.connect(copy)) as source:
            source.backup(db)
    return db


def _header(path: Path) -> None:
    """Refuse a file that is no store of ours, by its first bytes."""
    if not path.is_file():
        raise ForeignStore(f"{path} is not a file, so it is no store of runs")
    with open(path, "rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise ForeignStore(f"{path} is not a store of runs: it is no SQLite file; give another path")
    version, owner = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if owner != _OURS:
        raise ForeignStore(f"{path} is a SQLite file of another program (application id {owner:#x}, not {_OURS:#x})")
    _compared(path, version)
    size, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    if pages * (65536 if size == 1 else size) > path.stat().st_size and not Path(f"{path}-wal").exists():
        raise CorruptStore(f"{path} is damaged: it was cut off; restore it from a copy")


def _compared(path: Path, version: int) -> None:
    if version > SCHEMA:
        raise NewerStore(
            f"{path} was written with schema {version}; this version of precsim reads up to {SCHEMA}: upgrade precsim"
        )


def _sound(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a small file with a damaged page. Of a large one, the rows that are read are checked when they are."""
    if path.stat().st_size > _SMALL:
        return
    found = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise CorruptStore(f"{path} is damaged: {' '.join(' '.join(found).split())}; restore it from a copy")
    db.execute("SELECT count(*) FROM runs JOIN evaluations USING (job)").fetchone()
