"""Which elements share a scale, and how it is found from them. Written once for NumPy and JAX arrays."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import ModuleType

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format, Specials, whole
from precsim.numerics.kernels.integer import BINARY32, BINARY64

__all__ = [
    "PerBlock", "PerChannel", "PerTensor", "PerToken", "ScaleRule", "absmax_scale", "affine_scale", "largest_of",
    "power_scale", "reciprocal",
]  # fmt: skip

#: Smallest normal float32. No scale is smaller, so that no scale is zero or flushed to zero by XLA.
_LEAST_SCALE = 2.0**-126
_NORMAL_SCALE = 2.92247856 / 6  # Quartet's constant for E2M1: least squared error of normal numbers


def absmax_scale(xp: ModuleType, largest, maximum):
    """Scale that maps the largest magnitude of a group to the largest value of the format.

    Parameters
    ----------
    largest : float array, shape (...)
        max |x| over each group.
    maximum : float
        Largest value of the format; may be traced.

    Returns
    -------
    float array, shape (...)
        ``max(largest * (1 / maximum), 2**-126)``; a group of zeros therefore stays a group of zeros.

    Notes
    -----
    Reciprocals are taken explicitly here and by the callers: XLA replaces a division by a broadcast value with
    a multiplication by its reciprocal or not, depending on what it fuses, and the last bit would depend on that.
    """
    one, top = xp.asarray(1, dtype=largest.dtype), xp.asarray(maximum, dtype=largest.dtype)
    scale = xp.maximum(largest * (one / top), xp.asarray(_LEAST_SCALE, dtype=largest.dtype))
    # XLA takes the reciprocal of a maximum above 2**126, a subnormal number, for zero
    if xp.__name__ == "numpy" or largest.dtype.itemsize != 4 or (isinstance(maximum, float) and maximum <= 2.0**126):
        return scale
    return xp.where(top > 2.0**126, _wide_scale(xp, largest, top), scale)


def _wide_scale(xp: ModuleType, largest, top):
    """Scale by a maximum above 2**126 without subnormal numbers, in every bit what float32 with them gives.

    All is held 2**64 times too large, 1/maximum rounded to what a subnormal number keeps of it.
    """
    up, kept = 2.0**64, 2.0**85  # 2**-149, the subnormal spacing, is 2**-85 here
    lifted = top * (1 / up)
    inverse = 1 / lifted
    units = inverse * kept
    whole = xp.floor(units)
    # the quotient was rounded to 24 bits: where two more are lost, a tie (TF32 meets one) goes by what it left over
    beyond = (units - whole > 0.5) | ((units - whole == 0.5) & (_left_over(xp, inverse, lifted) > 0))
    reciprocal = (whole + beyond) * (1 / kept)
    product = xp.maximum(largest * reciprocal, _LEAST_SCALE * up)
    return _floats(xp, _pattern(xp, product) - (64 << 23), largest.dtype)


def _left_over(xp: ModuleType, a, b):
    """1 - a b for float32 numbers whose product is about 1; exact products of halves of 12 bits."""
    a_high, b_high = (_floats(xp, _pattern(xp, v) & ~0xFFF, v.dtype) for v in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return ((1 - a_high * b_high) - a_high * b_low - a_low * b_high) - a_low * b_low


class ScaleRule(enum.Enum):
    """How a block's power-of-two scale ``2**E`` follows from its largest magnitude a.

    emax and max are the element format's largest exponent and value, p its precision.
    """

    FLOOR = "E = floor(log2 a) - emax (OCP MX 1.0); elements above max * 2**E saturate"
    CEIL = "E = ceil(log2 a) - emax; nothing saturates"
    RCEIL = "E = ceil(log2(a / max)): the smallest power with which nothing saturates"
    EVEN = "a is rounded to p bits first (nearest-even), then floor"
    SPREAD = "E = floor(log2(2.92247856 s / 6)), s the block's standard deviation; elements beyond saturate (Quartet)"


def power_scale(xp: ModuleType, largest, grid, rule: ScaleRule):
    """Return ``2**E`` by one of the rules, -127 <= E <= 127; NaN where the largest magnitude is NaN or infinite.

    Under JAX E >= -126: XLA takes ``2**-127``, a subnormal number, for zero.

    Exponents are read from the bits of float32, never from a logarithm: floor(log2(x)) of the float just below a
    power of two is wrong in floating point.
    """
    carrier = BINARY32 if largest.dtype.itemsize == 4 else BINARY64
    m, bias = carrier.fraction, carrier.bias
    fraction = (1 << m) - 1
    lifted, small = largest, 0
    if xp.__name__ == "numpy":  # a subnormal number has no exponent to read (XLA takes it for zero)
        small = largest < 2.0 ** (2 - bias)
        lifted = xp.where(small, largest * largest.dtype.type(2.0**64), largest)
    bits, top = _pattern(xp, lifted), _pattern(xp, xp.asarray(grid.maximum, dtype=largest.dtype))
    if rule is ScaleRule.EVEN:
        bits = bits + (xp.asarray(1, dtype=bits.dtype) << (m - grid.precision))
    exponent = (bits >> m) - (top >> m)
    if rule is ScaleRule.CEIL:
        exponent = exponent + ((bits & fraction) != 0)
    if rule is ScaleRule.RCEIL:
        exponent = exponent + ((bits & fraction) > (top & fraction))
    exponent = exponent - 64 * small
    exponent = xp.clip(exponent, -127 if xp.__name__ == "numpy" else -126, 127)
    field = xp.maximum(exponent + bias, 0).astype(bits.dtype)
    scale = _floats(xp, xp.where(field == 0, 1 << (m - 1), field << m).astype(bits.dtype), largest.dtype)
    return xp.where(xp.isfinite(largest), scale, xp.asarray(xp.nan, dtype=largest.dtype))


def _spread_scale(xp: ModuleType, view, axes, grid):
    """A power of two that suits normal numbers of the block's standard deviation, whatever its largest."""
    mean = xp.mean(view, axis=axes, keepdims=True)
    deviation = xp.sqrt(xp.mean((view - mean) ** 2, axis=axes, keepdims=True))
    wanted = deviation * xp.asarray(_NORMAL_SCALE, view.dtype)
    return power_scale(xp, wanted, grid._replace(maximum=1.0), ScaleRule.FLOOR)


