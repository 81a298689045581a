"""Figures about other circumstances: rates, decays, batches, schedules, real text, and the course of training."""

from __future__ import annotations

import functools

import numpy as np

from precsim.evidence import resampling
from precsim.evidence import rows as selections
from precsim.evidence.editions import Reader
from precsim.evidence.paper import our_fits
from precsim.evidence.paper.exhibits import Compared, Drawing, Exhibit
from precsim.evidence.resampling import Number
from precsim.evidence.rows import open_table
from precsim.laws.published import KUMAR_2024
from precsim.runs import Table

#: What the controls vary, and the words for it.
VARIED = {"learning_rate": "rate", "weight_decay": "decay", "batch_tokens": "batch"}


@functools.cache
def controls() -> Table:
    """Evaluations of the batch of controls with its partners; column factor: peak rate over the usual one."""
    rows = selections.beside(open_table(), "controls")
    rows = rows.loc[rows["weights"].isin([3.0, 4.0, np.inf]) & np.isinf(rows["activations"]) & np.isinf(rows["kv"])]
    usual = our_fits.main().groupby("N")["learning_rate"].first()
    return rows.assign(factor=(rows["learning_rate"] / rows["N"].map(usual)).round(3))


def cost(rows: Table, bits: float) -> Number:
    """Median penalty of weights at these bits [nats/token]; cells are drawn again."""
    some = selections.paired(rows)
    some = some.loc[some["weights"] == bits]
    return resampling.median(some, "penalty", unit=our_fits.PAIR)


def by_setting(bits: float = 4.0) -> dict[str, Number]:
    """Penalty of weights at these bits by what is changed from the usual setting, one thing at a time."""
    rows = controls()
    usual = {"factor": 1.0, "weight_decay": 0.0, "batch_tokens": 2048}
    found = {}
    for name, word in (("factor", "rate"), ("weight_decay", "decay"), ("batch_tokens", "batch")):
        others = [rows[o] == v for o, v in usual.items() if o != name]
        for at, some in rows[np.logical_and.reduce(others)].groupby(name):
            if at != usual[name]:
                found[f"{word} {at:g}" + (" of the usual" if name == "factor" else "")] = cost(some, bits)
    return {"usual": cost(rows[np.logical_and.reduce([rows[o] == v for o, v in usual.items()])], bits)} | found


def other_settings() -> Compared:
    """Figure 8: loss against bits under other hyper-parameters."""
    at = [
        float(KUMAR_2024(30e6, 1.5e9, **{n: 4.0}) - KUMAR_2024(30e6, 1.5e9)) for n in ("weights", "activations", "kv")
    ]
    said = "At 4 bits " + ", ".join(f"+{v:.2f}" for v in at) + " nats (weights, activations, KV), 30M, 1.5B tokens. "
    panels = (0.05, 0.06, 0.15)
    said += (
        "The figure's panels span 0.05, 0.06 and 0.15 nats; which is which is unclear in the print. The largest cost "
        f"by the constants is {max(at) / max(panels):.0f} times the largest span: they do not give this figure."
    )
    found = by_setting()
    parts = [f"usual setting +{found['usual']:.3f}"]
    for word, range_ in (("rate", "0.25 to 4 times the usual"), ("decay", "0.01 to 0.3"), ("batch", "512 and 8192")):
        some = [v.value for name, v in found.items() if name.startswith(word)]
        parts.append(f"{word} {range_} +{min(some):.3f} to +{max(some):.3f}")
    text = f"Weights at 4 bits: {', '.join(parts)} nats. "
    real = {b: cost(selections.networks_on_text(open_table()), b) for b in (3.0, 4.0, 6.0)}
    text += "Real text, nats: " + ", ".join(f"+{v:.3f} at {b:.0f} bits" for b, v in real.items()) + "."
    positive = [n for n, v in found.items() if v.low > 0]
    falls = real[3.0].value > real[4.0].value > real[6.0].value
    order = "the same" if falls else "another"
    agree = f"Few bits cost something in {len(positive)} of {len(found)} settings, and {order} "
    spread = [v.value for v in found.values()]
    agree += f"order of bits holds on real text. The penalty of 4 bits lies between +{min(spread):.3f} and "
    return Compared(said, text, agree + f"+{max(spread):.3f} over the settings.")


def draw_other_settings() -> Drawing:
    """Loss above full precision by the constants at 30M and 1.5B tokens."""
    lines = {}
    for name, words in (("weights", "weights"), ("activations", "activations"), ("kv", "KV cache")):
        b = np.linspace(3.5, 8, 40)
        lines[words] = (b, KUMAR_2024(30e6, 1.5e9, **{name: b}) - KUMAR_2024(30e6, 1.5e9))
    return Drawing(lines, {}, "P [bits]", "loss above full precision [nats/token]", log_y=True)


def draw_other_settings_ours() -> Drawing:
    """Median penalty of weights against bits: the chain language as usual, and real text, by size."""
    lines = {}
    for words, rows in (("chains", our_fits.main()), ("real text", selections.networks_on_text(open_table()))):
        some = selections.paired(rows)
        for n in (24576, 98304):
            median = some[some["N"] == n].groupby("weights")["penalty"].median()
            median = median[median > 0]
            lines[f"{words}, N = {n}"] = (median.index, median)
    return Drawing(lines, lines, "P of weights [bits]", "median loss above full precision [nats/token]", log_y=True)


