"""Tables of runs as charts: loss against bits, damage against tokens, and a law's prediction against what was seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from precsim.view.theme import GRAY, WIDTH, Frame, bits_label, bits_scale, finish, log_axis, si, values

if TYPE_CHECKING:
    from precsim.laws import Law

BITS_COLUMNS = ("weights", "activations", "kv", "post")
Row = Mapping[str, Any]


def loss_against_bits(table: Frame, *, bits: str = "weights", gap: bool = False) -> alt.LayerChart:
    """Draw the loss of every run against the bits of one tensor; lines join the means over seeds.

    Parameters
    ----------
    table : DataFrame
        Runs with columns N [parameters], D [tokens], loss [nats/token] and the one named in `bits`.
    bits : str
        Column on the horizontal axis: weights, activations, kv, or post (bits after training); inf is "full".
    gap : bool
        True names the vertical axis "gap", for a table of `precsim.runs.tables.excess`.

    Raises
    ------
    ValueError
        A column is missing, or no run has a finite loss.
    """
    rows, dropped = _rows(table, ("N", "D", "loss", bits), finite=("loss",))
    order = [bits_label(b) for b in sorted({row[bits] for row in rows})]
    drawn = [{**_tidy(row), "width": bits_label(row[bits]), "tokens": si(row["D"])} for row in rows]
    sizes = sorted({row["N"] for row in rows})
    tokens = [si(d) for d in sorted({row["D"] for row in rows})]
    base = alt.Chart(values(drawn)).encode(
        x=alt.X("width:O", title=f"{_AXIS.get(bits, bits)} [bits]", sort=order, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("loss:Q", title=f"{_NAME[gap]} [nats/token]").scale(zero=False),
        color=alt.Color("tokens:N", title="D [tokens]", sort=tokens).scale(domain=tokens),
    )
    shape = _shape(sizes)
    chart = alt.layer(
        base.mark_line().encode(y="mean(loss):Q", detail="N:Q"),
        base.mark_point().encode(tooltip=_tips(drawn[0]), **shape),
    )
    least = min(rows, key=lambda row: row["loss"])
    text = (
        f"{_NAME[gap].capitalize()} of {len(rows)} evaluations against the bits of {_AXIS.get(bits, bits)},"
        f" {_range(rows, 'N', 'parameters')}, {_range(rows, 'D', 'tokens')}."
        f" The least, {least['loss']:.4g} nats per token, is at"
        f" {bits_label(least[bits])} bits.{dropped}"
    )
    reading = (
        "Point: one run; line: mean of runs that differ in seed and language alone; color: tokens D. Where"
        " sizes differ, the mark's shape tells them apart."
    )
    return finish(chart.properties(width=WIDTH, height=300), text, reading=reading)


def delta_against_tokens(table: Frame, law: Law | None = None) -> alt.LayerChart:
    """Draw δ, the loss added by quantizing after training, against training tokens, colored by bits.

    Parameters
    ----------
    table : DataFrame
        Evaluations with columns N, D, post [bits], delta [nats/token]; rows as trained (post = inf) are left out.
    law : Law, optional
        Drawn as lines, ``law.delta(N, D, post=...)``; without it lines join the means over seeds.

    Notes
    -----
    The vertical axis is logarithmic if every δ is positive. Otherwise it is linear up to the least positive δ and
    logarithmic beyond it, so that evaluations which quantizing happened to improve are drawn too.
    """
    every, dropped = _rows(table, ("N", "D", "post", "delta"), finite=("delta",))
    rows = [row for row in every if math.isfinite(row["post"])]
    if not rows:
        raise ValueError("the table has no evaluation with finite bits in column post: nothing was quantized")
    curve = None if law is None else lambda N, D, post: law.delta(N, D, post=post)
    chart = _against_tokens(
        rows, "delta", "δ, loss added by quantizing [nats/token]", curve, **_wide_axis([row["delta"] for row in rows])
    )
    rising = _steps(rows)
    text = (
        f"Loss added by quantizing after training against training tokens: {len(rows)} evaluations at"
        f" {_widths(rows)} bits, {_range(rows, 'N', 'parameters')}, {_range(rows, 'D', 'tokens')}. It rises with"
        f" tokens in {rising[0]} of {rising[1]} steps from one D to the next.{dropped}"
    )
    reading = f"Point: one run, rounded after training; {_drawn(rows, law)}."
    return finish(chart, text, reading=reading)


def loss_against_tokens(table: Frame, law: Law | None = None, *, gap: bool = False) -> alt.LayerChart:
    """Draw the loss after quantizing against training tokens: where a curve turns up, more data hurts.

    Parameters
    ----------
    table : DataFrame
        Evaluations with columns N, D, post [bits; inf: as trained] and loss [nats/token].
    law : Law, optional
        Drawn as lines, ``law(N, D, post=...)``; without it lines join the means over seeds.
    gap : bool
        True names the vertical axis "gap", for a table of `precsim.runs.tables.excess`.

    Notes
    -----
    A diamond marks the least mean of a curve that turns up before its last D.
    """
    rows, dropped = _rows(table, ("N", "D", "post", "loss"), finite=("loss",))
    curve = None if law is None else lambda N, D, post: law(N, D, post=post)
    chart = _against_tokens(
        rows, "loss", f"{_NAME[gap]} after quantizing [nats/token]", curve, scale=alt.Scale(zero=False)
    )
    turns = _turns(rows)
    if turns:
        mark = alt.Chart(values({"N": n, "post": bits_label(p), "D": d, "loss": v} for n, p, d, v in turns))
        mark = mark.mark_point(shape="diamond", size=240, filled=False, strokeWidth=2.5, opacity=1)
        chart = alt.layer(
            chart, mark.encode(x="D:Q", y="loss:Q", color="post:N", tooltip=["N:Q", "D:Q", "post:N", "loss:Q"])
        )
    found = "; ".join(f"at {bits_label(p)} bits and {si(n)} parameters beyond {si(d)} tokens" for n, p, d, _ in turns)
    text = (
        f"{_NAME[gap].capitalize()} after quantizing against training tokens: {len(rows)} evaluations"
        f" at {_widths(rows)} bits, {_range(rows, 'N', 'parameters')}."
        f" More data hurts {found or 'nowhere in this table'}.{dropped}"
    )
    turn = "; diamond: the least mean of a curve that turns up" if turns else ""
    reading = f"Point: one run, as trained or rounded afterwards; {_drawn(rows, law)}{turn}."
    return finish(chart.properties(width=WIDTH, height=320), text, reading=reading)


def predicted_against_observed(law: Law, table: Frame, *, column: str = "loss") -> alt.VConcatChart:
    """Draw what a law predicts against what was observed, and the residuals below.

    Parameters
    ----------
    law : Law
        With numbers for all its parameters.
    table : DataFrame
        Runs with columns N, D, the observed column, and those of weights, activations, kv, post that the law reads.
    column : str
        "loss", predicted by ``law(...)``, or "delta", predicted by ``law.delta(...)``.

    Raises
    ------
    ValueError
        The column is neither, is missing, or the law gives no finite number for a row.
    """
    predict = {"loss": law, "delta": law.delta}.get(column)
    if predict is None:
        raise ValueError(f"column must be 'loss' or 'delta', got {column!r}")
    bits = tuple(name for name in BITS_COLUMNS if name in table.columns)
    every, dropped = _rows(table, ("N", "D", column, *bits), finite=(column,))
    rows = [row for row in every if column == "loss" or math.isfinite(row.get("post", math.inf))]
    columns = {name: np.array([row[name] for row in rows]) for name in ("N", "D", *bits)}
    expected = np.broadcast_to(np.asarray(predict(**columns), dtype=float), len(rows))
    drawn = [
        {**_tidy(row), "observed": row[column], "predicted": p, "residual": row[column] - p, "width": _least(row, bits)}
        for row, p in zip(rows, expected.tolist(), strict=True)
    ]
    widths = sorted({min((row[b] for b in bits), default=math.inf) for row in rows})
    data = values(drawn)
    title = {"loss": "loss", "delta": "δ"}[column]
    both = [r[name] for r in drawn for name in ("observed", "predicted")]
    low, high = min(both), max(both)
    axes: dict[str, Any] = _wide_axis(both) if column == "delta" else {"scale": alt.Scale(zero=False)}
    axes["scale"].domain = [low, high]  # the same for both views and both axes, so that the diagonal is one
    x = alt.X("predicted:Q", title=f"predicted {title} [nats/token]", **axes)
    color = alt.Color("width:N", title="fewest bits", sort=None, scale=bits_scale(widths))
    points = alt.Chart(data).encode(x=x, color=color, tooltip=_tips(drawn[0]))
    ends = alt.Chart(values([{"predicted": v, "observed": v} for v in (low, high)]))
    top = alt.layer(
        ends.mark_line(color=GRAY, strokeDash=[5, 4]).encode(x=x, y="observed:Q"),
        points.mark_point().encode(y=alt.Y("observed:Q", title=f"observed {title} [nats/token]", **axes)),
    ).properties(width=WIDTH, height=280)
    zero = alt.Chart(values([{"zero": 0.0}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(y="zero:Q")
    below = alt.layer(
        zero, points.mark_point().encode(y=alt.Y("residual:Q", title="residual", axis=alt.Axis(tickCount=4)))
    ).properties(width=WIDTH, height=110)
    residual = np.array([r["residual"] for r in drawn])
    seen = np.array([r["observed"] for r in drawn])
    explained = 1 - float(np.sum(residual**2) / np.sum((seen - seen.mean()) ** 2)) if np.ptp(seen) > 0 else math.nan
    text = (
        f"Observed {column} against what the law predicts, {len(drawn)} points, with residuals below: root mean square"
        f" {float(np.sqrt(np.mean(residual**2))):.3g} nats per token, R² {explained:.3f}.{dropped}"
    )
    reading = (
        "Point: one evaluation; dashed: where prediction and observation are equal; color: the fewest bits of"
        " any part. Below: observed minus predicted."
    )
    return finish(alt.vconcat(top, below), text, reading=reading)


def _drawn(rows: Sequence[Row], law: Law | None) -> str:
    """How lines, colors and marks of a chart against tokens are read."""
    line = "line: mean over seeds and languages" if law is None else "line: the law"
    sizes = "; shape and dashes: size N" if len({row["N"] for row in rows}) > 1 else ""
    return f"{line}; color: bits{sizes}"


_NAME = {False: "loss", True: "gap"}
_AXIS = {"weights": "weights", "activations": "activations", "kv": "KV cache", "post": "weights after training"}


def _rows(table: Frame, columns: Sequence[str], *, finite: Sequence[str]) -> tuple[list[Row], str]:
    """The rows to draw as dictionaries, and a sentence on those that cannot be drawn."""
    if missing := [name for name in dict.fromkeys(columns) if name not in table.columns]:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    extra = [name for name in ("seed", "job") if name in table.columns]
    records = table[list(dict.fromkeys([*columns, *extra]))].to_dict("records")
    rows = [row for row in records if all(math.isfinite(row[name]) for name in finite)]
    if not rows:
        raise ValueError(f"no row has a finite {' and '.join(finite)}; the table has {len(records)} rows")
    lost = len(records) - len(rows)
    return rows, f" {lost} rows without a finite {' and '.join(finite)} (diverged runs) are not drawn." if lost else ""


def _tidy(row: Row) -> dict[str, Any]:
    """The row with bits as names, because JSON has no infinity."""
    return {name: bits_label(value) if name in BITS_COLUMNS else value for name, value in row.items()}


def _tips(row: Row) -> list[alt.Tooltip]:
    numeric = {name for name, value in row.items() if isinstance(value, float | int) and name not in {"seed"}}
    return [alt.Tooltip(f"{n}:Q", format=".5~g") if n in numeric else alt.Tooltip(f"{n}:N") for n in row if n != "job"]


def _shape(sizes: Sequence[float]) -> dict[str, Any]:
    if len(sizes) < 2:
        return {}
    return {"shape": alt.Shape("N:N", title="N [parameters]", legend=alt.Legend(format=".3~s"))}


def _against_tokens(
    rows: Sequence[Row], column: str, title: str, curve: Callable[..., Any] | None, **height: Any
) -> Any:
    color = alt.Color("post:N", title="bits", sort=None, scale=bits_scale(row["post"] for row in rows))
    drawn = [_tidy(row) for row in rows]
    y = alt.Y(f"{column}:Q", title=title, **height)
    place: dict[str, Any] = {"x": log_axis("D", "D, training tokens"), "y": y, "color": color}
    base = alt.Chart(values(drawn))
    line: dict[str, Any] = {"strokeDash": alt.StrokeDash("N:N", title="N [parameters]", legend=None)}
    if curve is None:
        lines = base.mark_line().encode(**{**place, "y": alt.Y(f"mean({column}):Q", title=title, **height)}, **line)
    else:
        lines = alt.Chart(values(_curve(rows, column, curve))).mark_line().encode(**place, **line)
    points = base.mark_point().encode(**place, tooltip=_tips(drawn[0]), **_shape(sorted({row["N"] for row in rows})))
    return alt.layer(lines, points).properties(width=WIDTH, height=320)


def _curve(rows: Sequence[Row], column: str, curve: Callable[..., Any]) -> Iterable[Row]:
    tokens = [row["D"] for row in rows]
    grid = np.geomspace(min(tokens), max(tokens), 60)
    for N, post in sorted({(row["N"], row["post"]) for row in rows}):
        heights = np.broadcast_to(np.asarray(curve(N, grid, post), dtype=float), grid.shape)
        for D, height in zip(grid.tolist(), heights.tolist(), strict=True):
            yield {"N": N, "post": bits_label(post), "D": D, column: height}


def _wide_axis(numbers: Sequence[float]) -> dict[str, Any]:
    """Scale and ticks for numbers of many sizes: logarithmic, but through zero if some are not positive."""
    sizes = [abs(number) for number in numbers if number]
    axis = alt.Axis(format="~g", labelOverlap="greedy")
    if all(number > 0 for number in numbers):
        return {"scale": alt.Scale(type="log"), "axis": axis}
    if not sizes:
        return {"scale": alt.Scale(zero=True), "axis": axis}
    linear = max(min(sizes), max(sizes) / 1e4)
    powers = [10.0**k for k in range(math.ceil(math.log10(linear)), math.floor(math.log10(max(sizes))) + 1)]
    axis = alt.Axis(format="~g", values=[0.0, *powers, *(-power for power in powers)], labelOverlap="greedy")
    return {"scale": alt.Scale(type="symlog", constant=linear, nice=False), "axis": axis}


def _means(rows: Sequence[Row], column: str) -> dict[tuple[float, float], list[tuple[float, float]]]:
    """For each (N, post): (D, mean of the column) in ascending D."""
    cells: dict[tuple[float, float], dict[float, list[float]]] = {}
    for row in rows:
        cells.setdefault((row["N"], row["post"]), {}).setdefault(row["D"], []).append(row[column])
    return {key: [(d, float(np.mean(v))) for d, v in sorted(cell.items())] for key, cell in sorted(cells.items())}


def _steps(rows: Sequence[Row]) -> tuple[int, int]:
    pairs = [pair for line in _means(rows, "delta").values() for pair in itertools.pairwise(line)]
    return sum(b[1] > a[1] for a, b in pairs), len(pairs)


def _turns(rows: Sequence[Row]) -> list[tuple[float, float, float, float]]:
    """(N, post, D, loss) of the least mean of every curve whose last D is not its best."""
    best = {key: (min(line, key=lambda point: point[1]), line[-1]) for key, line in _means(rows, "loss").items()}
    return [(*key, *least) for key, (least, last) in best.items() if least[0] < last[0]]


def _least(row: Row, bits: Sequence[str]) -> str:
    return bits_label(min((row[name] for name in bits), default=math.inf))


def _range(rows: Sequence[Row], column: str, unit: str) -> str:
    low, high = min(row[column] for row in rows), max(row[column] for row in rows)
    return f"{si(low)} {unit}" if low == high else f"{si(low)} to {si(high)} {unit}"


def _widths(rows: Sequence[Row]) -> str:
    names = [bits_label(p) for p in sorted({row["post"] for row in rows})]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
