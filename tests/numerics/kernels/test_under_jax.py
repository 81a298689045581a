"""The short kernel of training against the integer kernel and NumPy, bit for bit."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.numerics import PerBlock, PerChannel, PerTensor, PerToken, Quantizer, fake_quantize
from precsim.numerics import formats as F
from precsim.numerics.grid import Family, Grid, family_of
from precsim.numerics.kernels.under_jax import round_nearest, round_traced

INTEGERS = (F.INT2, F.INT3, F.INT4, F.INT5, F.INT6, F.INT8, F.fixed_point(8, 6), F.fixed_point(5, -3))
FLOATS = (F.FP4_E2M1, F.FP6_E2M3, F.FP6_E3M2, F.FP8_E4M3, F.FP8_E5M2, F.FP16)


def bits(x):
    return np.asarray(x).view(np.uint32)


def numbers(fmt):
    """Every value, every midpoint, their float32 neighbors, zeros, subnormals, and random patterns in range."""
    values = np.unique(np.float32(fmt.values()))
    values = values[np.isfinite(values)]
    near = np.concatenate([values, (values[1:] + values[:-1]) / 2, 2 * values])
    patterns = np.random.default_rng(0).integers(2**32, size=200_000, dtype=np.uint32).view(np.float32)
    patterns = patterns[np.abs(patterns) <= 4 * fmt.maximum]
    around = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
    return jnp.asarray(np.concatenate([*around, patterns, np.float32([0.0, -0.0, 1e-40, -1e-40, math.nan])]))


@functools.cache
def both(family):
    def kernels(x, grid):
        off = grid._replace(infinity=jnp.inf, minus_infinity=jnp.inf, nan=jnp.nan)
        return round_nearest(x, grid, family), round_traced(x, off)

    return jax.jit(kernels)


@pytest.mark.parametrize("fmt", [*INTEGERS, *FLOATS], ids=str)
def test_short_kernel_equals_the_integer_kernel(fmt):
    x = numbers(fmt)
    assert family_of(fmt.grid()) is (Family.UNIFORM if fmt in INTEGERS else Family.FLOAT)
    for family in {family_of(fmt.grid()), Family.FLOAT}:
        short, reference = both(family)(x, fmt.grid())
        assert np.array_equal(bits(short)[:-1], bits(reference)[:-1])
        assert np.isnan(short[-1])


@pytest.mark.parametrize("scaling", [PerTensor(), PerChannel(), PerToken(), PerBlock(8)], ids=str)
def test_scaling_and_rounding_in_one_program_equal_numpy(scaling, rng):
    # a compiler that fused the scaling with the rounding would round ties once instead of twice
    x = (rng.integers(-28, 29, size=(64, 32)) * rng.choice([0.25, 0.05, 0.3], size=(64, 1))).astype(np.float32)
    program = jax.jit(fake_quantize, static_argnums=2, static_argnames="family")
    for fmt in (*INTEGERS, *FLOATS):
        family = family_of(fmt.grid())
        short = program(jnp.asarray(x), fmt.grid(), scaling, family=family)
        assert np.array_equal(bits(short), bits(Quantizer(fmt, scaling)(x)))
    assert np.array_equal(bits(program(jnp.asarray(x), Grid.off(), scaling, family=Family.UNIFORM)), bits(x))


def test_formats_that_need_the_integer_kernel_say_so():
    for fmt in (F.BF16, F.E8M0, F.Format(name="e3m0", exponent_bits=3, precision=1, specials=F.Specials.NONE)):
        assert family_of(fmt.grid()) is Family.ANY
    assert family_of(F.FP8_E5M2.grid(saturate=False)) is Family.ANY


def test_gradient_of_the_short_kernel_is_that_of_the_identity():
    grid, weights = F.INT3.grid(), jnp.arange(6.0)
    slope = jax.grad(lambda x: jnp.sum(weights * fake_quantize(x, grid, PerTensor(), family=Family.UNIFORM)))
    assert np.array_equal(slope(jnp.linspace(-1, 2, 6)), weights)
