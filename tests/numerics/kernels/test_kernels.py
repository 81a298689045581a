"""The two executors against each other and against exact rationals, ml_dtypes and gfloat."""

import gfloat
import gfloat.formats
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from support.staircase import exact_result

from precsim.numerics import CounterBits, GivenBits, NanRule, Rounding, Saturation, Subnormals, round_to
from precsim.numerics import formats as F
from precsim.numerics.kernels.integer import counter_bits, round_numpy
from precsim.numerics.kernels.under_jax import round_traced
from precsim.numerics.rules import grid_for

DETERMINISTIC = [r for r in Rounding if not r.is_stochastic]
STOCHASTIC = [r for r in Rounding if r.is_stochastic]
P3109 = [F.p3109(k, p, signed=s, domain=d) for k, p, s, d in [
    (8, 1, True, F.Domain.EXTENDED), (8, 3, True, F.Domain.EXTENDED), (8, 4, False, F.Domain.FINITE),
    (6, 2, True, F.Domain.FINITE), (4, 1, False, F.Domain.EXTENDED), (5, 5, False, F.Domain.EXTENDED),
]]  # fmt: skip
ALL = [*F.NAMED, *P3109]
FLOATS = [f for f in F.NAMED if not f.is_integer]


def complete_set() -> np.ndarray:
    """Return 3 * 2**20 float32: every pattern of the high 20 bits, with low bits 000, 001, FFF.

    For p <= 11 each decision boundary of each mode has its low 12 bits zero, so this set holds every boundary and a
    number on either side of it.
    """
    high = np.arange(2**20, dtype=np.uint32) << 12
    return np.concatenate([high | low for low in (0x000, 0x001, 0xFFF)]).view(np.float32)


COMPLETE = complete_set()
SPARSE = COMPLETE[::61].copy()


def rules_of(fmt, rounding):
    """Every combination of saturation, NaN rule and subnormal rule that means something for a format."""
    for saturate in [None, True, Saturation.PROPAGATE] if fmt.has_nan else [None]:
        for nan in [None] if fmt.has_nan else [NanRule.KEEP, NanRule.ZERO, NanRule.MAXIMUM]:
            for subnormals in Subnormals if fmt.has_subnormals else [Subnormals.KEEP]:
                yield {"saturate": saturate, "nan": nan, "subnormals": subnormals}


def same_bits(a, b) -> bool:
    kind = np.int32 if np.asarray(a).dtype == np.float32 else np.int64
    return np.array_equal(np.asarray(a).view(kind), np.asarray(b).view(kind))


def interesting(fmt, carrier, rng) -> np.ndarray:
    """Numbers at, beside and between the values of a format, past its ends and near zero."""
    values = fmt.values() if fmt.bits <= 8 else rng.choice(fmt.values() if fmt.bits <= 16 else np.float64([1.5]), 60)
    edges = np.float64([fmt.maximum, fmt.minimum, fmt.smallest_normal, fmt.smallest_subnormal])
    points = np.unique(np.concatenate([values, edges, edges * 1.25, edges / 2, edges * 0.75]))
    between = np.concatenate([points[:-1] + t * np.diff(points) for t in (0.3, 0.5, 0.75)])
    with np.errstate(over="ignore"):
        x = np.concatenate([points, between, [0.0, -0.0]]).astype(carrier)
        x = np.concatenate([x, np.nextafter(x, carrier(np.inf)), np.nextafter(x, carrier(-np.inf))])
    return x[np.isfinite(x)]


