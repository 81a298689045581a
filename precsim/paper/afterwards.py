"""Figures about rounding after training: damage against data, methods, schedules, and after low-precision training."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from precsim import laws
from precsim.fitting import fit
from precsim.laws.published import KUMAR_2024
from precsim.paper import ours
from precsim.paper.rows import Drawing, Exhibit, Finding

_SIZES = (30e6, 60e6, 110e6, 220e6)
_NO_TABLE = "This installation has no open table of runs."


def _powers(law: Any) -> str:
    return f"δ ∝ D^{law.gamma_D:.2f} N^{-law.gamma_N:.2f} e^(-P/{law.gamma_post:.2f})"


def upturn() -> Finding:
    """Figure 1, left, and critical data."""
    turn = float(laws.critical_tokens(KUMAR_2024, 30e6, 3))
    said = f"The INT3 loss of 30M turns at D/N = {turn / 30e6:.0f}, the INT4 loss at "
    said += f"{float(laws.critical_tokens(KUMAR_2024, 30e6, 4)) / 30e6:.0f}."
    rows = ours.rounded(ours.in_full(), low=2, high=6)
    if not len(rows):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    seen, found = [], []
    for bits in (2.0, 3.0, 4.0, 5.0):
        means = rows[rows["post"] == bits].groupby(["N", "D"])["loss"].mean().unstack("D")
        turns = [(n, line.dropna().idxmin() / n) for n, line in means.iterrows() if len(line.dropna()) > 2]
        inside = [ratio for n, ratio in turns if ratio * n < means.loc[n].dropna().index[-1]]
        seen.append(len(inside) / max(len(turns), 1))
        found.append(f"{bits:.0f} bits: {len(inside)} of {len(turns)} sizes")
    ours_said = "The loss after rounding to nearest turns up within our data at " + ", ".join(found) + "."
    agree = "Both turn, the earlier the fewer the bits." if seen == sorted(seen, reverse=True) else "The order differs."
    return Finding(said, ours_said, agree + " Ours are a thousand times smaller, and turn at other D/N.")


def draw_upturn() -> Drawing:
    """Loss after rounding against D/N by the published constants, 30M parameters."""
    ratio = np.geomspace(50, 1000, 60)
    lines = {f"INT{b}": (ratio, KUMAR_2024(30e6, ratio * 30e6, post=b)) for b in (3, 4, 5, 6)}
    lines["not rounded"] = (ratio, KUMAR_2024(30e6, ratio * 30e6))
    return Drawing(lines, {}, "D / N [tokens per parameter]", "loss, 30M parameters [nats/token]", log_x=True)


def draw_upturn_ours(size: int = 98304) -> Drawing:
    """Our gap after rounding against D/N, one size, means over seeds."""
    rows = ours.in_full()
    rows = rows[rows["N"] == size]
    points = {f"INT{b}": _means(ours.rounded(rows, low=b, high=b), size) for b in (2, 3, 4, 5)}
    points["not rounded"] = _means(ours.as_trained(rows), size)
    lines = {name: xy for name, xy in points.items()}
    return Drawing(lines, points, "D / N [tokens per parameter]", f"gap, N = {size} [nats/token]", log_x=True)


def _means(rows: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    mean = rows.groupby("D")["loss"].mean()
    return mean.index.to_numpy(float) / size, mean.to_numpy(float)


def growth() -> Finding:
    """Figure 2: the law of δ."""
    said = _powers(KUMAR_2024) + f"; {np.exp(1 / KUMAR_2024.gamma_post):.1f} times per bit. The paper gives R² 0.97."
    rows = ours.rounded(ours.in_full())
    if not len(rows):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    found = ours.damage_fit()
    up, steps = ours.rising(rows)
    text = f"{_powers(found.law)}, R² {found.r2:.3f} over {len(rows)} roundings to nearest of "
    text += f"{rows['job'].nunique()} networks; δ rises in {up} of {steps} steps of D."
    k = KUMAR_2024
    agree = f"{'Same form' if found.r2 > 0.95 else 'The form fits badly'}. γ_D {found.law.gamma_D:.2f} against "
    agree += f"{k.gamma_D:.2f}, γ_N {found.law.gamma_N:.2f} against {k.gamma_N:.2f}, "
    return Finding(said, text, agree + f"γ {found.law.gamma_post:.2f} against {k.gamma_post:.2f}.")


def draw_growth() -> Drawing:
    """δ against D by the constants, four bit widths, the smallest and the largest size."""
    lines = {}
    for n, words in ((30e6, "30M"), (220e6, "220M")):
        ratio = np.geomspace(10, 900 if n < 1e8 else 120, 30)
        for b in (3, 4, 5, 6):
            lines[f"INT{b}, {words}"] = (ratio * n, KUMAR_2024.delta(n, ratio * n, post=b))
    return Drawing(lines, {}, "D [tokens]", "δ [nats/token]", log_x=True, log_y=True)


def draw_growth_ours() -> Drawing:
    """Our δ against D with the fitted law, two sizes."""
    rows, law, lines, points = ours.rounded(ours.in_full()), ours.damage_fit().law, {}, {}
    for n in (24576, 221184):
        for b in (3, 4, 5, 6):
            some = rows[(rows["N"] == n) & (rows["post"] == b)]
            d = np.geomspace(some["D"].min(), some["D"].max(), 20)
            lines[f"INT{b}, N = {n}"] = (d, law.delta(n, d, post=b))
            points[f"INT{b}, N = {n}"] = (some["D"], some["delta"])
    return Drawing(lines, points, "D [tokens]", "δ [nats/token]", log_x=True, log_y=True)


@functools.cache
def unified_fit(robust: bool) -> Any:
    """(fit, rows) of δ after training at any bits, with the bracket of robustness or without it."""
    import pandas as pd

    rows = pd.concat([ours.rounded(ours.in_full()), ours.again()])
    form = laws.RobustDegradation(C_a=1.0, C_kv=1.0, b=0.0) if robust else laws.KumarDegradation()
    return fit(form, rows, strict=False), rows


def unified() -> Finding:
    """Figure 7: δ after low-precision training."""
    said = "No value of C_w is printed, so the constants cannot draw it. The paper gives R² 0.90 over 1000 points."
    if not len(ours.again()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    (robust, rows), (plain, _) = unified_fit(True), unified_fit(False)
    text = (
        f"C_w = {robust.law.C_w:.2f}, R² {robust.r2:.3f} over {len(rows)} points; without the bracket {plain.r2:.3f}."
    )
    nearer = abs(robust.law.C_w - 1 / robust.law.gamma_post) < abs(robust.law.C_w - 1)
    agree = f"Same form, same sign. C_w is nearer to {'1/γ' if nearer else '1'}: 1/γ is "
    agree += f"{1 / robust.law.gamma_post:.2f}, and equation 10 has 1."
    return Finding(said, text, agree)


def draw_unified() -> Drawing:
    """Predicted against measured δ of networks trained in few bits."""
    found, rows = unified_fit(True)
    some = rows[np.isfinite(rows["weights"])]
    guess = found.law.delta(
        some["N"].to_numpy(float),
        some["D"].to_numpy(float),
        weights=some["weights"].to_numpy(float),
        post=some["post"].to_numpy(float),
    )
    points = {}
    for b in (4.0, 5.0, 6.0, 8.0):
        here = (some["weights"] == b).to_numpy() & (guess > 0)
        points[f"trained at {b:.0f} bits"] = (guess[here], some["delta"].to_numpy(float)[here])
    ends = np.array([guess[guess > 0].min(), guess.max()])
    return Drawing(
        {"measured = predicted": (ends, ends)},
        points,
        "predicted δ [nats/token]",
        "measured δ [nats/token]",
        log_x=True,
        log_y=True,
    )


def method(name: str) -> Finding:
    """Figures 2, 10, 11 for one method of rounding."""
    said = "The constants of this method are not printed; the paper says that the form holds."
    rows = ours.rounded(ours.in_full(), method=name)
    if len(rows) < 12:
        return Finding(said, "The open table has too few networks rounded by this method.", "Nothing to compare.")
    found, nearest = ours.damage_fit(name), ours.damage_fit()
    text = f"{_powers(found.law)}, R² {found.r2:.3f} over {len(rows)} roundings of {rows['job'].nunique()} networks."
    up, steps = ours.rising(rows)
    agree = f"Same form; δ rises in {up} of {steps} steps of D. Round-to-nearest has γ_D {nearest.law.gamma_D:.2f}."
    return Finding(said, text, agree)


def schedule() -> Finding:
    """Figure 12: another schedule."""
    said = "A trend, without constants: δ grows with data under linear decay too, at 30M."
    rows = ours.rounded(ours.batch("schedules"), low=4, high=4)
    if not len(rows):
        return Finding(said, "The open table has no runs with other schedules.", "Nothing to compare.")
    from precsim.paper.evidence import powers

    found = {name: powers(some, "delta")[0] for name, some in rows.groupby("schedule")}
    short = {name: name.split("(")[0] + _decay(name) for name in found}
    text = "Exponent of D at 4 bits by schedule: " + ", ".join(f"{short[n]} {v:.2f}" for n, v in found.items()) + "."
    lowest = min(found.values())
    return Finding(said, text, f"Confirmed for every schedule tried, a constant rate included (least {lowest:.2f}).")


def _decay(schedule: str) -> str:
    """Share of the steps that decay, where the schedule has one."""
    return f" (decay {schedule.split('decay=')[1].split(',')[0]})" if "decay=" in schedule else ""


def several() -> Finding:
    """Figure 19: predicted against measured δ for several sizes."""
    said = "Numbers were not recovered from the paper; by its constants all sizes lie on one line."
    rows = ours.rounded(ours.in_full())
    if not len(rows):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    law = ours.damage_fit().law
    guess = law.delta(rows["N"].to_numpy(float), rows["D"].to_numpy(float), post=rows["post"].to_numpy(float))
    parts = []
    for n, some in rows.assign(guess=guess).groupby("N"):
        if len(some) >= 12:
            parts.append((int(n), ours.r2(some["delta"], some["guess"])))
    text = "R² of ln δ by size with one law: " + ", ".join(f"{n}: {v:.3f}" for n, v in parts) + "."
    least = min(v for _, v in parts)
    return Finding(
        said, text, f"One law {'serves' if least > 0.9 else 'does not serve'} all sizes: least R² {least:.3f}."
    )


def with_effective_size() -> Finding:
    """Figure 21: N or N_eff in δ."""
    said = "Numbers were not recovered; the paper says N_eff is substantially stronger."
    if not len(ours.again()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    _, rows = unified_fit(True)
    factor = ours.training_fit(ours.OFFSET).law.parts[1]
    size = laws.Composite((factor,)).n_eff(rows["N"].to_numpy(float), weights=rows["weights"].to_numpy(float))
    form = laws.RobustDegradation(C_a=1.0, C_kv=1.0, b=0.0)
    effective, plain = fit(form, rows.assign(N=size), strict=False), unified_fit(True)[0]
    text = f"R² of δ {effective.r2:.4f} with N_eff, {plain.r2:.4f} with N, over {len(rows)} points."
    better = effective.r2 - plain.r2
    agree = (
        "N_eff fits better"
        if better > 0.002
        else "N_eff fits worse"
        if better < -0.002
        else "No difference to speak of"
    )
    return Finding(said, text, f"{agree}: R² changes by {better:+.4f}.")


EXHIBITS = (
    Exhibit(
        number="F1",
        shows="Left: at 30M the loss after rounding to 3 bits turns up as D/N grows.",
        compare=upturn,
        published=draw_upturn,
        ours=draw_upturn_ours,
    ),
    Exhibit(
        number="F2",
        shows="δ grows as a power of D, falls as a power of N, exponentially in bits (GPTQ).",
        compare=growth,
        published=draw_growth,
        ours=draw_growth_ours,
    ),
    Exhibit(
        number="F7",
        shows="Models trained in fewer bits are damaged less; one law for δ.",
        compare=unified,
        ours=draw_unified,
    ),
    Exhibit(number="F10", shows="The same law with AWQ.", compare=functools.partial(method, "awq")),
    Exhibit(number="F11", shows="The same law with round-to-nearest.", compare=functools.partial(method, "rtn")),
    Exhibit(number="F12", shows="The same trend with linear decay of the rate.", compare=schedule),
    Exhibit(number="F19", shows="Predicted against actual δ for several N and D.", compare=several),
    Exhibit(number="F21", shows="δ with N_eff in the place of N.", compare=with_effective_size),
)
