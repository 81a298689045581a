"""Derived formulas against routes by numbers that do not use them: the paper's equations, and the best bits."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import sympy as sp

from precsim import laws, symbolic
from precsim.laws import published
from precsim.symbolic import C, P, equations, symbol, widths
from precsim.symbolic.equations import EQUATIONS, Standing
from precsim.symbolic.numbers import CONSTANTS, least_bits, serving_optimum, stationary, value

ALL = pytest.mark.parametrize("equation", EQUATIONS, ids=lambda e: e.number)


# -- the paper's equations -------------------------------------------------------------------------------------------


def test_every_equation_that_the_paper_numbers_is_there():
    numbers = {n for e in EQUATIONS for n in e.number.split(", ")}
    assert {str(n) for n in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 28, 29, 30)} <= numbers
    with pytest.raises(ValueError, match="no equation '5'"):
        equations.by_number("5")


@ALL
def test_what_an_equation_states_agrees_with_numbers(equation):
    assert equation.error() < 1e-10


@ALL
def test_a_correction_is_needed_exactly_where_one_is_made(equation):
    if equation.standing is Standing.CORRECTED:
        assert equation.printed != equation.statement
        assert equation.misprint() > 0.02
    else:
        assert equation.printed == equation.statement


@ALL
def test_an_equation_has_words_a_proof_of_two_sentences_and_a_consequence(equation):
    assert equation.proof.count(". ") >= 1
    assert equation.says
    assert equation.consequence
    assert symbolic.to_latex(equation.statement)


def test_the_numbers_quoted_with_the_corrections():
    """1.46, 3.5 or 7.0 bits; 5.2 or 1.6 times the parameters; e^b; 1.69; 18 tokens a parameter."""
    printed = equations.by_number("7").printed
    gap = printed.lhs - printed.rhs
    assert float(mpmath.findroot(lambda x: value(gap, P=x), 1.4)) == pytest.approx(1.46, abs=0.005)
    held = equations.by_number("7").statement
    assert float(mpmath.findroot(lambda x: value(held.lhs - 1, P=x), 3)) == pytest.approx(3.7, abs=0.05)
    assert published.KUMAR_2024.best_bits() == pytest.approx(7.0, abs=0.05)
    assert published.KUMAR_2024_MAIN_TEXT.best_bits() == pytest.approx(3.5, abs=0.05)
    for law, factor in ((published.KUMAR_2024, 5.2), (published.KUMAR_2024_MAIN_TEXT, 1.6)):
        assert 1 / laws.tied_factor(law, 4.0) == pytest.approx(factor, abs=0.05)
    assert math.exp(CONSTANTS["b"]) == pytest.approx(3.09, abs=0.005)
    assert 1 / CONSTANTS["gamma_post"] == pytest.approx(1.69, abs=0.005)
    assert (CONSTANTS["B"] / CONSTANTS["A"]) ** (1 / CONSTANTS["alpha"]) == pytest.approx(18.0, abs=0.05)
    assert math.exp(CONSTANTS["b"] / (CONSTANTS["gamma_D"] + CONSTANTS["beta"])) == pytest.approx(3.1, abs=0.05)
    factors = [float(law.n_eff(1.0, weights=4)) for law in (published.KUMAR_2024, published.KUMAR_2024_MAIN_TEXT)]
    assert factors == pytest.approx([0.70, 0.78], abs=0.005)


def test_a_value_needs_every_letter():
    with pytest.raises(ValueError, match="no value for zeta"):
        value(sp.Symbol("zeta") + 1)


# -- the best number of bits -----------------------------------------------------------------------------------------

ONE = {"A": 4299.0, "B": 18060.0, "alpha": 0.4965, "beta": 0.4965, "gamma": 2.6745, "n": 0.3037}


def _fixed(size: float, compute: float):
    """P of least loss of a model of given size, weights only, by search."""

    def loss(bits):
        f = 1 - mpmath.exp(ONE["n"] - bits / mpmath.mpf(ONE["gamma"]))
        tokens = 16 * mpmath.mpf(compute) / (6 * size * bits)
        return ONE["A"] * (size * f) ** -mpmath.mpf(ONE["alpha"]) + ONE["B"] * tokens ** -mpmath.mpf(ONE["beta"])

    return stationary(loss, 1.0, 400.0 if compute > 1e40 else 60.0)


def test_condition_of_a_given_size_holds_at_the_minimum():
    condition = widths.fixed_size_condition()
    for size, compute in ((1e9, 1e22), (8e9, 1e25)):
        given = ONE | {"N": size, "C": compute, "P": _fixed(size, compute)}
        assert float(value(condition.lhs, **given) / value(condition.rhs, **given)) == pytest.approx(1, abs=1e-10)


def test_lambert_form_becomes_exact_as_compute_grows():
    """Its relative error must fall like the damage e^(n - P/γ) that it neglects."""
    errors = []
    for compute in (1e24, 1e28, 1e32, 1e36):
        truth = _fixed(8e9, compute)
        found = value(widths.fixed_size_bits(), **ONE, N=8e9, C=compute)
        damage = float(mpmath.exp(ONE["n"] - truth / ONE["gamma"]))
        errors.append(abs(float(found / truth) - 1))
        assert errors[-1] < damage
    assert all(b < a / 10 for a, b in itertools.pairwise(errors))


def test_the_asymptote_of_a_given_size_improves_with_its_order_and_with_compute():
    gaps = {order: [] for order in (1, 2)}
    for compute in (1e24, 1e34, 1e44):
        truth = float(_fixed(8e9, compute))
        for order in gaps:
            found = float(value(widths.fixed_size_asymptote(order), **ONE, N=8e9, C=compute))
            gaps[order].append(abs(found - truth) / truth)
    assert all(two < one / 2 for one, two in zip(gaps[1], gaps[2], strict=True))
    assert gaps[1] == sorted(gaps[1], reverse=True)
    assert gaps[2][-1] < 0.01
    leading = sp.diff(widths.fixed_size_asymptote(1), C) * C
    assert sp.simplify(leading - symbol("beta") * symbol("gamma")) == 0
    with pytest.raises(ValueError, match="order must be 1 or 2"):
        widths.fixed_size_asymptote(3)


def test_bits_that_drift_with_data_against_a_search():
    gamma, c, k, d0 = 1.3, 5.0, 0.08, 1e9
    best, slope = widths.bits_with_drift(), widths.bits_per_efold()
    law = laws.Chinchilla(E=0.0, A=400.0, B=2000.0, alpha=0.35, beta=0.37)

    def split(compute):
        """(P, D) of least loss: N eliminated, a search over D inside one over P."""

        def given(bits):
            def at(log_d):
                tokens = mpmath.exp(log_d)
                n = compute / (tokens * bits)
                f = mpmath.exp(-c * mpmath.exp(-bits / mpmath.mpf(gamma)) * (tokens / d0) ** mpmath.mpf(k))
                return law.A * (n * f) ** -mpmath.mpf(law.alpha) + law.B * tokens ** -mpmath.mpf(law.beta)

            where = stationary(at, math.log(1e4), math.log(1e17))
            return at(where), where

        bits = stationary(lambda bits: given(bits)[0], 1.5, 14.0)
        return bits, mpmath.exp(given(bits)[1])

    found = [split(mpmath.mpf(compute)) for compute in (1e20, 1.02e20)]
    given = {"gamma": gamma, "c": c, "k": k, "D_0": d0}
    for bits, tokens in found:
        assert float(value(best, **given, D=tokens) / bits) == pytest.approx(1, abs=1e-10)
    seen = (found[1][0] - found[0][0]) / mpmath.log(found[1][1] / found[0][1])
    middle = (found[0][0] + found[1][0]) / 2
    assert float(value(slope, **given, P=middle) / seen) == pytest.approx(1, abs=1e-5)  # a difference over 2 percent


def test_suns_law_against_a_search():
    """P* of the law by nested searches over (N, P) and D; its exponent of compute from two budgets."""
    sun = {name: float(v) for name, v in published.SUN_2025.parameters.items()}
    q = sun["delta_e_sun"] + sun["nu_sun"]
    share = sun["delta_e_sun"] ** sun["delta_e_sun"] * sun["nu_sun"] ** sun["nu_sun"] / q**q
    kappa = 7.0 / (sun["gamma_sun"] * share)  # blocks of 128
    letters = {"A": sun["A"], "alpha": sun["alpha"], "beta": sun["beta"], "kappa": kappa, "q": q}
    a, b = mpmath.mpf(sun["alpha"]), mpmath.mpf(sun["beta"])

    def split(compute):
        def given(bits):
            def at(log_d):
                d = mpmath.exp(log_d)
                n = compute * 16 / (6 * d * bits)
                return (sun["A"] + kappa * d**b * bits**-q) * n**-a + sun["B"] * d**-b

            where = stationary(at, math.log(1e6), math.log(1e22))
            return at(where), where

        bits = stationary(lambda bits: given(bits)[0], 1.0, 20.0)
        return bits, mpmath.exp(given(bits)[1])

    small, large = (split(mpmath.mpf(compute)) for compute in (1e21, 1e31))
    for bits, tokens in (small, large):
        assert float(value(widths.sun_best_bits(), **letters, D=tokens) / bits) == pytest.approx(1, abs=1e-10)
    assert 4 < small[0] < large[0] < 8.5  # the source: 4 to 8 bits for 1e21 to 1e31
    exponents = widths.sun_compute_exponents()
    seen = mpmath.log(large[0] / small[0]) / mpmath.log(mpmath.mpf(10) ** 10)
    assert float(value(exponents["P"], **letters) / seen) == pytest.approx(1, abs=1e-10)
    assert sp.simplify(sum(exponents.values()) - 1) == 0


def test_serving_slope_is_approached():
    slope = float(value(widths.serving_slope()))
    assert slope == pytest.approx(0.39, abs=0.005)
    times_bits = []
    for cost in (1e18, 1e24, 1e30):
        near, far = serving_optimum(cost), serving_optimum(10 * cost)
        gap = (far[2] - near[2]) / math.log(far[0] / near[0]) / slope - 1
        times_bits.append(gap * near[2])
    # what is neglected is d ln P/d ln N, of the order of 1/P
    assert max(times_bits) - min(times_bits) < 0.15 * abs(times_bits[0])


def test_best_bits_depends_on_no_other_letter_and_on_the_price():
    """P* by search at five (α, β, C): the same number; a square-root price has twice the marginal bits."""
    tied = lambda bits: (1 - mpmath.exp(-bits / mpmath.mpf(CONSTANTS["gamma"]))) ** 3  # noqa: E731
    cases = [(1e20, 0.5, 0.5), (1e25, 0.5, 0.5), (1e20, 0.2, 0.5), (1e20, 0.5, 0.2), (1e21, 0.7, 0.3)]
    found = [least_bits(tied, c, mpmath.mpf(a), mpmath.mpf(b), 1.0) for c, a, b in cases]
    assert max(found) / min(found) - 1 < 1e-12
    factor = (1 - sp.exp(-P / symbol("gamma"))) ** 3
    for price in (P, sp.sqrt(P), P + 3):
        condition = widths.elasticity(factor, P) - widths.elasticity(price, P)
        worth = sp.lambdify(P, (factor / price).subs(symbol("gamma"), sp.Float(CONSTANTS["gamma"], 30)), "mpmath")
        best = stationary(lambda bits, w=worth: -w(bits), 0.5, 30.0)
        assert float(value(condition, P=best)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("name", ["a100", "h100", "b200"])
def test_a_price_with_steps_is_best_at_the_end_of_a_tread(name):
    """Brute force over a fine grid of widths: the best is an end of a tread, and the one that is named."""
    from precsim.planning import HARDWARE

    machine = HARDWARE[name]
    law = laws.Composite(published.KUMAR_2024.parts[:4])
    ends = sorted(machine.peak)
    grid = np.union1d(np.arange(3.3, 16.0, 0.01), ends)
    worth = np.array([laws.tied_factor(law, b) / machine.price(b) for b in grid])
    best = widths.best_step(lambda b: laws.tied_factor(law, b), machine.price, ends)
    assert grid[np.nanargmax(worth)] == best
    assert best in ends
    with pytest.raises(ValueError, match="positive factor"):
        widths.best_step(lambda b: -1.0, machine.price, ends)
