"""Every derivation by its name: what the pages show and the tests walk."""

from __future__ import annotations

from collections.abc import Mapping

from precsim.symbolic import emergence, largest, propagation, roundoff, tails, teacher, truncation, widths
from precsim.symbolic.steps import Derivation, collected

__all__ = ["DERIVATIONS", "derivation"]

#: ``teacher.loss`` → its derivation; modules in the order of the book.
DERIVATIONS: Mapping[str, Derivation] = collected(
    roundoff, truncation, largest, tails, teacher, widths, emergence, propagation
)


def derivation(name: str) -> Derivation:
    """Return the derivation of this name.

    Raises
    ------
    ValueError
        If there is none; the message lists those that there are.

    Examples
    --------
    >>> [step.result for step in derivation("roundoff.stochastic_error").steps]
    [0, -h**2*nu*(nu - 1), h**2/6]
    """
    if name not in DERIVATIONS:
        raise ValueError(f"no derivation {name!r}; there are {', '.join(DERIVATIONS)}")
    return DERIVATIONS[name]
