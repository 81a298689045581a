"""Figure 5 and its question: whether the factors of weights, activations and KV cache multiply."""

from __future__ import annotations

import functools

import numpy as np

from precsim import laws
from precsim.evidence import resampling
from precsim.evidence.editions import Reader
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.paper.which_tensor import SCALES, TENSORS, WORDS, alone, partners, trained
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.fitting.fits import Fit, fit
from precsim.laws import ACTIVATIONS, KV, WEIGHTS, Law
from precsim.laws.published import KUMAR_2024
from precsim.runs import Table


@functools.cache
def joint_fit(scaling: str = "tensor", of: Reader = open_table) -> tuple[Fit, dict[str, Fit], Table]:
    """(fit with all three factors, the three marginal fits, rows), tensors at 3 bits or more.

    Of single networks as the paper's, for its three R²; P* and f, which the chapters print too, come from
    `precsim.evidence.fitted.tensors` and `precsim.evidence.findings.factor_of`.
    """
    rows = trained(scaling, of)
    base = laws.Chinchilla(E=0.0)
    three = base | laws.Saturating(WEIGHTS) | laws.Saturating(ACTIVATIONS) | laws.Saturating(KV)
    single = {}
    for name, tensor in TENSORS.items():
        others = [other for other in TENSORS if other != name]
        mine = rows.loc[np.isinf(rows[others]).all(axis=1)]
        single[name] = fit(base | laws.Saturating(tensor), mine, strict=False)
    return fit(three, rows, strict=False), single, rows


@functools.cache
def joint_scores(scaling: str, of: Reader = open_table) -> tuple[Number, Number, int]:
    """(R² of the joint fit, R² of the product of the marginal factors on the weights' base, networks)."""
    joint, single, rows = joint_fit(scaling, of)
    product = single["weights"].law | single["activations"].law.parts[1] | single["kv"].law.parts[1]
    found = [resampling.share_explained(rows, "gap", _guess(law, rows)) for law in (joint.law, product)]
    return found[0], found[1], len(rows)


def _guess(law: Law, rows: Table) -> np.ndarray:
    bits = {name: rows[name].to_numpy(float) for name in TENSORS}
    return np.asarray(law(rows["N"].to_numpy(float), rows["D"].to_numpy(float), **bits))


@functools.cache
def composed(scaling: str, of: Reader = open_table) -> Table:
    """Networks with several tensors in few bits, each beside what the single ones of its cell would make one expect.

    Columns added: least (fewest bits); product, the share over the product of the single shares; and sum, the penalty
    over the sum of the single penalties.
    """
    rows = partners(of)
    several = rows.loc[np.isfinite(rows[list(TENSORS)]).sum(axis=1) > 1]
    several = several.loc[several["activations_scaling"].isin(["", scaling])]
    expected, total = np.ones(len(several)), np.zeros(len(several))
    for name in TENSORS:
        single = alone(name, scaling, of).set_index(["partner", name])[["share", "penalty"]]
        found = single.reindex(list(zip(several["partner"], several[name], strict=True)))
        off = np.isinf(several[name]).to_numpy()
        expected *= np.where(off, 1.0, found["share"].to_numpy(float))
        total += np.where(off, 0.0, found["penalty"].to_numpy(float))
    out = several.assign(least=several[list(TENSORS)].min(axis=1))
    return out.loc[np.isfinite(expected)].assign(product=out["share"] / expected, sum=out["penalty"] / total)


def all_three(scaling: str, bits: float, of: Reader = open_table) -> tuple[Number, Number]:
    """(N_eff over the product of the single factors, penalty over their sum), medians, all three tensors at these bits.

    Whole cells, a network in full precision with its partners, are drawn again.
    """
    rows = composed(scaling, of)
    rows = rows.loc[(rows[list(TENSORS)] == bits).all(axis=1)]
    product, total = (resampling.median(rows, name, unit=our_fits.PAIR) for name in ("product", "sum"))
    return product, total


def predicted() -> Compared:
    """Figure 5: predicted against measured loss by marginal, joint and product fits."""
    said = "The constants are one joint fit; no marginal set is printed. "
    said += "R² in the paper: marginal 0.9655, joint 0.9006, product 0.8973."
    joint, product, count = joint_scores("tensor")
    single = joint_fit("tensor")[1]
    text = f"Marginal fits: R² {min(f.r2 for f in single.values()):.3f} to {max(f.r2 for f in single.values()):.3f}; "
    text += f"joint {joint:.3f}, product of the marginal factors {product:.3f}, {count} networks, one scale per tensor."
    ratio, cost = all_three("tensor", 3.0)
    four, _ = all_three("tensor", 4.0)
    agree = f"The product loses {joint.value - product.value:.3f} of R², in the paper 0.003. Without a fit, N_eff of "
    agree += f"all three at 4 bits is {four:.2f} times the product of the single factors, at 3 bits {ratio:.2f} times, "
    agree += f"where the penalty is {cost:.2f} of the sum: "
    low = four.against(1.0) == ratio.against(1.0) == "below"
    return Compared(said, text, agree + ("less harm than the product says." if low else "no clear departure."))


def draw_predicted() -> Drawing:
    """Joint law against the product of one-tensor penalties, by the constants: what multiplying means."""
    b = np.linspace(3.3, 12, 60)
    full = KUMAR_2024(30e6, 13.1e9)
    each = {n: KUMAR_2024(30e6, 13.1e9, **{n: b}) - full for n in TENSORS}
    lines = {WORDS[n]: (b, v) for n, v in each.items()}
    lines["all three, product"] = (b, KUMAR_2024(30e6, 13.1e9, **dict.fromkeys(TENSORS, b)) - full)
    lines["all three, sum"] = (b, sum(each.values()))
    return Drawing(lines, {}, "P [bits]", "loss above full precision, 30M [nats/token]", log_y=True)


def draw_predicted_ours() -> Drawing:
    """Predicted against measured gap of every network, joint fit."""
    joint, _, rows = joint_fit("tensor")
    guess, points = _guess(joint.law, rows), {}
    used = np.isfinite(rows[list(TENSORS)]).sum(axis=1).to_numpy()
    for count, words in enumerate(("full precision", "one tensor", "two", "all three")):
        points[words] = (guess[used == count], rows["gap"].to_numpy(float)[used == count])
    ends = np.array([guess.min(), guess.max()])
    same = {"measured = predicted": (ends, ends)}
    return Drawing(same, points, "predicted gap [nats/token]", "gap [nats/token]", log_x=True, log_y=True)


def together(bits: tuple[float, ...] = (6.0, 4.0, 3.0)) -> tuple[tuple[str, ...], ...]:
    """Rows of words: how many tensors and their fewest bits, N_eff over product, penalty over sum, networks."""
    rows = []
    for scaling in SCALES:
        every = composed(scaling)
        every = every.assign(used=np.isfinite(every[list(TENSORS)]).sum(axis=1))
        for (used, least), some in every.groupby(["used", "least"], sort=False):
            if least in bits:
                found = (resampling.median(some, name, unit=our_fits.PAIR) for name in ("product", "sum"))
                count = "two" if used == 2 else "all three"
                words = f"{count}, {least:.0f} bits at least, activations by {scaling}"
                rows.append((words, *(f"{x:.2f}" for x in found), str(some["job"].nunique())))
    return tuple(sorted(rows, key=lambda row: (row[0].startswith("all"), row[0])))


EXHIBITS = (
    Exhibit(
        number="F5",
        shows="Predicted against actual loss: marginal, joint, product.",
        compare=predicted,
        published=draw_predicted,
        ours=draw_predicted_ours,
    ),
)
