"""What a quantizer leaves to be stored: codes, scales, zero points, and how they lie in bytes.

Codes are packed with the first element in the low bits: two FP4 numbers to a byte, the earlier in the low half, as
torchao and TransformerEngine store them; scales of blocks are one byte each (E8M0 or E4M3), rows first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.binary_format import Format
from precsim.numerics.codebook import Codebook
from precsim.numerics.double_block import DoubleBlock
from precsim.numerics.formats import E8M0, FP8_E4M3
from precsim.numerics.modes import NanRule
from precsim.numerics.rounding import decode, encode
from precsim.numerics.scaling import (
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    absmax_scale,
    affine_scale,
    largest_of,
    reciprocal,
)
from precsim.numerics.two_level import TwoLevel, TwoLevelRule

__all__ = ["Layout", "Quantized", "Scaling", "pack", "store", "unpack"]

Scaling = PerTensor | PerChannel | PerToken | PerBlock | TwoLevel | DoubleBlock


@dataclass(frozen=True, slots=True)
class Layout:
    """How stored codes are to be read: the format, which of them share a scale, the array's shape, zero points or not.

    Parameters
    ----------
    format : Format or Codebook
    scaling : Scaling
    shape : tuple of int
    symmetric : bool
    """

    format: Format | Codebook
    scaling: Scaling
    shape: tuple[int, ...]
    symmetric: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """An array as it is stored. Two are equal if their codes, scales, zero points and layouts are.

    Parameters
    ----------
    codes : unsigned integer array, shape of the array
        One code an element; `packed` gives the bytes.
    scales : float array, or uint8 codes of E8M0 (`PerBlock`), E4M3 (`TwoLevel`) or the dynamic map (`DoubleBlock`)
        One for each group, in the shape of the groups: () per tensor, (channels,), (..., blocks).
    zero_points : int32 array, shape of scales, or None
    layout : Layout
    tensor_scale : float32, optional
        `TwoLevel`: the scale of the array. `DoubleBlock`: the mean of the scales.
    outer_scales : float32 array, (runs,), optional
        `DoubleBlock`: one for each run of scales.
    """

    codes: NDArray[np.unsignedinteger]
    scales: NDArray[Any]
    zero_points: NDArray[np.int32] | None
    layout: Layout
    tensor_scale: np.float32 | None = None
    outer_scales: NDArray[np.float32] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantized):
            return NotImplemented
        same = self.layout == other.layout and self.tensor_scale == other.tensor_scale
        pairs = [(self.codes, other.codes), (self.scales, other.scales)]
        if self.zero_points is not None and other.zero_points is not None:
            pairs.append((self.zero_points, other.zero_points))
        if self.outer_scales is not None and other.outer_scales is not None:
            pairs.append((self.outer_scales, other.outer_scales))
        return same and all(np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # pyright: ignore[reportAssignmentType] - arrays can change

    def decode(self) -> NDArray[np.floating]:
        """Return the numbers, in the shape and dtype of the array that was encoded."""
        fmt, scaling = self.layout.format, self.layout.scaling
        if self.codes.size == 0:
            return np.zeros(self.layout.shape, self._dtype)
        codes: Any = scaling.grouped(np, self.codes)[0]
        if isinstance(fmt, Codebook):
            values = fmt.values()[codes]
        else:
            values = decode(codes, fmt, dtype=self._dtype)
        scale = self.step()
        if self.zero_points is not None:
            values = values - self._spread(self.zero_points).astype(values.dtype)
        return scaling.ungrouped(np, values * scale, self.layout.shape)

    def step(self) -> NDArray[np.floating]:
        """Return the factor of each group, in a shape that broadcasts over the grouped codes."""
        scaling = self.layout.scaling
        if isinstance(scaling, TwoLevel):
            assert self.tensor_scale is not None
            return self._spread(decode(self.scales, FP8_E4M3)) * self.tensor_scale
        if isinstance(scaling, DoubleBlock):
            assert self.outer_scales is not None
            assert self.tensor_scale is not None
            return self._spread(scaling.restored(np, self.scales, self.outer_scales, self.tensor_scale))
        if isinstance(scaling, PerBlock) and scaling.scale_format is not None:
            return self._spread(decode(self.scales, E8M0)).astype(self._dtype)
        return self._spread(self.scales)

    @property
    def _dtype(self) -> np.dtype:
        return self.scales.dtype if self.scales.dtype == np.float64 else np.dtype(np.float32)

    def _spread(self, groups: NDArray[Any]) -> NDArray[Any]:
        view, axes = self.layout.scaling.grouped(np, np.broadcast_to(np.uint8(0), self.layout.shape))
        return groups.reshape([1 if n in axes else size for n, size in enumerate(view.shape)])

    @property
    def nbytes(self) -> int:
        """Bytes of the packed codes, of the scales and zero points."""
        whole = -(-self.layout.format.bits * self._row // 8) * (self.codes.size // self._row if self._row else 0)
        points = 0 if self.zero_points is None else -(-self.zero_points.size * self.layout.format.bits // 8)
        outer = 0 if self.outer_scales is None else self.outer_scales.nbytes
        return whole + self.scales.nbytes + points + outer + (0 if self.tensor_scale is None else 4)

    @property
    def _row(self) -> int:
        return self.layout.shape[-1] if self.layout.shape else 1

    def packed(self) -> NDArray[np.uint8]:
        """Return the codes as bytes, each row of the last axis by itself: shape (..., ceil(n * bits / 8))."""
        return pack(self.codes, self.layout.format.bits)


def pack(codes: NDArray[np.unsignedinteger], bits: int) -> NDArray[np.uint8]:
    """Return codes without gaps, the first of each row in the lowest bits; rows end at whole bytes.

    Examples
    --------
    >>> pack(np.uint8([1, 2, 15, 0]), 4)
    array([33, 15], dtype=uint8)
    """
    if bits in (8, 16, 32):
        wide = np.ascontiguousarray(np.atleast_1d(codes).astype(f"<u{bits // 8}"))
        return wide.view(np.uint8)
    rows = np.atleast_1d(codes)
    if bits == 4 and rows.shape[-1] % 2 == 0:
        return (rows[..., ::2] | rows[..., 1::2] << 4).astype(np.uint8)
    digits = (rows[..., None] >> np.arange(bits, dtype=rows.dtype)) & rows.dtype.type(1)
    return np.packbits(digits.astype(np.uint8).reshape(*rows.shape[:-1], -1), axis=-1, bitorder="little")


def unpack(data: NDArray[np.uint8], bits: int, n: int) -> NDArray[np.unsignedinteger]:
    """Return the codes of rows of n elements from their bytes; the inverse of `pack`.

    Examples
    --------
    >>> unpack(np.uint8([33, 15]), 4, 4)
    array([ 1,  2, 15,  0], dtype=uint8)
    """
    kind = next(np.dtype(f"u{size}") for size in (1, 2, 4) if 8 * size >= bits)
    if data.dtype != np.uint8 or data.shape[-1] != -(-n * bits // 8):
        raise ValueError(
            f"{n} codes of {bits} bits are {-(-n * bits // 8)} bytes a row; received {data.shape}, {data.dtype}"
        )
    digits = np.unpackbits(data, axis=-1, count=n * bits, bitorder="little").reshape(*data.shape[:-1], n, bits)
    return (digits.astype(kind) << np.arange(bits, dtype=kind)).sum(axis=-1, dtype=kind)


def store(x: NDArray[np.floating], layout: Layout, scales: Any = None) -> Quantized:
    """Encode a float32 or float64 array as a quantizer with this layout rounds it; see `Quantizer.encode`."""
    if not np.isfinite(x).all():
        raise ValueError(f"infinity and NaN are not stored in scaled formats; x holds {int((~np.isfinite(x)).sum())}")
    fmt, scaling = layout.format, layout.scaling
    fixed = not isinstance(scaling, TwoLevel | DoubleBlock) and layout.symmetric
    if scales is not None and not fixed:
        raise ValueError(f"scales are given where there is one for each group and no zero point; received {layout}")
    view, axes = scaling.grouped(np, x)
    groups = tuple(1 if n in axes else size for n, size in enumerate(view.shape))
    kept = tuple(size for n, size in enumerate(view.shape) if n not in axes)
    if x.size == 0:
        return Quantized(np.zeros(x.shape, np.uint8), np.zeros(kept, x.dtype), None, layout)
    tensor, zero_points, outer = None, None, None
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(scaling, TwoLevel):
            codes, scale, tensor = _two_level(view, axes, fmt, scaling)
            held = encode(scale, FP8_E4M3)
        elif isinstance(scaling, DoubleBlock):
            first = absmax_scale(np, largest_of(np, view, axes), fmt.maximum)
            codes = _codes(view * reciprocal(np, first), fmt)
            held, outer, tensor = scaling.parts(np, first)
        elif not layout.symmetric:
            assert isinstance(fmt, Format)  # a codebook has no zero point
            grid = fmt.grid()
            scale, zero = affine_scale(np, view, axes, grid)
            code = np.clip(np.round(view * reciprocal(np, scale)) + zero, -np.float32(grid.minimum), grid.maximum)
            codes, held, zero_points = encode(code.astype(x.dtype), fmt), scale, zero.astype(np.int32).reshape(kept)
        else:
            scale = _given(scales, groups, kept, x.dtype) if scales is not None else _found(view, axes, layout)
            codes = _codes(view * reciprocal(np, scale), fmt)
            power = isinstance(scaling, PerBlock) and scaling.scale_format is not None
            if power and scales is not None and (np.frexp(scale)[0] != 0.5).any():
                raise ValueError(f"scales of {scaling} are powers of two; received {scales!r}")
            held = encode(scale, E8M0) if power else scale
    codes = scaling.ungrouped(np, codes, x.shape)
    return Quantized(np.ascontiguousarray(codes), held.reshape(kept), zero_points, layout, tensor, outer)


def _found(view, axes, layout: Layout):
    if isinstance(layout.format, Codebook):
        return absmax_scale(np, largest_of(np, view, axes), layout.format.maximum)
    return layout.scaling.scale(np, view, axes, layout.format.grid())  # pyright: ignore[reportAttributeAccessIssue]


def _given(scales, groups: tuple[int, ...], kept: tuple[int, ...], dtype: np.dtype):
    given = np.asarray(scales, dtype)
    if given.shape not in (kept, ()):
        raise ValueError(f"one scale for each group has shape {kept}; received {given.shape}")
    if not (np.isfinite(given) & (given >= 2.0**-126)).all():
        raise ValueError(f"scales are finite and at least 2**-126; received {scales!r}")
    return np.broadcast_to(given, kept).reshape(groups)


def _codes(y, fmt: Format | Codebook):
    if isinstance(fmt, Codebook):
        place = np.searchsorted(fmt.midpoints(), y.reshape(-1), side="left").reshape(y.shape)
        return place.astype(np.uint8 if fmt.bits <= 8 else np.uint16)
    nan = None if fmt.has_nan else NanRule.ZERO
    return encode(y, fmt, saturate=True, nan=nan)


def _two_level(view, axes, fmt: Format | Codebook, scaling: TwoLevel):
    assert isinstance(fmt, Format)
    if scaling.rule is TwoLevelRule.EXACT:
        place, scale, shared = scaling.places(np, view, axes)
        return (np.abs(place) | np.where(view < 0, 8, 0)).astype(np.uint8), scale, np.float32(np.ravel(shared)[0])
    inverse, scale, shared = scaling.parts(np, view, axes, fmt.grid())
    return _codes(view * inverse, fmt), scale, np.float32(np.ravel(shared)[0])
