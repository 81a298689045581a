"""The integer kernel as JAX functions, and the few operations on bits that NumPy and JAX name differently.

The only place of the numeric core that imports JAX; it loads as ``kernels.under_jax`` on first use.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from precsim.numerics.grid import Family, Grid
from precsim.numerics.kernels.integer import BINARY32, BINARY64, FLOAT_ENTRIES, round_bits
from precsim.numerics.modes import Rounding

__all__ = [
    "as_floats", "divide", "floats", "is_traced", "jnp", "pattern", "round_nearest", "round_traced",
    "straight_through",
]  # fmt: skip


def pattern(x):
    """The bits of floats as signed integers of their width."""
    return jax.lax.bitcast_convert_type(x, jnp.int32 if x.dtype.itemsize == 4 else jnp.int64)


def floats(bits, dtype):
    """The floating-point numbers that have these bit patterns."""
    return jax.lax.bitcast_convert_type(bits, dtype)


def divide(a, b):
    """Divide as IEEE does: XLA must not see that b is one number repeated, or it multiplies by a reciprocal."""
    a, b = jnp.broadcast_arrays(jnp.asarray(a), jnp.asarray(b))
    return a / jax.lax.optimization_barrier(b)


def as_floats(x):
    """JAX numbers as float32 (narrower floats, which are exact there) or, in x64 mode, float64."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x if x.dtype in (jnp.float32, jnp.float64) else x.astype(jnp.float32)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"only real numbers are rounded; received a JAX array of {x.dtype}")
    if not jax.config.read("jax_enable_x64") and x.dtype.itemsize > 2:
        raise ValueError(f"float32 does not hold every {x.dtype}: convert the JAX array first, or enable x64")
    return x.astype(jnp.float64 if jax.config.read("jax_enable_x64") else jnp.float32)


def is_traced(x) -> bool:
    """Whether the values of x are not known yet, because a program is being compiled."""
    return isinstance(x, jax.core.Tracer)  # pyright: ignore[reportAttributeAccessIssue] - it is there


def round_traced(x, grid: Grid, rounding: Rounding = Rounding.NEAREST_EVEN, noise=None, width: int = 0):
    """Round a JAX array (float32, or float64 in x64 mode) to a grid whose entries may be traced."""
    if x.dtype == jnp.float32:
        carrier, integer, real = BINARY32, jnp.int32, jnp.float32
    elif x.dtype == jnp.float64:
        carrier, integer, real = BINARY64, jnp.int64, jnp.float64
    else:
        raise ValueError(f"the carrier must be float32 or float64; received a JAX array of {x.dtype}")

    def pattern(value):
        if not isinstance(value, jax.Array):
            return np.asarray(value, real).view(integer)
        return jax.lax.bitcast_convert_type(value.astype(real), integer)

    as_bits = grid._replace(**{name: pattern(getattr(grid, name)) for name in FLOAT_ENTRIES})
    bits = jax.lax.bitcast_convert_type(x, integer)
    drawn = None if noise is None else noise.astype(integer)
    rounded = round_bits(jnp, carrier, bits, as_bits, rounding, drawn, width)
    return jax.lax.bitcast_convert_type(rounded, real)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def straight_through(function, x, *rest):
    """``function(x, *rest)``, whose derivative with respect to x is taken to be 1, and so on for higher derivatives."""
    return function(x, *rest)


@straight_through.defjvp
def _straight_through_jvp(function, primals, tangents):
    # through itself, not through `function`: else the second derivative would be that of a staircase, zero
    return straight_through(function, *primals), tangents[0]


_EXPONENT = 0x7F800000  # mask of float32's exponent field
_FRACTION = 23
_BIAS = 127


def round_nearest(y, grid: Grid, family: Family):
    """Round a float32 JAX array without infinities to a (traced) grid of this family; saturates, keeps NaN.

    Equal in every bit to `round_traced` with nearest-even, except for the payload of NaN.
    """
    least = (jnp.asarray(grid.emin, jnp.int32) + _BIAS) << _FRACTION
    drop = (jnp.asarray(grid.precision, jnp.int32) - 1) << _FRACTION
    if family is Family.FLOAT:
        least = jnp.maximum(jax.lax.bitcast_convert_type(y, jnp.int32) & _EXPONENT, least)
    spacing = least - drop
    rate = jax.lax.bitcast_convert_type((2 * _BIAS << _FRACTION) - spacing, jnp.float32)
    whole = jax.lax.round(y * rate, jax.lax.RoundingMethod.TO_NEAREST_EVEN)
    r = whole * jax.lax.bitcast_convert_type(spacing, jnp.float32)
    r = jnp.clip(r, -jnp.asarray(grid.minimum, jnp.float32), jnp.asarray(grid.maximum, jnp.float32))
    unsigned_zero = (r == 0) & (jnp.asarray(grid.negative_zero) == 0)
    return jnp.where(unsigned_zero, jnp.float32(0), r)
