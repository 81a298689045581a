"""Bits in training and bits after it in one law, fitted to a table of runs in four forms.

The law of kumar2024, equations 8 to 11, has two claims that a table can test: damage after training is less for models
trained in few bits, by a factor for each tensor, and it is N_eff, not N, that the damage falls with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from precsim.equality import Record
from precsim.evidence import rows
from precsim.evidence.rows import TENSORS
from precsim.fitting.comparison import ByData, Comparison, compare
from precsim.fitting.fits import Fit, fit
from precsim.fitting.uncertainty import Interval
from precsim.laws import (
    ACTIVATIONS,
    KV,
    WEIGHTS,
    Chinchilla,
    Composite,
    KumarDegradation,
    Law,
    RobustDegradation,
    Saturating,
)
from precsim.runs import Table, slices

__all__ = ["Unified", "remaining", "unify"]

_ORIGINS = (0.2, 0.3, 0.4, 0.5)  # shares of the rows of most tokens, held out in turn


@dataclass(frozen=True, eq=False)
class Unified(Record):
    """Four forms of δ, fitted to cells of trained bits and bits after training.

    Attributes
    ----------
    trained : Fit
        Of the losses as trained, which gives N_eff.
    forms : dict of str to Law
        Words for each form → the form as it was fitted, N_eff's factors given.
    fits : dict of str to Fit
        The same words → the fit to `inside`.
    judged : Comparison
        The forms, in this order, on held-out rows of most tokens.
    inside : DataFrame
        Cells in which every tensor was trained at more bits than the weights have afterwards: where the product speaks.
    outside : DataFrame
        Cells in which the weights were, but activations or KV cache were not: there the product is zero.
    """

    trained: Fit
    forms: dict[str, Law]
    fits: dict[str, Fit]
    judged: Comparison
    inside: Table
    outside: Table


def unify(runs: Table, *, rng: np.random.Generator, posts: tuple[float, ...] = (3.0, 4.0)) -> Unified:
    """Fit δ of weights rounded after training, of models trained with any tensors quantized, in four forms.

    Parameters
    ----------
    runs : DataFrame
        From `precsim.runs.load_runs`, with a batch "parts" in which several tensors are quantized in training.
    rng : numpy.random.Generator
        For the intervals of the comparison.
    posts : tuple of float
        Widths after training that are used.

    Notes
    -----
    N_eff comes from a fit to all losses as trained; only δ is held out in the comparison.
    """
    losses = slices.cells(rows.parts(runs))
    factors = Saturating(WEIGHTS) | Saturating(ACTIVATIONS) | Saturating(KV)
    trained = fit(Chinchilla() | factors, losses, strict=False)
    shrunk = Composite(trained.law.factors)
    cells = slices.cells(rows.parts_rounded(runs, posts))
    above = cells[list(TENSORS)].to_numpy() > cells["post"].to_numpy()[:, None]
    inside, outside = cells.loc[above.all(axis=1)], cells.loc[above[:, 0] & ~above.all(axis=1)]
    forms = {
        "no product, N": KumarDegradation(),
        "no product, N_eff": shrunk | KumarDegradation(),
        "product, N": RobustDegradation(),
        "product, N_eff": shrunk | RobustDegradation(),
    }
    fits = {name: fit(form, inside, strict=False) for name, form in forms.items()}
    judged = compare(tuple(forms.values()), inside, split=ByData(_ORIGINS), rng=rng)
    return Unified(trained, forms, fits, judged, inside.reset_index(drop=True), outside.reset_index(drop=True))


def remaining(
    found: Unified, *, rng: np.random.Generator, n: int = 1000, level: float = 0.95
) -> tuple[float, Interval]:
    """Share of the damage of a full-precision model that is left where the product says zero.

    The ratio of δ of each cell of `outside` to that of the model of equal N, D and bits after training which was
    trained in full precision; the mean over cells and its interval by resampling (N, D).
    """
    full = found.inside.loc[np.isinf(found.inside[list(TENSORS)]).all(axis=1)]
    keys = ["N", "D", "post"]
    both = found.outside.loc[np.isinf(found.outside["weights"])].merge(
        full[[*keys, "delta"]], on=keys, suffixes=("", "_full")
    )
    ratio = (both["delta"] / both["delta_full"]).to_numpy()
    cell = np.unique(both[["N", "D"]].to_numpy(), axis=0, return_inverse=True)[1].ravel()
    sums, counts = np.bincount(cell, ratio), np.bincount(cell)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=n)
    low, high = np.percentile(drawn @ sums / (drawn @ counts), [50 * (1 - level), 50 * (1 + level)])
    return float(ratio.mean()), Interval(float(low), float(high), level, "bootstrap of (N, D)", n)
