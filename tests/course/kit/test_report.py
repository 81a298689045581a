"""The class report: difficulty and discrimination of items against NumPy, and a page that runs nothing of a student."""

from __future__ import annotations

import numpy as np
import pytest

from precsim.cli import main
from precsim.course.grading import gradebook
from precsim.course.grading.records import Mark, Record, keep
from precsim.course.kit.report import correlation, items, page


@pytest.fixture
def answers(school):
    """Eight students, each with some groups right; their records and the matrix of right and wrong."""
    key = school.key("ps1")
    groups = [(e, g) for e in key.exercises for g in e.groups]
    right = np.random.default_rng(7).random((8, len(groups))) < np.linspace(0.2, 0.9, 8)[:, None]
    with gradebook.opened(school.database) as book:
        for n, line in enumerate(right):
            got = {(e.name, g.name): bool(good) for (e, g), good in zip(groups, line, strict=True)}
            marks = tuple(
                Mark(
                    e.name,
                    sum(g.points for g in e.groups if got[e.name, g.name]),
                    e.points,
                    "",
                    {g.name: got[e.name, g.name] for g in e.groups},
                )
                for e in key.exercises
            )
            record = Record(f"s{n}", "ps1", "1", marks, key=key.digest())
            (school.folder / "submitted" / f"s{n}" / "ps1").mkdir(parents=True)
            keep(school.folder / "graded", record)
            gradebook.write(book, key, record)
    return school, right, np.array([g.points for _, g in groups])


def test_share_right_and_discrimination_against_numpy(answers):
    school, right, points = answers
    found = items(school, "ps1")
    total = right @ points
    assert [item.right for item in found] == pytest.approx(right.mean(0).tolist())
    for n, item in enumerate(found):
        rest = total - right[:, n] * points[n]
        wanted = np.corrcoef(right[:, n], rest)[0, 1] if right[:, n].std() and rest.std() else None
        assert item.discrimination == (None if wanted is None else pytest.approx(wanted))
    assert any(item.discrimination is not None for item in found)


def test_what_does_not_vary_has_no_correlation():
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([0, 1], [2, 2]) is None
    assert correlation([1], [1]) is None


def test_grades_of_another_key_are_not_counted(answers):
    school, _, _ = answers
    keep(school.folder / "graded", Record("s0", "ps1", "2", (Mark("decode", 0, 3, ""),), key="old"))
    assert {item.students for item in items(school, "ps1")} == {7}


def test_the_page_needs_nothing_else_and_escapes_names(answers, capsys):
    school, _, _ = answers
    keep(school.folder / "graded", Record("s1", "ps1", reason="<script>alert(1)</script>"))
    assert main(["course", "report", str(school.folder)]) == 0
    text = page(school)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text
    assert "subnormals and zero" in text
    assert (school.folder / "items.csv").read_text().startswith("set,exercise,group,points,judged,share_right")