@pytest.mark.parametrize(("fmt", "dtype"), [
    (F.FP8_E4M3, ml_dtypes.float8_e4m3fn), (F.FP8_E5M2, ml_dtypes.float8_e5m2), (F.BF16, ml_dtypes.bfloat16),
    (F.FP16, np.float16), (F.FP8_E4M3_IEEE, ml_dtypes.float8_e4m3), (F.FP8_E3M4_IEEE, ml_dtypes.float8_e3m4),
    (F.FP8_E4M3_FNUZ, ml_dtypes.float8_e4m3fnuz), (F.FP8_E5M2_FNUZ, ml_dtypes.float8_e5m2fnuz),
    (F.FP8_E4M3_B11FNUZ, ml_dtypes.float8_e4m3b11fnuz), (F.FP6_E2M3, ml_dtypes.float6_e2m3fn),
    (F.FP6_E3M2, ml_dtypes.float6_e3m2fn), (F.FP4_E2M1, ml_dtypes.float4_e2m1fn),
], ids=lambda v: getattr(v, "name", ""))  # fmt: skip
def test_nearest_even_is_bit_equal_to_ml_dtypes_on_the_complete_set(fmt, dtype):
    x = COMPLETE if fmt.has_nan else COMPLETE[~np.isnan(COMPLETE)]
    with np.errstate(all="ignore"):
        theirs = x.astype(dtype).astype(np.float32)
    mine = round_to(x, fmt)
    nan = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(mine), nan)
    assert same_bits(mine[~nan], theirs[~nan])
    assert same_bits(
        mine, round_traced(jnp.asarray(x), grid_for(fmt, Rounding.NEAREST_EVEN, None, None, Subnormals.KEEP))
    )


@pytest.mark.parametrize("carrier", [np.float32, np.float64])
@pytest.mark.parametrize("fmt", ALL, ids=str)
def test_every_mode_equals_exact_rationals(fmt, carrier, rng):
    x = interesting(fmt, carrier, rng)
    x = rng.choice(x, min(150, x.size), replace=False)
    for rounding in DETERMINISTIC:
        wanted = np.array([exact_result(float(v), fmt, rounding) for v in x], carrier)
        got = round_to(x, fmt, rounding)
        np.testing.assert_array_equal(got, wanted, err_msg=f"{rounding} of {x[got != wanted][:5]}")
        np.testing.assert_array_equal(np.signbit(got)[got == 0], np.signbit(wanted)[got == 0])


@pytest.mark.parametrize("fmt", [F.FP8_E4M3, F.BF16, F.FP4_E2M1, F.E8M0, F.INT4, P3109[0]], ids=str)
@pytest.mark.parametrize("rounding", STOCHASTIC)
@pytest.mark.parametrize("width", [1, 4, 9])
def test_given_bits_equal_exact_rationals(fmt, rounding, width, rng):
    for carrier in (np.float32, np.float64):
        x = rng.choice(interesting(fmt, carrier, rng), 120)
        noise = rng.integers(2**width, size=x.size)
        wanted = [exact_result(float(v), fmt, rounding, int(n), width) for v, n in zip(x, noise, strict=True)]
        got = round_to(x, fmt, rounding, noise=GivenBits(noise, width))
        np.testing.assert_array_equal(got, np.array(wanted, carrier))
        if carrier is np.float32 and width == 4:  # compiled for each combination: one width
            assert same_bits(got, round_to(jnp.asarray(x), fmt, rounding, noise=GivenBits(jnp.asarray(noise), width)))


