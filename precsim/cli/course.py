"""``precsim course``: a class and its grades; students' code runs in a sandbox."""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import zoneinfo
from pathlib import Path

from precsim.course.grading.classroom import classroom, create, export, renew
from precsim.course.grading.marking import grade, grade_rows
from precsim.course.grading.probe import leaks, trusted
from precsim.course.grading.records import State, write_private
from precsim.course.grading.sandbox import KINDS, NoSandboxError
from precsim.course.kit.chapters import read_book
from precsim.course.kit.collect import collect
from precsim.course.kit.folder import write_kit
from precsim.course.kit.platforms import Placed, canvas, moodle
from precsim.course.kit.report import item_rows, items, page
from precsim.course.kit.roster import enrol
from precsim.course.kit.schedule import INTENSE, SIX_WEEKS
from precsim.course.kit.sets import problem_sets


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
    kit = commands.add_parser("kit", help="syllabus, schedule, calendar, objectives, rubrics, guide for assistants")
    kit.add_argument("folder", type=Path, metavar="FOLDER")
    kit.add_argument("--start", type=datetime.date.fromisoformat, required=True, metavar="2027-01-11", help="first day")
    kit.add_argument("--zone", type=_zone, default=datetime.UTC, metavar="Europe/Paris", help="of the due times (UTC)")
    kit.add_argument("--intense", action="store_true", help="one week instead of six")
    kit.add_argument("--exercises", type=Path, default=Path("exercises"), help="folder with src/ (exercises)")
    kit.add_argument("--book", type=Path, default=Path("book"), help="folder with _toc.yml (book)")
    kit.set_defaults(run=_kit)
    who = commands.add_parser("roster", help="add students from a table of Canvas, of Moodle, or with a column student")
    who.add_argument("folder", type=Path, metavar="FOLDER")
    who.add_argument("table", type=Path, metavar="STUDENTS.csv")
    who.set_defaults(run=_roster)
    take = commands.add_parser("collect", help="put the notebooks of a platform's archive into FOLDER/submitted")
    take.add_argument("folder", type=Path, metavar="FOLDER")
    take.add_argument("name", metavar="psN")
    take.add_argument("archive", type=Path, metavar="SUBMISSIONS.zip", help="as Canvas or Moodle offers it")
    take.set_defaults(run=_collect)
    mark = commands.add_parser("grade", help="grade what was not graded yet")
    mark.add_argument("folder", type=Path, metavar="FOLDER")
    mark.add_argument("--set", action="append", dest="sets", metavar="psN", help="this one only; may be repeated")
    mark.add_argument("--student", action="append", dest="students", metavar="NAME", help="only; may be repeated")
    mark.add_argument("--jobs", type=int, default=2, help="submissions at the same time (2)")
    mark.add_argument("--force", action="store_true", help="also what did not change; old records are kept")
    mark.add_argument("--unsafe", action="store_true", help="no sandbox; every record will say so")
    mark.set_defaults(run=_grade)
    back = commands.add_parser("feedback", help="pages for students, by nbgrader, into FOLDER/feedback")
    back.add_argument("folder", type=Path, metavar="FOLDER")
    back.set_defaults(run=_feedback)
    said = commands.add_parser("report", help="states, and how hard each item was and what it tells")
    said.add_argument("folder", type=Path, metavar="FOLDER")
    said.set_defaults(run=_report)
    look = commands.add_parser("doctor", help="try whether the sandboxes of this machine hold")
    look.set_defaults(run=_doctor)
    table = commands.add_parser("export", help="the grades as CSV; what was not judged is blank, never 0")
    table.add_argument("folder", type=Path, metavar="FOLDER")
    table.add_argument("--out", type=Path, metavar="GRADES.csv", help="FOLDER/grades.csv by default")
    table.set_defaults(run=_export)
    lms = commands.add_parser("canvas", help="fill the grades into your own export of Canvas's gradebook")
    lms.add_argument("folder", type=Path, metavar="FOLDER")
    lms.add_argument("exported", type=Path, metavar="EXPORT.csv", help="from Canvas: Grades, Export")
    lms.add_argument("--out", type=Path, metavar="CANVAS.csv", help="FOLDER/canvas.csv by default")
    lms.set_defaults(run=_canvas)
    other = commands.add_parser("moodle", help="the grades as a table that Moodle imports")
    other.add_argument("folder", type=Path, metavar="FOLDER")
    other.add_argument("--out", type=Path, metavar="MOODLE.csv", help="FOLDER/moodle.csv by default")
    other.set_defaults(run=_moodle)


