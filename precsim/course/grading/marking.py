"""A whole class: what was not graded yet is, in parallel; a run that was stopped goes on where it was."""

from __future__ import annotations

import datetime
import fcntl
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precsim.course.grading import gradebook
from precsim.course.grading.channel import Limits
from precsim.course.grading.classroom import Classroom
from precsim.course.grading.edition import warm, write_edition
from precsim.course.grading.harmless import graded_notebook
from precsim.course.grading.intake import Submitted, UnreadableError, mended, submitted
from precsim.course.grading.judge import GuestDidNotStartError, Verdict, judge
from precsim.course.grading.key import Key
from precsim.course.grading.records import Mark, Record, State, keep, kept, stamp, write_private
from precsim.course.grading.review import flags
from precsim.course.grading.sandbox import Place, Sandbox, Unsafe


@dataclass(frozen=True, slots=True)
class _Task:
    """One submission, read and mended."""

    student: str
    key: Key
    stamp: str
    late: int
    read: Submitted
    release: list[dict[str, Any]]


def grade(
    made: Classroom,
    sandbox: Sandbox,
    *,
    sets: Sequence[str] | None = None,
    students: Sequence[str] | None = None,
    jobs: int = 2,
    limits: Limits | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Record]:
    """Grade what was handed in.

    Parameters
    ----------
    made : Classroom
        The class.
    sandbox : Sandbox
        Where the students' code runs.
    sets, students : sequence of str, optional
        These only.
    jobs : int
        How many submissions run at the same time.
    limits : Limits, optional
        What each may use.
    force : bool
        Also what has a record with the same stamp.
    say : callable
        Takes a line on each submission.

    Returns
    -------
    list of Record
        Of all submissions that were asked for, graded now or before.

    Raises
    ------
    ValueError
        There is no such problem set, or the class lies in a folder that guests may read.
    OSError
        Another process grades this class now, or the release itself does not run in the sandbox.
    """
    unknown = set(sets or ()) - set(made.sets)
    if unknown:
        raise ValueError(f"there is no problem set {sorted(unknown)[0]!r}; this class has {', '.join(made.sets)}")
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    open_to_guests = [path for path in (*Place(made.folder).readable, Path("/usr")) if made.folder.is_relative_to(path)]
    if open_to_guests and not isinstance(sandbox, Unsafe):
        raise ValueError(
            f"{made.folder} lies in {open_to_guests[0]}, which every guest may read: move the class elsewhere"
        )
    records: list[Record] = []
    due = made.deadlines()
    with _alone(made.folder), ThreadPoolExecutor(jobs) as pool:
        gradebook.back_up(made.database, made.folder / "backups", datetime.date.today())
        edition = write_edition(made.folder / ".edition")
        slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(jobs):
            slots.put(slot)
        with gradebook.opened(made.database) as book:
            for name in sets or made.sets:
                key = made.key(name)
                release = gradebook.release_cells(made.release(name))
                gradebook.register(book, key, release)
                tasks: list[_Task] = []
                names, strange = made.submissions(name)
                for folder in strange:
                    say(f"{name} {folder!r}: not graded, for this is no name of a student")
                for student in names:
                    if students and student not in students:
                        continue
                    late = due.minutes_late(name, student)
                    found = _task(made, key, release, student, sandbox, late)
                    if isinstance(found, Record):
                        _store(made, book, key, found)
                        records.append(_said(found, say))
                        continue
                    before = kept(made.folder / "graded", name, student)
                    if before and before.stamp == found.stamp and before.state is not State.FAILED and not force:
                        if not gradebook.holds(book, key, before):  # stopped between the two, or an older gradebook
                            gradebook.write(book, key, before)
                        records.append(before)
                        continue
                    tasks.append(found)
                if tasks:
                    warm(edition, name)
                    _rehearse(key, release, sandbox, edition, limits)
                running = [pool.submit(_run, task, sandbox, edition, slots, limits) for task in tasks]
                for done in as_completed(running):
                    record, text = done.result()
                    if text:
                        write_private(made.folder / "autograded" / record.student / name / f"{name}.ipynb", text)
                    _store(made, book, key, record)
                    records.append(_said(record, say))
    return sorted(records, key=lambda record: (record.name, record.student))


def _rehearse(key: Key, release: list[dict[str, Any]], sandbox: Sandbox, edition: Path, limits: Limits | None) -> None:
    """Run the release's own cells as a submission's: what fails there would cost every student points.

    Raises
    ------
    OSError
        One of them raised, or no guest could be started.
    """
    code = [c["source"] for c in release if c["cell_type"] == "code" and "nbgrader" not in c["metadata"]]
    other = None if sandbox.overlays else str(edition)
    verdict = judge(code, Key(key.name, ()), sandbox.command(Place(edition)), edition=other, limits=limits)
    failed = [output.out.strip() or str(output.error) for output in verdict.cells.values() if output.error]
    if failed:
        why = failed[0].splitlines()[-1]
        raise OSError(f"nothing of {key.name} is graded, for its release does not run in the sandbox: {why}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let nobody else grade this class meanwhile; the lock goes with the process."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"another process grades {folder} now; wait for it") from None
        yield


