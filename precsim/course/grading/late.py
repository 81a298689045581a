"""When a submission is late, and what that costs: due times, extensions and times of arrival, kept as tables.

``course.json`` has the due times and the policy of the class; ``extensions.csv`` (student, set, due, extra_hours,
reason) beats it for one student, with ``*`` for every set; ``times.csv`` (student, set, submitted) is what the
instructor has from the exchange or the learning platform: a time that lies beside a submission is the student's word.
"""

from __future__ import annotations

import csv
import datetime
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

EXTENSIONS = ("student", "set", "due", "extra_hours", "reason")
TIMES = ("student", "set", "submitted")
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Policy:
    """What lateness costs.

    Parameters
    ----------
    grace_minutes : int
        After the due time; they cost nothing.
    percent_per_day : int
        Of the score, for each day that was begun after the grace; 0: lateness is noted and costs nothing.
    days : int
        After so many days nothing is left of the score.
    """

    grace_minutes: int = 15
    percent_per_day: int = 10
    days: int = 3

    def __post_init__(self) -> None:
        for name, most in (("grace_minutes", None), ("percent_per_day", 100), ("days", None)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0 or (most is not None and value > most):
                raise ValueError(f"{name} of course.json is a whole number, 0 or more, got {value!r}")

    def percent_off(self, minutes: int) -> int:
        """Share of the score that is lost, so many minutes after the grace.

        Examples
        --------
        >>> [Policy().percent_off(minutes) for minutes in (0, 1, 1440, 1441, 5000)]
        [0, 10, 10, 20, 100]
        """
        begun = -(-minutes // _DAY)
        if not self.percent_per_day or not begun:
            return 0
        return 100 if begun > self.days else min(100, begun * self.percent_per_day)

    def final(self, score: float | None, minutes: int) -> float | None:
        """The score that counts, to two decimals; None where there is none."""
        if score is None:
            return None
        return round(float(Fraction(score) * (100 - self.percent_off(minutes)) / 100), 2)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Due times of a class, who may take longer, and when things arrived."""

    policy: Policy
    due: dict[str, datetime.datetime]
    extensions: dict[tuple[str, str], dict[str, str]]
    arrived: dict[tuple[str, str], datetime.datetime]

    def due_of(self, name: str, student: str) -> datetime.datetime | None:
        """When a student's problem set is due, with an extension; None: no due time."""
        own = self.extensions.get((student, name)) or self.extensions.get((student, "*")) or {}
        if own.get("due"):
            return moment(own["due"])
        due = self.due.get(name)
        return due and due + datetime.timedelta(hours=float(own.get("extra_hours") or 0))

    def minutes_late(self, name: str, student: str) -> int:
        """Minutes after the due time and its grace, begun ones too; 0 without a due time or a time of arrival."""
        due, arrived = self.due_of(name, student), self.arrived.get((student, name))
        if due is None or arrived is None:
            return 0
        late = arrived - due - datetime.timedelta(minutes=self.policy.grace_minutes)
        return max(0, -(-int(late.total_seconds()) // 60))


def deadlines(folder: Path) -> Deadlines:
    """Read the due times of a class, its extensions, and its times of arrival.

    Raises
    ------
    ValueError
        A time has no time zone, or an extension says neither when nor how much longer.
    """
    settings = json.loads((folder / "course.json").read_text(encoding="utf-8"))
    late = settings.get("late", {"percent_per_day": 0, "days": 0})  # a class of before: lateness was only noted
    policy = Policy(settings.get("grace_minutes", 15), late["percent_per_day"], late["days"])
    due = {name: moment(time) for name, time in settings["due"].items() if time is not None}
    extensions = {}
    for row in table(folder / "extensions.csv"):
        try:
            enough = bool(row.get("due")) or float(row.get("extra_hours") or 0) > 0
        except ValueError:
            enough = False
        if not enough:
            raise ValueError(f"extensions.csv: {row.get('student')}, {row.get('set')} needs a due time or extra_hours")
        extensions[row["student"], row["set"]] = row
    arrived = {(row["student"], row["set"]): moment(row["submitted"]) for row in table(folder / "times.csv")}
    return Deadlines(policy, due, extensions, arrived)


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as a spreadsheet writes it; none if the file does not exist."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(file)]


def moment(text: str) -> datetime.datetime:
    """A point in time.

    Raises
    ------
    ValueError
        It is no time, or has no time zone.
    """
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"the time {text!r} has no time zone; write it as 2027-01-15T23:59:00+01:00")
    return found
