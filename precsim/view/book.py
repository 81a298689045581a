"""Draws charts and widgets into the pages of the book: a renderer plug-in for MyST-NB.

A chart goes into the page as its JSON specification, a widget as the name of its script and its
state; ``book/_assets/precsim.js`` draws both in the browser, without a kernel and without asking
another host. Only this module knows docutils and Sphinx, which a plain installation does not have.
"""

from __future__ import annotations

import html
import json
from typing import Any, ClassVar

from docutils import nodes

from precsim.view.theme import VEGA_LITE, WIDGET, json_in_script

_OURS = "application/vnd.precsim."  # how the types of this project's own outputs begin


def chart_html(spec: dict[str, Any]) -> str:
    """Return the figure element of a Vega-Lite specification, its description as the text alternative.

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
    caption = _caption(spec.get("usermeta", {}).get("caption", {}))
    spec = {key: value for key, value in spec.items() if key not in ("$schema", "usermeta")}
    label = html.escape(description, quote=True)
    return (
        f'<figure class="ps-chart" role="group" aria-label="{label}">'
        f'<div class="ps-canvas"></div><script type="application/json">{json_in_script(spec)}</script>'
        f"<noscript>{html.escape(description)}</noscript>{caption}</figure>"
    )


def _caption(parts: dict[str, str]) -> str:
    """The caption of a figure: message, reading, source; empty without one."""
    said = {name: html.escape(text) for name, text in parts.items() if text}
    if not said:
        return ""
    tags = {"message": "strong", "reading": "span", "source": "small"}
    return (
        "<figcaption>"
        + " ".join(f"<{tags[name]}>{text}</{tags[name]}>" for name, text in said.items())
        + "</figcaption>"
    )


def widget_html(data: dict[str, Any]) -> str:
    """Return the element of a widget: script name, state, and the static view that stands until it runs."""
    label, module = (html.escape(data[name], quote=True) for name in ("description", "module"))
    return (
        f'<div class="ps-widget" role="group" aria-label="{label}" data-module="{module}">'
        f'<script type="application/json">{json_in_script(data["state"])}</script>'
        f'<div class="ps-static">{data["static"]}</div></div>'
    )


class VegaLiteIsland:
    """MyST-NB plug-in that puts charts and widgets into HTML pages as data for the page's own script."""

    # Above MyST-NB's own types, for every HTML builder; the others fall back to the text.
    mime_priority_overrides: ClassVar = [
        (builder, mime, 1) for builder in ("html", "dirhtml", "singlehtml") for mime in (WIDGET, VEGA_LITE)
    ]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the page's nodes for a chart or a widget, or None to leave the output to MyST-NB."""
        if data.mime_type.startswith(_OURS) and data.mime_type != WIDGET:
            return []  # for the build, such as the numbers of claims: the page shows its HTML
        if inline or data.mime_type not in {VEGA_LITE, WIDGET}:
            return None
        content = data.content if isinstance(data.content, dict) else json.loads(data.content)
        text = chart_html(content) if data.mime_type == VEGA_LITE else widget_html(content)
        return [nodes.raw(text=text, format="html", classes=["output"])]
