"""Figures about rounding after training in full precision: damage against data and size, by several methods."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from precsim import laws
from precsim.evidence.paper import doubt, our_fits
from precsim.evidence.paper.exhibits import NO_TABLE, Drawing, Exhibit, Finding
from precsim.laws.published import KUMAR_2024

#: Bits after training at which curves of the loss are looked at.
_WIDTHS = (2.0, 3.0, 4.0, 5.0)


def _powers(law: Any) -> str:
    return f"δ ∝ D^{law.gamma_D:.2f} N^{-law.gamma_N:.2f} e^(-P/{law.gamma_post:.2f})"


def _sure_powers(found: Any) -> str:
    d, n, p = (doubt.parameter(found, f"gamma_{x}") for x in ("D", "N", "post"))
    return f"γ_D {d:.2f}, γ_N {n:.2f}, γ {p:.3f}"


def turns(bits: float) -> dict[int, tuple[float, bool]]:
    """{N: (D of least mean loss after rounding, whether it is inside our data)}."""
    rows = our_fits.rounded(our_fits.in_full(), low=2, high=8)
    means = rows[rows["post"] == bits].groupby(["N", "D"])["loss"].mean().unstack("D")
    lines = {int(n): line.dropna() for n, line in means.iterrows() if len(line.dropna()) > 2}
    return {n: (float(line.idxmin()), bool(line.idxmin() < line.index[-1])) for n, line in lines.items()}


def critical(size: float, bits: float) -> doubt.Number:
    """D/N at which our fitted loss after rounding turns up; the damage is drawn again, the base is kept."""
    base = our_fits.base_fit().law
    return doubt.fitted(our_fits.damage_fit(), lambda law: turn(base, law, size, bits) / size)


def turn(base: Any, hurt: Any, size: Any, bits: Any) -> Any:
    """Critical data of Kumar's law in closed form, equation 12: arrays of parameters will do, unlike with a search."""
    inside = base.beta * base.B * size**hurt.gamma_N * np.exp(bits / hurt.gamma_post) / (hurt.gamma_D * hurt.C_T)
    return inside ** (1 / (hurt.gamma_D + base.beta))


def upturn() -> Finding:
    """Figure 1, left, and critical data."""
    said = "30M turns at D/N = "
    said += (
        ", ".join(f"{float(laws.critical_tokens(KUMAR_2024, 30e6, b)) / 30e6:.0f} at {b} bits" for b in (3, 4)) + "."
    )
    rows = our_fits.rounded(our_fits.in_full(), low=2, high=6)
    if not len(rows):
        return Finding(said, NO_TABLE, "Nothing to compare.")
    seen = {bits: turns(bits) for bits in _WIDTHS}
    share = [sum(inside for _, inside in found.values()) / len(found) for found in seen.values()]
    text = "The loss after rounding to nearest turns up within our data at " + ", ".join(
        f"{bits:.0f} bits in {sum(i for _, i in found.values())} of {len(found)} sizes" for bits, found in seen.items()
    )
    three, four = critical(98304, 3.0), critical(98304, 4.0)
    text += f". By our fits, N = 98304 turns at D/N = {three:.0f} at 3 bits and {four:.0f} at 4 (base kept)."
    agree = "Both turn, the earlier the fewer the bits" if share == sorted(share, reverse=True) else "The order differs"
    late = float(laws.critical_tokens(KUMAR_2024, 30e6, 4)) / float(laws.critical_tokens(KUMAR_2024, 30e6, 3))
    agree += f": one bit more puts it off {four.value / three.value:.1f} times here, {late:.1f} times there. Ours are "
    return Finding(said, text, agree + f"{30e6 / rows['N'].max():,.0f} to {30e6 / rows['N'].min():,.0f} times smaller.")


def draw_upturn() -> Drawing:
    """Loss after rounding against D/N by the published constants, 30M parameters."""
    ratio = np.geomspace(50, 1000, 60)
    lines = {f"INT{b}": (ratio, KUMAR_2024(30e6, ratio * 30e6, post=b)) for b in (3, 4, 5, 6)}
    lines["not rounded"] = (ratio, KUMAR_2024(30e6, ratio * 30e6))
    return Drawing(lines, {}, "D / N [tokens per parameter]", "loss, 30M parameters [nats/token]", log_x=True)


