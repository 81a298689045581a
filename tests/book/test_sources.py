"""Estimates in tables say of which runs they are, and the line that says so is on the page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from support.captions import SOURCES
from support.places import ROOT

import precsim as ps
from precsim.evidence import counted, rows, sourced

BOOK = ROOT / "book"
CELL = re.compile(r"```\{code-cell\}[^\n]*\n(.*?)```", re.S)
PAGES = {p.relative_to(BOOK).with_suffix("").as_posix(): p for p in sorted(BOOK.rglob("*.md"))}
EDITION = re.compile(r"(first|second) edition|precsim-202[67]")
SURE = re.compile(r"95 ?%|interval")


def tables(path: Path) -> list[ast.Call]:
    """The calls of `ps.view.Table` in the cells of a page."""
    cells = (re.sub(r"(?m)^:\w+:.*$|^%.*$", "", cell) for cell in CELL.findall(path.read_text(encoding="utf-8")))
    calls = [n for cell in cells for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "ps.view.Table"]


@pytest.mark.parametrize("name", PAGES)
def test_a_table_with_intervals_says_of_which_runs_they_are(name):
    silent = [
        ast.unparse(call)[:120]
        for call in tables(PAGES[name])
        if SURE.search(ast.unparse(call)) and len(call.args) < 4 and not SOURCES & {k.arg for k in call.keywords}
    ]
    assert silent == [], "give them ours=sourced(rows.SELECTION, by=...)"


@pytest.mark.parametrize("name", PAGES)
def test_a_source_in_the_open_table_names_its_edition(name):
    cells = (re.sub(r"(?m)^:\w+:.*$|^%.*$", "", cell) for cell in CELL.findall(PAGES[name].read_text(encoding="utf-8")))
    words = [k for cell in cells for k in ast.walk(ast.parse(cell)) if isinstance(k, ast.keyword)]
    texts = [ast.unparse(k.value) for k in words if k.arg in ("ours", "of", "source")]
    silent = [text for text in texts if "open table" in text and not EDITION.search(text)]
    assert silent == [], "say which: open table, first edition, ..."


def test_a_selection_of_the_second_edition_says_so():
    jobs = rows.standard_block(ps.load_runs("precsim-2027"))["job"].nunique()
    text = sourced(rows.standard_block)
    assert text == f"open table, second edition, rows.standard_block: {jobs} models, 3 languages, 2 seeds"


def test_a_source_counts_the_runs_and_opens_below_the_table():
    text = sourced(rows.damage, by="drawing cells again")
    jobs = rows.damage(rows.open_table())["job"].nunique()
    assert text.startswith(f"open table, first edition, rows.damage: {jobs:,} models, 3 languages")
    assert text.endswith("; intervals by drawing cells again")
    assert counted("some", rows.open_table().head(1)) == "some: 1 model, 1 language, 1 seed"
    table = ps.view.Table(("a", "b"), (("x", "1"),), "Caption.", text)
    assert str(table).endswith(text)
    assert "[ours] open table" in table._repr_html_()
    assert "[ours]" not in ps.view.Table(("a", "b"), (("x", "1"),), "Caption.")._repr_html_()
