"""The built book in a browser that can reach nothing else: complete, silent, readable in both themes and on a phone."""

from __future__ import annotations

import json
import math
import re

import pytest
from support import browsing
from support.places import ROOT

import precsim as ps

HTML = ROOT / "_build" / "html"

pytestmark = [
    pytest.mark.book,
    pytest.mark.browser,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="no Chromium on this machine: install chromium to run this"),
    pytest.mark.skipif(not (HTML / "index.html").exists(), reason="the book is not built: make book, then make test"),
    pytest.mark.xdist_group("browser"),
]

# index.html only sends the reader on to the first page.
BUILT = {p.relative_to(HTML).as_posix() for p in HTML.rglob("*.html") if "_static" not in p.parts}
PAGES = sorted(BUILT - {"index.html"}) or ["intro.html"]
# Opened in a fast run too; every other page by `make test-all`.
OFTEN = {"explorer.html", "intro.html", "planner.html", "2-arithmetic/sums.html"}
EVERY = [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in PAGES]
SPHINX = {"genindex.html", "search.html"}  # its own pages
# Findings of axe that come from the theme's own header and are no obstacle to reading.
THEME = {"region", "label-content-name-mismatch", "landmark-unique", "landmark-no-duplicate-banner"}


@pytest.fixture(scope="module")
def address():
    with browsing.serve(HTML) as url:
        yield url


@pytest.fixture(scope="module")
def chromium():
    with browsing.browser() as browser:
        yield browser


@pytest.fixture
def visit(address, chromium):
    """Open a page in a fresh window; afterwards the page must have been silent and asked nobody else."""
    logs, windows = [], []

    def visit(name: str, *, width: int = 1280, scheme: str = "light"):
        size = {"width": width, "height": 900}
        window = chromium.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        windows.append(window)
        page = window.new_page()
        logs.append(log := browsing.Log(address))
        log.watch(page)
        page.goto(f"{address}/{name}")
        browsing.settle(page)
        return page

    yield visit
    for window in windows:
        window.close()
    for log in logs:
        assert log.outside == []
        assert log.messages == []
        assert log.missing == []


def turn(page, theme: str) -> None:
    """Change the theme as the button in the header does, and wait until the charts have followed."""
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_timeout(300)
    browsing.settle(page)


@pytest.mark.parametrize("name", EVERY)
def test_a_page_works_without_a_network_says_nothing_and_passes_axe_in_both_themes(visit, name):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(name)
    assert page.locator(".ps-chart svg").count() == page.locator(".ps-chart").count()
    for figure in page.locator(".ps-chart").all():  # every chart has marks and a text alternative
        assert len(figure.get_attribute("aria-label")) >= 40
        drawn = figure.locator("svg .mark-group :is(path, line, text, rect)").count()
        assert drawn > 3, figure.get_attribute("aria-label")
    for image in page.locator("article img").all():
        assert image.get_attribute("alt")
    # Formulas are drawn: MathJax has left no source behind.
    assert page.locator("span.math, div.math").count() <= page.locator("mjx-container").count()
    # Only those that scroll are stops of the Tab key (that these are is a rule of axe, below).
    fits = "all => all.filter(x => x.tabIndex === 0 && x.scrollWidth <= x.clientWidth).length"
    assert page.locator("mjx-container").evaluate_all(fits) == 0
    for steps in page.locator(".ps-steps").all():
        assert r"\[" not in steps.inner_text()
    for theme in ("light", "dark"):
        turn(page, theme)
        if name not in SPHINX:
            found = Axe().run(page, options={"preload": False}).response["violations"]
            serious = {v["id"]: [n["target"] for n in v["nodes"]][:3] for v in found if v["id"] not in THEME}
            assert serious == {}, theme


