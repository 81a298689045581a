"""When what is due: problem sets over weeks or days of about equal work, as a table and as a calendar file."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from precsim.course.kit.sets import ProblemSet


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a course goes: periods of so many days, and what a period is called."""

    name: str
    periods: int
    days: int
    period: str


SIX_WEEKS = Pace("six weeks", 6, 7, "week")
INTENSE = Pace("one intense week", 5, 1, "day")


@dataclass(frozen=True, slots=True)
class Period:
    """A week or a day: its number from 1, its sets, when they are handed out and when they are due."""

    number: int
    sets: tuple[ProblemSet, ...]
    release: datetime.date
    due: datetime.datetime

    @property
    def minutes(self) -> int:
        """How long all its sets take together."""
        return sum(one.minutes for one in self.sets)


def divided(minutes: Sequence[int], parts: int) -> list[slice]:
    """Cut a list into consecutive parts, none empty, so that the longest is as short as it can be.

    Parameters
    ----------
    minutes : sequence of int
        In the order that stays.
    parts : int
        At most as many are made as there are items.

    Examples
    --------
    >>> [minutes[s] for minutes in [[90, 120, 120, 30]] for s in divided(minutes, 3)]
    [[90], [120], [120, 30]]
    """
    parts = min(parts, len(minutes))
    best: dict[tuple[int, int], tuple[int, int]] = {(0, 0): (0, 0)}  # end, parts -> longest, where the last begins
    for end in range(1, len(minutes) + 1):
        for count in range(1, min(end, parts) + 1):
            ways = [
                (max(best[start, count - 1][0], sum(minutes[start:end])), -start)
                for start in range(end)
                if (start, count - 1) in best
            ]
            longest, start = min(ways)
            best[end, count] = (longest, -start)
    cuts = [len(minutes)]
    for count in range(parts, 0, -1):
        cuts.append(best[cuts[-1], count][1])
    return [slice(a, b) for a, b in pairwise(reversed(cuts))]


def schedule(sets: Sequence[ProblemSet], pace: Pace, start: datetime.date, zone: datetime.tzinfo) -> tuple[Period, ...]:
    """Return the periods of a course that begins on a day; sets are due at the last minute of their period."""
    made = []
    for number, part in enumerate(divided([one.minutes for one in sets], pace.periods), 1):
        first = start + datetime.timedelta((number - 1) * pace.days)
        last = first + datetime.timedelta(pace.days - 1)
        due = datetime.datetime.combine(last, datetime.time(23, 59), zone)
        made.append(Period(number, tuple(sets[part]), first, due))
    return tuple(made)


def rows(periods: Sequence[Period], pace: Pace) -> list[dict[str, object]]:
    """The schedule as a table: a row for each problem set."""
    return [
        {
            pace.period: period.number,
            "release": period.release.isoformat(),
            "due": period.due.isoformat(),
            "set": one.name,
            "title": one.title,
            "minutes": one.minutes,
            "points": one.points,
            "chapters": " ".join(one.chapters),
        }
        for period in periods
        for one in period.sets
    ]


def calendar(periods: Sequence[Period], course: str) -> str:
    """The schedule as a file that calendars import (RFC 5545): a day for each release, a moment for each due time.

    Parameters
    ----------
    periods : sequence of Period
        From `schedule`.
    course : str
        Name of the course, which begins every entry and makes its identity.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//precsim//course//EN"]
    for period in periods:
        stamp = period.release.strftime("%Y%m%dT000000Z")
        for one in period.sets:
            due = period.due.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
            day, after = period.release, period.release + datetime.timedelta(1)
            whole = [f"DTSTART;VALUE=DATE:{day:%Y%m%d}", f"DTEND;VALUE=DATE:{after:%Y%m%d}"]
            for kind, times, words in (
                ("release", whole, f"{one.name} out: {one.title}"),
                ("due", [f"DTSTART:{due}", f"DTEND:{due}"], f"{one.name} due ({one.points} points)"),
            ):
                lines += ["BEGIN:VEVENT", f"UID:{course}-{one.name}-{kind}@precsim", f"DTSTAMP:{stamp}", *times]
                lines += [f"SUMMARY:{_text(f'{course}: {words}')}", "END:VEVENT"]
    return "".join(f"{_folded(line)}\r\n" for line in [*lines, "END:VCALENDAR"])


def _text(words: str) -> str:
    for mark in "\\;,":
        words = words.replace(mark, f"\\{mark}")
    return words.replace("\n", "\\n")


def _folded(line: str) -> str:
    """A line in pieces of at most 75 bytes, as the standard asks; no character is cut."""
    pieces, piece = [], ""
    for character in line:
        if len((piece + character).encode()) > 74:
            pieces.append(piece)
            piece = ""
        piece += character
    return "\r\n ".join([*pieces, piece])
