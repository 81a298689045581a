"""Figures about rounding after training in full precision: damage against data and size, by several methods."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from precsim import laws
from precsim.evidence import findings, resampling, rows
from precsim.evidence.editions import Reader
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit
from precsim.laws import Law
from precsim.laws.published import KUMAR_2024
from precsim.runs import Table


def _powers(law: Law) -> str:
    k = law.parameters
    return f"δ ∝ D^{k['gamma_D']:.2f} N^{-k['gamma_N']:.2f} e^(-P/{k['gamma_post']:.2f})"


def _sure_powers(found: Fit) -> str:
    d, n, p = (resampling.parameter(found, f"gamma_{x}") for x in ("D", "N", "post"))
    return f"γ_D {d:.2f}, γ_N {n:.2f}, γ {p:.3f}"


def turns(bits: float, of: Reader = open_table) -> tuple[findings.Turn, ...]:
    """Turns of the loss after rounding to these bits, as `precsim.evidence.findings.turns` measures them: by size."""
    return tuple(turn for turn in our_fits.turns(of) if turn.bits == bits)


def turned(bits: float, of: Reader = open_table) -> tuple[int, int]:
    """(Sizes that turn between two of their budgets, sizes)."""
    return sum(turn.inside for turn in turns(bits, of)), len(turns(bits, of))


def critical(size: int, bits: float, of: Reader = open_table) -> str:
    """D/N at which the loss turns, in words: as measured, where it was, and as the law says."""
    turn = next(turn for turn in turns(bits, of) if size == turn.N)
    said = Number(*(x / size for x in turn.predicted))
    seen = Number(*(x / size for x in (turn.tokens, turn.low, turn.high)))
    return f"D/N = {seen:.0f} (law {said:.0f})" if turn.inside else f"D/N = {said:.0f} by the law, beyond our data"


def turn(law: Law, size: ArrayLike, bits: ArrayLike) -> np.ndarray:
    """Critical data of Kumar's law in closed form, equation 12: arrays of parameters will do, unlike with a search."""
    k = law.parameters
    inside = k["beta"] * k["B"] * np.asarray(size) ** k["gamma_N"] * np.exp(np.asarray(bits) / k["gamma_post"])
    return (inside / (k["gamma_D"] * k["C_T"])) ** (1 / (k["gamma_D"] + k["beta"]))


def upturn() -> Compared:
    """Figure 1, left, and critical data."""
    late = {b: float(laws.critical_tokens(KUMAR_2024, 30e6, b)) / 30e6 for b in (3, 4)}
    said = "30M turns at D/N = " + ", ".join(f"{v:.0f} at {b} bits" for b, v in late.items()) + "."
    seen = {bits: turned(bits) for bits in (2, 3, 4, 5)}
    text = "The loss after rounding to nearest turns up within our data at " + ", ".join(
        f"{bits} bits in {inside} of {sizes} sizes" for bits, (inside, sizes) in seen.items()
    )
    text += f". N = 98304 turns at {critical(98304, 3)} at 3 bits and at {critical(98304, 4)} at 4."
    three, four = ({turn.N: turn.tokens for turn in turns(bits) if turn.inside} for bits in (3, 4))
    later = np.median([four[size] / three[size] for size in set(three) & set(four)])
    share = [inside / sizes for inside, sizes in seen.values()]
    agree = "Both turn, the earlier the fewer the bits" if share == sorted(share, reverse=True) else "The order differs"
    agree += f": one bit more puts it off {later:.1f} times here, {late[4] / late[3]:.1f} times there. Ours are "
    sizes = sorted(turn.N for turn in turns(3))
    return Compared(said, text, agree + f"{30e6 / sizes[-1]:,.0f} to {30e6 / sizes[0]:,.0f} times smaller.")


def draw_upturn() -> Drawing:
    """Loss after rounding against D/N by the published constants, 30M parameters."""
    ratio = np.geomspace(50, 1000, 60)
    lines = {f"INT{b}": (ratio, KUMAR_2024(30e6, ratio * 30e6, post=b)) for b in (3, 4, 5, 6)}
    lines["not rounded"] = (ratio, KUMAR_2024(30e6, ratio * 30e6))
    return Drawing(lines, {}, "D / N [tokens per parameter]", "loss, 30M parameters [nats/token]", log_x=True)