def _zone(name: str) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise argparse.ArgumentTypeError(f"there is no time zone {name!r}; they are named as Europe/Paris") from None


def _init(options: argparse.Namespace) -> int:
    made = create(options.folder, options.exercises, print)
    print(f"{made.folder}: hand out release/, collect into submitted/STUDENT/psN/psN.ipynb, then precsim course grade")
    return 0


def _renew(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    renew(made, options.name, options.exercises, print)
    print(f"hand out release/{options.name} again; the next precsim course grade uses the new key")
    return 0


def _kit(options: argparse.Namespace) -> int:
    made, chapters = classroom(options.folder), read_book(options.book)
    sets, pace = problem_sets(options.exercises, chapters), INTENSE if options.intense else SIX_WEEKS
    periods = write_kit(made, sets, chapters, pace, options.start, options.zone, print)
    print(f"{pace.name}, the last set is due {periods[-1].due:%Y-%m-%d %H:%M %Z}")
    return 0


def _roster(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    new = enrol(made, options.table, print)
    print(f"{made.folder / 'roster.csv'}: {new} new, {len(made.roster())} in all")
    return 0


def _collect(options: argparse.Namespace) -> int:
    found = collect(classroom(options.folder), options.name, options.archive, print)
    print(f"{options.name}: {len(found.students)} notebooks")
    for entry in found.strange:
        print(f"nobody in the roster: {entry!r}", file=sys.stderr)
    return 1 if found.strange else 0


def _grade(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    sandbox = trusted(unsafe=options.unsafe)
    chosen = {"sets": options.sets, "students": options.students, "jobs": options.jobs, "force": options.force}
    done = grade(made, sandbox, say=print, **chosen)
    counted = {state: sum(record.state is state for record in done) for state in State}
    print(", ".join(f"{number} {state.value}" for state, number in counted.items() if number) or "nothing handed in")
    return 1 if counted[State.FAILED] else 0


def _feedback(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    for name in made.sets:
        if not list((made.folder / "autograded").glob(f"*/{name}")):
            continue
        command = [sys.executable, "-m", "nbgrader", "generate_feedback", name, "--force"]
        done = subprocess.run(command, cwd=made.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            raise OSError(f"nbgrader could not write the feedback of {name}; it says why above")
        print(f"{name}: {len(list((made.folder / 'feedback').glob(f'*/{name}/{name}.html')))} pages in feedback/")
    return 0


def _report(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    write_private(made.folder / "report.html", page(made))
    found = [item for name in made.sets for item in items(made, name)]
    export(item_rows(found), made.folder / "items.csv")
    print(f"{made.folder}: report.html, items.csv ({len(found)} items)")
    return 0


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


def _canvas(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    out = options.out or made.folder / "canvas.csv"
    return _placed(out, canvas(made, options.exported, out))


def _moodle(options: argparse.Namespace) -> int:
    made = classroom(options.folder)
    out = options.out or made.folder / "moodle.csv"
    return _placed(out, moodle(made, out, print))


def _placed(out: Path, placed: Placed) -> int:
    print(f"{out}: {placed.scores} scores of {', '.join(placed.sets)}; what was not judged is blank")
    if placed.without_column:
        print(f"no column there: {', '.join(placed.without_column)}")
    if placed.without_row:
        print(f"no row there: {', '.join(placed.without_row)}", file=sys.stderr)
    return 1 if placed.without_row else 0
