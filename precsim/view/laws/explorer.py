"""Laws with sliders and intervals, in a page without a kernel: the explorer."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from precsim.planning.serving import MODELS
from precsim.view.laws.formulas import numbers, python_of, trees
from precsim.view.widget import Widget

if TYPE_CHECKING:
    from precsim.fitting.uncertainty import Draws
    from precsim.laws import Law


_SETTINGS = (
    {
        "name": "The paper's largest run",
        "fields": {"N": "220M", "D": "26B", "weights": "8", "activations": "8", "kv": "8", "post": "full"},
    },
    {
        "name": "The network of the home page",
        "fields": {"N": "24,576", "D": "49M", "weights": "full", "activations": "full", "kv": "full", "post": "3"},
    },
)


@dataclass(frozen=True, slots=True)
class Explored:
    """A law that the explorer offers, the runs behind it, and its draws if there are any.

    Parameters
    ----------
    name : str
        In the list of laws.
    law : Law
        A base, factors of weights, activations or KV cache, and a degradation after training; with numbers.
    N, D : (float, float)
        Least and largest of the runs it was fitted to [parameters, tokens]: beyond them the page says so.
    note : str
        Where the law and its intervals come from, in a sentence or two.
    draws : Draws, optional
        Of the same form. Without them the page shows no intervals.
    level : float
        Of the intervals.
    assumed : str
        Where the draws are no measurement: what they assume, after "expected if". Intervals beyond the runs are
        withheld for every law.
    source : str
        Where its numbers stand.
    predicts : str
        What it predicts [nats/token], as a word for sentences: a loss, or a gap above the best possible.
    withheld : float
        Factor outside the runs beyond which an interval says nothing, and is not shown.
    furthest : float
        Factor outside the runs beyond which a plan from it is not shown as an answer.

    Raises
    ------
    ValueError
        A range is empty, the level is not in (0, 1), or the law has a part that the sliders cannot serve.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> Explored("Kumar 2024", KUMAR_2024, (3e7, 2.2e8), (1.5e9, 2.6e10), "Printed constants.").name
    'Kumar 2024'
    """

    name: str
    law: Law
    N: tuple[float, float]
    D: tuple[float, float]
    note: str
    draws: Draws | None = None
    level: float = 0.95
    assumed: str = ""
    source: str = ""
    predicts: str = "loss"
    withheld: float = 30.0
    furthest: float = 1000.0

    def __post_init__(self) -> None:
        """Check ranges, level, and that the law can be written down for the page."""
        for what, (low, high) in {"N": self.N, "D": self.D}.items():
            if not 0 < low < high < math.inf:
                raise ValueError(f"{what} must be (least, largest) of the runs, got {(low, high)}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level}")
        for what, factor in {"withheld": self.withheld, "furthest": self.furthest}.items():
            if not factor >= 1:
                raise ValueError(f"{what} is a factor outside the runs, 1 or more, got {factor}")
        trees(self.law)
        if self.draws is not None and set(self.draws.values) - set(self.law.parameters):
            raise ValueError(
                f"the draws are of another law: {sorted(set(self.draws.values) - set(self.law.parameters))}"
            )

    @property
    def slug(self) -> str:
        """Its name in links, which for a published law is the one on the command line."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def state(self) -> dict[str, Any]:
        """What the script needs, in JSON types; numbers are not rounded."""
        found = {"name": self.name, "note": self.note, "N": list(self.N), "D": list(self.D), "level": self.level}
        found |= {"assumed": self.assumed, "slug": self.slug, "source": self.source, "predicts": self.predicts}
        found |= {"withheld": self.withheld, "furthest": self.furthest, "python": python_of(self.law)}
        return found | trees(self.law) | {"draws": None if self.draws is None else numbers(self.draws.values)}


@dataclass(frozen=True, slots=True)
class Explorer(Widget):
    """Fields and sliders for N, D and the bits of weights, activations, KV cache and serving; answers with intervals.

    It shows the loss, N_eff, δ, the critical tokens and P*.
    """

    laws: tuple[Explored, ...]

    module: ClassVar[str] = "explorer"

    def __post_init__(self) -> None:
        """Refuse an empty list, and two laws of one name."""
        names = [law.name for law in self.laws]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the explorer needs one or more laws with distinct names, got {names}")

    @property
    def text(self) -> str:
        """How many laws there are, and their names."""
        count = "one law" if len(self.laws) == 1 else f"{len(self.laws)} laws"
        return f"Explorer of {count}: {', '.join(law.name for law in self.laws)}."

    @property
    def description(self) -> str:
        """The same, and what the sliders do."""
        return f"{self.text} Fields and sliders set parameters, tokens and bits; charts and a table have the answers."

    @property
    def reading(self) -> str:
        """How it is read, for the caption."""
        return (
            "Line: the law; mark: the setting; band, where the law has draws: its interval. What lies outside"
            " the runs of a law is marked as such."
        )

    @property
    def state(self) -> dict[str, list[dict[str, Any]]]:
        """The laws as the script reads them, and settings of known models, in JSON types."""
        served = {"weights": "full", "activations": "full", "kv": "full", "post": "4"}
        known = [
            {"name": f"{m.name}, served at 4 bits", "fields": {"N": f"{m.N:g}", "D": f"{m.D:g}"} | served}
            for m in MODELS.values()
        ]
        return {"laws": [law.state for law in self.laws], "settings": [*known, *_SETTINGS]}


def explore(*laws: Explored) -> Explorer:
    """Return sliders for one or more laws, which a page answers without a kernel.

    Notes
    -----
    The page gets each law's own expression as a tree of operations (`precsim.symbolic.to_tree`), evaluates it in dual
    numbers, and finds P* and the critical tokens by the same searches as `precsim.laws.best_bits` and
    `precsim.laws.critical_tokens`; intervals are percentiles over the draws, as in `precsim.interval`.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> explore(Explored("Kumar 2024", KUMAR_2024, (3e7, 2.2e8), (1.5e9, 2.6e10), "Printed constants.")).text
    'Explorer of one law: Kumar 2024.'
    """
    return Explorer(laws)
