"""What was found out about one submission, kept as a file that is written whole or not at all, and never removed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path

from precsim.writing import draft_of

#: Changes when the same submission could get another score: then all is graded again.
GRADER = 1


class State(Enum):
    """What a grade is; only the first three have a score."""

    GRADED = "graded"
    LATE = "late"
    FLAGGED = "flagged"
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Mark:
    """Points of one exercise, what the student is told, and which groups of inputs were right."""

    exercise: str
    score: int
    points: int
    comment: str
    groups: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One submission of one student.

    Parameters
    ----------
    student, name : str
        Whose, and which problem set.
    stamp : str
        Hash of grader, release, key and notebook: the same stamp means the same score.
    marks : tuple of Mark
        Exercises; empty where nothing could be judged.
    reason : str
        Why nothing could be judged.
    remarks, flags : tuple of str
        What was repaired or stopped; what a person should read.
    late_minutes : int
        After the due time and its grace.
    sandbox : str
        Where the code ran: ``none`` was asked for with --unsafe.
    key : str
        Digest of the key.
    """

    student: str
    name: str
    stamp: str = ""
    marks: tuple[Mark, ...] = ()
    reason: str = ""
    remarks: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    late_minutes: int = 0
    sandbox: str = ""
    key: str = ""
    grader: int = field(default=GRADER)

    @property
    def state(self) -> State:
        """The most important thing about it."""
        if self.reason or not self.marks:
            return State.FAILED
        if self.flags:
            return State.FLAGGED
        return State.LATE if self.late_minutes else State.GRADED

    @property
    def score(self) -> int | None:
        """Points of all exercises; None where nothing was judged."""
        return None if self.state is State.FAILED else sum(mark.score for mark in self.marks)


def stamp(*parts: bytes) -> str:
    """Return a hash in which no part can pass for a piece of another."""
    whole = hashlib.sha256(str(GRADER).encode())
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:32]


def write_private(path: Path, text: str) -> None:
    """Write a file whole (see `precsim.writing`), and not for everybody on the machine to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as draft:
        draft.touch(mode=0o640)
        draft.write_text(text, encoding="utf-8")


def keep(folder: Path, record: Record) -> None:
    """Store a record as ``folder/SET/STUDENT.json``; another one that was there goes to ``folder/old``."""
    path = folder / record.name / f"{record.student}.json"
    text = json.dumps({"state": record.state.value, "score": record.score, **asdict(record)}, indent=1) + "\n"
    if path.exists() and (before := path.read_text(encoding="utf-8")) != text:
        number = hashlib.sha256(before.encode()).hexdigest()[:12]
        write_private(folder / "old" / record.name / f"{record.student}-{number}.json", before)
    write_private(path, text)


def kept(folder: Path, name: str, student: str) -> Record | None:
    """Return the record of a student's problem set; None if there is none that this version can read."""
    try:
        data = json.loads((folder / name / f"{student}.json").read_text(encoding="utf-8"))
        del data["state"], data["score"]
        marks = tuple(Mark(**mark) for mark in data.pop("marks"))
        remarks, flags = tuple(data.pop("remarks")), tuple(data.pop("flags"))
        return Record(marks=marks, remarks=remarks, flags=flags, **data)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None
