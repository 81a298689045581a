"""A widget of the book alone in a page, under the book's policy: faster than the built book, and without its theme."""

from __future__ import annotations

import json
from pathlib import Path

from support.places import ROOT

from precsim.view.widget import Widget, script

_PAGE = """<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8"><title>{name}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="{name}.css">
<style>html {{ color-scheme: light dark; font-family: sans-serif }} * {{ box-sizing: border-box }}
[data-theme=dark] {{ background: #121212; color: #ced6dd; --pst-color-primary: #528fe4;
--pst-color-text-muted: #9ca4af; --pst-color-background: #121212 }}</style>
<main><h1>A widget</h1><h2>Alone</h2><div id="here"></div></main><script src="{name}.js"></script><script>
fetch("state.json").then((answer) => answer.json()).then((state) =>
  widget.render({{ model: {{ get: (key) => state[key] }}, el: document.getElementById("here") }}));
</script></html>"""
# Texts of drawings that stick out of them.
CUT = """() => [...document.querySelectorAll('.picture svg text')].filter((t) => {
  const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();
  return a.width && (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1);
}).map((t) => t.textContent)"""


def write(folder: Path, widget: Widget) -> None:
    """Write index.html with a widget, its script, style and state."""
    name = widget.module
    module = script(name).replace("export default ", "window.widget = ")
    style = ROOT / "precsim" / "view" / "modules" / f"{name}.css"
    texts = {f"{name}.js": f"(() => {{\n{module}}})();", f"{name}.css": style.read_text(encoding="utf-8")}
    texts |= {"state.json": json.dumps(widget.state), "index.html": _PAGE.format(name=name)}
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")


def faults(page, width: int) -> dict[str, object]:
    """What a page shows at its width that it must not: overflow, cut texts, findings of axe in either theme."""
    from axe_playwright_python.sync_playwright import Axe

    found: dict[str, object] = {}
    if (seen := page.evaluate("document.documentElement.scrollWidth")) > width:
        found["width"] = seen
    if cut := page.evaluate(CUT):
        found["cut"] = cut
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        for one in Axe().run(page, options={"preload": False}).response["violations"]:
            if one["impact"] in ("critical", "serious", "moderate"):
                found[f"{theme}: {one['id']}"] = [node["target"] for node in one["nodes"]][:3]
    return found
