"""Which numbers share a scale: one matrix, several groupings, and what each keeps of the small columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
from numpy.typing import ArrayLike

from precsim.numerics.formats import Format
from precsim.numerics.quantize import Quantizer, Scaling, sqnr
from precsim.view.theme import HUES, WIDTH, finish, values


def scale_groups(
    weights: ArrayLike, fmt: Format, scalings: Mapping[str, Scaling], *, spreads: Sequence[float]
) -> alt.VConcatChart:
    """Draw a matrix whose columns are of unequal size, quantized with scales of several groupings.

    Parameters
    ----------
    weights : array_like, float32, shape (inputs, outputs)
        At most 400 elements. Before quantizing, column j is multiplied by 2^(spread t_j) with t_j evenly from -1/2 to
        1/2, so that the largest column is 2^spread times the smallest.
    fmt : Format
    scalings : mapping of str to Scaling
        By name, at most eight.
    spreads : sequence of float
        Choices of the slider, evenly spaced.

    Raises
    ------
    ValueError
        The matrix has another shape or a column of zeros, or there is nothing to choose from.

    Notes
    -----
    Upper part: error of each element over the root mean square of its column. Lower part: the SQNR of each column, and
    its mean over columns as a line.

    Examples
    --------
    >>> import numpy as np, precsim as ps
    >>> w = np.random.default_rng(0).standard_normal((4, 4))
    >>> chart = scale_groups(w, ps.INT4, {"per tensor": ps.PerTensor()}, spreads=[0, 2])
    >>> [param.name for param in chart.params]
    ['spread', 'scaling']
    """
    matrix = np.asarray(weights, np.float32)
    if matrix.ndim != 2 or matrix.size > 400 or min(matrix.shape) < 2 or not np.abs(matrix).max(axis=0).all():
        raise ValueError(f"needs a matrix of 4 to 400 elements without columns of zeros; received shape {matrix.shape}")
    if not scalings or len(scalings) > len(HUES) or len(spreads) < 2:
        raise ValueError(f"needs 1 to {len(HUES)} scalings and two spreads; received {list(scalings)}, {spreads}")
    fields, curve = [], []
    for spread in spreads:
        sized = matrix * np.exp2(spread * np.linspace(-0.5, 0.5, matrix.shape[1])).astype(np.float32)
        for name, scaling in scalings.items():
            rounded = Quantizer(fmt, scaling)(sized)
            error = np.abs(rounded - sized) / np.sqrt(np.mean(sized**2, axis=0))
            fields += [
                {"spread": spread, "scaling": name, "i": i, "j": j, "error": round(float(error[i, j]), 3)}
                for i in range(error.shape[0])
                for j in range(error.shape[1])
            ]
            decibels = [float(sqnr(sized[:, j], rounded[:, j])) for j in range(sized.shape[1])]
            curve += [{"spread": spread, "scaling": name, "column": j, "sqnr": d} for j, d in enumerate(decibels)]
    names = list(scalings)
    step = spreads[1] - spreads[0]
    bind = alt.binding_range(min=min(spreads), max=max(spreads), step=step, name="log₂ of largest over smallest column")
    params = [
        alt.param(name="spread", value=spreads[len(spreads) // 2], bind=bind),
        alt.param(name="scaling", value=names[0], bind=alt.binding_radio(options=names, name="one scale ")),
    ]
    heat = alt.Color("error:Q", title="error / size of the column [1]", legend=alt.Legend(gradientLength=160))
    heat = heat.scale(domain=[0, 1], range=["#dbe9f6", "#7b6fd0", "#c8391b"], clamp=True)
    rows, columns = matrix.shape
    field = (
        alt.Chart(values(fields))
        .transform_filter("datum.spread == spread && datum.scaling == scaling")
        .mark_rect()
        .encode(
            x=alt.X("j:O", title="output, small columns to large", axis=alt.Axis(labels=False, ticks=False)),
            y=alt.Y("i:O", title="input", axis=alt.Axis(labels=False, ticks=False)),
            color=heat,
            tooltip=["j:O", "i:O", alt.Tooltip("error:Q", format=".2f")],
        )
        .properties(width=WIDTH, height=14 * rows)
    )
    color = alt.Color("scaling:N", title=None, sort=None, legend=alt.Legend(columns=2))
    color = color.scale(domain=names, range=list(HUES[: len(names)]))
    x = alt.X("spread:Q", title="log₂ of largest over smallest column").scale(nice=False, padding=10)
    label = "SQNR of a column [dB]"
    y = alt.Y("sqnr:Q", title=label)
    base = alt.Chart(values(curve))
    here = alt.Chart(values([{}])).transform_calculate(spread="spread")
    below = alt.layer(
        here.mark_rule(style="faint", strokeDash=[4, 3]).encode(x="spread:Q"),
        base.mark_point(size=14, opacity=0.45).encode(
            x=x, y=y, color=color, tooltip=["scaling:N", "column:O", "sqnr:Q"]
        ),
        base.mark_line(strokeWidth=2).encode(x=x, y=alt.Y("mean(sqnr):Q", title=label), color=color),
    ).properties(width=WIDTH, height=190)
    worst = {n: min(r["sqnr"] for r in curve if r["scaling"] == n and r["spread"] == max(spreads)) for n in names}
    words = (
        f"A matrix of {rows} inputs by {columns} outputs in {fmt.name}, its columns of unequal size by a slider,"
        f" and the error of every element for the grouping of scales that the reader chooses. With columns up to"
        f" 2^{max(spreads):g} apart the worst column keeps "
        + ", ".join(f"{value:.1f} dB {name}" for name, value in worst.items())
        + "."
    )
    reading = (
        "Above, square: one weight, redder where its error is large beside its column. Below, point: SQNR of"
        " one column; line: mean over columns; dashed: the slider's setting."
    )
    return finish(
        alt.vconcat(field, below, spacing=12).resolve_scale(color="independent").add_params(*params),
        words,
        reading=reading,
    )
