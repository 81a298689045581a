"""Who is in the class: the roster, read from the tables that learning platforms export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from precsim.course.grading.classroom import STUDENT, Classroom, export
from precsim.course.grading.late import table


@dataclass(frozen=True, slots=True)
class Platform:
    """How a platform calls what the roster has. A table is its if it has the first column of `student`.

    Parameters
    ----------
    student : tuple of str
        Columns that give the name of the student's folder, the first that is filled.
    full_name : tuple of str
        Columns that make the name together.
    email, login, section, id : str
        Columns; empty: it has none.
    """

    student: tuple[str, ...]
    full_name: tuple[str, ...]
    email: str = ""
    login: str = ""
    section: str = ""
    id: str = ""


OURS = Platform(("student",), ("name",), "email", "login", "section", "id")
CANVAS = Platform(("SIS Login ID",), ("Student",), login="SIS Login ID", section="Section", id="ID")
MOODLE = Platform(("Username", "Email address"), ("First name", "Surname", "Last name"), "Email address", "Username")


def students(path: Path) -> list[dict[str, str]]:
    """Read a list of students as Canvas or Moodle exports it, or one with a column ``student``.

    Parameters
    ----------
    path : Path
        CSV. A student's name here is Canvas's ``SIS Login ID``, Moodle's ``Username`` or else ``Email address``.

    Raises
    ------
    ValueError
        The columns are those of no platform, or a name cannot be the name of a folder.
    """
    rows = table(path)
    columns = set(rows[0]) if rows else set()
    form = next((form for form in (OURS, CANVAS, MOODLE) if set(form.student) & columns), None)
    if form is None:
        raise ValueError(f"{path} has no student in a column student, SIS Login ID, Username or Email address")
    found = []
    for row in rows:
        student = next((row[name] for name in form.student if row.get(name)), "")
        if not student:  # Canvas's second row has the points, its last a test student
            continue
        if not STUDENT.fullmatch(student):
            raise ValueError(f"{path}: {student!r} cannot be the name of a folder; letters, digits and . _ @ + - can")
        found.append(
            {
                "student": student,
                "name": " ".join(row[name] for name in form.full_name if row.get(name)),
                "email": row.get(form.email, ""),
                "login": row.get(form.login, ""),
                "section": row.get(form.section, ""),
                "id": row.get(form.id, ""),
            }
        )
    return found


def enrol(made: Classroom, path: Path, say: Callable[[str], None]) -> int:
    """Add the students of a table to the roster; who is there stays, also if the table does not have them any more.

    Returns
    -------
    int
        How many are new.
    """
    there = made.folder / "roster.csv"
    before = {row["student"]: row for row in table(there) if row.get("student")}
    listed = {row["student"]: row for row in students(path)}
    for gone in sorted(set(before) - set(listed)):
        say(f"{gone}: not in {path.name}; stays in the roster, with what was handed in")
    known = {
        name: {key: row.get(key) or value for key, value in (listed.get(name) or _nobody(name)).items()}
        for name, row in before.items()
    }
    rows: list[dict[str, object]] = [dict(row) for row in (listed | known).values()]
    export(sorted(rows, key=lambda row: str(row["student"])), there)
    return len(set(listed) - set(before))


def _nobody(student: str) -> dict[str, str]:
    return {"student": student, "name": "", "email": "", "login": "", "section": "", "id": ""}
