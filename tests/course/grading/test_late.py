"""Lateness: what it costs, who may take longer, and that it is reckoned from the instructor's tables."""

from __future__ import annotations

import json

import pytest

from precsim.course.grading import gradebook
from precsim.course.grading.late import Policy, deadlines
from precsim.course.grading.marking import grade_rows
from precsim.course.grading.records import Mark, Record, keep

DUE = "2027-01-15T12:00:00+01:00"


def tables(folder, *, extensions: str = "", times: str = "", **settings) -> None:
    about = {"due": {"ps1": DUE}, "grace_minutes": 15, "late": {"percent_per_day": 10, "days": 3}} | settings
    (folder / "course.json").write_text(json.dumps(about))
    (folder / "extensions.csv").write_text("student,set,due,extra_hours,reason\n" + extensions)
    (folder / "times.csv").write_text("student,set,submitted\n" + times)


@pytest.mark.parametrize(
    ("minutes", "percent"), [(0, 0), (1, 10), (1440, 10), (1441, 20), (3 * 1440, 30), (3 * 1440 + 1, 100)]
)
def test_each_day_that_was_begun_costs_and_after_the_last_nothing_is_left(minutes, percent):
    assert Policy(15, 10, 3).percent_off(minutes) == percent
    assert Policy(15, 0, 3).percent_off(minutes) == 0


def test_the_score_that_counts_is_exact_to_two_decimals():
    assert Policy(0, 10, 3).final(7, 1) == 6.3
    assert Policy(0, 10, 3).final(2.55, 1441) == 2.04
    assert Policy(0, 10, 3).final(None, 1) is None


@pytest.mark.parametrize("wrong", [{"grace_minutes": -1}, {"percent_per_day": 101}, {"days": 1.5}])
def test_a_policy_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(**wrong)


@pytest.mark.parametrize(
    ("extension", "late"),
    [
        ("", 106),
        ("ada,ps1,,1,ill\n", 46),
        ("ada,*,,2,accommodation\n", 0),
        ("ada,ps1,2027-01-15T13:15:00+01:00,,ill\n", 31),
        ("ada,ps2,,48,another set\n", 106),
        ("bob,ps1,,48,another student\n", 106),
        ("ada,*,,48,all\nada,ps1,,1,this one\n", 46),
    ],
)
def test_an_extension_beats_the_due_time_of_the_class(tmp_path, extension, late):
    tables(tmp_path, extensions=extension, times="ada,ps1,2027-01-15T13:00:30+00:00\n")
    assert deadlines(tmp_path).minutes_late("ps1", "ada") == late


def test_without_a_due_time_or_a_time_of_arrival_nothing_is_late(tmp_path):
    tables(tmp_path, times="ada,ps2,2030-01-01T00:00:00+00:00\n")
    assert deadlines(tmp_path).minutes_late("ps1", "ada") == 0
    assert deadlines(tmp_path).minutes_late("ps2", "ada") == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extensions": "ada,ps1,,,ill\n"}, "extensions.csv: ada, ps1 needs a due time or extra_hours"),
        ({"extensions": "ada,ps1,,soon,ill\n"}, "ada, ps1 needs"),
        ({"times": "ada,ps1,2027-01-15T13:00\n"}, "has no time zone"),
        ({"due": {"ps1": "2027-01-15"}}, "has no time zone"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path, changes, words):
    tables(tmp_path, **changes)
    with pytest.raises(ValueError, match=words):
        deadlines(tmp_path).due_of("ps1", "ada")


def test_an_extension_counts_in_the_table_of_grades_without_grading_again(school):
    tables(school.folder, times="ada,ps1,2027-01-15T13:00:00+00:00\n")
    marks = tuple(Mark(e.name, e.points, e.points, "right") for e in school.key("ps1").exercises)
    record = Record("ada", "ps1", "1", marks, late_minutes=105)
    (school.folder / "submitted" / "ada" / "ps1").mkdir(parents=True)
    keep(school.folder / "graded", record)

    with gradebook.opened(school.database) as book:
        gradebook.write(book, school.key("ps1"), record)
    (row,) = grade_rows(school)
    assert [row[k] for k in ("state", "score", "percent_off", "final")] == ["late", 10, 10, 9]
    tables(school.folder, extensions="ada,ps1,,24,ill\n", times="ada,ps1,2027-01-15T13:00:00+00:00\n")
    (row,) = grade_rows(school)
    assert [row[k] for k in ("state", "score", "percent_off", "final")] == ["graded", 10, 0, 10]


def test_a_class_that_was_made_before_there_was_a_policy_loses_nothing(tmp_path):
    (tmp_path / "course.json").write_text(json.dumps({"due": {"ps1": DUE}, "grace_minutes": 0}))
    (tmp_path / "times.csv").write_text("student,set,submitted\nada,ps1,2027-01-16T12:00:00+01:00\n")
    found = deadlines(tmp_path)
    assert found.minutes_late("ps1", "ada") == 1440
    assert found.policy.percent_off(1440) == 0
