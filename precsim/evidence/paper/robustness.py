"""Figures about rounding after training in few bits: less damage, one law, and N_eff in the place of N."""

from __future__ import annotations

import functools

import numpy as np

from precsim import laws
from precsim.evidence import findings, fitted, resampling, rows
from precsim.evidence.editions import Reader
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.after_training import diagonal, guess
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit, fit
from precsim.runs import Table, slices


@functools.cache
def robust_fit(of: Reader = open_table) -> Fit:
    """`precsim.evidence.fitted.robust`, with the bracket of robustness."""
    return fitted.robust(of())


@functools.cache
def explained(of: Reader = open_table) -> tuple[findings.Finding, ...]:
    """R² of ln δ of single models with the bracket and without it, as `precsim.evidence.findings.unified_law` finds."""
    return findings.unified_law(of())


def unified() -> Compared:
    """Figure 7: δ after low-precision training."""
    said = "No value of C_w is printed, so the constants cannot draw it. The paper gives R² 0.90 over 1000 points."
    robust, (both, plain) = robust_fit(), explained()
    gain, rate = resampling.parameter(robust, "C_w"), resampling.of_law(robust, lambda law: 1 / law.gamma_post)
    text = f"C_w {gain:.2f}, weights alone; R² {both.value:.3f} over {both.rows} points; without the bracket "
    text += f"{plain.value:.3f}. δ at 3 bits, over that of networks trained in full precision: "
    less = {b: our_fits.lessened()[b] for b in (4.0, 5.0, 6.0)}
    text += ", ".join(f"{v:.2f} after training at {b:.0f} bits" for b, v in less.items()) + "."
    agree = f"Same form{', same sign' if less[4.0].high < 1 else ''}. Equation 10 has C_w = 1, {gain.against(1.0)} our "
    return Compared(said, text, agree + f"interval; it is consistent only at C_w = 1/γ, which is {rate:.2f} here.")


def _low(few: Table) -> Table:
    """Networks trained in few bits, δ positive."""
    return few.loc[np.isfinite(few["weights"]) & (few["delta"] > 0)]


def draw_unified() -> Drawing:
    """Predicted against measured δ of networks trained in few bits, means over networks."""
    cells, law = slices.cells(rows.trained_and_rounded(open_table())), robust_fit().law
    at, points = guess(law, cells), {}
    for b in (4.0, 5.0, 6.0, 8.0):
        here = (cells["weights"] == b).to_numpy() & (at > 0) & (cells["delta"] > 0).to_numpy()
        points[f"trained at {b:.0f} bits"] = (at[here], cells["delta"].to_numpy(float)[here])
    return diagonal(points)


def _effective(some: Table, of: Reader = open_table) -> Table:
    """Rows with N_eff by our f in the place of N."""
    factor = laws.Composite((our_fits.weights_fit(of=of).law.parts[1],))
    return some.assign(N=factor.n_eff(some["N"].to_numpy(float), weights=some["weights"].to_numpy(float)))


@functools.cache
def effective_fit(of: Reader = open_table) -> Fit:
    """The law of `robust_fit` fitted with N_eff of the training bits in the place of N."""
    cells = _effective(slices.cells(rows.trained_and_rounded(of())), of)
    return fit(laws.RobustDegradation(C_a=1.0, C_kv=1.0), cells, strict=False)


def effective_scores(of: Reader = open_table) -> tuple[Number, Number, int]:
    """(R² of δ with N_eff, with N, points), of networks trained in few bits alone."""
    low = _low(rows.trained_and_rounded(of()))
    guesses = guess(effective_fit(of).law, _effective(low, of)), guess(robust_fit(of).law, low)
    with_n_eff, with_n = (resampling.share_explained(low, "delta", g) for g in guesses)
    return with_n_eff, with_n, len(low)


def with_effective_size() -> Compared:
    """Figure 21: N or N_eff in δ."""
    said = "Numbers were not recovered; the paper says N_eff is substantially stronger."
    effective, plain, count = effective_scores()
    text = f"R² of δ of networks trained in few bits {effective:.3f} with N_eff, {plain:.3f} with N, {count} points."
    apart = effective.low > plain.high or effective.high < plain.low
    word = "better" if effective.value > plain.value else "worse"
    agree = f"R² changes by {effective.value - plain.value:+.4f}: "
    return Compared(
        said, text, agree + (f"N_eff fits {word}." if apart else "the intervals overlap, no difference is seen.")
    )


def draw_effective_ours() -> Drawing:
    """Predicted against measured δ of networks trained in few bits, with N and with N_eff."""
    low = _low(rows.trained_and_rounded(open_table()))
    low = low.loc[(low["seed"] == 0) & (low["language_seed"] == 0)]
    points = {
        "with N_eff": (guess(effective_fit().law, _effective(low)), low["delta"]),
        "with N": (guess(robust_fit().law, low), low["delta"]),
    }
    return diagonal(points)


EXHIBITS = (
    Exhibit(
        number="F7",
        shows="Models trained in fewer bits are damaged less; one law for δ.",
        compare=unified,
        ours=draw_unified,
    ),
    Exhibit(
        number="F21",
        shows="δ with N_eff in the place of N.",
        compare=with_effective_size,
        ours=draw_effective_ours,
    ),
)
