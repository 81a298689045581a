"""Every figure of the book has a number, a message, a reading and a source; every table a caption and a source."""

from __future__ import annotations

import csv
import re

import pytest
from support import captions
from support.places import ROOT

BOOK = ROOT / "book"
HTML = ROOT / "_build" / "html"
PAGES = {p.relative_to(BOOK).with_suffix("").as_posix(): p for p in sorted(BOOK.rglob("*.md"))}
BUILT = {name: HTML / f"{name}.html" for name in PAGES if (HTML / f"{name}.html").exists()}
FIGURE = re.compile(r'<figure class="ps-figure" id="([^"]+)">(.*?)</figure>', re.S)
SHOWN = re.compile(
    r'<div class="ps-(?:chart|drawing)"|<div class="ps-widget"(?![^>]*data-module="predict")'
    r'|<div class="ps-scroll"[^>]*><table class="table ps-'
)
TAG = re.compile(r'<b class="ps-tag ps-(\w+)">(\w+)</b> (?:<code>)?[^<]{4}')


def excused(name: str) -> list[str]:
    with (ROOT / "tests" / "book" / "unbound.csv").open(encoding="utf-8", newline="") as file:
        return [row["sentence"] for row in csv.DictReader(file) if row["page"] == name]


def faults(html: str) -> list[str]:
    """What is wrong with the captions of a built page, by figure."""
    found, numbers = [], {}
    for name, text in FIGURE.findall(html):
        inner, _, said = text.partition("<figcaption>")
        word = re.search(r'class="ps-number" href="#([^"]+)">(Figure|Table) (\d+)</a>', said)
        if not word or word[1] != name:
            found.append(f"{name}: no number")
            continue
        numbers.setdefault(word[2], []).append(int(word[3]))
        message = re.search(r"<strong>.{8,}?</strong>", said)
        if not message:
            found.append(f"{name}: no message")
        elif word[2] == "Figure" and not re.search(r"</strong> (?!<span)[^<]{4,}", said):
            found.append(f"{name}: no reading")
        if not [tag for tag, shown in TAG.findall(said) if tag == shown and tag in captions.SOURCES]:
            found.append(f"{name}: no source")
        if not SHOWN.search(inner):
            found.append(f"{name}: nothing shown")
    found += [
        f"{word}s are numbered {given}" for word, given in numbers.items() if given != [*range(1, len(given) + 1)]
    ]
    outside = len(SHOWN.findall(FIGURE.sub("", html)))
    return found + [f"{outside} without a figure around"] * bool(outside)


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_of_a_page_is_captioned_and_every_table_has_a_source(name):
    assert captions.bare(PAGES[name]) == [], "end the cell with ps.view.captioned(...), see precsim/view/captions.py"


@pytest.mark.parametrize("name", PAGES)
def test_a_message_with_a_result_is_a_claim_of_its_page(name):
    assert captions.unbound(PAGES[name], excused(name)) == [], "bind it with ps.evidence.claim, in the same words"


@pytest.mark.parametrize("name", BUILT or ["none"])
@pytest.mark.book
@pytest.mark.skipif(not BUILT, reason="the book is not built: make book, then make test")
def test_a_built_page_shows_number_message_reading_and_source(name):
    html = BUILT[name].read_text(encoding="utf-8")
    assert faults(html) == []
    assert len(FIGURE.findall(html)) >= len(captions.captions(PAGES[name])), "figures of the page are missing"


WHOLE = (
    '<figure class="ps-figure" id="a-figure-1"><div class="ps-chart"></div><figcaption>'
    '<a class="ps-number" href="#a-figure-1">Figure 1</a> <strong>One point is shown.</strong> Dot: the only point. '
    '<span class="ps-from"><b class="ps-tag ps-toy">toy</b> made up here</span></figcaption></figure>'
)


@pytest.mark.parametrize(
    ("cut", "fault"),
    [
        ('<a class="ps-number" href="#a-figure-1">Figure 1</a>', "no number"),
        ("<strong>One point is shown.</strong>", "no message"),
        ("Dot: the only point.", "no reading"),
        ('<b class="ps-tag ps-toy">toy</b>', "no source"),
        ('<div class="ps-chart"></div>', "nothing shown"),
    ],
)
def test_each_part_is_missed_when_it_is_cut(cut, fault):
    assert faults(WHOLE) == []
    assert faults(WHOLE.replace(cut, "")) == [f"a-figure-1: {fault}"]


def test_a_chart_outside_a_figure_and_a_wrong_number_are_seen():
    assert faults(WHOLE + '<div class="ps-chart"></div>') == ["1 without a figure around"]
    assert faults(WHOLE.replace("Figure 1", "Figure 2")) == ["Figures are numbered [2]"]


PAGE = """
```{code-cell} ipython3
ps.view.number_line(ps.INT4)
```

```{code-cell} ipython3
ps.view.captioned(ps.view.number_line(ps.INT4), "One bit more halves the step.", computed="by hand")
```

```{code-cell} ipython3
ps.view.Table(("a",), (("1",),), "Numbers.")
ps.view.Table(("a",), (("1",),), "Numbers.", ours="of these runs")
```
"""


def test_a_bare_figure_and_an_unbound_message_are_found_in_a_page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    assert captions.bare(path) == ["ps.view.number_line(ps.INT4)", "ps.view.Table(('a',), (('1',),), 'Numbers.')"]
    assert captions.unbound(path, []) == ["One bit more halves the step."]
    claim = '\n```{code-cell} ipython3\nclaim("so *one bit more* halves the step", True, x=1)\n```\n'
    path.write_text(PAGE + claim, encoding="utf-8")
    assert captions.unbound(path, []) == []
