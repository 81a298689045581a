"""F15: a block of a transformer, forward and backward, with every place at which a number may be rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from precsim.view.drawings.canvas import Canvas, Point
from precsim.view.drawings.drawing import NARROW, WIDE, Drawing, Frame

if TYPE_CHECKING:
    from precsim.models.recipes import Recipe

#: Field of a recipe, in the order of the numbers in the picture, and what is rounded there.
PLACES = {
    "activations": "activations, what a layer reads",
    "weights": "weights, as a product reads them",
    "kv": "keys and values, as they are kept",
    "gradients": "gradients, on their way back",
    "accumulator": "partial sums, inside each product",
    "master": "master copy, what the optimizer keeps",
}
_SCALES = {
    "PerTensor": "one scale per tensor", "PerChannel": "one per output", "PerToken": "one per token",
    "TwoLevel": "two levels",
}  # fmt: skip
# Along the way of the numbers, in pixels of the wide picture: linear layers and where the stream is left and joined.
_LINEAR = (("*W*_{qkv}", 110), ("*W*_{o}", 336), ("*W*_{1}", 490), ("*W*_{2}", 606))
_ATTENTION = 232
_LEAVE, _JOIN = (40, 428), (396, 666)
_BOX = {True: (31, 23), False: (27, 21)}  # half of a layer in pixels, across and down; wide or not


def transformer_block(recipes: Mapping[str, Recipe]) -> Drawing:
    """Draw the block once for each recipe, with what it rounds in color and what it leaves alone in gray.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        By the words on their buttons; eight at most.

    Raises
    ------
    ValueError
        There are no recipes, or more than eight.

    Examples
    --------
    >>> import precsim as ps
    >>> from precsim.models.recipes import kumar
    >>> transformer_block({"4-bit weights": kumar(weights=ps.INT4)}).frames[0].description
    'With 4-bit weights, rounded are: weights INT4, one per output. Left in float32: the other five.'
    """
    frames = []
    for name, recipe in recipes.items():
        rules = {kind: told(rule_of(recipe, kind)) for kind in PLACES}
        given = [f"{kind} {', '.join(filter(None, rule))}" for kind, rule in rules.items() if rule[0]]
        count = ("none", "one", "two", "three", "four", "five", "six")[len(PLACES) - len(given)]
        words = f"With {name}, rounded are: {'; '.join(given) or 'none'}. Left in float32: the other {count}."
        frames.append(Frame(name, _picture(WIDE, rules), _picture(NARROW, rules), words))
    return Drawing(
        "A transformer block and its rounding points",
        tuple(frames),
        message="Six kinds of rounding, each in a place of its own.",
        reading="Forward runs one way, backward the other; between them lie the weights. Orange numbers: rounded by "
        "the recipe that is chosen; gray: left in float32.",
        choice="Recipe",
        computed="recipes of the package",
    )


def rule_of(recipe: Recipe, kind: str) -> Any:
    """Return what rounds one kind of number; a recipe with a backward pass of its own has gradients and sums there."""
    back = recipe.backward
    if back is not None and kind in ("gradients", "accumulator"):
        return back.dgrad_gradients if kind == "gradients" else back.unit
    return getattr(recipe, kind)


def told(rule: Any) -> tuple[str, str]:
    """Return format and scaling of one field of a recipe in few words; empty if it is left in float32."""
    if rule is None:
        return "", ""
    if hasattr(rule, "quantizer"):  # rotated, fitted, learned, or an operand of the backward pass
        return told(rule.quantizer)
    if hasattr(rule, "fraction_bits"):
        return f"{rule.fraction_bits} bits behind the largest", ""
    if hasattr(rule, "layers"):
        what, how = told(rule.default)
        return what, f"{how}, not everywhere".strip(", ")
    how = getattr(rule, "scaling", None)
    name = "" if how is None or isinstance(how, type) else _SCALES.get(type(how).__name__, "")
    if block := getattr(how, "size", None):
        name = f"{name} of {block}" if name else f"blocks of {block}"
    mode = getattr(rule, "rounding", None)
    if mode is not None and mode.is_stochastic:
        name = f"{name}, stochastic".strip(", ")
    return rule.format.name.replace("_", " "), name


def _picture(width: float, rules: Mapping[str, tuple[str, str]]) -> Canvas:
    wide = width == WIDE
    long = 402 if wide else 690
    canvas = Canvas(width, long + (3 if wide else 6) * 44 + 8)

    def at(along: float, across: float) -> Point:
        """Wide: along is to the right; narrow: down, the same picture turned."""
        return (along, across) if wide else (across * 0.87 + 8, along * 0.96 + 20)

    def mark(kind: str, along: float, across: float) -> None:
        look = "after" if rules[kind][0] else "full"
        canvas.number(*at(along, across), str(list(PLACES).index(kind) + 1), f"{look} {kind}")

    _forward(canvas, at, wide)
    _backward(canvas, at, wide)
    for _, along in _LINEAR:
        half = 23 if wide else 31
        canvas.arrow([at(along, 184), at(along, 112 + half)], "muted")
        canvas.arrow([at(along, 296 - half), at(along, 220)], "muted")
        mark("weights", along, (184 + 112 + half) / 2)
        for across in (110, 296):
            mark(
                "accumulator",
                along + 26 * (1 if wide else 0.85),
                across + (half if wide else half - 3) * (1 if across > 200 else -1),
            )
    for along in (60, 288, 444, 548):
        mark("activations", along, 110)
    mark("kv", 167, 110)
    for along in (167, 381, 548, 651):
        mark("gradients", along, 296)
    mark("master", 44, 201)
    _legend(canvas, rules, long, wide)
    return canvas


def _box(
    canvas: Canvas, at: Callable[[float, float], Point], along: float, across: float, words: str, wide: bool
) -> None:
    x, y = at(along, across)
    w, h = (2 * half for half in _BOX[wide])
    canvas.rect(x - w / 2, y - h / 2, w, h, "hollow ink linear", radius=5)
    canvas.text(x, y + 4.5, words, "strong", anchor="middle")


def _end(wide: bool) -> float:
    """Half of a layer along the way of the numbers."""
    return _BOX[wide][0] if wide else _BOX[wide][1] / 0.96


def _forward(canvas: Canvas, at: Callable[[float, float], Point], wide: bool) -> None:
    stream = 40
    canvas.arrow([at(0, stream), at(688, stream)], "ink")
    for leave, join, boxes in zip(_LEAVE, _JOIN, ((66, 336), (452, 606)), strict=True):
        canvas.path([at(leave, stream), at(leave, 110), at(boxes[1], 110)], "muted")
        canvas.arrow([at(boxes[1] + _end(wide), 110), at(join, 110), at(join, stream + 8)], "muted")
        canvas.circle(*at(join, stream), 8, "hollow ink")
        x, y = at(join, stream)
        canvas.line(x - 4, y, x + 4, y, "thin")
        canvas.line(x, y - 4, x, y + 4, "thin")
    for name, along in _LINEAR:
        _box(canvas, at, along, 110, name, wide)
    x, y = at(_ATTENTION, 110)
    w, h = (78, 46) if wide else (66, 64)
    canvas.rect(x - w / 2, y - h / 2, w, h, "tint accent", radius=5)
    canvas.text(x, y + 4.5, "attention", anchor="middle")
    x, y = at(0, 14) if wide else (0, 13)
    canvas.text(x, y, "forward", "strong accent")


def _backward(canvas: Canvas, at: Callable[[float, float], Point], wide: bool) -> None:
    stream = 366
    canvas.arrow([at(688, stream), at(0, stream)], "ink")
    for leave, join, last in zip(_JOIN, _LEAVE, (110, 490), strict=True):
        canvas.path([at(leave, stream), at(leave, 296), at(last, 296)], "muted")
        canvas.arrow([at(last - _end(wide), 296), at(join, 296), at(join, stream - 8)], "muted")
        x, y = at(join, stream)
        canvas.circle(x, y, 8, "hollow ink")
        canvas.line(x - 4, y, x + 4, y, "thin")
        canvas.line(x, y - 4, x, y + 4, "thin")
    for name, along in _LINEAR:
        _box(canvas, at, along, 296, f"{name}^{{T}}", wide)
    x, y = at(_ATTENTION, 296)
    w, h = (78, 46) if wide else (66, 64)
    canvas.rect(x - w / 2, y - h / 2, w, h, "tint accent", radius=5)
    canvas.text(x, y + 4.5, "attention", anchor="middle")
    (x1, y1), (x2, y2) = at(28, 184), at(660, 218)
    canvas.rect(min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1), "tint full", radius=5)
    if wide:
        canvas.text(64, 206, "master copies", "strong")
        canvas.text(180, 206, "*w* ← *w* − *η* · step", "muted")
        canvas.text(670, 390, "backward", "strong accent", anchor="end")
    else:
        canvas.text(350, 13, "backward", "strong accent", anchor="end")
        canvas.text(175, 13, "master copies", "strong", anchor="middle")


def _legend(canvas: Canvas, rules: Mapping[str, tuple[str, str]], top: float, wide: bool) -> None:
    for i, (kind, words) in enumerate(PLACES.items()):
        what, how = rules[kind]
        x, y = ((i // 3) * 372, top + 22 + (i % 3) * 44) if wide else (0, top + 22 + i * 44)
        canvas.number(x + 10, y - 4, str(i + 1), "after" if what else "full")
        canvas.text(x + 28, y, words.split(",")[0], "strong")
        rounded = ", ".join(filter(None, (what, how))) or "float32"
        canvas.text(x + 28, y + 18, rounded, "" if what else "muted")
