"""Figures about what to buy, and the two tables: optima of the law, forms compared, constants."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from precsim import laws
from precsim.fitting import fit
from precsim.laws import WEIGHTS, Effective
from precsim.laws.published import KUMAR_2024
from precsim.laws.statements import fixed_best_bits, matched_loss
from precsim.paper import ours
from precsim.paper.rows import Drawing, Exhibit, Finding
from precsim.symbolic.equations import value
from precsim.symbolic.widths import serving_optimum, serving_slope

_NO_TABLE = "This installation has no open table of runs."
#: Losses printed above the bars of figures 1 and 6 at 16B tokens and equal N P: floats, bits → nats/token.
BARS = {4: 3.198, 6: 2.997, 8: 3.009, 16: 3.057, 32: 3.233}


def _by_law() -> dict[int, float]:
    return {bits: matched_loss(KUMAR_2024, float(bits)) for bits in BARS}


def matched() -> Finding:
    """Figures 1, right, and 6: equal N·P, and P* of a given size."""
    law = _by_law()
    rms = float(np.sqrt(np.mean([(law[b] - BARS[b]) ** 2 for b in BARS])))
    said = "INT bars at 4, 6, 8, 16, 32 bits: " + ", ".join(f"{v:.3f}" for v in law.values())
    said += f"; printed FP bars differ by {rms:.3f} rms. P* at 15T tokens: " + ", ".join(
        f"{fixed_best_bits(KUMAR_2024, n, 15e12):.1f} ({words})"
        for n, words in ((8e9, "8B"), (70e9, "70B"), (405e9, "405B"))
    )
    if not len(ours.main()):
        return Finding(said + " bits.", _NO_TABLE, "Nothing to compare.")
    mine = ours.training_fit(ours.SATURATING).law
    text = (
        f"Weights alone, equal N·P: best at {mine.best_bits():.1f} bits by our fit; seen at equal N·P and D: {_seen()}."
    )
    agree = f"Both have a minimum inside. For weights alone their constants give {_weights_alone():.1f} bits, ours "
    agree += f"{mine.best_bits():.1f}; all three tensors are rounded in their {KUMAR_2024.best_bits():.1f}."
    return Finding(said + " bits.", text, agree)


def _weights_alone() -> float:
    return float(laws.Composite((KUMAR_2024.parts[0], KUMAR_2024.parts[1])).best_bits())


def _seen() -> str:
    """Gaps of pairs of networks with nearly equal N·P (within a fifth) at equal D."""
    rows = ours.as_trained(ours.main())
    means = rows[rows["weights"] >= 3].groupby(["D", "N", "weights"])["gap"].mean().reset_index()
    means["memory"] = means["N"] * means["weights"].clip(upper=32.0)
    fewer, pairs = 0, 0
    for _, some in means.groupby("D"):
        for a in some.itertuples():
            for b in some.itertuples():
                if a.weights in (3.0, 4.0, 5.0) and b.weights == 8.0 and abs(np.log(a.memory / b.memory)) < 0.2:
                    pairs, fewer = pairs + 1, fewer + (a.gap < b.gap)
    return f"the larger network at 3 to 5 bits wins in {fewer} of {pairs} pairs against 8 bits"


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
    """Our fitted gap at equal N·P, three budgets of data."""
    law = ours.training_fit(ours.SATURATING).law
    b, lines = np.geomspace(2.5, 16, 50), {}
    for d in (3e6, 2e7, 1e8):
        size = 98304 * 8 / b
        lines[f"D = {d:.0e} tokens"] = (b, law(size, d, weights=b))
    return Drawing(lines, {}, "P of weights at equal N·P [bits]", "gap, by our fit [nats/token]", log_x=True)


def served() -> Finding:
    """Figure 9."""
    costs = np.array([1e10, 1e12, 1e14])
    found = np.array([serving_optimum(c) for c in costs])
    n, d = (np.polyfit(np.log(costs), np.log(found[:, i]), 1)[0] for i in (0, 1))
    said = "P* " + ", ".join(f"{p:.1f}" for p in found[:, 2]) + " bits at cost 1e10, 1e12, 1e14; "
    said += f"N* ∝ C^{n:.2f}, D* ∝ C^{d:.2f}; {float(value(serving_slope())):.2f} bits per e-fold of size in the end."
    if not len(ours.main()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    base, hurt = ours.base_fit().law, ours.damage_fit().law
    slope = value(
        serving_slope(),
        alpha=base.alpha,
        beta=base.beta,
        gamma_post=hurt.gamma_post,
        gamma_D=hurt.gamma_D,
        gamma_N=hurt.gamma_N,
    )
    text = f"With our constants the slope is {float(slope):.2f} bits per e-fold of size."
    sign = "the same sign" if float(slope) > 0 else "the other sign: with ours larger models want fewer bits"
    return Finding(said, text, f"Logarithmic in both, {sign}.")


def draw_served() -> Drawing:
    """P* of the weights after training against the cost, by the constants."""
    costs = np.geomspace(1e9, 1e15, 13)
    found = [serving_optimum(c) for c in costs]
    return Drawing({}, {"search": (costs, [f[2] for f in found])}, "cost N·P [bits]", "P* [bits]", log_x=True)


FORMS = {
    "N_eff": (laws.Saturating(WEIGHTS),),
    "D_eff": (laws.Saturating(WEIGHTS, on=Effective.D),),
    "N_eff and D_eff, separate": (laws.Saturating(WEIGHTS), laws.Saturating(WEIGHTS, on=Effective.D)),
    "N_eff that drifts with N and D": (laws.Drifting(laws.Saturating(WEIGHTS), N0=1e5, D0=1e7),),
}


@functools.cache
def forms() -> dict[str, tuple[float, float, int]]:
    """(R² in the fit, R² on the runs held out, parameters of precision) of each form."""
    out = {}
    for name, factors in FORMS.items():
        form: Any = laws.Chinchilla(E=0.0)
        for factor in factors:
            form = form | factor
        found = fit(form, ours.training_rows(), strict=False)
        far = ours.as_trained(ours.held_out())
        far = far[far["weights"] >= 3]
        guess = found.law(far["N"].to_numpy(float), far["D"].to_numpy(float), weights=far["weights"].to_numpy(float))
        out[name] = (found.r2, ours.r2(far["gap"], guess), len(form.free) - 4)
    return out


def alternatives() -> Finding:
    """Table 1."""
    said = (
        "Held-out R² in the paper: N_eff 0.82, D_eff 0.74, both tied 0.79, both separate 0.84, power laws 0.71, 0.75."
    )
    if not len(ours.held_out()):
        return Finding(said, "The open table has no runs held out yet.", "Nothing to compare.")
    found = forms()
    text = "R² on the runs held out (longest, largest): " + ", ".join(f"{n} {v[1]:.3f}" for n, v in found.items()) + "."
    best = max(found, key=lambda n: found[n][1])
    agree = f"Best here: {best}. "
    agree += (
        "N_eff beats D_eff, as in the paper." if found["N_eff"][1] > found["D_eff"][1] else "D_eff beats N_eff here."
    )
    return Finding(said, text, agree + " The power laws in P are not among the forms of the package.")


def constants() -> Finding:
    """Table 2."""
    k = KUMAR_2024
    said = f"α = β {k.alpha:.2f}, E {k.E:.2f}, γ_w {k.gamma_w:.2f}, n_w {k.n_w:.2f}, "
    said += f"γ_D {k.gamma_D:.2f}, γ_N {k.gamma_N:.2f}, γ {k.gamma_post:.2f}."
    if not len(ours.main()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    base, hurt, low = ours.base_fit().law, ours.damage_fit().law, ours.training_fit(ours.OFFSET).law
    text = (
        f"α {base.alpha:.2f}, β {base.beta:.2f}, E 0 (the entropy is known), γ_w {low.gamma_w:.2f}, n_w {low.n_w:.2f}, "
    )
    text += f"γ_D {hurt.gamma_D:.2f}, γ_N {hurt.gamma_N:.2f}, γ {hurt.gamma_post:.2f}."
    times = hurt.gamma_post / k.gamma_post
    agree = f"Only γ can be expected to agree (the grid gives 0.59 to 0.72): {times:.2f} times theirs. "
    return Finding(said, text, agree + "The authors claim trends, not constants, for other set-ups.")


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
    ),
    Exhibit(number="T1", shows="Other forms on runs held out.", compare=alternatives),
    Exhibit(number="T2", shows="The fitted constants.", compare=constants),
)
