"""One operand of a product on its way through a quantizer whose every number is traced: one program for all recipes.

A `Menu` says what a program can do to an operand (which scales, whether at random); `Numbers` say which of it a member
of a population does. What comes out equals `precsim.numerics.Quantizer` in every bit.
"""

from __future__ import annotations

import enum
import math
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.numerics.formats import FP8_E4M3
from precsim.numerics.grid import Family, Grid
from precsim.numerics.kernels.under_jax import round_nearest
from precsim.numerics.quantize import Scaling
from precsim.numerics.scaling import PerBlock, ScaleRule, largest_of, reciprocal
from precsim.numerics.two_level import TwoLevel

_BITS = 24  # of randomness for an element: what float32 compares exactly
_EXPONENT, _FRACTION, _BIAS = 0x7F800000, 23, 127  # of float32
_EDEN_TOP = 255.99 / 448  # room above the largest block scale, which the correction may raise


class Draw(enum.IntEnum):
    """How the elements of an operand are rounded."""

    NEAREST = 0  #: nearest-even
    STOCHASTIC = 1  #: at random, right on average
    EDEN = 2  #: nearest-even, the scales corrected and rounded at random so that the product is right on average


class Menu(NamedTuple):
    """What a program can do to one operand of its products; equal menus share a program."""

    scalings: tuple[Scaling, ...]  # along the last axis
    stochastic: bool
    eden: int  # elements whose scales are corrected together; 0: none


class Numbers(NamedTuple):
    """What one member does to one operand: plain numbers, arrays or traced values."""

    grid: Grid
    scaling: Any  # int32, which of the menu
    draw: Any  # int32, a `Draw`
    factor: Any  # float32, what scales are multiplied by: above 1 for room, below 1 to clip
    again: Any  # bool, whether the backward pass rounds what the forward pass has rounded, not the number before


class Rounded(NamedTuple):
    """An operand after its quantizer."""

    values: Array
    inside: Array  # bool, false where an element was clipped


def rounded(menu: Menu, numbers: Numbers, x: Array, word: Array) -> Rounded:
    """Quantize x, float32 (rows, terms), in groups along the terms; `word` (uint32) decides what is drawn.

    A grid of precision 24 or more leaves x as it is.
    """
    off = jnp.asarray(numbers.grid.precision) >= 24
    if not menu.scalings:
        return Rounded(x, jnp.ones(x.shape, bool))
    inverse, scale = _scales(menu, numbers, x)
    y = x * inverse
    values = _elements(menu, numbers, y, word) * scale
    if menu.eden:
        values = jnp.where(jnp.asarray(numbers.draw) == Draw.EDEN, _corrected(menu, numbers, x, y, word), values)
    return Rounded(jnp.where(off, x, values), off | (jnp.abs(y) <= numbers.grid.maximum))


def position_bits(word: Array, shape: tuple[int, ...], salt: int = 0) -> Array:
    """Random 32-bit words, one for each place of an array: a hash of the place and of `word`.

    Two rounds of a multiplicative hash (lowbias32): cheap enough to round every element of a gradient at random.
    """
    size = int(np.prod(shape))
    return _hashed(_hashed(jnp.arange(size, dtype=jnp.uint32) + jnp.uint32(salt)) ^ _hashed(word)).reshape(shape)


