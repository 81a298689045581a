"""Submissions as they come: read without following anything, and mended with the release; every repair is a remark."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Bytes of a notebook before anything in it is read.
MAXIMUM = 8 << 20
CELLS = 1000


class UnreadableError(ValueError):
    """A submission that cannot be graded, and why."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A notebook as it was handed in: its bytes, its cells, and a remark if it was found under another name."""

    data: bytes
    cells: list[dict[str, Any]]
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Mended:
    """One cell of the notebook that is graded.

    Parameters
    ----------
    code : bool
        Code, or text.
    source : str
        Its text.
    mark : dict or None
        nbgrader's metadata, from the release.
    trusted : bool
        The text is the release's own.
    run : bool
        Code that is run: all but what had to be put back.
    """

    code: bool
    source: str
    mark: dict[str, Any] | None = None
    trusted: bool = False
    run: bool = True


def submitted(root: Path, student: str, name: str) -> Submitted:
    """Read ``root/student/name/name.ipynb``, or the only notebook there.

    Raises
    ------
    UnreadableError
        It is missing, a link, no regular file, too large, or no notebook of format 4.
    """
    folder = -1
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        for part in (student, name):
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        found = sorted(entry for entry in os.listdir(folder) if entry.endswith(".ipynb"))
        wanted, remarks = f"{name}.ipynb", []
        if wanted not in found:
            if len(found) != 1:
                raise UnreadableError(f"{wanted} is missing; there are {len(found)} other notebooks")
            wanted = found[0]
            remarks.append("the notebook has another name")
        data = _bytes(folder, wanted)
    except OSError as failure:
        raise UnreadableError(f"{name}.ipynb cannot be read: {failure.strerror}") from None
    finally:
        if folder >= 0:
            os.close(folder)
    return Submitted(data, cells_of(data), remarks)


def _bytes(folder: int, name: str) -> bytes:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableError("the notebook is not a regular file")
        if about.st_size > MAXIMUM:
            raise UnreadableError(f"the notebook has more than {MAXIMUM >> 20} MiB")
        with os.fdopen(os.dup(file), "rb") as stream:
            return stream.read(MAXIMUM + 1)[:MAXIMUM]
    finally:
        os.close(file)


def cells_of(data: bytes) -> list[dict[str, Any]]:
    """Return the cells of a notebook.

    Raises
    ------
    UnreadableError
        It is no notebook of format 4.
    """
    try:
        book = json.loads(data)
    except (ValueError, RecursionError):
        raise UnreadableError("the notebook is not JSON") from None
    if not isinstance(book, dict) or book.get("nbformat") != 4:
        raise UnreadableError("the notebook is not of nbformat 4")
    cells = book.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise UnreadableError("the notebook has no list of cells")
    if not cells:
        raise UnreadableError("the notebook is empty")
    if len(cells) > CELLS:
        raise UnreadableError(f"the notebook has more than {CELLS} cells")
    return cells


def mended(release: list[dict[str, Any]], cells: list[dict[str, Any]]) -> tuple[list[Mended], list[str]]:
    """Put a student's cells in the frame of the release.

    What a cell is worth, whether it is locked, and the text of a locked one come from the release, found by the cell's
    id. Of several copies the last carries the mark, as in the running notebook. What is missing is put back to be seen,
    never to be run: a stub at the end would overwrite the student's function, which is found by its name anyway.

    Returns
    -------
    list of Mended
        All cells in order.
    list of str
        What was repaired.
    """
    marks = {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in release if "nbgrader" in cell["metadata"]}
    names = {cell["id"]: name for name, cell in marks.items()}
    texts = {_source(cell) for cell in release if cell["cell_type"] == "markdown"}
    claimed = [_mark(cell, marks, names) for cell in cells]
    last = {name: number for number, name in enumerate(claimed) if name is not None}
    made: list[Mended] = []
    remarks: list[str] = []
    for number, (cell, name) in enumerate(zip(cells, claimed, strict=True)):
        source, kind = _source(cell), cell.get("cell_type")
        if name is not None and last[name] == number:
            original = marks[name]
            mark, text = original["metadata"]["nbgrader"], _source(original)
            if mark["locked"] and source != text:
                remarks.append(f"cell {name} was changed, though it is locked: the release's is used")
            if _metadata(cell).get("nbgrader") != mark:
                remarks.append(f"the marks of cell {name} were changed: the release's are used")
            trusted = bool(mark["locked"]) or source == text
            made.append(Mended(original["cell_type"] == "code", text if trusted else source, mark, trusted))
            continue
        if name is not None:
            remarks.append(f"an earlier copy of cell {name} is run as plain code")
        if kind == "code":
            made.append(Mended(True, source))
        elif kind in ("markdown", "raw"):
            made.append(Mended(False, source, trusted=source in texts))
        else:
            remarks.append(f"cell {number + 1} is of no known kind: left out")
    for name, original in marks.items():
        if name not in last:
            remarks.append(f"cell {name} is missing: shown as in the release, not run")
            mark = original["metadata"]["nbgrader"]
            made.append(Mended(original["cell_type"] == "code", _source(original), mark, trusted=True, run=False))
    return made, remarks


def _metadata(cell: dict[str, Any]) -> dict[str, Any]:
    found = cell.get("metadata")
    return found if isinstance(found, dict) else {}


def _mark(cell: dict[str, Any], marks: dict[str, Any], names: dict[str, str]) -> str | None:
    """Which cell of the release a student's cell says to be."""
    about = _metadata(cell).get("nbgrader")
    name = about.get("grade_id") if isinstance(about, dict) else None
    if isinstance(name, str) and name in marks:
        return name
    own = cell.get("id")
    return names.get(own) if isinstance(own, str) else None


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""
