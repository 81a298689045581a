"""Figures about weights trained as floats: the same form, and exponent against significand bits."""

from __future__ import annotations

import functools
import re

import numpy as np

from precsim import laws
from precsim.evidence import resampling
from precsim.evidence import rows as selections
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit, fit
from precsim.laws import WEIGHTS
from precsim.laws.published import KUMAR_2024, KUMAR_2024_FLOAT
from precsim.runs import Table

#: Exponent and significand bits of the paper's float of each width that our batch of formats has.
PAPERS_SPLIT = {4: (3, 0), 6: (3, 2), 8: (5, 2)}


@functools.cache
def pairs() -> Table:
    """Networks with weights alone in few bits by channel, beside their partners.

    Columns added: share; exponent and fraction (bits of a float's fields, -1 for integers).
    """
    rows = our_fits.shares(selections.paired(selections.beside(open_table(), "formats")))
    mine = np.isinf(rows["activations"]) & np.isinf(rows["kv"]) & (rows["weights_scaling"] == "channel")
    rows = rows.loc[mine & rows["weights_format"].str.match(r"(INT\d$|FP\d_E\dM\d$)")]
    fields = [_fields(str(name)) for name in rows["weights_format"]]
    return rows.assign(exponent=[e for e, _ in fields], fraction=[m for _, m in fields])


def _fields(name: str) -> tuple[int, int]:
    found = re.search(r"E(\d)M(\d)", name)
    return (int(found[1]), int(found[2])) if found else (-1, -1)


def penalty(rows: Table) -> Number:
    """Median penalty of rows [nats/token]; cells are drawn again."""
    return resampling.median(rows, "penalty", unit=our_fits.PAIR)


def of_split(exponent: int, fraction: int) -> Table:
    """Pairs of one float format; exponent -1: none."""
    rows = pairs()
    return rows.loc[(rows["exponent"] == exponent) & (rows["fraction"] == fraction)]


def best_splits() -> dict[int, tuple[int, int]]:
    """The split of each width that costs least at the median."""
    rows = pairs()
    rows = rows[rows["exponent"] >= 0]
    median = rows.groupby(["exponent", "fraction"])["penalty"].median()
    found: dict[int, tuple[int, int]] = {}
    for e, m in median.index:
        width = 1 + e + m
        if width not in found or median[e, m] < median[found[width]]:
            found[width] = (e, m)
    return dict(sorted(found.items()))


@functools.cache
def fitted(splits: tuple[tuple[int, int], ...]) -> Fit:
    """Offset form in the total bits of floats with these splits, with the networks in full precision; () : integers.

    Of single networks: a cell of this batch has one or two.
    """
    rows = pairs()
    kept = rows.loc[rows[["exponent", "fraction"]].apply(tuple, axis=1).isin(splits or [(-1, -1)])]
    kept = kept.loc[kept["weights"] >= 3]
    base = selections.untreated(selections.in_full(selections.beside(open_table(), "formats")))
    some = selections.joined(base.loc[base["job"].isin(rows["partner"])], kept)
    return fit(laws.Chinchilla(E=0.0) | laws.Offset(WEIGHTS), some, strict=False)


def form() -> Compared:
    """Figure 16: float weights against the form of integers."""
    k, f = KUMAR_2024, KUMAR_2024_FLOAT
    said = (
        f"γ_w {f.gamma_w:.2f} for floats, {k.gamma_w:.2f} for integers, {f.gamma_w / k.gamma_w:.2f} times; f of floats "
    )
    said += ", ".join(f"{float(f.n_eff(1.0, weights=b)):.2f}" for b in (4.0, 6.0, 8.0)) + " at 4, 6, 8 bits."
    theirs, best, integers = (fitted(tuple(s)) for s in (PAPERS_SPLIT.values(), best_splits().values(), ()))
    text = "Offset form in the total bits: "
    for words, found in (("integers", integers), ("the paper's splits", theirs), ("the best splits", best)):
        text += f"{words} γ {resampling.parameter(found, 'gamma_w'):.2f}, f(4) "
        text += f"{resampling.of_law(found, lambda law: law.n_eff(1.0, weights=4.0)):.2f}, R² {found.r2:.3f}; "
    four = {name: penalty(rows) for name, rows in (("E2M1", of_split(2, 1)), ("INT4", _integer(4)))}
    text += "median penalty " + ", ".join(f"{n} +{v:.4f}" for n, v in four.items()) + " nats."
    gamma = resampling.parameter(best, "gamma_w")
    there, here = f.gamma_w / k.gamma_w, gamma.value / integers.law.gamma_w
    agree = (
        f"The form serves floats: R² {min(theirs.r2, best.r2):.3f} or more. γ of floats over γ of integers {here:.2f} "
    )
    agree += (
        f"here, {there:.2f} there; our integers' γ lies {gamma.against(integers.law.gamma_w)} the floats' interval. "
    )
    agree += f"At 4 bits E2M1 costs {ratio_to_integers():.2f} times what INT4 costs. The best split is "
    agree += ", ".join(f"E{e}M{m} of {w} bits" for w, (e, m) in best_splits().items()) + "."
    return Compared(said, text, agree)


