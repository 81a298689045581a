"""Rounding modes side by side, and what few random bits do to stochastic rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from precsim.numerics.formats import INT4, Format
from precsim.numerics.rounding import GivenBits, Rounding, round_to
from precsim.view.theme import GRAY, HUES, NORMAL, WIDTH, finish, values

_VARIANTS = {"A": Rounding.STOCHASTIC_A, "B": Rounding.STOCHASTIC_B, "C": Rounding.STOCHASTIC_C}


def mode_slider(fmt: Format, *modes: Rounding, span: tuple[float, float]) -> alt.LayerChart:
    """Draw one row of ticks for each rounding mode and a number to move; thick ticks are where it lands.

    Parameters
    ----------
    fmt : Format
        Of at most 16 bits, with few values in the span.
    *modes : Rounding
        Deterministic ones, a row each from the top.
    span : (float, float)
        Part of the line to show, within the finite range of the format.

    Raises
    ------
    ValueError
        There is no mode or a stochastic one, or the span leaves the format's range or holds no value.

    Notes
    -----
    What rounds to each value is found with `precsim.round_to` at the quarter points of each interval between
    neighbors, so the picture cannot disagree with the package.

    Examples
    --------
    >>> import precsim as ps
    >>> chart = mode_slider(ps.FP4_E2M1, ps.Rounding.NEAREST_EVEN, ps.Rounding.UP, span=(-4, 4))
    >>> chart.description
    'A slider moves a number from -4 to 4 among the values of FP4_E2M1; it lands by nearest-even and up.'
    """
    low, high = map(float, span)
    if not modes or any(mode.is_stochastic for mode in modes):
        raise ValueError(f"mode_slider takes deterministic rounding modes, one or more; received {modes}")
    if not fmt.minimum <= low < high <= fmt.maximum:
        raise ValueError(f"span must lie between {fmt.minimum:g} and {fmt.maximum:g}, low < high; received {span}")
    grid = fmt.values()
    first, last = np.searchsorted(grid, low, "right") - 1, np.searchsorted(grid, high, "left")
    shown = grid[first : last + 1]
    if not 2 <= shown.size <= 200:
        raise ValueError(f"{fmt.name} has {shown.size} values in {span}; 2 to 200 can be told apart")
    step = (high - low) / 400
    number = alt.param(
        name="number",
        value=round(low + 264 * step, 10),
        bind=alt.binding_range(min=low, max=high, step=step, name="number x"),
    )
    names = [_named(mode) for mode in modes]
    y = alt.Y("mode:N", title=None, sort=names, axis=alt.Axis(ticks=False, domain=False))
    x = alt.X("value:Q", title=f"value, and the values of {fmt.name}").scale(domain=[low, high], nice=False, zero=False)
    inside = [float(v) for v in shown if low <= v <= high]
    ticks = alt.Chart(values({"mode": name, "value": v} for name in names for v in inside))
    cells = alt.Chart(values(c for mode in modes for c in _cells(fmt, mode, shown)))
    hit = cells.transform_filter(
        "(datum.low < number && number < datum.high) || (number == datum.low && datum.low_in)"
        " || (number == datum.high && datum.high_in)"
    ).transform_calculate(label="'→ ' + format(datum.value, '.5~g')", edge=str(high))
    here = alt.Chart(values([{}])).transform_calculate(value="number")
    chart = alt.layer(
        here.mark_rule(style="faint", strokeWidth=1.5, strokeDash=[3, 3]).encode(x=x),
        ticks.mark_tick(thickness=1.6, size=18, color=NORMAL, opacity=1).encode(x=x, y=y),
        hit.mark_tick(thickness=5, size=30, color=HUES[3], opacity=1).encode(x=x, y=y, tooltip=["mode:N", "value:Q"]),
        hit.mark_text(style="ink", align="right", dy=22, fontSize=12).encode(
            x=alt.X("edge:Q").scale(domain=[low, high], nice=False, zero=False), y=y, text="label:N"
        ),
    ).add_params(number)
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    text = f"A slider moves a number from {low:g} to {high:g} among the values of {fmt.name}; it lands by {listed}."
    reading = "Thin ticks: values of the format; dashed: the number; thick tick: where this mode takes it."
    return finish(chart.properties(width=WIDTH, height=56 * len(modes)), text, reading=reading)


def _named(mode: Rounding) -> str:
    return mode.name.lower().replace("_", "-")


def _cells(fmt: Format, mode: Rounding, grid: NDArray) -> list[dict[str, Any]]:
    """For each value of the grid the numbers between its neighbors that round to it, with the ends' ownership."""
    a, b = grid[:-1], grid[1:]
    at = [round_to(a + (b - a) * part, fmt, mode, saturate=True) for part in (0.25, 0.5, 0.75)]
    owns_all_below, owns_all_above = at[2] == a, at[0] == b  # the open interval goes to one neighbor
    edge = np.where(owns_all_below, b, np.where(owns_all_above, a, (a + b) / 2))
    to_upper = np.where(owns_all_below, True, np.where(owns_all_above, False, at[1] == b))
    low, high = np.concatenate([[grid[0]], edge]), np.concatenate([edge, [grid[-1]]])
    low_in, high_in = np.concatenate([[True], to_upper]), np.concatenate([~to_upper, [True]])
    columns = zip(grid.tolist(), low.tolist(), high.tolist(), low_in.tolist(), high_in.tolist(), strict=True)
    keys = ("value", "low", "high", "low_in", "high_in")
    return [{"mode": _named(mode), **dict(zip(keys, row, strict=True))} for row in columns]


