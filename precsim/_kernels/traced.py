"""The integer kernel as JAX functions; the only place of the numeric core that imports JAX."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from precsim._grid import Grid
from precsim._kernels.integer import BINARY32, BINARY64, FLOAT_ENTRIES, round_bits
from precsim._modes import Rounding

__all__ = ["round_traced", "straight_through"]


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
    """``function(x, *rest)``, whose derivative with respect to x is taken to be 1."""
    return function(x, *rest)


@straight_through.defjvp
def _straight_through_jvp(function, primals, tangents):
    return function(*primals), tangents[0]
