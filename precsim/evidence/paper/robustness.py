"""Figures about rounding after training in few bits: less damage, one law, and N_eff in the place of N."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.paper import doubt, our_fits
from precsim.evidence.paper.after_training import diagonal, guess
from precsim.evidence.paper.exhibits import NO_TABLE, Drawing, Exhibit, Finding
from precsim.fitting.fits import fit


@functools.cache
def unified_fit(robust: bool) -> Any:
    """(fit, rows) of δ after training at any bits, with the bracket of robustness or without it."""
    import pandas as pd

    rows = pd.concat([our_fits.rounded(our_fits.in_full()), our_fits.again()])
    form = laws.RobustDegradation(C_a=1.0, C_kv=1.0, b=0.0) if robust else laws.KumarDegradation()
    return fit(form, rows, strict=False), rows


def unified() -> Finding:
    """Figure 7: δ after low-precision training."""
    said = "No value of C_w is printed, so the constants cannot draw it. The paper gives R² 0.90 over 1000 points."
    if not len(our_fits.again()):
        return Finding(said, NO_TABLE, "Nothing to compare.")
    (robust, rows), (plain, _) = unified_fit(True), unified_fit(False)
    gain, rate = doubt.parameter(robust, "C_w"), doubt.fitted(robust, lambda law: 1 / law.gamma_post)
    text = f"C_w {gain:.2f}, R² {robust.r2:.3f} over {len(rows)} points; without the bracket {plain.r2:.3f}. "
    less = {b: lessened(b) for b in (4.0, 5.0, 6.0)}
    text += "δ at 3 bits, over that of the partner trained in full precision: "
    text += ", ".join(f"{v:.2f} after training at {b:.0f} bits" for b, v in less.items()) + "."
    agree = f"Same form{', same sign' if less[4.0].high < 1 else ''}. Equation 10 has C_w = 1, {gain.against(1.0)} our "
    return Finding(said, text, agree + f"interval; it is consistent only at C_w = 1/γ, which is {rate:.2f} here.")


def lessened(bits: float, post: float = 3.0) -> doubt.Number:
    """Median over pairs: δ of a network trained at these bits of weights over δ of its partner in full precision."""
    rows = our_fits.rounded(our_fits.main(), low=int(post), high=int(post))
    full = rows[np.isinf(rows["weights"])][[*our_fits.CELL, "delta", "job"]]
    both = rows[rows["weights"] == bits].merge(full, on=our_fits.CELL, suffixes=("", "_full"))
    both = both.assign(ratio=both["delta"] / both["delta_full"])
    return doubt.median(both, "ratio")


def draw_unified() -> Drawing:
    """Predicted against measured δ of networks trained in few bits."""
    found, rows = unified_fit(True)
    at, points = guess(found.law, rows), {}
    for b in (4.0, 5.0, 6.0, 8.0):
        here = (rows["weights"] == b).to_numpy() & (at > 0)
        points[f"trained at {b:.0f} bits"] = (at[here], rows["delta"].to_numpy(float)[here])
    return diagonal(points)


def _effective(rows: Any) -> Any:
    factor = our_fits.training_fit(our_fits.OFFSET).law.parts[1]
    return laws.Composite((factor,)).n_eff(rows["N"].to_numpy(float), weights=rows["weights"].to_numpy(float))


@functools.cache
def effective_fit() -> Any:
    """The unified form fitted with N_eff of the training bits in the place of N."""
    _, rows = unified_fit(True)
    form = laws.RobustDegradation(C_a=1.0, C_kv=1.0, b=0.0)
    return fit(form, rows.assign(N=_effective(rows)), strict=False)


def effective_scores() -> tuple[doubt.Number, doubt.Number, int]:
    """(R² of δ with N_eff, with N, points), of networks trained in few bits alone."""
    plain, rows = unified_fit(True)
    low = rows[np.isfinite(rows["weights"])]
    guesses = guess(effective_fit().law, low.assign(N=_effective(low))), guess(plain.law, low)
    with_n_eff, with_n = (doubt.shares_of_variance(low["delta"], g, low["job"]) for g in guesses)
    return with_n_eff, with_n, len(low)


def with_effective_size() -> Finding:
    """Figure 21: N or N_eff in δ."""
    said = "Numbers were not recovered; the paper says N_eff is substantially stronger."
    if not len(our_fits.again()):
        return Finding(said, NO_TABLE, "Nothing to compare.")
    effective, plain, count = effective_scores()
    text = f"R² of δ of networks trained in few bits {effective:.3f} with N_eff, {plain:.3f} with N, {count} points."
    apart = effective.low > plain.high or effective.high < plain.low
    word = "better" if effective.value > plain.value else "worse"
    agree = f"R² changes by {effective.value - plain.value:+.4f}: "
    return Finding(
        said, text, agree + (f"N_eff fits {word}." if apart else "the intervals overlap, no difference is seen.")
    )


def draw_effective_ours() -> Drawing:
    """Predicted against measured δ of networks trained in few bits, with N and with N_eff."""
    plain, rows = unified_fit(True)
    low = rows[np.isfinite(rows["weights"]) & (rows["seed"] == 0) & (rows["language_seed"] == 0)]
    points = {
        "with N_eff": (guess(effective_fit().law, low.assign(N=_effective(low))), low["delta"]),
        "with N": (guess(plain.law, low), low["delta"]),
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
