"""Derived errors of rounding against enumeration, quadrature and sums; the linear teacher rounded for real."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import sympy as sp

from precsim.models import Teacher
from precsim.symbolic import P, roundoff, teacher
from precsim.symbolic.largest import mean_square

# -- rounding --------------------------------------------------------------------------------------------------------


def test_moments_of_rounding_against_enumeration():
    h = sp.Symbol("h", positive=True)
    x = (np.arange(200_000) + 0.5) / 200_000 - 0.5
    assert float(roundoff.uniform_variance().subs(h, 1)) == pytest.approx(np.mean(x**2), rel=1e-10)
    mean, variance, averaged = roundoff.stochastic_moments()
    nu = np.arange(1, 64) / 64
    up, down = 1 - nu, -nu
    assert mean == 0
    moment = sp.lambdify(sp.Symbol("nu", positive=True), variance.subs(h, 1))(nu)
    np.testing.assert_allclose(moment, nu * up**2 + (1 - nu) * down**2, rtol=1e-12)
    assert averaged.subs(h, 1) == sp.Rational(1, 6)


@pytest.mark.parametrize("h", [0.5, 1.0, 2.0, 3.0])
def test_series_of_the_rounding_error_of_normal_numbers_against_quadrature(h):
    with mpmath.workdps(30):
        cells = range(-60, 61)
        density = lambda x: mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)  # noqa: E731
        seen = mpmath.fsum(
            mpmath.quad(lambda x, i=i: (x - i * h) ** 2 * density(x), [(i - 0.5) * h, (i + 0.5) * h]) for i in cells
        )
        found = sp.N(roundoff.sawtooth_series(8).subs(sp.Symbol("h", positive=True), sp.Float(h, 30)), 30)
        assert float(found / sp.Float(str(seen), 30)) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_error_of_a_grid_with_ends_against_quadrature(bits):
    import precsim as ps

    x = np.linspace(-9, 9, 1_000_001)
    weight = np.exp(-(x**2) / 2)
    scale = 2.5 / (2 ** (bits - 1) - 1)
    fmt = {2: ps.INT2, 3: ps.INT3, 4: ps.INT4, 6: ps.INT6}[bits]
    limit = 2 ** (bits - 1) - 1
    # INT formats keep one more negative value than a symmetric grid has
    rounded = np.clip(ps.round_to(x / scale, fmt, saturate=True), -limit, limit) * scale
    seen = np.sum(weight * (rounded - x) ** 2) / np.sum(weight) / (scale**2 / 12)
    assert float(roundoff.normal_error(bits, sp.Float(2.5))) == pytest.approx(seen, rel=1e-4)  # the mesh
    with pytest.raises(ValueError, match="2 to 8 bits"):
        roundoff.normal_error(9, sp.Float(2.5))


@pytest.mark.parametrize("n", [60, 1000, 6000])
def test_spread_of_a_stochastic_sum_against_many_sums(n):
    from precsim.numerics import BF16, Accumulator, CounterBits, Rounding, round_to
    from precsim.numerics.arithmetic import total

    way = Accumulator(BF16, rounding=Rounding.STOCHASTIC)
    x = round_to(np.random.default_rng(4).uniform(0.5, 1, n), BF16)
    errors = [total(x, way, noise=CounterBits(seed)) - math.fsum(x) for seed in range(400)]
    # a standard deviation of 400 numbers has a standard error of 3.5 percent
    assert np.std(errors) / math.fsum(x) == pytest.approx(roundoff.sum_spread(x, precision=8), rel=0.15)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / 20
    with pytest.raises(ValueError, match="2 positive terms"):
        roundoff.sum_spread([1.0, -1.0], precision=8)


def test_rate_of_the_grid_tends_to_two_bits_of_power_a_bit():
    rates = [float(roundoff.decay_bits().subs(P, bits)) for bits in range(3, 7)]
    assert rates == pytest.approx([0.59, 0.656, 0.689, 0.705], abs=5e-4)
    steps = [1 / (2 ** (b - 1) - 1) for b in range(3, 8)]
    assert rates == pytest.approx([1 / (2 * math.log(a / b)) for a, b in itertools.pairwise(steps)], rel=1e-12)
    assert sp.limit(roundoff.decay_bits(), P, sp.oo) == 1 / (2 * sp.log(2))


# -- the linear teacher ----------------------------------------------------------------------------------------------

WORLDS = ((1.5, 1.6), (2.0, 1.5), (2.0, 2.2), (1.8, 1.7), (1.5, 1.3))


@pytest.mark.parametrize(("decay", "source"), WORLDS)
def test_closed_forms_of_the_teacher_against_its_sums(decay, source):
    """The integrals neglect the first few terms and the last: the error must fall as t grows away from both."""
    letters = {teacher.a: sp.Float(decay), teacher.c: sp.Float(source)}
    size = sp.lambdify(teacher.t, teacher.size().subs(letters), "mpmath")
    loss = sp.lambdify(teacher.t, teacher.loss().subs(letters), "mpmath")
    i = np.arange(1.0, 2_000_001)
    off = []
    for t in (1e2, 1e4):
        seen = np.sum(i ** (decay - source) * np.expm1(-t * i**-decay) ** 2)
        left = 0.5 * np.sum(i**-source * np.exp(-2 * t * i**-decay))
        beyond = 0.5 * 2e6 ** (1 - source) / (source - 1)  # of the infinite teacher; t is far too short for them
        assert float(loss(t)) == pytest.approx(left + beyond, rel=1e-3)
        # in the sum of sizes, what lies beyond is t² Σ i^(-a - c)
        seen += t**2 * 2e6 ** (1 - decay - source) / (decay + source - 1)
        off.append(abs(float(size(t)) / seen - 1))
    assert off[1] < off[0] / 2
    assert off[1] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("decay", "source"), WORLDS)
def test_damage_of_real_rounding_grows_with_the_derived_exponent(decay, source):
    """Within 0.03 of (a - c + 1)/a over the decades between the first mode and the last."""
    from precsim.numerics import INT4, PerToken, Quantizer

    world = Teacher(4096, decay, source)
    t = np.geomspace(1e2, (4096 / 6) ** decay, 7)
    quantizer, rng = Quantizer(INT4, PerToken()), np.random.default_rng(0)
    delta, error = world.mean_damage(t / world.rate, quantizer, rng, draws=1000)
    slope, _ = np.polyfit(np.log(t), np.log(delta), 1, w=delta / error)
    letters = {teacher.a: decay, teacher.c: source}
    assert slope == pytest.approx(float(teacher.exponents()["gamma_D"].subs(letters)), abs=0.03)


def test_mean_damage_against_rounding_one_by_one():
    """The same students rounded in the same basis by a dense matrix, losses as a plain difference."""
    import scipy.linalg

    from precsim.numerics import INT3, PerToken, Quantizer

    world, quantizer, steps = Teacher(32), Quantizer(INT3, PerToken()), np.array([5.0, 300.0])
    found, _ = world.mean_damage(steps, quantizer, np.random.default_rng(3), draws=5)
    rng = np.random.default_rng(3)
    between, signs = rng.choice([-1.0, 1.0], size=32), rng.choice([-1.0, 1.0], size=(5, 1, 32))
    matrix = scipy.linalg.hadamard(32) / np.sqrt(32)
    basis = matrix @ np.diag(between) @ matrix
    every = []
    for sign in signs[:, 0]:
        student = world.student(steps)
        rounded = quantizer((sign * student @ basis.T).astype(np.float32)).astype(float) @ basis * sign
        losses = [0.5 * np.sum(world.eigenvalues * (world.target - w) ** 2, axis=-1) for w in (rounded, student)]
        every.append(losses[0] - losses[1])
    np.testing.assert_allclose(found, np.mean(every, axis=0), rtol=1e-6)  # weights are stored in float32
    for width, draws, words in ((24, 5, "power of two"), (32, 1, "at least 2 draws")):
        with pytest.raises(ValueError, match=words):
            Teacher(width).mean_damage(steps, quantizer, rng, draws)


def test_rotation_matters():
    """In a random basis the damage follows the size of the weights; in the eigenbasis it does not grow."""
    from precsim.numerics import INT4, PerToken, Quantizer

    world, quantizer, t = Teacher(1024), Quantizer(INT4, PerToken()), np.geomspace(1e2, 3e4, 24) / 0.5
    turned, _ = world.mean_damage(t, quantizer, np.random.default_rng(2), draws=300)
    straight = world.damage(t, quantizer, None)
    assert turned[-8:].mean() / turned[:8].mean() > 5
    assert straight[-8:].mean() / straight[:8].mean() < 2


def test_best_time_goes_with_the_square_of_the_steps():
    steps = sp.Symbol("steps", positive=True)
    best = teacher.best_time()
    assert sp.simplify(best / best.subs(steps, 1) - steps**2) == 0
    world = Teacher(2**13)
    constant = teacher.damage_constant(world)
    letters = {teacher.a: world.decay, teacher.c: world.source, teacher.kappa: constant}
    for bits, tolerance in ((2, 0.1), (3, 0.05)):
        t = np.geomspace(100, 1e6, 3000)
        total = world.loss(t / world.rate) + teacher.predicted_damage(world, t / world.rate, bits)
        derived = float(best.subs(letters).subs(steps, 2 ** (bits - 1) - 1))
        # sums against integrals: better the longer it takes
        assert t[np.argmin(total)] == pytest.approx(derived, rel=tolerance)


# -- where N_eff comes from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("width", [32, 128, 512])
def test_corrected_rounding_follows_its_formula(bits, width):
    """GPTQ itself on the toy, within 6 percent; nearest rounding follows the arithmetic mean instead."""
    from precsim.numerics import INT3, INT4
    from precsim.training.ptq.linear_student import round_student

    found = round_student(Teacher(width), {3: INT3, 4: INT4}[bits], np.random.default_rng(5), draws=300)
    assert found.corrected / found.corrected_theory == pytest.approx(1, abs=0.06)
    assert found.nearest / found.nearest_theory == pytest.approx(1, abs=0.1)
    assert found.geometric < found.corrected_theory < found.nearest_theory


def test_the_share_of_corrected_rounding_hardly_depends_on_size():
    from precsim.numerics import INT4
    from precsim.training.ptq.linear_student import round_student

    sizes, corrected, nearest = (64, 128, 256, 512), [], []
    for width in sizes:
        found = round_student(Teacher(width), INT4, np.random.default_rng(6), draws=300)
        corrected.append(found.share(found.corrected, 1.6))
        nearest.append(found.share(found.nearest, 1.6))
        K = teacher.capacity_constant().subs({teacher.a: 1.5, teacher.c: 1.6, teacher.kappa2: mean_square(width)})
        closed = teacher.optimal_factor().subs({teacher.steps: 7, teacher.c: 1.6, sp.Symbol("K", positive=True): K})
        assert float(closed) == pytest.approx(corrected[-1], abs=0.03)  # the geometric mean is four fifths of it
    assert max(corrected) - min(corrected) < 0.06
    assert max(nearest) - min(nearest) > 0.3


def test_geometric_mean_of_the_spectrum():
    n = sp.Symbol("n", positive=True)
    for count in (8, 200):
        direct = math.exp(np.mean(-1.5 * np.log(np.arange(1, count + 1))))
        found = sp.N(teacher.geometric_mean().subs({teacher.a: sp.Rational(3, 2), n: count}), 30)
        assert float(found) == pytest.approx(direct, rel=1e-10)