def affine_scale(xp: ModuleType, view, axes, grid):
    """Return scale and zero point of each group: its range, zero included, mapped to all codes of an integer format."""
    low = xp.minimum(xp.min(view, axis=axes, keepdims=True, initial=0), 0)
    high = xp.maximum(xp.max(view, axis=axes, keepdims=True, initial=0), 0)
    step = 1 / (xp.asarray(grid.maximum, view.dtype) + xp.asarray(grid.minimum, view.dtype))
    reach = high - low  # overflows where the ends are far apart
    scale = xp.where(xp.isfinite(reach), reach * step, high * step - low * step)
    scale = xp.maximum(scale, xp.asarray(_LEAST_SCALE, view.dtype))
    return scale, -xp.asarray(grid.minimum, view.dtype) - xp.round(low * reciprocal(xp, scale))


def reciprocal(xp: ModuleType, scale):
    """1 / scale; under XLA, which takes a subnormal reciprocal for zero, NaN there, so that it is seen."""
    inverse = 1 / scale
    return inverse if xp.__name__ == "numpy" else xp.where(scale > 2.0**126, xp.nan, inverse)


def largest_of(xp: ModuleType, view, axes):
    """Return the largest magnitude of each group, the reduced axes kept with length 1; NaN if there is one."""
    if xp.__name__ == "numpy":
        return xp.max(xp.abs(view), axis=axes, keepdims=True, initial=0)
    carrier = BINARY32 if view.dtype.itemsize == 4 else BINARY64
    magnitudes = (
        _pattern(xp, view) & carrier.magnitude
    )  # XLA's maximum of floats may skip NaN; NaN's pattern is largest
    return _floats(xp, xp.max(magnitudes, axis=axes, keepdims=True, initial=0), view.dtype)


