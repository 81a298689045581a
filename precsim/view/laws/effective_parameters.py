"""What low precision in training leaves of a model's parameters, f(P) = N_eff/N, with its band and the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from precsim.laws.optima import implied_factor
from precsim.view.theme import GRAY, HUES, WIDTH, Frame, finish, values

if TYPE_CHECKING:
    from precsim.fitting.uncertainty import Draws
    from precsim.laws import Law

_SIDE = 0.09  # bits between the columns of points of two parts, which would hide each other
_NAMES = {"weights": "weights", "activations": "activations", "kv": "KV cache"}


def effective_parameters(
    law: Law,
    table: Frame | None = None,
    *,
    draws: Draws | None = None,
    level: float = 0.95,
    parts: Sequence[str] = ("weights", "activations", "kv"),
    bits: tuple[float, float] = (2.0, 12.0),
    N: float = 1e8,
    D: float = 1e10,
) -> alt.LayerChart:
    """Draw f(P) = N_eff/N against the bits of each part alone, with a bootstrap band and what each run implies.

    Parameters
    ----------
    law : Law
        With factors and numbers for all parameters.
    table : DataFrame, optional
        Runs with N, D, loss and the columns of `parts`. A run with one of them quantized is drawn at the share
        of parameters with which the law's base gives the run's loss, base(f N, D) = loss
        (`precsim.laws.optima.implied_factor`); runs quantized in several parts or after training say nothing of
        one part, and unquantized ones stand at no width: their number is in the description.
    draws : Draws, optional
        Bootstrap draws of the law, for the band.
    level : float
        Of the band.
    parts : sequence of str
        Some of weights, activations, kv; those without a factor in the law are left out.
    bits : (float, float)
        Range of widths.
    N, D : float
        Where a factor that drifts with N and D is drawn; the others do not depend on them.

    Raises
    ------
    ValueError
        If the law has no factor of these parts, or a range or level is wrong.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> chart = effective_parameters(KUMAR_2024)
    >>> chart.description[:39]
    'Share of parameters that training at lo'
    """
    if not 0 < bits[0] < bits[1] < math.inf:
        raise ValueError(f"bits must be (low, high) with 0 < low < high, got {bits}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if unknown := [part for part in parts if part not in _NAMES]:
        raise ValueError(f"parts are {', '.join(_NAMES)}; got {', '.join(map(str, unknown))}")
    widths = np.linspace(*bits, 101)
    lines: list[dict[str, Any]] = []
    for part in parts:
        share = _share(law, part, widths, N, D)
        if np.all(share == 1.0):
            continue
        band = _band(draws, part, widths, level, N, D) if draws is not None else None
        for k, P in enumerate(widths.tolist()):
            if math.isfinite(share[k]) and share[k] > 0:
                low, high = (float(share[k]),) * 2 if band is None else (float(band[0][k]), float(band[1][k]))
                lines.append({"part": _NAMES[part], "bits": P, "f": float(share[k]), "low": low, "high": high})
    if not lines:
        raise ValueError(f"{law.label} has no factor of {', '.join(parts)}: low precision leaves all parameters")
    drawn = list(dict.fromkeys(line["part"] for line in lines))
    points, seen = _implied(law, table, parts, drawn, bits) if table is not None else ([], "")
    top = max([1.0, *(p["f"] for p in points if p["f"] <= 1.3)]) * 1.02
    x_scale = alt.Scale(domain=list(bits), nice=False)
    x = alt.X("bits:Q", title="P [bits]", scale=x_scale)
    x = x.axis(format="~g", tickMinStep=1)
    vertical: dict[str, Any] = {"title": "f = N_eff / N", "scale": alt.Scale(domain=[0, top], nice=False, clamp=True)}
    y = alt.Y("f:Q", **vertical)
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(
            domain=drawn,
            range=list(HUES[: len(drawn)]),
        ),
        legend=alt.Legend(symbolOpacity=1),
    )
    base = alt.Chart(values(lines)).encode(x=x, color=color)
    layers: list[Any] = [_whole(x, y)]
    if draws is not None:
        layers.append(base.mark_area(opacity=0.25, clip=True).encode(y=alt.Y("low:Q", **vertical), y2="high:Q"))
    tips = [alt.Tooltip("part:N"), alt.Tooltip("bits:Q", format=".2~f"), alt.Tooltip("f:Q", format=".3f")]
    layers.append(base.mark_line(clip=True).encode(y=y, tooltip=tips))
    if points:
        marks = alt.Chart(values(points)).mark_point(clip=True, size=30, opacity=0.6)
        layers.append(
            marks.encode(
                x=alt.X("place:Q", scale=x_scale, title="P [bits]"),
                y=y,
                color=color,
                tooltip=[f"{n}:{'N' if n == 'part' else 'Q'}" for n in points[0] if n != "place"],
            )
        )
    at = {part: _at(lines, part, 4.0) for part in drawn}
    four = ", ".join(f"{f:.2f} for {part}" for part, f in at.items() if f is not None)
    method = "" if draws is None else f" Bands are {level:.0%} bootstrap percentile intervals from {len(draws)} draws."
    text = (
        f"Share of parameters that training at low precision leaves, f = N_eff/N, against bits, for {', '.join(drawn)}."
        f"{f' At 4 bits it is {four}.' if four else ''}{method}{seen}"
    )
    reading = (
        "Line: the fitted factor; "
        + ("" if draws is None else f"band: its {level:.0%} bootstrap interval; ")
        + "point: what one run implies; 1: all parameters count."
    )
    return finish(alt.layer(*layers).properties(width=WIDTH, height=300), text, reading=reading)


def _share(law: Law, part: str, widths: np.ndarray, N: float, D: float) -> np.ndarray:
    """f at each width, 1 where the law says nothing of the part, NaN where its form has no value."""
    with np.errstate(all="ignore"):
        found = law.n_eff(N, D, **{part: widths})
    return np.broadcast_to(np.asarray(found, dtype=float) / N, widths.shape)


def _band(
    draws: Draws, part: str, widths: np.ndarray, level: float, N: float, D: float
) -> tuple[np.ndarray, np.ndarray]:
    column = draws.form.replace(**{name: value[:, None] for name, value in draws.values.items()})
    with np.errstate(all="ignore"):
        shares = np.asarray(column.n_eff(N, D, **{part: widths}), dtype=float) / N
    shares = np.where(np.isfinite(shares), shares, 0.0)  # a form without a value there leaves no parameters
    low, high = np.quantile(
        np.broadcast_to(shares, (len(draws), len(widths))), [(1 - level) / 2, (1 + level) / 2], axis=0
    )
    return low, high


def _implied(
    law: Law, table: Frame, parts: Sequence[str], drawn: Sequence[str], bits: tuple[float, float]
) -> tuple[list[dict[str, Any]], str]:
    have = [name for name in ("weights", "activations", "kv", "post") if name in table.columns]
    if missing := [name for name in ("N", "D", "loss") if name not in table.columns]:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    shares = np.atleast_1d(implied_factor(law, *(table[name].to_numpy(dtype=float) for name in ("N", "D", "loss"))))
    points, single, lost = [], 0, 0
    for record, share in zip(table[["N", "D", "loss", *have]].to_dict("records"), shares.tolist(), strict=True):
        low = [name for name in have if math.isfinite(record[name])]
        if len(low) != 1 or low[0] not in parts or _NAMES[low[0]] not in drawn:
            continue
        single += 1
        width = record[low[0]]
        if not math.isfinite(share) or not bits[0] <= width <= bits[1] or share > 1.3:
            lost += 1
            continue
        where = {"N": record["N"], "D": record["D"], "loss": record["loss"]}
        shift = _SIDE * (drawn.index(_NAMES[low[0]]) - (len(drawn) - 1) / 2)
        points.append({"part": _NAMES[low[0]], "bits": float(width), "place": width + shift, "f": share, **where})
    if not single:
        raise ValueError(f"no run of the table has exactly one of {', '.join(parts)} quantized")
    beyond = f" {lost} of these imply no share on the chart." if lost else ""
    rest = len(table) - single
    others = f" {rest} rows with nothing or several parts quantized are not drawn." if rest else ""
    return points, f" {len(points)} runs are drawn at the share that their loss implies.{beyond}{others}"


def _whole(x: alt.X, y: alt.Y) -> alt.Chart:
    return alt.Chart(values([{"f": 1.0}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(y=y)


def _at(lines: Sequence[dict[str, Any]], part: str, width: float) -> float | None:
    near = [line for line in lines if line["part"] == part and abs(line["bits"] - width) < 0.06]
    return min(near, key=lambda line: abs(line["bits"] - width))["f"] if near else None