def stochastic_bias(*, bits: Sequence[int] = (1, 2, 3, 4, 5), steps: int = 48) -> alt.VConcatChart:
    """Draw how far the mean of stochastic rounding lies from the number, for variants A, B, C and N random bits.

    Parameters
    ----------
    bits : sequence of int
        N, the choices of the slider; consecutive, 1 to 10.
    steps : int
        Number of places in the interval between two neighbors; a multiple of 3, so that not all of them
        are multiples of a power of two.

    Notes
    -----
    Every point is a mean over all 2**N values of the random integer (`precsim.GivenBits`), so nothing is sampled.
    The interval from 1 to 2 of the integers stands for all: bias is given in units of the interval.

    Examples
    --------
    >>> [param.name for param in stochastic_bias(bits=(1, 2), steps=6).params]
    ['N']
    """
    if not bits or list(bits) != list(range(min(bits), min(bits) + len(bits))) or min(bits) < 1 or max(bits) > 10:
        raise ValueError(f"bits must be consecutive numbers from 1 to 10; received {tuple(bits)}")
    if steps < 3 or steps % 3:
        raise ValueError(f"steps must be a multiple of 3; received {steps}")
    fraction = np.arange(steps + 1) / steps
    rows = []
    for N in bits:
        given = GivenBits(np.tile(np.arange(2**N), (steps + 1, 1)), N)
        for name, mode in _VARIANTS.items():
            mean = round_to(np.repeat(1 + fraction[:, None], 2**N, 1), INT4, mode, noise=given).mean(axis=1) - 1
            rows += [
                {"N": N, "variant": name, "fraction": f, "mean": m}
                for f, m in zip(fraction.tolist(), mean.tolist(), strict=True)
            ]
    middle = bits[len(bits) // 3]
    slider = alt.param(
        name="N",
        value=middle,
        bind=alt.binding_range(min=min(bits), max=max(bits), step=1, name="random bits N"),
    )
    base = alt.Chart(values(rows)).transform_filter("datum.N == N")
    base = base.transform_calculate(bias="datum.mean - datum.fraction")
    color = alt.Color("variant:N", title="variant").scale(domain=list(_VARIANTS), range=list(HUES[:3]))
    shape = alt.Shape("variant:N", title="variant").scale(
        domain=list(_VARIANTS), range=["circle", "square", "triangle-up"]
    )
    x = alt.X("fraction:Q", title="ν, fraction of the interval [1]").scale(domain=[0, 1])
    tip = ["variant:N", *(alt.Tooltip(f"{v}:Q", format=".4~f") for v in ("fraction", "mean", "bias"))]
    diagonal = alt.Chart(values({"fraction": v, "mean": v} for v in (0, 1)))
    top = alt.layer(
        diagonal.mark_line(color=GRAY, strokeDash=[5, 4]).encode(x=x, y="mean:Q"),
        base.mark_point(size=34, filled=False, opacity=1).encode(
            x=x, y=alt.Y("mean:Q", title="probability of up [1]"), color=color, shape=shape, tooltip=tip
        ),
    ).properties(width=WIDTH, height=200)
    zero = alt.Chart(values([{"zero": 0.0}])).mark_rule(color=GRAY, strokeDash=[5, 4]).encode(y="zero:Q")
    below = alt.layer(
        zero,
        base.mark_line(strokeWidth=1, opacity=0.5).encode(x=x, y="bias:Q", color=color),
        base.mark_point(size=34, filled=False, opacity=1).encode(
            x=x, y=alt.Y("bias:Q", title="bias [intervals]"), color=color, shape=shape, tooltip=tip
        ),
    ).properties(width=WIDTH, height=160)
    worst = {
        v: max(abs(r["mean"] - r["fraction"]) for r in rows if r["variant"] == v and r["N"] == middle)
        for v in _VARIANTS
    }
    text = (
        "Probability of rounding up, and its bias, against the fraction of the interval; a slider sets the number of"
        f" random bits. With {middle}: largest bias " + ", ".join(f"{b:.3g} for {v}" for v, b in worst.items()) + "."
    )
    reading = (
        "Above, mark: probability of rounding up, from all random numbers; dashed: no bias. Below: mean"
        " result minus number; the slider sets the random bits."
    )
    return finish(alt.vconcat(top, below, spacing=8).add_params(slider), text, reading=reading)
