"""Several tensors in few bits at once: whether what is left is the product of what each leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from precsim.evidence.findings._finding import STATED, Finding, found, nothing
from precsim.evidence.resampling import redraw
from precsim.evidence.rows import against_full, base
from precsim.runs import slices

_TENSORS = ("weights", "activations", "kv")
_UNIT = ("N", "D", "language_seed", "seed")


def shares(table: Any) -> Any:
    """Every run of several tensors in few bits, and what its tensors do alone.

    Returns
    -------
    DataFrame
        The run's columns; ``measured``: −ln(N_eff/N), from the base law and the ratio of its gap to that of full
        precision; ``expected``: the sum of the same of its tensors alone, which the product law says it is;
        ``nats`` and ``sum``: the gap added, and the sum of the gaps that its tensors alone add [nats/token].
    """
    rows: Any = slices.as_trained(table, batch="parts", only=_TENSORS)
    low = np.isfinite(rows[list(_TENSORS)].to_numpy())
    rows = against_full(rows, rows[~low.any(axis=1)])
    low = np.isfinite(rows[list(_TENSORS)].to_numpy())
    law = base(table)
    full = np.asarray(law(rows["N"], rows["D"]))
    size = law.A * rows["N"].to_numpy(dtype=float) ** -law.alpha
    rows["measured"] = np.log1p(full * (rows["ratio"] - 1) / size) / law.alpha
    rows["nats"] = rows["gap"] * (1 - 1 / rows["ratio"])
    keys = [*_UNIT, *_TENSORS, "activations_scaling"]
    alone = rows[low.sum(axis=1) == 1].set_index(keys)[["measured", "nats"]]
    together: Any = rows[low.sum(axis=1) > 1].reset_index(drop=True)
    total = np.zeros((len(together), 2))
    for name in _TENSORS:
        one = together[keys].copy()
        for other in _TENSORS:
            if other != name:
                one[other] = np.inf
        if name != "activations":
            one["activations_scaling"] = ""
        at = alone.reindex(one.set_index(keys).index).to_numpy()
        total += np.where(np.isfinite(together[[name]].to_numpy()), at, 0.0)
    together = together.assign(expected=total[:, 0], sum=total[:, 1], kind=_kinds(together))
    return together[np.isfinite(together["expected"])].reset_index(drop=True)


def product_law(table: Any) -> tuple[Finding, ...]:
    """Measured ln(N/N_eff) of several tensors over the sum of what each alone costs, for every kind of combination."""
    if not (table["batch"] == "parts").any():
        return (nothing("product law, all combinations: ln(N/N_eff) over its sum", "1 (the paper)"),)
    rows = shares(table)
    answers = [
        _ratio(rows, "measured", "expected", "product law, all combinations: ln(N/N_eff) over its sum", "1 (the paper)")
    ]
    for kind in sorted(set(rows["kind"])):
        some = rows[rows["kind"] == kind]
        answers.append(_ratio(some, "measured", "expected", f"product law, {kind}", "1 (the paper)"))
    answers.append(_ratio(rows, "nats", "sum", "gap added together over the sum of the gaps added alone", STATED))
    return tuple(answers)


def _ratio(rows: Any, above: str, below: str, question: str, bar: str) -> Finding:
    if rows.empty:
        return nothing(question, bar)
    drawn = redraw(rows, unit=_UNIT, within=())
    values = drawn.counts @ drawn.rows[above].to_numpy() / (drawn.counts @ drawn.rows[below].to_numpy())
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return found(question, bar, values, rows, None if bar == STATED else lambda _: bool(low <= 1 <= high))


def _kinds(rows: Any) -> list[str]:
    """Which tensors are combined, and the granularity of the activations among them."""
    names: Mapping[str, str] = {"weights": "weights", "activations": "activations", "kv": "KV"}
    out = []
    for row in rows[[*_TENSORS, "activations_scaling"]].to_dict("records"):
        words = " × ".join(names[t] for t in _TENSORS if np.isfinite(row[t]))
        out.append(words + (f" by {row['activations_scaling']}" if np.isfinite(row["activations"]) else ""))
    return out


def sensitivity(table: Any) -> tuple[Finding, ...]:
    """Cost of activations over that of weights by channel at equal bits, and how much of it granularity explains."""
    rows: Any = slices.as_trained(table, batch="parts", only=_TENSORS)
    low = np.isfinite(rows[list(_TENSORS)].to_numpy())
    rows = against_full(rows[low.sum(axis=1) == 1], rows[~low.any(axis=1)])
    label = np.where(
        np.isfinite(rows["weights"]), "weights", np.where(np.isfinite(rows["kv"]), "kv", rows["activations_scaling"])
    )
    bits = rows[list(_TENSORS)].min(axis=1)
    rows = rows.assign(label=label, bits=bits, cost=np.log(rows["ratio"]))[bits.isin([3.0, 4.0]).to_numpy()]
    bars = {
        "ln gap added at 3 and 4 bits, activations by tensor over weights": ("tensor", "weights"),
        "the same, activations by token over weights": ("token", "weights"),
        "the same, KV cache over weights": ("kv", "weights"),
    }
    if rows.empty:
        return tuple(nothing(question, STATED) for question in bars)
    drawn = redraw(rows, unit=_UNIT, within=())
    cells, means = drawn.means("cost", ["label", "bits"])
    cost = {one: np.log(means[:, (cells["label"] == one).to_numpy()]).mean(axis=1) for one in set(label)}
    answers = [
        found(question, STATED, np.exp(cost[a] - cost[b]), rows[rows["label"].isin([a, b])])
        for question, (a, b) in bars.items()
    ]
    share = (cost["tensor"] - cost["token"]) / (cost["tensor"] - cost["weights"])
    question = "share of activations' extra cost (log scale) that a scale for each token removes"
    return (*answers, found(question, STATED, share, rows[rows["label"] != "kv"]))
