"""Every drawing in a browser, in both widths and themes: nothing overlaps, nothing is cut, everything can be seen."""

from __future__ import annotations

import functools

import pytest
from support.browsing import CHROMIUM, browser
from support.drawings import GALLERY

from precsim.view.book import drawing_html
from precsim.view.drawings.drawing import style
from precsim.view.theme import DRAWING

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")]

_PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8"><title>Drawings</title>
<style>html {{ color-scheme: {theme}; font-family: sans-serif; background: {paper}; color: {ink};
--pst-color-text-base: {ink}; --pst-color-background: {paper} }} body {{ margin: 0 auto; width: {width}px }}
{style}</style>{body}</html>"""
THEMES = {"light": ("#ffffff", "#222832"), "dark": ("#14181e", "#ced6dd")}  # of the book's theme
LAYOUTS = {1280: ("wide", 688), 390: ("narrow", 350)}  # window: class, room for a drawing

# All faults of the pictures that are shown: [kind, words].
_FAULTS = """(name) => {
  const rgb = (text) => {
    const n = text.match(/[-\\d.]+(e-?\\d+)?/g).map(Number);
    return text.startsWith("color(") ? n.slice(0, 3) : n.slice(0, 3).map((v) => v / 255);
  };
  const light = (text) => {
    const [r, g, b] = rgb(text).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const paper = getComputedStyle(document.documentElement).backgroundColor;
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect();
    if (!box.width) continue;
    if (!svg.classList.contains(name)) found.push(["layout", svg.getAttribute("class")]);
    const texts = [...svg.querySelectorAll("text")].map((t) => [t, t.getBoundingClientRect()]);
    texts.forEach(([t, a], i) => {
      if (parseFloat(getComputedStyle(t).fontSize) < 12) found.push(["small", t.textContent]);
      for (const [u, b] of texts.slice(i + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 0.5 && down > 3) found.push(["overlap", t.textContent + " | " + u.textContent]);  // lines have air
      }
      const under = document.elementsFromPoint((a.left + a.right) / 2, (a.top + a.bottom) / 2)
        .find((e) => svg.contains(e) && ["rect", "circle"].includes(e.tagName) && getComputedStyle(e).fill !== "none");
      const ground = under ? getComputedStyle(under).fill : paper;
      const ratio = contrast(getComputedStyle(t).fill, ground);
      if (ratio < 4.5) found.push(["text contrast", t.textContent + " " + ratio.toFixed(2)]);
    });
    for (const e of svg.querySelectorAll("text, rect, circle, line, path, image")) {
      const b = e.getBoundingClientRect();
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1)
        found.push(["outside", (e.textContent || e.outerHTML.slice(0, 90))]);
      if (e.matches("text, image, .faint, .tint")) continue;  // grid lines and grounds carry nothing
      const s = getComputedStyle(e);
      const ratio = Math.max(...[s.fill, s.stroke].filter((c) => c !== "none").map((c) => contrast(c, paper)));
      if (ratio < 3 && !e.matches(".fill, .cells")) found.push(["mark contrast", e.outerHTML.slice(0, 90) + ratio]);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@functools.cache
def html(name: str) -> str:
    """A drawing's element as the book has it."""
    return drawing_html(GALLERY[name]()._repr_mimebundle_()[DRAWING])


def shown(chromium, window: int, theme: str, body: str):
    """A page with something in it, in a window and a theme."""
    paper, ink = THEMES[theme]
    page = chromium.new_page(viewport={"width": window, "height": 900})
    width = LAYOUTS[window][1]
    page.set_content(_PAGE.format(theme=theme, paper=paper, ink=ink, width=width, style=style(), body=body))
    return page


def faults(page, window: int) -> list:
    """Faults of the first picture of a drawing and, where there is a choice, of all others."""
    page.evaluate("scrollTo(0, 0)")
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": window, "height": max(height + 50, 900)})  # elementsFromPoint sees the window only
    found = page.evaluate(_FAULTS, LAYOUTS[window][0])
    for button in page.query_selector_all("input[type=radio]")[1:]:
        button.check()
        found += page.evaluate(_FAULTS, LAYOUTS[window][0])
    return found


@pytest.mark.parametrize("name", GALLERY)
def test_a_drawing_is_clean_in_both_layouts_and_themes(name, chromium):
    body = html(name)
    for window in LAYOUTS:
        for theme in THEMES:
            page = shown(chromium, window, theme, body)
            assert page.locator("svg:visible").count() == 1
            assert faults(page, window) == [], f"{window} px, {theme}"
            page.close()


BAD = '<div class="ps-drawing"><div class="frame"><svg class="wide" viewBox="0 0 688 90">{}</svg></div></div>'


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ('<text x="9" y="30">one</text><text x="19" y="32">two</text>', "overlap"),
        ('<text x="670" y="30">too far to the right</text>', "outside"),
        ('<circle class="solid ink" cx="-9" cy="20" r="5"/>', "outside"),
        (
            '<text class="faint" x="9" y="30">pale</text><text style="fill:#999" x="9" y="60">gray</text>',
            "text contrast",
        ),
        ('<rect class="solid ink" x="0" y="0" width="99" height="60"/><text x="9" y="30">dark</text>', "text contrast"),
        ('<circle style="fill:#ddd" cx="30" cy="20" r="5"/>', "mark contrast"),
        ('<text style="font-size:9px" x="9" y="30">tiny</text>', "small"),
    ],
)
def test_a_fault_is_found(inside, kind, chromium):
    page = shown(chromium, 1280, "light", BAD.format(inside))
    assert {found for found, _ in faults(page, 1280)} == {kind}
    page.close()


def test_buttons_choose_by_the_keyboard_and_without_a_script(chromium):
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    body = html("three_strokes")
    paper, ink = THEMES["light"]
    page.set_content(_PAGE.format(theme="light", paper=paper, ink=ink, width=688, style=style(), body=body))
    page.keyboard.press("Tab")
    frames = [page.locator(".frame").nth(i) for i in range(3)]
    assert [frame.is_visible() for frame in frames] == [True, False, False]
    page.keyboard.press("ArrowRight")
    assert [frame.is_visible() for frame in frames] == [False, True, False]
    context.close()


def test_a_screen_reader_finds_names_and_no_fault(chromium):
    from axe_playwright_python.sync_playwright import Axe

    body = "".join(html(name) for name in GALLERY)
    page = shown(chromium, 1280, "light", f"<main><h1>Drawings</h1>{body}</main>")
    found = Axe().run(page, options={"preload": False}).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
    assert page.get_by_role("img").count() == len(GALLERY)
    page.close()
