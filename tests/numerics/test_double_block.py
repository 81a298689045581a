"""Scales kept in 8 bits: the map by exact rationals, codes by brute force, storage, refusals."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from precsim.numerics.double_block import DoubleBlock, dynamic_map
from precsim.numerics.formats import INT4
from precsim.numerics.quantize import NF4, NF4_DOUBLE, PerBlock, Quantizer


def test_the_map_is_the_exact_midpoints_rounded_once():
    exact = {Fraction(0), Fraction(1)}
    for i in range(7):
        for k in range(2**i):
            value = Fraction(10) ** (i - 6) * (Fraction(1, 10) + Fraction(9, 10) * Fraction(2 * k + 1, 2 ** (i + 1)))
            exact |= {value, -value}
    found = dynamic_map()
    assert len(exact) == len(found) == 256
    for want, got in zip(sorted(exact), found, strict=True):
        assert abs(Fraction(float(got)) - want) <= Fraction(float(np.spacing(np.abs(got)))) / 2


def _by_hand(x, size, outer):
    """Rows whose length is a multiple of the block: one block after the other, in float32 where it is defined so."""
    blocks = x.reshape(-1, size)
    scales = np.abs(blocks).max(axis=1)
    mean = np.float32(np.mean(scales.astype(np.float64)))
    values, kept = dynamic_map(), np.empty_like(scales)
    for start in range(0, len(scales), outer):
        rest = scales[start : start + outer] - mean
        largest = np.abs(rest).max() or np.float32(1)
        scaled = (rest * (np.float32(1) / largest)).astype(np.float64)
        nearest = np.abs(scaled[:, None] - values.astype(np.float64)).argmin(axis=1)
        kept[start : start + outer] = values[nearest] * largest + mean
    levels = NF4.format.values().astype(np.float64)
    scaled = (blocks * (np.float32(1) / scales)[:, None]).astype(np.float64)
    places = np.abs(scaled[..., None] - levels).argmin(axis=-1)
    return (levels.astype(np.float32)[places] * kept[:, None]).reshape(x.shape)


@pytest.mark.parametrize(("shape", "size", "outer"), [((40, 512), 64, 256), ((3, 96), 32, 4), ((1, 64), 64, 256)])
def test_numpy_and_jax_round_as_one_block_after_the_other_does(shape, size, outer):
    x = (np.random.default_rng(0).standard_normal(shape) * 0.02).astype(np.float32)
    q = Quantizer(NF4.format, DoubleBlock(size, outer))
    want = _by_hand(x, size, outer)
    np.testing.assert_array_equal(q(x), want)
    np.testing.assert_allclose(q(jnp.asarray(x)), want, rtol=3e-7)  # the mean is summed in another order


def test_what_is_stored_gives_the_numbers_back_in_an_eighth_of_a_bit():
    x = np.random.default_rng(1).standard_normal((128, 1024)).astype(np.float32)
    stored = NF4_DOUBLE.encode(x)
    np.testing.assert_array_equal(stored.decode(), NF4_DOUBLE(x))
    assert stored == NF4_DOUBLE.encode(x)
    assert stored != NF4_DOUBLE.encode(x * np.float32(1.01))
    blocks = x.size // 64
    assert stored.scales.dtype == np.uint8
    assert stored.nbytes == x.size // 2 + blocks + 4 * blocks // 256 + 4
    assert 8 * stored.nbytes / x.size == pytest.approx(NF4_DOUBLE.bits, rel=1e-3)


@pytest.mark.parametrize("q", [NF4_DOUBLE, Quantizer(INT4, DoubleBlock(16, 8))], ids=["NF4", "INT4"])
def test_edges(q):
    for x in (np.zeros((2, 130)), np.full((1, 7), -3.0), np.array([[1e-30, 5.0, 1e30]])):
        result = q(x.astype(np.float32))
        assert result.shape == x.shape
        assert np.isfinite(result).all()
    np.testing.assert_array_equal(q(np.zeros((2, 130), np.float32)), 0)
    np.testing.assert_allclose(q(np.full((4, 64), 0.3, np.float32)), 0.3, rtol=2e-7)  # every scale is the mean
    assert q(np.zeros((0, 4), np.float32)).shape == (0, 4)
    broken = np.ones((1, 64), np.float32)
    broken[0, 3] = np.nan
    assert np.isnan(q(broken)).all()


def test_what_it_cannot_do_is_refused_by_name():
    with pytest.raises(ValueError, match="DoubleBlock is defined by float32"):
        NF4_DOUBLE(np.ones(64))
    with pytest.raises(ValueError, match="symmetric=False"):
        Quantizer(INT4, DoubleBlock(), symmetric=False)
    with pytest.raises(ValueError, match="scales that share a scale"):
        DoubleBlock(64, outer=0)
    with pytest.raises(ValueError, match="scales are given"):
        NF4_DOUBLE.encode(np.ones(64, np.float32), scales=1.0)


def test_fewer_bits_of_scales_cost_little():
    x = np.random.default_rng(2).standard_normal((256, 1024)).astype(np.float32)
    plain, double = (np.mean((q(x) - x) ** 2) for q in (Quantizer(NF4.format, PerBlock(64)), NF4_DOUBLE))
    assert plain < double < 1.01 * plain
