"""The question of the book as one picture: the same network trained in few bits, or rounded to them afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from precsim.view.theme import Frame
from precsim.view.widget import Widget

#: The two ways, and what the picture calls them.
WAYS = {"trained": "trained in few bits", "rounded": "rounded afterwards"}
_TOP, _BOTTOM = 1.0, 0.4  # of the picture [nats/token]: fixed, so that no slider rescales it


@dataclass(frozen=True, slots=True)
class Hero(Widget):
    """Gaps of one network by bits and tokens, in two ways; sliders choose, a sentence answers.

    Parameters
    ----------
    tokens : tuple of float
        Rising.
    bits : tuple of float
        From full precision (inf) down.
    gaps : mapping of str to ndarray, shape (bits, tokens, runs)
        For each of `WAYS`; full precision is the same in both.
    way : str
        To begin with.
    bit, stop : int
        Positions in `bits` and `tokens` to begin with.
    """

    tokens: tuple[float, ...]
    bits: tuple[float, ...]
    gaps: dict[str, np.ndarray]
    way: str = "rounded"
    bit: int = 0
    stop: int = 0

    module: ClassVar[str] = "hero"

    def answer(self, way: str, bit: int, stop: int) -> str:
        """What the picture says at a choice, in one or two sentences.

        The first rule that holds: full precision itself; a cost within the range of equal runs in full precision; a
        shorter training that is better by more than that range; one that is better by less; more data that helped.
        """
        means, full = self.gaps[way].mean(axis=2), self.gaps["trained"][0]
        words, amount = f"{self.bits[bit]:g} bits", _millions(self.tokens[stop])
        if math.isinf(self.bits[bit]):
            return (
                f"Full precision after {amount} tokens: {means[0, stop]:.3f} nats above the best that any model can do."
            )
        added = means[bit, stop] - full[stop].mean()
        verb, on = ("Rounded to", "after") if way == "rounded" else ("Trained in", "on")
        begin = f"{verb} {words} {on} {amount} tokens: {added:+.3f} nats."
        spread = float(np.ptp(full[stop]))
        if abs(added) < spread:
            return (
                f"{begin} {len(full[stop])} runs in full precision differ by {spread:.3f} among themselves: no cost "
                "that this can show."
            )
        shorter = int(np.argmin(means[bit, : stop + 1]))
        least, here = means[bit, shorter], means[bit, stop]
        if here - least > spread:
            then = " and rounded" if way == "rounded" else ""
            return (
                f"{begin} The same network stopped at {_millions(self.tokens[shorter])} tokens{then} is better "
                f"({least:.3f} against {here:.3f}): more data hurt."
            )
        if shorter < stop:
            return f"{begin} The last data neither helped nor hurt by more than equal runs differ."
        if way == "trained" and (np.diff(means[bit]) < 0).all():
            return f"{begin} It never turns in these runs: more data always helped."
        return f"{begin} More data still helped."

    @property
    def text(self) -> str:
        """The sentence of the choice to begin with."""
        return self.answer(self.way, self.bit, self.stop)

    @property
    def description(self) -> str:
        """What is drawn and what can be chosen, for whoever does not see it."""
        return (
            "The gap of one small network to the best possible, against the tokens it was trained on: in full "
            "precision, trained in few bits, and rounded to few bits afterwards. Choose the way, the bits and the "
            "data; a sentence says what that costs."
        )

    @property
    def reading(self) -> str:
        """How it is read, for the caption."""
        return (
            "Point: one run; line: mean of the runs of one choice; gray: full precision; ring: your choice;"
            " diamond: the least mean; triangle: off the scale."
        )

    @property
    def state(self) -> dict[str, Any]:
        """All gaps and all sentences: the script draws and looks up."""
        choices = {
            w: [[self.answer(w, b, s) for s in range(len(self.tokens))] for b in range(len(self.bits))] for w in WAYS
        }
        data = {
            "tokens": list(self.tokens),
            "bits": [None if math.isinf(b) else b for b in self.bits],
            "runs": {way: np.round(values, 4).tolist() for way, values in self.gaps.items()},
            "answers": choices,
            "ways": WAYS,
            "top": _TOP,
            "bottom": _BOTTOM,
        }
        return {"data": data, "way": self.way, "bit": self.bit, "stop": self.stop}


def hero(runs: Frame, *, bits: float = 3) -> Hero:
    """Return the picture of some runs of one network, with as many runs in every cell.

    Parameters
    ----------
    runs : DataFrame
        With columns way ("trained" or "rounded"), bits, D, gap [nats/token].
    bits : float
        Shown first, rounded afterwards, at the most tokens.

    Raises
    ------
    ValueError
        If a cell has another number of runs than the others, or there is no such number of bits.
    """
    tokens, widths = sorted(set(runs["D"])), sorted(set(runs["bits"]), reverse=True)
    if bits not in widths:
        raise ValueError(f"no run has {bits:g} bits; there are {', '.join(f'{b:g}' for b in widths)}")
    counts = runs.groupby(["way", "bits", "D"]).size()
    if counts.nunique() != 1 or len(counts) != len(WAYS) * len(tokens) * len(widths):
        raise ValueError("every way, width and number of tokens needs as many runs as the others")
    shape = (len(widths), len(tokens), int(counts.iloc[0]))
    gaps = {}
    for way in WAYS:
        some = runs.loc[runs["way"] == way].sort_values(["bits", "D"], ascending=[False, True], kind="stable")
        gaps[way] = some["gap"].to_numpy(dtype=float).reshape(shape)
    return Hero(
        tuple(map(float, tokens)), tuple(map(float, widths)), gaps, "rounded", widths.index(bits), len(tokens) - 1
    )


def _millions(tokens: float) -> str:
    return f"{tokens / 1e6:.0f}M" if tokens >= 1e7 else f"{tokens / 1e6:.1f}M"