def _pattern(xp: ModuleType, x):
    return x.view(f"i{x.dtype.itemsize}") if xp.__name__ == "numpy" else kernels.under_jax.pattern(x)


def _floats(xp: ModuleType, bits, dtype):
    return bits.view(dtype) if xp.__name__ == "numpy" else kernels.under_jax.floats(bits, dtype)


def _normal_axis(axis: int, x) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis {axis} does not exist in an array of shape {x.shape}")
    return axis % x.ndim


@dataclass(frozen=True, slots=True)
class PerTensor:
    """One scale for the whole array.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim import INT4, PerTensor, Quantizer
    >>> Quantizer(INT4, PerTensor())(np.float32([[7, 1.4], [70, 14]]))
    array([[10.,  0.],
           [70., 10.]], dtype=float32)
    """

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element: negligible."""
        return 0.0

    def scale(self, xp: ModuleType, view, axes, grid):
        """Return the scale of each group."""
        return absmax_scale(xp, largest_of(xp, view, axes), grid.maximum)

    def grouped(self, xp: ModuleType, x):
        """Return the array as it is and the axes that share a scale."""
        return x, tuple(range(x.ndim))

    def ungrouped(self, xp: ModuleType, y, shape: tuple[int, ...]):
        """The array of this shape whose groups these are: the inverse of `grouped`."""
        return y


@dataclass(frozen=True, slots=True)
class PerChannel:
    """One scale for each index along one axis.

    Parameters
    ----------
    axis : int
        The axis kept; all others share the scale. For weights of shape (inputs, outputs) -1 is per output channel.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim import INT4, PerChannel, Quantizer
    >>> Quantizer(INT4, PerChannel(-1))(np.float32([[7, 1.4], [70, 14]]))
    array([[10.,  2.],
           [70., 14.]], dtype=float32)
    """

    axis: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", whole("axis", self.axis))

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element: negligible."""
        return 0.0

    def scale(self, xp: ModuleType, view, axes, grid):
        """Return the scale of each group."""
        return absmax_scale(xp, largest_of(xp, view, axes), grid.maximum)

    def grouped(self, xp: ModuleType, x):
        """Return the array as it is and the axes that share a scale."""
        kept = _normal_axis(self.axis, x)
        return x, tuple(i for i in range(x.ndim) if i != kept)

    def ungrouped(self, xp: ModuleType, y, shape: tuple[int, ...]):
        """The array of this shape whose groups these are: the inverse of `grouped`."""
        return y


