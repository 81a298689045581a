"""F21: the bowl of a layer's error over two weights, and the points of the grid in it."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from precsim.view.drawings.axes import shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

_REACH = 2.4  # steps to each side of the weights


def bowl(weights: ArrayLike, moments: ArrayLike) -> Drawing:
    """Draw curves of equal error around two weights, the grid, its nearest point and its best one.

    The error of the point q is (w − q)ᵀ H (w − q) / 2.

    Parameters
    ----------
    weights : array_like, shape (2,)
        In steps of the grid, whose points are the integers.
    moments : array_like, shape (2, 2)
        H, second moments of the two inputs, positive definite.

    Raises
    ------
    ValueError
        H is not positive definite.

    Examples
    --------
    >>> bowl([0.4, 0.35], [[1, 0.8], [0.8, 1]]).frames[0].description
    'Two weights at 0.4 and 0.35 steps. Nearest point 0, 0, error 0.25; best point 1, 0, error 0.073.'
    """
    w, H = np.asarray(weights, float), np.asarray(moments, float)
    if not (np.linalg.eigvalsh(H) > 0).all():
        raise ValueError(f"the second moments must be positive definite, got {H.tolist()}")
    corner = np.floor(w)
    points = [corner + np.array(step) for step in product(range(-2, 4), repeat=2)]

    def error(q: np.ndarray) -> float:
        return float(0.5 * (w - q) @ H @ (w - q))

    near, best = np.round(w), min(points, key=error)
    told = "; ".join(
        f"{name} point {shown(q[0])}, {shown(q[1])}, error {error(q):.2g}"
        for name, q in (("Nearest", near), ("best", best))
    )
    return drawn(
        lambda width: _picture(width, w, H, points, near, best, (error(near), error(best))),
        title="A bowl and a grid",
        description=f"Two weights at {shown(w[0])} and {shown(w[1])} steps. {told}.",
        message="The steep direction decides which neighbor is right.",
        reading="Ellipses: equal error of the layer's output, the outer one through the nearest point; cross: the "
        "weights; dots: what the grid has. Gray ring: the nearest point; orange: the best.",
    )


def _picture(
    width: float, w: np.ndarray, H: np.ndarray, points: list[np.ndarray], near: np.ndarray, best: np.ndarray,
    errors: tuple[float, float],
) -> Canvas:  # fmt: skip
    wide = width == WIDE
    side = 320.0 if wide else 300.0
    left, top = (20.0, 10.0) if wide else (25.0, 10.0)
    canvas = Canvas(width, top + side + (34 if wide else 108))
    x = Scale((w[0] - _REACH, w[0] + _REACH), (left, left + side))
    y = Scale((w[1] - _REACH, w[1] + _REACH), (top + side, top))
    values, vectors = np.linalg.eigh(H)
    turn = np.linspace(0, 2 * math.pi, 121)
    for share in (0.06, 0.25, 0.56, 1.0):
        radii = np.sqrt(2 * share * errors[0] / values)
        ring = w[:, None] + vectors @ (radii[:, None] * np.array([np.cos(turn), np.sin(turn)]))
        _clipped(canvas, x, y, ring, w)
    for q in (q for q in points if np.abs(q - w).max() <= _REACH):
        canvas.circle(x(q[0]), y(q[1]), 3.5, "solid full grid")
    canvas.circle(x(near[0]), y(near[1]), 9, "stroke full thick nearest")
    canvas.circle(x(best[0]), y(best[1]), 6, "solid after best")
    cx, cy = x(w[0]), y(w[1])
    canvas.line(cx - 6, cy - 6, cx + 6, cy + 6, "ink thick")
    canvas.line(cx - 6, cy + 6, cx + 6, cy - 6, "ink thick")
    canvas.text(left + side / 2, top + side + 24, "first weight, in steps", "small muted", anchor="middle")
    at, down = (left + side + 60, 96.0) if wide else (left, top + side + 56)
    rows = (("stroke full thick", "nearest", errors[0]), ("solid after", "best", errors[1]))
    for i, (look, name, error) in enumerate(rows):
        canvas.circle(at + 8, down + 30 * i - 4, 7, look)
        canvas.text(at + 28, down + 30 * i, name, "strong")
        canvas.text(at + 96, down + 30 * i, f"error {error:.2g}")
    if wide:
        canvas.text(at, down + 74, "up: second weight", "small muted")
    return canvas


def _clipped(canvas: Canvas, x: Scale, y: Scale, ring: np.ndarray, w: np.ndarray) -> None:
    """A closed curve, the parts of it that lie in the picture."""
    part: list[tuple[float, float]] = []
    for point in [*ring.T, (math.inf, math.inf)]:
        if np.abs(np.asarray(point) - w).max() <= _REACH:
            part.append((x(point[0]), y(point[1])))
        else:
            if len(part) > 1:
                canvas.path(part, "accent contour")
            part = []
