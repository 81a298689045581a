"""Syllabus, schedule, calendar, matrix and rubrics: equal numbers everywhere, and forms that others read."""

from __future__ import annotations

import csv
import datetime
import json
import re
import zoneinfo

import pytest
from support.places import ROOT

from precsim.cli import main
from precsim.course.grading.late import Policy
from precsim.course.kit import documents
from precsim.course.kit.chapters import Objective, read_book
from precsim.course.kit.schedule import INTENSE, SIX_WEEKS, calendar, schedule
from precsim.course.kit.sets import Known, ProblemSet, Share, Task, problem_sets

CHAPTERS = read_book(ROOT / "book")
SETS = problem_sets(ROOT / "exercises", CHAPTERS)
START = datetime.date(2027, 3, 22)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("pace", [SIX_WEEKS, INTENSE])
def test_stated_minutes_and_points_sum_to_those_of_the_syllabus(pace):
    periods = schedule(SETS, pace, START, BERLIN)
    text = documents.syllabus(CHAPTERS, periods, pace, Policy())
    stated = sum(task.minutes for one in SETS for task in one.tasks)
    assert f"{documents.hours(stated)} for the exercises" in text
    table = [line.split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(table) == min(pace.periods, len(SETS))
    in_table = sum(
        int(n) * (60 if unit == "h" else 1) for row in table for n, unit in re.findall(r"(\d+) (h|min)", row[4])
    )
    assert in_table == stated
    assert sum(int(row[5]) for row in table) == sum(one.points for one in SETS)
    assert [name for row in table for name in row[3].split(", ")] == [one.name for one in SETS]


def test_what_the_syllabus_says_of_late_work_is_what_is_reckoned():
    assert "15 minutes after" in documents.lateness(Policy())
    assert "costs 10 % of the score; after 3 days" in documents.lateness(Policy())
    assert "costs nothing" in documents.lateness(Policy(15, 0, 0))


def test_sets_are_due_at_the_last_minute_of_their_period_also_when_clocks_change():
    first, second = schedule(SETS, SIX_WEEKS, START, BERLIN)[:2]
    assert first.due.isoformat() == "2027-03-28T23:59:00+02:00"
    assert (second.release, second.due.isoformat()) == (datetime.date(2027, 3, 29), "2027-04-04T23:59:00+02:00")
    assert schedule(SETS, INTENSE, START, datetime.UTC)[0].due.isoformat() == "2027-03-22T23:59:00+00:00"


def test_the_calendar_keeps_to_its_standard():
    """RFC 5545: lines of at most 75 bytes that end in CR LF, escaped marks, what each event must have, names once."""
    odd = ProblemSet("ps1", "Ü" * 60 + ", a; b\\c", (_task(),))
    text = calendar(schedule([odd, *SETS[1:]], SIX_WEEKS, START, BERLIN), "precsim")
    lines = text.split("\r\n")
    assert lines.pop() == ""
    assert all(len(line.encode()) <= 75 and "\n" not in line for line in lines)
    whole = text.replace("\r\n ", "").split("\r\n")
    assert whole[:2] == ["BEGIN:VCALENDAR", "VERSION:2.0"]
    assert whole[-2] == "END:VCALENDAR"
    events = re.findall(r"BEGIN:VEVENT\n(.*?)END:VEVENT", "\n".join(whole), re.DOTALL)
    assert len(events) == 2 * len(SETS)
    for event in events:
        for needed in ("UID:", "DTSTAMP:", "DTSTART", "DTEND", "SUMMARY:"):
            assert event.count(needed) == 1
    names = re.findall(r"UID:(\S+)", text)
    assert len(set(names)) == len(names)
    assert f"{'Ü' * 60}\\, a\\; b\\\\c" in "\n".join(whole)
    assert "DTSTART:20270328T215900Z" in whole


def _task() -> Task:
    goal = Objective("1-numbers/rounding", 1, "round")
    return Task("f", "F", 10, (goal,), (Share("a | b", 2),), (Known("up", "it goes up | down."),))


def test_the_matrix_has_every_exercise_and_every_objective():
    rows = documents.matrix(SETS, CHAPTERS)
    assert {row["exercise"] for row in rows} - {None} == {task.name for one in SETS for task in one.tasks}
    assert {row["objective"] for row in rows} == {goal.identity for c in CHAPTERS for goal in c.objectives}
    assert len({row["objective"] for row in rows}) == sum(len(c.objectives) for c in CHAPTERS), "identities are unique"


def test_texts_follow_a_new_exercise():
    more = ProblemSet("ps9", "Problem set 9: new", (_task(),))
    periods = schedule([*SETS, more], SIX_WEEKS, START, BERLIN)
    assert f"{len(SETS) + 1} problem sets" in documents.syllabus(CHAPTERS, periods, SIX_WEEKS, Policy())
    assert "| a \\| b | 2 |" in documents.rubric(more)
    assert "it goes up | down." in documents.guide([more])
    assert documents.matrix([more], CHAPTERS)[-1]["set"] is None


def test_the_command_writes_the_kit_and_sets_due_times_that_are_not_set(school, capsys):
    (school.folder / "course.json").write_text(
        json.dumps({"due": {"ps1": None}, "grace_minutes": 5, "late": {"percent_per_day": 20, "days": 2}})
    )
    words = ["course", "kit", str(school.folder), "--exercises", str(ROOT / "exercises"), "--book", str(ROOT / "book")]
    assert main([*words, "--start", "2027-01-11", "--zone", "Europe/Berlin"]) == 0
    settings = json.loads((school.folder / "course.json").read_text())
    assert settings["due"] == {"ps1": "2027-01-17T23:59:00+01:00"}
    kit = school.folder / "kit"
    assert "costs 20 % of the score" in (kit / "syllabus.md").read_text()
    with (kit / "schedule.csv").open() as file:
        assert [row["set"] for row in csv.DictReader(file)] == ["ps1"]
    assert sorted(path.name for path in (kit / "rubrics").iterdir()) == ["ps1.md"]
    assert main([*words, "--start", "2027-02-01", "--intense"]) == 0
    assert json.loads((school.folder / "course.json").read_text()) == settings
    assert "ps1: stays due at 2027-01-17T23:59:00+01:00" in capsys.readouterr().out
    assert main([*words, "--start", "2027-02-01", "--zone", "Berlin"]) == 2
    assert "there is no time zone 'Berlin'" in capsys.readouterr().err