def _integer(bits: int) -> Table:
    rows = pairs()
    return rows.loc[(rows["exponent"] < 0) & (rows["weights"] == bits)]


def ratio_to_integers() -> Number:
    """Median over cells of the penalty of E2M1 over that of INT4."""
    both = of_split(2, 1)[["partner", "N", "D", "penalty"]].merge(
        _integer(4)[["partner", "penalty"]], on="partner", suffixes=("", "_i")
    )
    both = both.assign(ratio=both["penalty"] / both["penalty_i"])
    return resampling.median(both, "ratio", unit=our_fits.PAIR)


def draw_form() -> Drawing:
    """Factors of float and integer weights by the constants."""
    b = np.linspace(3.2, 12, 60)
    lines = {
        name: (b, law.n_eff(1.0, weights=b)) for name, law in (("floats", KUMAR_2024_FLOAT), ("integers", KUMAR_2024))
    }
    return Drawing(lines, {}, "P [bits]", "N_eff / N [1]", level=1.0)


def draw_form_ours() -> Drawing:
    """Factors of float and integer weights: medians by equation 30, and fits of the offset form."""
    b, lines, points = np.linspace(3.2, 8.5, 60), {}, {}
    kinds = {"integers": (), "floats, the paper's splits": tuple(PAPERS_SPLIT.values())}
    kinds["floats, best splits"] = tuple(best_splits().values())
    rows = pairs()
    for words, splits in kinds.items():
        lines[words] = (b, fitted(splits).law.n_eff(1.0, weights=b))
        some = rows[rows[["exponent", "fraction"]].apply(tuple, axis=1).isin(splits or [(-1, -1)])]
        median = some[some["weights"] >= 3].groupby("weights")["share"].median()
        points[words] = (median.index, median)
    return Drawing(lines, points, "P [bits]", "N_eff / N [1]", level=1.0)


def sweep(*, exponent: int | None = None, fraction: int | None = None) -> dict[int, Number]:
    """Penalty of the formats with one field fixed, by the bits of the other field."""
    rows = pairs()
    fixed, free = ("exponent", "fraction") if exponent is not None else ("fraction", "exponent")
    some = rows[rows[fixed] == (exponent if exponent is not None else fraction)]
    return {int(bits): penalty(kept) for bits, kept in some.groupby(free)}


def splits() -> Compared:
    """Figure 17: exponent and significand bits apart."""
    said = "No constants for the two sweeps are printed; both saturate there, at different rates."
    significand, exponents = sweep(exponent=3), {m: sweep(fraction=m) for m in (1, 2, 3)}
    text = "Median penalty, E3Mx: " + ", ".join(f"M{m} {v:.4f}" for m, v in significand.items())
    for m, found in exponents.items():
        text += f"; ExM{m}: " + ", ".join(f"E{e} {v.value:.4f}" for e, v in found.items())
    falls = significand[0].value / significand[2].value
    agree = f"Two significand bits more, from E3M0 to E3M2, divide the penalty by {falls:.1f}, and the next two "
    agree += "lower it again. " if significand[max(significand)].high < significand[2].value else "are not seen. "
    flat = [
        f"M{m} from E{min(f)} to E{max(f)} {f[max(f)].value / f[min(f)].value:.2f} times" for m, f in exponents.items()
    ]
    second = exponents[2]
    agree += "Exponent bits: penalty at " + ", ".join(flat) + ". "
    beyond = "gives nothing" if second[max(second)].high > second[2].low else "still gains"
    return Compared(
        said, text + " nats.", agree + f"Beyond E2 a further exponent bit {beyond}: rates differ, as there."
    )


def draw_splits_ours() -> Drawing:
    """Penalty against total bits, one line for each sweep."""
    lines = {}
    for words, found, bits in (
        ("E3Mx", sweep(exponent=3), lambda m: 4 + m),
        ("E2Mx", sweep(exponent=2), lambda m: 3 + m),
        ("ExM1", sweep(fraction=1), lambda e: 2 + e),
        ("ExM2", sweep(fraction=2), lambda e: 3 + e),
        ("ExM3", sweep(fraction=3), lambda e: 4 + e),
    ):
        lines[words] = ([bits(x) for x in found], [v.value for v in found.values()])
    return Drawing(
        lines, lines, "total bits of the float [bits]", "median loss above full precision [nats/token]", log_y=True
    )


EXHIBITS = (
    Exhibit(
        number="F16",
        shows="Float weights follow the same form.",
        compare=form,
        published=draw_form,
        ours=draw_form_ours,
    ),
    Exhibit(
        number="F17",
        shows="Exponent and significand bits saturate at different rates.",
        compare=splits,
        ours=draw_splits_ours,
    ),
)
