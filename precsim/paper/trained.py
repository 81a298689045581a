"""Figures about training in few bits: effective parameters of weights, activations and KV cache."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from precsim import laws
from precsim.fitting import fit
from precsim.laws import ACTIVATIONS, KV, WEIGHTS
from precsim.laws.published import KUMAR_2024, KUMAR_2024_FLOAT
from precsim.paper import ours
from precsim.paper.rows import Drawing, Exhibit, Finding

_NO_TABLE = "This installation has no open table of runs."
_TENSORS = {"weights": WEIGHTS, "activations": ACTIVATIONS, "kv": KV}
_PARTS = "The open table has no runs with activations or KV cache in low precision yet."


def _published(bits: float) -> list[float]:
    return [float(KUMAR_2024.n_eff(1.0, **{name: bits})) for name in _TENSORS]


def parts() -> Any:
    """Networks as trained with one or more tensors in low precision; none if that batch was not made."""
    return ours.beside("parts")


@functools.cache
def joint_fit(scaling: str = "token") -> Any:
    """(fit with all three factors, the three marginal fits, rows) of the batch of parts with one kind of scale."""
    rows = parts()
    quantized = rows[list(_TENSORS)].min(axis=1)
    rows = rows[(quantized >= 3) & rows["activations_scaling"].isin(["", scaling])]
    base = laws.Chinchilla(E=0.0)
    joint = fit(
        base | laws.Saturating(WEIGHTS) | laws.Saturating(ACTIVATIONS) | laws.Saturating(KV), rows, strict=False
    )
    alone = {}
    for name, tensor in _TENSORS.items():
        others = [other for other in _TENSORS if other != name]
        mine = rows[np.isinf(rows[others]).all(axis=1)]
        alone[name] = fit(base | laws.Saturating(tensor), mine, strict=False)
    return joint, alone, rows


def factors() -> Finding:
    """Figure 3."""
    rows = ", ".join(f"{b} bits {', '.join(f'{v:.2f}' for v in _published(b))}" for b in (4.0, 6.0, 8.0))
    said = f"f of weights, activations, KV: {rows}."
    if not len(ours.main()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    law = ours.training_fit(ours.SATURATING).law
    share = {b: float(law.n_eff(1.0, weights=float(b))) for b in (3, 4, 6, 8)}
    text = "f of weights: " + ", ".join(f"{b} bits {v:.2f}" for b, v in share.items()) + "."
    if len(parts()):
        joint = joint_fit()[0].law
        text += " At 4 bits activations " + f"{float(joint.n_eff(1.0, activations=4.0)):.2f}, KV "
        text += f"{float(joint.n_eff(1.0, kv=4.0)):.2f}."
    gap = abs(share[4] - _published(4.0)[0])
    pace = "sooner" if share[8] > _published(8.0)[0] else "later"
    return Finding(
        said,
        text,
        f"At 4 bits of weights the two differ by {gap:.2f}; at 8 bits by "
        f"{abs(share[8] - _published(8.0)[0]):.2f}: ours saturates {pace}.",
    )


def draw_factors() -> Drawing:
    """f(P) by the constants."""
    b = np.linspace(3.2, 16, 80)
    lines = {name: (b, KUMAR_2024.n_eff(1.0, **{name: b})) for name in _TENSORS}
    lines["all three"] = (b, laws.tied_factor(KUMAR_2024, b))
    return Drawing(lines, {}, "P [bits]", "N_eff / N [1]", level=1.0)


def draw_factors_ours() -> Drawing:
    """Our f(P) of weights: fitted curve, and every run by equation 30."""
    law, rows = ours.training_fit(ours.SATURATING).law, ours.shares()
    b = np.linspace(2.2, 8.5, 60)
    rows = rows[rows["share"] > 0]
    points = {"runs, equation 30": (rows["weights"], rows["share"])}
    lines = {
        "fit, 3 bits and more": (b, law.n_eff(1.0, weights=b)),
        "Kumar et al., weights": (b, KUMAR_2024.n_eff(1.0, weights=b)),
    }
    return Drawing(lines, points, "bits of weights in training [bits]", "N_eff / N [1]", level=1.0)


def one_fit() -> Finding:
    """Figure 4."""
    less = [float(KUMAR_2024(30e6, 13.1e9, weights=b) - KUMAR_2024(30e6, 13.1e9)) for b in (3.0, 5.0, 8.0)]
    said = (
        "30M, 13.1B tokens: " + ", ".join(f"{b} bits +{v:.3f}" for b, v in zip((3, 5, 8), less, strict=True)) + " nats."
    )
    if not len(ours.main()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    fits = {
        name: ours.training_fit(form)
        for name, form in (("offset", ours.OFFSET), ("saturating", ours.SATURATING), ("as printed", ours.PLAIN))
    }
    rows = ours.training_rows()
    text = f"R² of the gap over {len(rows)} networks: " + ", ".join(f"{n} {f.r2:.3f}" for n, f in fits.items()) + "."
    better = fits["offset"].r2 - fits["as printed"].r2
    return Finding(said, text, f"One fit serves; the offset that the text drops is worth {better:.3f} of R² here too.")


def draw_one_fit() -> Drawing:
    """Loss against bits of weights by the constants."""
    b, lines = np.linspace(3, 8, 40), {}
    for n, words in ((30e6, "30M"), (220e6, "220M")):
        for d in (3.3e9, 13.1e9, 26.2e9):
            lines[f"{words}, {d / 1e9:.1f}B tokens"] = (b, KUMAR_2024(n, d, weights=b))
    return Drawing(lines, {}, "bits of weights in training [bits]", "loss [nats/token]")


def draw_one_fit_ours() -> Drawing:
    """Our gap against bits of weights with the fit."""
    law, rows, lines, points = ours.training_fit(ours.SATURATING).law, ours.training_rows(), {}, {}
    b = np.linspace(3, 8, 40)
    for n in (24576, 221184):
        some = rows[(rows["N"] == n) & np.isfinite(rows["weights"])]
        for d in sorted(some["D"].unique())[-3:]:
            name = f"N = {n}, {d / 1e6:.0f}M tokens"
            lines[name] = (b, law(n, d, weights=b))
            here = some[some["D"] == d]
            points[name] = (here["weights"], here["gap"])
    return Drawing(lines, points, "bits of weights in training [bits]", "gap [nats/token]")


def predicted() -> Finding:
    """Figure 5."""
    said = "The constants are one joint fit; no marginal set is printed. "
    said += "R² in the paper: marginal 0.9655, joint 0.9006, product 0.8973."
    if not len(parts()):
        r2 = (
            f"Weights alone: R² {ours.training_fit(ours.SATURATING).r2:.3f}. {_PARTS}"
            if len(ours.main())
            else _NO_TABLE
        )
        return Finding(said, r2, "The marginal fit of weights agrees; the joint one waits for its runs.")
    joint, alone, rows = joint_fit()
    base = alone["weights"].law.base
    product = laws.Composite((base, *(alone[n].law.parts[1] for n in _TENSORS)))
    guess = product(
        rows["N"].to_numpy(float), rows["D"].to_numpy(float), **{n: rows[n].to_numpy(float) for n in _TENSORS}
    )
    text = f"Joint fit R² {joint.r2:.3f} over {len(rows)} networks; product of the three marginal fits "
    text += f"{ours.r2(rows['gap'], guess):.3f}."
    lost = joint.r2 - ours.r2(rows["gap"], guess)
    return Finding(
        said, text, f"The product loses {lost:.3f} of R²: factors {'multiply' if lost < 0.03 else 'do not multiply'}."
    )


def draw_predicted_ours() -> Drawing:
    """Predicted against measured gap."""
    law, rows = ours.training_fit(ours.SATURATING).law, ours.training_rows()
    guess = law(rows["N"].to_numpy(float), rows["D"].to_numpy(float), weights=rows["weights"].to_numpy(float))
    points = {}
    for b in sorted(rows["weights"].unique()):
        here = (rows["weights"] == b).to_numpy()
        name = "full precision" if np.isinf(b) else f"{b:.0f} bits"
        points[name] = (guess[here], rows["gap"].to_numpy(float)[here])
    ends = np.array([guess.min(), guess.max()])
    return Drawing(
        {"measured = predicted": (ends, ends)},
        points,
        "predicted gap [nats/token]",
        "gap [nats/token]",
        log_x=True,
        log_y=True,
    )


def other_settings() -> Finding:
    """Figure 8."""
    at = [float(KUMAR_2024(30e6, 1.5e9, **{n: 4.0}) - KUMAR_2024(30e6, 1.5e9, **{n: 8.0})) for n in _TENSORS]
    said = (
        "By the constants 4 bits cost more than 8 by "
        + ", ".join(f"{v:.2f}" for v in at)
        + " (weights, activations, KV)."
    )
    rows = ours.batch("controls")
    if not len(rows):
        return Finding(
            said,
            "The figure needs C4 and a 30M model. Our controls (learning rate, decay, batch) are not made yet.",
            "Not comparable: which panel is which tensor is unclear in the print.",
        )
    low = ours.as_trained(rows)
    text = f"{low['job'].nunique()} control networks with other rates, decays and batches; "
    costs = _cost_of_bits(low, 4.0)
    text += f"4 bits of weights cost {costs[0]:.3f} to {costs[1]:.3f} nats across them."
    return Finding(
        said, text, "The sign is the same in every setting." if costs[0] > 0 else "The sign is not the same everywhere."
    )


def _cost_of_bits(rows: Any, bits: float) -> tuple[float, float]:
    setting = ["N", "D", "learning_rate", "weight_decay", "batch_tokens"]
    means = rows.groupby([*setting, "weights"])["gap"].mean().unstack("weights")
    if bits not in means.columns or np.inf not in means.columns:
        return float("nan"), float("nan")
    extra = (means[bits] - means[np.inf]).dropna()
    return float(extra.min()), float(extra.max())


def granularity() -> Finding:
    """Figure 13."""
    said = "No constants. The paper: activations per channel are about as hard as weights per tensor."
    rows = ours.main()
    if not len(rows):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    twin = ["job", "post"]
    fine = ours.rounded(ours.in_full()).set_index(twin)["delta"]
    coarse = ours.rounded(ours.in_full(), scaling="tensor").set_index(twin)["delta"]
    ratio = (coarse / fine).dropna().groupby("post").median()
    text = (
        "After training, one scale per tensor damages more than one per channel by "
        + ", ".join(f"{v:.2f} times at {p:.0f} bits" for p, v in ratio.items())
        + "."
    )
    if len(parts()):
        by = {s: joint_fit(s)[0].law for s in ("token", "tensor")}
        text += (
            " In training, activations at 4 bits: f "
            + ", ".join(f"{float(law.n_eff(1.0, activations=4.0)):.2f} per {s}" for s, law in by.items())
            + "."
        )
        finer = float(by["token"].n_eff(1.0, activations=4.0)) > float(by["tensor"].n_eff(1.0, activations=4.0))
        agree = "Finer scales help weights and activations." if finer else "Finer scales help weights, not activations."
        return Finding(said, text, agree)
    return Finding(said, text + " " + _PARTS, "The direction agrees for weights; activations wait for their runs.")


def sensitivities() -> Finding:
    """Figure 14."""
    at = [float(KUMAR_2024(60e6, 6e9, **{n: 4.0}) - KUMAR_2024(60e6, 6e9)) for n in _TENSORS]
    said = "60M, 6B tokens, 4 bits: " + ", ".join(f"{n} +{v:.3f}" for n, v in zip(_TENSORS, at, strict=True)) + " nats."
    if not len(parts()):
        return Finding(said, _PARTS, "Nothing to compare yet.")
    rows = parts()
    setting, extra = ["N", "D", "seed", "language_seed"], {}
    full = rows[np.isinf(rows[list(_TENSORS)]).all(axis=1)].groupby(setting)["gap"].mean()
    for name in _TENSORS:
        others = [o for o in _TENSORS if o != name]
        some = rows[(rows[name] == 4) & np.isinf(rows[others]).all(axis=1)]
        extra[name] = float((some.groupby(setting)["gap"].mean() - full).median())
    text = "Median extra gap at 4 bits: " + ", ".join(f"{n} {v:.4f}" for n, v in extra.items()) + "."
    order = sorted(extra, key=lambda name: -extra[name])
    mine, paper = " > ".join(order), "activations > weights > kv"
    return Finding(said, text, f"Order here {mine}; in the paper {paper}.")


def read_off() -> Finding:
    """Figure 15."""
    said = "f_w = " + ", ".join(f"{_published(b)[0]:.2f} at {b:.0f}" for b in (3.0, 4.0, 6.0, 8.0)) + " bits."
    if not len(ours.main()):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    from precsim.paper.evidence import powers

    rows = ours.shares()
    median = rows.groupby("weights")["share"].median()
    text = "Median by equation 30: " + ", ".join(f"{v:.2f} at {b:.0f}" for b, v in median.items()) + " bits."
    drift = powers(rows[(rows["weights"] == 3) & (rows["share"] > 0)], "share")[0]
    agree = f"Same shape. But f at 3 bits falls like D^{drift:.2f}: not a function of bits alone."
    return Finding(said, text, agree)


def floats() -> Finding:
    """Figure 16."""
    at = [float(KUMAR_2024_FLOAT.n_eff(1.0, weights=b)) for b in (4.0, 6.0, 8.0)]
    said = "f of float weights " + ", ".join(f"{v:.2f}" for v in at) + " at 4, 6, 8 bits; integers "
    said += ", ".join(f"{_published(b)[0]:.2f}" for b in (4.0, 6.0, 8.0)) + "."
    rows = ours.beside("formats")
    low = rows
    if not len(low):
        return Finding(
            said,
            "No networks were trained in float formats yet; after training, " + _after_floats(),
            "Float and integer are close in both, after training here and in training there.",
        )
    median = extra_by_format(rows)
    text = "Median extra gap: " + ", ".join(f"{f} {v:.4f}" for f, v in median.items()) + "."
    order = [v for _, v in sorted((_width(str(n)), v) for n, v in median.items() if not str(n).startswith("INT"))]
    falling = len(order) > 1 and order[0] > order[-1]
    return Finding(
        said, text, "Fewer bits cost more in floats too." if falling else "No order by width is seen in floats."
    )


def extra_by_format(rows: Any) -> Any:
    """Median gap above the twin in full precision, by format of the weights, at most 8 bits, weights alone."""
    cell = ["N", "D", "seed", "language_seed"]
    full = rows[np.isinf(rows["weights"]) & np.isinf(rows["activations"])][[*cell, "gap"]]
    alone = rows[np.isfinite(rows["weights"]) & np.isinf(rows["activations"]) & (rows["weights"] <= 8)]
    alone = alone[alone["weights_scaling"] == "channel"]  # formats of blocks have the same names
    joined = alone.merge(full, on=cell, suffixes=("", "_full"))
    extra = joined.assign(extra=joined["gap"] - joined["gap_full"])
    return extra.groupby("weights_format")["extra"].median().sort_values(ascending=False)


def _width(name: str) -> int:
    """Bits of a float by its name: E2M3 in it means 1 + 2 + 3; 0 where it names no split."""
    found = re.search(r"[eE](\d)[mM](\d)", name)
    return 1 + int(found[1]) + int(found[2]) if found else 0


def _after_floats() -> str:
    rows = ours.in_full()
    if not len(rows):
        return _NO_TABLE
    some = rows[
        (rows["post_scaling"] == "channel") & rows["post_format"].isin(["FP4_E2M1", "INT4", "FP6_E2M3", "INT6"])
    ]
    median = some.groupby("post_format")["delta"].median()
    return "median δ: " + ", ".join(f"{f} {v:.4f}" for f, v in median.items()) + "."


def splits() -> Finding:
    """Figure 17."""
    said = "No constants for the two sweeps are printed."
    trained = ours.beside("formats")
    if len(trained):
        costs = extra_by_format(trained)
        text = "Median extra gap: " + ", ".join(f"{f} {v:.4f}" for f, v in costs.items()) + "."
        same = [v for name, v in costs.items() if _width(str(name)) == 6 and not str(name).startswith("INT")]
        if len(same) < 2:
            return Finding(said, text, "Fewer than two floats of 6 bits were trained.")
        spread = max(same) / max(min(same), 1e-9)
        return Finding(said, text, f"Floats of 6 bits differ {spread:.1f} times: the split matters, as in the paper.")
    rows = ours.in_full()
    if not len(rows):
        return Finding(said, _NO_TABLE, "Nothing to compare.")
    some = rows[
        (rows["post_scaling"] == "channel") & rows["post_format"].isin(["FP6_E2M3", "FP6_E3M2", "FP8_E4M3", "FP8_E5M2"])
    ]
    median = some.groupby("post_format")["delta"].median()
    text = "Trained sweeps of exponent and significand do not exist here; after training the median δ is "
    text += ", ".join(f"{f} {v:.5f}" for f, v in median.items()) + "."
    worse = median["FP6_E3M2"] / median["FP6_E2M3"]
    return Finding(
        said, text, f"At equal width a significand bit moved to the exponent costs {worse:.1f} times the δ at 6 bits."
    )


def curves() -> Finding:
    """Figure 18."""
    said = "Illustrative: learning curves, no constants."
    return Finding(
        said,
        "The open table looks at runs in few bits at their ends only, one run for each D.",
        "Not reproduced as one run's curve; F4 has the losses, each with a schedule that ends at its D.",
    )


def marginal() -> Finding:
    """Figure 20."""
    said = "γ, n: activations 2.21, 1.41; KV 0.96, 2.42 (appendix K)."
    if not len(parts()):
        return Finding(said, _PARTS, "Nothing to compare yet.")
    _, alone, _ = joint_fit()
    text = "Marginal fits, R²: " + ", ".join(f"{n} {f.r2:.3f}" for n, f in alone.items()) + "."
    half = {n: float(alone[n].law.n_eff(1.0, **{n: 4.0})) for n in _TENSORS}
    return Finding(said, text, "f at 4 bits: " + ", ".join(f"{n} {v:.2f}" for n, v in half.items()) + ".")


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
        number="F5",
        shows="Predicted against actual loss: marginal, joint, product.",
        compare=predicted,
        ours=draw_predicted_ours,
    ),
    Exhibit(number="F8", shows="Loss against bits with other hyper-parameters, on C4.", compare=other_settings),
    Exhibit(number="F13", shows="Scales per tensor and per channel, weights and activations.", compare=granularity),
    Exhibit(number="F14", shows="Loss against bits of each tensor at several N, D.", compare=sensitivities),
    Exhibit(number="F15", shows="N_eff/N read off the losses.", compare=read_off),
    Exhibit(number="F16", shows="Float weights follow the same form.", compare=floats),
    Exhibit(number="F17", shows="Exponent and significand bits saturate at different rates.", compare=splits),
    Exhibit(number="F18", shows="Learning curves in few bits.", compare=curves),
    Exhibit(number="F20", shows="Sweeps of activations and of the KV cache, fitted from scratch.", compare=marginal),
)
