"""The form of a row: what the paper shows, what its constants give, what our runs give, and how the two agree."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from precsim.evidence.editions import Reader
from precsim.runs import Table


class Drawing(NamedTuple):
    """Curves and points of a figure, as `precsim.view.formula_and_numbers` takes them."""

    lines: Mapping[str, tuple[ArrayLike, ArrayLike]]
    points: Mapping[str, tuple[ArrayLike, ArrayLike]]
    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    level: float | None = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the view."""
        return self._asdict()


class Compared(NamedTuple):
    """What was computed for a row, each a sentence with its numbers; none is empty."""

    constants: str
    ours: str
    agreement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A figure or table of the paper.

    Attributes
    ----------
    number : str
        F1 to F21, T1, T2.
    shows : str
        What it claims, in our words.
    compare : callable
        () → Compared.
    published, ours : callable or None
        () → Drawing from the published constants, and from our runs; None where there is nothing to draw.
    table : callable or None
        () → (head, rows) of a table of the paper beside ours.
    """

    number: str
    shows: str
    compare: Callable[[], Compared]
    published: Callable[[], Drawing] | None = None
    ours: Callable[[], Drawing] | None = None
    table: Callable[[], tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] | None = None


#: In the place of a verdict where an edition has no run for a claim.
NOT_JUDGED = "not judged"


class Verdict(enum.Enum):
    """What our evidence says of a claim; only runs confirm or contradict."""

    CONFIRMED = "confirmed"
    PARTLY = "confirmed in part"
    FOLLOWS = "follows from the form"
    CONTRADICTED = "contradicted"

    @property
    def means(self) -> str:
        """What the word says of our runs, in half a sentence."""
        return _MEANS[self]


_MEANS = {
    Verdict.CONFIRMED: "our runs meet every part of the rule that was set for the claim",
    Verdict.PARTLY: "our runs meet some part of the rule and miss another",
    Verdict.FOLLOWS: "algebra of the law's form: true wherever the form is, and tried on no run of ours",
    Verdict.CONTRADICTED: "our runs show the opposite, in our set-up",
}


class Judged(NamedTuple):
    """A verdict and the numbers it rests on."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One of the paper's checkable claims.

    Attributes
    ----------
    number : int
    says : str
    judge : callable
        Reader of a table → Judged; the verdict follows from the numbers by rules in the code.
    of : callable or None
        Selection of `precsim.evidence.rows` whose networks are counted; None where no run is asked.
    batch : str
        Batch of runs without which it cannot be judged, where an edition lacks it.
    """

    number: int
    says: str
    judge: Callable[[Reader], Judged]
    of: Callable[[Table], Table] | None = None
    batch: str = ""
