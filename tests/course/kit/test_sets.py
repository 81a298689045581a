"""The kit's facts: every exercise says its minutes and what it teaches, in the words of the book."""

from __future__ import annotations

import itertools

import pytest
from support.places import ROOT

from precsim.course.kit.chapters import objective, read_book
from precsim.course.kit.schedule import divided
from precsim.course.kit.sets import problem_sets
from precsim.course.notebooks import Role, minutes, read

CHAPTERS = read_book(ROOT / "book")
SETS = problem_sets(ROOT / "exercises", CHAPTERS)


def test_every_set_of_the_sources_is_there_with_the_sums_of_its_cells():
    sources = {path.stem: read(path) for path in (ROOT / "exercises" / "src").glob("ps*.py")}
    assert {one.name for one in SETS} == set(sources)
    for one in SETS:
        checks = [cell for cell in sources[one.name] if cell.role is Role.CHECK]
        assert [task.name for task in one.tasks] == [cell.exercise for cell in checks]
        assert [task.points for task in one.tasks] == [cell.points for cell in checks]
        assert one.minutes == sum(minutes(sources[one.name]).values())
        assert one.title.startswith(f"Problem set {one.name.removeprefix('ps')}: ")
        assert all(task.title != task.name for task in one.tasks)


def test_an_exercise_takes_between_five_minutes_and_an_hour():
    assert [t.name for one in SETS for t in one.tasks if not 5 <= t.minutes <= 60] == []


def test_every_exercise_serves_an_objective_and_every_part_with_a_set_is_read():
    assert all(task.objectives for one in SETS for task in one.tasks)
    parts = {chapter.part for chapter in CHAPTERS for one in SETS if chapter.name in one.chapters}
    assert parts >= {"Numbers", "Arithmetic", "Training", "Laws", "Planning", "Derivations"}


@pytest.mark.parametrize(
    ("chapter", "beginning", "words"),
    [
        ("1-numbers/roundings", "round", "no chapter '1-numbers/roundings'"),
        ("1-numbers/rounding", "fly", "0 objectives of 1-numbers/rounding begin with 'fly'; it has: round a number"),
        ("1-numbers/rounding", "", "3 objectives"),
    ],
)
def test_an_objective_that_the_book_does_not_have_is_named(chapter, beginning, words):
    with pytest.raises(ValueError, match=words):
        objective(CHAPTERS, chapter, beginning)


def test_objectives_are_read_whole_from_a_page(tmp_path):
    (tmp_path / "_toc.yml").write_text(
        "parts:\n  - caption: Numbers\n    chapters:\n      - file: one\n      - file: two\n"
    )
    (tmp_path / "one.md").write_text(
        "# One\n\nYou will be able to\n\n- add\n  two numbers;\n- subtract.\n\n- no more\n"
    )
    (tmp_path / "two.md").write_text("# Two\n\n- a list\n")
    (chapter,) = read_book(tmp_path)
    assert [(goal.identity, goal.words) for goal in chapter.objectives] == [
        ("one-1", "add two numbers"),
        ("one-2", "subtract"),
    ]
    assert (chapter.title, chapter.part) == ("One", "Numbers")
    with pytest.raises(ValueError, match=r"has no _toc\.yml"):
        read_book(tmp_path / "none")


def test_an_exercise_that_does_not_say_what_it_teaches_is_named(tmp_path):
    (tmp_path / "src").mkdir()
    text = (ROOT / "exercises/src/ps1.py").read_text()
    (tmp_path / "src/ps1.py").write_text(
        text.replace('exercise="round_e4m3" role="about"', 'exercise="x" role="about"')
    )
    with pytest.raises(ValueError, match='round_e4m3 needs a cell role="about"'):
        problem_sets(tmp_path, CHAPTERS)
    with pytest.raises(ValueError, match="has no src/ps"):
        problem_sets(tmp_path / "none", CHAPTERS)


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 9])
def test_work_is_divided_as_evenly_as_any_cut_can(parts):
    """Against all cuts, one by one."""
    for work in ([90, 120, 120, 120, 120, 120, 180], [5, 1, 1, 1, 9, 2], [7], [3, 3]):
        found = divided(work, parts)
        assert [x for part in found for x in work[part]] == work
        count = min(parts, len(work))
        assert len(found) == count
        cuts = itertools.combinations(range(1, len(work)), count - 1)
        longest = [max(sum(work[a:b]) for a, b in itertools.pairwise((0, *cut, len(work)))) for cut in cuts]
        assert max(sum(work[part]) for part in found) == min(longest)
