"""Problem sets as an instructor sees them: what each exercise is worth, how long it takes, what it teaches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from precsim.course.checking import exercises_of
from precsim.course.kit.chapters import Chapter, Objective, objective
from precsim.course.notebooks import Cell, Role, assigned, read

_HEADING = re.compile(r"(?m)^## \d+\. (?P<title>.*?) \(\d+ points?\)")
_SET = re.compile(r"(?m)^# (?P<title>.*)$")


@dataclass(frozen=True, slots=True)
class Share:
    """Inputs with a name that students see, and the points that they give together."""

    name: str
    points: int


@dataclass(frozen=True, slots=True)
class Known:
    """A known mistake: its name, and what whoever makes it is told."""

    name: str
    hint: str


@dataclass(frozen=True, slots=True)
class Task:
    """One exercise: the function's name, its heading, minutes, objectives, points by groups, known mistakes."""

    name: str
    title: str
    minutes: int
    objectives: tuple[Objective, ...]
    shares: tuple[Share, ...]
    mistakes: tuple[Known, ...]

    @property
    def points(self) -> int:
        """The most that it gives."""
        return sum(share.points for share in self.shares)


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """A notebook of exercises: its name, title, tasks."""

    name: str
    title: str
    tasks: tuple[Task, ...]

    @property
    def points(self) -> int:
        """The most that it gives."""
        return sum(task.points for task in self.tasks)

    @property
    def minutes(self) -> int:
        """How long it takes: the sum of what its exercises state."""
        return sum(task.minutes for task in self.tasks)

    @property
    def chapters(self) -> tuple[str, ...]:
        """Names of the chapters whose objectives it serves, each once."""
        return tuple(dict.fromkeys(one.chapter for task in self.tasks for one in task.objectives))


def problem_sets(exercises: Path, chapters: Sequence[Chapter]) -> tuple[ProblemSet, ...]:
    """Return all problem sets of an instructor's folder, in the order of their numbers.

    Parameters
    ----------
    exercises : Path
        Has ``src/psN.py``.
    chapters : sequence of Chapter
        Of the book, from `read_book`.

    Raises
    ------
    ValueError
        An exercise does not say its minutes or objectives, or names an objective that the book does not have.
    """
    sources = sorted((exercises / "src").glob("ps*.py"), key=lambda path: (len(path.stem), path.stem))
    if not sources:
        raise ValueError(f"{exercises} has no src/ps*.py; give the instructor's folder with --exercises")
    return tuple(_set(source.stem, read(source), chapters) for source in sources)


def _set(name: str, cells: Sequence[Cell], chapters: Sequence[Chapter]) -> ProblemSet:
    known = {one.name: one for one in exercises_of(name)}
    first = next(cell.text for cell in cells if cell.role is Role.TEXT)
    title = _SET.search(first)
    tasks = []
    for number, cell in enumerate(cells):
        if cell.role is Role.CHECK:
            mistakes = tuple(Known(one.name, one.hint) for one in known[cell.exercise].mistakes)
            tasks.append(_task(name, cell, cells[:number], cells, chapters, mistakes))
    return ProblemSet(name, title["title"] if title else name, tuple(tasks))


def _task(
    name: str,
    check: Cell,
    before: Sequence[Cell],
    cells: Sequence[Cell],
    chapters: Sequence[Chapter],
    mistakes: tuple[Known, ...],
) -> Task:
    about = next((cell for cell in cells if cell.role is Role.ABOUT and cell.exercise == check.exercise), None)
    said = assigned(about) if about else {}
    if not said.get("objectives"):
        raise ValueError(
            f'{name}.py: {check.exercise} needs a cell role="about" with minutes = 20 and objectives = '
            '{"1-numbers/rounding": "round a number by hand"}: a chapter, and how its objective begins'
        )
    headings = [found["title"] for cell in before if cell.role is Role.TEXT for found in _HEADING.finditer(cell.text)]
    hidden = [
        Share(cell.group, cell.points) for cell in cells if cell.role is Role.GROUP and cell.exercise == check.exercise
    ]
    left = check.points - sum(share.points for share in hidden)
    shares = (*([Share("the inputs shown", left)] if left else []), *hidden)
    serves = tuple(objective(chapters, chapter, words) for chapter, words in said["objectives"].items())
    return Task(check.exercise, headings[-1] if headings else check.exercise, said["minutes"], serves, shares, mistakes)
