"""Laws and derivations: each page of one part has a partner in the other, and the two link to each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.places import ROOT

BOOK = ROOT / "book"
_LINK = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`")
PARTS = {"4-laws": "6-derivations", "6-derivations": "4-laws"}
FILES = [path for part in PARTS for path in BOOK.glob(f"{part}/*.md")]
PAGES = {path.relative_to(BOOK).with_suffix("").as_posix(): path for path in FILES}


def links(path: Path) -> set[str]:
    """Pages that a page links to, by their name in the book."""
    found = _LINK.findall(path.read_text(encoding="utf-8"))
    return {(path.parent / target).resolve().relative_to(BOOK.resolve()).as_posix() for target in found}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_and_its_partner_link_to_each_other(name):
    other = PARTS[name.split("/")[0]]
    towards = {target for target in links(PAGES[name]) if target.startswith(f"{other}/")}
    assert towards <= set(PAGES), "a page that does not exist"
    assert [target for target in towards if name in links(PAGES[target])], f"{name} has no partner in {other}"


def test_every_page_of_both_parts_is_asked():
    assert len(PAGES) == 14
