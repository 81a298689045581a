"""All figures, tables and claims in the order of the paper, as rows of text."""

from __future__ import annotations

from precsim.evidence.editions import Reader
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
from precsim.evidence.paper.exhibits import NOT_JUDGED, Exhibit
from precsim.evidence.rows import open_table


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


def claims(of: Reader = open_table) -> tuple[tuple[str, str, str, str], ...]:
    """(number, claim, verdict, evidence) of every claim, by the runs of an edition and one rule for each claim.

    Parameters
    ----------
    of : callable
        Reads the runs: the open table, or the standard block of its second edition
        (`precsim.evidence.editions.standard_table`).
    """
    batches = set(of()["batch"])
    found = []
    for claim in verdicts.CLAIMS:
        if claim.batch and claim.batch not in batches:
            words = f"No run: this edition has no batch of {claim.batch}."
            found.append((str(claim.number), claim.says, NOT_JUDGED, words))
            continue
        verdict, evidence = claim.judge(of)
        if claim.of:
            evidence += f" Of {claim.of(of())['job'].nunique():,} networks."
        found.append((str(claim.number), claim.says, verdict.value, evidence))
    return tuple(found)
