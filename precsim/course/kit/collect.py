"""Submissions out of the archive that a learning platform offers for download, into the folders of the class."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from precsim.course.grading.classroom import Classroom
from precsim.course.grading.intake import MAXIMUM
from precsim.course.grading.late import table
from precsim.writing import draft_of

#: Canvas: name, perhaps LATE, number of the student, of the submission, and the file's own name.
_CANVAS = re.compile(r"[^_]*(?:_LATE)?_(?P<id>\d+)_\d+_.*\.ipynb")
#: Moodle: a folder for each student, with full name and a number.
_MOODLE = re.compile(r"(?P<name>.+)_\d+_assignsubmission_file_?/.*\.ipynb")


@dataclass(frozen=True, slots=True)
class Collected:
    """Who has a notebook now, and what in the archive belongs to nobody in the roster."""

    students: tuple[str, ...]
    strange: tuple[str, ...]


def collect(made: Classroom, name: str, archive: Path, say: Callable[[str], None]) -> Collected:
    """Put the notebooks of an archive into ``submitted/``; one that was there and differs goes to ``resubmitted/``.

    Parameters
    ----------
    made : Classroom
        The class. Its roster has Canvas's ``ID``, or the full names that Moodle writes.
    name : str
        The problem set.
    archive : Path
        Canvas: *Download submissions*. Moodle: *Download all submissions*.
    say : callable
        Takes a line on each notebook that was replaced, is too large, or belongs to nobody.

    Raises
    ------
    ValueError
        There is no such set, or the file is no archive.
    """
    if name not in made.sets:
        raise ValueError(f"there is no problem set {name!r}; this class has {', '.join(made.sets)}")
    if not zipfile.is_zipfile(archive):
        raise ValueError(f"{archive} is no zip file; download the submissions as one from the platform")
    known = _students(made)
    found, strange = [], []
    with zipfile.ZipFile(archive) as packed:
        for entry, key in _entries(packed):
            student = known.get(key)
            if student is None:
                strange.append(entry.filename)
                continue
            if entry.file_size > MAXIMUM:
                say(f"{student}: {entry.file_size >> 20} MiB are more than a notebook may have; left out")
                continue
            with packed.open(entry) as file:
                _put(made, student, name, file.read(MAXIMUM + 1)[:MAXIMUM], say)
            found.append(student)
    return Collected(tuple(dict.fromkeys(found)), tuple(strange))


def _students(made: Classroom) -> dict[str, str]:
    """The folder of a student by Canvas's number and by full name; a name that two have stands for nobody."""
    rows = [row for row in table(made.folder / "roster.csv") if row.get("student")]
    names = [_plain(row.get("name", "")) for row in rows]
    found = {row["id"]: row["student"] for row in rows if row.get("id")}
    return found | {n: row["student"] for n, row in zip(names, rows, strict=True) if n and names.count(n) == 1}


def _entries(packed: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Notebooks of an archive, each with what tells whose it is."""
    for entry in packed.infolist():
        path = PurePosixPath(entry.filename)
        if entry.is_dir() or path.suffix != ".ipynb" or path.name.startswith("."):
            continue
        if canvas := _CANVAS.fullmatch(path.name):
            yield entry, canvas["id"]
        elif moodle := _MOODLE.fullmatch(entry.filename):
            yield entry, _plain(moodle["name"])
        else:
            yield entry, ""


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _put(made: Classroom, student: str, name: str, data: bytes, say: Callable[[str], None]) -> None:
    path = made.folder / "submitted" / student / name / f"{name}.ipynb"
    if path.parent.is_symlink() or path.is_symlink():
        raise ValueError(f"{path} is a link; nothing is written through it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and (before := path.read_bytes()) != data:
        old = made.folder / "resubmitted" / student / f"{name}-{hashlib.sha256(before).hexdigest()[:12]}.ipynb"
        old.parent.mkdir(parents=True, exist_ok=True)
        path.rename(old)
        say(f"{student}: handed in again; the one before is {old.relative_to(made.folder)}")
    with draft_of(path) as draft:
        draft.write_bytes(data)
