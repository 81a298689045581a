"""Optima that a law has without a search over N and D: the best common width P* and the critical number of tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from precsim.laws.jets import Jet
from precsim.laws.setting import Effective

if TYPE_CHECKING:
    from precsim.laws.law import Law


def tied_factor(law: Law, P):
    """f(P) = N_eff/N when weights, activations and KV cache all train at P bits (those the law has factors for).

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> round(float(1 / tied_factor(KUMAR_2024, 4.0)), 2)
    5.24
    """
    return law.n_eff(1.0, 1.0, weights=P, activations=P, kv=P)


def best_bits(law: Law, price=None, *, low: float = 1.0, high: float = 32.0):
    """P* = argmax f(P)/price(P) in [low, high]: the width that buys most effective parameters per unit of cost.

    It solves d ln f/d ln P = d ln price/d ln P, which contains none of A, B, E, α, β and no budget: for a law whose
    precision acts through N_eff alone, the best width is the same at every compute.

    Parameters
    ----------
    law : Law
        Factors on N only, at least one; parameters may be arrays of draws (the answer then has their shape).
    price : callable, optional
        Relative cost of a FLOP at P bits, price(P) → positive; the default is P itself, the paper's C = 6NDP/16.
    low, high : float
        Range of widths [bits].

    Returns
    -------
    float or ndarray
        P* [bits], real-valued. A format exists only at some widths: `precsim.planning.plans.plan` chooses among those.

    Raises
    ------
    ValueError
        If the law has no factor, or one that acts on D or drifts with N and D (then P* depends on the budget).

    References
    ----------
    kumar2024, section 4.3 (equation 7 as printed has a spare α; this is the equation its algebra gives).

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> round(float(KUMAR_2024.best_bits()), 4)
    7.0021
    """
    factors = law.factors
    if not factors:
        raise ValueError(
            "this law has no precision factor, so no width is better than another; add one, for example "
            "Saturating(Tensor.WEIGHTS)"
        )
    if any(p.on is Effective.D or hasattr(p, "inner") for p in factors):
        raise ValueError("precision acts on D or drifts with N and D here, so P* depends on the budget: use plan")
    law._require()
    price = price or (lambda P: P)
    shape = np.broadcast_shapes(*(np.shape(v) for v in law.parameters.values()))

    def value(P):  # ln f − ln price, −inf where f is not positive
        f = np.asarray(tied_factor(law, P))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(f > 0, np.log(np.where(f > 0, f, 1.0)) - np.log(price(P)), -np.inf)  # NaN counts as not

    left, right = np.full(shape, float(low)), np.full(shape, float(high))
    for _ in range(3):  # zoom: the global maximum on a grid, then its two neighbors
        grid = np.linspace(left, right, 65)
        best = np.argmax(value(grid), axis=0)
        left = np.take_along_axis(grid, np.maximum(best - 1, 0)[None], 0)[0]
        right = np.take_along_axis(grid, np.minimum(best + 1, 64)[None], 0)[0]
    slope = _log_slope(law, price)
    for _ in range(60):  # bisection on the slope, exact derivatives: value alone would stop at half the digits
        middle = 0.5 * (left + right)
        up = slope(middle) > 0
        left, right = np.where(up, middle, left), np.where(up, right, middle)
    return 0.5 * (left + right)[()]


def _log_slope(law: Law, price):
    """d(ln f − ln price)/d ln P as a function of P."""

    def slope(P):
        s = law.setting(1.0, 1.0)
        total = 0.0
        for part in law.factors:
            x = Jet.variable(P, 0)
            f = part.factor(replace(s, weights=x, activations=x, kv=x))
            if f is not None:
                total = total + f.first[0] / f.value
        cost = price(Jet.variable(P, 0))
        if not isinstance(cost, Jet):  # a price that cannot be differentiated exactly: central difference
            h = 1e-5 * P
            return total - (np.log(price(P + h)) - np.log(price(P - h))) / (2 * h)
        return total - cost.first[0] / cost.value

    return slope


def critical_tokens(law: Law, N, post, **bits):
    """D at which ∂L/∂D = 0 for a model of N parameters quantized to `post` bits: beyond it, more data hurts.

    For Chinchilla's base with Kumar's δ: D_crit = (β·B·N_eff^γ_N·e^(P/γ_post − b)/(γ_D·C_T))^(1/(γ_D+β)).

    Returns inf where δ does not grow with D, or where the turn lies beyond 10⁴⁰ tokens.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> f"{critical_tokens(KUMAR_2024, 8e9, 4):.3g}"
    '1.95e+11'
    """
    if law.base is None or not law.degradations:
        raise ValueError("critical tokens need a base and a degradation: the balance of learning and damage")

    def slope(log_d):  # ∂L/∂ln D
        D = Jet.exponential(log_d, 0)
        out: Jet = law.evaluate(law.setting(N, D, post=post, **bits))
        return np.asarray(out.first[0])

    shape = np.broadcast_shapes(np.shape(N), np.shape(post), *(np.shape(v) for v in law.parameters.values()))
    left, right = np.full(shape, 0.0), np.full(shape, np.log(1e40))
    never = np.broadcast_to(slope(right) <= 0, shape)
    for _ in range(80):
        middle = 0.5 * (left + right)
        down = slope(middle) < 0
        left, right = np.where(down, middle, left), np.where(down, right, middle)
    return np.where(never, np.inf, np.exp(0.5 * (left + right)))[()]


def implied_factor(law: Law, N, D, loss):
    """f = N_eff/N such that the base predicts the observed loss, base(f·N, D) = loss; shape of the arguments.

    Parameters
    ----------
    law : Law
        With a base whose loss falls in N; its factors and degradations are not used.
    N, D, loss : array_like
        Parameters, tokens, observed loss as trained [nats/token]; they broadcast.

    Returns
    -------
    float or ndarray
        NaN where no number of parameters from 10⁻⁹·N to 10³·N gives the loss: below the base's limit for infinite
        N, for instance.

    Raises
    ------
    ValueError
        If the law has no base.

    Examples
    --------
    >>> from precsim.laws import Chinchilla
    >>> law = Chinchilla(E=1.0, A=400.0, B=800.0, alpha=0.5, beta=0.5)
    >>> round(float(implied_factor(law, 1e6, 1e8, law(0.25e6, 1e8))), 9)
    0.25
    """
    if law.base is None:
        raise ValueError(f"the share of parameters is read off a base; {law.label} has none")
    N, D, loss = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (N, D, loss)))
    low, high = np.full(N.shape, np.log(1e-9)), np.full(N.shape, np.log(1e3))
    inside = (law.base.loss(N * np.exp(low), D) >= loss) & (law.base.loss(N * np.exp(high), D) <= loss)
    for _ in range(60):  # the bracket of 28 e-folds shrinks below the last bit
        middle = 0.5 * (low + high)
        over = law.base.loss(N * np.exp(middle), D) > loss
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.where(inside, np.exp(0.5 * (low + high)), np.nan)[()]
