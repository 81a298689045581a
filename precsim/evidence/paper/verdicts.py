"""The paper's thirteen checkable claims, each judged by our runs: the verdict follows from numbers by a stated rule."""

from __future__ import annotations

import functools

import numpy as np

from precsim import laws
from precsim.evidence import findings, resampling, rows
from precsim.evidence.editions import Reader
from precsim.evidence.paper import (
    after_training,
    effective_parameters,
    float_formats,
    multiplicativity,
    other_settings,
    our_fits,
    robustness,
    what_to_buy,
    which_tensor,
)
from precsim.evidence.paper.exhibits import Claim, Judged, Verdict
from precsim.evidence.paper.statements import fixed_best_bits
from precsim.evidence.rows import open_table
from precsim.laws.published import KUMAR_2024

YES, PARTLY, NO, FORM = Verdict.CONFIRMED, Verdict.PARTLY, Verdict.CONTRADICTED, Verdict.FOLLOWS


@functools.cache
def _steps(of: Reader) -> tuple[findings.Finding, findings.Finding]:
    """Shares of the steps of D in which δ rises, and of N in which it falls, as the chapters print them."""
    return findings.damage_rises(of()), findings.damage_falls(of())


def law_of_damage(of: Reader = open_table) -> Judged:
    """Rises with D, falls with N, exponential in bits: confirmed if all three, in part if some."""
    found, (up, down), (score, some) = our_fits.served_fit(of), _steps(of), our_fits.damage_explained("rtn", of)
    tests = (up.value >= 0.95, down.value >= 0.8, score.value >= 0.95)
    d, n = (resampling.parameter(found, f"gamma_{x}") for x in "DN")
    fall = resampling.of_law(found, lambda law: np.exp(1 / law.parameters["gamma_post"]))
    text = (
        f"mean δ rises in {up.value:.0%} of the steps of D, falls in {down.value:.0%} of the steps of N, 2 to 6 bits; "
    )
    text += (
        f"R² {score:.3f}, exponents {d:.2f} and {n:.2f}, {fall:.2f} times per bit, {some['job'].nunique()} networks."
    )
    return Judged(YES if all(tests) else PARTLY if any(tests) else NO, text)


def methods(of: Reader = open_table) -> Judged:
    """GPTQ, AWQ, nearest and other schedules: confirmed if the interval of the exponent of D is positive in all."""
    fits = {"RTN": our_fits.served_fit(of)}
    fits |= {name.upper(): our_fits.damage_fit(name, of) for name in ("gptq", "awq")}
    found = {name: resampling.parameter(one, "gamma_D") for name, one in fits.items()}
    schedules = other_settings.growth_by_schedule(of)
    found |= schedules
    text = "Exponent of D: " + ", ".join(f"{n} {v:.2f}" for n, v in found.items())
    text += f"; GPTQ and AWQ of {rows.methods(of())['job'].nunique()} networks"
    text += "." if schedules else ", all under one schedule, the cosine: linear decay was not trained."
    return Judged(YES if min(v.low for v in found.values()) > 0 and len(found) >= 5 else PARTLY, text)


def critical(of: Reader = open_table) -> Judged:
    """A critical amount of data exists: confirmed if most curves at 3 bits turn up, and later for more bits."""
    share, where = {}, []
    for bits in (3, 4, 8):
        inside, sizes = after_training.turned(bits, of)
        share[bits] = inside / sizes
        where.append(f"{inside} of {sizes} sizes at {bits} bits")
    holds = share[3] >= 0.75 and share[3] >= share[4] >= share[8] and share[8] < 0.25
    text = "Loss after rounding turns up within our data: " + ", ".join(where) + "; N = 98304 turns at "
    text += ", ".join(f"{after_training.critical(98304, b, of)} at {b} bits" for b in (3, 8)) + "."
    return Judged(YES if holds else PARTLY, text)


def effective_size(of: Reader = open_table) -> Judged:
    """Weights in training obey N_eff and saturate at 6 to 7 bits: in part if f depends on D too."""
    rows = our_fits.training_rows(of)
    law = our_fits.weights_fit(of=of).law
    score = resampling.share_explained(rows, "gap", law(rows["N"], rows["D"], weights=rows["weights"]))
    f, drift = {b: effective_parameters.factor(b, of) for b in (4.0, 6.0, 8.0)}, effective_parameters.drift(3.0, of)[0]
    text = f"R² {score:.3f}; f = " + ", ".join(f"{v:.2f} at {b:.0f}" for b, v in f.items()) + " bits; read off by "
    text += f"equation 30 at 3 bits f goes like D^{drift:.2f}, where the law has D^0."
    saturates = f[6.0].value > 0.9
    return Judged(YES if saturates and abs(drift.value) < 0.05 else PARTLY if saturates else NO, text)


