"""What tables of pairs can tell: runs in low precision beside runs in full precision, at one N and D or a few.

Without a range of N and D no law of them can be fitted. The gap between the two can, with its interval; and where a
law of losses is given from elsewhere, the network without quantization that would be as bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import root_scalar
from scipy.stats import ttest_ind, ttest_rel

from precsim.equality import Record
from precsim.fitting.observations import read
from precsim.laws.law import Law
from precsim.laws.setting import Setting
from precsim.runs.columns import Copies, Reading, names_of

__all__ = ["Gap", "Gaps", "gaps"]

_BITS = ("weights", "activations", "kv")


@dataclass(frozen=True, slots=True, eq=False)
class Gap(Record):
    """What runs of one size, length and set of widths lose against full precision.

    Attributes
    ----------
    N, D : float
        Parameters and tokens.
    weights, activations, kv : float
        Bits; inf where a tensor is not quantized.
    labels : mapping of str to object
        Values of the columns that keep apart what has the same widths.
    runs, references : int
        Runs in these widths, and runs in full precision that they are held against.
    pairs : int
        Runs that have a reference equal in the paired columns; 0 where means of two groups are compared.
    gap, low, high : float
        Mean difference of loss and its interval [nats/token]; the ends are NaN where one run leaves no spread.
    share, share_low, share_high : float
        N_eff/N: the size of a network in full precision with the same loss, over N, by the law given; NaN without.
        Its ends hold the doubt of the gap, not that of the law.
    """

    N: float
    D: float
    weights: float
    activations: float
    kv: float
    labels: dict[str, object]
    runs: int
    references: int
    pairs: int
    gap: float
    low: float
    high: float
    share: float = float("nan")
    share_low: float = float("nan")
    share_high: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Gaps(Record):
    """Gaps of a table, and what became of its rows.

    Attributes
    ----------
    rows : tuple of Gap
    level : float
        Of the intervals: Student's t of the differences of pairs, or Welch's for two groups.
    reading : Reading
        Rows read, used and left out, each with its reason.
    """

    rows: tuple[Gap, ...]
    level: float
    reading: Reading


def gaps(
    runs,
    *,
    pair: Sequence[str] | None = None,
    same: Sequence[str] = (),
    law: Law | None = None,
    level: float = 0.95,
    copies: Copies = Copies.REFUSE,
    units_checked: bool = False,
) -> Gaps:
    """The mean loss of each set of widths above that of full precision, at each N and D.

    Parameters
    ----------
    runs : DataFrame or mapping of columns
        With N, D, loss [nats/token] and one at least of weights, activations, kv [bits].
    pair : sequence of str, optional
        Columns that are equal in the two runs of a pair; ``seed`` if there is such a column.
    same : sequence of str
        Further columns in which a run and its references agree, such as the learning rate; there is a `Gap` for each
        of their values. Columns scheme, format and method never need to agree: they are `Gap.labels`.
    law : Law, optional
        Of losses as trained; it turns a gap into N_eff/N by f: L(N f, D) = L(N, D) + gap.
    level : float
        Of the intervals.
    copies, units_checked
        As in `fit`.

    Returns
    -------
    Gaps

    Raises
    ------
    ValueError
        If no row is in low precision or none in full, if no row has a reference, or as `fit` does.

    Notes
    -----
    Runs of one seed share their data and first weights, so that their difference has less noise than each of them.
    Runs are paired if every run of a group has one reference of its own; else two means are compared.

    Examples
    --------
    >>> runs = {"N": [1e8] * 4, "D": [2e9] * 4, "weights": [float("inf"), 4] * 2, "seed": [0, 0, 1, 1],
    ...         "loss": [3.00, 3.05, 3.02, 3.08]}
    >>> found = gaps(runs).rows[0]
    >>> found.pairs, round(found.gap, 4), round(found.low, 3), round(found.high, 3)
    (2, 0.055, -0.009, 0.119)
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    names = set(map(str, names_of(runs)))
    if absent := [name for name in ("N", "D") if name not in names]:
        raise ValueError(
            f"the table has no column {' and '.join(absent)}: a gap is that of runs of one size and length. Add the "
            f"column, with one number in every row if all runs are alike; it has {', '.join(sorted(names))}"
        )
    if pair is None:
        pair = ("seed",) if "seed" in names else ()
    if absent := [name for name in (*pair, *same) if name not in names]:
        raise ValueError(f"the table has no column {', '.join(absent)} to agree in; it has {', '.join(sorted(names))}")
    data = read(runs, paired=False, copies=copies, units_checked=units_checked)
    s = data.setting
    widths = np.column_stack([np.broadcast_to(np.asarray(getattr(s, b), dtype=float), len(data)) for b in _BITS])
    full = np.isinf(widths).all(axis=1)
    if full.all() or not full.any():
        lacking = "in low precision" if full.all() else "in full precision (weights, activations and kv empty or inf)"
        raise ValueError(f"no row is {lacking}, so there is nothing to compare: {data.reading}")
    keys = list(zip(*(np.asarray(runs[name])[data.row].tolist() for name in pair), strict=True)) if pair else None
    label = [name for name in ("scheme", "format", "method") if name in names and name not in (*pair, *same)]
    columns = [np.asarray(runs[name])[data.row] for name in (*same, *label)]
    at = list(zip(s.N, s.D, *columns[: len(same)], strict=True))
    what = list(zip(*widths.T, *columns[len(same) :], strict=True))
    groups: dict[tuple, list[int]] = {}
    for row in np.flatnonzero(~full):
        groups.setdefault((at[row], what[row]), []).append(int(row))
    rows, alone = [], 0
    for (place, kind), members in groups.items():
        references = [int(r) for r in np.flatnonzero(full) if at[r] == place]
        if not references:
            alone += len(members)
            continue
        shown = dict(zip((*same, *label), (*place[2:], *kind[3:]), strict=True))
        N, D, (w, a, kv) = float(place[0]), float(place[1]), map(float, kind[:3])
        mean, low, high, pairs = _difference(data.value, keys, members, references, level)
        gap = Gap(N, D, w, a, kv, shown, len(members), len(references), pairs, mean, low, high)
        if law is not None:  # a larger gap is a smaller network
            share, least, most = (_share(law, N, D, nats) for nats in (mean, high, low))
            gap = replace(gap, share=share, share_low=least, share_high=most)
        rows.append(gap)
    if not rows:
        where = ", ".join(("N", "D", *same))
        raise ValueError(f"none of {alone} rows in low precision has a row in full precision of the same {where}")
    order = sorted(rows, key=lambda g: (g.N, g.D, *(-getattr(g, b) for b in _BITS)))
    left = dict(data.reading.left_out) | ({"without a run in full precision to compare with": alone} if alone else {})
    reading = Reading(data.reading.rows, data.reading.used - alone, left, notes=data.reading.notes)
    return Gaps(tuple(order), level, reading)


