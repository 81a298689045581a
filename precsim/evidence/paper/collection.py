"""All figures, tables and claims in the order of the paper, as rows of text."""

from __future__ import annotations

from precsim.evidence.paper import (
    after_training,
    effective_parameters,
    float_formats,
    multiplicativity,
    other_settings,
    robustness,
    tables,
    verdicts,
    what_to_buy,
    which_tensor,
)
from precsim.evidence.paper.exhibits import Exhibit


def _place(exhibit: Exhibit) -> tuple[bool, int]:
    return exhibit.number.startswith("T"), int(exhibit.number[1:])


#: Figures 1 to 21, then tables 1 and 2.
EXHIBITS: tuple[Exhibit, ...] = tuple(
    sorted(
        (
            e
            for part in (
                after_training,
                robustness,
                effective_parameters,
                multiplicativity,
                which_tensor,
                float_formats,
                other_settings,
                what_to_buy,
                tables,
            )
            for e in part.EXHIBITS
        ),
        key=_place,
    )
)


def exhibit(number: str) -> Exhibit:
    """The figure or table of this number, for example "F2" or "T1".

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> exhibit("F9").shows
    'Cost of inference N P: P* grows with log C; N*, D* are powers.'
    """
    for one in EXHIBITS:
        if one.number == number:
            return one
    raise ValueError(f"no exhibit {number!r}; there are {', '.join(e.number for e in EXHIBITS)}")


def exhibits() -> tuple[tuple[str, str, str, str, str], ...]:
    """(number, what it shows, from the published constants, from our runs, agreement) of every figure and table."""
    rows = []
    for e in EXHIBITS:
        found = e.compare()
        rows.append((e.number, e.shows, found.constants, found.ours, found.agreement))
    return tuple(rows)


def claims() -> tuple[tuple[str, str, str, str], ...]:
    """(number, claim, verdict, evidence) of every claim."""
    found = []
    for claim in verdicts.CLAIMS:
        verdict, evidence = claim.judge()
        found.append((str(claim.number), claim.says, verdict.value, evidence))
    return tuple(found)
