"""What to train with a budget, as a page that plans without a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from precsim.planning import H100, HARDWARE, Plan, plan
from precsim.planning.result import more_compute
from precsim.planning.serving import MODELS
from precsim.view.laws.explorer import Explored
from precsim.view.table import Table
from precsim.view.theme import BITS, GRAY, si
from precsim.view.widget import Widget

#: The budget that the page begins with [FLOP at 16 bits].
FLOPS = 1e21
#: Examples to begin with: a name, and the texts of the fields that differ from the page's own.
PRESETS: Mapping[str, Mapping[str, str]] = {
    "Llama 3 8B, served at 4 bits": {"C": "7.2e23", "size": "fixed", "N": "8.03B", "D": "15T", "post": "4"},
    "64 H100 for 14 days": {"by": "gpus", "gpus": "64", "time": "14 d"},
    "A small laboratory: 1e21 FLOP": {},
    "The frontier: 1e25 FLOP": {"C": "1e25", "D": "20T"},
    "One card of 24 GB to serve it": {"C": "1e22", "serve": "24 GB", "fit": "yes", "context": "4k", "sequences": "1"},
    "Our own small networks": {"law": "our-runs-the-open-table", "C": "1e14", "price": "paper"},
}


@dataclass(frozen=True, slots=True)
class Planner(Widget):
    """Fields for a budget, a law and limits; a verdict with its interval, every width beside it, and its memory.

    Parameters
    ----------
    laws : tuple of Explored
        The first is the one that the page begins with.
    """

    laws: tuple[Explored, ...]

    module: ClassVar[str] = "planner"

    def __post_init__(self) -> None:
        """Refuse an empty list, two laws of one name, and examples of laws that are not there."""
        names = [law.slug for law in self.laws]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"the planner needs one or more laws with distinct names, got {names}")

    @property
    def first(self) -> Plan:
        """The plan that the page begins with: the first law, on an H100 by its data sheet."""
        return plan(self.laws[0].law, compute=FLOPS, hardware=H100)

    @property
    def text(self) -> str:
        """The verdict of the plan to begin with, from `precsim.plan`."""
        best = self.first.best
        return (
            f"Under {self.laws[0].name}, {FLOPS:g} FLOP on {H100.name} are best spent on {si(best.N)} parameters and "
            f"{si(best.D)} tokens in {best.choice.width:g} bits: predicted {self.laws[0].predicts} {best.loss:.4f} "
            "nats per token."
        )

    @property
    def static(self) -> str:
        """The verdict and every width of the plan to begin with, for a reader without script."""
        rows = tuple(
            (f"{o.choice.width:g}", si(o.N), si(o.D), f"{o.loss:.4f}", more_compute(o.extra_compute))
            for o in self.first.options
        )
        head = ("bits", "N", "D", f"{self.laws[0].predicts} [nats/token]", "compute to equal the best")
        table = Table(head, rows, "Other budgets, laws and limits need a browser that runs scripts, or precsim plan.")
        return f"<p><strong>{self.text}</strong></p>{table._repr_html_()}"

    @property
    def description(self) -> str:
        """What can be asked, and what is answered, for whoever does not see it."""
        return (
            "Planner: from a budget in FLOP, devices or dollars, a law and limits of memory and data to the best "
            "number of parameters, tokens and bits, with what every other width wastes and what memory it takes."
        )

    @property
    def reading(self) -> str:
        """How it is read, for the caption."""
        return (
            "Fields: the budget, the law and what limits a run; verdict: the choice with the least loss. Mark"
            " of the curve: a width; hatched: beyond the runs of the law or refused."
        )

    @property
    def state(self) -> dict[str, Any]:
        """Laws, devices, shapes of served models and examples, in JSON types; numbers are not rounded."""
        there = {law.slug for law in self.laws}
        examples = [
            {"name": name, "fields": dict(fields)}
            for name, fields in PRESETS.items()
            if fields.get("law", self.laws[0].slug) in there
        ]
        data = {
            "laws": [law.state for law in self.laws],
            "devices": {slug: _device(slug) for slug in HARDWARE},
            "models": {slug: _model(slug) for slug in MODELS},
            "presets": examples,
            "colors": list(BITS),
            "gray": GRAY,
        }
        return {"data": data}


def planner(*laws: Explored) -> Planner:
    """Return a page that plans with one or more laws as `precsim.plan` does, without a kernel.

    Parameters
    ----------
    *laws : Explored
        With a base; a law's draws give its plans their intervals.

    Raises
    ------
    ValueError
        If there is no law, or two have one name.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> from precsim.view import Explored
    >>> shown = planner(Explored("Kumar 2024", KUMAR_2024, (3e7, 2.2e8), (1.5e9, 2.6e10), "Printed constants."))
    >>> shown.text[:75]
    'Under Kumar 2024, 1e+21 FLOP on H100 SXM are best spent on 4.73G parameters'
    """
    return Planner(laws)


def _device(slug: str) -> dict[str, Any]:
    """What the script reads of a device; its prices are those of `Hardware.price`."""
    one = HARDWARE[slug]
    return {
        "slug": slug,
        "name": one.name,
        "rate": one.rate(16.0),
        "memory": one.memory,
        "utilization": one.utilization,
        "price": [[bits, one.price(bits)] for bits in one.peak],
        "source": one.source,
    }


def _model(slug: str) -> dict[str, Any]:
    """What the KV cache of a served model is made of."""
    one = MODELS[slug]
    return {
        "name": one.name,
        "N": one.N,
        "layers": one.layers,
        "kv_heads": one.kv_heads,
        "head_size": one.head_size,
    }
