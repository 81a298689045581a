"""A figure of the paper beside ours: one panel where both have the same axes, else two under each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import altair as alt

from precsim.view.captions import Figure, captioned
from precsim.view.laws.formula_and_numbers import panel
from precsim.view.theme import HUES, finish

_PAPER = "paper: "
_OF_PAPER = "by the paper's constants"
_OF_OURS = "our runs"


class Drawn(Protocol):
    """Curves and points as `formula_and_numbers` takes them."""

    def arguments(self) -> Mapping[str, Any]: ...  # noqa: D102


class Exhibited(Protocol):
    """A figure: its number, what it shows, and drawings from two sources; None where there is nothing to draw."""

    @property
    def number(self) -> str: ...  # noqa: D102
    @property
    def shows(self) -> str: ...  # noqa: D102
    @property
    def published(self) -> Callable[[], Drawn] | None: ...  # noqa: D102
    @property
    def ours(self) -> Callable[[], Drawn] | None: ...  # noqa: D102


def paper_and_ours(exhibit: Exhibited, agreement: str, *, note: str = "") -> Figure:
    """Draw a figure of the paper from its constants and from our runs, with a caption.

    Parameters
    ----------
    exhibit : Exhibit
        As `precsim.evidence.paper.exhibit` returns it.
    agreement : str
        How the two agree, in a sentence: the message of the caption.
    note : str
        What else must be said, such as why one of them is missing.

    Notes
    -----
    Where both have the same axes and few curves, they share one panel, the paper's dashed. Otherwise the paper's panel
    stands above ours, and an axis that has the same title in both has the same ends.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    theirs, ours = (None if made is None else dict(made().arguments()) for made in (exhibit.published, exhibit.ours))
    if theirs is None and ours is None:
        raise ValueError(f"{exhibit.number} has nothing to draw")
    whose = {
        "paper": "" if theirs is None else "Kumar et al. 2024, computed from the constants",
        "ours": "" if ours is None else "open table, first edition",
    }
    if theirs is None or ours is None:
        chart, text = panel(**(theirs or ours or {}))
        reading = "From the published constants." if ours is None else "From our runs; no constants are printed."
    elif _alike(theirs, ours):
        chart, text = _one(theirs, ours)
        reading = "Dashed lines and open marks: the paper's constants. Solid lines and full marks: our runs."
    else:
        chart, text = _two(theirs, ours)
        reading = "Above: the paper's constants. Below: our runs."
    said = finish(chart, f"{exhibit.number} of the paper: {exhibit.shows} {text}")
    what = f"The paper's {exhibit.number.replace('F', 'figure ')}: {exhibit.shows} {agreement}".strip()
    return captioned(said, what, reading=" ".join(filter(None, (reading, note))), **whose)


def _alike(theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether both have the same axes, and few enough curves for one panel."""
    curves = [len({*some["lines"], *some["points"]}) for some in (theirs, ours)]
    return sum(curves) <= len(HUES) and all(theirs[name] == ours[name] for name in ("x", "y", "log_x", "log_y"))


def _one(theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[Any, str]:
    """Both in one panel, where equal names have equal hues."""
    curves = {_PAPER + name: curve for name, curve in theirs["lines"].items()}
    marks = {_PAPER + name: curve for name, curve in theirs["points"].items()}
    axes = {name: ours[name] for name in ("x", "y", "log_x", "log_y", "level")}
    lines, points = {**ours["lines"], **curves}, {**ours["points"], **marks}
    hue_of = {_PAPER + name: name for name in (*theirs["lines"], *theirs["points"])}
    return panel(lines, points, **axes, dashed=frozenset(hue_of), hue_of=hue_of)


def _two(theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[alt.VConcatChart, str]:
    """The paper's panel above ours."""
    (upper, first), (lower, second) = panel(**theirs, height=230), panel(**ours, height=230)
    same: dict[str, Any] = {name: "shared" for name in ("x", "y") if theirs[name] == ours[name]}
    chart = alt.vconcat(upper.properties(title=_OF_PAPER), lower.properties(title=_OF_OURS))
    return chart.resolve_scale(color="independent", **same), f"Above, {_OF_PAPER}: {first} Below, {_OF_OURS}: {second}"
