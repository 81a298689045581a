"""F13: the orders in which numbers are added, as trees."""

from __future__ import annotations

from collections.abc import Sequence

from precsim.view.drawings.canvas import Canvas, Point
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

Tree = int | tuple["Tree", "Tree"]  #: a term by its position, or a sum of two trees

TERMS = 8  #: that are drawn


def chained(low: int, high: int) -> Tree:
    """Return the tree that adds one term after the other."""
    tree: Tree = low
    for term in range(low + 1, high):
        tree = (tree, term)
    return tree


def pairwise(low: int, high: int) -> Tree:
    """Return the tree that adds neighbors, then neighbors of the sums."""
    if high - low == 1:
        return low
    middle = (low + high) // 2
    return pairwise(low, middle), pairwise(middle, high)


def blocked(low: int, high: int, block: int) -> Tree:
    """Return the tree that chains the sums of blocks, each a chain."""
    tree: Tree = chained(low, low + block)
    for start in range(low + block, high, block):
        tree = (tree, chained(start, start + block))
    return tree


def depth(tree: Tree) -> int:
    """Return through how many additions the most burdened term goes.

    Examples
    --------
    >>> depth(chained(0, 8)), depth(pairwise(0, 8)), depth(blocked(0, 8, 4))
    (7, 3, 4)
    """
    return 0 if isinstance(tree, int) else 1 + max(map(depth, tree))


def summation_trees(block: int = 4) -> Drawing:
    """Draw three orders of adding eight terms, each term's way through the additions a path down the tree.

    Parameters
    ----------
    block : int
        Terms in a block; divides eight.

    Examples
    --------
    >>> summation_trees().frames[0].description
    'Three trees over eight terms: one after the other, 7 deep; pairwise, 3 deep; in blocks of 4, 4 deep.'
    """
    trees = {
        "one after the other": (chained(0, TERMS), "*n* − 1"),
        "pairwise": (pairwise(0, TERMS), "log_{2} *n*"),
        f"in blocks of {block}": (blocked(0, TERMS, block), "*b* − 1 + *n*/*b* − 1"),
    }
    told = "; ".join(f"{name}, {depth(tree)} deep" for name, (tree, _) in trees.items())
    return drawn(
        lambda width: _picture(width, [(name, *pair) for name, pair in trees.items()]),
        title="Three ways to add eight numbers",
        description=f"Three trees over eight terms: {told}.",
        message="The bound of a sum's error is the depth of its tree.",
        reading="Open circles: terms; filled: additions, each of which rounds. Orange: the longest way from a term to "
        "the sum.",
        computed="the trees themselves",
    )


def _picture(width: float, trees: Sequence[tuple[str, Tree, str]]) -> Canvas:
    wide = width == WIDE
    deepest = max(depth(tree) for _, tree, _ in trees)
    panel, level = (200.0, 24.0) if wide else (230.0, 20.0)
    tops = []
    y = 0.0
    for _, tree, _ in trees:
        tops.append(0.0 if wide else y)
        y += depth(tree) * level + 96
    canvas = Canvas(width, deepest * level + 104 if wide else y - 14)
    for i, (name, tree, bound) in enumerate(trees):
        left, top = (i * (width - panel) / 2, 0.0) if wide else ((width - panel) / 2, tops[i])
        canvas.text(left + panel / 2, top + 14, name, "head", anchor="middle")
        first, step = left + 8, (panel - 16) / (TERMS - 1)
        _draw(canvas, tree, (first, step), top + 40, level, marked=True)
        foot = top + 40 + depth(tree) * level + 34
        canvas.text(left + panel / 2, foot, f"{depth(tree)} deep,  ({bound}) *u*", anchor="middle")
    return canvas


def _draw(
    canvas: Canvas, tree: Tree, terms: tuple[float, float], top: float, level: float, *, marked: bool
) -> tuple[Point, list[Tree]]:
    """Draw a tree with its terms on top; returns where its root is."""
    if isinstance(tree, int):
        at = (terms[0] + tree * terms[1], top)
        canvas.circle(*at, 5, f"hollow {'after' if marked else 'ink'} term")
        return at, [tree]
    deep = [depth(part) for part in tree]
    way = deep.index(max(deep))  # of equal ways the first is marked
    ends = []
    for i, part in enumerate(tree):
        ends.append(_draw(canvas, part, terms, top, level, marked=marked and i == way)[0])
    at = ((ends[0][0] + ends[1][0]) / 2, top + level * (1 + max(deep)))
    for i, end in enumerate(ends):
        on = marked and i == way
        canvas.path([(end[0], end[1] + 5), (at[0], at[1] - 5)], "after thick" if on else "full")
    canvas.circle(*at, 5, f"solid {'after' if marked else 'ink'} sum")
    return at, [tree]
