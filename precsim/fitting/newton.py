"""Many minima at once: damped Newton with exact curvature.

A lane is one fit (a start, or a bootstrap resample). Every lane has its own damping, so no lane waits for the line
search of another; lanes that have converged leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from precsim.equality import Record


@dataclass(frozen=True, slots=True, eq=False)
class Minimum(Record):
    """Where the lanes ended: θ of shape (L, p), objective and convergence of shape (L,)."""

    theta: np.ndarray
    value: np.ndarray
    converged: np.ndarray


def minimize(
    curvature: Callable,
    theta,
    *,
    iterations: int = 200,
    tolerance: float = 1e-14,
    absolute: float = 1e-25,
    patience: int | None = None,
    whiten: bool = False,
) -> Minimum:
    """Damped Newton on every lane until the expected gain is below `tolerance` of the objective.

    ``curvature(theta, lanes)`` returns (F, gradient, Hessian, majorizer) of the given lanes. Where the Hessian is
    not positive definite the majorizer (iteratively reweighted least squares) takes its place. `absolute` is the
    objective of rounding errors alone: residuals of 1e-13 in a few dozen rows. With `patience` the slower lanes get so
    many iterations after the first one has converged. With `whiten` the damping acts in coordinates in which the first
    majorizer is the unit matrix: where dozens of parameters share a narrow valley, a third of the iterations.
    """
    theta = np.array(theta, dtype=float)
    lanes = np.arange(len(theta))
    F, g, H, G = curvature(theta, lanes)
    damping = np.full(len(theta), 1e-3)
    frame = _whitening(G) if whiten else None
    converged = np.zeros(len(theta), dtype=bool)
    active = np.isfinite(F)
    for _ in range(iterations):
        lanes = np.flatnonzero(active)
        if lanes.size == 0 or patience == 0:
            break
        if patience is not None and converged.any():
            patience -= 1
        frames = None if frame is None else frame[lanes]
        step, gain = _step(g[lanes], H[lanes], G[lanes], damping[lanes], frames)
        trial = theta[lanes] + step
        new = curvature(trial, lanes)
        better = new[0] <= F[lanes]
        done = gain <= tolerance * F[lanes] + absolute
        done |= better & (F[lanes] - new[0] <= tolerance * F[lanes]) & (gain <= 1e3 * tolerance * F[lanes])
        stuck = ~better & ((damping[lanes] > 1e10) | (np.abs(step).max(-1) < 1e-15))
        up = lanes[better]
        theta[up] = trial[better]
        for kept, fresh in zip((F, g, H, G), new, strict=True):
            kept[up] = fresh[better]
        damping[up] = np.maximum(damping[up] * 0.1, 1e-12)
        damping[lanes[~better]] = np.maximum(damping[lanes[~better]], 1e-6) * 10
        converged[lanes[done]] = True
        active[lanes[done | stuck]] = False
        converged[lanes[stuck & (gain <= 1e-9 * F[lanes] + absolute)]] = True
    return Minimum(theta, F, converged)


def _whitening(G):
    """S of each lane with SᵀGS = 1, but for directions that G hardly sees."""
    scale = np.sqrt(np.maximum(np.diagonal(G, axis1=1, axis2=2), 1e-300))
    unit = G / (scale[:, :, None] * scale[:, None, :])
    w, V = np.linalg.eigh(unit)
    return V / np.sqrt(np.maximum(w, 1e-10))[:, None, :] / scale[:, :, None]


def _step(g, H, G, damping, frame=None):
    """Newton steps in coordinates scaled by the majorizer's diagonal, and the decrease each one promises."""
    if frame is not None:
        across = frame.transpose(0, 2, 1)
        g, H, G = (across @ g[:, :, None])[:, :, 0], across @ H @ frame, across @ G @ frame
    scale = np.sqrt(np.maximum(np.diagonal(G, axis1=1, axis2=2), 1e-300))
    scale = np.maximum(scale, 1e-9 * scale.max(-1, keepdims=True))
    outer = scale[:, :, None] * scale[:, None, :]
    w, V = np.linalg.eigh(H / outer)
    indefinite = w[:, 0] <= 1e-12
    if indefinite.any():
        w[indefinite], V[indefinite] = np.linalg.eigh(G[indefinite] / outer[indefinite])
        w = np.maximum(w, 1e-13)
    q = (V.transpose(0, 2, 1) @ (g / scale)[:, :, None])[:, :, 0]
    p = q / (w + damping[:, None])
    step = -(V @ p[:, :, None])[:, :, 0] / scale
    if frame is not None:
        step = (frame @ step[:, :, None])[:, :, 0]
    long = np.maximum(np.abs(step).max(-1, keepdims=True) / 1.5, 1.0)
    return step / long, 0.5 * (q * p).sum(-1)