def composition(of: Reader = open_table) -> Judged:
    """Factors multiply: confirmed if the product of marginal fits loses less than 0.03 of R² and holds within a tenth.

    The second number is N_eff with all three tensors at 4 bits over the product of the single factors. In part if one
    of the two holds, or if the product holds within a tenth at 6 bits.
    """
    scale = which_tensor.scales(of)[0]
    joint, product, count = multiplicativity.joint_scores(scale, of)
    lost = joint.value - product.value
    ratio = {b: multiplicativity.all_three(scale, b, of)[0] for b in (6.0, 4.0, 3.0)}
    text = f"R² of the joint fit {joint:.3f}, {count} networks, activations by {scale}; "
    text += f"the product of marginal fits has {lost:.3f} less. "
    text += (
        "N_eff of all three over the product: " + ", ".join(f"{v:.2f} at {b:.0f} bits" for b, v in ratio.items()) + "."
    )
    tenth = {b: abs(v.value - 1) < 0.1 for b, v in ratio.items()}
    partly = lost < 0.03 or tenth[4.0] or tenth[6.0]
    return Judged(YES if lost < 0.03 and tenth[4.0] else PARTLY if partly else NO, text)


def independent_of_compute(of: Reader = open_table) -> Judged:
    """P* is independent of compute: contradicted if f at 3 bits goes like D to a power beyond 0.1, in part if beyond 0.

    And 7 to 8 bits: what our fits give is in the evidence.
    """
    drift = effective_parameters.drift(3.0, of)[0]
    more = 1 / laws.tied_factor(KUMAR_2024, 4.0)
    text = f"The constants give {KUMAR_2024.best_bits():.2f} bits and 1/f(4) = {more:.1f}. "
    text += (
        "Ours: "
        + ", ".join(f"{n} {v:.1f}" for n, v in what_to_buy.best_bits(of).items())
        + f". f at 3 bits goes like D^{drift:.2f}: "
    )
    grows = what_to_buy.growing_bits(of=of)
    text += (
        "with that drift P* of the weights is " + ", ".join(f"{v:.1f} at {C:.0e}" for C, v in grows.items()) + " FLOP."
    )
    return Judged(NO if drift.high < -0.1 else PARTLY if drift.against(0.0) != "inside" else YES, text)


def ratio(of: Reader = open_table) -> Judged:
    """At fixed P, fewer bits mean more parameters for each token: follows from the form if f increases with P."""
    bits = np.array([4.0, 6.0, 8.0, 12.0])
    f = laws.tied_factor(KUMAR_2024, bits)
    text = "With α = β, D*/N* goes like f(P): " + ", ".join(f"{v:.2f} at {b:.0f}" for b, v in zip(bits, f, strict=True))
    return Judged(FORM if np.all(np.diff(f) > 0) else NO, text + " bits. Derived in part 6; no run was made.")


def logarithm(of: Reader = open_table) -> Judged:
    """At fixed N, P* ~ log C: follows from the form if its growth per decade is nearly constant at the end."""
    best = [fixed_best_bits(KUMAR_2024, 8e9, d) for d in (1e13, 1e14, 1e15)]
    steps = np.diff(best)
    text = (
        f"8B at 1e13, 1e14, 1e15 tokens: {best[0]:.1f}, {best[1]:.1f}, {best[2]:.1f} bits. A consequence of the form."
    )
    return Judged(FORM if abs(steps[1] / steps[0] - 1) < 0.25 else NO, text)


def made_robust(of: Reader = open_table) -> Judged:
    """Low-precision training lessens the damage: in part if it does, confirmed if N_eff also fits δ better than N."""
    less = {b: ratio for b, ratio in our_fits.lessened(3.0, of).items() if b in (4.0, 5.0, 6.0)}
    with_n_eff, with_n, count = robustness.effective_scores(of)
    text = "δ at 3 bits over that of networks trained in full precision: "
    text += (
        ", ".join(f"{v:.2f} after {b:.0f} bits" for b, v in less.items())
        + f"; unified R² {robustness.explained(of)[0].value:.3f}. "
    )
    text += f"With N_eff {with_n_eff:.3f}, with N {with_n:.3f}, {count} points."
    values = [less[b].value for b in sorted(less)]
    ordered = max(v.high for v in less.values()) < 1 and bool(np.all(np.diff(values) > 0))
    return Judged(YES if ordered and with_n_eff.low > with_n.high else PARTLY if ordered else NO, text)


def order_of_tensors(of: Reader = open_table) -> Judged:
    """Activations most sensitive at equal granularity too, KV least: confirmed if all penalties at 4 bits say so.

    In part if some do. Intervals of the ratios to the weights must exclude 1.
    """
    times = {s: which_tensor.over_weights("activations", 4.0, s, of) for s in which_tensor.scales(of)}
    cache = which_tensor.over_weights("kv", 4.0, of=of)
    bits = min(b for b in which_tensor.alone("kv", of=of)["kv"].unique() if b >= 5)
    five = which_tensor.share("kv", bits, of=of)
    text = "Penalty at 4 bits over that of weights per channel: " + ", ".join(
        f"activations per {s} {v:.2f}" for s, v in times.items()
    )
    text += f", KV cache {cache:.2f}, medians over pairs. N_eff/N of the KV cache at {bits:.0f} bits {five:.2f}."
    tests = [v.low > 1 for v in times.values()] + [cache.high < 1, five.value > 0.9]
    return Judged(YES if all(tests) else PARTLY if any(tests) else NO, text)


