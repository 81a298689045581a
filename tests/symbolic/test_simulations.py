"""Small versions of the simulations behind part 6, where no other test has them: what is derived, done by hand."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from precsim.symbolic import emergence as e
from precsim.symbolic import teacher
from precsim.symbolic.largest import mean_square

A, C = 1.5, 1.6  # decays of spectrum and signal, as on the pages


def test_a_master_weight_that_is_rounded_stochastically_errs_as_a_straight_through_one():
    """h²/6 at every rate, within 2 %: 2,000 best values, a gradient step and a stochastic rounding at a time."""
    rng = np.random.default_rng(0)
    best = rng.uniform(-0.5, 0.5, 2000)
    for rate in (0.3, 0.03):
        weight, errors = np.round(best), np.zeros_like(best)
        for step in range(12_000):
            moved = weight - rate * (weight - best)
            weight = np.floor(moved + rng.random(best.shape))
            if step >= 4000:
                errors += (weight - best) ** 2 / 8000
        assert errors.mean() == pytest.approx(float(e.chatter().subs(e.h, 1)), rel=0.03)


@pytest.mark.parametrize("rate", [0.2, 0.05])
def test_a_master_weight_that_is_rounded_to_nearest_stands_still_far_from_its_best_value(rate):
    """Steps below half a spacing are lost: from a random start it stops within h/(2 rate) of the best, at random."""
    best = np.random.default_rng(1).uniform(-30, 30, 20_000)
    weight = np.zeros_like(best)
    for _ in range(2000):
        weight = np.round(weight - rate * (weight - best))
    off = np.abs(weight - best)
    assert off.max() <= 1 / (2 * rate) + 1e-9
    assert np.abs(np.round(weight - rate * (weight - best)) - weight).max() == 0


@pytest.mark.parametrize("late", [False, True])
def test_the_exponent_of_size_falls_with_training_from_a_third_to_nothing(late):
    """.38 while a layer is undertrained, near -.07 once it has learned its features; sums over features."""
    sizes, time = np.array([32, 256]), 1e3 * 256**A if late else 0.01 * 32**A
    features = [np.arange(1, n + 1.0) for n in sizes]
    squares = [np.sum(i ** (A - C) * np.expm1(-time * i**-A) ** 2) for i in features]
    damage = mean_square(sizes) * squares / sizes
    slope = -np.log(damage[1] / damage[0]) / np.log(8) / 2
    k = np.log(mean_square(256) / mean_square(32)) / np.log(8)
    derived = float(e.size_exponent().subs(next(iter(e.size_exponent().free_symbols)), k)) - late * (A - C + 1) / 2
    assert derived == pytest.approx(-0.07 if late else 0.38, abs=0.005)
    assert slope == pytest.approx(derived, abs=0.02)


def test_what_equation_30_reports_drifts_although_the_share_does_not():
    """A student of 64 features that always has the loss of 73 % of them seems to shrink by an additive law."""
    n, share = 64, 0.73
    i = np.arange(1, 200_001.0)
    left = lambda kept, t: 0.5 * np.sum(i**-C * np.where(i <= kept, np.exp(-2 * t * i**-A), 1.0))  # noqa: E731
    term = n ** (1 - C) / (2 * (C - 1))  # A N^-alpha of the additive law, alpha = c - 1
    additive, exact = [], []
    for t in (10, 160, 2560, 40_960):
        gap = left(share * n, t) - left(n, t)
        additive.append((1 + gap / term) ** (-1 / (C - 1)))
        kept = np.arange(8, n + 1)
        exact.append(np.interp(-gap, [left(n, t) - left(k, t) for k in kept], kept) / n)
    assert exact == pytest.approx([exact[0]] * 4, abs=0.01)
    assert (np.diff(additive) < 0).all()
    assert additive[0] > 0.97
    assert additive[-1] == pytest.approx(share, abs=0.02)


def test_training_on_the_mean_of_the_rounded_loss_is_ridge_regression():
    """Uniform errors of a step in proportion to |w|, a gradient through the step: loss and squares of ridge."""
    rng = np.random.default_rng(2)
    n, steps, kappa2 = 24, 3, mean_square(24)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    curvature = np.arange(1, n + 1.0) ** -A
    hessian = (basis * curvature) @ basis.T
    target = basis @ (rng.choice([-1.0, 1.0], n) * np.arange(1, n + 1.0) ** ((A - C) / 2))
    unit = np.sqrt(kappa2 / n) / steps  # step over |w|
    tau = unit**2 * curvature.sum() / 12
    w, means, total = target.copy(), [], 6000
    for t in range(total):
        draws = rng.uniform(-0.5, 0.5, (64, n))
        size = np.linalg.norm(w)
        slope = (w + unit * size * draws - target) @ hessian
        through = unit * w / size * (draws * slope).sum(axis=1, keepdims=True)
        w = w - 0.5 * (1 + np.cos(np.pi * t / total)) * 0.5 * (slope + through).mean(axis=0)
        if t > 0.8 * total:
            means.append(w)
    found = np.mean(means, axis=0)
    ridge = np.linalg.solve(hessian + tau * np.eye(n), hessian @ target)
    loss = lambda w: 0.5 * (w - target) @ hessian @ (w - target) + tau / 2 * w @ w  # noqa: E731
    assert loss(found) == pytest.approx(loss(ridge), rel=0.01)
    assert found @ found == pytest.approx(ridge @ ridge, rel=0.02)
    gaps = [
        e.gap_of_ridge().subs({e.lam: c, e.tau: tau, e.target: x})
        for c, x in zip(curvature, basis.T @ target, strict=True)
    ]
    assert float(sum(gaps)) == pytest.approx(loss(ridge), rel=1e-9)


def test_damage_grows_with_the_time_to_the_derived_power():
    """Squares of the weights by the sum, over a tenfold time in the middle: exponent 1 - beta within 2 %."""
    i = np.arange(1, 300_001.0)
    squares = [np.sum(i ** (A - C) * np.expm1(-t * i**-A) ** 2) for t in (1e3, 1e4)]
    derived = float((teacher.t * sp.diff(sp.log(teacher.size()), teacher.t)).subs({teacher.a: A, teacher.c: C}))
    assert np.log10(squares[1] / squares[0]) == pytest.approx(derived, rel=0.02)
