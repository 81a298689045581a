"""F17: what the networks of the book learn: a few facts, how often each is seen, and what a network says of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from precsim.view.drawings.axes import frame, shown
from precsim.view.drawings.canvas import Canvas, Scale
from precsim.view.drawings.drawing import WIDE, Drawing, drawn

_ANSWERS = 3  #: the likeliest, of each fact


def the_task(contexts: ArrayLike, conditional: ArrayLike, said: ArrayLike, *, ranks: Sequence[int]) -> Drawing:
    """Draw some facts of a language, from common to rare, with the truth and what a network says.

    Parameters
    ----------
    contexts : array_like, shape (facts,)
        How often each fact is seen; sums to 1. A fact is a pair of tokens, position first * tokens + second.
    conditional : array_like, shape (facts, tokens)
        Probabilities of the next token.
    said : array_like, shape (facts, tokens)
        Those of a network.
    ranks : sequence of int
        Which facts are drawn, 1 the commonest.

    Examples
    --------
    >>> import numpy as np
    >>> seen, true = np.array([0.8, 0.2]), np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
    >>> the_task(seen, true, true, ranks=[1]).frames[0].description
    'Of 2 facts: number 1, seen 1 in 1.25, is followed by 0 with 70 %; the network says 70 %.'
    """
    seen, true, said = (np.asarray(part, float) for part in (contexts, conditional, said))
    order = np.argsort(-seen, kind="stable")
    facts = [int(order[rank - 1]) for rank in ranks]
    told = "; ".join(
        f"number {rank}, seen 1 in {shown(1 / seen[k])}, is followed by {(a := int(true[k].argmax()))} with "
        f"{true[k, a]:.0%}; the network says {said[k, a]:.0%}".replace("%", " %")
        for rank, k in zip(ranks, facts, strict=True)
    )
    floor = float(-(seen[:, None] * true * np.log(np.maximum(true, 1e-300))).sum())
    return drawn(
        lambda width: _picture(width, seen[order], facts, true, said, ranks, floor),
        title="What the networks learn",
        description=f"Of {len(seen):,} facts: {told}.",
        message="Of these facts, the commoner one is, the better the network knows it.",
        reading="A row is a fact: two tokens and the three likeliest ones to follow. Blue: true probability; orange: "
        "what the network says. Below: how often each fact is seen, from the commonest to the rarest.",
    )


def _picture(
    width: float,
    seen: np.ndarray,
    facts: Sequence[int],
    true: np.ndarray,
    said: np.ndarray,
    ranks: Sequence[int],
    floor: float,
) -> Canvas:
    wide = width == WIDE
    row, top = (62, 34) if wide else (96, 26)
    foot = top + row * len(facts) + 20
    canvas = Canvas(width, foot + 230)
    most = float(max(true[facts].max(), said[facts].max()))
    tokens = true.shape[1]
    if wide:
        for x, words in ((0, "fact"), (96, "after the tokens"), (232, "seen"), (346, "followed by")):
            canvas.text(x, 12, words, "small muted")
    for i, (rank, k) in enumerate(zip(ranks, facts, strict=True)):
        y = top + row * i
        pair, often = f"{k // tokens}, {k % tokens}", f"1 in {shown(1 / seen[rank - 1], 2)}"
        if wide:
            canvas.text(0, y + 26, f"{rank:,}", "head")
            canvas.text(96, y + 26, pair)
            canvas.text(232, y + 26, often)
        else:
            canvas.text(0, y + 2, f"fact {rank:,}", "head")
            canvas.text(110, y + 2, f"after {pair}")
            canvas.text(width, y + 2, f"seen {often}", "muted", anchor="end")
        first, panel = (346, 114) if wide else (0, width / _ANSWERS)
        for j, answer in enumerate(np.argsort(-true[k], kind="stable")[:_ANSWERS]):
            left = first + j * panel
            base = y + (40 if wide else 62)
            canvas.text(left, base - 12, str(answer), "strong")
            bar = Scale((0, most), (0, panel - 42))
            for value, look, down in ((true[k, answer], "accent true", -24), (said[k, answer], "after said", -11)):
                canvas.rect(left + 24, base + down, max(bar(float(value)), 1), 10, f"solid {look}", radius=1)
        if wide and i:
            canvas.line(0, y - 8, width, y - 8, "thin faint")
    _ranks(canvas, seen, ranks, foot, wide)
    canvas.text(0, foot + 20, "how often each is seen", "strong")
    words = f"{len(seen):,} facts; no model can do better than {floor:.3f} nats"
    canvas.text(
        width if wide else 0, foot + (20 if wide else 40), words, "small muted", anchor="end" if wide else "start"
    )
    return canvas


def _ranks(canvas: Canvas, seen: np.ndarray, ranks: Sequence[int], top: float, wide: bool) -> None:
    """How often a fact is seen against its rank, both on log axes."""
    right = canvas.width - 8
    x, y = Scale((1, len(seen)), (84, right), log=True), Scale((float(seen[-1]), 1), (top + 190, top + 64), log=True)
    places = [10.0**k for k in range(0, -7, -2) if 10.0**k >= seen[-1]]
    counts = [v for v in (1, 10, 100, 1000) if v <= len(seen)]
    frame(
        canvas,
        x,
        y,
        xs={v: f"{v:,}" for v in counts},
        ys={v: f"1 in {shown(1 / v)}" if v < 1 else "all" for v in places},
    )
    some = np.unique(np.geomspace(1, len(seen), 40).astype(int))
    canvas.path([(x(r), y(float(seen[r - 1]))) for r in some], "ink")
    for rank in ranks:
        canvas.circle(x(rank), y(float(seen[rank - 1])), 5, "solid ink fact")
    canvas.text(right, top + 224, "rank of the fact", "small muted", anchor="end")