def _store(made: Classroom, book: Any, key: Key, record: Record) -> None:
    """The gradebook first: a record says that the gradebook has it."""
    gradebook.write(book, key, record)
    keep(made.folder / "graded", record)


def _said(record: Record, say: Callable[[str], None]) -> Record:
    score = record.reason if record.score is None else f"{record.score} of {sum(m.points for m in record.marks)}"
    say(f"{record.name} {record.student}: {record.state.value}, {score}")
    return record


def _task(
    made: Classroom, key: Key, release: list[dict[str, Any]], student: str, sandbox: Sandbox, late: int
) -> _Task | Record:
    """Read one submission; the record of a failure if that is not possible."""
    try:
        read = submitted(made.folder / "submitted", student, key.name)
    except UnreadableError as failure:
        return Record(student, key.name, reason=str(failure), late_minutes=late, key=key.digest())
    parts = (made.release(key.name).read_bytes(), key.text().encode(), read.data, sandbox.name.encode())
    return _Task(student, key, stamp(*parts, str(late).encode()), late, read, release)


def _run(
    task: _Task, sandbox: Sandbox, edition: Path, slots: queue.SimpleQueue[int], limits: Limits | None
) -> tuple[Record, str]:
    """Judge one submission; whatever happens, the others are graded."""
    try:
        return _judged(task, sandbox, edition, slots, limits)
    except Exception as failure:  # a fault of the grader that this submission found
        reason = f"the grader failed: {type(failure).__name__}"
        return Record(task.student, task.key.name, reason=reason, late_minutes=task.late, key=task.key.digest()), ""


def _judged(
    task: _Task, sandbox: Sandbox, edition: Path, slots: queue.SimpleQueue[int], limits: Limits | None
) -> tuple[Record, str]:
    """Mend, judge and describe one submission; nothing is written here."""
    cells, remarks = mended(task.release, task.read.cells)
    about = {"late_minutes": task.late, "sandbox": sandbox.name, "key": task.key.digest(), "stamp": task.stamp}
    slot = slots.get()
    try:
        verdict = judge(
            [cell.source for cell in cells if cell.code and cell.run],
            task.key,
            sandbox.command(Place(edition, slot)),
            edition=None if sandbox.overlays else str(edition),
            limits=limits,
        )
    except (GuestDidNotStartError, OSError) as failure:
        return Record(task.student, task.key.name, reason=str(failure), **about), ""
    finally:
        slots.put(slot)
    all_remarks = (*task.read.remarks, *remarks, *verdict.remarks)
    if isinstance(sandbox, Unsafe):
        all_remarks = ("graded without a sandbox, as was asked for with --unsafe", *all_remarks)
    own = flags(cell.source for cell in cells if cell.code and not cell.trusted)
    own = (*own, *verdict.remarks)  # what was stopped may have been slow, or the machine busy: a person should look
    record = Record(task.student, task.key.name, marks=_marks(verdict), remarks=all_remarks, flags=own, **about)
    return record, graded_notebook(cells, verdict.cells, all_remarks)


def _marks(verdict: Verdict) -> tuple[Mark, ...]:
    return tuple(Mark(r.exercise.name, r.score, r.exercise.points, r.comment(), dict(r.right)) for r in verdict.results)


def grade_rows(made: Classroom) -> list[dict[str, object]]:
    """One row for each student and problem set: everybody in the roster, and everybody who handed in.

    The score is the gradebook's, with what persons gave; it is None where nothing was judged. Minutes late and flags
    stand beside the state, which names only the most important. Lateness is reckoned now, so that an extension counts
    without grading again; `final` is the score less what lateness costs.
    """
    due = made.deadlines()
    with gradebook.opened(made.database) as book:
        scores = gradebook.totals(book)
    rows: list[dict[str, object]] = []
    for name in made.sets:
        points, there = made.key(name).points, made.submissions(name)[0]
        for student in dict.fromkeys((*made.roster(), *there)):
            record = kept(made.folder / "graded", name, student)
            state = State.MISSING if student not in there else record.state if record else State.FAILED
            judged = record is not None and state not in (State.MISSING, State.FAILED)
            late = due.minutes_late(name, student)
            if state in (State.GRADED, State.LATE):
                state = State.LATE if late else State.GRADED
            score = scores.get((name, student)) if judged else None
            rows.append(
                {
                    "student": student,
                    "set": name,
                    "state": state.value,
                    "score": score,
                    "points": points,
                    "minutes_late": late if record else None,
                    "percent_off": due.policy.percent_off(late) if judged else None,
                    "final": due.policy.final(score, late),
                    "flags": "; ".join(record.flags) if record else None,
                    "remarks": len(record.remarks) if record else None,
                    "reason": (record.reason or None)
                    if record
                    else None
                    if state is State.MISSING
                    else "not graded yet",
                    "sandbox": record.sandbox if record else None,
                    "key": record.key if record else None,
                }
            )
    return rows
