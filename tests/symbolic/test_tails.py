"""Heavier tails than normal ones: the largest weight and the error of its grid, by routes that do not share code."""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest
import sympy as sp
from scipy import stats

from precsim.symbolic import largest, tails
from precsim.symbolic.tails import LAPLACE, NORMAL, error, largest_of, student


@pytest.mark.parametrize("count", [2, 64, 4096])
def test_normal_and_laplace_as_they_are_known(count):
    """Another quadrature, and a sum over harmonic numbers."""
    assert largest_of(NORMAL, count) == pytest.approx(largest.mean_square(count), rel=1e-10)
    harmonic = float(largest.laplace_square().subs(largest.n, count).doit())
    assert largest_of(LAPLACE, count) == pytest.approx(harmonic, rel=1e-10)


@pytest.mark.parametrize("count", [2, 64])
def test_students_largest_by_the_probability_to_be_beyond_y(count):
    """Three degrees of freedom: that of one magnitude is 2/π (atan y + y/(1 + y²)) below y, by hand."""
    below = lambda y: 2 / mpmath.pi * (mpmath.atan(y) + y / (1 + y * y))  # noqa: E731
    with mpmath.workdps(25):
        each = mpmath.quad(lambda y: 2 * y * (1 - below(y) ** count), [0, 1, 10, 100, 10_000, mpmath.inf])
    assert largest_of(student(3), count) == pytest.approx(float(each), rel=1e-8)


@pytest.mark.parametrize("freedom", [3, 5, 7])
def test_students_law_is_scipys(freedom):
    scale, y = np.sqrt((freedom - 2) / freedom), np.array([0.1, 1.0, 4.0, 30.0])
    assert student(freedom).below(y) == pytest.approx(2 * stats.t.cdf(y / scale, freedom) - 1, rel=1e-12)
    assert 2 * student(freedom).moments(1e6)[2] == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("freedom", [3, 5])
def test_for_many_numbers_it_is_a_power_of_their_count(freedom):
    """The error of the closed form falls as it is said to: as the count to the -2/nu."""
    formula = sp.lambdify((tails.nu, tails.n), tails.student_square(), ["scipy", "numpy"])
    counts = (1e3, 1e5, 1e7)
    off = [abs(float(formula(freedom, n)) / largest_of(student(freedom), n) - 1) for n in counts]
    assert off[0] < 0.06
    for before, after in itertools.pairwise(off):
        assert np.log(before / after) / np.log(100) == pytest.approx(2 / freedom, rel=0.1)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_error_of_normal_weights_is_the_one_that_was_summed_by_cells(bits):
    assert error(NORMAL, bits, 64) == pytest.approx(largest.mean_error(bits, 64), rel=1e-10)


@pytest.mark.parametrize(
    ("law", "draw"),
    [
        (LAPLACE, lambda rng, shape: rng.laplace(scale=np.sqrt(0.5), size=shape)),
        (student(5), lambda rng, shape: rng.standard_t(5, size=shape) * np.sqrt(3 / 5)),
    ],
    ids=["Laplace", "Student"],
)
@pytest.mark.parametrize("bits", [2, 4])
def test_the_error_of_drawn_weights_that_were_rounded_by_hand(law, draw, bits):
    drawn = draw(np.random.default_rng(3), (20_000, 64))
    step = np.abs(drawn).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    seen = ((np.round(drawn / step) * step - drawn) ** 2).mean(axis=1)
    assert error(law, bits, 64) == pytest.approx(seen.mean(), abs=4 * seen.std() / np.sqrt(len(seen)))


def test_the_order_of_tails_is_the_order_of_costs():
    laws = (NORMAL, student(7), LAPLACE, student(5), student(3))
    for count in (64, 1024):
        found = [largest_of(one, count) for one in laws if one != LAPLACE]
        assert found == sorted(found)
        assert largest_of(NORMAL, count) < largest_of(LAPLACE, count) < largest_of(student(3), count)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: student(4), "3, 5, 7, … degrees of freedom, not 4"),
        (lambda: largest_of(NORMAL, 0.5), "1 to 1e9 numbers, not 0.5"),
        (lambda: error(NORMAL, 1, 64), "2 to 8 bits, not 1"),
        (lambda: error(NORMAL, 4, 1), "2 to 1e9 numbers, not 1"),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
