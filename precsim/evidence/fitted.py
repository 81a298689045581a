"""Laws fitted to the named selections of the open table: one fit behind every constant, f, P* and turn of the book.

All are fitted to means over cells of equal N, D and bits, because a law describes means: at 6 bits δ of one model is
mostly luck and can be negative, and whoever fits single models has to leave those out. The paper fits single runs;
where its tables are made again with ours, `precsim.evidence.paper` says so.
"""

from __future__ import annotations

from precsim import laws
from precsim.evidence import rows
from precsim.fitting.fits import Fit, fit
from precsim.laws import ACTIVATIONS, KV, WEIGHTS, Law
from precsim.runs import Table, slices

#: The factor of training bits that the chapters use.
SATURATING = laws.Saturating(WEIGHTS)


def base(table: Table, form: Law | None = None) -> Fit:
    """The law of the gap in full precision, by default Chinchilla's, of `precsim.evidence.rows.full_precision`.

    For A, B, α, β everywhere, and as the given base of factors.
    """
    return fit(form or laws.Chinchilla(E=0.0), slices.cells(rows.full_precision(table)), strict=False)


def damage(table: Table, method: str = "rtn") -> Fit:
    """The law of δ by Kumar's form, of `precsim.evidence.rows.damage`.

    For C_T, γ_D, γ_N and γ_post of a method of rounding, everywhere.
    """
    return fit(laws.KumarDegradation(), slices.cells(rows.damage(table, method=method)), strict=False)


def served(table: Table, form: Law | None = None) -> Fit:
    """`base` and `damage` (or another form of δ) as one law, drawn again together: for turns and P* of serving."""
    return fit_served(served_cells(table), form)


def served_cells(table: Table) -> Table:
    """Cells behind `served`: gaps as trained, and δ."""
    trained, rounded = (slices.cells(kept(table)) for kept in (rows.full_precision, rows.damage))
    return trained.merge(rounded, how="outer")


def fit_served(cells: Table, form: Law | None = None) -> Fit:
    """The law of `served` of other cells, for example without a size."""
    return fit(laws.Chinchilla(E=0.0) | (form or laws.KumarDegradation()), cells, strict=False)


def weights(table: Table, factor: Law = SATURATING, *, least: float = 2) -> Fit:
    """The law of gaps with weights trained in few bits, of `precsim.evidence.rows.trained_weights`.

    For f(P) and P* of the weights, everywhere.

    Parameters
    ----------
    table : DataFrame
    factor : Law
        The form of f.
    least : float
        Fewest bits in the fit: 3 where the paper's forms are compared, because its offset is negative at 2.
    """
    cells = slices.cells(rows.trained_weights(table))
    return fit(laws.Chinchilla(E=0.0) | factor, cells.loc[cells["weights"] >= least], strict=False)


def tensors(table: Table, scaling: str) -> Fit:
    """The law with a factor for each tensor, activations scaled by "tensor" or "token".

    Of `precsim.evidence.rows.parts`, for P* with all three tensors in equally many bits.
    """
    factors = laws.Saturating(WEIGHTS) | laws.Saturating(ACTIVATIONS) | laws.Saturating(KV)
    some = rows.parts(table)
    some = some.loc[some["activations_scaling"].isin(["", scaling])]
    return fit(laws.Chinchilla(E=0.0) | factors, slices.cells(some), strict=False)


def robust(table: Table, form: Law | None = None) -> Fit:
    """The law of δ for both precisions, of `precsim.evidence.rows.trained_and_rounded`: C_w.

    By default the paper's form for weights alone; `laws.KumarDegradation` is the one that does not know of training.
    """
    form = form or laws.RobustDegradation(C_a=1.0, C_kv=1.0)
    return fit(form, slices.cells(rows.trained_and_rounded(table)), strict=False)