def _hashed(x: Array) -> Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _scales(menu: Menu, numbers: Numbers, x: Array) -> tuple[Array, Array]:
    """The factor that scales each element and the one that undoes it, by the chosen scaling.

    The largest of each unit of terms is found once; every scaling of the menu works on these.
    """
    rows, terms = x.shape
    unit = math.gcd(terms, *(getattr(scaling, "size", terms) for scaling in menu.scalings))
    largest = largest_of(jnp, x.reshape(rows, terms // unit, unit), -1)[..., 0]
    found = []
    for scaling in menu.scalings:
        blocks = isinstance(scaling, PerBlock | TwoLevel)
        coarse: Any = replace(scaling, size=scaling.size // unit) if blocks else scaling
        view, axes = coarse.grouped(jnp, largest)
        if getattr(scaling, "rule", None) is ScaleRule.SPREAD:  # which asks for more than the largest
            whole, along = scaling.grouped(jnp, x)
            scale = scaling.scale(jnp, whole, along, numbers.grid)  # pyright: ignore[reportAttributeAccessIssue]
            inverse = reciprocal(jnp, scale)
        elif isinstance(coarse, TwoLevel):
            inverse, scale = coarse.steps(jnp, view, axes, numbers.grid)
        else:
            scale = coarse.scale(jnp, view, axes, numbers.grid)
            inverse = reciprocal(jnp, scale)
        spread = [jnp.broadcast_to(part, view.shape) for part in (inverse, scale)]
        found.append([coarse.ungrouped(jnp, part, largest.shape) for part in spread])
    inverse, scale = found[0]
    for n, (other_inverse, other) in enumerate(found[1:], 1):
        chosen = jnp.asarray(numbers.scaling) == n
        inverse, scale = jnp.where(chosen, other_inverse, inverse), jnp.where(chosen, other, scale)
    factor = jnp.asarray(numbers.factor, jnp.float32)
    each = [jnp.repeat(part, unit, axis=-1, total_repeat_length=terms) for part in (inverse / factor, scale * factor)]
    return each[0], each[1]


def _elements(menu: Menu, numbers: Numbers, y: Array, word: Array) -> Array:
    nearest = round_nearest(y, numbers.grid, Family.FLOAT)
    if not menu.stochastic:
        return nearest
    drawn = drawn_to(y, numbers.grid, position_bits(word, y.shape))
    return jnp.where(jnp.asarray(numbers.draw) == Draw.STOCHASTIC, drawn, nearest)


def drawn_to(y: Array, grid: Grid, bits: Array) -> Array:
    """Round y at random to one of its two neighbours on a grid of floats: `Rounding.STOCHASTIC_A`, saturating.

    The one farther from zero if floor(nu 2^24) + R >= 2^24, nu the share of the interval that y has passed, R the high
    24 bits of `bits`.
    """
    least = (jnp.asarray(grid.emin, jnp.int32) + _BIAS) << _FRACTION
    drop = (jnp.asarray(grid.precision, jnp.int32) - 1) << _FRACTION
    spacing = jnp.maximum(jax.lax.bitcast_convert_type(y, jnp.int32) & _EXPONENT, least) - drop
    rate = jax.lax.bitcast_convert_type((2 * _BIAS << _FRACTION) - spacing, jnp.float32)
    steps = jnp.abs(y) * rate
    whole = jnp.floor(steps)
    passed = jnp.floor((steps - whole) * 2.0**_BITS).astype(jnp.int32)
    beyond = passed + (bits >> jnp.uint32(32 - _BITS)).astype(jnp.int32) >= 1 << _BITS
    result = (whole + beyond) * jax.lax.bitcast_convert_type(spacing, jnp.float32)
    most = jnp.where(y < 0, jnp.asarray(grid.minimum, jnp.float32), jnp.asarray(grid.maximum, jnp.float32))
    result = jnp.minimum(result, most)
    return jnp.where(jnp.isnan(y), y, jnp.copysign(result, y))


def _corrected(menu: Menu, numbers: Numbers, x: Array, y: Array, word: Array) -> Array:
    """Nearest-even values whose block scales are stretched by |y|^2 / (y . round y), then rounded to E4M3 at random.

    MS-EDEN (`panferov2026`): in a random basis the stretched operand is right on average, and the few scales can be
    rounded at random where all elements would have had to be. Scales come from 255.99 for the largest, for room.
    """
    scaling = next(one for one in menu.scalings if isinstance(one, TwoLevel))
    view, axes = scaling.grouped(jnp, x)
    _, block, shared = scaling.parts(jnp, view, axes, numbers.grid)
    block = drawn_to(jnp.asarray(block) * _EDEN_TOP, FP8_E4M3.grid(), jnp.full(block.shape, 1 << 31, jnp.uint32))
    shared = shared / _EDEN_TOP * jnp.asarray(numbers.factor, jnp.float32)
    unit = jnp.where(block == 0, 1.0, block) * shared
    scaled = jnp.asarray(view / unit)
    near = round_nearest(scaled, numbers.grid, Family.FLOAT)
    square, product = (scaling.ungrouped(jnp, part, x.shape) for part in (scaled * scaled, scaled * near))

    def together(part: Array) -> Array:
        rows, terms = part.shape
        return part.reshape(rows, terms // menu.eden, menu.eden).sum(-1)

    above, below = together(square), together(product)
    stretch = jnp.where(below == 0, 1.0, above / jnp.where(below == 0, 1.0, below))
    stretch = jnp.repeat(stretch, menu.eden // scaling.size, axis=-1)[..., None]
    final = drawn_to(block * stretch, FP8_E4M3.grid(), position_bits(word, block.shape, salt=0x5CA1E))
    return scaling.ungrouped(jnp, near * final * shared, x.shape)
