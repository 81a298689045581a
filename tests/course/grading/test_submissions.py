"""Whole submissions, honest and hostile, through the sandbox: right scores, and nothing outside changes."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from pathlib import Path

import nbformat
import pytest
from support.submissions import ATTACKS, CELLS, FILES, ORDINARY, SCRIPT, hand_in, right

from precsim.course.grading.channel import Guest, Limits
from precsim.course.grading.edition import write_edition
from precsim.course.grading.marking import grade, grade_rows
from precsim.course.grading.records import State
from precsim.course.grading.sandbox import Place

LIMITS = Limits(cell=12.0, call=6.0, whole=120.0, memory=700 << 20)
FEW = ("truth", "equal-to-all", "forged-answer", "exit-in-call", "loop-in-call", "search-files", "network", "daemon")


def filled(book, school, port=0):
    text = json.dumps(book).replace("PORT", str(port)).replace("GRADEBOOK", str(school.database))
    return json.loads(text.replace("open('KEY')", f"open('{school.folder}/key/ps1.json')"))


def contents(folder: Path) -> dict[str, str]:
    """Digests of what grading may never change."""
    files = [path for part in ("submitted", "key", "release", "source") for path in (folder / part).rglob("*.*")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def processes_of_guests(folder: Path) -> list[str]:
    """Processes that still see the student edition of this class: also a daemon that left its guest behind."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            mounts = entry.read_text()
        except OSError:
            continue
        if f"{folder.name}/.edition/course " in mounts and folder.parent.name in mounts:
            found.append(entry.parent.name)
    return found


def attacked(school, sandbox, names):
    """Grade the attacks, and return what was wrong with the outcome."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for name in names:
            hand_in(school.folder, name, filled(ATTACKS[name][0], school, server.getsockname()[1]))
        hand_in(school.folder, "zoe", right())
        outside = contents(school.folder)
        done = {record.student: record for record in grade(school, sandbox, limits=LIMITS)}
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    assert contents(school.folder) == outside
    assert processes_of_guests(school.folder) == []
    assert done["zoe"].score == 10
    wrong = {}
    for name in names:
        text = (school.folder / "autograded" / name / "ps1" / "ps1.ipynb").read_text()
        record = (school.folder / "graded" / "ps1" / f"{name}.json").read_text()
        expected = ATTACKS[name][1]
        if not (done[name].score in expected if isinstance(expected, range) else done[name].score == expected):
            wrong[name] = done[name]
        outputs = json.dumps([c.get("outputs") for c in json.loads(text)["cells"]])
        if "BROKE OUT" in outputs or ("FOUND" in outputs and "FOUND []" not in outputs) or "SYSCALL 0" in outputs:
            wrong[name] = outputs
        if "INPUT" in record or "INPUT" in outputs:
            wrong[name] = record
    return wrong


def test_some_attacks_are_contained(school, sandbox):
    assert attacked(school, sandbox, FEW) == {}


def test_a_guest_that_is_left_would_be_seen(school, sandbox):
    command = sandbox.command(Place(write_edition(school.folder / ".edition")))
    with Guest(command, LIMITS, time.monotonic() + 20) as guest:
        guest.send({"cells": [], "skip": [], "edition": None})
        guest.receive(10)
        assert len(processes_of_guests(school.folder)) >= 1
    assert processes_of_guests(school.folder) == []


@pytest.mark.slow
def test_every_attack_is_contained(school, sandbox):
    assert len(ATTACKS) + len(CELLS) - 1 + len(FILES) >= 63
    assert attacked(school, sandbox, list(ATTACKS)) == {}


def test_broken_files_are_failures_with_a_reason_and_never_a_zero(school, sandbox):
    for name, (make, _) in FILES.items():
        hand_in(school.folder, name, make)
    (school.folder / "submitted" / "guest").mkdir()
    (school.folder / "submitted" / "guest" / "ps1").symlink_to(school.folder / "submitted" / "link" / "ps1")
    (school.folder / "roster.csv").write_text("student\nabsent\n=1+1\n")
    done = {record.student: record for record in grade(school, sandbox)}
    for name, (_, words) in FILES.items():
        assert done[name].state is State.FAILED, name
        assert words in done[name].reason, (name, done[name].reason)
    assert "cannot be read" in done["guest"].reason
    rows = {row["student"]: row for row in grade_rows(school)}
    assert {row["score"] for row in rows.values()} == {None}
    assert rows["absent"]["state"] == "missing"
    assert set(rows) == {*FILES, "guest", "absent", "=1+1"}


def test_cells_are_mended_with_a_remark(school, sandbox):
    for name, (book, _, _) in CELLS.items():
        hand_in(school.folder, name, book)
    done = {record.student: record for record in grade(school, sandbox)}
    assert {name: record.score for name, record in done.items()} == {name: case[1] for name, case in CELLS.items()}
    for name, (_, _, words) in CELLS.items():
        assert not words or any(words in remark for remark in done[name].remarks), (name, done[name].remarks)
        book = nbformat.read(school.folder / "autograded" / name / "ps1" / "ps1.ipynb", 4)
        nbformat.validate(book)
        marks = [c.metadata.nbgrader for c in book.cells if "nbgrader" in c.metadata]
        assert sum(mark.get("points", 0) for mark in marks) == 10
        assert len({mark.grade_id for mark in marks}) == len(marks) == 6


def test_nothing_of_a_student_is_markup(school, sandbox):
    """By nbconvert's own page, which renders Markdown and outputs as nbgrader's pages do."""
    from nbconvert import HTMLExporter

    hand_in(school.folder, "mallory", CELLS["scripts"][0])
    grade(school, sandbox)
    raw = school.folder / "submitted" / "mallory" / "ps1" / "ps1.ipynb"
    clean = school.folder / "autograded" / "mallory" / "ps1" / "ps1.ipynb"
    pages = [HTMLExporter(template_name="basic").from_filename(str(path))[0] for path in (raw, clean)]
    for active in ("<script>document.title", "<img src=x", 'href="javascript:'):
        assert active not in pages[1], active
    assert "<script>document.title" in pages[0], "the test sees what it looks for"
    assert SCRIPT[:8] in clean.read_text()


def test_ordinary_submissions_get_what_they_deserve_quickly(school, sandbox):
    for name, (book, _) in ORDINARY.items():
        hand_in(school.folder, name, book)
    began = time.monotonic()
    done = {record.student: record for record in grade(school, sandbox)}
    seconds = (time.monotonic() - began) / len(done)
    assert {name: record.score for name, record in done.items()} == {name: case[1] for name, case in ORDINARY.items()}
    assert seconds <= 3, "the mean of a submission, on two cores"
    assert "warn" not in done["warns"].marks[0].comment
    assert "no hidden 1" in done["hidden-bit"].marks[0].comment
    assert '"image/png"' in (school.folder / "autograded" / "draws" / "ps1" / "ps1.ipynb").read_text()
