"""Every mode, saturation, subnormal and NaN rule of every named format on complete sets of inputs, against exact edges.

A complete set holds each decision boundary and its neighbors on either side. Weekly: all 2**32 float32 numbers.
"""

import itertools

import ml_dtypes
import numpy as np
import pytest
from support.staircase import edges, exact_result, images, is_even, steps

from precsim.numerics import GivenBits, NanRule, Rounding, Saturation, Subnormals, round_to
from precsim.numerics import formats as F

DETERMINISTIC = [r for r in Rounding if not r.is_stochastic]
STOCHASTIC = [r for r in Rounding if r.is_stochastic]
P3109 = [F.p3109(k, p, signed=s, domain=d) for k, p, s, d in itertools.product((4, 8), (1, 3), (True, False), F.Domain)]
LISTED = [f for f in F.NAMED if f is not F.FP32]
CARRIERS = {np.float32: np.int32, np.float64: np.int64}


def complete(dtype) -> np.ndarray:
    """Return 3 * 2**20 bit patterns: float32 with low 12 bits 0 and the numbers of a dtype on either side of each.

    For p <= 11 every boundary of every mode is a float32 number whose low 12 bits are zero.
    """
    kind = CARRIERS[dtype]
    with np.errstate(invalid="ignore"):  # signalling NaN among them
        middle = (np.arange(2**20, dtype=np.uint32) << 12).view(np.float32).astype(dtype).view(kind)
    return np.concatenate([middle - 1, middle, middle + 1])


def ascending(dtype) -> list[np.ndarray]:
    """Return the complete set as two arrays, positive and negative, by magnitude."""
    kind = CARRIERS[dtype]
    mask = np.iinfo(kind).max
    patterns = complete(dtype)
    return [np.sort(patterns[patterns >= 0]), np.sort(patterns[patterns < 0] & mask)]


SIDES = {dtype: ascending(dtype) for dtype in CARRIERS}


def numbers(patterns: np.ndarray, negative: bool, dtype) -> np.ndarray:
    x = patterns.view(dtype)
    return -x if negative else x


def rules_of(fmt):
    """Every combination of saturation, NaN rule and subnormal rule that means something for a format."""
    saturations = list(Saturation) if fmt.has_nan else [Saturation.FINITE]
    nans = [None] if fmt.has_nan else [NanRule.KEEP, NanRule.ZERO, NanRule.MAXIMUM]
    subnormals = list(Subnormals) if fmt.has_subnormals else [Subnormals.KEEP]
    for saturate, nan, small in itertools.product(saturations, nans, subnormals):
        yield {"saturate": saturate, "nan": nan, "subnormals": small}


def differences(got: np.ndarray, wanted: np.ndarray) -> int:
    """Count elements that differ in value, sign of zero or NaN-ness."""
    kind = CARRIERS[got.dtype.type]
    if np.array_equal(got.view(kind), wanted.view(kind)):
        return 0
    return int(np.sum((got.view(kind) != wanted.view(kind)) & ~(np.isnan(got) & np.isnan(wanted))))


def test_sets_are_complete():
    assert all(positive.size + negative.size == 3 * 2**20 for positive, negative in SIDES.values())
    low, count = np.unique(complete(np.float32) & 0xFFF, return_counts=True)
    assert (low.tolist(), set(count)) == ([0, 1, 0xFFF], {2**20})
    for fmt, rounding in itertools.product(LISTED, DETERMINISTIC):
        if fmt.precision > 11:
            continue
        for negative in (False, True):
            at = edges(fmt, rounding, negative, np.float32).patterns[:-2].astype(np.int64)
            assert not np.any((at & 0xFFF) > 1)  # at the first number of a step, or beyond its last: low bits 0 or 1


@pytest.mark.parametrize("fmt", [*LISTED, *P3109], ids=str)
def test_edges_are_where_exact_rationals_put_them(fmt, rng):
    for dtype, rounding, negative in itertools.product(CARRIERS, DETERMINISTIC, (False, True)):
        found = edges(fmt, rounding, negative, dtype)
        near = rng.choice(found.patterns[:-2], 6)
        patterns = np.unique(np.concatenate([near - 1, near, near + 1, rng.choice(SIDES[dtype][0], 4)]))
        patterns = patterns[(patterns >= 0) & (patterns < found.patterns[-2])]
        rules = (Saturation.NONE if fmt.has_nan else Saturation.FINITE, None, Subnormals.KEEP)
        table = images(fmt, rounding, negative, dtype, *rules)
        x = numbers(patterns, negative, dtype)
        wanted = np.array([exact_result(float(v), fmt, rounding) for v in x]).astype(dtype)
        if not fmt.has_zero:
            wanted[x == 0] = fmt.smallest_normal
        assert differences(table[found.steps_of(patterns)], wanted) == 0


