"""Lines of equal predicted loss over the plane of N and D, or of N and bits, with the runs on top."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from precsim.view.theme import GRAY, WIDTH, Frame, finish, log_axis, si, values

if TYPE_CHECKING:
    from precsim.laws import Law

Ends = tuple[float, float] | float  #: of an axis, or one number for the whole plane
Corner = tuple[float, float, float]  #: x, y and the height above a level

_PARTS = {
    "weights": ("weights",),
    "activations": ("activations",),
    "kv": ("kv",),
    "post": ("post",),
    "tied": ("weights", "activations", "kv"),
}
_TITLE = {
    "weights": "bits of weights",
    "activations": "bits of activations",
    "kv": "bits of the KV cache",
    "post": "bits of weights after training",
    "tied": "bits of weights, activations and KV cache",
}
_CELLS = 72
# Low loss dark blue, high loss light orange-brown; the ends keep 3:1 against the white and the dark page.
_RAMP = ("#3b6fb6", "#2a8fa0", "#5b9440", "#9c8420", "#d0701a", "#c8391b")


def iso_loss(
    law: Law,
    table: Frame | None = None,
    *,
    N: tuple[float, float],
    D: tuple[float, float] | float,
    bits: tuple[float, float] | float = math.inf,
    part: str = "weights",
    levels: int = 9,
) -> alt.LayerChart:
    """Draw lines of equal loss: over N and D if D is a range, over N and bits if `bits` is one.

    Parameters
    ----------
    law : Law
        With numbers for all its parameters and a base.
    table : DataFrame, optional
        Runs with N, D and loss, each drawn as a point. Over N and bits also with the columns of `part`; runs
        wider than the axis, unquantized ones among them, stand at its upper end.
    N : (float, float)
        Range of parameters.
    D : (float, float) or float
        Range of tokens, or their number.
    bits : (float, float) or float
        Range of widths, or the width at which the plane of N and D is drawn (inf: not quantized).
    part : str
        What has these bits: weights, activations, kv, post (weights after training), or tied (all in training).
    levels : int
        About how many lines, at round values of the loss.

    Raises
    ------
    ValueError
        If not exactly one of D and bits is a range, a range is empty, or the law has no prediction there.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> chart = iso_loss(KUMAR_2024, N=(1e7, 1e10), D=(1e9, 1e12))
    >>> chart.layer[0].mark.type
    'rule'
    """
    over_bits, n_range, y_range = _ranges(law, N, D, bits, part)
    x = np.geomspace(*n_range, _CELLS)
    y = np.linspace(*y_range, _CELLS) if over_bits else np.geomspace(*y_range, _CELLS)
    grid_n, grid_y = np.meshgrid(x, y)
    widths = dict.fromkeys(_PARTS[part], grid_y if over_bits else bits)
    with np.errstate(all="ignore"):
        surface = np.asarray(law(grid_n, D if over_bits else grid_y, **widths), dtype=float)
    surface = np.broadcast_to(surface, grid_n.shape)
    if not np.isfinite(surface).any():
        raise ValueError(f"{law.label} has no prediction anywhere in this plane; raise the bits")
    field, title = ("bits", _TITLE[part]) if over_bits else ("D", "D, training tokens")
    heights = _round_levels(surface, levels)
    segments = [
        {"N": a[0], field: a[1], "N2": b[0], f"{field}2": b[1], "loss": height}
        for height in heights
        for a, b in _contour(np.log(x), y if over_bits else np.log(y), surface, height, log_y=not over_bits)
    ]
    if not segments:
        raise ValueError("the loss is the same over the whole plane: nothing to draw")
    vertical = (
        alt.Y("bits:Q", title=title, scale=alt.Scale(domain=list(y_range), nice=False)).axis(format="~g", tickMinStep=1)
        if over_bits
        else alt.Y("D:Q", title=title, scale=alt.Scale(type="log", domain=list(y_range), nice=False)).axis(format="~s")
    )
    horizontal = log_axis("N", "N, parameters").scale(type="log", domain=list(n_range), nice=False)
    color = alt.Color("loss:Q", title="loss [nats/token]", scale=alt.Scale(range=list(_RAMP))).legend(
        gradientLength=200, orient="top", direction="horizontal"
    )
    lines = (
        alt.Chart(values(segments))
        .mark_rule(strokeWidth=1.8, strokeCap="round")
        .encode(x=horizontal, x2="N2:Q", y=vertical, y2=f"{field}2:Q", color=color, tooltip=["loss:Q"])
    )
    labels = (
        alt.Chart(values(_labels(segments, field)))
        .mark_text(style="ink", fontSize=11, align="left", dx=4, dy=-6)
        .encode(x=horizontal, y=vertical, text=alt.Text("loss:Q", format=".4~g"))
    )
    layers, seen = [lines, labels], ""
    if table is not None:
        rows, seen = _observed(table, part if over_bits else None, n_range, y_range, field)
        points = alt.Chart(values(rows)).mark_point(color=GRAY, size=30)
        tips = [alt.Tooltip(f"{name}:{'N' if name == 'width' else 'Q'}") for name in rows[0] if name != "bits"]
        layers.append(points.encode(x=horizontal, y=vertical, tooltip=tips))
    finite = surface[np.isfinite(surface)]
    fixed: Any = D if over_bits else bits
    where = f"D = {si(float(fixed))} tokens" if over_bits else _width_text(fixed, part)
    text = (
        f"Lines of equal predicted loss over N ({si(n_range[0])} to {si(n_range[1])} parameters) and {title}, at"
        f" {where}. The loss runs from {finite.min():.4g} to {finite.max():.4g} nats per token.{seen}"
    )
    reading = "Line: settings of one predicted loss, its number beside it" + (
        "; gray: runs." if table is not None else "."
    )
    return finish(alt.layer(*layers).properties(width=WIDTH, height=360), text, reading=reading)


def _ranges(law: Law, N: Ends, D: Ends, bits: Ends, part: str) -> tuple[bool, tuple[float, float], tuple[float, float]]:
    if part not in _PARTS:
        raise ValueError(f"part must be one of {', '.join(_PARTS)}, got {part!r}")
    if law.base is None or law.free:
        missing = f"values for {', '.join(law.free)}" if law.free else "a base"
        raise ValueError(f"lines of equal loss need a law with {missing}")
    over_bits = np.ndim(bits) == 1
    if over_bits == (np.ndim(D) == 1):
        raise ValueError(f"give a range (low, high) for exactly one of D and bits, got D={D!r} and bits={bits!r}")
    ranges: dict[str, Any] = {"N": N, "bits" if over_bits else "D": bits if over_bits else D}
    for name, ends in ranges.items():
        if np.ndim(ends) != 1 or len(ends) != 2 or not 0 < ends[0] < ends[1] < math.inf:
            raise ValueError(f"{name} must be (low, high) with 0 < low < high, got {ends!r}")
    first, second = ((float(low), float(high)) for low, high in ranges.values())
    return over_bits, first, second


def _width_text(bits: float, part: str) -> str:
    return "full precision" if math.isinf(bits) else f"{bits:g} {_TITLE[part]}"


def _round_levels(surface: np.ndarray, count: int) -> list[float]:
    """Round values of the loss that cross the plane, closer where the loss is flat."""
    finite = surface[np.isfinite(surface)]
    wanted = np.quantile(finite, np.linspace(0.03, 0.97, max(2, count)))
    found: dict[float, None] = {}
    for value, gap in zip(wanted, np.gradient(wanted), strict=True):
        step = 10.0 ** math.floor(math.log10(max(abs(gap), 1e-9)))
        found[float(f"{round(value / step) * step:.10g}")] = None
    return sorted(level for level in found if finite.min() < level < finite.max())


Point = tuple[float, float]


def _contour(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, level: float, *, log_y: bool
) -> Iterator[tuple[Point, Point]]:
    """Segments of the line z = level in each triangle of the grid, z linear between its corners."""
    above = z - level
    for i in range(len(y) - 1):
        for j in range(len(x) - 1):
            corners = [(x[j], y[i], above[i, j]), (x[j + 1], y[i], above[i, j + 1])]
            corners += [(x[j + 1], y[i + 1], above[i + 1, j + 1]), (x[j], y[i + 1], above[i + 1, j])]
            if not all(math.isfinite(c[2]) for c in corners) or len({c[2] > 0 for c in corners}) == 1:
                continue
            for triangle in ((corners[0], corners[1], corners[2]), (corners[0], corners[2], corners[3])):
                ends = [_between(a, b) for a, b in _edges(triangle) if (a[2] > 0) != (b[2] > 0)]
                if len(ends) == 2:
                    first, second = ((math.exp(u), math.exp(v) if log_y else v) for u, v in ends)
                    yield first, second


def _edges(corners: Sequence[Corner]) -> list[tuple[Corner, Corner]]:
    return [(corners[k], corners[(k + 1) % 3]) for k in range(3)]


def _between(a: Corner, b: Corner) -> Point:
    share = a[2] / (a[2] - b[2])
    return float(a[0] + share * (b[0] - a[0])), float(a[1] + share * (b[1] - a[1]))


def _labels(segments: Sequence[dict[str, float]], field: str) -> list[dict[str, float]]:
    """Where each line gets its value: a third of the way along, so that neighbors do not meet at the border."""
    found = []
    levels = sorted({s["loss"] for s in segments})
    for level in levels:
        ordered = sorted((s for s in segments if s["loss"] == level), key=lambda s: s["N"])
        middle = ordered[len(ordered) // 2]
        found.append({"N": middle["N"], field: middle[field], "loss": level})
    return found


def _observed(
    table: Frame, part: str | None, n_range: Point, y_range: Point, field: str
) -> tuple[list[dict[str, Any]], str]:
    columns = ["N", "D", "loss", *(_PARTS[part] if part else ())]
    if missing := [name for name in columns if name not in table.columns]:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    rows, outside = [], 0
    for record in table[columns].to_dict("records"):
        width = min((record[name] for name in _PARTS[part]), default=math.inf) if part else math.inf
        row = {"N": record["N"], "D": record["D"], "loss": record["loss"]}
        if part:
            row |= {"bits": min(width, y_range[1]), "width": "full" if math.isinf(width) else f"{width:g}"}
        inside = n_range[0] <= row["N"] <= n_range[1] and y_range[0] <= row[field] <= y_range[1]
        if inside and math.isfinite(row["loss"]):
            rows.append(row)
        else:
            outside += 1
    if not rows:
        raise ValueError(f"none of the {outside} rows of the table lies in this plane with a finite loss")
    lost = f" {outside} rows lie outside or have no finite loss." if outside else ""
    if part and any(row["bits"] == y_range[1] for row in rows):
        lost += f" Runs at {y_range[1]:g} bits or more, unquantized ones too, stand at the upper end."
    return rows, f" {len(rows)} runs are drawn as points.{lost}"