@pytest.mark.parametrize("name", EVERY)
def test_a_page_fits_on_a_phone(visit, name):
    page = visit(name, width=390, scheme="dark")  # a reader's system may be dark before any button is pressed
    for theme in (None, "light", "dark"):
        if theme:
            turn(page, theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, theme
    thin = "all => all.filter((c) => { const s = getComputedStyle(c), w = c.getBoundingClientRect().width;"
    thin += " return s.fontStyle !== 'normal' || s.fontWeight !== '400' || w < 250 || w > 390; }).length"
    assert page.locator(".ps-figure > figcaption").evaluate_all(thin) == 0


def test_no_page_publishes_its_source():
    assert not (HTML / "_sources").exists()


def pages_with(selector: str) -> list[str]:
    return [name for name in PAGES if selector in (HTML / name).read_text(encoding="utf-8")]


def test_the_explorer_says_what_the_package_says(visit):
    """Its sliders are moved; the words it shows equal the law that is on the page, evaluated here."""
    names = pages_with("log_N")
    assert names, "no page has the explorer"
    page = visit(names[0])
    figure = page.locator(".ps-chart", has=page.locator("input[name=log_N]")).first
    spec = json.loads(figure.locator("script").first.inner_text())
    assert spec["description"].startswith("Sliders for parameters N")
    text = json.dumps(spec)
    for log_N, log_D, bits in ((3.2, 5.5, 3), (3.7, 6.1, 5.5)):
        for name, value in {"log_N": log_N, "log_D": log_D, "bits": bits}.items():
            slider = figure.locator(f"input[name={name}]")
            slider.evaluate(f"e => {{ e.value = {value}; e.dispatchEvent(new Event('input')); }}")
        shown = " ".join(_redrawn(figure))
        assert f"P = {bits:g} bits" in shown
        loss = float(re.search(r"quantized after: ([\d.]+)", shown).group(1))
        found = re.search(r"' \+ format\((.*?), '\.4f'\) \+ ',  δ", json.loads(f'"{_calculate(text)}"'))
        assert found
        names_here = {"pow": pow, "exp": math.exp, "log_N": log_N, "log_D": log_D, "bits": bits}
        formula = found.group(1).split("format(")[-1].replace("(hold ? 16 / bits : 1)", f"(16 / {bits})")
        assert loss == pytest.approx(eval(formula, {"__builtins__": {}}, names_here), abs=6e-5)  # four digits are shown


def _redrawn(figure) -> list[str]:
    """The words of a chart after it has taken up all that its sliders were told, however slow the machine."""
    return figure.evaluate(
        "async e => { await e.view.runAsync(); return [...e.querySelectorAll('svg text')].map((t) => t.textContent); }"
    )


def _calculate(text: str) -> str:
    return re.search(r'"calculate": "((?:[^"\\]|\\.)*quantized after(?:[^"\\]|\\.)*)"', text).group(1)


@pytest.mark.slow
def test_the_picture_of_the_home_page_says_what_the_package_says_in_all_84_settings(visit):
    from precsim.evidence import rows

    found = ps.view.hero(rows.two_ways(rows.open_table()))
    page = visit("intro.html")
    for way in ("trained", "rounded"):
        page.locator(f".ps-hero input[value={way}]").check()
        for bit in range(len(found.bits)):
            for stop in range(len(found.tokens)):
                for place, value in ((0, bit), (1, stop)):
                    page.locator(".ps-hero .slider input").nth(place).fill(str(value))
                assert page.locator(".ps-hero output").inner_text() == found.answer(way, bit, stop)
                assert page.locator(".ps-hero svg .ring").count() == 1
    outside = page.evaluate(
        "() => [...document.querySelectorAll('.ps-hero svg text')].filter((t) => {"
        " const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();"
        " return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;"
        "}).map((t) => t.textContent)"
    )
    assert outside == []


def test_sliders_keep_their_place_when_the_theme_changes(visit):
    names = pages_with('"bind"')
    page = visit(names[0])
    slider = page.locator(".ps-chart input[type=range]").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    figure = page.locator(".ps-chart", has=page.locator("input[type=range]")).first
    _redrawn(figure)
    before = slider.input_value()
    figure.evaluate("e => { window.old = e.view; }")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("e => e.view !== window.old", arg=figure.element_handle())
    browsing.settle(page)
    assert page.locator(".ps-chart input[type=range]").first.input_value() == before


def test_the_bits_are_flipped_by_keyboard_and_decode_as_the_package_decodes(visit):
    names = pages_with('data-module="bits"')
    assert names, "no page has the bit widget"
    page = visit(names[0])
    box = page.locator(".ps-widget").first
    buttons = box.locator("button")
    fmt = next(f for f in ps.formats.NAMED if f.name == box.locator("output").inner_text().split(",")[0])
    assert buttons.count() == fmt.bits
    buttons.last.focus()
    page.keyboard.press("ArrowRight")  # from the last bit around to the first
    page.keyboard.press("Space")
    code = int("".join(buttons.all_inner_texts()), 2)
    assert buttons.first.get_attribute("aria-pressed") == str(bool(code >> (fmt.bits - 1))).lower()
    for place in range(fmt.bits):
        buttons.nth(place).click()
        code ^= 1 << (fmt.bits - 1 - place)
        shown = box.locator("output").get_attribute("data-value")
        assert float(shown) == fmt.value(code) or shown == "NaN"


def test_the_script_decodes_every_code_of_every_small_format_as_the_package_does(chromium):
    page = chromium.new_page()
    source = (ROOT / "precsim/view/modules/bits.js").read_text(encoding="utf-8")
    page.add_script_tag(content=source.replace("export default", "window.bits ="))
    for fmt in (f for f in ps.formats.NAMED if f.bits <= 8):
        state = ps.view.Bits(fmt).state["format"]
        shown = page.evaluate(
            "f => [...Array(2 ** f.bits).keys()].map(c => decode(c, f).value)"
            ".map(v => Object.is(v, -0) ? '-0.0' : Number.isNaN(v) ? 'nan' : v === Infinity ? 'inf'"
            " : v === -Infinity ? '-inf' : String(v))",
            state,
        )
        expected = [str(fmt.value(code)) for code in range(2**fmt.bits)]
        assert [repr(float(v)) for v in shown] == [repr(float(v)) for v in expected], fmt.name
    page.close()


def test_icons_are_drawn_by_their_font_alone():
    """The theme's script that draws them a second time weighs 1.5 MB (book/_templates)."""
    for name in PAGES:
        text = (HTML / name).read_text(encoding="utf-8")
        assert "fontawesome" in text
        assert not re.search(r'<script[^>]*fontawesome|rel="preload" as="font"', text), name


def test_the_book_opens_from_its_folder_without_a_server(chromium):
    """A reader double-clicks the printed page: file addresses have stricter rules for scripts."""
    name = (pages_with('data-module="bits"') or PAGES)[0]
    page = chromium.new_page()
    messages = []
    page.on("console", lambda m: messages.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: messages.append(str(e)))
    page.goto((HTML / name).as_uri())
    browsing.settle(page)
    page.close()
    assert messages == []
