"""Properties of rounding and codes, exact counting for stochastic modes, and what bad input meets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precsim.numerics import (
    CounterBits,
    GivenBits,
    NanRule,
    Rounding,
    Saturation,
    Subnormals,
    decode,
    encode,
    next_down,
    next_up,
    round_to,
    ulp,
)
from precsim.numerics import formats as F
from precsim.numerics.kernels.integer import round_numpy
from precsim.numerics.rules import grid_for

DETERMINISTIC = [r for r in Rounding if not r.is_stochastic]
ODD = (Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY, Rounding.TOWARD_ZERO, Rounding.TO_ODD)
P3109 = [F.p3109(k, p) for k in (4, 6, 8) for p in (1, 2, 3)]
SMALL = [f for f in [*F.NAMED, *P3109] if f.bits <= 16]
formats = st.sampled_from([f for f in F.NAMED if f is not F.E8M0])
signed = st.sampled_from([f for f in F.NAMED if f.signed and not f.is_integer])
modes = st.sampled_from(DETERMINISTIC)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.floats(-500, 500), st.floats(-1e-2, 1e-2), st.floats(-8, 8)
)


@given(numbers, formats, modes)
def test_idempotent(x, fmt, rounding):
    once = round_to(x, fmt, rounding, saturate=True)
    assert round_to(once, fmt, rounding, saturate=True) == once


@given(numbers, numbers, formats, modes)
def test_monotone(x, y, fmt, rounding):
    x, y = sorted((x, y))
    assert round_to(x, fmt, rounding, saturate=True) <= round_to(y, fmt, rounding, saturate=True)


@given(numbers, signed, st.sampled_from(ODD))
def test_odd_symmetric(x, fmt, rounding):
    assert round_to(-x, fmt, rounding, saturate=True) == -round_to(x, fmt, rounding, saturate=True)


@given(numbers, signed)
def test_up_and_down_mirror_each_other(x, fmt):
    assert round_to(-x, fmt, Rounding.UP, saturate=True) == -round_to(x, fmt, Rounding.DOWN, saturate=True)


@given(numbers, formats, modes)
def test_faithful(x, fmt, rounding):
    result = round_to(x, fmt, rounding, saturate=True)
    inside = min(max(x, fmt.minimum), fmt.maximum)
    low, high = (round_to(inside, fmt, r, saturate=True) for r in (Rounding.DOWN, Rounding.UP))
    assert low <= inside <= high
    assert result in (low, high)


@given(numbers, formats)
def test_nearest_is_nearest(x, fmt):
    inside = min(max(x, fmt.minimum), fmt.maximum)
    gap = abs(round_to(inside, fmt, saturate=True) - inside)
    for other in (Rounding.DOWN, Rounding.UP):
        assert gap <= abs(round_to(inside, fmt, other, saturate=True) - inside)


@pytest.mark.parametrize("fmt", SMALL, ids=str)
def test_encode_undoes_decode_on_every_code(fmt):
    codes = np.arange(0, 2**fmt.bits, 1 if fmt.bits < 10 else 31)  # values of 16-bit formats: test_formats, all codes
    defined = np.array([fmt.value(code) for code in codes])
    number = ~np.isnan(defined)
    for dtype in (np.float32, np.float64):
        values = decode(codes, fmt, dtype=dtype)
        np.testing.assert_array_equal(values, defined.astype(dtype))
        np.testing.assert_array_equal(np.signbit(values[number]), np.signbit(defined[number]))
        for rounding in DETERMINISTIC:
            np.testing.assert_array_equal(encode(values[number], fmt, rounding), codes[number])
        rounded = round_to(values[number], fmt)
        np.testing.assert_array_equal(rounded, values[number])
    if fmt.has_nan:
        assert np.isnan(decode(encode(np.float32([np.nan]), fmt), fmt)).all()
    if fmt not in (F.BF16, F.FP8_E4M3, F.INT4):
        return  # JAX compiles for each: one of each kind
    nan_rule = None if fmt.has_nan else NanRule.ZERO
    values = decode(codes, fmt)
    np.testing.assert_array_equal(encode(jnp.asarray(values[number]), fmt, nan=nan_rule), codes[number])
    np.testing.assert_array_equal(decode(jnp.asarray(codes), fmt), values)


@pytest.mark.parametrize("fmt", [F.FP32, F.TF32], ids=str)
def test_wide_codes_are_leading_bits(fmt, rng):
    x = rng.standard_normal(1000).astype(np.float32)
    codes = encode(x, fmt)
    np.testing.assert_array_equal(codes, round_to(x, fmt).view(np.uint32) >> (32 - fmt.bits))
    np.testing.assert_array_equal(decode(codes, fmt), round_to(x, fmt))
    np.testing.assert_array_equal(encode(x.astype(np.float64), fmt), codes)
    np.testing.assert_array_equal(encode(jnp.asarray(x), fmt), codes)


@pytest.mark.parametrize("fmt", SMALL, ids=str)
def test_neighbours_walk_through_the_values(fmt):
    values = fmt.values()
    np.testing.assert_array_equal(next_up(values[:-1], fmt), values[1:])
    np.testing.assert_array_equal(next_down(values[1:], fmt), values[:-1])
    inner = values[(values > 0) & (values < fmt.maximum)]
    if fmt.has_zero and inner.size:
        np.testing.assert_array_equal(ulp(inner, fmt), next_up(inner, fmt) - inner)


@pytest.mark.parametrize("rounding", [Rounding.STOCHASTIC_A, Rounding.STOCHASTIC_B, Rounding.STOCHASTIC_C])
@pytest.mark.parametrize("fmt", [F.FP8_E4M3, F.FP4_E2M1, F.INT4, F.BF16], ids=str)
def test_round_ups_over_all_noise_words_count_the_discarded_bits(fmt, rounding):
    # d = 8 discarded bits and N = 8 random ones: over all 2**8 noise words the round-ups number the fraction itself.
    low = 1.0 if not fmt.is_integer else 4.0
    fractions = np.arange(256)
    x = np.repeat(low + fractions / 256 * ulp(low, fmt), 256).astype(np.float32)
    noise = np.tile(np.arange(256, dtype=np.uint8), 256)
    ups = (round_to(x, fmt, rounding, noise=noise) > low).reshape(256, 256).sum(axis=1)
    np.testing.assert_array_equal(ups, fractions)


def test_few_random_bits_bias_a_but_not_c():
    # N = 2 bits for fractions of 4 bits: A loses on average (1 - 2**-2)/2 of a step of 2**-2, C nothing.
    x = np.repeat(1 + np.arange(16) / 16 * float(F.FP8_E4M3.eps), 4)
    noise = GivenBits(np.tile(np.arange(4), 16), 2)
    exact = np.arange(16).sum() / 16 * 4
    ups = {r: (round_to(x, F.FP8_E4M3, r, noise=noise) > 1).sum() for r in Rounding if r.is_stochastic}
    assert ups[Rounding.STOCHASTIC_A] == exact - 16 * (3 / 8 / 4) * 4
    assert ups[Rounding.STOCHASTIC_B] == exact + 16 * (1 / 8 / 4) * 4
    assert ups[Rounding.STOCHASTIC_C] == exact


@pytest.mark.parametrize("fmt", [F.FP8_E4M3, F.BF16, F.E8M0], ids=str)
def test_counter_bits_do_not_depend_on_chunks_threads_or_layout(fmt, rng):
    x = rng.standard_normal((300, 1000)).astype(np.float32)
    x = np.abs(x) if fmt is F.E8M0 else x
    bits = CounterBits(2**63 + 11, start=2**32 - 5)
    whole = round_to(x, fmt, Rounding.STOCHASTIC, noise=bits)
    flat = x.reshape(-1)
    pieces = [
        round_to(flat[i : i + 77_777], fmt, Rounding.STOCHASTIC, noise=CounterBits(bits.seed, bits.start + i))
        for i in range(0, flat.size, 77_777)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces).reshape(x.shape), whole)
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(round_to(other, fmt, Rounding.STOCHASTIC, noise=bits), whole)
    np.testing.assert_array_equal(round_to(x, fmt, Rounding.STOCHASTIC, noise=bits, threads=3), whole)
    np.testing.assert_array_equal(round_to(jnp.asarray(x), fmt, Rounding.STOCHASTIC, noise=bits), whole)
    assert (round_to(x, fmt, Rounding.STOCHASTIC, noise=CounterBits(1)) != whole).mean() > 0.1


def test_counter_bits_look_uniform():
    # 2**16 words from two seeds: each bit set about half the time (5 sigma = 0.01), streams uncorrelated.
    x = np.full(2**16, 1 + float(F.BF16.eps) / 2, np.float32)
    a, b = (round_to(x, F.BF16, Rounding.STOCHASTIC, noise=CounterBits(s)) > 1 for s in (0, 1))
    assert abs(a.mean() - 0.5) < 0.01
    assert abs((a ^ b).mean() - 0.5) < 0.01
    assert abs((a[1:] ^ a[:-1]).mean() - 0.5) < 0.01


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("fmt", [F.FP8_E4M3, F.BF16, F.FP4_E2M1, F.E8M0], ids=str)
@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.UP, Rounding.STOCHASTIC])
def test_every_kind_of_out_gets_the_same_result(fmt, rounding, threads, rng):
    base = rng.standard_normal((400, 600)).astype(np.float32)
    base = np.abs(base) if fmt is F.E8M0 else base
    kwargs = {"threads": threads}
    if rounding.is_stochastic:
        kwargs["noise"] = rng.integers(2**16, size=base.shape, dtype=np.uint16)
    wanted = round_to(base, fmt, rounding, **kwargs)
    for out in (np.empty_like(base), np.empty((600, 400), np.float32).T, np.empty((400, 1200), np.float32)[:, ::2]):
        assert round_to(base, fmt, rounding, out=out, **kwargs) is out
        np.testing.assert_array_equal(out, wanted)
    x = base.copy()
    assert round_to(x, fmt, rounding, out=x, **kwargs) is x
    np.testing.assert_array_equal(x, wanted)
    for start in (0, 1, 7):  # overlapping by all but a few elements, in both directions
        memory = np.zeros(base.size + 8, np.float32)
        x = memory[4 : 4 + base.size].reshape(base.shape)
        x[...] = base
        out = memory[start : start + base.size].reshape(base.shape)
        np.testing.assert_array_equal(round_to(x, fmt, rounding, out=out, **kwargs), wanted)
    x = base.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(round_to(x, fmt, rounding, **kwargs), wanted)


def test_specials_by_rule():
    inf, nan = np.inf, np.nan
    x = np.array([1e9, -1e9, inf, -inf, nan])
    table = [
        (F.FP8_E5M2, None, [inf, -inf, inf, -inf, nan]),
        (F.FP8_E5M2, True, [57344, -57344, 57344, -57344, nan]),
        (F.FP8_E5M2, Saturation.PROPAGATE, [57344, -57344, inf, -inf, nan]),
        (F.FP8_E4M3, False, [nan] * 5),
        (F.FP8_E4M3, True, [448, -448, 448, -448, nan]),
        (F.FP8_E4M3_FNUZ, Saturation.PROPAGATE, [240, -240, nan, nan, nan]),
        (F.p3109(8, 4, signed=False), None, [inf, nan, inf, nan, nan]),
        (F.E8M0, True, [2.0**30, 2.0**-127, 2.0**127, 2.0**-127, nan]),
    ]
    for fmt, saturate, wanted in table:
        np.testing.assert_array_equal(round_to(x, fmt, saturate=saturate), wanted, err_msg=str((fmt, saturate)))
    finite = x[:4]
    np.testing.assert_array_equal(round_to(finite, F.FP4_E2M1), [6, -6, 6, -6])
    np.testing.assert_array_equal(round_to(finite, F.INT4), [7, -8, 7, -8])
    for rule, wanted in [(NanRule.KEEP, nan), (NanRule.ZERO, 0), (NanRule.MAXIMUM, 6)]:
        np.testing.assert_array_equal(round_to([nan], F.FP4_E2M1, nan=rule), [wanted])
    e5m2 = {Rounding.UP: [inf, -57344], Rounding.DOWN: [57344, -inf], Rounding.TOWARD_ZERO: [57344, -57344]}
    for rounding, wanted in e5m2.items():
        np.testing.assert_array_equal(round_to(x[:2], F.FP8_E5M2, rounding), wanted)


def test_flushed_subnormals_become_zeros_of_their_sign():
    x = np.array([0.0156, 0.0146, -0.002, 0.02, -0.0157])
    got = round_to(x, F.FP8_E4M3, subnormals=Subnormals.FLUSH)
    np.testing.assert_array_equal(got, [0.015625, 0.0, -0.0, 0.01953125, -0.015625])
    assert np.signbit(got[2])
    np.testing.assert_array_equal(decode(encode(x, F.FP8_E4M3, subnormals=Subnormals.FLUSH), F.FP8_E4M3), got)


def test_scalars_and_lists_are_float64_and_float32_stays():
    assert round_to(1.0625 + 2.0**-40, F.FP8_E4M3) == 1.125
    assert type(round_to(1, F.INT4)) is np.float64
    assert round_to(np.float32(0.3), F.FP8_E4M3).dtype == np.float32
    assert round_to([[1, 2]], F.INT4).shape == (1, 2)


X = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: round_to(X.astype(object), F.FP8_E4M3), "received object"),
        (lambda: round_to(X.astype(np.longdouble), F.FP8_E4M3), "received"),
        (lambda: round_to(["a"], F.FP8_E4M3), "real numbers"),
        (lambda: round_to(np.ma.masked_array(X), F.FP8_E4M3), "masked"),
        (lambda: round_to(X, "FP8"), "must be a Format; received 'FP8'"),
        (lambda: round_to(X, F.FP8_E4M3, "nearest"), "member of Rounding; received 'nearest'"),
        (lambda: round_to(X, F.FP8_E4M3, saturate="yes"), "received 'yes'"),
        (lambda: (round_to(X, F.FP8_E4M3, saturate=True), round_to(X, F.FP8_E4M3, saturate=1)), "received 1"),
        (lambda: round_to(X, F.FP4_E2M1, saturate=False), "neither infinity nor NaN"),
        (lambda: round_to(X, F.INT4, saturate=Saturation.PROPAGATE), "neither infinity nor NaN"),
        (lambda: round_to(X, F.FP8_E4M3, nan=NanRule.ZERO), "leave nan out"),
        (lambda: round_to(X, F.FP4_E2M1, nan="zero"), "member of NanRule"),
        (lambda: round_to(X, F.INT4, subnormals=Subnormals.FLUSH), "no subnormal numbers"),
        (lambda: round_to(X, F.E8M0, subnormals=Subnormals.FLUSH), "no subnormal numbers"),
        (lambda: round_to(X, F.p3109(12, 2)), "give a float64 array"),
        (lambda: round_to(X, F.integer(32)), "give a float64 array"),
        (lambda: round_to(X, F.FP8_E4M3, noise=np.zeros(4, np.uint8)), "uses no random bits"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC), "needs noise"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=np.zeros(3, np.uint8)), r"received \(3,\)"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=np.zeros(4, np.int64)), "received int64"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=np.zeros(4)), "unsigned integers"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=7), "unsigned integers"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=jnp.zeros(4, jnp.uint8)), "both be"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=GivenBits(np.full(4, 16), 4)), "16 to 16"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC, noise=GivenBits(np.zeros(4, int), 25)), "at most 24"),
        (lambda: round_to(X, F.FP8_E4M3, Rounding.STOCHASTIC_C, noise=CounterBits(0, width=24)), "at most 23"),
        (lambda: CounterBits(-1), "received -1"),
        (lambda: CounterBits(0, width=0), "from 1 to 32"),
        (lambda: GivenBits(X, None), "needs its width"),
        (lambda: round_to(X, F.FP8_E4M3, out=[0.0]), "NumPy array; received list"),
        (lambda: round_to(X, F.FP8_E4M3, out=np.zeros(3, np.float32)), r"received \(3,\)"),
        (lambda: round_to(X, F.FP8_E4M3, out=np.zeros(4)), "received .* float64"),
        (lambda: round_to(X, F.FP8_E4M3, out=np.broadcast_to(np.float32(0), 4)), "read-only"),
        (lambda: round_to(jnp.ones(4), F.FP8_E4M3, out=X), "for NumPy arrays"),
        (lambda: round_to(X, F.FP8_E4M3, threads=0), "received 0"),
        (lambda: encode(X, F.FP4_E2M1, nan=NanRule.KEEP), "without a code"),
        (lambda: encode(X, F.FP8_E4M3, out=np.zeros(4, np.int8)), "dtype uint8; received .* int8"),
        (lambda: decode([16], F.FP4_E2M1), r"lie in 0 ... 15; received 16"),
        (lambda: decode([-1], F.FP4_E2M1), "received -1"),
        (lambda: decode([0.5], F.FP4_E2M1), "codes are integers"),
        (lambda: decode([1], F.FP4_E2M1, dtype=np.float16), "float32 or float64"),
        (lambda: decode([1], "FP4"), "must be a Format"),
    ],
)
def test_bad_input_is_refused_with_the_value_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nan_without_image_is_refused_and_in_place_nothing_is_written():
    x = np.full(300_000, 0.3, np.float32)
    x[-1] = np.nan
    before = x.copy()
    with pytest.raises(ValueError, match="holds 1 of them"):
        round_to(x, F.FP4_E2M1, out=x)
    np.testing.assert_array_equal(x, before)
    for call in (round_to, encode):
        with pytest.raises(ValueError, match="FP4_E2M1 has no NaN"):
            call(x, F.FP4_E2M1)


def test_derivative_under_jax_is_zero_as_it_says():
    x = jnp.linspace(-3, 3, 50)
    assert not jax.grad(lambda v: jnp.sum(round_to(v, F.FP8_E4M3) ** 2))(x).any()


@pytest.mark.parametrize("fmt", [F.E8M0, F.p3109(8, 1), F.p3109(8, 1, signed=False), F.p3109(16, 8)], ids=str)
def test_formats_left_to_the_integer_kernel_are_rounded_by_numba_as_by_numpy(fmt, rng):
    patterns = rng.integers(2**32, size=200_000, dtype=np.uint32).view(np.float32)
    edges = np.ldexp(np.float32([1, 1.5, 1.25]), np.arange(-149, 128)[:, None]).astype(np.float32).reshape(-1)
    x = np.concatenate([patterns, edges, np.nextafter(edges, np.float32(0)), -edges, np.float32([0, -0.0])])
    for rounding in (r for r in Rounding if not r.is_stochastic):
        for saturate in (True, False):
            grid = grid_for(fmt, rounding, saturate, None, Subnormals.KEEP)
            got, wanted = round_to(x, fmt, rounding, saturate=saturate), round_numpy(x, grid, rounding)
            np.testing.assert_array_equal(got, wanted)
            np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(wanted[wanted == 0]))
            codes = encode(x, fmt, rounding, saturate=saturate)
            np.testing.assert_array_equal(decode(codes, fmt), wanted)


def test_works_under_jit_and_vmap_with_one_compile():
    compiled = jax.jit(lambda x: round_to(x, F.FP8_E4M3))
    x = np.linspace(-3, 3, 50, dtype=np.float32)
    np.testing.assert_array_equal(compiled(x), round_to(x, F.FP8_E4M3))
    np.testing.assert_array_equal(jax.vmap(lambda v: round_to(v, F.INT8))(x), round_to(x, F.INT8))
