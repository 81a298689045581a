"""A page of tables and charts in one file that opens without a network."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from precsim.view.theme import json_in_script

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; margin: 0 auto; padding: 1rem; max-width: 46rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
pre { overflow-x: auto; background: #f3f5f7; padding: .7rem; font-size: .85rem; }
.ps-scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
caption { caption-side: bottom; text-align: left; padding-top: .4rem; color: #46525f; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d5dbe1; text-align: right; }
th:first-child, td:first-child { text-align: left; }
figure { margin: .5rem 0 1rem; } figcaption { color: #46525f; font-size: .9rem; }
"""
_DRAW = """
for (const figure of document.querySelectorAll("figure")) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const canvas = figure.querySelector("div");
  const room = canvas.getBoundingClientRect().width;
  const sized = spec.vconcat
    ? { ...spec, vconcat: spec.vconcat.map((part) => ({ ...part, width: room - 66 })) }
    : { ...spec, width: "container", autosize: { type: "fit-x", contains: "padding" } };
  canvas.style.width = "100%";
  vegaEmbed(canvas, sized, { actions: false, renderer: "svg", ast: true });
}
"""


def page(title: str, parts: Iterable[tuple[str, Any]]) -> str:
    """Return a web page of headed parts: charts, tables, and texts.

    Parameters
    ----------
    title : str
    parts : iterable of (str, chart, Table or str)
        A heading for each part; texts are shown as they are, in lines.

    Examples
    --------
    >>> "<pre>status CONVERGED</pre>" in page("A fit", [("Report", "status CONVERGED")])
    True
    """
    body, charts = [f"<h1>{html.escape(title)}</h1>"], False
    for heading, part in parts:
        body.append(f"<h2>{html.escape(heading)}</h2>")
        if isinstance(part, str):
            body.append(f"<pre>{html.escape(part)}</pre>")
        elif hasattr(part, "to_dict"):
            charts = True
            spec = part.to_dict()
            caption, data = html.escape(spec.get("description", "")), json_in_script(spec)
            body.append(
                f'<figure role="group" aria-label="{html.escape(spec.get("description", ""), quote=True)}"><div></div>'
                f'<script type="application/json">{data}</script><figcaption>{caption}</figcaption></figure>'
            )
        else:
            body.append(part._repr_html_())
    scripts = f"<script>{_library()}</script><script>{_DRAW}</script>" if charts else ""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{"".join(body)}{scripts}</body></html>'


def _library() -> str:
    """The drawing library as one script that sets `vegaEmbed`."""
    import vl_convert  # 88 MB that only a report needs

    code = f"(() => {{{vl_convert.javascript_bundle()}}})();"  # pyright: ignore[reportCallIssue] - a default it has
    return code.replace("</script", "<\\/script")
