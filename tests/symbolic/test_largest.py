"""The largest of n numbers and the error of a grid that ends at it, against drawn numbers and sums."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from precsim.symbolic import largest


@pytest.mark.parametrize("count", [2, 32, 256])
def test_mean_square_of_the_largest_of_drawn_numbers(count):
    drawn = np.abs(np.random.default_rng(0).standard_normal((4_000_000 // count, count))).max(axis=1) ** 2
    error = drawn.std() / np.sqrt(len(drawn))
    assert largest.mean_square(count) == pytest.approx(drawn.mean(), abs=4 * error)


def test_two_numbers_in_closed_form():
    """E max(x², y²) of two normal numbers is 1 + 2/π."""
    assert largest.mean_square(2) == pytest.approx(1 + 2 / np.pi, rel=1e-10)
    assert largest.mean_square([1, 2]) == pytest.approx([1.0, 1 + 2 / np.pi], rel=1e-10)
    with pytest.raises(ValueError, match=r"1 to 1e12 numbers, not 0\.5"):
        largest.mean_square(0.5)


def test_the_leading_term_is_a_fifth_too_high_and_the_next_ones_are_not():
    counts = (64.0, 4096.0, 1e6)
    off = [float(largest.for_many().subs(largest.n, n)) / largest.mean_square(n) - 1 for n in counts]
    assert max(map(abs, off)) < 0.01
    assert 1.15 < 2 * np.log(64) / largest.mean_square(64) < 1.25


@pytest.mark.parametrize("count", [2, 3, 5])
def test_heavy_tails_by_integration(count):
    """The largest of few exponential numbers, by an integral that SymPy solves in rationals."""
    x = sp.Symbol("x", positive=True)
    direct = sp.integrate(sp.expand(2 * x * (1 - (1 - sp.exp(-x)) ** count)), (x, 0, sp.oo)) / 2
    assert sp.simplify(largest.laplace_square().subs(largest.n, count).doit() - direct) == 0


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("count", [8, 64])
def test_error_of_a_grid_that_ends_at_the_largest(bits, count):
    """Also at two bits, where the step is no longer small: drawn numbers, rounded by hand."""
    drawn = np.random.default_rng(1).standard_normal((2_000_000 // count, count))
    step = np.abs(drawn).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    seen = ((np.round(drawn / step) * step - drawn) ** 2).mean(axis=1)
    error = seen.std() / np.sqrt(len(seen))
    assert largest.mean_error(bits, count) == pytest.approx(seen.mean(), abs=4 * error)


@pytest.mark.parametrize(("bits", "count", "message"), [(1, 8, "2 to 8 bits, not 1"), (4, 1, "2 numbers or more")])
def test_impossible_grids_are_refused(bits, count, message):
    with pytest.raises(ValueError, match=message):
        largest.mean_error(bits, count)