def draw_upturn_ours(size: int = 98304) -> Drawing:
    """Our gap after rounding against D/N, one size, means over seeds."""
    rows = our_fits.in_full()
    rows = rows[rows["N"] == size]
    points = {f"INT{b}": _means(our_fits.rounded(rows, low=b, high=b), size) for b in (2, 3, 4, 5)}
    points["not rounded"] = _means(our_fits.as_trained(rows), size)
    lines = {name: xy for name, xy in points.items()}
    return Drawing(lines, points, "D / N [tokens per parameter]", f"gap, N = {size} [nats/token]", log_x=True)


def _means(rows: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    mean = rows.groupby("D")["loss"].mean()
    return mean.index.to_numpy(float) / size, mean.to_numpy(float)


def growth() -> Finding:
    """Figure 2: the law of δ."""
    k = KUMAR_2024
    said = _powers(k) + f"; {np.exp(1 / k.gamma_post):.1f} times per bit. The paper gives R² 0.97."
    rows = our_fits.rounded(our_fits.in_full())
    if not len(rows):
        return Finding(said, NO_TABLE, "Nothing to compare.")
    nearest, chosen = our_fits.damage_fit(), our_fits.damage_fit("gptq")
    few = our_fits.rounded(our_fits.in_full(), method="gptq")
    score = doubt.shares_of_variance(rows["delta"], guess(nearest.law, rows), rows["job"])
    text = f"GPTQ: {_sure_powers(chosen)}, {few['job'].nunique()} networks. To nearest: "
    text += f"{_sure_powers(nearest)}, R² {score:.3f} over {rows['job'].nunique()} networks."
    places = {x: doubt.parameter(chosen, f"gamma_{x}").against(k.parameters[f"gamma_{x}"]) for x in ("D", "N", "post")}
    agree = f"{'Same form' if score.low > 0.95 else 'The form fits badly'}. With GPTQ, theirs lie " + ", ".join(
        f"{where} our interval (γ{'_' + x if x != 'post' else ''})" for x, where in places.items()
    )
    return Finding(said, text, agree + ".")


def guess(law: Any, rows: Any) -> Any:
    """δ of rows by a law."""
    bits = {"weights": rows["weights"].to_numpy(float), "post": rows["post"].to_numpy(float)}
    return law.delta(rows["N"].to_numpy(float), rows["D"].to_numpy(float), **bits)


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
    rows, law, lines, points = our_fits.rounded(our_fits.in_full()), our_fits.damage_fit().law, {}, {}
    for n in (24576, 221184):
        for b in (3, 4, 5, 6):
            some = rows[(rows["N"] == n) & (rows["post"] == b)]
            d = np.geomspace(some["D"].min(), some["D"].max(), 20)
            lines[f"INT{b}, N = {n}"] = (d, law.delta(n, d, post=b))
            points[f"INT{b}, N = {n}"] = (some["D"], some["delta"])
    return Drawing(lines, points, "D [tokens]", "δ [nats/token]", log_x=True, log_y=True)


def method(name: str) -> Finding:
    """Figures 10, 11: one method of rounding."""
    said = "The constants of this method are not printed; the paper says that the form holds, as with GPTQ."
    rows = our_fits.rounded(our_fits.in_full(), method=name)
    if not len(rows):
        return Finding(said, NO_TABLE, "Nothing to compare.")
    found, other = our_fits.damage_fit(name), our_fits.damage_fit("gptq")
    score = doubt.shares_of_variance(rows["delta"], guess(found.law, rows), rows["job"])
    text = f"{_sure_powers(found)}, R² {score:.3f}, {len(rows)} roundings of {rows['job'].nunique()} networks; "
    up, steps = our_fits.rising(rows)
    text += f"δ rises in {up} of {steps} steps of D."
    agree = "Same form" if score.value > 0.95 and up > 0.95 * steps else "The form holds in part"
    agree += f"; δ is {times_gptq(name):.2f} times that of GPTQ in the same networks, whose γ_D is "
    return Finding(said, text, agree + f"{doubt.parameter(other, 'gamma_D'):.2f}.")


def times_gptq(name: str) -> doubt.Number:
    """Median δ of a method over δ of GPTQ, same network and bits."""
    one, other = (our_fits.rounded(our_fits.in_full(), method=m)[["job", "post", "delta"]] for m in (name, "gptq"))
    both = one.merge(other, on=["job", "post"], suffixes=("", "_gptq"))
    return doubt.median(both.assign(r=both["delta"] / both["delta_gptq"]), "r")


def draw_method_ours(name: str) -> Drawing:
    """Our δ against D with the fitted law, one size, one method."""
    rows, law, lines, points = our_fits.rounded(our_fits.in_full(), method=name), our_fits.damage_fit(name).law, {}, {}
    size = 98304
    for b in (3, 4, 5):
        some = rows[(rows["N"] == size) & (rows["post"] == b)]
        d = np.geomspace(some["D"].min(), some["D"].max(), 20)
        lines[f"INT{b}"], points[f"INT{b}"] = (d, law.delta(size, d, post=b)), (some["D"], some["delta"])
    return Drawing(lines, points, "D [tokens]", f"δ, N = {size} [nats/token]", log_x=True, log_y=True)


def several() -> Finding:
    """Figure 19: predicted against measured δ for several sizes."""
    said = "Numbers were not recovered from the paper; by its constants all sizes lie on one line."
    rows = our_fits.rounded(our_fits.in_full())
    if not len(rows):
        return Finding(said, NO_TABLE, "Nothing to compare.")
    law = our_fits.damage_fit().law
    parts = {}
    for n, some in rows.groupby("N"):
        if len(some) >= 12:
            parts[int(n)] = doubt.shares_of_variance(some["delta"], guess(law, some), some["job"])
    text = "R² of ln δ by size with one law: " + ", ".join(f"{n}: {v:.3f}" for n, v in parts.items()) + "."
    least = min(parts, key=lambda n: parts[n].value)
    serves = "serves" if parts[least].value > 0.9 else "does not serve"
    return Finding(said, text, f"One law {serves} all sizes: least R² {parts[least].value:.3f}, at N = {least}.")


def draw_several() -> Drawing:
    """δ by the constants at several sizes against D/N to the fitted powers: one line."""
    k, lines = KUMAR_2024, {}
    for n in (30e6, 60e6, 110e6, 220e6):
        d = np.geomspace(10 * n, 800 * n, 12)
        x = d**k.gamma_D / n**k.gamma_N
        lines[f"{n / 1e6:.0f}M"] = (x, k.delta(n, d, post=4))
    return Drawing({}, lines, "D^γ_D / N^γ_N [1]", "δ at 4 bits [nats/token]", log_x=True, log_y=True)


def draw_several_ours() -> Drawing:
    """Predicted against measured δ, four sizes."""
    rows, law, points = our_fits.rounded(our_fits.in_full()), our_fits.damage_fit().law, {}
    rows = rows[rows["seed"] == 0]
    for n in (24576, 55296, 98304, 221184):
        some = rows[rows["N"] == n]
        points[f"N = {n}"] = (guess(law, some), some["delta"])
    return diagonal(points)


def diagonal(points: dict[str, tuple[Any, Any]]) -> Drawing:
    """Measured against predicted δ, by name, with the line on which they are equal."""
    ends = np.array([min(np.min(x) for x, _ in points.values()), max(np.max(x) for x, _ in points.values())])
    same = {"measured = predicted": (ends, ends)}
    return Drawing(same, points, "predicted δ [nats/token]", "measured δ [nats/token]", log_x=True, log_y=True)


EXHIBITS = (
    Exhibit(
        number="F1",
        shows="Left: at 30M the loss after rounding to 3 bits turns up as D/N grows. Right: see F6.",
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
        number="F10",
        shows="The same law with AWQ.",
        compare=functools.partial(method, "awq"),
        ours=functools.partial(draw_method_ours, "awq"),
    ),
    Exhibit(
        number="F11",
        shows="The same law with round-to-nearest.",
        compare=functools.partial(method, "rtn"),
        ours=functools.partial(draw_method_ours, "rtn"),
    ),
    Exhibit(
        number="F19",
        shows="Predicted against actual δ for several N and D.",
        compare=several,
        published=draw_several,
        ours=draw_several_ours,
    ),
)
