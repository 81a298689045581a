"""From rounding noise to N_eff: each formula by another route, in numbers that are drawn, summed or minimized."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize_scalar

from precsim.evidence.bend import BEND
from precsim.laws import Bent, Chinchilla, SecondOrderDegradation, ridge
from precsim.laws.optima import implied_factor
from precsim.symbolic import emergence as e
from precsim.symbolic.emergence import K, numeric, v


def test_a_weight_trained_through_its_rounding_errs_twice_as_much_as_rounding_to_nearest():
    """A straight-through weight, trained by hand at a constant rate, over many best values."""
    rng = np.random.default_rng(0)
    best = rng.uniform(-0.5, 0.5, 4000)
    master, errors = best.copy(), np.zeros_like(best)
    for step in range(4000):
        master -= 0.03 * (np.round(master) - best)
        if step >= 2000:
            errors += (np.round(master) - best) ** 2 / 2000
    assert errors.mean() == pytest.approx(float(e.chatter().subs(e.h, 1)), rel=0.03)
    assert float(e.chatter().subs(e.h, 1)) == pytest.approx(2 * ((np.round(best) - best) ** 2).mean(), rel=0.05)


def test_noise_of_both_weights_of_a_chain_is_a_ridge_on_each():
    rng = np.random.default_rng(1)
    p, q, w, tau = 0.7, -1.3, 0.4, 0.05
    p_seen, q_seen = (x + np.sqrt(tau) * rng.standard_normal(4_000_000) for x in (p, q))
    added = ((p_seen * q_seen - w) ** 2 / 2).mean() - (p * q - w) ** 2 / 2 - tau**2 / 2
    letters = {s.name: s for s in e.noise_is_a_ridge().free_symbols}
    said = e.noise_is_a_ridge().subs({letters["p"]: p, letters["q"]: q, letters["tau"]: tau})
    assert added == pytest.approx(float(said), rel=0.01)


@pytest.mark.parametrize(("lam", "tau"), [(1.0, 0.01), (0.3, 2.0)])
def test_the_gap_of_a_ridge_is_the_least_over_the_weight(lam, tau):
    least = minimize_scalar(lambda x: lam * (x - 1.7) ** 2 / 2 + tau * x * x / 2).fun
    said = e.gap_of_ridge().subs({e.lam: lam, e.tau: tau, e.target: 1.7})
    assert float(said) == pytest.approx(least, rel=1e-10)
    assert e.envelope() == 0


@pytest.mark.parametrize("a", [1.5, 2.0])
def test_degrees_of_freedom_against_the_sum(a):
    curvature = np.arange(1, 1_000_001) ** -a
    beyond = 1e6 ** (1 - a) / (a - 1) / 1e-4  # where the curvature is far below the ridge
    first = 0.5  # Euler and Maclaurin: an integral from 0 has half a term more than a sum from 1
    said = e.degrees_of_freedom().subs({e.tau: 1e-4, e.a: a})
    assert float(said) == pytest.approx((curvature / (curvature + 1e-4)).sum() + beyond + first, rel=1e-4)


@pytest.mark.parametrize(("a", "beta"), [(1.5, 0.4), (2.0, 0.3)])
def test_the_gap_of_all_ridges_against_the_sum(a, beta):
    """Two million directions, each at its best with the ridge; the sum's lower end is worth less than 1 %."""
    i, tau = np.arange(1, 2_000_001.0), 1e-5
    curvature, signal = i**-a, i ** -(1 + a * beta)
    each = tau * signal / (2 * (curvature + tau))
    beyond = 2e6 ** -(a * beta) / (2 * a * beta)  # where the curvature is far below the ridge
    assert float(e.late_ridges().subs({e.tau: tau, e.a: a, e.beta: beta})) == pytest.approx(
        each.sum() + beyond, rel=0.01
    )


@pytest.mark.parametrize("beta", [0.2, 0.4, 0.8])
def test_noise_costs_a_model_that_is_learning_more_than_rounding_afterwards(beta):
    """By the quadrature that the law uses, of flow with the ridge and without it."""
    said = float(e.early_ridges().subs(e.beta, beta))
    assert ridge.cost(np.array([1e-7]), beta)[0] / 1e-7 == pytest.approx(said, rel=1e-5)
    assert 1 < said < 1 / np.log(2)


