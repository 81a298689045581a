"""Figures about what to buy: the best bits at equal N·P, and for a cost of inference."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from precsim import laws
from precsim.evidence import resampling
from precsim.evidence import rows as selections
from precsim.evidence.editions import Reader
from precsim.evidence.paper import our_fits, which_tensor
from precsim.evidence.paper.after_training import turn
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.paper.statements import fixed_best_bits, matched_loss
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.laws import Law
from precsim.laws.published import KUMAR_2024
from precsim.runs import Table
from precsim.symbolic.equations import value
from precsim.symbolic.forms import symbol, to_numpy
from precsim.symbolic.widths import serving_optimum, serving_slope

#: Losses printed above the bars of figures 1 and 6 at 16B tokens and equal N P: floats, bits → nats/token. The print
#: does not say which bar is which: this order is inferred from the curve.
BARS = {4: 3.198, 6: 2.997, 8: 3.009, 16: 3.057, 32: 3.233}


def _by_law() -> dict[int, float]:
    return {bits: matched_loss(KUMAR_2024, float(bits)) for bits in BARS}


def matched() -> Compared:
    """Figures 1, right, and 6: equal N·P, and P* of a given size."""
    law = _by_law()
    rms = float(np.sqrt(np.mean([(law[b] - BARS[b]) ** 2 for b in BARS])))
    said = "INT bars at 4, 6, 8, 16, 32 bits: " + ", ".join(f"{v:.3f}" for v in law.values())
    said += f"; printed FP bars, in an order inferred here, differ by {rms:.3f} rms. P* at 15T tokens: " + ", ".join(
        f"{fixed_best_bits(KUMAR_2024, n, 15e12):.1f} ({words})"
        for n, words in ((8e9, "8B"), (70e9, "70B"), (405e9, "405B"))
    )
    found = best_bits()
    text = (
        "P* at equal N·P by our fits: " + ", ".join(f"{n} {v:.1f}" for n, v in found.items()) + " bits; seen at equal "
    )
    text += f"N·P and D: {_seen()}."
    tensor = found["all three, activations by tensor"]
    inside = 3 < tensor.value < 16 and min(law, key=lambda b: law[b]) not in (4, 32)
    agree = "Both have a minimum inside. " if inside else "No minimum inside in one of the two. "
    theirs = float(KUMAR_2024.best_bits())
    agree += f"With all three tensors theirs, {theirs:.1f} bits, lies {tensor.against(theirs)} our interval; "
    agree += f"for weights alone their constants give {_weights_alone():.1f} bits."
    return Compared(said + " bits.", text, agree)


@functools.cache
def best_bits(of: Reader = open_table) -> dict[str, Number]:
    """P* of our fits, size, data and bits free: weights alone, and all three tensors by the scale of activations."""
    star = lambda law: law.best_bits()  # noqa: E731
    found = {"weights alone": resampling.of_law(our_fits.weights_fit(of=of), star)}
    for scaling in which_tensor.scales(of):
        found[f"all three, activations by {scaling}"] = resampling.of_law(our_fits.tensors_fit(scaling, of), star)
    return found


@functools.cache
def growing_bits(budgets: tuple[float, ...] = (1e12, 1e14), of: Reader = open_table) -> dict[float, Number]:
    """P* of the weights at these budgets [FLOP] when f may drift with N and D, by a search over N and P.

    A law without drift has one P* for all budgets.
    """
    found = our_fits.weights_fit(laws.Drifting(laws.Saturating(laws.WEIGHTS), N0=1e5, D0=1e7), of=of)
    return {C: resampling.of_law(found, lambda law, C=C: best_at(law, C)) for C in budgets}


def best_at(law: Law, compute: float) -> float:
    """Bits of the weights of least loss at C = 6 N D P/16, by a search over a grid of N and P [bits]."""
    P, ratio = np.meshgrid(np.arange(2.0, 10.0, 0.05), np.geomspace(5, 2000, 60), indexing="ij")
    total = 16 * compute / (6 * P)
    N = np.sqrt(total / ratio)
    loss = np.asarray(law(N, total / N, weights=P))
    return float(P[np.unravel_index(int(np.argmin(loss)), loss.shape)])


def _weights_alone() -> float:
    return float(laws.Composite((KUMAR_2024.parts[0], KUMAR_2024.parts[1])).best_bits())


def _seen() -> str:
    """Gaps of pairs of networks with nearly equal N·P (within a fifth) at equal D."""
    means = our_fits.training_rows().groupby(["D", "N", "weights"])["gap"].mean().reset_index()
    means["memory"] = means["N"] * means["weights"].clip(upper=32.0)
    fewer, pairs = 0, 0
    for _, some in means.groupby("D"):
        for a in some.itertuples():
            for b in some.itertuples():
                if a.weights in (3.0, 4.0, 5.0) and b.weights == 8.0 and abs(np.log(a.memory / b.memory)) < 0.2:
                    pairs, fewer = pairs + 1, fewer + (a.gap < b.gap)
    return f"the larger network at 3 to 5 bits wins in {fewer} of {pairs} pairs against 8 bits"


def double_size(of: Reader = open_table) -> Table:
    """Networks in full precision beside those about twice as large with weights in few bits; equal in all else.

    In 8 bits, or the most that the table has trained (6 in the second edition, where a win says the more). Columns of
    the former, N_large, bits, and ratio: gap of the larger over gap of the smaller.
    """
    rows = selections.untreated(our_fits.main(of))
    most = rows.loc[np.isfinite(rows["weights"]), "weights"].max()
    same = ["D", "language", "language_seed", "seed"]
    small = rows.loc[np.isinf(rows["weights"]), [*same, "N", "gap", "job"]]
    large = rows.loc[rows["weights"] == most, [*same, "N", "gap"]]
    both = small.merge(large, on=same, suffixes=("", "_large"))
    both = both.loc[(both["N_large"] / both["N"]).between(1.6, 2.6)]
    return both.assign(ratio=both["gap_large"] / both["gap"], bits=most)


def draw_matched() -> Drawing:
    """Bars of the paper and the law, against bits at equal N·P."""
    b = np.geomspace(3.6, 32, 60)
    law = [matched_loss(KUMAR_2024, x) for x in b]
    return Drawing(
        {"law with offsets, integers": (b, law)},
        {"printed, floats": (list(BARS), list(BARS.values()))},
        "P at equal N·P [bits]",
        "loss [nats/token]",
        log_x=True,
    )


def draw_matched_ours() -> Drawing:
    """Our fitted gap at equal N·P, all three tensors, three budgets of data."""
    law = our_fits.tensors_fit("tensor").law
    b, lines = np.geomspace(3.5, 16, 50), {}
    for d in (3e6, 2e7, 1e8):
        lines[f"D = {d:.0e} tokens"] = (b, law(98304 * 8 / b, d, **dict.fromkeys(which_tensor.TENSORS, b)))
    return Drawing(lines, {}, "P at equal N·P, all three tensors [bits]", "gap, by our fit [nats/token]", log_x=True)


def served() -> Compared:
    """Figure 9: the best N, D and P when a served token costs N P."""
    costs = np.array([1e10, 1e12, 1e14])
    found = np.array([serving_optimum(c) for c in costs])
    n, d = (np.polyfit(np.log(costs), np.log(found[:, i]), 1)[0] for i in (0, 1))
    said = "P* " + ", ".join(f"{p:.1f}" for p in found[:, 2]) + " bits at cost 1e10, 1e12, 1e14; "
    said += f"N* ∝ C^{n:.2f}, D* ∝ C^{d:.2f}; {float(value(serving_slope())):.2f} bits per e-fold of size in the end."
    slope = resampling.of_law(our_fits.served_fit(), _slope)
    at = [serve(c) for c in (1e6, 1e8, 1e10)]
    text = "P* " + ", ".join(f"{p:.1f}" for _, _, p in at) + " bits at cost 1e6, 1e8, 1e10; "
    text += f"{slope:.2f} bits per e-fold of size in the end."
    grows = at[0][2] < at[1][2] < at[2][2]
    sign = "has the same sign" if slope.low > 0 else "may have the other sign"
    agree = f"P* {'grows' if grows else 'does not grow'} with log C here too; the slope {sign}, "
    return Compared(said, text, agree + f"{slope.value / float(value(serving_slope())):.1f} times theirs.")


@functools.cache
def _slope_of() -> Callable[..., float]:
    letters = [symbol(n, positive=n != "gamma_N") for n in ("alpha", "beta", "gamma_post", "gamma_D", "gamma_N")]
    return to_numpy(serving_slope(), letters)


def _slope(law: Law) -> float:
    return _slope_of()(*(law.parameters[x] for x in ("alpha", "beta", "gamma_post", "gamma_D", "gamma_N")))


def serve(cost: float) -> tuple[float, float, float]:
    """(N*, D*, P*) of our fits for a cost N P, data free: the least loss over a grid of P, D by equation 12."""
    law = our_fits.served_fit().law
    P = np.arange(1.5, 24, 0.005)
    n = cost / P
    tokens = turn(law, n, P)
    best = int(np.argmin(law(n, tokens, post=P)))
    return float(n[best]), float(tokens[best]), float(P[best])


def draw_served() -> Drawing:
    """P* of the weights after training against the cost, by the constants."""
    costs = np.geomspace(1e9, 1e15, 13)
    found = [serving_optimum(c) for c in costs]
    return Drawing({}, {"search": (costs, [f[2] for f in found])}, "cost N·P [bits]", "P* [bits]", log_x=True)


def draw_served_ours() -> Drawing:
    """P* of the weights after training against the cost, by our fits."""
    costs = np.geomspace(1e5, 1e11, 13)
    return Drawing({}, {"search": (costs, [serve(c)[2] for c in costs])}, "cost N·P [bits]", "P* [bits]", log_x=True)


EXHIBITS = (
    Exhibit(
        number="F6",
        shows="Equal N·P: 6 to 8 bits are best; P* of a given size grows with log D.",
        compare=matched,
        published=draw_matched,
        ours=draw_matched_ours,
    ),
    Exhibit(
        number="F9",
        shows="Cost of inference N P: P* grows with log C; N*, D* are powers.",
        compare=served,
        published=draw_served,
        ours=draw_served_ours,
    ),
)
