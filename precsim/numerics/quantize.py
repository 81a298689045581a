"""Quantize = scale, round, unscale: values that say how, and the same rule for arrays under training.

`Quantizer` joins a format, a scaling and a rounding mode. `fake_quantize` is its inner rule for compiled code: the
grid may be traced, so that one compiled program serves every bit width.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format
from precsim.numerics.codebook import NF4_LEVELS, Codebook
from precsim.numerics.dispatch import are_simple, check_out
from precsim.numerics.double_block import DoubleBlock
from precsim.numerics.formats import E8M0, FP4_E2M1, FP6_E2M3, FP6_E3M2, FP8_E4M3, FP8_E5M2, fixed_point
from precsim.numerics.fused import RowPlan, row_plan
from precsim.numerics.grid import Family, Grid
from precsim.numerics.inputs import as_numbers, is_jax
from precsim.numerics.modes import NanRule, Rounding
from precsim.numerics.rounding import round_to
from precsim.numerics.scaling import (
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    ScaleRule,
    absmax_scale,
    affine_scale,
    largest_of,
    reciprocal,
)
from precsim.numerics.stored import Layout, Quantized, Scaling, store
from precsim.numerics.two_level import TwoLevel, TwoLevelRule

if TYPE_CHECKING:
    import jax

__all__ = [
    "MXFP4", "MXFP6", "MXFP6_E3M2", "MXFP8", "MXFP8_E5M2", "MXINT8", "NF4", "NF4_DOUBLE", "NVFP4", "Codebook",
    "DoubleBlock", "Layout", "PerBlock", "PerChannel", "PerTensor", "PerToken", "Quantized", "Quantizer", "ScaleRule",
    "Scaling", "TwoLevel", "TwoLevelRule", "clipped", "fake_quantize", "sqnr",
]  # fmt: skip

#: N, the random bits used of each uint32: what float32 arithmetic can compare exactly in each mode.
_NOISE_BITS = {Rounding.STOCHASTIC_A: 24, Rounding.STOCHASTIC_B: 23, Rounding.STOCHASTIC_C: 23}


def fake_quantize(x, grid: Grid, scaling: Scaling, *, noise=None, family: Family = Family.ANY) -> jax.Array:
    """Return the values x takes when each group is scaled to the grid, rounded and scaled back; gradient 1.

    Parameters
    ----------
    x : jax.Array, float32, shape (...)
    grid : Grid
        From ``Format.grid()``; its entries may be traced (``Grid.stack`` and ``jax.vmap`` give one grid per member
        of a population). A grid of precision 24 or more (``Grid.off()``) returns x unchanged.
    scaling : Scaling
        Which elements share a scale; fixed at compile time.
    noise : jax.Array, uint32, shape of x, optional
        Random bits; given, the rounding is stochastic (variant A with N = 24, from the high bits).
    family : Family
        What is known of the grids that will come; fixed at compile time. It changes the speed, no bit of the result.

    Returns
    -------
    jax.Array, float32, shape of x

    Notes
    -----
    s = max(max|x| * (1 / maximum), 2**-126) over each group, and the result is s * round(x * (1 / s)), each
    operation in float32; nearest-even without noise. NaN or infinity in a group makes the whole group NaN, so
    that a diverged run stays visible.
    The derivative is the straight-through rule: that of the identity.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from precsim.numerics import INT4
    >>> print(fake_quantize(jnp.array([1.0, -2.6, 7.0]), INT4.grid(), PerTensor()))
    [ 1. -3.  7.]
    """
    under_jax = kernels.under_jax
    x = under_jax.jnp.asarray(x)
    mode = Rounding.NEAREST_EVEN if noise is None else Rounding.STOCHASTIC_A
    if noise is not None and noise.shape != x.shape:
        raise ValueError(f"noise must have the shape of x, {x.shape}; received {noise.shape}")
    if isinstance(scaling, TwoLevel) and scaling.rule is TwoLevelRule.EXACT:
        raise ValueError("TwoLevelRule.EXACT compares with the midpoints of one format; call a Quantizer instead")
    if noise is not None or isinstance(scaling, TwoLevel):
        family = Family.ANY
    return under_jax.straight_through(_under_jax((None, scaling, mode, True), family), x, grid, noise)


_WHOLE = PerTensor()
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, weakref_slot=True)  # jax.jit keeps weak references
class Quantizer:
    """A format, which elements share a scale, and how to round: a function from arrays to arrays.

    Parameters
    ----------
    format : Format or Codebook
    scaling : Scaling
        Default: one scale for the array.
    rounding : Rounding
        Default: nearest-even. A stochastic mode needs `noise` at each call.
    symmetric : bool
        False, for integers: the range [min, max] of a group (with zero) is mapped to all codes by a scale and a
        zero point, ``s (clip(round(x / s) + z) - z)``.

    Notes
    -----
    ``s round(x (1/s))`` in float32; s from the scaling. NaN or infinity makes its whole group NaN.
    NumPy and JAX agree in every bit where the largest magnitude of a group (of the array, for `TwoLevel`) is zero or
    between ``2**-80`` and ``2**126``. XLA takes subnormal numbers for zeros: in smaller groups results may differ by
    one of them, and a group whose scale has a subnormal reciprocal becomes NaN.

    Times in memory copies of 2 million numbers, one core: 1 to 5 with scales for the tensor, a row, a column or a block
    along the last axis, zero points and NF4 included. Slower: stochastic rounding 11, blocks along another axis 45,
    `TwoLevelRule.EXACT`, `DoubleBlock` and the other rules without a loop of their own 130. Rounding alone costs 1 to
    2, for formats left to `kernels.any_format` (E8M0, one bit of precision, wider exponents than float32) 4, their
    codes 8.

    Examples
    --------
    >>> from precsim.numerics import INT4
    >>> Quantizer(INT4, PerToken())(np.array([[0.1, -0.26, 0.7], [1.0, 7.0, 2.4]], np.float32))
    array([[ 0.1, -0.3,  0.7],
           [ 1. ,  7. ,  2. ]], dtype=float32)
    """

    format: Format | Codebook
    scaling: Scaling = _WHOLE
    rounding: Rounding = Rounding.NEAREST_EVEN
    symmetric: bool = True

    def __post_init__(self) -> None:
        kinds = {"format": Format | Codebook, "scaling": Scaling, "rounding": Rounding, "symmetric": bool}
        for field, kind in kinds.items():
            if not isinstance(getattr(self, field), kind):
                raise ValueError(f"Quantizer.{field} must be a {kind}; received {getattr(self, field)!r}")
        nearest = self.rounding is Rounding.NEAREST_EVEN
        float_scale = not isinstance(self.scaling, TwoLevel) and getattr(self.scaling, "scale_format", None) is None
        if isinstance(self.format, Codebook):
            if not (nearest and self.symmetric and float_scale):
                raise ValueError(f"{self.format} is rounded to its nearest level with a float32 scale only")
            return
        float_scale = float_scale and not isinstance(self.scaling, DoubleBlock)
        if not self.symmetric and not (self.format.is_integer and nearest and float_scale):
            raise ValueError(f"symmetric=False is for integers, nearest-even, float32 scales; received {self.format}")
        if isinstance(self.scaling, TwoLevel) and self.scaling.rule is TwoLevelRule.EXACT:
            if self.format != FP4_E2M1 or not nearest:
                raise ValueError(f"TwoLevelRule.EXACT is for FP4_E2M1 with nearest-even; received {self.format}")
        if not self.format.has_zero:
            raise ValueError(f"{self.format} has no zero, so no array can be quantized to it; it can hold scales")

    def __hash__(self) -> int:
        return hash(self.format.name)  # equal quantizers agree; every call looks its loop up

    @property
    def bits(self) -> float:
        """Storage bits of one element with its share of a block's scale (scales of larger groups: negligible)."""
        return self.format.bits + self.scaling.scale_bits

    def __call__(self, x, *, noise=None, out: np.ndarray | None = None):
        """Return x quantized: same shape and kind of array; under JAX with the straight-through gradient.

        Parameters
        ----------
        x : array_like, shape (...)
            As for `precsim.round_to`: float32 and float64 stay, narrower floats become float32, other numbers float64.
            Scales are found in the same arithmetic; those of `TwoLevel` and `DoubleBlock`, whose float32 operations are
            their definition, for float32 alone.
        noise : uint32 array, shape of x, optional
            For stochastic rounding.
        out : numpy.ndarray, optional
            Where the result goes (NumPy only).

        Raises
        ------
        ValueError
            If x cannot be taken, noise is missing, not wanted, not uint32 or of another shape, or `out` has another
            shape or dtype.
        """
        plan = None
        if type(x) is np.ndarray and noise is None and x.dtype == _FLOAT32:
            plan = _plan(self, x.shape)
            if plan is not None and out is not None and are_simple(x, out, x.dtype):
                plan.run(x, out)
                return out
        x = kernels.under_jax.as_floats(x) if is_jax(x) else as_numbers(x)
        if x.dtype != _FLOAT32 and isinstance(self.scaling, TwoLevel | DoubleBlock):
            raise ValueError(
                f"{type(self.scaling).__name__} is defined by float32 operations: pass x.astype(np.float32); "
                f"received {x.dtype}"
            )
        if x.dtype == _FLOAT32 and plan is None:
            plan = None if is_jax(x) else _plan(self, x.shape)
        if (noise is not None) != self.rounding.is_stochastic:
            wanted = "needs noise (uint32, the shape of x)" if noise is None else "takes no noise"
            raise ValueError(f"{self.rounding} {wanted}")
        if noise is not None and (noise.shape != x.shape or str(noise.dtype) != "uint32"):
            raise ValueError(f"noise must be uint32 of shape {x.shape}; received {noise.dtype} of shape {noise.shape}")
        if x.size == 0:
            self.scaling.grouped(np, np.empty(x.shape))  # refuses an axis that does not exist
            return x if out is None else out
        how: tuple[Any, ...] = (self.format, self.scaling, self.rounding, self.symmetric)
        grid = None if isinstance(self.format, Codebook) else self.format.grid()
        if isinstance(x, np.ndarray):
            return self._on_numpy(x, how, grid, noise, out, plan)
        if out is not None:
            raise ValueError("out is for NumPy arrays; JAX arrays cannot be written to")
        return kernels.under_jax.straight_through(_under_jax(how, Family.ANY), x, grid, noise)

    def encode(self, x, *, scales=None) -> Quantized:
        """Return what is stored of x: codes, scales, zero points, and how they lie.

        Parameters
        ----------
        x : array_like, finite, shape (...)
            As in a call, NumPy only.
        scales : float or array_like, optional
            Given (static) scales, one for each group in the order of the groups, instead of those found from x;
            elements beyond saturate. For float32 scales and powers of two without zero points.

        Returns
        -------
        Quantized
            ``q.encode(x).decode()`` equals ``q(x)`` in every bit.

        Raises
        ------
        ValueError
            If the rounding is not nearest-even, x is not finite, or scales are given where they cannot be.

        Examples
        --------
        >>> stored = MXFP4.encode(np.linspace(-3, 3, 64, dtype=np.float32))
        >>> stored.codes.shape, stored.scales, stored.nbytes
        ((64,), array([126, 126], dtype=uint8), 34)
        """
        if self.rounding is not Rounding.NEAREST_EVEN:
            raise ValueError(f"what is stored is rounded to nearest-even; received {self.rounding}")
        if is_jax(x):
            raise ValueError("codes are stored from NumPy arrays; pass np.asarray(x)")
        numbers = as_numbers(x)
        if numbers.dtype != _FLOAT32 and isinstance(self.scaling, TwoLevel | DoubleBlock):
            raise ValueError(
                f"{type(self.scaling).__name__} is defined by float32 operations: pass x.astype(np.float32); "
                f"received {numbers.dtype}"
            )
        return store(numbers, Layout(self.format, self.scaling, numbers.shape, self.symmetric), scales)

    def _on_numpy(
        self, x: np.ndarray, how: tuple, grid: Grid | None, noise, out: np.ndarray | None, plan: RowPlan | None
    ) -> np.ndarray:
        if out is not None:
            check_out(out, x)
        if plan is None:
            with np.errstate(invalid="ignore", over="ignore"):  # a group with infinity or NaN becomes NaN
                result = self._by_rows(x) if noise is None else None
                result = np.asarray(_apply(np, x, how, grid, noise)) if result is None else result
        else:
            source = np.ascontiguousarray(x)
            result = np.empty(x.shape, np.float32)
            plan.run(source, result)
        if out is None:
            return result
        out[...] = result
        return out

    def _by_rows(self, x: np.ndarray) -> np.ndarray | None:
        """Quantize an array whose groups do not lie one after the other in memory: they are laid out so and back.

        Transposing a large matrix and back costs 40 memory copies where the loop costs 2; NumPy's passes of the
        formula take 45 to 170 (NF4).
        """
        scaling = self.scaling
        if x.dtype != _FLOAT32 or x.ndim < 2 or not -x.ndim <= getattr(scaling, "axis", 0) < x.ndim:
            return None
        if isinstance(scaling, PerChannel):
            moved, inner = np.moveaxis(x, scaling.axis, 0), PerChannel(0)
        elif isinstance(scaling, PerBlock | TwoLevel) and getattr(scaling, "rows", 1) == 1:
            moved, inner = np.moveaxis(x, scaling.axis, -1), replace(scaling, axis=-1)
        else:
            return None
        pad = -moved.shape[-1] % getattr(inner, "size", 1)
        laid = np.ascontiguousarray(np.pad(moved, [(0, 0)] * (x.ndim - 1) + [(0, pad)]) if pad else moved)
        plan = _plan(replace(self, scaling=inner), laid.shape)
        if plan is None:
            return None
        rows = np.empty(laid.shape, np.float32)
        plan.run(laid, rows)
        axis = (0 if isinstance(scaling, PerChannel) else -1, scaling.axis)
        return np.ascontiguousarray(np.moveaxis(rows[..., : moved.shape[-1]], *axis))


