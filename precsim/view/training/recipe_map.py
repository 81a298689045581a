"""Where a recipe rounds: a layer as boxes and arrows, with the format of each place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import altair as alt

from precsim.view.theme import GRAY, HUES, WIDTH, finish, values

if TYPE_CHECKING:
    from precsim.models.recipes import Recipe

#: Field of a recipe -> (place in the picture: column, row), title of the box.
_BOXES: dict[str, tuple[float, float, str]] = {
    "master": (0, 3, "master copy"),
    "weights": (1, 3, "weights"),
    "activations": (0, 2, "activations"),
    "accumulator": (1, 2, "partial sums"),
    "kv": (2, 2, "keys, values"),
    "gradients": (1, 1, "gradient"),
}
_ARROWS = (
    ((0.42, 3), (0.58, 3)),
    ((0.42, 2), (0.58, 2)),
    ((1.42, 2), (1.58, 2)),
    ((1, 2.68), (1, 2.32)),
    ((1, 1.68), (1, 1.32)),
    ((0.58, 1), (0.42, 1)),
    ((-0.5, 3), (-0.42, 3)),
)
_LINES = (((-0.42, 1), (-0.5, 1)), ((-0.5, 1), (-0.5, 3)))  # from the update around the activations to the master copy


def recipe_map(recipes: Mapping[str, Recipe]) -> alt.LayerChart:
    """Draw one layer's numbers on their way, and what each of some recipes does to them; the reader chooses the recipe.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        By the names that the reader chooses from, the first shown first.

    Raises
    ------
    ValueError
        There are no recipes.

    Examples
    --------
    >>> import precsim as ps
    >>> from precsim.models.recipes import kumar
    >>> recipe_map({"weights in 4 bits": kumar(weights=ps.INT4)}).description
    'A layer with six places where numbers may be rounded. With "weights in 4 bits": weights INT4, per channel.'
    """
    if not recipes:
        raise ValueError("recipe_map needs one recipe or more; received none")
    rows, said = [], {}
    for name, recipe in recipes.items():
        given = {kind: _told(getattr(recipe, kind)) for kind in _BOXES}
        said[name] = ", ".join(
            f"{kind} {what}, {how}" if how else f"{kind} {what}" for kind, (what, how) in given.items() if what
        )
        rows += [
            {
                "recipe": name, "x": x, "y": y, "title": title, "format": given[kind][0] or "float32",
                "scale": given[kind][1], "rounded": bool(given[kind][0]),
            }
            for kind, (x, y, title) in _BOXES.items()
        ]  # fmt: skip
        rows.append(
            {"recipe": name, "x": 0, "y": 1, "title": "update", "format": "float32", "scale": "", "rounded": False}
        )
    names = list(recipes)
    choose = alt.param(name="recipe", value=names[0], bind=alt.binding_select(options=names, name="recipe: "))
    base = alt.Chart(values(rows)).transform_filter("datum.recipe == recipe")
    base = base.transform_calculate(
        left="datum.x - 0.4", right="datum.x + 0.4", top="datum.y + 0.3", foot="datum.y - 0.3"
    )
    x, y = (
        alt.X("x:Q", axis=None).scale(domain=[-0.55, 2.45], nice=False, zero=False),
        alt.Y("y:Q", axis=None).scale(domain=[0.6, 3.4], nice=False, zero=False),
    )
    color = alt.condition("datum.rounded", alt.value(HUES[1]), alt.value(GRAY))
    ends = [{"x": a, "y": b, "x2": c, "y2": d} for (a, b), (c, d) in (*_ARROWS, *_LINES)]
    heads = [{**row, "angle": _angle(row)} for row in ends[: len(_ARROWS)]]
    arrows = alt.Chart(values(ends)).mark_rule(color=GRAY, strokeWidth=1.5).encode(x=x, y=y, x2="x2:Q", y2="y2:Q")
    tips = alt.Chart(values(heads)).mark_point(shape="triangle", size=50, color=GRAY, filled=True, opacity=1)
    box = base.mark_rect(filled=False, cornerRadius=4, strokeWidth=2.5).encode(
        x=alt.X("left:Q", axis=None), x2="right:Q", y=alt.Y("foot:Q", axis=None), y2="top:Q", stroke=color,
        tooltip=["title:N", "format:N", "scale:N"],
    )  # fmt: skip
    fonts: tuple[tuple[str, int, Any], ...] = (("title", -14, "normal"), ("format", 3, "bold"), ("scale", 18, "normal"))
    lines = [
        base.mark_text(style="ink", fontSize=11, dy=dy, fontWeight=weight).encode(x=x, y=y, text=f"{field}:N")
        for field, dy, weight in fonts
    ]
    chart = alt.layer(
        arrows,
        tips.encode(x=alt.X("x2:Q", axis=None), y=alt.Y("y2:Q", axis=None), angle=alt.Angle("angle:Q", scale=None)),
        box,
        *lines,
    ).add_params(choose)
    words = f'A layer with six places where numbers may be rounded. With "{names[0]}": {said[names[0]] or "none"}.'
    reading = (
        "Box: a place where numbers may be rounded, with format and scale of the chosen recipe; orange:"
        " rounded; gray: left in float32; arrows: the way of the numbers, forward above, backward below."
    )
    return finish(chart.properties(width=WIDTH, height=270, view=alt.ViewConfig(stroke=None)), words, reading=reading)


def _told(rule: Any) -> tuple[str, str]:
    """Format and scaling of one field of a recipe in few words; empty if it is left in float32."""
    if rule is None:
        return "", ""
    if hasattr(rule, "layers"):
        what, how = _told(rule.default)
        return what, f"{how}, not everywhere".strip(", ")
    how = getattr(rule, "scaling", None)
    name = "" if how is None or isinstance(how, type) else _SCALES.get(type(how).__name__, type(how).__name__)
    if block := getattr(how, "size", None):
        name = f"{name} of {block}"
    mode = getattr(rule, "rounding", None)
    if mode is not None and mode.is_stochastic:
        name = f"{name}, stochastic".strip(", ")
    return rule.format.name, name


_SCALES = {
    "PerTensor": "per tensor",
    "PerChannel": "per channel",
    "PerToken": "per token",
    "PerBlock": "per block",
    "TwoLevel": "two levels of scales",
}


def _angle(row: Mapping[str, float]) -> float:
    """Direction of an arrow for a triangle that points up."""
    across, up = row["x2"] - row["x"], row["y2"] - row["y"]
    return 90 if across > 0 else 270 if across < 0 else 0 if up > 0 else 180
