"""Sums and products against exact rationals step by step, float32 hardware, and the proven error bounds."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precsim.numerics import Accumulator, CounterBits, Order, Rounding, round_to
from precsim.numerics import formats as F
from precsim.numerics.arithmetic import dot, elementwise, error_bound, gamma, gamma_probabilistic, matmul, total

NARROW = [F.FP8_E4M3, F.FP8_E5M2, F.BF16, F.FP16, F.TF32, F.FP32]
MODES = [r for r in Rounding if not r.is_stochastic]


def exact(value: Fraction, fmt, rounding) -> Fraction:
    """Round a rational once: spacing, quotient, choice. Ignores overflow, which these tests avoid."""
    size, exponent = abs(value), fmt.emin
    while size >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - fmt.precision + 1)
    steps = size / unit
    low = steps // 1
    away = {
        Rounding.NEAREST_EVEN: round(steps) - low,  # round() of a Fraction: half to even
        Rounding.NEAREST_AWAY: int(steps - low >= Fraction(1, 2)),
        Rounding.TOWARD_ZERO: 0,
        Rounding.UP: int(steps > low and value > 0),
        Rounding.DOWN: int(steps > low and value < 0),
        Rounding.TO_ODD: int(steps > low and low % 2 == 0),
    }
    q = low + away[rounding]
    return q * unit * (1 if value > 0 else -1)


def exact_sum(terms, how: Accumulator) -> Fraction:
    """The orders in exact rationals, from their definitions."""

    def add(a, b, fmt=how.format):
        return exact(a + b, fmt, how.rounding)

    if how.order is Order.SEQUENTIAL:
        s = terms[0]
        for t in terms[1:]:
            s = add(s, t)
        return s
    if how.order is Order.PAIRWISE:
        while len(terms) > 1:
            pairs = [add(a, b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
        return terms[0]
    if how.order is Order.KAHAN:
        s, carry = terms[0], Fraction(0)
        for t in terms[1:]:
            y = add(t, -carry)
            new = add(s, y)
            carry = add(add(new, -s), -y)
            s = new
        return s
    s = Fraction(0)
    for i in range(0, len(terms), how.block):
        part = terms[i]
        for t in terms[i + 1 : i + how.block]:
            part = add(part, t, how.inner or how.format)
        s = add(s, part)
    return s


def accumulators(fmt):
    for rounding in MODES:
        for order in (Order.SEQUENTIAL, Order.PAIRWISE, Order.KAHAN):
            yield Accumulator(fmt, order, rounding=rounding)
        yield Accumulator(fmt, Order.BLOCKED, block=4, rounding=rounding)
        yield Accumulator(fmt, Order.BLOCKED, block=7, inner=F.FP32, rounding=rounding)


@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_sums_equal_exact_rationals_in_every_order(fmt, rng):
    for how in accumulators(fmt):
        for n in (1, 2, 3, 17, 40):
            x = round_to(rng.standard_normal(n) * 2.0 ** rng.integers(-5, 4, n), fmt)
            wanted = exact_sum([Fraction(float(v)) for v in x], how)
            assert Fraction(float(total(x, how))) == wanted, (how, n)


@pytest.mark.parametrize("products", [None, F.BF16, F.FP32], ids=str)
@pytest.mark.parametrize("fmt", [F.BF16, F.FP16, F.FP32], ids=str)
def test_dot_products_equal_exact_rationals(fmt, products, rng):
    for rounding in MODES:
        for order, block in [(o, None) for o in (Order.SEQUENTIAL, Order.PAIRWISE, Order.KAHAN)] + [(Order.BLOCKED, 8)]:
            how = Accumulator(fmt, order, block=block, products=products, rounding=rounding)
            a, b = rng.standard_normal((2, 21)).astype(np.float32)
            terms = [Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)]
            if products is not None:
                terms = [exact(t, products, rounding) for t in terms]
            elif order in (Order.SEQUENTIAL, Order.KAHAN):
                terms[0] = exact(terms[0], fmt, rounding)
            assert Fraction(float(dot(a, b, how))) == exact_sum(terms, how)


def test_one_rounding_where_float64_would_round_twice():
    # 1 + (2**-24 + 2**-60): float64 loses the tail and leaves a tie for FP32, which then goes down.
    how = Accumulator(F.FP32)
    x = np.float64([1.0, 2.0**-24 + 2.0**-47])
    assert dot([1.0, 2.0**-12 + 2.0**-36], [1.0, 2.0**-12], how) == 1 + 2.0**-23
    assert total([1.0, 2.0**-24], how) == 1.0
    assert x.sum() != 1


def test_float32_sums_are_those_of_the_processor(rng):
    x = rng.standard_normal(500).astype(np.float32)
    s = np.float32(0)
    for v in x:
        s += v
    assert total(x, Accumulator(F.FP32)) == s
    a, b = rng.standard_normal((6, 30)).astype(np.float32), rng.standard_normal((30, 5)).astype(np.float32)
    wanted = np.zeros((6, 5), np.float32)
    for k in range(30):
        wanted += a[:, k : k + 1] * b[k : k + 1]
    np.testing.assert_array_equal(matmul(a, b, Accumulator(F.FP32, products=F.FP32)), wanted)


def test_bf16_sum_stagnates_until_stochastic_rounding_saves_it():
    ones = np.ones(4096)
    assert total(ones, Accumulator(F.BF16)) == 256
    sums = [
        total(ones, Accumulator(F.BF16, rounding=Rounding.STOCHASTIC), noise=CounterBits(seed)) for seed in range(30)
    ]
    # each step in [2**k, 2**(k+1)) adds 0 or one spacing; the variance sums to below 4096 * 16, so the mean's sd < 47
    assert abs(np.mean(sums) - 4096) < 4 * math.sqrt(4096 * 16 / 30)
    assert len(set(sums)) > 5
    again = total(ones, Accumulator(F.BF16, rounding=Rounding.STOCHASTIC), noise=CounterBits(3))
    assert again == sums[3]
    assert total(ones, Accumulator(F.BF16, Order.KAHAN)) == 4096
    assert total(ones, Accumulator(F.BF16, Order.BLOCKED, block=64)) == 4096


@pytest.mark.parametrize("fmt", [F.FP16, F.BF16, F.FP32], ids=str)
def test_observed_errors_stay_below_the_bounds(fmt, rng):
    for how in accumulators(fmt):
        for n in (3, 30, 100):
            for _ in range(5):
                x = round_to(rng.uniform(0.1, 1, n) * rng.choice([-1, 1], n), fmt)
                true = math.fsum(x)
                assert abs(total(x, how) - true) <= error_bound(how, n) * math.fsum(abs(x)) * (1 + 1e-15)


def test_probabilistic_bound_holds_about_as_often_as_it_says(rng):
    # c = 2.5 promises 1 - 2 exp(-3.1) = 0.91; the bound is loose, so every one of 200 sums stays below it
    how = Accumulator(F.BF16, rounding=Rounding.STOCHASTIC)
    x = round_to(rng.uniform(0, 1, 1000), F.BF16)
    bound = error_bound(how, 1000, confidence=2.5) * x.sum()
    errors = [abs(total(x, how, noise=CounterBits(seed)) - x.sum()) for seed in range(200)]
    assert max(errors) < bound < error_bound(Accumulator(F.FP16), 1000) * x.sum() * 2**10
    assert gamma_probabilistic(1_000, 2.0**-11) < gamma(1_000, 2.0**-11) / 20  # sqrt(n) against n


def test_gamma_by_hand():
    assert gamma(1, 0.25) == pytest.approx(1 / 3)
    assert gamma(4, 0.25) == math.inf
    assert gamma(0, 0.5) == 0
    assert gamma_probabilistic(100, 1e-3, 1.0) == pytest.approx(math.expm1(0.01 + 100 * 1e-6 / 0.999))


def test_overflow_goes_to_infinity_or_nan():
    assert total([40000.0, 40000.0], Accumulator(F.FP16)) == np.inf
    assert np.isnan(total([448.0, 448.0], Accumulator(F.FP8_E4M3)))
    assert total([100.0, 100.0], Accumulator(F.INT8)) == 127


def test_error_bound_was_none_for_fused_dot_products():
    # the product of two numbers is rounded once, which n - 1 roundings do not count
    a, b = 1 + 2.0**-7, 1 + 2.0**-1
    error = abs(dot([a], [b], Accumulator(F.BF16)) - a * b) / (a * b)
    assert 0 < error <= error_bound(Accumulator(F.BF16), 1)
    assert error_bound(Accumulator(F.BF16), 1, rounded_terms=True) == 0


COARSE = [F.Format(name=f"p={p}", exponent_bits=9, precision=p) for p in (2, 3, 5)]


@settings(max_examples=400, deadline=None)
@given(
    fmt=st.sampled_from(COARSE),
    rounding=st.sampled_from(MODES),
    order=st.sampled_from(list(Order)),
    block=st.integers(1, 5),
    products=st.sampled_from([None, *COARSE]),
    pairs=st.lists(st.tuples(*[st.integers(-255, 255), st.integers(-6, 6)] * 2), min_size=1, max_size=14),
)
def test_no_sum_or_dot_product_beats_its_bound(fmt, rounding, order, block, products, pairs):
    how = Accumulator(fmt, order, block if order is Order.BLOCKED else None, products=products, rounding=rounding)
    a, b = (np.array([math.ldexp(p[i], p[i + 1]) for p in pairs]) for i in (0, 2))
    n, slack = a.size, 1 + 2.0**-40
    assert abs(dot(a, b, how) - math.fsum(a * b)) <= error_bound(how, n) * math.fsum(abs(a * b)) * slack
    x = round_to(a, fmt)
    bound = error_bound(how, n, rounded_terms=products is None)
    assert abs(total(x, how) - math.fsum(x)) <= bound * math.fsum(abs(x)) * slack


@pytest.mark.parametrize("rounding", MODES)
def test_probabilistic_bound_was_given_for_roundings_whose_errors_have_a_mean(rounding):
    how = Accumulator(F.BF16, rounding=rounding)
    if rounding in (Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY):
        assert error_bound(how, 100, confidence=1) < error_bound(how, 100)
        return
    with pytest.raises(ValueError, match="errors of mean zero"):
        error_bound(how, 100, confidence=1)


BASIC = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div"}


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("function", BASIC, ids=lambda f: f.__name__)
def test_elementwise_operations_equal_exact_rationals(function, rounding, rng):
    for fmt in (F.BF16, F.TF32, F.FP32, F.FP8_E5M2):
        a, b = (round_to(rng.standard_normal(60) * 2.0 ** rng.integers(-3, 4, 60), fmt) for _ in range(2))
        b = np.where(b == 0, 1, b)
        b[:20] = a[:20] + np.spacing(np.float32(1)) * rng.integers(-3, 4, 20)  # next to each other
        got = elementwise(function, a, b, fmt=fmt, rounding=rounding, saturate=True)
        operation = getattr(
            Fraction, f"__{function.__name__[:3].replace('div', 'truediv')}__".replace("__mul", "__mul")
        )
        for x, y, z in zip(a, b, got, strict=True):
            wanted = operation(Fraction(float(x)), Fraction(float(y)))
            assert Fraction(float(z)) == exact(wanted, fmt, rounding), (x, y)


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", ["sqrt", "exp", "exp2", "expm1", "log", "log2", "log1p", "sin", "cos", "tanh"])
def test_elementary_functions_equal_mpmath_rounded_once(name, rounding, rng):
    reference = {
        "log": mpmath.ln, "exp2": lambda v: mpmath.power(2, v), "log2": lambda v: mpmath.log(v, 2),
    }.get(name, getattr(mpmath, name, None))  # fmt: skip
    x = np.concatenate([[1.0, 2.0, 4.0, 0.25, 2.0**-30], rng.uniform(0.01, 8, 60)])
    x = x if name in ("sqrt", "log", "log2", "log1p") else x * rng.choice([-1, 1], x.size)
    for fmt in (F.BF16, F.FP32, F.FP8_E5M2):
        got = elementwise(getattr(np, name), x, fmt=fmt, rounding=rounding, saturate=True)
        for v, z in zip(x, got, strict=True):
            with mpmath.workprec(300):
                sign, mantissa, exponent, _ = reference(mpmath.mpf(float(v)))._mpf_
                value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent) * (-1) ** sign
            assert Fraction(float(z)) == exact(value, fmt, rounding) or abs(value) >= fmt.maximum, v


def test_elementwise_specials_are_those_of_ieee():
    got = elementwise(np.divide, [1.0, -1.0, 0.0, np.inf, np.nan], [0.0, 0.0, 0.0, 2.0, 1.0], fmt=F.FP16)
    np.testing.assert_array_equal(got, [np.inf, -np.inf, np.nan, np.inf, np.nan])
    assert np.isnan(elementwise(np.sqrt, -1.0, fmt=F.FP16))
    huge = 1e9  # e to it and to its negative are beyond float64 too
    for rounding, above, below in [
        (Rounding.NEAREST_EVEN, np.inf, 0),
        (Rounding.DOWN, 65504, 0),
        (Rounding.UP, np.inf, 2.0**-24),
        (Rounding.TO_ODD, 65504, 2.0**-24),
    ]:
        np.testing.assert_array_equal(elementwise(np.exp, [huge, -huge], fmt=F.FP16, rounding=rounding), [above, below])
        factor = [2.0**600, 2.0**-600]
        np.testing.assert_array_equal(
            elementwise(np.multiply, factor, factor, fmt=F.FP16, rounding=rounding), [above, below]
        )
        divisor = [2.0**-600, 2.0**600]
        np.testing.assert_array_equal(
            elementwise(np.divide, factor, divisor, fmt=F.FP16, rounding=rounding), [above, below]
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Accumulator("FP16"), "Accumulator.format must be a Format"),
        (lambda: Accumulator(F.E8M0), "formats with zero"),
        (lambda: Accumulator(F.Format(name="wide", exponent_bits=8, precision=30)), "2 to 25 bits"),
        (lambda: Accumulator(F.FP16, "pairwise"), "member of Order"),
        (lambda: Accumulator(F.FP16, Order.BLOCKED), "block=None"),
        (lambda: Accumulator(F.FP16, Order.BLOCKED, block=0), "received 0"),
        (lambda: Accumulator(F.FP16, block=4), "belong to Order.BLOCKED"),
        (lambda: Accumulator(F.FP16, inner=F.FP32), "belong to Order.BLOCKED"),
        (lambda: Accumulator(F.FP16, rounding="up"), "received 'up'"),
        (lambda: elementwise(np.arctan, 1.0, fmt=F.FP16), "knows add, subtract.*received <ufunc 'arctan'>"),
        (lambda: elementwise(np.exp, 1.0, fmt=F.FP16, rounding=Rounding.STOCHASTIC), "deterministically"),
        (lambda: elementwise(np.add, 1.0, fmt=F.FP16), "takes 2 arrays; received 1"),
        (lambda: total([], Accumulator(F.FP16)), r"received \(0,\)"),
        (lambda: total([[1.0]], Accumulator(F.FP16)), r"received \(1, 1\)"),
        (lambda: total([0.1], Accumulator(F.FP16)), "0.1 is not"),
        (lambda: total([1.0], Accumulator(F.FP16), noise=CounterBits(0)), "stochastic rounding only"),
        (lambda: total([1.0], Accumulator(F.FP16, rounding=Rounding.STOCHASTIC)), "needs noise"),
        (lambda: dot([1.0], [1.0, 2.0], Accumulator(F.FP16)), "received 1 and 2"),
        (lambda: dot([1 + 2.0**-30], [1.0], Accumulator(F.FP16)), "at most 26"),
        (lambda: matmul(np.ones((2, 3)), np.ones((2, 3)), Accumulator(F.FP16)), "none empty"),
        (lambda: gamma(-1, 0.5), "n=-1"),
        (lambda: gamma_probabilistic(3, 2.0), "u=2.0"),
        (lambda: error_bound(Accumulator(F.FP16), 0), "n=0"),
    ],
)
def test_bad_input_is_refused_with_the_value_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()