@functools.lru_cache(maxsize=1024)
def _plan(quantizer: Quantizer, shape: tuple[int, ...]) -> RowPlan | None:
    """Return the one-pass loop that serves a quantizer on NumPy arrays of this shape, if there is one."""
    if quantizer.rounding is not Rounding.NEAREST_EVEN:
        return None
    return row_plan(quantizer.format, quantizer.scaling, shape, quantizer.symmetric)


def sqnr(x, y) -> float:
    """Signal to quantization noise, ``10 log10(sum x**2 / sum (x - y)**2)`` [dB]; inf if y equals x.

    Parameters
    ----------
    x, y : array_like, the same shape (...)
        The numbers before and after; sums are taken in float64.

    Raises
    ------
    ValueError
        If the shapes differ, or there is nothing to measure (no elements, or x is zero everywhere).

    Examples
    --------
    >>> round(sqnr([3.0, 4.0], [3.0, 4.5]), 6)
    20.0
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"sqnr compares arrays of one shape; received {a.shape} and {b.shape}")
    signal, noise = float(np.sum(a * a)), float(np.sum((a - b) ** 2))
    if signal == 0:
        raise ValueError(f"sqnr needs a signal; received {a.size} elements, all zero")
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)


def clipped(x, quantizer: Quantizer) -> float:
    """Return the fraction of elements whose scaled magnitude is beyond the format's largest value.

    Parameters
    ----------
    x : array_like, float32, shape (...)
    quantizer : Quantizer
        None of its elements is beyond with a float32 scale, up to its rounding; with a power of two found by
        `ScaleRule.FLOOR` or EVEN, some are.

    Examples
    --------
    >>> clipped(np.float32([[1.0, 0.5, 7.5, 0.1]]), MXFP4)
    0.25
    """
    scaling = quantizer.scaling
    if isinstance(quantizer.format, Codebook) or isinstance(scaling, TwoLevel | DoubleBlock) or not quantizer.symmetric:
        raise ValueError(f"clipped counts for formats with one scale per group; received {quantizer}")
    x = np.asarray(x, np.float32)
    grid = quantizer.format.grid()
    view, axes = scaling.grouped(np, x)
    scale = scaling.scale(np, view, axes, grid)
    beyond = (view > grid.maximum * scale.astype(np.float64)) | (view < -grid.minimum * scale.astype(np.float64))
    return float(beyond.sum() / x.size)


def _apply(xp, x, how: tuple, grid: Grid | None, noise, family: Family = Family.ANY):
    """Scale, round, unscale: the one place where it is written, for NumPy and JAX."""
    fmt, scaling, rounding, symmetric = how
    entries: Any = grid  # absent for codebooks only, whose branch needs none
    view, axes = scaling.grouped(xp, x)
    words = None if noise is None else scaling.grouped(xp, noise)[0]
    if isinstance(fmt, Codebook):
        if isinstance(scaling, DoubleBlock):
            inverse, scale = scaling.steps(xp, view, axes, fmt.maximum)
        else:
            scale = absmax_scale(xp, largest_of(xp, view, axes), fmt.maximum)
            inverse = reciprocal(xp, scale)
        result = fmt.nearest(xp, view * inverse) * scale
    elif not symmetric:
        result = _affine(xp, view, axes, entries)
    elif isinstance(scaling, TwoLevel) and scaling.rule is TwoLevelRule.EXACT:
        result = scaling.exact(xp, view, axes)
    else:
        if isinstance(scaling, TwoLevel):
            inverse, scale = scaling.steps(xp, view, axes, entries)
        elif isinstance(scaling, DoubleBlock):
            inverse, scale = scaling.steps(xp, view, axes, entries.maximum)
        else:
            scale = scaling.scale(xp, view, axes, entries)
            inverse = reciprocal(xp, scale)
        if family is Family.ANY:
            result = _rounded(xp, view * inverse, fmt, entries, rounding, words, _NOISE_BITS.get(rounding, 0)) * scale
        else:
            result = kernels.under_jax.round_nearest(view * inverse, entries, family) * scale
    return scaling.ungrouped(xp, result, x.shape)


def _rounded(xp, y, fmt: Format | None, grid: Grid, rounding: Rounding, noise, width: int):
    """Round what was scaled; `noise` is uint32, of which the high bits are used."""
    if xp is np:
        assert fmt is not None
        nan = None if fmt.has_nan else NanRule.KEEP
        y = np.asarray(y)
        if not y.flags.c_contiguous:
            y = np.ascontiguousarray(y)  # (which gives a number an axis)
        return round_to(y, fmt, rounding, saturate=True, nan=nan, noise=noise, out=y)
    # scaling leaves nothing to flush: constants here let the compiler drop those selections. Infinity stays: x times
    # the reciprocal of a scale may overflow where the largest value is float32's own (BF16)
    plain = grid._replace(flush=0.0, nan=math.nan)
    bits = None if noise is None else noise >> xp.uint32(32 - width)
    return kernels.under_jax.round_traced(y, plain, rounding, bits, width)


def _affine(xp, view, axes, grid: Grid):
    """Integers with a zero point: the range of each group, zero included, mapped to all codes."""
    scale, zero = affine_scale(xp, view, axes, grid)
    lowest = -xp.asarray(grid.minimum, view.dtype)
    code = xp.clip(xp.round(view * reciprocal(xp, scale)) + zero, lowest, grid.maximum)
    return (code - zero) * scale


def _under_jax(how: tuple, family: Family):
    jnp = kernels.under_jax.jnp

    def scaled_rounding(x, grid: Grid | None, noise):
        result = _apply(jnp, x, how, grid, noise, family)
        return result if grid is None else jnp.where(jnp.asarray(grid.precision) >= 24, x, result)

    return scaled_rounding


#: OCP MX 1.0: blocks of 32 with a power-of-two scale. MXFP8 and MXFP6 come in two element formats each.
MXFP8 = Quantizer(FP8_E4M3, PerBlock(32, scale_format=E8M0))
MXFP8_E5M2 = Quantizer(FP8_E5M2, PerBlock(32, scale_format=E8M0))
MXFP6 = Quantizer(FP6_E2M3, PerBlock(32, scale_format=E8M0))
MXFP6_E3M2 = Quantizer(FP6_E3M2, PerBlock(32, scale_format=E8M0))
MXFP4 = Quantizer(FP4_E2M1, PerBlock(32, scale_format=E8M0))
MXINT8 = Quantizer(fixed_point(8, 6), PerBlock(32, scale_format=E8M0))
NVFP4 = Quantizer(FP4_E2M1, TwoLevel(16))
#: bitsandbytes: normal quantiles, blocks of 64 with a float32 scale.
NF4 = Quantizer(Codebook("NF4", NF4_LEVELS), PerBlock(64))
#: The same with its scales in 8 bits: what QLoRA calls double quantization.
NF4_DOUBLE = Quantizer(NF4.format, DoubleBlock(64, outer=256))
