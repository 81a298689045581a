"""Figures about weights, activations and KV cache one at a time: which hurts most, and what the scales do."""

from __future__ import annotations

import functools

import numpy as np

from precsim import laws
from precsim.evidence import resampling
from precsim.evidence import rows as selections
from precsim.evidence.editions import Reader
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit, fit
from precsim.laws import ACTIVATIONS, KV, WEIGHTS
from precsim.laws.published import KUMAR_2024
from precsim.runs import Table

TENSORS = {"weights": WEIGHTS, "activations": ACTIVATIONS, "kv": KV}
WORDS = {"weights": "weights", "activations": "activations", "kv": "KV cache"}
#: How the activations are scaled: the paper's way, and one scale for each token.
SCALES = ("tensor", "token")


@functools.cache
def partners(of: Reader = open_table) -> Table:
    """Networks of `precsim.evidence.rows.parts` with their penalty and their share by equation 30."""
    return our_fits.shares(selections.paired(selections.networks_of_parts(of())), of)


def scales(of: Reader = open_table) -> tuple[str, ...]:
    """Of `SCALES`, those that the table has networks of: the second edition has one for each token only."""
    tried = set(selections.parts(of())["activations_scaling"])
    return tuple(scale for scale in SCALES if scale in tried)


def trained(scaling: str, of: Reader = open_table) -> Table:
    """Networks as trained with tensors at 3 bits or more, activations with one kind of scale."""
    rows = selections.networks_of_parts(of())
    return rows.loc[(rows[list(TENSORS)].min(axis=1) >= 3) & rows["activations_scaling"].isin(["", scaling])]


def alone(name: str, scaling: str = "tensor", of: Reader = open_table) -> Table:
    """Pairs in which one tensor alone is in few bits; activations with one kind of scale."""
    rows = partners(of)
    others = [other for other in TENSORS if other != name]
    mine = rows.loc[np.isfinite(rows[name]) & np.isinf(rows[others]).all(axis=1)]
    return mine.loc[mine["activations_scaling"] == scaling] if name == "activations" else mine


def granularity() -> Compared:
    """Figure 13: one scale for a tensor or for each channel."""
    said = "No constants. The paper: activations per channel are about as hard as weights per tensor."
    rows = selections.in_full(our_fits.main())
    columns = ["job", "N", "D", "post", "delta"]
    fine, coarse = (selections.rounded(rows, scaling=s)[columns] for s in ("channel", "tensor"))
    both = coarse.merge(fine, on=columns[:-1], suffixes=("", "_fine"))
    both = both.assign(ratio=both["delta"] / both["delta_fine"])
    text = "Weights after training, tensor over channel: " + ", ".join(
        f"{resampling.median(some, 'ratio'):.2f} times δ at {bits:.0f} bits"
        for bits, some in both.groupby("post")
        if bits in (3.0, 4.0)
    )
    a, w = (penalty(name, 4.0, scale) for name, scale in (("activations", "token"), ("weights", "")))
    c = penalty("activations", 4.0, "tensor")
    text += (
        f". In training at 4 bits: activations per tensor +{c:.3f}, per token +{a:.3f}; weights per channel +{w:.3f}."
    )
    ratio = finest_against_coarsest()
    agree = (
        f"After training at 4 bits, activations per token cost {ratio:.2f} times what weights per tensor cost, in the "
    )
    agree += "same networks: "
    return Compared(
        said, text, agree + ("about as hard here too." if 0.5 < ratio.value < 2 else "not equally hard here.")
    )


def finest_against_coarsest() -> Number:
    """Median δ of activations with a scale per token over δ of weights with one scale, 4 bits, after training."""
    activations, weights = selections.served_in_few_bits(open_table())
    cell = list(selections.CELL)
    both = activations.merge(weights[[*cell, "delta"]], on=cell, suffixes=("", "_w"))
    return resampling.median(both.assign(r=both["delta"] / both["delta_w"]), "r")


def draw_granularity_ours() -> Drawing:
    """Median penalty in training against bits, by tensor and scale."""
    curves = {}
    for words, name, scale in (
        ("activations by tensor", "activations", "tensor"),
        ("activations by token", "activations", "token"),
        ("weights by channel", "weights", ""),
    ):
        curves[words] = _medians(alone(name, scale or "tensor"), name, "penalty")
    return Drawing(curves, curves, "P [bits]", "median loss above full precision [nats/token]", log_y=True)