@pytest.mark.parametrize("damage", [1e-3, 0.05, 2.0])
def test_the_gap_is_the_least_over_the_curvature_that_is_kept(damage):
    price = minimize_scalar(lambda r: damage * r + 0.04 * (r - 1 - np.log(r)), bounds=(1e-6, 1), method="bounded",
                            options={"xatol": 1e-12})  # fmt: skip
    assert numeric(e.gap, v, K)(damage, 0.04) == pytest.approx(price.fun, rel=1e-10)
    assert numeric(e.kept, v, K)(damage, 0.04) == pytest.approx(price.x, rel=1e-4)
    up, down = (numeric(e.gap, v, K)(damage * s, 0.04) for s in (1 + 1e-5, 1 - 1e-5))
    assert numeric(e.kept, v, K)(damage, 0.04) == pytest.approx((up - down) / (2e-5 * damage), rel=1e-6)


def test_damages_add_before_the_bend():
    x, y = sp.symbols("x y", positive=True)
    gaps = {e.g1: e.gap().subs(v, x), e.g2: e.gap().subs(v, y)}
    together = float(e.joint().subs(gaps).subs({x: 0.02, y: 0.07, K: 0.05}))
    assert together == pytest.approx(numeric(e.gap, v, K)(0.09, 0.05), rel=1e-12)
    one, two = (numeric(e.gap, v, K)(x, 0.05) for x in (0.02, 0.07))
    assert together < one + two < float(e.crossed().subs({e.g1: one, e.g2: two, e.u: 0.3}))


def test_what_the_package_computes_with_is_the_end_of_the_derivation():
    """The law, its slope after training, and the form that evidence is judged by."""
    law = Bent(SecondOrderDegradation(K=1.0, gamma_D=0.5, gamma_N=0.25), K_bend=0.05)
    damage = law.inner(3e5, 2e7, post=4)
    assert law(3e5, 2e7, weights=4) == pytest.approx(numeric(e.gap, v, K)(damage, 0.05), rel=1e-10)
    further = law(3e5, 2e7, weights=4, post=3) - law(3e5, 2e7, weights=4)
    assert further / law.inner(3e5, 2e7, post=3) == pytest.approx(numeric(e.kept, v, K)(damage, 0.05), rel=1e-10)
    assert BEND.value(damage, 0.05) == pytest.approx(numeric(e.gap, v, K)(damage, 0.05), rel=1e-10)
    assert BEND.slope(damage, 0.05) == pytest.approx(numeric(e.kept, v, K)(damage, 0.05), rel=1e-10)
    assert BEND.inverse(0.03, 0.05) == pytest.approx(numeric(e.damage, sp.Symbol("G", positive=True), K)(0.03, 0.05))


def test_what_is_reported_as_effective_parameters_drifts_as_derived():
    """N_eff by solving for the size of equal loss, at two budgets, beside the derived share and its exponent."""
    base = Chinchilla(E=0.5, A=7.0, B=0.0, alpha=0.3, beta=0.35)
    law = base | Bent(SecondOrderDegradation(K=1e-4, gamma_D=0.7, gamma_N=0.3), K_bend=0.05)
    N, seen = 1e5, []
    for D in (1e7, 1e7 * 1.001):
        share = implied_factor(base, N, D, law(N, D, weights=4))
        damage = law.degradations[0].inner(N, D, post=4)
        letters = {v: damage, K: 0.05, e.u: 7.0 * N**-0.3, e.alpha: 0.3}
        assert share == pytest.approx(float(e.effective_share().subs(letters)), rel=1e-9)
        seen.append((np.log(1 / share), damage))
    slope = np.log(seen[1][0] / seen[0][0]) / np.log(1.001)
    said = float(e.drift().subs({v: seen[0][1], K: 0.05, e.g: 0.7}))
    assert slope == pytest.approx(said, rel=0.1)  # to first order in the gap over A N^-alpha, here a tenth


def test_an_undertrained_layer_by_rounding_it():
    """n outputs of n weights with one scale each: the damage over n, measured at two n, falls as derived."""
    rng, damage = np.random.default_rng(2), {}
    for n in (64, 256):
        w = rng.standard_normal((4000, n)) / np.sqrt(n)  # the same squares for each output, as undertrained
        step = np.abs(w).max(axis=1, keepdims=True) / 7
        damage[n] = ((np.round(w / step) * step - w) ** 2).sum(axis=1).mean() / n
    from precsim.symbolic.largest import mean_square

    slope = np.log(mean_square(256) / mean_square(64)) / np.log(4)
    seen = -np.log(damage[256] / damage[64]) / (2 * np.log(4))
    k = next(iter(e.size_exponent().free_symbols))
    assert seen == pytest.approx(float(e.size_exponent().subs(k, slope)), abs=0.01)