def check_deterministic(fmt, rounding, negative, dtype):
    """Compare one mode under every rule with the edges' images, on one side of the complete set."""
    patterns, found = SIDES[dtype][negative], edges(fmt, rounding, negative, dtype)
    if fmt.precision > 11:  # not every edge is in the set
        at = found.patterns[:-2]
        patterns = np.unique(np.concatenate([patterns, np.maximum(at - 1, 0), at, at + 1]))
    x = numbers(patterns, negative, dtype)
    step = found.steps_of(patterns)
    out = np.empty_like(x)
    for rules in rules_of(fmt):
        wanted = images(fmt, rounding, negative, dtype, **rules)[step]
        got = round_to(x, fmt, rounding, **rules, out=out)
        assert differences(got, wanted) == 0, f"{rounding} {rules}"


@pytest.mark.parametrize("fmt", [F.FP8_E4M3, F.FP8_E5M2_FNUZ, F.FP4_E2M1, F.E8M0, F.INT4], ids=str)
@pytest.mark.parametrize("rounding", DETERMINISTIC)
def test_every_rule_on_the_complete_set(fmt, rounding):
    for negative in (False, True):
        check_deterministic(fmt, rounding, negative, np.float32)


# Integers in between differ from INT13 and INT16 in nothing but their width; they take twice as long as all others.
BETWEEN = {F.INT14, F.INT15}
EACH = [pytest.param(f, marks=pytest.mark.weekly if f in BETWEEN else pytest.mark.slow) for f in (*LISTED, *P3109)]


@pytest.mark.parametrize("fmt", EACH, ids=str)
def test_every_mode_and_rule_on_the_complete_set(fmt):
    for dtype, rounding, negative in itertools.product(CARRIERS, DETERMINISTIC, (False, True)):
        check_deterministic(fmt, rounding, negative, dtype)


def stochastic_steps(fmt, rounding, patterns, negative, dtype, noise, width):
    """Step of each magnitude by the definitions of P3109, in float64 that holds every number here exactly."""
    values = steps(fmt, negative)
    step = edges(fmt, Rounding.TOWARD_ZERO, negative, dtype).steps_of(patterns)
    inside = step < values.size - 1
    low = np.where(inside, step, 0)
    with np.errstate(invalid="ignore", over="ignore"):  # beyond the range
        nu = (patterns.view(dtype).astype(np.float64) - values[low]) / (values[low + 1] - values[low])
    nu = np.where(inside, nu, 0)
    n = 2.0**width
    up = {
        Rounding.STOCHASTIC_A: lambda: np.floor(nu * n) + noise >= n,
        Rounding.STOCHASTIC_B: lambda: np.floor(nu * 2 * n) + 2.0 * noise + 1 >= 2 * n,
        Rounding.STOCHASTIC_C: lambda: np.rint(nu * n) + noise >= n,
    }[rounding]()
    return step + (inside & up)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", LISTED, ids=str)
def test_given_bits_on_the_complete_set(fmt, rng):
    for dtype, rounding, negative in itertools.product(CARRIERS, STOCHASTIC, (False, True)):
        patterns = SIDES[dtype][negative]
        x, out = numbers(patterns, negative, dtype), np.empty(patterns.size, dtype)
        for width in (3, 23):
            noise = rng.integers(2**width, size=x.size, dtype=np.uint32)
            step = stochastic_steps(fmt, rounding, patterns, negative, dtype, noise, width)
            for rules in rules_of(fmt):
                wanted = images(fmt, rounding, negative, dtype, **rules)[step]
                got = round_to(x, fmt, rounding, noise=GivenBits(noise, width), **rules, out=out)
                assert differences(got, wanted) == 0, f"{rounding} {width} {rules}"


def fp32_of(x: np.ndarray, rounding: Rounding) -> np.ndarray:
    """Round float64 to FP32 (unbounded above) through numpy's own conversion, corrected by the exact remainder."""
    a = np.abs(x)
    with np.errstate(over="ignore"):
        low = a.astype(np.float32)
        low = np.where(low > a, np.nextafter(low, np.float32(0)), low)
        above = np.nextafter(low, np.float32(np.inf)).astype(np.float64)
    high = np.where(low == np.finfo(np.float32).max, 2.0**128, above)
    odd = (low.view(np.int32) & 1) == 1
    low = low.astype(np.float64)
    nu = (a - low) / (high - low)
    up = {
        Rounding.NEAREST_EVEN: (nu > 0.5) | ((nu == 0.5) & odd),
        Rounding.NEAREST_AWAY: nu >= 0.5,
        Rounding.TOWARD_ZERO: nu < 0,
        Rounding.UP: (nu > 0) & (x > 0),
        Rounding.DOWN: (nu > 0) & (x < 0),
        Rounding.TO_ODD: (nu > 0) & ~odd,
    }[rounding]
    return np.copysign(np.where(up, high, low), x)