def _difference(
    loss: np.ndarray, keys: list[tuple] | None, low: list[int], full: list[int], level: float
) -> tuple[float, float, float, int]:
    """Mean gap, ends of its interval, and how many pairs it is the mean of (0: two groups)."""
    nan = float("nan")
    if keys is not None:
        mine, theirs = [keys[r] for r in low], [keys[r] for r in full]
        if len(set(mine)) == len(mine) and len(set(theirs)) == len(theirs) and set(mine) <= set(theirs):
            partner = dict(zip(theirs, full, strict=True))
            a, b = loss[low], loss[[partner[key] for key in mine]]
            if len(low) == 1:
                return float(a[0] - b[0]), nan, nan, 1
            if np.ptp(a - b) == 0:  # every pair says the same: no spread, where SciPy warns and returns NaN
                return float(a[0] - b[0]), float(a[0] - b[0]), float(a[0] - b[0]), len(low)
            ends = ttest_rel(a, b).confidence_interval(level)
            return float((a - b).mean()), float(ends.low), float(ends.high), len(low)
    a, b = loss[low], loss[full]
    mean = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2 or np.ptp(a) + np.ptp(b) == 0:
        return mean, nan, nan, 0
    ends = ttest_ind(a, b, equal_var=False).confidence_interval(level)
    return mean, float(ends.low), float(ends.high), 0


def _share(law: Law, N: float, D: float, gap: float) -> float:
    """N_eff/N; 0 or inf where no size has that loss, NaN for NaN."""
    if np.isnan(gap):
        return float("nan")
    target = float(law.evaluate(Setting(N, D))) + gap

    def excess(ln: float) -> float:
        return float(law.evaluate(Setting(N * np.exp(ln), D))) - target

    small, large = -np.log(N), 50.0  # one parameter, and e^50 times as many
    if excess(small) < 0:
        return 0.0
    if excess(large) > 0:
        return float("inf")
    return float(np.exp(root_scalar(excess, bracket=(small, large), xtol=1e-12).root))
