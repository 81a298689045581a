"""Chapters of the book and what their readers will be able to do, read from the pages themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ENTRY = re.compile(r"^ *- (?P<kind>caption|file): (?P<value>.+?) *$", re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_LIST = re.compile(r"You will be able to:?\n\n(?P<items>(?:- .*\n(?:  .*\n)*)+)")


@dataclass(frozen=True, slots=True)
class Objective:
    """One thing that a reader of a chapter will be able to do: its chapter, its number there from 1, its words."""

    chapter: str
    number: int
    words: str

    @property
    def identity(self) -> str:
        """Short name: the page and the number."""
        return f"{self.chapter.rpartition('/')[2]}-{self.number}"


@dataclass(frozen=True, slots=True)
class Chapter:
    """A page of the book: its name there, title, part, and objectives."""

    name: str
    title: str
    part: str
    objectives: tuple[Objective, ...]


def read_book(book: Path) -> tuple[Chapter, ...]:
    """Return the chapters that state objectives, in the book's order.

    Parameters
    ----------
    book : Path
        Has ``_toc.yml``, and the pages as ``NAME.md``.

    Raises
    ------
    ValueError
        There is no table of contents.
    """
    contents = book / "_toc.yml"
    if not contents.is_file():
        raise ValueError(f"{book} has no _toc.yml; give the folder of the book with --book")
    found, part = [], ""
    for entry in _ENTRY.finditer(contents.read_text(encoding="utf-8")):
        if entry["kind"] == "caption":
            part = entry["value"]
            continue
        chapter = _chapter(book, entry["value"], part)
        if chapter.objectives:
            found.append(chapter)
    return tuple(found)


def _chapter(book: Path, name: str, part: str) -> Chapter:
    page = book / f"{name}.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""  # a page that the build makes has no objectives
    title, listed = _TITLE.search(text), _LIST.search(text)
    items = re.split(r"^- ", listed["items"], flags=re.MULTILINE)[1:] if listed else []
    words = [re.sub(r"\s+", " ", item).strip().rstrip(";.") for item in items]
    objectives = tuple(Objective(name, number, said) for number, said in enumerate(words, 1))
    return Chapter(name, title[1] if title else name, part, objectives)


def objective(chapters: Sequence[Chapter], name: str, beginning: str) -> Objective:
    """Return the objective of a chapter that begins with these words.

    Raises
    ------
    ValueError
        There is no such chapter, or not exactly one such objective.

    Examples
    --------
    >>> page = Chapter("sums", "Sums", "Arithmetic", (Objective("sums", 1, "say when a sum stagnates"),))
    >>> objective([page], "sums", "say when").identity
    'sums-1'
    """
    chapter = next((one for one in chapters if one.name == name), None)
    if chapter is None:
        raise ValueError(f"there is no chapter {name!r} with objectives; chapters are named as in _toc.yml")
    fitting = [one for one in chapter.objectives if one.words.startswith(beginning)]
    if len(fitting) != 1:
        has = "; ".join(one.words for one in chapter.objectives)
        raise ValueError(f"{len(fitting)} objectives of {name} begin with {beginning!r}; it has: {has}")
    return fitting[0]
