"""The paper's thirteen checkable claims, each judged by our runs: the verdict follows from numbers by a stated rule."""

from __future__ import annotations

import numpy as np

from precsim import laws
from precsim.laws.published import KUMAR_2024, KUMAR_2024_FLOAT
from precsim.laws.statements import fixed_best_bits
from precsim.paper import ours, trained
from precsim.paper.afterwards import unified_fit
from precsim.paper.evidence import powers
from precsim.paper.rows import Claim, Judged, Verdict

YES, PARTLY, NOT_SEEN, NO, UNTESTED = (
    Verdict.CONFIRMED,
    Verdict.PARTLY,
    Verdict.NOT_SEEN,
    Verdict.CONTRADICTED,
    Verdict.UNTESTED,
)
_ABSENT = Judged(UNTESTED, "This installation has no open table of runs.")


def damage() -> Judged:
    """Rises with D, falls with N, exponential in bits: confirmed if all three, in part if two."""
    rows = ours.rounded(ours.in_full())
    if not len(rows):
        return _ABSENT
    found, (up, steps), (grows, sizes) = ours.damage_fit(), ours.rising(rows), ours.rising(rows, along="N")
    tests = (up >= 0.95 * steps, grows <= 0.2 * sizes, found.r2 >= 0.95)
    law = found.law
    text = f"δ rises in {up} of {steps} steps of D, falls in {sizes - grows} of {sizes} steps of N; R² {found.r2:.3f}, "
    text += f"exponents {law.gamma_D:.2f} and {law.gamma_N:.2f}, {np.exp(1 / law.gamma_post):.1f} times per bit."
    return Judged(YES if all(tests) else PARTLY if sum(tests) == 2 else NO, text)


def methods() -> Judged:
    """GPTQ, AWQ, nearest and other schedules: confirmed if the exponent of D is positive in all."""
    if not len(ours.main()):
        return _ABSENT
    found = {}
    for name in ("rtn", "gptq", "awq"):
        if len(ours.rounded(ours.in_full(), method=name)) >= 12:
            found[name.upper()] = ours.damage_fit(name).law.gamma_D
    rows = ours.rounded(ours.batch("schedules"), low=4, high=4)
    for name, some in rows.groupby("schedule") if len(rows) else ():
        found[name.split("(")[0] + (f" {name.split('decay=')[1][:4].strip(',)')}" if "decay=" in name else "")] = (
            powers(some, "delta")[0]
        )
    text = "Exponent of D: " + ", ".join(f"{n} {v:.2f}" for n, v in found.items()) + "."
    return Judged(YES if min(found.values()) > 0.2 and len(found) >= 5 else PARTLY, text)


def critical() -> Judged:
    """A critical amount of data exists: confirmed if most curves at 3 bits turn up, and later for more bits."""
    rows = ours.rounded(ours.in_full(), low=2, high=8)
    if not len(rows):
        return _ABSENT
    share, where = {}, {}
    for bits in (3.0, 4.0, 8.0):
        means = rows[rows["post"] == bits].groupby(["N", "D"])["loss"].mean().unstack("D")
        lines = [line.dropna() for _, line in means.iterrows() if len(line.dropna()) > 2]
        turned = [line for line in lines if line.idxmin() < line.index[-1]]
        share[bits] = len(turned) / max(1, len(lines))
        where[bits] = f"{len(turned)} of {len(lines)} at {bits:.0f} bits"
    holds = share[3.0] >= 0.75 and share[3.0] >= share[4.0] >= share[8.0] and share[8.0] < 0.25
    return Judged(
        YES if holds else PARTLY, "Loss after rounding turns up within our data: " + ", ".join(where.values()) + "."
    )


def effective_size() -> Judged:
    """Weights in training obey N_eff and saturate at 6 to 7 bits: in part if f depends on D too."""
    if not len(ours.main()):
        return _ABSENT
    found, rows = ours.training_fit(ours.SATURATING), ours.shares()
    median = rows.groupby("weights")["share"].median()
    drift = powers(rows[(rows["weights"] == 3) & (rows["share"] > 0)], "share")[0]
    text = f"R² {found.r2:.3f}; f = {median[4.0]:.2f}, {median[6.0]:.2f}, {median[8.0]:.2f} at 4, 6, 8 bits; "
    text += f"at 3 bits f goes like D^{drift:.2f}."
    saturates = median[6.0] > 0.9
    return Judged(YES if saturates and abs(drift) < 0.05 else PARTLY if saturates else NO, text)