@functools.cache
def growth_by_schedule(of: Reader = open_table) -> dict[str, Number]:
    """Exponent of D in δ at 4 bits for each schedule, of `precsim.evidence.rows.schedules`; none without such runs."""
    return {
        _short(str(name)): resampling.number(resampling.powers(resampling.redraw(some), "delta")[0])
        for name, some in selections.schedules(of()).groupby("schedule")
    }


def _short(schedule: str) -> str:
    """A schedule in words, with the share of the steps that decay where it has one."""
    share = schedule.split("decay=")[1].split(",")[0] if "decay=" in schedule else ""
    kind = schedule.split("(")[0]
    words = {"WarmupStableDecay": "constant, then decay"}.get(kind, kind.lower())
    return f"{words} {share}".strip()


def schedules() -> Compared:
    """Figure 12: the same trend under a linear decay of the rate."""
    said = "A trend, without constants: δ grows with data under linear decay too, at 30M."
    found = growth_by_schedule()
    text = "Exponent of D at 4 bits: " + ", ".join(f"{n} {v:.2f}" for n, v in found.items()) + "."
    least = min(v.low for v in found.values())
    agree = f"δ grows under every schedule tried, a constant rate included: no interval goes below {least:.2f}."
    return Compared(said, text, agree if least > 0 else "δ does not grow under every schedule tried.")


def draw_schedule_ours() -> Drawing:
    """Median δ at 4 bits against D under each schedule, one size."""
    rows, lines = selections.schedules(open_table()), {}
    rows = rows.loc[rows["N"] == 24576]
    for name, some in rows.groupby("schedule"):
        mean = some.groupby("D")["delta"].median()
        lines[_short(str(name)).removeprefix("constant, then ")] = (mean.index, mean)
    return Drawing(lines, lines, "D [tokens]", "median δ at 4 bits, N = 24576 [nats/token]", log_x=True, log_y=True)


def curves() -> Compared:
    """Figure 18: learning curves in few bits."""
    said = (
        "Illustrative: learning curves, no constants. By the law curves of different bits are parallel to each other: "
    )
    there = [float(KUMAR_2024(30e6, d, weights=4.0) - KUMAR_2024(30e6, d)) for d in (1.5e9, 26e9)]
    said += f"4 bits of weights cost +{there[0]:.3f} at 1.5B tokens and +{there[1]:.3f} at 26B."
    rows = our_fits.penalties()
    means = rows.groupby(["N", "D", "weights"])["loss"].mean().unstack("weights")
    steps = np.diff(means.to_numpy(), axis=1)
    ordered, total = int((steps < 0).sum()), int(np.isfinite(steps).sum())
    grows = {b: _growth(rows[(rows["weights"] == b) & (rows["penalty"] > 0)]) for b in (3.0, 4.0)}
    text = (
        "Curves through the ends of runs, one run for each D (the table looks at runs in few bits at their ends only; "
    )
    text += (
        f"curves of single runs are drawn live below): more bits are better in {ordered} of {total} steps; the penalty "
    )
    text += "goes like " + ", ".join(f"D^{v:.2f} at {b:.0f} bits" for b, v in grows.items()) + "."
    wider = all(v.low > 0 for v in grows.values())
    agree = f"The curves {'keep their order' if ordered > 0.95 * total else 'cross'}, and "
    return Compared(
        said, text, agree + ("move apart as they go; by the law they do not." if wider else "stay parallel.")
    )


def _growth(rows: Table) -> Number:
    return resampling.number(resampling.powers(resampling.redraw(rows, unit=our_fits.PAIR), "penalty")[0])


def draw_curves() -> Drawing:
    """Loss against tokens by the constants, 30M parameters, weights in few bits."""
    d, lines = np.geomspace(0.3e9, 26e9, 40), {}
    for bits in (3.0, 4.0, 6.0):
        lines[f"{bits:.0f} bits"] = (d, KUMAR_2024(30e6, d, weights=bits))
    lines["full precision"] = (d, KUMAR_2024(30e6, d))
    return Drawing(lines, {}, "D [tokens]", "loss, 30M parameters [nats/token]", log_x=True)


def draw_curves_ours() -> Drawing:
    """Mean gap of finished runs against their tokens, one size, by bits of the weights."""
    rows, lines = selections.untreated(our_fits.main()), {}
    for bits, some in rows[rows["N"] == 24576].groupby("weights"):
        mean = some.groupby("D")["gap"].mean()
        lines["full precision" if np.isinf(bits) else f"{bits:.0f} bits"] = (mean.index, mean)
    return Drawing(lines, lines, "D [tokens]", "gap at the end of the run, N = 24576 [nats/token]", log_x=True)


EXHIBITS = (
    Exhibit(
        number="F8",
        shows="Loss against bits with other hyper-parameters, on C4.",
        compare=other_settings,
        published=draw_other_settings,
        ours=draw_other_settings_ours,
    ),
    Exhibit(
        number="F12",
        shows="The same trend with linear decay of the rate.",
        compare=schedules,
        ours=draw_schedule_ours,
    ),
    Exhibit(
        number="F18",
        shows="Learning curves in few bits.",
        compare=curves,
        published=draw_curves,
        ours=draw_curves_ours,
    ),
)
