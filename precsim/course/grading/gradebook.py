"""nbgrader's gradebook, written through its own interface; copied before the first writing of a day."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from precsim.course.grading.key import Key
from precsim.course.grading.records import Record, State

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

#: The course's name in nbgrader.
COURSE = "precsim"
#: How many copies stay.
COPIES = 10


def back_up(database: Path, folder: Path, day: datetime.date) -> Path | None:
    """Copy the gradebook once a day, by sqlite's own means; None if there is nothing to copy or it was done.

    Raises
    ------
    ValueError
        The gradebook is damaged: no copy takes the place of a good one.
    """
    target = folder / f"gradebook-{day.isoformat()}.db"
    if not database.exists() or target.exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    reading = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    with closing(reading) as here, closing(sqlite3.connect(part)) as there:
        try:
            here.backup(there)
            (found,) = there.execute("pragma integrity_check").fetchone()
        except sqlite3.DatabaseError as failure:
            found = str(failure)
    if found != "ok":
        part.unlink(missing_ok=True)
        raise ValueError(f"{database} is damaged ({found}); put back a copy from {folder}")
    part.replace(target)
    for old in sorted(folder.glob("gradebook-*.db"))[:-COPIES]:
        old.unlink()
    return target


def optional(name: str) -> ModuleType:
    """A module of the extra ``course``, loaded when it is needed: nbgrader alone takes two seconds.

    Raises
    ------
    ValueError
        It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as failure:
        raise ValueError(f"a class needs {failure.name}: pip install 'precsim[course]'") from None


@contextmanager
def opened(database: Path) -> Iterator[Gradebook]:
    """The gradebook of a class; made if it does not exist."""
    with _own_programs(), optional("nbgrader.api").Gradebook(f"sqlite:///{database}", COURSE) as book:
        yield book


@contextmanager
def _own_programs() -> Iterator[None]:
    """Let this Python's programs be found first: nbgrader calls alembic by its name when it makes a gradebook."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def register(book: Gradebook, key: Key, release: list[dict[str, Any]]) -> None:
    """Tell the gradebook the cells of a problem set and what they are worth."""
    to: Any = book
    checksum, from_dict = optional("nbgrader.utils").compute_checksum, optional("nbformat").from_dict
    to.update_or_create_assignment(key.name)
    to.update_or_create_notebook(key.name, key.name)
    for exercise in key.exercises:
        where = (key.name, key.name)
        to.update_or_create_grade_cell(
            exercise.cell("check"), *where, max_score=float(exercise.points), cell_type="code"
        )
        to.update_or_create_solution_cell(exercise.cell("answer"), *where)
    for cell in release:
        mark = cell["metadata"].get("nbgrader")
        if mark is not None:
            to.update_or_create_source_cell(
                mark["grade_id"],
                key.name,
                key.name,
                cell_type=cell["cell_type"],
                locked=mark["locked"],
                source=cell["source"],
                checksum=checksum(from_dict(cell)),
            )


def write(book: Gradebook, key: Key, record: Record) -> None:
    """Store the points of a record as automatic scores; what a person gave by hand stays and counts.

    A submission without a score has none here either, and waits for a person.
    """
    book.update_or_create_student(record.student)
    with book.db.no_autoflush:
        book.update_or_create_submission(key.name, record.student)
    marks = {mark.exercise: mark for mark in record.marks} if record.state is not State.FAILED else {}
    for exercise in key.exercises:
        where = (key.name, key.name, record.student)
        grade: Any = book.find_grade(exercise.cell("check"), *where)
        comment: Any = book.find_comment(exercise.cell("answer"), *where)
        mark = marks.get(exercise.name)
        by_hand = grade.manual_score is not None
        grade.auto_score = None if mark is None else float(mark.score)
        grade.needs_manual_grade = mark is None or (by_hand and grade.needs_manual_grade)
        comment.auto_comment = f"Not graded: {record.reason}" if mark is None else mark.comment
    book.db.commit()


def holds(book: Gradebook, key: Key, record: Record) -> bool:
    """Whether the gradebook has the scores of a record."""
    submissions: list[Any] = book.student_submissions(record.student)
    mine = [submission for submission in submissions if submission.assignment.name == key.name]
    grades = [grade for submission in mine for notebook in submission.notebooks for grade in notebook.grades]
    found = {grade.name: grade.auto_score for grade in grades}
    points = {mark.exercise: float(mark.score) for mark in record.marks}
    return found == {exercise.cell("check"): points.get(exercise.name) for exercise in key.exercises}


def totals(book: Gradebook) -> dict[tuple[str, str], float]:
    """Score by problem set and student, with what persons gave by hand."""
    submissions: list[Any] = [one for a in book.assignments for one in book.assignment_submissions(a.name)]
    return {(one.assignment.name, one.student.id): float(one.score) for one in submissions}


def release_cells(path: Path) -> list[dict[str, Any]]:
    """Cells of a release, which the instructor made; texts as one string each."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]