def _medians(rows: Table, name: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    median = rows.groupby(name)[column].median()
    median = median[median > 0]
    return median.index.to_numpy(float), median.to_numpy(float)


def penalty(name: str, bits: float, scaling: str = "tensor") -> Number:
    """Median penalty of one tensor at these bits [nats/token]; cells are drawn again."""
    rows = alone(name, scaling or "tensor")
    return resampling.median(rows[rows[name] == bits], "penalty", unit=our_fits.PAIR)


def share(name: str, bits: float, scaling: str = "tensor", of: Reader = open_table) -> Number:
    """Median N_eff/N by equation 30 of one tensor at these bits; cells are drawn again."""
    rows = alone(name, scaling, of)
    return resampling.median(rows[rows[name] == bits], "share", unit=our_fits.PAIR)


def over_weights(name: str, bits: float, scaling: str = "tensor", of: Reader = open_table) -> Number:
    """Median over cells: penalty of a tensor alone over that of the weights alone, same bits and same partner."""
    one, two = alone(name, scaling, of), alone("weights", of=of)
    one, two = one[one[name] == bits], two[two["weights"] == bits]
    both = one[["partner", "N", "D", "penalty"]].merge(two[["partner", "penalty"]], on="partner", suffixes=("", "_w"))
    both = both.assign(ratio=both["penalty"] / both["penalty_w"])
    return resampling.median(both, "ratio", unit=our_fits.PAIR)


def ranking(bits: tuple[float, ...] = (3.0, 4.0, 6.0)) -> tuple[tuple[str, ...], ...]:
    """Rows of words: a tensor with its scale, then its median penalty [nats/token] at each number of bits."""
    asked = (
        ("activations, a scale per tensor", "activations", "tensor"),
        ("activations, a scale per token", "activations", "token"),
        ("weights, a scale per channel", "weights", "tensor"),
        ("KV cache", "kv", "tensor"),
    )
    return tuple((words, *(f"{penalty(name, b, scale):.4f}" for b in bits)) for words, name, scale in asked)


def sensitivities() -> Compared:
    """Figure 14: loss against the bits of each tensor."""
    at = {n: float(KUMAR_2024(60e6, 6e9, **{n: 4.0}) - KUMAR_2024(60e6, 6e9)) for n in TENSORS}
    said = "60M, 6B tokens, 4 bits: " + ", ".join(f"{WORDS[n]} +{v:.3f}" for n, v in at.items()) + " nats."
    here = {n: penalty(n, 4.0) for n in TENSORS}
    text = "Median at 4 bits: " + ", ".join(f"{WORDS[n]} +{v:.4f}" for n, v in here.items()) + " nats."
    mine, theirs = (sorted(x, key=lambda n, x=x: -_level(x[n])) for x in (here, at))
    agree = "Same order" if mine == theirs else "Another order"
    agree += (
        f": {' > '.join(WORDS[n] for n in mine)}. Activations over weights: {over_weights('activations', 4.0):.1f} "
    )
    agree += f"here, median over pairs, {at['activations'] / at['weights']:.1f} by the constants."
    return Compared(said, text, agree)


def _level(x: Number | float) -> float:
    return x.value if isinstance(x, Number) else x


def draw_sensitivities() -> Drawing:
    """Loss above full precision against bits, by the constants at 60M and 6B tokens."""
    lines = {}
    for name in TENSORS:
        b = np.linspace(3.3, 8, 50)
        lines[WORDS[name]] = (b, KUMAR_2024(60e6, 6e9, **{name: b}) - KUMAR_2024(60e6, 6e9))
    return Drawing(lines, {}, "P [bits]", "loss above full precision, 60M [nats/token]", log_y=True)


def draw_sensitivities_ours() -> Drawing:
    """Median penalty against bits, three tensors, with every pair of one size."""
    lines = {WORDS[n]: _medians(alone(n), n, "penalty") for n in TENSORS}
    points = {}
    for name in TENSORS:
        some = alone(name)
        some = some[(some["N"] == 98304) & (some["penalty"] > 1e-4)]
        points[WORDS[name]] = (some[name], some["penalty"])
    return Drawing(lines, points, "P [bits]", "loss above full precision [nats/token]", log_y=True)


@functools.cache
def from_scratch(name: str) -> Fit:
    """Marginal fit of the offset form, as in the paper's figure 20, for one tensor."""
    rows = trained("tensor")
    others = [other for other in TENSORS if other != name]
    mine = rows.loc[np.isinf(rows[others]).all(axis=1)]
    return fit(laws.Chinchilla(E=0.0) | laws.Offset(TENSORS[name]), mine, strict=False)


def marginal() -> Compared:
    """Figure 20: activations and KV cache alone, fitted from scratch."""
    k = KUMAR_2024
    said = f"γ, n: activations {k.gamma_a:.2f}, {k.n_a:.2f}; KV {k.gamma_kv:.2f}, {k.n_kv:.2f}."
    letters = {"activations": "a", "kv": "kv"}
    parts, agree = [], []
    for name, x in letters.items():
        found = from_scratch(name)
        gamma, n = resampling.parameter(found, f"gamma_{x}"), resampling.parameter(found, f"n_{x}")
        parts.append(f"{WORDS[name]} γ {gamma:.2f}, n {n:.2f}, R² {found.r2:.3f}")
        agree.append(f"γ of {WORDS[name]} there lies {gamma.against(k.parameters[f'gamma_{x}'])} our interval")
    return Compared(said, "Offset form, one scale per tensor: " + "; ".join(parts) + ".", "; ".join(agree) + ".")


def draw_marginal() -> Drawing:
    """Factors of activations and KV cache by the constants."""
    b = np.linspace(3.2, 8, 50)
    lines = {WORDS[n]: (b, KUMAR_2024.n_eff(1.0, **{n: b})) for n in ("activations", "kv")}
    return Drawing(lines, {}, "P [bits]", "N_eff / N [1]", level=1.0)


def draw_marginal_ours() -> Drawing:
    """Fitted f of activations and KV cache, with every pair read by equation 30."""
    b, lines, points = np.linspace(3, 8.2, 50), {}, {}
    for name in ("activations", "kv"):
        lines[WORDS[name]] = (b, from_scratch(name).law.n_eff(1.0, **{name: b}))
        some = alone(name)
        some = some[(some[name] >= 3) & some["share"].notna()]
        points[WORDS[name]] = (some[name], some["share"])
    return Drawing(lines, points, "P [bits]", "N_eff / N [1]", level=1.0)


EXHIBITS = (
    Exhibit(
        number="F13",
        shows="Scales per tensor and per channel, weights and activations.",
        compare=granularity,
        ours=draw_granularity_ours,
    ),
    Exhibit(
        number="F14",
        shows="Loss against bits of each tensor at several N, D.",
        compare=sensitivities,
        published=draw_sensitivities,
        ours=draw_sensitivities_ours,
    ),
    Exhibit(
        number="F20",
        shows="Sweeps of activations and of the KV cache, fitted from scratch.",
        compare=marginal,
        published=draw_marginal,
        ours=draw_marginal_ours,
    ),
)
