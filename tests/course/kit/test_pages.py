"""The book's pages on the course: what stands there is what the sets and chapters say."""

from __future__ import annotations

import re
import shutil

import pytest
from support.places import ROOT

from precsim.cli import parser
from precsim.course.kit.chapters import read_book
from precsim.course.kit.pages import PAGES, PARTS, Facts, filled, pages
from precsim.course.kit.sets import problem_sets

MADE = pages(ROOT / "exercises", ROOT / "book")
TEACHING = (ROOT / "book" / "course" / "teaching.md").read_text(encoding="utf-8")


def test_the_committed_pages_are_what_their_sources_generate():
    assert [path.relative_to(ROOT / "book").with_suffix("").as_posix() for path in MADE] == list(PAGES)
    for path, text in MADE.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make course"


def test_every_part_is_on_a_page():
    found = {name for text in MADE.values() for name in re.findall(r"(?m)^% begin: (\S+)$", text)}
    assert found == set(PARTS)


def test_every_notebook_can_be_downloaded():
    text = next(iter(MADE.values()))
    for path in (ROOT / "exercises").glob("ps*.ipynb"):
        assert f"<../../exercises/{path.name}>" in text


def test_pages_follow_a_change_of_minutes(tmp_path):
    shutil.copytree(ROOT / "exercises" / "src", tmp_path / "src")
    source = tmp_path / "src" / "ps1.py"
    source.write_text(source.read_text().replace("minutes = 25", "minutes = 31", 1))
    text = pages(tmp_path, ROOT / "book")[ROOT / "book" / "course" / "problem-sets.md"]
    assert "| Decode a code | 3 | 31 |" in text


def test_a_part_that_nobody_makes_is_named():
    chapters = read_book(ROOT / "book")
    facts = Facts(problem_sets(ROOT / "exercises", chapters), chapters)
    with pytest.raises(ValueError, match="there is no part 'weather'; there are sums"):
        filled("% begin: weather\n% end: weather", facts)
    assert filled("% begin: late\nold\n% end: late\n", facts).endswith("| 15 | 10 | 3 |\n\n% end: late\n")


def commands() -> list[list[str]]:
    block = re.search(r"```sh\n(.*?)```", TEACHING, re.DOTALL)
    assert block
    return [line.split() for line in block[1].splitlines()]


def test_the_set_up_is_ten_commands_and_the_program_has_them():
    assert len(commands()) == 10
    for words in commands():
        if words[0] == "precsim":
            parser(words[1:]).parse_args(words[1:])
    for words in re.findall(r"`precsim (course [^`]*)`", TEACHING):
        parser(words.split()).parse_args(words.replace("...", "x").split())
