"""Several tensors in few bits at once: whether what is left is the product of what each leaves alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from precsim.evidence import fitted
from precsim.evidence.findings.finding import STATED, Finding, found
from precsim.evidence.resampling import TWINS, number, redraw
from precsim.evidence.rows import TENSORS, against_full, parts
from precsim.runs import Table


def shares(table: Table) -> Table:
    """Every run of several tensors in few bits, and what its tensors do alone.

    Returns
    -------
    DataFrame
        The run's columns; ``measured``: −ln(N_eff/N), from the base law and the ratio of its gap to that of full
        precision; ``expected``: the sum of the same of its tensors alone, which the product law says it is;
        ``nats`` and ``sum``: the gap added, and the sum of the gaps that its tensors alone add [nats/token].
    """
    rows = parts(table)
    rows = against_full(rows, rows.loc[np.isinf(rows[list(TENSORS)]).all(axis=1)])
    low = np.isfinite(rows[list(TENSORS)].to_numpy())
    law = fitted.base(table).law
    full = np.asarray(law(rows["N"], rows["D"]))
    size = law.A * rows["N"].to_numpy(dtype=float) ** -law.alpha
    rows["measured"] = np.log1p(full * (rows["ratio"] - 1) / size) / law.alpha
    rows["nats"] = rows["gap"] * (1 - 1 / rows["ratio"])
    keys = [*TWINS, *TENSORS, "activations_scaling"]
    alone = rows[low.sum(axis=1) == 1].set_index(keys)[["measured", "nats"]]
    together = rows.loc[low.sum(axis=1) > 1].reset_index(drop=True)
    total = np.zeros((len(together), 2))
    for name in TENSORS:
        one = together[keys].copy()
        for other in TENSORS:
            if other != name:
                one[other] = np.inf
        if name != "activations":
            one["activations_scaling"] = ""
        at = alone.reindex(one.set_index(keys).index).to_numpy()
        total += np.where(np.isfinite(together[[name]].to_numpy()), at, 0.0)
    together = together.assign(expected=total[:, 0], sum=total[:, 1], kind=_kinds(together))
    return together.loc[np.isfinite(together["expected"])].reset_index(drop=True)


def product_law(table: Table) -> tuple[Finding, ...]:
    """Measured ln(N/N_eff) of several tensors over the sum of what each alone costs, for every kind of combination."""
    rows = shares(table)
    answers = [
        _ratio(rows, "measured", "expected", "product law, all combinations: ln(N/N_eff) over its sum", "1 (the paper)")
    ]
    for kind in sorted(set(rows["kind"])):
        some = rows.loc[rows["kind"] == kind]
        answers.append(_ratio(some, "measured", "expected", f"product law, {kind}", "1 (the paper)"))
    answers.append(_ratio(rows, "nats", "sum", "gap added together over the sum of the gaps added alone", STATED))
    return tuple(answers)


def _ratio(rows: Table, above: str, below: str, question: str, bar: str) -> Finding:
    drawn = redraw(rows, unit=TWINS)
    values = drawn.counts @ drawn.rows[above].to_numpy() / (drawn.counts @ drawn.rows[below].to_numpy())
    one = number(values).against(1.0) == "inside"
    return found(question, bar, values, rows, None if bar == STATED else lambda _: one)


def _kinds(rows: Table) -> list[str]:
    """Which tensors are combined, and the granularity of the activations among them."""
    names: Mapping[str, str] = {"weights": "weights", "activations": "activations", "kv": "KV"}
    out = []
    for row in rows[[*TENSORS, "activations_scaling"]].to_dict("records"):
        words = " × ".join(names[t] for t in TENSORS if np.isfinite(row[t]))
        out.append(words + (f" by {row['activations_scaling']}" if np.isfinite(row["activations"]) else ""))
    return out


def sensitivity(table: Table) -> tuple[Finding, ...]:
    """Cost of activations over that of weights by channel at equal bits, and how much of it granularity explains."""
    rows = parts(table)
    low = np.isfinite(rows[list(TENSORS)].to_numpy())
    rows = against_full(rows.loc[low.sum(axis=1) == 1], rows.loc[~low.any(axis=1)])
    label = np.where(
        np.isfinite(rows["weights"]), "weights", np.where(np.isfinite(rows["kv"]), "kv", rows["activations_scaling"])
    )
    bits = rows[list(TENSORS)].min(axis=1)
    rows = rows.assign(label=label, bits=bits, cost=np.log(rows["ratio"])).loc[bits.isin([3.0, 4.0])]
    bars = {
        "ln gap added at 3 and 4 bits, activations by tensor over weights": ("tensor", "weights"),
        "the same, activations by token over weights": ("token", "weights"),
        "the same, KV cache over weights": ("kv", "weights"),
    }
    drawn = redraw(rows, unit=TWINS)
    cells, means = drawn.means("cost", ["label", "bits"])
    cost = {one: np.log(means[:, (cells["label"] == one).to_numpy()]).mean(axis=1) for one in set(rows["label"])}
    answers = [
        found(question, STATED, np.exp(cost[a] - cost[b]), rows[rows["label"].isin([a, b])])
        for question, (a, b) in bars.items()
        if a in cost
    ]
    if "tensor" not in cost:  # of the second edition, which has a scale for each token only
        return tuple(answers)
    share = (cost["tensor"] - cost["token"]) / (cost["tensor"] - cost["weights"])
    question = "share of activations' extra cost (log scale) that a scale for each token removes"
    return (*answers, found(question, STATED, share, rows[rows["label"] != "kv"]))
