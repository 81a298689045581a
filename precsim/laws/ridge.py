"""What a ridge costs a linear model of many directions while it learns: two integrals, tabulated with derivatives.

Directions have curvatures λ_i = i^(−a), the loss falls as t^(−β), and noise of the rounded weights adds τ/2 of their
squares. Gradient flow from zero has at time t lost, beside the same model without noise,

    t^(−β)/(2a) · Φ(τt),   Φ(θ) = ∫ μ^β [(1 − r)² + (θ/μ) r² − e^(−2μ)] dμ/μ,   r = μ/(μ + θ) · (1 − e^(−(μ + θ))),

with μ = λt. Noise so small that it changes no weight costs c·θ, with c = ∫ μ^(β − 1) (1 − e^(−μ))² dμ/μ the squares of
the weights. So late Φ(x/c) is (π/sin πβ)·(x/c)^β. At first it is β/(2^β − 1)·x, a quarter more than x for β = 0.4:
noise costs what rounding would, and it slows learning down besides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precsim.laws.jets import Jet, exp, log, numeric

# In ln μ the integrands are analytic within π/2 of the real axis, so that the trapezoidal rule with this step is off
# by e^(−π²/0.4) = 2e-11. They fall as μ^(1 + β) on the left and as μ^(β − 1) on the right, and are cut where that is
# e^(−30).
_STEP, _CUT = 0.4, 30.0

# A fit scans some million settings, each of which would cost hundreds of exponentials: between these nodes of ln x a
# spline of order 5 is right to 1e-8, and beyond the ends both are powers of x.
_END = 18.0
_NODES = np.linspace(-_END, _END, 181)
MOST = 0.9  #: largest exponent: towards 1 the integral stops converging


def response(x: Any, beta: float) -> Any:
    """Φ(x/c): what training with a ridge costs where the same noise would cost x if the weights had learned without it.

    Parameters
    ----------
    x : float, array or Jet
        Positive; in units of the bend, as is the result.
    beta : float
        Exponent of the loss in time, above 0 and at most 0.9.

    Raises
    ------
    ValueError
        For an exponent outside its range, and for symbols: there is no closed form between the two ends.

    References
    ----------
    Derived in the chapter on how N_eff and δ emerge, with its two ends: `precsim.symbolic.emergence.early_ridges` and
    `late_ridges`.

    Examples
    --------
    >>> round(float(response(1e-6, 0.4)) * 1e6, 4), round(float(response(1.0, 0.4)), 4)
    (1.2519, 1.0395)
    """
    return _looked_up(cost, x, beta)


def kept(x: Any, beta: float) -> Any:
    """Squares of the weights that were learned with the ridge, over those without: what further noise still costs.

    Late it is the slope of `response`, by the envelope theorem; while the model learns it is less.

    Parameters
    ----------
    x, beta
        As for `response`.

    Raises
    ------
    ValueError
        As `response`.

    Examples
    --------
    >>> round(float(kept(1e-6, 0.4)), 4), round(float(kept(1.0, 0.4)), 4)
    (1.0, 0.7649)
    """
    return _looked_up(squares, x, beta)


def cost(x: NDArray, beta: float) -> NDArray:
    """`response` of numbers by quadrature, to 1e-10 of it."""
    mu, weight, theta, r = _integrand(x, beta)
    return (weight * ((1 - r) ** 2 + theta / mu * r * r - np.exp(-2 * mu))).sum(axis=-1) * _STEP


def squares(x: NDArray, beta: float) -> NDArray:
    """`kept` of numbers by quadrature, to 1e-10 of it."""
    mu, weight, _, r = _integrand(x, beta)
    return (weight / mu * r * r).sum(axis=-1) / (weight / mu * np.expm1(-mu) ** 2).sum()


def _integrand(x: NDArray, beta: float) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Nodes μ, μ^β at them, θ = x/c and r, the last two with an axis for the nodes."""
    y = np.arange(-_CUT, np.log(max(float(np.max(x)), 1.0)) + _CUT / (1 - beta), _STEP)
    mu, weight = np.exp(y), np.exp(beta * y)
    theta = np.asarray(x, float)[..., None] / ((weight / mu * np.expm1(-mu) ** 2).sum() * _STEP)
    return mu, weight, theta, mu / (mu + theta) * -np.expm1(-(mu + theta))


@functools.lru_cache(maxsize=64)
def _splines(of: Callable[[NDArray, float], NDArray], beta: float) -> tuple[Callable[[NDArray], NDArray], ...]:
    """Logarithm of the integral against ln x, and its first two derivatives."""
    from scipy.interpolate import make_interp_spline

    if not 0 < beta <= MOST:
        raise ValueError(f"the exponent of a ridge lies above 0 and at {MOST} at most, not {beta}")
    value = make_interp_spline(_NODES, np.log(of(np.exp(_NODES), beta)), k=5)
    return value, value.derivative(), value.derivative(2)


def _looked_up(of: Callable[[NDArray, float], NDArray], x: Any, beta: float) -> Any:
    if not isinstance(x, Jet) and not numeric(x):
        raise ValueError("the ridge of many directions has no closed form in symbols; Bent and BentPower have one")
    value, slope, curvature = _splines(of, float(beta))
    size = log(x)
    u = np.asarray(size.value if isinstance(size, Jet) else size, float)
    inside = np.clip(u, -_END, _END)
    off = u - inside
    found = value(inside) + (off * slope(inside) if np.any(off) else 0.0)
    if not isinstance(size, Jet):
        return np.exp(found)[()]
    return exp(size.chain(found, slope(inside), np.where(off == 0, curvature(inside), 0.0)))
