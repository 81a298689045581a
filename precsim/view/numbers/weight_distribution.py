"""How the weights of a tensor are distributed, and where a format's values lie among them."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
from numpy.typing import ArrayLike

from precsim.numerics.binary_format import Format
from precsim.numerics.codebook import Codebook
from precsim.view.theme import HUES, WIDTH, finish, values


def weight_distribution(
    counts: ArrayLike, edges: ArrayLike, formats: Mapping[str, Format | Codebook], *, outlier: float, title: str = ""
) -> alt.LayerChart:
    """Draw a histogram of weights over their root mean square, above the values each format has for them.

    Parameters
    ----------
    counts : array_like, int, shape (n,)
    edges : array_like, float, shape (n + 1,)
        In units of the root mean square.
    formats : mapping of str to Format or Codebook
        At most eight, of at most 8 bits each. Their values are scaled so that the largest falls on the largest weight,
        as with one scale for the tensor; blocks have finer values where they hold smaller weights.
    outlier : float
        Largest magnitude over root mean square.
    title : str

    Raises
    ------
    ValueError
        If there are no formats or too many, or the histogram has another shape.

    Examples
    --------
    >>> from precsim.numerics import INT4
    >>> chart = weight_distribution([1, 3, 1], [-3, -1, 1, 3], {"INT4": INT4}, outlier=2.5)
    >>> len(chart.layer)
    2
    """
    heights, ends = np.asarray(counts), np.asarray(edges, float)
    if heights.ndim != 1 or ends.shape != (heights.size + 1,) or not heights.sum():
        raise ValueError(f"a histogram has n counts and n + 1 edges; received {heights.shape} and {ends.shape}")
    if not 1 <= len(formats) <= len(HUES):
        raise ValueError(f"needs 1 to {len(HUES)} formats; received {list(formats)}")
    share = heights / heights.sum() / np.diff(ends)
    bars = [{"from": a, "to": b, "density": s} for a, b, s in zip(ends[:-1], ends[1:], share, strict=True)]
    ticks, step = [], share.max() / 10
    for n, (name, fmt) in enumerate(formats.items()):
        grid = np.unique(fmt.values()) / fmt.maximum * outlier
        shown = grid[(grid >= ends[0]) & (grid <= ends[-1])]
        ticks += [{"value": v, "low": -(n + 0.9) * step, "high": -(n + 0.2) * step, "format": name} for v in shown]
    x = alt.Scale(domain=[float(ends[0]), float(ends[-1])], nice=False)
    histogram = (
        alt.Chart(values(bars))
        .mark_rect(color=HUES[0], opacity=0.75)
        .encode(
            x=alt.X("from:Q", title="weight / root mean square [1]", scale=x),
            x2="to:Q",
            y=alt.Y("density:Q", title="share of the weights per unit [1]"),
            y2=alt.datum(0),
        )
    )
    lines = (
        alt.Chart(values(ticks))
        .mark_rule(strokeWidth=1)
        .encode(x=alt.X("value:Q"), y="low:Q", y2="high:Q", color=alt.Color("format:N", title=None, sort=list(formats)))
    )
    chart = alt.layer(histogram, lines).properties(width=WIDTH, height=260, title=title)
    of = f" of {title}" if title else ""
    names = ", ".join(formats)
    text = f"Histogram of weights over their root mean square{of}; below it the values of {names}."
    return finish(chart, text, reading="Bars: share of the weights; ticks: values of each format.")