def float_weights(of: Reader = open_table) -> Judged:
    """Float weights follow the same form: confirmed if it fits (R² 0.95) and E2M1 costs what INT4 costs within 2.

    Of the first edition alone: the second trains no floats without activations beside them.
    """
    found, ratio = float_formats.fitted(tuple(float_formats.best_splits().values())), float_formats.ratio_to_integers()
    gamma, integers = (resampling.parameter(one, "gamma_w") for one in (found, float_formats.fitted(())))
    text = f"R² of the form over the best splits {found.r2:.3f}, γ {gamma:.2f}; integers {integers:.2f}. "
    text += f"E2M1 costs {ratio:.2f} times what INT4 costs."
    same = ratio.low > 0.5 and ratio.high < 2
    return Judged(YES if found.r2 > 0.95 and same else PARTLY if found.r2 > 0.95 or same else NO, text)


def double_size(of: Reader = open_table) -> Judged:
    """2N at 8 bits beats N at 16: confirmed if the gap is smaller in every pair of sizes about 2 apart, equal D.

    Where nothing was trained at 8 bits, at 6: a win there says the more.
    """
    both = what_to_buy.double_size(of)
    wins = (both.groupby(["D", "N"])["ratio"].median() < 1).to_numpy()
    apart = (both["N_large"] / both["N"]).to_numpy()
    text = (
        f"In {wins.sum()} of {len(wins)} pairs of sizes and data (sizes {apart.min():.1f} to {apart.max():.1f} apart, "
    )
    text += f"equal D) the larger at {both['bits'].iloc[0]:.0f} bits has the smaller gap, at the median "
    text += f"{resampling.median(both, 'ratio'):.2f} times that of the smaller in full precision."
    return Judged(YES if wins.all() else PARTLY if wins.mean() > 0.5 else NO, text)


def press(of: Reader = open_table) -> Judged:
    """What was reported: 7 to 8 bits as a limit. The numbers are theirs; the reading is judged.

    Confirmed if the best bits of every quantizer at hand lie within one bit of 7; in part if some do.
    """
    here = what_to_buy.best_bits(of)
    quest = laws.published.QUEST_2025.parameters
    best = max((quest[f"f_W{b}A{b}"] / b, b) for b in (2, 3, 4, 8))[1]
    text = (
        f"P* belongs to a quantizer: {KUMAR_2024.best_bits():.1f} bits by their constants, {best} by QuEST's factors, "
    )
    text += "ours " + ", ".join(f"{n} {v:.1f}" for n, v in here.items()) + "."
    near = [abs(p - 7) < 1 for p in (best, *(v.value for v in here.values()))]
    text += "" if all(near) else " So it is no limit of quantization as such."
    return Judged(YES if all(near) else PARTLY if any(near) else NO, text)


CLAIMS = (
    Claim(
        number=1,
        says="δ grows with D, falls with N, and is exponential in the bits after training.",
        judge=law_of_damage,
    ),
    Claim(
        number=2,
        says="This holds for GPTQ, AWQ, round-to-nearest, and for linear decay.",
        judge=methods,
        of=rows.damage,
    ),
    Claim(
        number=3,
        says="There is a critical amount of data; at 8 bits it is out of reach.",
        judge=critical,
        of=rows.turning,
    ),
    Claim(
        number=4,
        says="Weights in training obey N_eff and saturate at 6 to 7 bits.",
        judge=effective_size,
        of=rows.networks,
    ),
    Claim(number=5, says="Weights, activations and KV cache compose by multiplication.", judge=composition),
    Claim(
        number=6,
        says="With N, D, P free P* is independent of compute, 7 to 8 bits.",
        judge=independent_of_compute,
        of=rows.trained_weights,
    ),
    Claim(number=7, says="At fixed P, fewer bits want more parameters for each token.", judge=ratio),
    Claim(number=8, says="At fixed N, P* grows like the logarithm of compute.", judge=logarithm),
    Claim(
        number=9,
        says="Training in fewer bits lessens the damage after training.",
        judge=made_robust,
        of=rows.trained_and_rounded,
    ),
    Claim(
        number=10,
        says="Activations are the most sensitive, the KV cache the least.",
        judge=order_of_tensors,
        of=rows.networks_of_parts,
    ),
    Claim(number=11, says="Float weights follow the same form.", judge=float_weights, batch="formats"),
    Claim(number=12, says="2N parameters at 8 bits beat N at 16.", judge=double_size, of=rows.networks),
    Claim(number=13, says="As reported: 7 to 8 bits as a limit of quantization.", judge=press, of=rows.trained_weights),
)
