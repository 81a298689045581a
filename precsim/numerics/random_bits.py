"""Random bits for stochastic rounding: what the caller gave, checked, and how many of them count."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.inputs import is_jax
from precsim.numerics.kernels.integer import counter_bits
from precsim.numerics.modes import CounterBits, GivenBits, Rounding, most_bits

__all__ = ["NO_BITS", "RandomBits", "random_bits"]


class RandomBits(NamedTuple):
    """Random bits, ready for a kernel."""

    extra: Any  #: array of unsigned words, number of the first element (an int), or None
    width: int  #: N
    unused: int  #: low bits of each word that are not used
    seed: int

    def words(self, x):
        """R for each element of x as an array of x's kind, or None."""
        if self.extra is None:
            return None
        import_from = _namespace(x)
        words = self.extra
        if isinstance(words, int):
            index = import_from.arange(x.size, dtype=import_from.uint32) + import_from.uint32(words & 0xFFFFFFFF)
            words = counter_bits(import_from, index, self.seed & 0xFFFFFFFF, self.seed >> 32).reshape(x.shape)
        return words >> words.dtype.type(self.unused)


NO_BITS = RandomBits(None, 0, 0, 0)


def random_bits(noise, rounding: Rounding, x) -> RandomBits:
    """Return the random bits to use; refuse noise that is missing, not wanted, or of the wrong kind."""
    if not isinstance(rounding, Rounding):
        raise ValueError(f"rounding must be a member of Rounding; received {rounding!r}")
    if not rounding.is_stochastic:
        if noise is not None:
            raise ValueError(f"{rounding} uses no random bits: leave noise out")
        return NO_BITS
    if noise is None:
        raise ValueError(f"{rounding} needs noise: an unsigned array of shape {x.shape}, GivenBits or CounterBits")
    most = most_bits(rounding, 23 if x.dtype.itemsize == 4 else 52)
    if isinstance(noise, CounterBits):
        width = _allowed(most if noise.width is None else noise.width, most, rounding, x)
        return RandomBits(noise.start, width, 32 - width, noise.seed)
    values = noise.values if isinstance(noise, GivenBits) else noise
    if not hasattr(values, "dtype") or values.dtype.kind not in "iu":
        raise ValueError(f"noise must be an array of unsigned integers, GivenBits or CounterBits; received {noise!r}")
    if values.shape != x.shape:
        raise ValueError(f"noise must have the shape of x, {x.shape}; received {values.shape}")
    if is_jax(values) != is_jax(x):
        raise ValueError("x and noise must both be NumPy or both be JAX arrays")
    if isinstance(noise, GivenBits):
        return RandomBits(_checked(values, noise.width), _allowed(noise.width, most, rounding, x), 0, 0)
    held = 8 * values.dtype.itemsize
    if values.dtype.kind != "u" or held > 32:
        raise ValueError(
            f"noise must be uint8, uint16 or uint32, whose size says how many bits it holds; received {values.dtype}: "
            "convert it, or wrap it in GivenBits(values, width)"
        )
    width = min(held, most)
    return RandomBits(values, width, held - width, 0)


def _allowed(width: int, most: int, rounding: Rounding, x) -> int:
    if width > most:
        raise ValueError(f"{rounding} on {x.dtype} uses at most {most} random bits; received width {width}")
    return width


def _checked(values, width: int):
    """Return the values as uint32 after checking that they need no more than their width."""
    if values.dtype.kind != "u" or 8 * values.dtype.itemsize > width:
        if not is_jax(values) and (values.min() < 0 or int(values.max()) >> width):
            raise ValueError(
                f"random bits of width {width} lie in 0 ... {2**width - 1}; received {values.min()} to {values.max()}"
            )
    return values.astype(np.uint32)


def _namespace(x):
    return kernels.under_jax.jnp if is_jax(x) else np
