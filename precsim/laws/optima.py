"""Optima that a law has without a search over N and D: the best common width P* and the critical number of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precsim.laws.jets import Jet
from precsim.laws.setting import Effective, Setting

if TYPE_CHECKING:
    from precsim.laws.law import Law


def _turning(
    slope: Callable[[NDArray, NDArray], ArrayLike], left: NDArray, right: NDArray, otherwise: NDArray
) -> NDArray:
    """Element by element, the x in [left, right] at which slope(x, elements) falls through zero, or `otherwise`.

    A slope that is not a number counts as negative: it is so far to the right, where a factor has underflowed.

    Chandrupatla's method takes 4 steps to P* and 11 to 13 to the others, where halving took 60 to 80. SciPy is imported
    when it is called: a law that is only evaluated costs NumPy alone (0.15 s of import, with SciPy 1.4 s).
    """
    from scipy.optimize import elementwise

    def known(x: NDArray, elements: NDArray) -> NDArray:
        found = np.asarray(slope(x, elements), dtype=float)
        return np.where(np.isnan(found), -1.0, found)

    with np.errstate(all="ignore"):  # 10⁴⁰ tokens may overflow, and that end is then not a number
        found = elementwise.find_root(known, (left, right), args=(_elements(left.shape),))
    return np.where(found.success, found.x, otherwise)


def _elements(shape: tuple[int, ...]) -> NDArray:
    return np.arange(math.prod(shape)).reshape(shape)


def _picked(law: Law, shape: tuple[int, ...]) -> Callable[[NDArray], Law]:
    """The law of some elements, for a law whose parameters may be arrays (of draws) that broadcast to `shape`."""
    arrays = {name: _flat(value, shape) for name, value in law.parameters.items() if np.ndim(value)}
    return lambda elements: law.replace(**{name: flat[elements] for name, flat in arrays.items()}) if arrays else law


def _flat(value: ArrayLike, shape: tuple[int, ...]) -> NDArray:
    return np.broadcast_to(np.asarray(value), shape).ravel()


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

    left = most = np.full(shape, float(low))
    right = np.full(shape, float(high))
    for _ in range(3):  # zoom: the global maximum on a grid, then its two neighbors
        grid = np.linspace(left, right, 65)
        best = np.argmax(value(grid), axis=0)
        left, most, right = (np.take_along_axis(grid, np.clip(best + k, 0, 64)[None], 0)[0] for k in (-1, 0, 1))
    slope, at = _log_slope(price), _picked(law, shape)  # exact derivatives: the value would stop at half the digits
    found = _turning(lambda P, elements: slope(at(elements), P), left, right, otherwise=most)
    positive = np.isfinite(value(found))  # a factor that is positive nowhere has no best width
    return np.where(positive, found, np.nan)[()]


def _log_slope(price: Callable) -> Callable[[Law, NDArray], NDArray]:
    """d(ln f − ln price)/dP as a function of the law and P."""

    def slope(law: Law, P: NDArray) -> NDArray:
        s = law.setting(1.0, 1.0)
        total = np.zeros(np.shape(P))
        x = Jet.variable(P, 0)
        for part in law.factors:
            f = part.factor(replace(s, weights=x, activations=x, kv=x))
            if f is not None:
                total = total + f.first[0] / f.value
        cost = price(x)
        if not isinstance(cost, Jet):  # a price that cannot be differentiated exactly: central difference
            h = 1e-5 * P
            return total - (np.log(price(P + h)) - np.log(price(P - h))) / (2 * h)
        return total - cost.first[0] / cost.value

    return slope


def critical_tokens(law: Law, N, post, **bits):
    """D at which ∂L/∂D = 0 for a model of N parameters quantized to `post` bits: beyond it, more data hurts.

    For Chinchilla's base with Kumar's δ: D_crit = (β·B·N_eff^γ_N·e^(P/γ_post − b)/(γ_D·C_T))^(1/(γ_D+β)).

    Returns
    -------
    float or ndarray
        Of the shape of N, post, the other bits and the law's parameters together; inf where δ does not grow with D, or
        where the turn lies beyond 10⁴⁰ tokens; 1 where the loss grows from the first token; NaN where the law has no
        prediction.

    Raises
    ------
    ValueError
        If the law has no base or no degradation.

    Examples
    --------
    >>> from precsim.laws.published import KUMAR_2024
    >>> f"{critical_tokens(KUMAR_2024, 8e9, 4):.3g}"
    '1.95e+11'
    """
    if law.base is None or not law.degradations:
        raise ValueError("critical tokens need a base and a degradation: the balance of learning and damage")

    s = law.setting(N, 1.0, post=post, **bits)
    here = {f.name: getattr(s, f.name) for f in fields(Setting)} | dict(s.context)
    arrays = {name: value for name, value in here.items() if name != "context" and np.ndim(value)}
    shape = np.broadcast_shapes(*map(np.shape, [*arrays.values(), *law.parameters.values()]))
    flat = {name: _flat(value, shape) for name, value in arrays.items()}
    at = _picked(law, shape)

    def falling(log_d: NDArray, elements: NDArray) -> NDArray:  # −∂L/∂ln D
        picked = {name: column[elements] for name, column in flat.items()}
        context = {name: picked.pop(name, value) for name, value in s.context.items()}
        point = replace(s, D=Jet.exponential(log_d, 0), context=context, **picked)
        return -np.asarray(at(elements).evaluate(point).first[0])

    left, right = np.zeros(shape), np.full(shape, math.log(1e40))
    everything = _elements(shape)
    found = _turning(falling, left, right, otherwise=left)
    with np.errstate(all="ignore"):
        never = falling(right, everything) >= 0
        none = np.isnan(falling(found, everything)) | np.isnan(
            law.evaluate(s)
        )  # δ may be 0 where the base is not known
    return np.where(none, np.nan, np.where(never, np.inf, np.exp(found)))[()]


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
    arrays = [np.asarray(x, dtype=float) for x in (N, D, loss)]
    shape = np.broadcast_shapes(*map(np.shape, [*arrays, *law.base.parameters.values()]))
    N, D, loss = (_flat(x, shape) for x in arrays)
    at = _picked(law.base, shape)

    def missing(x: NDArray, elements: NDArray) -> NDArray:  # loss at e^x N, above the one observed
        return at(elements).loss(N[elements] * np.exp(x), D[elements]) - loss[elements]

    left, right = np.full(shape, math.log(1e-9)), np.full(shape, math.log(1e3))
    everything = _elements(shape)
    inside = (missing(left, everything) >= 0) & (missing(right, everything) <= 0)
    return np.where(inside, np.exp(_turning(missing, left, right, otherwise=left)), np.nan)[()]
