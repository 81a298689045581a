"""Where to start a fit, without being told: a scan over the exponents with the amplitudes solved for each.

For given exponents (and factors) a base L = E + (A·T₁ + B·T₂)^g is linear in A and B once E is given, so the scan
covers only the non-linear parameters (variable projection). Everything is evaluated at once as arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from precsim.fitting.objective import Objective

_FLOORS = np.array([0.02, 0.2, 0.4, 0.55, 0.68, 0.78, 0.86, 0.92, 0.96, 0.985])
_SHARE = 0.7  # factor of every scheme before the first look at it
_SHARES = np.geomspace(0.02, 1.5, 40)
_KEPT = 96  # candidates whose scheme factors are found one by one
_CHUNK = 400_000  # elements of an intermediate array: a few megabytes


def scan(objective: Objective, weight: np.ndarray, keep: int) -> np.ndarray:
    """θ of the best starts found, best first, shape (≤ keep, p).

    Parameters
    ----------
    objective : Objective
    weight : ndarray, shape (n,)
    keep : int
        How many starts to return; they differ in their non-linear parameters.
    """
    law, names = objective.law, objective.names
    base = law.base
    linear = [n for n in ("A", "B", "E") if n in names and n not in objective.tied.values()] if base else []
    sizes = {part.names[part.amplitude[0]] for part in law.degradations}
    linear += [n for n in names if n in sizes]
    own = objective.own
    shapes = [n for i, n in enumerate(names) if n not in linear and (own is None or i not in own.columns)]
    points = _points(len(shapes))
    columns = np.empty((len(points), len(names)))
    for k, name in enumerate(shapes):
        info = law.describe(name)
        low, high = info["low"], info["high"]
        if info["positive"]:
            low, high = np.log(low), np.log(high)
        columns[:, names.index(name)] = low + (high - low) * points[:, k]
    step = max(1, _CHUNK // len(objective.data))
    if own is not None:
        columns[:, sorted(own.columns)] = np.log(_SHARE)
        columns = _with_schemes(objective, columns, linear, weight, step)
    found = [_solve(objective, columns[i : i + step], linear, weight) for i in range(0, len(columns), step)]
    theta, score = np.concatenate([t for t, _ in found]), np.concatenate([s for _, s in found])
    order = np.argsort(score, kind="stable")[: max(8 * keep, 48)]
    order = order[np.isfinite(score[order])]
    theta = theta[order]
    if len(theta) == 0:
        return theta
    spread = np.median(np.abs(objective.residuals(theta)), axis=-1).min()
    robust = objective.value(theta, weight, max(spread, 1e-12))
    theta = theta[np.argsort(robust, kind="stable")]
    return _distinct(theta, [names.index(n) for n in shapes], keep)


def _with_schemes(objective: Objective, columns, linear: list[str], weight, step: int) -> np.ndarray:
    """The best candidates, each with the factor of every scheme that suits it best; the factors are separable.

    The base is first projected on the rows of full precision, where there are enough of them, else on all with one
    factor for all schemes. What is left of a row of a scheme is then a matter of that scheme's factor alone.
    """
    own: Any = objective.own
    full = weight * ~own.listed
    some = full if (full > 0).sum() > 2 * columns.shape[1] - 2 * len(own.columns) else weight
    found = [_solve(objective, columns[i : i + step], linear, some) for i in range(0, len(columns), step)]
    theta, score = np.concatenate([t for t, _ in found]), np.concatenate([s for _, s in found])
    theta = theta[np.argsort(score, kind="stable")[:_KEPT]]
    p = theta.shape[1]
    for _ in range(2):
        least = np.full((len(theta), p), np.inf)
        best = theta.copy()
        for value in np.log(_SHARES):
            trial = theta.copy()
            trial[:, sorted(own.columns)] = value
            left = np.nan_to_num(objective.residuals(trial), nan=1e3, posinf=1e3, neginf=-1e3)
            error = own.each(weight * np.minimum(np.abs(left), 1e3), p)
            better = error < least
            least[better] = error[better]
            for c in own.columns:
                best[better[:, c], c] = value
        theta = _solve(objective, best, linear, weight)[0] if linear else best
    return theta


def _points(dimensions: int) -> np.ndarray:
    """Points of the unit cube: a 12 × 12 grid in the plane, an additive recurrence beyond."""
    if dimensions <= 1:
        return (np.arange(24).reshape(-1, 1) + 0.5) / 24 if dimensions else np.zeros((1, 0))
    if dimensions == 2:
        axis = (np.arange(12) + 0.5) / 12
        return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    phi = 2.0
    for _ in range(60):  # the positive root of x^(d+1) = x + 1
        phi = (1 + phi) ** (1 / (dimensions + 1))
    steps = phi ** -np.arange(1.0, dimensions + 1)
    count = min(4096, 300 * 2 ** (dimensions - 1))
    return (0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0


def _solve(objective: Objective, columns: np.ndarray, linear: list[str], weight: np.ndarray):
    """The columns with their amplitudes filled in, and each one's weighted squared relative error."""
    law, names, data = objective.law, objective.names, objective.data
    full = columns.copy()
    for n in linear:
        full[:, names.index(n)] = 0.0  # placeholders: ln 1
    with np.errstate(all="ignore"):
        if law.base is None:
            return _amplitudes(objective, full, weight)
        filled: Any = objective.at(full)
        if law.degradations:
            return _training_penalty(objective, full, linear, weight)
        n, d = filled.effective(objective.setting)
        first, second = (np.broadcast_to(t, (len(full), len(data))) for t in filled.base.terms(n, d))
        return _project(objective, full, linear, weight, filled, first, second, data.value)


