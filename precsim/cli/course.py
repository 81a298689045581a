"""``precsim course``: a class and its grades; students' code runs in a sandbox."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from precsim.course.grading.classroom import classroom, create, export, renew
from precsim.course.grading.marking import grade, grade_rows
from precsim.course.grading.probe import leaks, trusted
from precsim.course.grading.records import State
from precsim.course.grading.sandbox import KINDS, NoSandboxError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.description = (
        "Make the folder of a class, grade what is in its folder 'submitted', write the grades. Nothing of a student "
        "and no grade is ever removed. Scores cannot be forged and hidden inputs cannot be read by a submission; who "
        "copies the library's source or a friend's answer must be found by reading."
    )
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    init = commands.add_parser("init", help="make a class, or add problem sets to it")
    init.add_argument("folder", type=Path, metavar="FOLDER", help="new, empty, or a class")
    init.add_argument("--exercises", type=Path, default=Path("exercises"), help="folder with src/ (exercises)")
    init.set_defaults(run=_init)
    again = commands.add_parser("renew", help="make key and release of a set again, after its source was changed")
    again.add_argument("folder", type=Path, metavar="FOLDER")
    again.add_argument("name", metavar="psN")
    again.add_argument("--exercises", type=Path, default=Path("exercises"), help="folder with src/ (exercises)")
    again.set_defaults(run=_renew)
    mark = commands.add_parser("grade", help="grade what was not graded yet")
    mark.add_argument("folder", type=Path, metavar="FOLDER")
    mark.add_argument("--set", action="append", dest="sets", metavar="psN", help="this one only; may be repeated")
    mark.add_argument("--student", action="append", dest="students", metavar="NAME", help="only; may be repeated")
    mark.add_argument("--jobs", type=int, default=2, help="submissions at the same time (2)")
    mark.add_argument("--force", action="store_true", help="also what did not change; old records are kept")
    mark.add_argument("--unsafe", action="store_true", help="no sandbox; every record will say so")
    mark.set_defaults(run=_grade)
    look = commands.add_parser("doctor", help="try whether the sandboxes of this machine hold")
    look.set_defaults(run=_doctor)
    table = commands.add_parser("export", help="the grades as CSV; what was not judged is blank, never 0")
    table.add_argument("folder", type=Path, metavar="FOLDER")
    table.add_argument("--out", type=Path, metavar="GRADES.csv", help="FOLDER/grades.csv by default")
    table.set_defaults(run=_export)


def _init(options: argparse.Namespace) -> int:
    made = create(options.folder, options.exercises, print)
    print(f"{made.folder}: hand out release/, collect into submitted/STUDENT/psN/psN.ipynb, then precsim course grade")
    return 0


def _renew(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    renew(made, options.name, options.exercises, print)
    print(f"hand out release/{options.name} again; the next precsim course grade uses the new key")
    return 0


def _grade(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    sandbox = trusted(unsafe=options.unsafe)
    chosen = {"sets": options.sets, "students": options.students, "jobs": options.jobs, "force": options.force}
    done = grade(made, sandbox, say=print, **chosen)
    counted = {state: sum(record.state is state for record in done) for state in State}
    print(", ".join(f"{number} {state.value}" for state, number in counted.items() if number) or "nothing handed in")
    return 1 if counted[State.FAILED] else 0


def _doctor(options: argparse.Namespace) -> int:
    del options
    good = 0
    for sandbox in KINDS:
        try:
            found = leaks(sandbox)
        except NoSandboxError as failure:
            print(f"{sandbox.name}: not here ({failure})")
            continue
        print(f"{sandbox.name}: " + (f"a guest can {', '.join(found)}" if found else "holds"))
        good += not found
    if not good:
        print("no sandbox holds: on Debian or Ubuntu, apt install bubblewrap", file=sys.stderr)
    return 0 if good else 1


def _export(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    out = options.out or made.folder / "grades.csv"
    rows = grade_rows(made)
    export(rows, out)
    print(f"{out}: {len(rows)} rows")
    return 0
