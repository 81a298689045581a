"""What a ridge costs a model that is learning: sums over directions, two closed ends, and slopes by differences."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from precsim.laws import ridge
from precsim.laws.jets import Jet


@pytest.mark.parametrize(("beta", "a"), [(0.4, 1.5), (0.3, 2.0)])
@pytest.mark.parametrize("x", [0.03, 1.0, 20.0])
def test_the_cost_is_that_of_gradient_flow_over_all_directions(beta, a, x):
    """Half a million directions, each learned by the flow with its ridge, at a time when most are not learned.

    A sum begins at the first direction and an integral at 0: they differ by 1 % at this time.
    """
    i, t = np.arange(1, 500_001.0), 1e4
    curvature, target2 = i**-a, i ** (a - 1 - a * beta)
    flow = lambda tau: curvature / (curvature + tau) * -np.expm1(-(curvature + tau) * t)  # noqa: E731
    tau = x * t**-beta / a / (target2 * flow(0.0) ** 2).sum()  # so that rounding costs x units
    loss = lambda tau: (target2 * (curvature * (1 - flow(tau)) ** 2 + tau * flow(tau) ** 2)).sum() / 2  # noqa: E731
    unit = t**-beta / (2 * a)
    assert (loss(tau) - loss(0.0)) / unit == pytest.approx(float(ridge.response(x, beta)), rel=0.015)
    left = (target2 * flow(tau) ** 2).sum() / (target2 * flow(0.0) ** 2).sum()
    assert left == pytest.approx(float(ridge.kept(x, beta)), rel=0.015)


@pytest.mark.parametrize("beta", [0.1, 0.4, 0.8])
def test_the_two_ends_are_in_closed_form(beta):
    small, large = 1e-7, 1e7
    assert ridge.response(small, beta) / small == pytest.approx(beta / (2**beta - 1), rel=1e-5)
    s = 1 - beta
    squares = float(sp.gamma(-s) * (2**s - 2))
    late = np.pi / np.sin(np.pi * beta) * (large / squares) ** beta
    assert ridge.response(large, beta) == pytest.approx(late, rel=20 * large**-beta)
    slope = beta * late / large
    assert ridge.kept(large, beta) == pytest.approx(slope, rel=1e-3)  # the envelope theorem, once all is learned


def test_the_table_is_the_integral_and_beyond_it_powers_go_on():
    rng = np.random.default_rng(0)
    for looked_up, integral in ((ridge.response, ridge.cost), (ridge.kept, ridge.squares)):
        for beta in (0.05, 0.35, 0.9):
            x = np.exp(rng.uniform(-17, 17, 40))
            assert looked_up(x, beta) == pytest.approx(integral(x, beta), rel=5e-8)
        for far in (np.exp(-25.0), np.exp(25.0)):
            assert looked_up(far, 0.4) == pytest.approx(integral(np.array(far), 0.4), rel=2e-3)


def test_the_quadrature_does_not_depend_on_its_step(monkeypatch):
    x = np.array([1e-4, 1.0, 1e4])
    before = ridge.cost(x, 0.4), ridge.squares(x, 0.4)
    monkeypatch.setattr(ridge, "_STEP", 0.1)
    assert ridge.cost(x, 0.4) == pytest.approx(before[0], rel=1e-10)
    assert ridge.squares(x, 0.4) == pytest.approx(before[1], rel=1e-10)


@pytest.mark.parametrize("of", [ridge.response, ridge.kept])
def test_slopes_and_curvatures_of_jets(of):
    x, h = np.array([1e-3, 0.7, 40.0]), 1e-3
    jet = of(Jet.exponential(np.log(x), 0), 0.35)
    up, down = (of(x * np.exp(s * h), 0.35) for s in (1, -1))
    assert jet.value == pytest.approx(of(x, 0.35), rel=1e-14)
    assert jet.first[0] == pytest.approx((up - down) / (2 * h), rel=1e-5)
    assert jet.second[0, 0] == pytest.approx((up - 2 * jet.value + down) / h**2, rel=1e-3)


@pytest.mark.parametrize("beta", [0.0, 0.95, float("nan")])
def test_exponents_at_which_the_integral_does_not_converge_are_refused(beta):
    with pytest.raises(ValueError, match=r"above 0 and at 0\.9 at most"):
        ridge.response(1.0, beta)


def test_symbols_are_refused():
    with pytest.raises(ValueError, match="no closed form in symbols"):
        ridge.response(sp.Symbol("x"), 0.4)
