"""What a matrix unit loses that cuts every product to the last place of its accumulator: a bias, and a spread.

The accumulator has f fraction bits. K products are added one after the other, each cut toward zero to the last place
that the sum has by then. 2^E is the binade of the sum, m its significand, in [1, 2).
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from precsim.symbolic.steps import Derivation, Steps

__all__ = ["bias_of_equal_signs", "last_place", "spread_of_random_signs", "worst_bias"]

f = sp.Symbol("f", positive=True)  # fraction bits of the accumulator
K = sp.Symbol("K", positive=True)  # products
m = sp.Symbol("m", positive=True)  # significand of the sum
binade, mu = sp.symbols("b mu", positive=True)  # 2^E, and the mean product
j = sp.Symbol("j", integer=True)
k, sigma = sp.symbols("k sigma", positive=True)


@Derivation
def bias_of_equal_signs() -> Steps:
    """Relative bias of the sum of K products of one sign, each cut losing half a last place on average."""
    place = binade * 2**-f / 2
    yield "Half of the last place of a sum in the binade b:", place
    below: Any = sp.summation(4**j, (j, -sp.oo, -1)) * binade * place / mu
    yield "A binade holds as many sums as it is wide over the mean product; all binades below the last lose", below
    last = (m - 1) * binade * place / mu
    yield "and the last, as far as the sum has come,", last
    whole: Any = sp.simplify((below + last) / (m * binade))
    yield "Over the sum itself, m b:", whole
    lost: Any = sp.factor(sp.simplify(whole.subs(binade, K * mu / m)))
    yield "The sum is K mean products, so b = K mu/m:", -lost


@Derivation
def worst_bias() -> Steps:
    """The largest that this bias can be, over all significands of the sum."""
    size = -bias_of_equal_signs()
    places = sp.solve(sp.diff(size, m), m)
    yield "It is largest where its slope in m is 0:", places[0]
    yield "There it is", sp.simplify(size.subs(m, places[0]))


@Derivation
def last_place() -> Steps:
    """Mean of (2^E/S)² for a sum S whose significand is anywhere in a binade, uniform in its logarithm."""
    density = 1 / (m * sp.log(2))
    yield "Density of the significand:", density
    yield "2^E/S is 1/m; the mean of its square:", sp.integrate(density / m**2, (m, 1, 2))


@Derivation
def spread_of_random_signs() -> Steps:
    """Error of K products of random sign over the size of their sum: cuts of both directions add like their squares."""
    each = sp.integrate(sp.Symbol("u", positive=True) ** 2, (sp.Symbol("u", positive=True), 0, 1))
    yield "A cut is anywhere between 0 and a last place; the mean of its square, in squares of the last place:", each
    after = sigma**2 * k * last_place() * 4**-f
    yield "After k products of size sigma the sum is sigma sqrt(k); the mean square of its last place:", after
    total = sp.integrate(each * after, (k, 0, K))
    yield "All K cuts:", total
    yield "The root, over the size of the whole sum:", sp.simplify(sp.sqrt(total) / (sigma * sp.sqrt(K)))