def _project(objective, full, linear, weight, filled, first, second, value):
    """A, B ≥ 0 by relative least squares for each E on a grid (or the E given); the best E of each candidate."""
    names, base = objective.names, filled.base
    g = base.outer
    low = np.min(value)
    floors = low * _FLOORS if "E" in linear else np.unique(np.ravel(base.E))
    best = np.full(len(full), np.inf)
    out = full.copy()
    for E in floors:
        above = value - E
        if np.any(above <= 0):
            continue
        t = np.broadcast_to(above ** (1 / g), first.shape)
        w = weight * (g * above ** (1 - 1 / g) / value) ** 2  # d ln L = g (L − E)^(1 − 1/g) / L · dt
        a, b = _nonnegative_pair(
            first, second, t, w, None if "A" in linear else base.A, None if "B" in linear else base.B
        )
        score = (w * (a[:, None] * first + b[:, None] * second - t) ** 2).sum(-1)
        score = np.where(np.isfinite(score), score, np.inf)
        better = score < best
        best[better] = score[better]
        for name, x in (("A", a), ("B", b), ("E", np.full(len(full), E))):
            if name in linear:
                out[better, names.index(name)] = np.log(np.maximum(x[better], 1e-300))
    return out, best


def _nonnegative_pair(u, v, t, w, a_given, b_given):
    """Minimizers a, b ≥ 0 of Σ w (a u + b v − t)² for every row, with either one possibly given."""
    uu, uv, vv = (w * u * u).sum(-1), (w * u * v).sum(-1), (w * v * v).sum(-1)
    ut, vt = (w * u * t).sum(-1), (w * v * t).sum(-1)
    if a_given is not None and b_given is not None:
        return np.broadcast_to(np.ravel(a_given), ut.shape), np.broadcast_to(np.ravel(b_given), ut.shape)
    if a_given is not None:
        a = np.broadcast_to(np.ravel(a_given), ut.shape)
        return a, np.maximum(vt - a * uv, 1e-6 * vt) / vv
    if b_given is not None:
        b = np.broadcast_to(np.ravel(b_given), ut.shape)
        return np.maximum(ut - b * uv, 1e-6 * ut) / uu, b
    det = uu * vv - uv * uv
    a, b = (ut * vv - vt * uv) / det, (vt * uu - ut * uv) / det
    a_only, b_only = ut / uu, vt / vv
    # an inactive term keeps a small share, so that its logarithm exists and the polish can revive it
    a_out = np.where(b <= 0, a_only, np.where(a <= 0, 1e-3 * a_only, a))
    b_out = np.where(a <= 0, b_only, np.where(b <= 0, 1e-3 * b_only, b))
    return a_out, b_out


def _amplitudes(objective, full, weight):
    """Degradations alone: the amplitude by the weighted mean log ratio."""
    names, law, data = objective.names, objective.law, objective.data
    part = law.degradations[0]
    name, sign = part.amplitude
    flat = part.names[name]
    if flat in names:
        full[:, names.index(flat)] = 0.0
    use = weight * (data.value > 3 * data.floor)
    if not use.any():
        use = weight * (data.value > 0)
    predicted = np.broadcast_to(objective.at(full).evaluate(objective.setting), (len(full), len(data)))
    safe = np.log(np.maximum(data.value, data.floor))
    ratio = safe - np.log(np.maximum(predicted, 1e-300))
    if flat in names:
        shift = (use * ratio).sum(-1) / use.sum()
        full[:, names.index(flat)] = sign * shift
        ratio = ratio - shift[:, None]
    score = (use * ratio**2).sum(-1)
    return full, np.where(np.isfinite(score), score, np.inf)


def _training_penalty(objective, full, linear, weight):
    """A penalty of training beside the base: several sizes of it, the base projected on what is left."""
    names, law, data = objective.names, objective.law, objective.data
    part = law.degradations[0]
    name, sign = part.amplitude
    flat = part.names[name]
    best, out = np.full(len(full), np.inf), full.copy()
    shares = (0.003, 0.01, 0.03, 0.1) if flat in names else (None,)
    for share in shares:
        trial = full.copy()
        filled: Any = objective.at(trial)
        added = np.broadcast_to(part_delta(filled, objective.setting), (len(full), len(data)))
        if share is not None:
            typical = np.median(np.where(added > 0, added, np.nan), axis=-1) if (added > 0).all() else added.max(-1)
            factor = share * np.median(data.value) / np.maximum(typical, 1e-300)
            trial[:, names.index(flat)] += sign * np.log(factor)
            filled = objective.at(trial)
            added = added * factor[:, None]
        value = np.maximum(data.value - added, 1e-3 * data.value)
        n, d = filled.effective(objective.setting)
        first, second = (np.broadcast_to(t, (len(full), len(data))) for t in filled.base.terms(n, d))
        trial, score = _project(objective, trial, linear, weight, filled, first, second, value)
        better = score < best
        best[better], out[better] = score[better], trial[better]
    return out, best


def part_delta(law, setting):
    """What the training penalties of a law add at a setting."""
    n, _ = law.effective(setting)
    return sum(part.added(setting, n) for part in law.degradations)


def _distinct(theta, shape_columns, keep):
    """The first `keep` rows that differ by at least 5 % in some non-linear parameter."""
    chosen: list[int] = []
    for i in range(len(theta)):
        if all(np.abs(theta[i, shape_columns] - theta[j, shape_columns]).max(initial=0.0) > 0.05 for j in chosen):
            chosen.append(i)
        if len(chosen) == keep:
            break
    return theta[chosen or [0]]
