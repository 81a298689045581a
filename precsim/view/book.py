"""Draws charts and widgets into the pages of the book: a renderer plug-in for MyST-NB.

A chart goes into the page as its JSON specification, a widget as the name of its script and its
state; ``book/_assets/precsim.js`` draws both in the browser, without a kernel and without asking
another host. Only this module knows docutils and Sphinx, which a plain installation does not have.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes

from precsim.view.captions import caption_html
from precsim.view.theme import CAPTION, DRAWING, TABLE, VEGA_LITE, WIDGET, json_in_script

_OURS = "application/vnd.precsim."  # how the types of this project's own outputs begin


def chart_html(spec: dict[str, Any]) -> str:
    """Return the element of a Vega-Lite specification, its description as the text alternative.

    Raises
    ------
    ValueError
        The specification has no description: a page without it is closed to a screen reader.
    """
    description = spec.get("description")
    if not description:
        raise ValueError(
            f"a chart of the book needs a description in words, got {description!r}: .properties(description=…)"
        )
    spec = {key: value for key, value in spec.items() if key not in ("$schema", "usermeta")}
    label = html.escape(description, quote=True)
    return (
        f'<div class="ps-chart" role="group" aria-label="{label}">'
        f'<div class="ps-canvas"></div><script type="application/json">{json_in_script(spec)}</script>'
        f"<noscript>{html.escape(description)}</noscript></div>"
    )


def widget_html(data: dict[str, Any]) -> str:
    """Return the element of a widget: script name, state, and the static view that stands until it runs."""
    label, module = (html.escape(data[name], quote=True) for name in ("description", "module"))
    return (
        f'<div class="ps-widget" role="group" aria-label="{label}" data-module="{module}">'
        f'<script type="application/json">{json_in_script(data["state"])}</script>'
        f'<div class="ps-static">{data["static"]}</div></div>'
    )


def drawing_html(data: dict[str, Any]) -> str:
    """Return the element of a drawing, its pictures in the page itself."""
    label = html.escape(data["description"], quote=True)
    return f'<div class="ps-drawing" role="group" aria-label="{label}">{data["html"]}</div>'


def figure_html(inner: str, caption: dict[str, str], *, name: str = "", word: str = "") -> str:
    """Return what is shown with its caption and its number, which links to itself so that a reader can pass it on."""
    number = f'<a class="ps-number" href="#{name}">{word}</a>' if word else ""
    words = f"<figcaption>{caption_html(caption, number)}</figcaption>"
    return f'<figure class="ps-figure" id="{name}">{inner}{words}</figure>'


def _numbered(renderer: Any, word: str) -> dict[str, str]:
    """The number of the page's next figure or table, and its address, which no other page has."""
    document = renderer.renderer.document
    count = document.setdefault("ps-numbers", {})
    count[word] = count.get(word, 0) + 1
    page = Path(document["source"]).stem
    return {"name": f"{page}-{word.lower()}-{count[word]}", "word": f"{word} {count[word]}"}


#: What the pages show, by type: what it is called in its number, and its HTML.
_SHOWN = {
    VEGA_LITE: ("Figure", chart_html),
    WIDGET: ("Figure", widget_html),
    DRAWING: ("Figure", drawing_html),
    TABLE: ("Table", lambda content: content["html"]),
}


class VegaLiteIsland:
    """MyST-NB plug-in that puts charts, widgets, drawings and tables into HTML pages, with their numbers."""

    # Above MyST-NB's own types, for every HTML builder; the others fall back to the text.
    mime_priority_overrides: ClassVar = [
        (builder, mime, 1) for builder in ("html", "dirhtml", "singlehtml") for mime in (CAPTION, *_SHOWN)
    ]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the page's nodes for an output of ours, or None to leave it to MyST-NB."""
        if data.mime_type == CAPTION:
            return [nodes.raw(text="", format="html")]  # it is in the figure above already
        if data.mime_type.startswith(_OURS) and data.mime_type not in _SHOWN:
            return []  # for the build, such as the numbers of claims: the page shows its HTML
        if inline or data.mime_type not in _SHOWN:
            return None
        content = data.content if isinstance(data.content, dict) else json.loads(data.content)
        word, shown = _SHOWN[data.mime_type]
        text = shown(content)
        if caption := content.get("usermeta", content).get("caption"):
            text = figure_html(text, caption, **_numbered(renderer, word))
        return [nodes.raw(text=text, format="html", classes=["output"])]
