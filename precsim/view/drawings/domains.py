"""F26: where the runs behind each law lie, and where the models are that people plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from precsim.view.drawings.axes import frame, powers, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

if TYPE_CHECKING:
    from precsim.laws.region import Region

_LOOKS = ("accent", "after", "b5", "b8", "b6", "b2", "b4", "more")
_LETTERS = "abcdefgh"


def where_runs_exist(regions: Mapping[str, Region], models: Mapping[str, tuple[float, float]]) -> Drawing:
    """Draw the ranges of runs behind laws as rectangles of parameters and tokens, with models as points.

    Parameters
    ----------
    regions : mapping of str to Region
        By the law's name; eight at most.
    models : mapping of str to (N, D)
        Eight at most.

    Raises
    ------
    ValueError
        There is no law, or more than eight laws or models.

    Examples
    --------
    >>> from precsim.laws.region import Region
    >>> made = where_runs_exist({"a law": Region(N=(1e7, 1e8), D=(1e9, 1e10))}, {"a model": (8e9, 1.5e13)})
    >>> made.frames[0].description
    'Runs of a law: 10M to 100M parameters, 1B to 10B tokens. Outside of all: a model, 8B parameters on 15T tokens.'
    """
    if not 1 <= len(regions) <= len(_LOOKS) or len(models) > len(_LETTERS):
        raise ValueError(f"eight laws and models at most, and one law; received {len(regions)} and {len(models)}")
    told = "; ".join(
        f"{name}: {_si(r.N[0])} to {_si(r.N[1])} parameters, {_si(r.D[0])} to {_si(r.D[1])} tokens"
        for name, r in regions.items()
    )
    outside = [name for name, at in models.items() if all(r.beyond(*at) for r in regions.values())]
    far = ", ".join(f"{name}, {_si(models[name][0])} parameters on {_si(models[name][1])} tokens" for name in outside)
    return drawn(
        lambda width: _picture(width, regions, models),
        title="Where the runs are",
        description=f"Runs of {told}. Outside of all: {far or 'none'}.",
        message=f"{len(outside)} of {len(models)} models lie outside of the runs behind each law.",
        reading="Rectangle: least to most parameters and tokens of the runs behind a law; letter: a model that was "
        "trained.",
    )


def _si(value: float) -> str:
    for power, unit in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{shown(value / 10**power)}{unit}"
    return shown(value)


def _picture(width: float, regions: Mapping[str, Region], models: Mapping[str, tuple[float, float]]) -> Canvas:
    wide = width == WIDE
    across = [v for r in regions.values() for v in r.N] + [n for n, _ in models.values()]
    up = [v for r in regions.values() for v in r.D] + [d for _, d in models.values()]
    plot, list_top = (430.0, 34.0) if wide else (width - 10, 0.0)
    tall = 340.0 if wide else 320.0
    foot = tall + 62
    canvas = Canvas(width, foot if wide else foot + 24 * (len(regions) + len(models)) + 32)
    x = Scale((_down(min(across)), 3 * max(across)), (46, plot), log=True)
    y = Scale((_down(min(up)), 4 * max(up)), (tall + 14, 30), log=True)
    xs, ys = powers(x.values)[:: 1 if wide else 2], powers(y.values)[::2]
    frame(canvas, x, y, xs={v: _si(v) for v in xs}, ys={v: _si(v) for v in ys})
    canvas.text(0, 14, "training tokens *D*", "small muted")
    canvas.text(plot, tall + 52, "parameters *N*", "small muted", anchor="end")
    numbered = sorted(regions.items(), key=lambda item: -_area(item[1]))  # small ones on top of large ones
    order = {name: i for i, name in enumerate(regions)}
    corners = sorted((x(r.N[0]), y(r.D[1]), name) for name, r in regions.items())
    for name, r in numbered:
        look = _LOOKS[order[name]]
        canvas.rect(x(r.N[0]), y(r.D[1]), x(r.N[1]) - x(r.N[0]), y(r.D[0]) - y(r.D[1]), f"stroke {look} runs", radius=3)
    placed: list[tuple[float, float]] = []
    for cx, cy, name in corners:
        spot = (cx + 13, cy + 14)
        while any(math.hypot(spot[0] - a, spot[1] - b) < 21 for a, b in placed):
            spot = (spot[0], spot[1] + 8)
        placed.append(spot)
        canvas.number(*spot, str(order[name] + 1), _LOOKS[order[name]])
    for letter, (n, d) in zip(_LETTERS, models.values(), strict=False):
        canvas.number(x(n), y(d), letter, "ink model")
    left, top = (plot + 34, list_top) if wide else (0.0, foot + 16)
    for name, i in order.items():
        canvas.number(left + 10, top + 24 * i + 12, str(i + 1), _LOOKS[i])
        canvas.text(left + 28, top + 24 * i + 16, name)
    top += 24 * len(order) + 10
    for i, name in enumerate(models):
        canvas.number(left + 10, top + 24 * i + 12, _LETTERS[i], "ink")
        canvas.text(left + 28, top + 24 * i + 16, name)
    return canvas


def _area(r: Region) -> float:
    return math.log(r.N[1] / r.N[0]) * math.log(r.D[1] / r.D[0])


def _down(value: float) -> float:
    return value / 1.6