def draw_upturn_ours(size: int = 98304) -> Drawing:
    """Our gap after rounding against D/N, one size, means over seeds."""
    trained = rows.full_precision(open_table())
    points = {f"INT{b}": _means(rows.turning(open_table(), (b,)), size) for b in (2, 3, 4, 5)}
    points["not rounded"] = _means(trained, size)
    return Drawing(points, points, "D / N [tokens per parameter]", f"gap, N = {size} [nats/token]", log_x=True)


def _means(some: Table, size: int) -> tuple[np.ndarray, np.ndarray]:
    mean = some.loc[some["N"] == size].groupby("D")["gap"].mean()
    return mean.index.to_numpy(float) / size, mean.to_numpy(float)


def law_of_damage() -> Compared:
    """Figure 2: the law of δ."""
    k = KUMAR_2024
    said = _powers(k) + f"; {np.exp(1 / k.gamma_post):.1f} times per bit. The paper gives R² 0.97."
    nearest, chosen = our_fits.served_fit(), our_fits.damage_fit("gptq")
    (score, some), (_, few) = our_fits.damage_explained(), our_fits.damage_explained("gptq")
    text = f"GPTQ: {_sure_powers(chosen)}, {few['job'].nunique()} networks. To nearest: "
    text += f"{_sure_powers(nearest)}, R² {score:.3f} over {some['job'].nunique()} networks."
    where = {
        x: resampling.parameter(chosen, f"gamma_{x}").against(k.parameters[f"gamma_{x}"]) for x in ("D", "N", "post")
    }
    agree = f"{'Same form' if score.low > 0.95 else 'The form fits badly'}. With GPTQ, theirs lie " + ", ".join(
        f"{lies} our interval (γ{'_' + x if x != 'post' else ''})" for x, lies in where.items()
    )
    return Compared(said, text, agree + ".")


def guess(law: Law, some: Table) -> np.ndarray:
    """δ of rows by a law."""
    bits = {"weights": some["weights"].to_numpy(float), "post": some["post"].to_numpy(float)}
    return np.asarray(law.delta(some["N"].to_numpy(float), some["D"].to_numpy(float), **bits))


def draw_growth() -> Drawing:
    """δ against D by the constants, four bit widths, the smallest and the largest size."""
    lines = {}
    for n, words in ((30e6, "30M"), (220e6, "220M")):
        ratio = np.geomspace(10, 900 if n < 1e8 else 120, 30)
        for b in (3, 4, 5, 6):
            lines[f"INT{b}, {words}"] = (ratio * n, KUMAR_2024.delta(n, ratio * n, post=b))
    return Drawing(lines, {}, "D [tokens]", "δ [nats/token]", log_x=True, log_y=True)


def draw_growth_ours() -> Drawing:
    """Our δ against D with the fitted law, two sizes; means over networks."""
    lines, points = {}, {}
    for n in (24576, 221184):
        for b in (3, 4, 5, 6):
            lines[f"INT{b}, N = {n}"], points[f"INT{b}, N = {n}"] = _measured("rtn", n, b)
    return Drawing(lines, points, "D [tokens]", "δ [nats/token]", log_x=True, log_y=True)


def _measured(name: str, size: int, bits: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[ArrayLike, ArrayLike]]:
    """(The law against D, mean δ of each D) of one method, size and width."""
    some = rows.damage(open_table(), method=name)
    mean = some.loc[(some["N"] == size) & (some["post"] == bits)].groupby("D")["delta"].mean()
    d = np.geomspace(mean.index.min(), mean.index.max(), 20)
    return (d, np.asarray(our_fits.damage_fit(name).law.delta(size, d, post=bits))), (mean.index, mean)


