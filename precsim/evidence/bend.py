"""What training in few bits costs, as a bend of what rounding afterwards would cost: gap = G(δ), and what follows.

A model trained in P bits loses less than its twin in full precision that is rounded to P bits, because it keeps less
curvature. If it keeps the share ρ of it at the price K (ρ - 1 - ln ρ), the least of δ ρ + K (ρ - 1 - ln ρ) is
K ln(1 + δ/K) at ρ = 1/(1 + δ/K): small damage is lost in full, large damage bends. A power of δ fits as well and is not
derived. Either way ρ = dG/dδ (the envelope theorem), and damages of several tensors add before the bend, not after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from precsim.evidence import rows
from precsim.fitting.uncertainty import Interval
from precsim.runs import Table

__all__ = [
    "BEND",
    "POWER",
    "Form",
    "Response",
    "cells",
    "fit_joint",
    "fit_response",
    "intervals",
    "known",
    "padded",
    "rivals",
    "tensors",
]

_BY = ["N", "D", "language_seed", "seed"]


@dataclass(frozen=True, slots=True)
class Form:
    """A form of G: its value and its slope at a damage [nats/token], given its constants.

    Attributes
    ----------
    title : str
    start : tuple of float
        Constants where a fit begins, all positive.
    value, slope : callable
        G(δ, *constants) and dG/dδ.
    inverse : callable
        The damage at which G has a value.
    """

    title: str
    start: tuple[float, ...]
    value: Callable[..., np.ndarray]
    slope: Callable[..., np.ndarray]
    inverse: Callable[..., np.ndarray]


BEND = Form(
    "K ln(1 + δ/K)",
    (0.05,),
    lambda v, K: K * np.log1p(v / K),
    lambda v, K: 1 / (1 + v / K),
    lambda g, K: K * np.expm1(g / K),
)
POWER = Form(
    "c δ^p",
    (0.2, 0.65),
    lambda v, c, p: c * v**p,
    lambda v, c, p: c * p * v ** (p - 1),
    lambda g, c, p: (g / c) ** (1 / p),
)


@dataclass(frozen=True, slots=True)
class Response:
    """A form with its constants: G.

    Attributes
    ----------
    form : Form
    constants : tuple of float
    spread : float
        Root mean square of ln(seen / said) over the cells of the fit.

    Examples
    --------
    >>> G = Response(BEND, (0.05,), 0.0)
    >>> round(float(G(0.001)), 6), round(float(G(0.05)), 4), round(float(G.kept(0.05)), 6)
    (0.00099, 0.0347, 0.5)
    >>> bool(np.isclose(G.joint([G(0.02), G(0.03)]), G(0.05)))
    True
    """

    form: Form
    constants: tuple[float, ...]
    spread: float

    def __call__(self, damage: ArrayLike) -> np.ndarray:
        """The gap that training in few bits adds [nats/token] where rounding afterwards does this damage."""
        return self.form.value(np.asarray(damage, float), *self.constants)

    def kept(self, damage: ArrayLike) -> np.ndarray:
        """ρ: damage of a further small rounding over the same in the twin trained in full precision."""
        return self.form.slope(np.asarray(damage, float), *self.constants)

    def joint(self, gaps: ArrayLike) -> np.ndarray:
        """G of the sum of damages whose gaps are given, along the last axis: several tensors in few bits."""
        return self(self.form.inverse(np.asarray(gaps, float), *self.constants).sum(axis=-1))


def cells(full: Table, trained: Table) -> Table:
    """What training in few bits adds, beside what rounding does to the twins in full precision, one row for a cell.

    Parameters
    ----------
    full : DataFrame
        Evaluations at the end of models trained in full precision, as trained and rounded by channel.
    trained : DataFrame
        The same of models trained with weights in few bits, by channel.

    Returns
    -------
    DataFrame
        Columns N, D, bits; gap: mean over the pairs of language and seed of the gap added [nats/token]; delta: mean δ
        of the twins at the same bits; kept: δ at 3 bits of the models trained, over that of their twins (NaN where
        they were trained in 3 bits); pairs; languages; se: standard error of ln gap, over the pairs.
    """
    ends = _untreated(full).groupby(_BY)["gap"].mean().rename("full")
    each = _untreated(trained).groupby([*_BY, "weights"], as_index=False)["gap"].mean().join(ends, on=_BY, how="inner")
    damage = rows.rounded(full).groupby([*_BY, "post"])["delta"].mean()
    after = rows.rounded(trained, (3,)).groupby([*_BY, "weights"])["delta"].mean().rename("after")
    each = each.join(damage.rename_axis([*_BY, "weights"]), on=[*_BY, "weights"], how="inner")
    each = each.join(damage.xs(3.0, level="post").rename("at_3"), on=_BY).join(after, on=[*_BY, "weights"])
    each = each.assign(added=each["gap"] - each["full"], kept=np.where(each["weights"] > 3, each["after"], np.nan))
    grouped = each.groupby(["N", "D", "weights"])
    found = grouped.agg(
        gap=("added", "mean"),
        delta=("delta", "mean"),
        after=("kept", "mean"),
        at_3=("at_3", "mean"),
        pairs=("added", "size"),
        languages=("language_seed", "nunique"),
        error=("added", "sem"),
    ).reset_index(names=["N", "D", "bits"])
    found = found.assign(kept=found["after"] / found["at_3"], se=found["error"] / found["gap"])
    return found.drop(columns=["after", "at_3", "error"])


def known(found: Table) -> Table:
    """Cells whose mean gap is known to a fifth or better: in few bits it is, at 6 it mostly drowns in luck."""
    return found.loc[(found["gap"] > 0) & (found["se"] < 0.2)]


def fit_response(form: Form, found: Table) -> Response:
    """G in this form by least squares of ln gap on the `known` cells."""
    found = known(found)
    delta, gap = found["delta"].to_numpy(), np.log(found["gap"].to_numpy())
    return _fitted(form, lambda G: np.log(G(delta)) - gap)


def intervals(form: Form, found: Table, rng: np.random.Generator, draws: int = 400) -> tuple[Interval, ...]:
    """Of the constants of `fit_response`, 95 %, by drawing the `known` cells again: for other cells of these sizes."""
    found = known(found)
    fits = [fit_response(form, found.iloc[rng.integers(len(found), size=len(found))]).constants for _ in range(draws)]
    low, high = np.quantile(fits, [0.025, 0.975], axis=0)
    words = "percentiles, cells drawn again"
    return tuple(Interval(float(a), float(b), 0.95, words, draws) for a, b in zip(low, high, strict=True))


def tensors(table: Table) -> Table:
    """The cells of `together` in which every tensor costs something, alone and together: a law of ln says so much."""
    found = together(table)
    usable = [min(alone) > 0 and row > 0 for alone, row in zip(found["alone"], found["together"], strict=True)]
    return found.loc[usable].reset_index(drop=True)


def together(table: Table) -> Table:
    """Of the batch of parts: what two or three tensors add together and what each of them adds alone, cell by cell.

    Returns
    -------
    DataFrame
        Columns N, D, weights, activations, kv, activations_scaling; together: the gap that they add [nats/token];
        alone: tuple of what each adds; full: the gap without rounding; all means over language and seed; pairs.
    """
    ended = rows.parts(table)
    low = np.isfinite(ended[list(rows.TENSORS)].to_numpy())
    full = ended.loc[~low.any(axis=1)].groupby(_BY)["gap"].mean().rename("full")
    each = ended.loc[low.any(axis=1)].join(full, on=_BY, how="inner")
    each = each.assign(added=each["gap"] - each["full"])
    keys = ["N", "D", *rows.TENSORS, "activations_scaling"]
    means = each.groupby(keys).agg(together=("added", "mean"), full=("full", "mean"), pairs=("added", "size"))
    single = {key: row["together"] for key, row in means.iterrows()}
    found = []
    for key, row in means.iterrows():
        N, D, *bits, scaling = key
        finite = [n for n, b in enumerate(bits) if np.isfinite(b)]
        if len(finite) < 2:
            continue
        alone = []
        for n in finite:
            one = [b if m == n else np.inf for m, b in enumerate(bits)]
            alone.append(single.get((N, D, *one, scaling if n == 1 else ""), np.nan))
        found.append(dict(zip(keys, key, strict=True)) | dict(row) | {"alone": tuple(alone)})
    return pd.DataFrame(found)


def fit_joint(form: Form, found: Table) -> Response:
    """G by least squares of ln of what tensors add together, given what each adds alone."""
    alone = padded(found)
    together = np.log(found["together"].to_numpy(float))
    return _fitted(form, lambda G: np.log(G.joint(alone)) - together)


def rivals(found: Table) -> Table:
    """ln of seen over said for what tensors add together, by rule: their sum, and the product of factors of N_eff.

    The product as in `precsim.runs.pairs.joint`, with the whole gap for its term in N: the least that it can say.
    """
    alone, full = padded(found), found["full"].to_numpy(float)
    together = np.log(found["together"].to_numpy(float))
    product = full * (np.prod(1 + alone / full[:, None], axis=1) - 1)
    return pd.DataFrame({"sum": together - np.log(alone.sum(axis=1)), "product": together - np.log(product)})


def padded(found: Table) -> np.ndarray:
    """What each tensor adds alone, shape (cells, 3): 0 where there are two."""
    return np.array([(*alone, 0.0)[:3] if len(alone) < 3 else alone for alone in found["alone"]], float)


def _fitted(form: Form, errors: Callable[[Response], np.ndarray]) -> Response:
    def of(x: np.ndarray) -> Response:
        return Response(form, tuple(np.exp(x).tolist()), 0.0)

    x = least_squares(lambda x: errors(of(x)), np.log(form.start)).x
    left = errors(of(x))
    return Response(form, of(x).constants, float(np.sqrt((left**2).mean())))


def _untreated(table: Table) -> Table:
    return table.loc[table["post_method"].eq("none") & table["step"].eq(table["steps"])]
