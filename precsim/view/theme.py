"""How every chart looks, and how a notebook shows it without asking a network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

VEGA_LITE = "application/vnd.vegalite.v5+json"  #: a chart's specification, in a notebook's output
WIDGET = "application/vnd.precsim.widget+json"  #: a widget's script, state and static view, likewise
TABLE = "application/vnd.precsim.table+json"  #: a table as HTML, with its caption
CAPTION = "application/vnd.precsim.caption+json"  #: marks a caption that the book has already inside its figure
DRAWING = "application/vnd.precsim.drawing+json"  #: a drawing's pictures and caption, likewise

Frame = Any  #: a table of runs, a pandas DataFrame: views read its columns and import no pandas

# Eight hues of middle lightness: at least 3:1 against the white and the dark page, apart for color-blind readers.
HUES = ("#2f7fc1", "#d9730d", "#2a9470", "#c2558f", "#8a7a2f", "#7b6fd0", "#5c8a1e", "#b5523b")
# Few bits to many, red to violet, of the same lightness.
BITS = ("#c8391b", "#d0701a", "#9c8420", "#5b9440", "#2a8fa0", "#3c78c8", "#6a62c4", "#8d5fb0")
GRAY = "#7d8793"
SUBNORMAL = HUES[1]
NORMAL = HUES[0]

WIDTH = 640  # pixels, where no page says how wide it is


def _config() -> dict[str, Any]:
    """Sizes and positions only: the page adds the colors of its light or dark theme."""
    return {
        "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelOverlap": "greedy"},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "columns": 4,
            "symbolLimit": 24,
            "labelLimit": 0,
        },
        "title": {"anchor": "start", "fontSize": 14, "subtitleFontSize": 12, "fontWeight": "bold"},
        "header": {"labelFontSize": 12, "titleFontSize": 12},
        "range": {"category": list(HUES)},
        "point": {"size": 55, "filled": True, "opacity": 0.8},
        "line": {"strokeWidth": 2},
    }


def _mimebundle(spec: dict[str, Any], **_: object) -> dict[str, Any]:
    # The newest Vega-Lite mime type that JupyterLab draws by itself is version 5's; what we use of 6 is in 5.
    spec = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    return {VEGA_LITE: spec, "text/plain": spec.get("description", "chart")}


def json_in_script(data: object) -> str:
    """Return JSON that may stand inside a script element: no character sequence can end it early."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def enable() -> None:
    """Make Altair show charts through JupyterLab's own Vega-Lite and in the book: no other host is asked.

    Every chart of this module calls it, unless a renderer other than Altair's default was chosen
    before. Call it yourself in a session that shows only charts of its own.
    """
    alt.renderers.register("precsim", _mimebundle)
    alt.renderers.enable("precsim")


def finish(chart: alt.TopLevelMixin, description: str, *, reading: str = "") -> Any:
    """Return the chart with the common look and its description, the text alternative of the figure.

    The reading says how marks, lines and bands are read; `captioned` prints it below the figure.
    """
    if alt.renderers.active in {"", "default"}:
        enable()
    read = {"usermeta": {"caption": {"reading": reading}}} if reading else {}
    return chart.properties(description=description, **read).configure(**_config())


def values(rows: Iterable[Mapping[str, Any]]) -> alt.Data:
    """Return rows as chart data in plain JSON types; infinities and NaN, which JSON lacks, are refused.

    Raises
    ------
    ValueError
        A number is infinite or NaN: the caller must say how it is drawn.
    """
    plain = [{name: _plain(name, value) for name, value in row.items()} for row in rows]
    return alt.Data(values=plain)


def _plain(name: str, value: object) -> object:
    to_python = getattr(value, "item", None)
    value = value if to_python is None else to_python()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a chart cannot place {name} = {value}; drop the row or draw it as a category")
    return value


def bits_label(bits: float) -> str:
    """Return the name of a bit width on an axis: "4", or "full" for a part that was not quantized."""
    return "full" if math.isinf(bits) else f"{bits:g}"


def bits_scale(bits: Iterable[float]) -> alt.Scale:
    """Return the colors of bit widths, the same in every chart: red for few bits, gray for full precision."""
    present = sorted(set(bits))
    colors = [GRAY if math.isinf(b) else BITS[min(max(round(b) - 2, 0), len(BITS) - 1)] for b in present]
    return alt.Scale(domain=[bits_label(b) for b in present], range=colors)


def si(number: float) -> str:
    """Return a count with its metric prefix: 25000 is "25k"."""
    for power, prefix in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(number) >= 10**power:
            return f"{number / 10**power:.3g}{prefix}"
    return f"{number:.3g}"


def log_axis(field: str, title: str) -> alt.X:
    """Return a logarithmic axis of counts, labelled 10k, 100k, 1M, with room between the labels."""
    axis = alt.Axis(format="~s", tickCount=6, labelOverlap="greedy", labelSeparation=8)
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=12), axis=axis)


def log_slider(name: str, label: str, ends: tuple[float, float]) -> alt.Parameter:
    """Return a slider of the decimal logarithm of a count, from end to end, that begins in the middle."""
    low, high = (round(math.log10(v), 2) for v in ends)
    middle = round((low + high) / 2, 1)
    return alt.param(name=name, value=middle, bind=alt.binding_range(min=low, max=high, step=0.05, name=label))