def method(name: str) -> Compared:
    """Figures 10, 11: one method of rounding."""
    said = "The constants of this method are not printed; the paper says that the form holds, as with GPTQ."
    found = our_fits.served_fit() if name == "rtn" else our_fits.damage_fit(name)
    score, some = our_fits.damage_explained(name)
    text = f"{_sure_powers(found)}, R² {score:.3f}, {len(some)} roundings of {some['job'].nunique()} networks; "
    up = our_fits.rises(name)
    text += f"mean δ rises in {up:.0%} of the steps of D."
    agree = "Same form" if score.value > 0.95 and up > 0.95 else "The form holds in part"
    agree += f"; δ is {times_gptq(name):.2f} times that of GPTQ in the same networks, whose γ_D is "
    return Compared(said, text, agree + f"{resampling.parameter(our_fits.damage_fit('gptq'), 'gamma_D'):.2f}.")


def times_gptq(name: str) -> Number:
    """Mean ratio, in logarithm, of δ of a method over δ of GPTQ, same network and bits."""
    some = rows.methods(open_table()).pivot(index=["job", "N", "D", "post"], columns="post_method", values="delta")
    drawn = resampling.redraw(some.reset_index())
    y = np.log((drawn.rows[name] / drawn.rows["gptq"]).to_numpy(float))
    return resampling.number(np.exp(drawn.counts @ y / drawn.counts.sum(axis=1)))


def draw_method_ours(name: str) -> Drawing:
    """Our mean δ against D with the fitted law, one size, one method."""
    lines, points = {}, {}
    for b in (3, 4, 5):
        lines[f"INT{b}"], points[f"INT{b}"] = _measured(name, 98304, b)
    return Drawing(lines, points, "D [tokens]", "δ, N = 98304 [nats/token]", log_x=True, log_y=True)


def several() -> Compared:
    """Figure 19: predicted against measured δ for several sizes."""
    said = "Numbers were not recovered from the paper; by its constants all sizes lie on one line."
    law, every = our_fits.damage_fit().law, rows.damage(open_table())
    parts = {
        int(n): resampling.share_explained(some, "delta", guess(law, some))
        for n, some in every.groupby("N")
        if some["D"].nunique() > 2
    }
    text = "R² of ln δ by size with one law: " + ", ".join(f"{n}: {v:.3f}" for n, v in parts.items()) + "."
    least = min(parts, key=lambda n: parts[n].value)
    serves = "serves" if parts[least].value > 0.9 else "does not serve"
    agree = f"One law {serves} these {len(parts)} sizes: least R² {parts[least].value:.3f}, at N = {least}. "
    agree += "Sizes of two budgets are not among them; for the largest the law says too much (part 4)."
    return Compared(said, text, agree)


def draw_several() -> Drawing:
    """δ by the constants at several sizes against D/N to the fitted powers: one line."""
    k, lines = KUMAR_2024, {}
    for n in (30e6, 60e6, 110e6, 220e6):
        d = np.geomspace(10 * n, 800 * n, 12)
        x = d**k.gamma_D / n**k.gamma_N
        lines[f"{n / 1e6:.0f}M"] = (x, k.delta(n, d, post=4))
    return Drawing({}, lines, "D^γ_D / N^γ_N [1]", "δ at 4 bits [nats/token]", log_x=True, log_y=True)


def draw_several_ours() -> Drawing:
    """Predicted against measured δ, four sizes, one seed."""
    law, every, points = our_fits.damage_fit().law, rows.damage(open_table()), {}
    every = every.loc[(every["seed"] == 0) & (every["delta"] > 0)]
    for n in (24576, 55296, 98304, 221184):
        some = every.loc[every["N"] == n]
        points[f"N = {n}"] = (guess(law, some), some["delta"])
    return diagonal(points)


def diagonal(points: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Drawing:
    """Measured against predicted δ, by name, with the line on which they are equal."""
    ends = np.array([min(np.min(x) for x, _ in points.values()), max(np.max(x) for x, _ in points.values())])
    same = {"measured = predicted": (ends, ends)}
    return Drawing(same, dict(points), "predicted δ [nats/token]", "measured δ [nats/token]", log_x=True, log_y=True)


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
        compare=law_of_damage,
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