def composition() -> Judged:
    """Factors multiply: confirmed if the product of marginal fits loses less than 0.03 of R²."""
    if not len(trained.parts()):
        return Judged(UNTESTED, "The open table has no runs with several tensors in low precision yet.")
    joint, alone, rows = trained.joint_fit()
    product = laws.Composite((alone["weights"].law.base, *(alone[n].law.parts[1] for n in alone)))
    guess = product(rows["N"].to_numpy(float), rows["D"].to_numpy(float), **{n: rows[n].to_numpy(float) for n in alone})
    lost = joint.r2 - ours.r2(rows["gap"], guess)
    verdict = YES if lost < 0.03 else PARTLY if lost < 0.1 else NO
    return Judged(verdict, f"R² of the joint fit {joint.r2:.3f}; the product of marginal fits has {lost:.3f} less.")


def independent_of_compute() -> Judged:
    """P* is independent of compute: contradicted if f drifts with D by more than |0.1| in its exponent at 3 bits."""
    if not len(ours.main()):
        return _ABSENT
    rows = ours.shares()
    drift = powers(rows[(rows["weights"] == 3) & (rows["share"] > 0)], "share")[0]
    law = ours.training_fit(ours.SATURATING).law
    more = 1 / laws.tied_factor(KUMAR_2024, 4.0)
    text = f"The constants give {KUMAR_2024.best_bits():.2f} bits and 1/f(4) = {more:.1f}. "
    text += (
        f"Ours, weights alone: {law.best_bits():.1f} bits; but f at 3 bits falls like D^{drift:.2f}, so P* must grow."
    )
    return Judged(PARTLY if abs(drift) < 0.1 else NO, text)


def ratio() -> Judged:
    """At fixed P, fewer bits mean more parameters for each token: algebra, confirmed if f increases with P."""
    bits = np.array([4.0, 6.0, 8.0, 12.0])
    f = laws.tied_factor(KUMAR_2024, bits)
    text = "With α = β, D*/N* goes like f(P): " + ", ".join(f"{v:.2f} at {b:.0f}" for b, v in zip(bits, f, strict=True))
    return Judged(YES if np.all(np.diff(f) > 0) else NO, text + " bits. Derived in part 6; no run is needed.")


def logarithm() -> Judged:
    """At fixed N, P* ~ log C: algebra, confirmed if its growth per decade is nearly constant at the end."""
    best = [fixed_best_bits(KUMAR_2024, 8e9, d) for d in (1e13, 1e14, 1e15)]
    steps = np.diff(best)
    text = (
        f"8B at 1e13, 1e14, 1e15 tokens: {best[0]:.1f}, {best[1]:.1f}, {best[2]:.1f} bits. A consequence of the form."
    )
    return Judged(YES if abs(steps[1] / steps[0] - 1) < 0.25 else PARTLY, text)


def robust() -> Judged:
    """Low-precision training lessens the damage: confirmed if medians order by training bits, and N_eff helps δ."""
    rows = ours.again()
    if not len(rows):
        return _ABSENT
    median = rows[rows["post"] == 3].groupby("weights")["delta"].median()
    full = ours.rounded(ours.in_full(), low=3, high=3)["delta"].median()
    robust, _ = unified_fit(True)
    plain, _ = unified_fit(False)
    text = (
        f"Median δ at 3 bits {median.iloc[0]:.3f} after training at {median.index[0]:.0f} bits, {full:.3f} after full "
    )
    text += f"precision; R² {robust.r2:.3f} with the bracket, {plain.r2:.3f} without."
    ordered = median.is_monotonic_increasing and median.iloc[0] < full
    return Judged(YES if ordered and robust.r2 - plain.r2 > 0.01 else PARTLY if ordered else NO, text)


def order_of_tensors() -> Judged:
    """Activations more sensitive than weights, KV least: confirmed if the fitted f at 4 bits are in this order."""
    if not len(trained.parts()):
        return Judged(UNTESTED, "The open table has no runs with activations or KV cache in low precision yet.")
    out = {}
    for scaling in ("tensor", "token"):
        law = trained.joint_fit(scaling)[0].law
        out[scaling] = [float(law.n_eff(1.0, **{n: 4.0})) for n in ("activations", "weights", "kv")]
    ordered = {s: v[0] < v[1] < v[2] for s, v in out.items()}
    text = "; ".join(f"per {s}: f at 4 bits {v[0]:.2f}, {v[1]:.2f}, {v[2]:.2f}" for s, v in out.items())
    verdict = YES if all(ordered.values()) else PARTLY if any(ordered.values()) else NO
    return Judged(verdict, text + " (activations, weights, KV).")


