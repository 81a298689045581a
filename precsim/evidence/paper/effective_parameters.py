"""Figures about weights in few bits: effective parameters against bits, and one law for all losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from precsim import laws
from precsim.evidence import resampling
from precsim.evidence.editions import Reader
from precsim.evidence.findings import Part
from precsim.evidence.paper import our_fits, which_tensor
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.laws.published import KUMAR_2024

_FORMS = {"offset": our_fits.OFFSET, "saturating": our_fits.SATURATING, "as printed": our_fits.PLAIN}
_OTHERS = {"activations": Part.ACTIVATIONS, "kv": Part.KV}


def published(bits: float) -> list[float]:
    """Factors of weights, activations and KV cache by the constants."""
    return [float(KUMAR_2024.n_eff(1.0, **{name: bits})) for name in which_tensor.TENSORS]


def factor(bits: float, of: Reader = open_table) -> Number:
    """Our f of the weights, by the law of `precsim.evidence.fitted.weights`."""
    return resampling.of_law(our_fits.weights_fit(of=of), lambda law: law.n_eff(1.0, weights=bits))


def factors() -> Compared:
    """Figure 3: N_eff/N against bits, and where it saturates."""
    rows = ", ".join(f"{b:.0f} bits {', '.join(f'{v:.2f}' for v in published(b))}" for b in (4.0, 6.0, 8.0))
    lines = published(8.0)[0] / published(4.0)[0]
    said = (
        f"f of weights, activations, KV: {rows}. A line of equal loss is N ∝ 1/f: from 8 to 4 bits of weights N grows "
    )
    said += f"{lines:.2f} times."
    share = {b: factor(float(b)) for b in (4, 6, 8)}
    text = "f of weights: " + ", ".join(f"{v:.2f} at {b} bits" for b, v in share.items()) + ". "
    four = {
        n: resampling.of_law(our_fits.part_fit(part), lambda law, n=n: law.n_eff(1.0, **{n: 4.0}))
        for n, part in _OTHERS.items()
    }
    text += "At 4 bits " + ", ".join(f"{which_tensor.WORDS[n]} {v:.2f}" for n, v in four.items())
    text += f" (batch of parts, base given). N grows {share[8].value / share[4].value:.2f} times from 8 to 4 bits."
    apart = {b: share[b].value - published(float(b))[0] for b in share}
    agree = "Ours less theirs, weights: " + ", ".join(f"{v:+.2f} at {b}" for b, v in apart.items()) + " bits: ours "
    return Compared(said, text, agree + ("saturates sooner." if apart[8] > 0 else "saturates later."))


def draw_factors() -> Drawing:
    """f(P) of each tensor by the published constants."""
    b = np.linspace(3.2, 16, 80)
    lines = {which_tensor.WORDS[name]: (b, KUMAR_2024.n_eff(1.0, **{name: b})) for name in which_tensor.TENSORS}
    lines["all three"] = (b, laws.tied_factor(KUMAR_2024, b))
    return Drawing(lines, {}, "P [bits]", "N_eff / N [1]", level=1.0)


def draw_factors_ours() -> Drawing:
    """Our fitted f(P) of the three tensors, activations with one scale, and their product."""
    b = np.linspace(3, 16, 80)
    each = {"weights": our_fits.weights_fit()} | {name: our_fits.part_fit(part) for name, part in _OTHERS.items()}
    f = {name: np.asarray(found.law.n_eff(1.0, **{name: b})) for name, found in each.items()}
    lines: dict[str, tuple[ArrayLike, ArrayLike]] = {which_tensor.WORDS[name]: (b, v) for name, v in f.items()}
    lines["all three, as a product"] = (b, np.prod(list(f.values()), axis=0))
    return Drawing(lines, {}, "P [bits]", "N_eff / N [1]", level=1.0)


def one_fit() -> Compared:
    """Figure 4: loss against bits of the weights, one fit of equation 3."""
    less = [float(KUMAR_2024(30e6, 13.1e9, weights=b) - KUMAR_2024(30e6, 13.1e9)) for b in (3.0, 5.0, 8.0)]
    said = "30M, 13.1B tokens: "
    said += ", ".join(f"{b} bits +{v:.3f}" for b, v in zip((3, 5, 8), less, strict=True)) + " nats."
    fits = {name: our_fits.weights_fit(form, 3) for name, form in _FORMS.items()}
    rows = our_fits.training_rows()
    guess = {name: found.law(rows["N"], rows["D"], weights=rows["weights"]) for name, found in fits.items()}
    scores = {name: resampling.share_explained(rows, "gap", g) for name, g in guess.items()}
    text = f"R² of the gap over {len(rows)} networks: " + ", ".join(f"{n} {v:.3f}" for n, v in scores.items()) + "."
    better = scores["offset"].value - scores["as printed"].value
    apart = "their intervals part" if scores["as printed"].high < scores["offset"].low else "their intervals overlap"
    agree = (
        f"{'One fit serves' if scores['offset'].low > 0.95 else 'One fit does not serve'}. The offset that the text "
    )
    return Compared(said, text, agree + f"drops changes R² by {better:+.3f} here; {apart}.")


def draw_one_fit() -> Drawing:
    """Loss against bits of weights by the constants."""
    b, lines = np.linspace(3, 8, 40), {}
    for n, words in ((30e6, "30M"), (220e6, "220M")):
        for d in (3.3e9, 13.1e9, 26.2e9):
            lines[f"{words}, {d / 1e9:.1f}B tokens"] = (b, KUMAR_2024(n, d, weights=b))
    return Drawing(lines, {}, "bits of weights in training [bits]", "loss [nats/token]")


def draw_one_fit_ours() -> Drawing:
    """Our gap against bits of weights with the fit."""
    law, rows, lines, points = our_fits.weights_fit().law, our_fits.training_rows(), {}, {}
    b = np.linspace(3, 8, 40)
    for n in (24576, 221184):
        some = rows[(rows["N"] == n) & np.isfinite(rows["weights"])]
        for d in sorted(some["D"].unique())[-3:]:
            name = f"N {n}, {d / 1e6:.0f}M"
            lines[name] = (b, law(n, d, weights=b))
            here = some[some["D"] == d]
            points[name] = (here["weights"], here["gap"])
    return Drawing(lines, points, "bits of weights in training [bits]", "gap [nats/token]")


def drift(bits: float, of: Reader = open_table) -> tuple[Number, Number]:
    """(exponent of D, exponent of N) of N_eff/N by equation 30, weights at these bits; partners are drawn again."""
    rows = our_fits.shares(of=of)
    drawn = resampling.redraw(rows.loc[(rows["weights"] == bits) & (rows["share"] > 0)], unit=our_fits.PAIR)
    d, n = map(resampling.number, resampling.powers(drawn, "share"))
    return d, n


def read_off() -> Compared:
    """Figure 15: N_eff/N read off the losses by equation 30."""
    said = "f_w = " + ", ".join(f"{published(b)[0]:.2f} at {b:.0f}" for b in (3.0, 4.0, 6.0, 8.0)) + " bits."
    rows = our_fits.shares()
    median = {
        bits: resampling.median(some, "share", unit=our_fits.PAIR)
        for bits, some in rows.groupby("weights")
        if bits in (3.0, 4.0, 6.0, 8.0)
    }
    text = "Median by equation 30: " + ", ".join(f"{v:.2f} at {b:.0f}" for b, v in median.items()) + " bits."
    at = {bits: drift(bits)[0] for bits in (3.0, 4.0, 6.0)}
    agree = (
        "Exponent of D in f: " + ", ".join(f"{v:.2f} at {b:.0f}" for b, v in at.items()) + " bits; by the law it is 0. "
    )
    moves = [b for b, v in at.items() if v.against(0.0) != "inside"]
    last = f"f depends on D at {', '.join(f'{b:.0f}' for b in moves)} bits." if moves else "No dependence on D is seen."
    return Compared(said, text, agree + last)


def draw_read_off() -> Drawing:
    """Factor of the weights by the constants, at the bits of the sweep."""
    b = np.linspace(2.2, 8.5, 60)
    return Drawing({"weights": (b, KUMAR_2024.n_eff(1.0, weights=b))}, {}, "P [bits]", "N_eff / N [1]", level=1.0)


def draw_read_off_ours() -> Drawing:
    """N_eff/N of every run by equation 30, with the fitted curve."""
    law, rows, b = our_fits.weights_fit().law, our_fits.shares(), np.linspace(2.2, 8.5, 60)
    rows = rows[rows["share"] > 0]
    long = rows["D"] / rows["N"]
    groups = {
        "D/N below 100": long < 100,
        "100 to 500": (long >= 100) & (long < 500),
        "500 and more": long >= 500,
    }
    points = {words: (rows[kept]["weights"], rows[kept]["share"]) for words, kept in groups.items()}
    lines: dict[str, tuple[ArrayLike, ArrayLike]] = {"fit, 2 bits and more": (b, law.n_eff(1.0, weights=b))}
    return Drawing(lines, points, "P [bits]", "N_eff / N [1]", level=1.0)


EXHIBITS = (
    Exhibit(
        number="F3",
        shows="N_eff/N against bits saturates at 6 to 7 bits; lines of equal loss.",
        compare=factors,
        published=draw_factors,
        ours=draw_factors_ours,
    ),
    Exhibit(
        number="F4",
        shows="Loss against bits of weights: one fit of equation 3.",
        compare=one_fit,
        published=draw_one_fit,
        ours=draw_one_fit_ours,
    ),
    Exhibit(
        number="F15",
        shows="N_eff/N read off the losses.",
        compare=read_off,
        published=draw_read_off,
        ours=draw_read_off_ours,
    ),
)
