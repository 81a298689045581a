"""The notebooks of a problem set, made from its one source: the student's, and the instructor's with solutions.

A source is a script in jupytext's percent format. Cells of an exercise carry ``exercise="name"`` and a role:

========  ==========================================================================================
about     ``minutes``, and ``objectives``: chapters of the book, each with the beginning of one of its objectives; the
          minutes go into the heading of the statement, which has the points: ``## 1. Decode a code (3 points)``
answer    the function with its solution between ``### BEGIN SOLUTION`` and ``### END SOLUTION``
check     the visible check, with ``points=``
group     further inputs under a name, with ``group=`` and its share ``points=``: the code defines ``inputs``, a list
          of the arguments of one call each; only the grader's key has them, no notebook
wrong     a stored wrong answer, with ``mistake=`` naming the hint that it must get; in no notebook
========  ==========================================================================================
"""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any


class Edition(Enum):
    """For whom a notebook is made."""

    STUDENT = "stubs instead of solutions: also the graded release"
    INSTRUCTOR = "solutions: the answer key"


class Role(Enum):
    """What a cell of the source is for."""

    TEXT = "text"
    CODE = "code"
    ABOUT = "about"
    ANSWER = "answer"
    CHECK = "check"
    GROUP = "group"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a source."""

    role: Role
    text: str
    exercise: str = ""
    points: int = 0
    mistake: str = ""
    group: str = ""


_POINTS = re.compile(r"(?m)^(?P<points>##+ .*\(\d+ points?)\)")
_SOLUTION = re.compile(r"(?m)^(?P<indent>[ \t]*)### BEGIN SOLUTION\n(?s:.*?)^[ \t]*### END SOLUTION\n?")


def read(source: Path) -> tuple[Cell, ...]:
    """Read the cells of a source.

    Raises
    ------
    ValueError
        A cell has an unknown role, an answer has no solution block, a check has no points, a wrong answer
        names no mistake, or a block is not closed.
    """
    import jupytext

    notebook = jupytext.read(source, fmt="py:percent")
    return tuple(_cell(raw, f"{source.name}, cell {i}") for i, raw in enumerate(notebook.cells))


def _cell(raw: Any, where: str) -> Cell:
    if raw.cell_type == "markdown":
        return Cell(Role.TEXT, raw.source)
    meta = raw.metadata
    name = meta.get("role", "code")
    if name not in {role.value for role in Role}:
        raise ValueError(f"{where}: role must be about, answer, check, group or wrong, got {name!r}")
    words = {word: meta.get(word, "") for word in ("exercise", "mistake", "group")}
    cell = Cell(Role(name), raw.source + "\n", points=meta.get("points", 0), **words)
    left = _SOLUTION.sub("", cell.text)
    problems = {
        "a block ### BEGIN ... ### END ... is not closed": "###" in left,
        "the answer has no ### BEGIN SOLUTION": cell.role is Role.ANSWER and not _SOLUTION.search(cell.text),
        "the check needs points=": cell.role is Role.CHECK and cell.points <= 0,
        "the group needs points=": cell.role is Role.GROUP and cell.points <= 0,
        "the group needs group=, its name": cell.role is Role.GROUP and not cell.group,
        "the wrong answer needs mistake=": cell.role is Role.WRONG and not cell.mistake,
        "about needs minutes = a whole number": cell.role is Role.ABOUT and not _whole(assigned(cell).get("minutes")),
        "the cell needs exercise=": cell.role is not Role.CODE and not cell.exercise,
    }
    for problem, present in problems.items():
        if present:
            raise ValueError(f"{where}: {problem}; it is {raw.source[:60]!r}")
    return cell


def stub(cell: Cell) -> str:
    """Return the answer cell with its solution replaced by ``raise NotImplementedError``."""
    return _SOLUTION.sub(r"\g<indent>raise NotImplementedError\n", cell.text)


def assigned(cell: Cell) -> dict[str, Any]:
    """Return what a cell of the role ``about`` assigns; nothing of it is run.

    Raises
    ------
    ValueError
        It does more than assign constants to names.

    Examples
    --------
    >>> assigned(Cell(Role.ABOUT, "minutes = 25", "decode"))
    {'minutes': 25}
    """
    found: dict[str, Any] = {}
    for node in ast.parse(cell.text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = ast.literal_eval(node.value)
            case _:
                raise ValueError(f"about {cell.exercise} assigns constants only; it has {ast.unparse(node)!r}")
    return found


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def minutes(cells: tuple[Cell, ...]) -> dict[str, int]:
    """Return the stated minutes of the exercises that state them, in the order of the source."""
    return {cell.exercise: assigned(cell)["minutes"] for cell in cells if cell.role is Role.ABOUT}


def _timed(cells: tuple[Cell, ...]) -> tuple[Cell, ...]:
    """The cells with minutes in the headings of statements, and their sum at the end of the first text."""
    taken, made = minutes(cells), list(cells)
    if not taken:
        return cells
    for number, cell in enumerate(cells):
        if cell.role is Role.TEXT and _POINTS.search(cell.text):
            asked = next((c.exercise for c in cells[number:] if c.role is Role.ANSWER), "")
            if asked in taken:
                text = _POINTS.sub(rf"\g<points>, {taken[asked]} minutes)", cell.text, count=1)
                made[number] = replace(cell, text=text)
    points = sum(cell.points for cell in cells if cell.role is Role.CHECK)
    first = next(number for number, cell in enumerate(made) if cell.role is Role.TEXT)
    whole = f"{made[first].text}\n\nTogether {points} points, about {sum(taken.values())} minutes."
    made[first] = replace(made[first], text=whole)
    return tuple(made)


def notebook(cells: tuple[Cell, ...], edition: Edition) -> Any:
    """Return the notebook of an edition: no outputs, cell identities that depend only on what the cell is."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    made = []
    for cell in _timed(cells):
        if cell.role in (Role.ABOUT, Role.WRONG, Role.GROUP):
            continue
        if cell.role is Role.TEXT:
            made.append(new_markdown_cell(cell.text, id=_digest(cell)))
            continue
        text = cell.text
        if edition is Edition.STUDENT and cell.role is Role.ANSWER:
            text = stub(cell)
        metadata = {} if cell.role is Role.CODE else {"nbgrader": _nbgrader(cell)}
        name = f"{cell.exercise}-{cell.role.value}".replace("_", "-") if metadata else _digest(cell)
        made.append(new_code_cell(text.rstrip("\n"), id=name, metadata=metadata))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return new_notebook(cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def dumps(book: Any) -> str:
    """Return the notebook as JSON text, the same for the same notebook."""
    import nbformat

    nbformat.validate(book)
    return nbformat.writes(book, indent=1, sort_keys=True, ensure_ascii=False).rstrip("\n") + "\n"


def _digest(cell: Cell) -> str:
    return hashlib.sha256(cell.text.encode()).hexdigest()[:12]


def _nbgrader(cell: Cell) -> dict[str, Any]:
    graded = cell.role is Role.CHECK
    record = {
        "grade": graded,
        "grade_id": f"{cell.exercise}-{cell.role.value}".replace("_", "-"),
        "locked": graded,
        "schema_version": 3,
        "solution": not graded,
        "task": False,
    }
    return {**record, "points": cell.points} if graded else record
