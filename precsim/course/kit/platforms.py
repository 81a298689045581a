"""Grades for learning platforms: the instructor's own Canvas export filled in, and a table that Moodle imports.

The score is `final` of the table of grades, with what lateness costs. What was not judged stays blank, never 0.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from precsim.course.grading.classroom import Classroom, export
from precsim.course.grading.late import table
from precsim.course.grading.marking import grade_rows

#: What Canvas needs beside the grades; its other columns are Canvas's own sums, and read only.
_CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_POINTS = "Points Possible"


@dataclass(frozen=True, slots=True)
class Placed:
    """What a platform's file got: scores by set, and what had no place there."""

    scores: int
    sets: tuple[str, ...]
    without_column: tuple[str, ...]
    without_row: tuple[str, ...]


def canvas(made: Classroom, exported: Path, out: Path) -> Placed:
    """Fill the columns of problem sets in an export of Canvas's gradebook.

    Parameters
    ----------
    made : Classroom
        The class.
    exported : Path
        From Canvas: Grades, Export. Its assignments are named ``ps1`` or ``Problem set 1``, whatever follows.
    out : Path
        The file to import: who the students are, and the columns of problem sets, no others.

    Raises
    ------
    ValueError
        It is no such export, no column is a problem set's, or the points there are not those of the set.
    """
    with exported.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    head = [name.strip() for name in lines[0]] if lines else []
    if missing := [name for name in ("Student", "ID", "SIS Login ID", "Section") if name not in head]:
        raise ValueError(f"{exported} has no column {missing[0]}; export it from Canvas: Grades, Export")
    place = {name: number for name in made.sets for number, title in enumerate(head) if _is(title, name)}
    if not place:
        raise ValueError(f"{exported} has no assignment named {made.sets[0]} or like it; make one in Canvas first")
    login = head.index("SIS Login ID")
    scores, roster = _scores(made), {row["login"] or row["student"]: row["student"] for row in _roster(made)}
    kept = [number for number, title in enumerate(head) if title in _CANVAS] + sorted(place.values())
    rows, seen, filled = [], set(), 0
    for line in lines[1:]:
        cells = [*line, *[""] * (len(head) - len(line))]
        if _POINTS in cells[head.index("Student")]:
            for name, number in place.items():
                _same_points(name, cells[number], made.key(name).points)
        elif cells[login].strip():
            student = roster.get(cells[login].strip(), cells[login].strip())
            seen.add(student)
            for name, number in place.items():
                score = scores.get((student, name))
                cells[number] = "" if score is None else f"{score:g}"
                filled += score is not None
        rows.append({head[number]: cells[number] for number in kept})
    export(rows, out)
    lost = sorted({student for student, _ in scores} - seen)
    return Placed(filled, tuple(place), tuple(name for name in made.sets if name not in place), tuple(lost))


def moodle(made: Classroom, out: Path, say: Callable[[str], None]) -> Placed:
    """Write a table with ``Email address`` and a column for each set; Moodle asks what each column is when it imports.

    Raises
    ------
    ValueError
        Nobody in the roster has an e-mail address.
    """
    scores, rows, lost = _scores(made), [], []
    for student in _roster(made):
        address = student["email"] or (student["student"] if "@" in student["student"] else "")
        if not address:
            lost.append(student["student"])
            continue
        rows.append({"Email address": address} | {name: scores.get((student["student"], name)) for name in made.sets})
    if not rows:
        raise ValueError("nobody in roster.csv has an e-mail address: precsim course roster FOLDER PARTICIPANTS.csv")
    export(rows, out)
    say("imported grades lock the activity in Moodle: make a grade item of its own for each set")
    filled = sum(value is not None for row in rows for value in row.values()) - len(rows)
    known = {student["student"] for student in _roster(made)}
    lost += sorted({student for student, _ in scores} - known)
    return Placed(filled, made.sets, (), tuple(lost))


def _is(title: str, name: str) -> bool:
    """Whether an assignment of Canvas is a problem set: its name with Canvas's number in parentheses behind it."""
    plain = re.sub(r" \(\d+\)$", "", title).casefold()
    number = name.removeprefix("ps")
    return bool(re.match(rf"(?:{name}|problem set {number})(?!\d)", plain))


def _same_points(name: str, there: str, ours: int) -> None:
    try:
        same = float(there) == ours
    except ValueError:  # read only, or an export without points
        return
    if not same:
        raise ValueError(f"Canvas gives {float(there):g} points for {name}, the set has {ours}: change it in Canvas")


def _scores(made: Classroom) -> dict[tuple[str, str], float | None]:
    """Final score of everybody who handed in, by student and set."""
    rows: Sequence[dict[str, object]] = grade_rows(made)
    return {(str(r["student"]), str(r["set"])): r["final"] for r in rows if r["state"] != "missing"}  # pyright: ignore[reportReturnType]


def _roster(made: Classroom) -> list[dict[str, str]]:
    rows = [row for row in table(made.folder / "roster.csv") if row.get("student")]
    return [{"student": row["student"], "email": row.get("email", ""), "login": row.get("login", "")} for row in rows]