@pytest.mark.parametrize("rounding", DETERMINISTIC)
def test_fp32_from_float64_on_a_complete_set(rounding, rng):
    values = rng.integers(2**31 - 2**23, size=2**18, dtype=np.int64).astype(np.int32).view(np.float32)
    values = np.concatenate([values, np.float32([0, 1e-45, np.finfo(np.float32).max])]).astype(np.float64)
    middle = values + np.ldexp(1.0, np.maximum(np.frexp(values)[1] - 25, -150))
    x = np.concatenate([values, middle])
    x = np.concatenate([x, np.nextafter(x, np.inf), np.nextafter(x, 0)])
    x = np.concatenate([x, -x])
    wanted = fp32_of(x, rounding)
    high, low = {Rounding.UP: (np.inf, -1.0), Rounding.DOWN: (1.0, -np.inf)}.get(rounding, (np.inf, -np.inf))
    if rounding in (Rounding.TOWARD_ZERO, Rounding.TO_ODD):
        high, low = 1.0, -1.0
    top = float(np.finfo(np.float32).max)
    wanted = np.where(wanted > top, max(top, high) if high == np.inf else top, wanted)
    wanted = np.where(wanted < -top, min(-top, low) if low == -np.inf else -top, wanted)
    assert differences(round_to(x, F.FP32, rounding), wanted) == 0
    saturated = np.clip(wanted, -top, top)
    assert differences(round_to(x, F.FP32, rounding, saturate=True), saturated) == 0


def test_fp32_leaves_float32_as_it_is():
    for negative, patterns in enumerate(SIDES[np.float32]):
        x = numbers(patterns, bool(negative), np.float32)
        top = np.finfo(np.float32).max
        tiny = np.abs(x) < np.finfo(np.float32).tiny
        for rounding in DETERMINISTIC:
            assert differences(round_to(x, F.FP32, rounding), x) == 0
            assert differences(round_to(x, F.FP32, rounding, saturate=True), np.clip(x, -top, top)) == 0
            flushed = np.where(tiny, np.copysign(np.float32(0), x), x)
            assert differences(round_to(x, F.FP32, rounding, subnormals=Subnormals.FLUSH), flushed) == 0


PEERS = {
    F.FP8_E4M3: ml_dtypes.float8_e4m3fn, F.FP8_E5M2: ml_dtypes.float8_e5m2, F.FP6_E3M2: ml_dtypes.float6_e3m2fn,
    F.FP6_E2M3: ml_dtypes.float6_e2m3fn, F.FP4_E2M1: ml_dtypes.float4_e2m1fn, F.BF16: ml_dtypes.bfloat16,
    F.FP16: np.float16, F.FP8_E4M3_IEEE: ml_dtypes.float8_e4m3, F.FP8_E3M4_IEEE: ml_dtypes.float8_e3m4,
    F.FP8_E4M3_FNUZ: ml_dtypes.float8_e4m3fnuz, F.FP8_E5M2_FNUZ: ml_dtypes.float8_e5m2fnuz,
    F.FP8_E4M3_B11FNUZ: ml_dtypes.float8_e4m3b11fnuz,
}  # fmt: skip


def chunks():
    """All float32 bit patterns, 2**24 at a time, by sign and magnitude."""
    low = np.arange(2**24, dtype=np.int32)
    for negative, high in itertools.product((False, True), range(128)):
        yield negative, low + np.int32(high << 24)


@pytest.mark.weekly
@pytest.mark.parametrize("fmt", [*PEERS, F.TF32, F.E8M0], ids=str)
@pytest.mark.parametrize("rounding", DETERMINISTIC)
def test_all_float32_inputs_against_exact_edges(fmt, rounding):
    nan = None if fmt.has_nan else NanRule.KEEP
    saturate = Saturation.NONE if fmt.has_nan else Saturation.FINITE
    out = np.empty(2**24, np.float32)
    for negative, patterns in chunks():
        table = images(fmt, rounding, negative, np.float32, saturate, nan, Subnormals.KEEP)
        wanted = table[edges(fmt, rounding, negative, np.float32).steps_of(patterns)]
        got = round_to(numbers(patterns, negative, np.float32), fmt, rounding, nan=nan, out=out)
        assert differences(got, wanted) == 0, f"chunk {int(patterns[0]) >> 24} of sign {negative}"


@pytest.mark.weekly
@pytest.mark.parametrize("fmt", PEERS, ids=str)
def test_all_float32_inputs_against_ml_dtypes(fmt):
    for negative, patterns in chunks():
        x = numbers(patterns, negative, np.float32)
        x = x if fmt.has_nan else x[~np.isnan(x)]  # it makes a number of NaN
        if x.size:
            with np.errstate(all="ignore"):
                theirs = x.astype(PEERS[fmt]).astype(np.float32)
            assert differences(round_to(x, fmt), theirs) == 0


def test_parity_is_that_of_the_code():
    assert is_even(F.FP4_E2M1, 2)
    assert not is_even(F.E8M0, 2)  # its second value has code 1
