"""What our runs say, computed once: the open table's selections and laws that more than one figure or claim needs.

A constant that the chapters print too comes from `precsim.evidence.fitted`, and a number that they print from
`precsim.evidence.findings`. Single networks (`main`) are for what the paper reads off single runs. `of` reads the table
that is asked: the open table, or the standard block of its second edition (`precsim.evidence.editions`).
"""

from __future__ import annotations

import functools

import numpy as np

from precsim import laws
from precsim.evidence import findings, fitted, rows
from precsim.evidence.editions import Reader
from precsim.evidence.findings.damage import rising
from precsim.evidence.resampling import Number, explained, number, redraw
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit
from precsim.laws import WEIGHTS, Law
from precsim.runs import Table

OFFSET, SATURATING, PLAIN = (kind(WEIGHTS) for kind in (laws.Offset, laws.Saturating, laws.Plain))
PAIR = ("partner",)  # the unit of everything read off pairs: networks with one partner in full precision


# -- laws ------------------------------------------------------------------------------------------------------------


@functools.cache
def served_fit(of: Reader = open_table) -> Fit:
    """`precsim.evidence.fitted.served`: α, β, C_T, γ_D, γ_N and γ together."""
    return fitted.served(of())


@functools.cache
def damage_fit(method: str = "rtn", of: Reader = open_table) -> Fit:
    """`precsim.evidence.fitted.damage` of a method of rounding."""
    return fitted.damage(of(), method)


@functools.cache
def weights_fit(factor: Law = SATURATING, least: float = 2, of: Reader = open_table) -> Fit:
    """`precsim.evidence.fitted.weights`: f and P* of the weights; from 3 bits where forms are compared."""
    return fitted.weights(of(), factor, least=least)


@functools.cache
def tensors_fit(scaling: str, of: Reader = open_table) -> Fit:
    """`precsim.evidence.fitted.tensors`: P* of all three tensors."""
    return fitted.tensors(of(), scaling)


@functools.cache
def part_fit(part: findings.Part) -> Fit:
    """`precsim.evidence.findings.factor_of`: f of a tensor, for comparing tensors."""
    return findings.factor_of(open_table(), part)


# -- numbers of the chapters -------------------------------------------------------------------------------------------


@functools.cache
def turns(of: Reader = open_table) -> tuple[findings.Turn, ...]:
    """`precsim.evidence.findings.turns` at 2, 3, 4, 5 and 8 bits."""
    return findings.turns(of(), bits=(2, 3, 4, 5, 8), law=served_fit(of))


@functools.cache
def lessened(post: float = 3.0, of: Reader = open_table) -> dict[float, Number]:
    """δ at these bits after training in few, over δ after full precision: `precsim.evidence.findings.damage_ratios`."""
    widths, ratio = findings.damage_ratios(of(), post)
    return {width: number(values) for width, values in zip(widths, ratio.T, strict=True)}


@functools.cache
def damage_explained(method: str = "rtn", of: Reader = open_table) -> tuple[Number, Table]:
    """(R² of ln δ of single models by the law of their cells, their rows)."""
    some = rows.damage(of(), method=method)
    said = damage_fit(method, of).law(some["N"], some["D"], post=some["post"])
    return number(explained(some["delta"], said, redraw(some).counts)), some


def rises(method: str = "rtn") -> float:
    """Share of the steps from one budget to the next in which mean δ rises."""
    return float(rising(redraw(rows.damage(open_table(), method=method)), ["N", "post"], "D")[0])


# -- single networks ---------------------------------------------------------------------------------------------------


@functools.cache
def main(of: Reader = open_table) -> Table:
    """All networks of the selection `precsim.evidence.rows.networks`, read once."""
    return rows.networks(of())


def training_rows(of: Reader = open_table) -> Table:
    """Networks as trained, weights at 3 bits or more."""
    trained = rows.untreated(main(of))
    return trained.loc[trained["weights"] >= 3]


@functools.cache
def penalties(of: Reader = open_table) -> Table:
    """Partners of the main batch: weights alone in few bits."""
    return rows.paired(main(of))


def shares(pairs: Table | None = None, of: Reader = open_table) -> Table:
    """N_eff/N of each network in few bits by the paper's equation 30, with A and α of the base law.

    Parameters
    ----------
    pairs : DataFrame, optional
        From `precsim.evidence.rows.paired`; by default those of the main batch.
    of : callable
        Reads the table whose base law is used.

    Notes
    -----
    A run whose loss is below its partner's has no share below 1; it is kept.
    """
    base = served_fit(of).law
    some = penalties(of) if pairs is None else pairs
    inside = some["penalty"] / base.A + some["N"] ** -base.alpha
    read = np.where(inside > 0, inside.clip(lower=1e-12) ** (-1 / base.alpha) / some["N"], np.nan)
    return some.assign(share=read)