def floats() -> Judged:
    """Float weights follow the same form: confirmed if trained floats cost what integers cost within a factor 2."""
    both = [KUMAR_2024.gamma_w, KUMAR_2024_FLOAT.gamma_w]
    rows = ours.beside("formats")
    if not len(rows):
        return Judged(
            UNTESTED,
            f"γ_w {both[0]:.2f} for integers, {both[1]:.2f} for floats there; ours have no trained floats yet.",
        )
    cost = trained.extra_by_format(rows)
    same = [v for name, v in cost.items() if "e2m1" in str(name).lower()]
    if not same or "INT4" not in cost.index:
        return Judged(UNTESTED, "No networks were trained in E2M1 and in INT4 at the same sizes and data.")
    four = float(cost["INT4"])
    text = f"Median extra gap of E2M1 weights {same[0]:.4f}, of INT4 {four:.4f} nats."
    return Judged(YES if 0.5 < same[0] / four < 2 else PARTLY, text)


def double_size() -> Judged:
    """2N at 8 bits beats N at 16: confirmed if it does in every pair of our networks at equal D."""
    if not len(ours.main()):
        return _ABSENT
    rows = ours.as_trained(ours.main())
    means = rows.groupby(["D", "N", "weights"])["gap"].mean().unstack("weights")
    wins = pairs = 0
    for _, some in means.groupby("D"):
        sizes = some.index.get_level_values("N")
        for n in sizes:
            for m in sizes:
                if 1.6 < m / n < 2.6:
                    pairs += 1
                    here = some.xs(m, level="N")[8.0].iloc[0] < some.xs(n, level="N")[np.inf].iloc[0]
                    wins += bool(here)
    text = f"In {wins} of {pairs} pairs (sizes 1.8 to 2.3 apart, equal D) the larger at 8 bits has the smaller gap."
    return Judged(YES if pairs and wins == pairs else PARTLY if wins > pairs / 2 else NO, text)


def press() -> Judged:
    """What was reported: 465 runs, 7 to 8 bits as a limit. The numbers are theirs; the reading is judged."""
    if not len(ours.main()):
        return _ABSENT
    ours_best = ours.training_fit(ours.SATURATING).law.best_bits()
    quest = laws.published.QUEST_2025.parameters
    best = max((quest[f"f_W{b}A{b}"] / b, b) for b in (2, 3, 4, 8))[1]
    text = (
        f"P* belongs to a quantizer: {KUMAR_2024.best_bits():.1f} bits by their constants, {best} by QuEST's factors, "
    )
    text += f"{ours_best:.1f} by our weights alone. 7 to 8 bits is no limit of quantization."
    return Judged(PARTLY if max(abs(best - 7), abs(ours_best - 7)) < 1 else NO, text)


CLAIMS = (
    Claim(number=1, says="δ grows with D, falls with N, and is exponential in the bits after training.", judge=damage),
    Claim(number=2, says="This holds for GPTQ, AWQ, round-to-nearest, and for linear decay.", judge=methods),
    Claim(number=3, says="There is a critical amount of data; at 8 bits it is out of reach.", judge=critical),
    Claim(number=4, says="Weights in training obey N_eff and saturate at 6 to 7 bits.", judge=effective_size),
    Claim(number=5, says="Weights, activations and KV cache compose by multiplication.", judge=composition),
    Claim(number=6, says="With N, D, P free P* is independent of compute, 7 to 8 bits.", judge=independent_of_compute),
    Claim(number=7, says="At fixed P, fewer bits want more parameters for each token.", judge=ratio),
    Claim(number=8, says="At fixed N, P* grows like the logarithm of compute.", judge=logarithm),
    Claim(number=9, says="Training in fewer bits lessens the damage after training.", judge=robust),
    Claim(number=10, says="Activations are the most sensitive, the KV cache the least.", judge=order_of_tensors),
    Claim(number=11, says="Float weights follow the same form.", judge=floats),
    Claim(number=12, says="2N parameters at 8 bits beat N at 16.", judge=double_size),
    Claim(number=13, says="As reported: 7 to 8 bits as a limit of quantization.", judge=press),
)