@pytest.mark.parametrize("fmt", ALL, ids=str)
def test_executors_agree_in_every_bit_under_every_rule(fmt, rng):
    noise = rng.integers(2**32, size=SPARSE.size, dtype=np.uint32)
    for rounding in Rounding:
        for rules in rules_of(fmt, rounding):
            grid = grid_for(fmt, rounding, **rules)
            if not rounding.is_stochastic:
                assert same_bits(round_to(SPARSE, fmt, rounding, **rules), round_numpy(SPARSE, grid, rounding))
                continue
            width = 24 if rounding is Rounding.STOCHASTIC_A else 23
            got = round_to(SPARSE, fmt, rounding, noise=noise, **rules)
            assert same_bits(got, round_numpy(SPARSE, grid, rounding, noise >> np.uint32(32 - width), width))
            got = round_to(SPARSE, fmt, rounding, noise=CounterBits(99, 5, width=7), **rules)
            bits = counter_bits(np, np.arange(5, 5 + SPARSE.size, dtype=np.uint32), 99, 0) >> np.uint32(25)
            assert same_bits(got, round_numpy(SPARSE, grid, rounding, bits, 7))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "fmt", [F.FP8_E4M3, *(pytest.param(f, marks=SLOW) for f in (F.E8M0, F.INT3, F.TF32, F.FP6_E3M2))], ids=str
)
@pytest.mark.parametrize("rounding", list(Rounding))
def test_numpy_and_jax_agree(fmt, rounding, rng):
    x = np.concatenate([SPARSE[::7], interesting(fmt, np.float32, rng)])
    x = x if fmt.has_nan else x[~np.isnan(x)]
    noise = rng.integers(2**16, size=x.size, dtype=np.uint16) if rounding.is_stochastic else None
    theirs = round_to(jnp.asarray(x), fmt, rounding, noise=None if noise is None else jnp.asarray(noise))
    assert same_bits(round_to(x, fmt, rounding, noise=noise), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", F.NAMED, ids=str)
def test_complete_set_every_mode_and_rule_against_the_integer_kernel(fmt, rng):
    noise = rng.integers(2**32, size=COMPLETE.size, dtype=np.uint32)
    for rounding in Rounding:
        width = {Rounding.STOCHASTIC_A: 24, Rounding.STOCHASTIC_B: 23, Rounding.STOCHASTIC_C: 23}.get(rounding, 0)
        given = noise if width else None
        drawn = noise >> np.uint32(32 - width) if width else None
        for rules in rules_of(fmt, rounding):
            got = round_to(COMPLETE, fmt, rounding, noise=given, **rules)
            grid = grid_for(fmt, rounding, **rules)
            assert same_bits(got, round_traced(jnp.asarray(COMPLETE), grid, rounding, drawn, width))


def test_float64_is_rounded_once():
    # Just above a midpoint by less than float32 resolves: through float32 these become ties and go down.
    for fmt in FLOATS:
        if fmt.precision > 20 or not fmt.has_zero:
            continue
        m = fmt.precision - 1
        x = np.float64([(1 + 2.0 ** -(m + 1)) * (1 + 2.0**-40)])
        assert round_to(x, fmt)[0] == 1 + 2.0**-m
        assert round_to(x.astype(np.float32), fmt)[0] == (1.0 if m else 2.0 if fmt.emin % 2 else 1.0)


MODES = {
    Rounding.NEAREST_EVEN: gfloat.RoundMode.TiesToEven,
    Rounding.NEAREST_AWAY: gfloat.RoundMode.TiesToAway,
    Rounding.TOWARD_ZERO: gfloat.RoundMode.TowardZero,
    Rounding.UP: gfloat.RoundMode.TowardPositive,
    Rounding.DOWN: gfloat.RoundMode.TowardNegative,
}


@pytest.mark.parametrize("rounding", list(MODES))
@pytest.mark.parametrize(("fmt", "name"), [
    (F.FP8_E4M3, "format_info_ocp_e4m3"), (F.FP8_E5M2, "format_info_ocp_e5m2"), (F.FP6_E2M3, "format_info_ocp_e2m3"),
    (F.FP6_E3M2, "format_info_ocp_e3m2"), (F.FP4_E2M1, "format_info_ocp_e2m1"), (F.BF16, "format_info_bfloat16"),
    (F.FP16, "format_info_binary16"),
], ids=lambda v: getattr(v, "name", ""))  # fmt: skip
def test_saturating_modes_equal_gfloat(fmt, name, rounding):
    x = SPARSE[np.isfinite(SPARSE)].astype(np.float64)
    theirs = gfloat.round_ndarray(getattr(gfloat.formats, name), x, MODES[rounding], sat=True)
    mine = round_to(x, fmt, rounding, saturate=True)
    assert same_bits(mine, theirs)
