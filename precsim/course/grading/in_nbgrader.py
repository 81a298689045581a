"""nbgrader's ``autograde``, and formgrader's button, take the way through the sandbox.

The class folder's ``nbgrader_config.py`` puts `start` in the place of ``Autograde.start``, which both call.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbgrader.converters.base import NbGraderException

from precsim.course.grading.classroom import classroom
from precsim.course.grading.marking import grade
from precsim.course.grading.probe import trusted
from precsim.course.grading.records import State

if TYPE_CHECKING:
    from nbgrader.converters import Autograde


def start(self: Autograde) -> None:
    """Grade the assignment and the students that nbgrader was asked for.

    nbgrader runs the cells of a submission, hidden tests among them, as the person who grades, beside the gradebook;
    this is what is done instead.

    Parameters
    ----------
    self : Autograde
        nbgrader's application: it knows the course's folder, the assignment, and the students.

    Raises
    ------
    NbGraderException
        A submission could not be graded; its record says why, and the others are graded.
    """
    directory: Any = self.coursedir
    made = classroom(Path(directory.root))
    asked = None if directory.student_id in ("*", "") else [directory.student_id]
    done = grade(
        made,
        trusted(),
        sets=[directory.assignment_id],
        students=asked,
        force=bool(self.force),
        say=self.log.info,
    )
    failed = [record for record in done if record.state is State.FAILED]
    if failed:
        said = "; ".join(f"{record.student}: {record.reason}" for record in failed)
        self.log.error("not graded: %s", said)
        raise NbGraderException(f"not graded: {said}")