@dataclass(frozen=True, slots=True)
class PerToken:
    """One scale for each vector along the last axis: for activations of shape (batch, time, width), each token.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim import INT4, PerToken, Quantizer
    >>> Quantizer(INT4, PerToken())(np.float32([[7, 1.4], [70, 14]]))
    array([[ 7.,  1.],
           [70., 10.]], dtype=float32)
    """

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element: negligible."""
        return 0.0

    def scale(self, xp: ModuleType, view, axes, grid):
        """Return the scale of each group."""
        return absmax_scale(xp, largest_of(xp, view, axes), grid.maximum)

    def grouped(self, xp: ModuleType, x):
        """Return the array as it is and the axes that share a scale."""
        return x, (_normal_axis(-1, x),)

    def ungrouped(self, xp: ModuleType, y, shape: tuple[int, ...]):
        """The array of this shape whose groups these are: the inverse of `grouped`."""
        return y


@dataclass(frozen=True, slots=True)
class PerBlock:
    """One scale for each run of `size` consecutive elements along one axis; the last block may be shorter.

    Parameters
    ----------
    size : int
        Elements in a block, k >= 1.
    axis : int
        The axis that is cut into blocks.
    scale_format : Format, optional
        None: a float32 scale for each block. E8M0: a power of two, found by `rule`.
    rule : ScaleRule
        For E8M0 scales; FLOOR is that of OCP MX 1.0.
    rows : int
        Rows that share a block's scale: 128 with a size of 128 makes the square tiles of DeepSeek-V3's weights, whose
        transposes are quantized alike. Above 1: blocks along the last axis of arrays with two axes or more.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim import E8M0, FP4_E2M1, PerBlock, Quantizer
    >>> Quantizer(FP4_E2M1, PerBlock(2, scale_format=E8M0))(np.float32([7.5, 1.0, 0.3, 0.1]))
    array([6.     , 1.     , 0.25   , 0.09375], dtype=float32)
    """

    size: int
    axis: int = -1
    scale_format: Format | None = None
    rule: ScaleRule = ScaleRule.FLOOR
    rows: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", whole("axis", self.axis))
        object.__setattr__(self, "size", whole("the size of a block", self.size, low=1))
        object.__setattr__(self, "rows", whole("rows of a block", self.rows, low=1))
        if self.rows > 1 and self.axis != -1:
            raise ValueError(f"blocks of several rows lie along the last axis; received axis={self.axis}")
        if not isinstance(self.rule, ScaleRule):
            raise ValueError(f"rule must be a member of ScaleRule; received {self.rule!r}")
        if self.scale_format is None:
            if self.rule is not ScaleRule.FLOOR:
                raise ValueError(f"a float32 scale is max|x| / maximum; {self.rule} is for scale_format=E8M0")
        elif not isinstance(self.scale_format, Format) or self.scale_format.specials is not Specials.SCALE:
            raise ValueError(f"scale_format is None (float32) or E8M0; received {self.scale_format!r}")

    @property
    def scale_bits(self) -> float:
        """Storage bits of scales for each element."""
        return (32 if self.scale_format is None else self.scale_format.bits) / (self.size * self.rows)

    def scale(self, xp: ModuleType, view, axes, grid):
        """Return the scale of each block."""
        largest = largest_of(xp, view, axes)
        if self.scale_format is None:
            return absmax_scale(xp, largest, grid.maximum)
        if self.rule is ScaleRule.SPREAD:
            return _spread_scale(xp, view, axes, grid)
        return power_scale(xp, largest, grid, self.rule)

    def grouped(self, xp: ModuleType, x):
        """Return the array with the blocks as axes of their own (padded with zeros) and those axes."""
        axis = _normal_axis(self.axis, x)
        moved = xp.moveaxis(x, axis, -1)
        rest, length = moved.shape[:-1], moved.shape[-1]
        pad = -length % self.size
        if pad:
            moved = xp.concatenate([moved, xp.zeros((*rest, pad), moved.dtype)], axis=-1)
        view = moved.reshape(*rest, (length + pad) // self.size, self.size)
        return (view, (moved.ndim,)) if self.rows == 1 else self._stacked(xp, view, x.shape)

    def _stacked(self, xp: ModuleType, view, shape: tuple[int, ...]):
        """Blocks of several rows, from those of one."""
        if len(shape) < 2:
            raise ValueError(f"blocks of {self.rows} rows need an array of two axes; received shape {shape}")
        pad = -view.shape[-3] % self.rows
        if pad:
            filler = xp.zeros((*view.shape[:-3], pad, *view.shape[-2:]), view.dtype)
            view = xp.concatenate([view, filler], axis=-3)
        view = view.reshape(*view.shape[:-3], view.shape[-3] // self.rows, self.rows, *view.shape[-2:])
        return view, (view.ndim - 3, view.ndim - 1)

    def ungrouped(self, xp: ModuleType, y, shape: tuple[int, ...]):
        """Undo `grouped` for an array that had this shape."""
        if self.rows > 1:
            y = y.reshape(*y.shape[:-4], y.shape[-4] * self.rows, *y.shape[-2:])[..., : shape[-2], :, :]
        axis = self.axis % len(shape)
        flat = y.reshape(*y.shape[:-2], -1)[..., : shape[axis]]
        return xp.moveaxis(flat, -1, axis)
