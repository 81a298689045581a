"""The folder of a class: made once, outside of what is built, and only ever added to.

==================  ==============================================================================================
``course.json``     due times and what lateness costs; that it is there says that this is a class
``extensions.csv``  who may take longer; ``times.csv``: when things arrived (see ``late``)
``roster.csv``      column ``student``: who should hand in
``release/``        what students get; ``source/`` is the same, for nbgrader
``key/``            inputs and truths: for the instructor only
``submitted/``      ``STUDENT/psN/psN.ipynb``; nothing here is ever changed by a command
``graded/``         one record a submission, old ones in ``graded/old``
``autograded/``     notebooks that may be looked at
``gradebook.db``    nbgrader's; copies in ``backups/``
==================  ==============================================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from precsim.course.grading.gradebook import opened, optional, register, release_cells
from precsim.course.grading.key import Key, read_key
from precsim.course.grading.keys import key_of
from precsim.course.grading.late import EXTENSIONS, TIMES, Deadlines, Policy, deadlines, table
from precsim.course.grading.records import write_private
from precsim.course.notebooks import Edition, dumps, notebook, read

_CONFIG = '''"""nbgrader's commands and formgrader grade in the sandbox, as `precsim course grade` does."""

from nbgrader.converters import Autograde

from precsim.course.grading.in_nbgrader import start

Autograde.start = start
c = get_config()
c.CourseDirectory.course_id = "precsim"
'''
STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Classroom:
    """A class in a folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """The file of nbgrader's gradebook."""
        return self.folder / "gradebook.db"

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the problem sets that have a key."""
        return tuple(sorted(path.stem for path in (self.folder / "key").glob("*.json")))

    def release(self, name: str) -> Path:
        """The notebook that students get."""
        return self.folder / "release" / name / f"{name}.ipynb"

    def key(self, name: str) -> Key:
        """What the judge knows about a set."""
        return read_key(self.folder / "key" / f"{name}.json")

    def submissions(self, name: str) -> tuple[list[str], list[str]]:
        """Students who handed in a set, and names of folders that are no name of a student."""
        found = [path for path in (self.folder / "submitted").glob(f"*/{name}") if not path.parent.is_symlink()]
        names = sorted(path.parent.name for path in found)
        return [n for n in names if STUDENT.fullmatch(n)], [n for n in names if not STUDENT.fullmatch(n)]

    def roster(self) -> list[str]:
        """Who should hand in, in the order of the file."""
        return [row["student"] for row in table(self.folder / "roster.csv") if row.get("student")]

    def deadlines(self) -> Deadlines:
        """Due times, extensions, and what lateness costs."""
        return deadlines(self.folder)


def classroom(folder: Path) -> Classroom:
    """Return the class in a folder.

    Raises
    ------
    ValueError
        There is none.
    """
    if not (folder / "course.json").is_file():
        raise ValueError(f"{folder} is no class; make one with: precsim course init {folder}")
    return Classroom(folder.resolve())


def create(folder: Path, exercises: Path, say: Callable[[str], None]) -> Classroom:
    """Make a class, or add the problem sets that it does not have yet; nothing that is there is changed.

    Parameters
    ----------
    folder : Path
        New, empty, or a class.
    exercises : Path
        The instructor's folder with ``src/psN.py``.
    say : callable
        Takes a line on each thing that was made.

    Raises
    ------
    ValueError
        The folder is something else, lies where things are built, or there are no sources.
    """
    sources = sorted((exercises / "src").glob("ps*.py"))
    if not sources:
        raise ValueError(f"{exercises} has no src/ps*.py; give the instructor's folder with --exercises")
    folder = folder.resolve()
    if {"dist", "_build"} & set(folder.parts):
        raise ValueError(f"{folder} lies where things are built and cleaned away; choose a folder outside")
    there = (folder / "course.json").is_file()
    if folder.exists() and not there and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and no class; choose a new folder")
    made = Classroom(folder)
    for needed in ("jupytext", "nbformat", "nbgrader"):
        optional(needed)
    for part in ("submitted", "graded", "autograded", "key", "backups"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for private in (folder, folder / "key"):
        private.chmod(0o700)
    _add(folder / "nbgrader_config.py", _CONFIG)
    _add(folder / "roster.csv", "student\n")
    for name, columns in (("extensions.csv", EXTENSIONS), ("times.csv", TIMES)):
        _add(folder / name, ",".join(columns) + "\n")
    policy, due = Policy(), dict.fromkeys(source.stem for source in sources)
    late = {"percent_per_day": policy.percent_per_day, "days": policy.days}
    settings = {"due": due, "grace_minutes": policy.grace_minutes, "late": late}
    _add(folder / "course.json", json.dumps(settings, indent=1) + "\n")
    for source in sources:
        _add_set(made, source, say)
    return made


def _add(path: Path, text: str) -> bool:
    """Write a file that is not there yet."""
    if path.exists():
        return False
    write_private(path, text)
    return True


def _add_set(made: Classroom, source: Path, say: Callable[[str], None]) -> None:
    cells, name = read(source), source.stem
    key, path = key_of(name, cells), made.folder / "key" / f"{name}.json"
    if path.exists():
        same = read_key(path).digest() == key.digest()
        say(f"{name}: kept" + ("" if same else "; its source gives another key now: precsim course renew"))
    text = dumps(notebook(cells, Edition.STUDENT))
    for part in ("release", "source"):
        _add(made.folder / part / name / f"{name}.ipynb", text)
    if _add(path, key.text()):
        say(f"{name}: {key.points} points, key {key.digest()}")
    with opened(made.database) as book:
        register(book, made.key(name), release_cells(made.release(name)))


def renew(made: Classroom, name: str, exercises: Path, say: Callable[[str], None]) -> None:
    """Make key and release of a problem set again from its source; the old ones go to ``key/old``.

    What was graded with the old key is graded again by the next ``grade``; points that a person gave stay.

    Raises
    ------
    ValueError
        The class does not have this set, or its source gives the same key and release.
    """
    if name not in made.sets:
        raise ValueError(f"there is no problem set {name!r}; this class has {', '.join(made.sets)}")
    source = exercises / "src" / f"{name}.py"
    if not source.is_file():
        raise ValueError(f"{source} does not exist; give the instructor's folder with --exercises")
    cells, before = read(source), made.key(name).digest()
    if key_of(name, cells).digest() == before and made.release(name).read_text() == dumps(
        notebook(cells, Edition.STUDENT)
    ):
        raise ValueError(f"{source} gives the key {before} and the release that the class has: nothing to renew")
    old = made.folder / "key" / "old" / f"{name}-{before}"
    while old.exists():
        old = old.with_name(f"{old.name}+")
    old.mkdir(parents=True)
    for path in (made.folder / "release" / name, made.folder / "source" / name, made.folder / "key" / f"{name}.json"):
        path.rename(old / f"{path.parent.name}-{path.name}")
    _add_set(made, source, say)


def export(rows: Sequence[dict[str, object]], out: Path) -> None:
    """Write the table of grades, whole; words that a spreadsheet would compute are marked as words."""
    lines = [",".join(rows[0])] if rows else []
    for row in rows:
        lines.append(",".join(_field(value) for value in row.values()))
    write_private(out, "\n".join(lines) + "\n")


def _field(value: object) -> str:
    text = "" if value is None else str(value)
    if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t"):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text
