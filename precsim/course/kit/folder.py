"""The kit of a class: all its files, written into ``kit/`` of the class folder."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence

from precsim.course.grading.classroom import Classroom, export
from precsim.course.grading.records import write_private
from precsim.course.kit import documents
from precsim.course.kit.chapters import Chapter
from precsim.course.kit.schedule import Pace, Period, calendar, rows, schedule
from precsim.course.kit.sets import ProblemSet


def write_kit(
    made: Classroom,
    sets: Sequence[ProblemSet],
    chapters: Sequence[Chapter],
    pace: Pace,
    start: datetime.date,
    zone: datetime.tzinfo,
    say: Callable[[str], None],
) -> tuple[Period, ...]:
    """Write syllabus, schedule, calendar, objectives, rubrics and guide; set the due times that are not set yet.

    Parameters
    ----------
    made : Classroom
        The class: sets that it does not have are left out.
    sets, chapters : sequence
        From `problem_sets` and `read_book`.
    pace : Pace
        How long a period is, and how many there are.
    start : date
        Of the first period.
    zone : tzinfo
        In which sets are due at 23:59.
    say : callable
        Takes a line on each file, and on each due time that was there and differs.
    """
    mine = [one for one in sets if one.name in made.sets]
    periods = schedule(mine, pace, start, zone)
    out = made.folder / "kit"
    (out / "rubrics").mkdir(parents=True, exist_ok=True)
    texts = {
        "syllabus.md": documents.syllabus(chapters, periods, pace, made.deadlines().policy),
        "schedule.ics": calendar(periods, "precsim"),
        "ta.md": documents.guide(mine),
        **{f"rubrics/{one.name}.md": documents.rubric(one) for one in mine},
    }
    for name, text in texts.items():
        write_private(out / name, text)
    tables = {"schedule.csv": rows(periods, pace), "objectives.csv": documents.matrix(mine, chapters)}
    for name, listed in tables.items():
        export(listed, out / name)
    say(f"{out}: {', '.join((*texts, *tables))}")
    _set_due(made, periods, say)
    return periods


def _set_due(made: Classroom, periods: Sequence[Period], say: Callable[[str], None]) -> None:
    path = made.folder / "course.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for period in periods:
        for one in period.sets:
            new, there = period.due.isoformat(), settings["due"].get(one.name)
            if there is None:
                settings["due"][one.name] = new
            elif there != new:
                say(f"{one.name}: stays due at {there} as course.json has it, the calendar of this start says {new}")
    write_private(path, json.dumps(settings, indent=1) + "\n")
