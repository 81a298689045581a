"""The tables of the book's pages on the course, written between marks into pages whose prose is written by hand.

A part begins with the line ``% begin: NAME`` and ends with ``% end: NAME``, which are comments in the book's Markdown.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from precsim.course.grading.late import Policy
from precsim.course.kit.chapters import Chapter, read_book
from precsim.course.kit.documents import hours, table
from precsim.course.kit.schedule import INTENSE, SIX_WEEKS, Pace, schedule
from precsim.course.kit.sets import ProblemSet, problem_sets
from precsim.course.kit.troubles import TROUBLES

#: Pages of the book with such parts, by name.
PAGES = ("course/problem-sets", "course/teaching")
_PART = re.compile(r"(?ms)^% begin: (?P<name>[\w-]+)\n.*?^% end: (?P=name)$")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parts are made from."""

    sets: Sequence[ProblemSet]
    chapters: Sequence[Chapter]

    def link(self, name: str) -> str:
        """A chapter as a link from a page one folder below the book's."""
        return f"{{doc}}`../{name}`"

    def read(self, sets: Sequence[ProblemSet]) -> str:
        """Links to the chapters of some sets, in the book's order."""
        wanted = {name for one in sets for name in one.chapters}
        return ", ".join(self.link(one.name) for one in self.chapters if one.name in wanted)


def _sums(facts: Facts) -> str:
    exercises = [task for one in facts.sets for task in one.tasks]
    goals = [goal for chapter in facts.chapters for goal in chapter.objectives]
    served = {goal for task in exercises for goal in task.objectives}
    points, minutes = sum(one.points for one in facts.sets), sum(one.minutes for one in facts.sets)
    return (
        f"{len(facts.sets)} problem sets have {len(exercises)} exercises, {points} points, and take {hours(minutes)} "
        f"by their own statement. They serve {len(served)} of the {len(goals)} objectives that {len(facts.chapters)} "
        "chapters state."
    )


def _sets(facts: Facts) -> str:
    rows = [
        (
            _capital(one.title.partition(": ")[2]),
            f"{{download}}`{one.name} <../../exercises/{one.name}.ipynb>`",
            len(one.tasks),
            one.points,
            _unbroken(hours(one.minutes)),
        )
        for one in facts.sets
    ]
    return table(("problem set", "notebook", "exercises", "points", "time"), rows)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _unbroken(words: str) -> str:
    """Words that stay in one line of a narrow column."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def _exercises(facts: Facts) -> str:
    parts = []
    for one in facts.sets:
        rows = [
            (task.title, task.points, task.minutes, ", ".join(facts.link(goal.chapter) for goal in task.objectives))
            for task in one.tasks
        ]
        parts.append(f"### {one.title}\n\n" + table(("exercise", "points", "minutes", "chapter"), rows))
    return "\n\n".join(parts)


def _periods(pace: Pace) -> Callable[[Facts], str]:
    def part(facts: Facts) -> str:
        made = schedule(facts.sets, pace, datetime.date.min, datetime.UTC)
        rows = [
            (
                period.number,
                facts.read(period.sets),
                ", ".join(one.name for one in period.sets),
                _unbroken(hours(period.minutes)),
                sum(one.points for one in period.sets),
            )
            for period in made
        ]
        return table((pace.period, "read", "sets", "time", "points"), rows)

    return part


def _unserved(facts: Facts) -> str:
    served = {name for one in facts.sets for name in one.chapters}
    without = [facts.link(one.name) for one in facts.chapters if one.name not in served]
    return f"No exercise serves {', '.join(without)}." if without else "Every chapter is served by an exercise."


def _late(facts: Facts) -> str:
    del facts
    policy = Policy()
    head = ("minutes of grace", "percent of the score lost for each day begun", "days until nothing is left")
    return table(head, [(policy.grace_minutes, policy.percent_per_day, policy.days)])


def _troubles(facts: Facts) -> str:
    del facts
    rows = [(one.symptom, one.cause, one.remedy) for one in TROUBLES]
    return table(("what you see", "why", "what helps"), rows)


PARTS: dict[str, Callable[[Facts], str]] = {
    "sums": _sums,
    "sets": _sets,
    "exercises": _exercises,
    "six-weeks": _periods(SIX_WEEKS),
    "intense-week": _periods(INTENSE),
    "unserved": _unserved,
    "late": _late,
    "troubles": _troubles,
}


def filled(text: str, facts: Facts) -> str:
    """Return a page with its parts made anew.

    Raises
    ------
    ValueError
        There is no part of this name.
    """

    def part(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in PARTS:
            raise ValueError(f"there is no part {name!r}; there are {', '.join(PARTS)}")
        return f"% begin: {name}\n\n{PARTS[name](facts)}\n\n% end: {name}"

    return _PART.sub(part, text)


def pages(exercises: Path, book: Path) -> dict[Path, str]:
    """Path and text of each page, as the sets and the chapters have it now."""
    chapters = read_book(book)
    facts = Facts(problem_sets(exercises, chapters), chapters)
    paths = [book / f"{name}.md" for name in PAGES]
    return {path: filled(path.read_text(encoding="utf-8"), facts) for path in paths if path.is_file()}
