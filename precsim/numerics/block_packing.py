"""Reading and writing the blocks of `block_layouts`: bytes to float32, and back where llama.cpp does so plainly.

Bit for bit what the package ``gguf`` gives, which follows llama.cpp.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from precsim.numerics.block_layouts import Bits, BlockLayout, Choice, Numbers
from precsim.numerics.inputs import as_numbers

__all__ = ["decode_blocks", "encode_blocks"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def decode_blocks(data: Bytes, layout: BlockLayout) -> Floats:
    """Return the numbers of blocks.

    Parameters
    ----------
    data : uint8 array, shape (..., blocks * layout.block_bytes)
    layout : BlockLayout

    Returns
    -------
    float32 array, shape (..., blocks * layout.size)

    Raises
    ------
    ValueError
        If data are no bytes or no whole blocks.

    Examples
    --------
    >>> from precsim.numerics.block_layouts import Q4_0
    >>> half = np.array([0.5], np.float16).view(np.uint8)
    >>> decode_blocks(np.concatenate([half, np.full(16, 0x9F, np.uint8)]), Q4_0)[[0, 16]]
    array([3.5, 0.5], dtype=float32)
    """
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim == 0:
        raise ValueError(f"blocks are uint8 arrays; received {getattr(data, 'dtype', type(data).__name__)}")
    if data.shape[-1] % layout.block_bytes:
        raise ValueError(f"a block of {layout} has {layout.block_bytes} bytes; received rows of {data.shape[-1]}")
    shape = (*data.shape[:-1], data.shape[-1] // layout.block_bytes * layout.size)
    fields = _split(np.ascontiguousarray(data).reshape(-1, layout.block_bytes), layout)
    code = _read(fields, layout.codes)
    if layout.levels is not None:
        number = np.array(layout.levels, np.float32)[code]
    else:
        number = _signed(code, layout.signed) - np.float32(layout.offset)
    scale = _power(fields["e"]) if "e" in fields else _half(fields["d"])
    if layout.steps is not None:
        step = _signed(_read(fields, layout.steps), layout.signed_steps) - np.float32(layout.step_offset)
        scale = scale * step
    groups = number.reshape(len(number), scale.shape[1], -1)
    with np.errstate(invalid="ignore", over="ignore"):  # a scale may be infinite or NaN: so is its block
        groups = scale[:, :, None] * groups
        if layout.lows is not None:
            groups = groups - (_half(fields["dmin"]) * _read(fields, layout.lows).astype(np.float32))[:, :, None]
        elif "m" in fields:
            groups = groups + _half(fields["m"])[:, :, None]
    return groups.reshape(shape)


def encode_blocks(x: ArrayLike, layout: BlockLayout) -> Bytes:
    """Return numbers stored as blocks along the last axis.

    Parameters
    ----------
    x : array_like, finite, shape (..., blocks * layout.size)
        Rounded to float32 first.
    layout : BlockLayout
        One with a `Choice`: the K layouts and IQ4_NL are only decoded, since llama.cpp searches for their scales.

    Returns
    -------
    uint8 array, shape (..., blocks * layout.block_bytes)

    Raises
    ------
    ValueError
        If the layout is only decoded, rows are no whole blocks, or a number is not finite.

    Notes
    -----
    Equal to ``gguf`` in every byte, with one exception: the exponent of MXFP4 is read from the bits of the block's
    largest magnitude, where ``gguf`` takes a float32 logarithm, which is one too large just below a power of two.
    """
    if layout.choice is None:
        raise ValueError(f"{layout} is decoded only: its scales are found by a search in llama.cpp")
    numbers = np.asarray(as_numbers(x), np.float32)
    if numbers.ndim == 0 or numbers.shape[-1] % layout.size:
        raise ValueError(f"blocks of {layout} have {layout.size} elements; received shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{layout} has no code for infinity or NaN; x holds {int((~np.isfinite(numbers)).sum())}")
    blocks = numbers.reshape(-1, layout.size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        fields, code = _CHOICES[layout.choice](blocks, layout)
    fields |= {
        name: np.zeros((len(blocks), size), np.uint8) for name, size in layout.fields.items() if name not in fields
    }
    _write(fields, layout.codes, code)
    packed = np.concatenate([fields[name] for name in layout.fields], axis=1)
    return packed.reshape(*numbers.shape[:-1], numbers.shape[-1] // layout.size * layout.block_bytes)


def _split(blocks: Bytes, layout: BlockLayout) -> dict[str, Bytes]:
    ends = np.cumsum(list(layout.fields.values()))[:-1]
    return dict(zip(layout.fields, np.split(blocks, ends, axis=1), strict=True))


def _read(fields: dict[str, Bytes], numbers: Numbers) -> Bytes:
    """The numbers of each block, shape (blocks, count), uint8."""
    pieces = []
    for piece in numbers:
        total: Bytes | None = None
        for part in piece:
            found = (_spread(fields[part.field], part) & np.uint8(2**part.width - 1)) << np.uint8(part.place)
            found = found.reshape(len(found), -1)
            total = found if total is None else total | found
        pieces.append(total)
    return np.concatenate(pieces, axis=1)


def _spread(field: Bytes, part: Bits) -> Bytes:
    shifts = np.array(part.shifts, np.uint8).reshape(1, 1, -1, 1)
    return field.reshape(len(field), -1, 1, part.chunk) >> shifts


def _write(fields: dict[str, Bytes], numbers: Numbers, code: Bytes) -> None:
    """Put the codes where `_read` finds them; one piece."""
    (piece,) = numbers
    for part in piece:
        bits = (code >> np.uint8(part.place)) & np.uint8(2**part.width - 1)
        shifts = np.array(part.shifts, np.uint8).reshape(1, 1, -1, 1)
        moved = bits.reshape(len(code), -1, len(part.shifts), part.chunk) << shifts
        fields[part.field] = fields[part.field] | np.bitwise_or.reduce(moved, axis=2).reshape(len(code), -1)


def _signed(code: Bytes, signed: bool) -> Floats:
    return (code.view(np.int8) if signed else code).astype(np.float32)


def _half(field: Bytes) -> Floats:
    return np.ascontiguousarray(field).view(np.float16).astype(np.float32)


def _as_half(value: NDArray[np.floating]) -> Bytes:
    return value.astype(np.float16).view(np.uint8)


def _power(field: Bytes) -> Floats:
    """Half of 2**(code - 127), for the doubled values of MXFP4; codes 0 and 1 are subnormal numbers."""
    code = field.astype(np.uint32)
    return np.where(code < 2, np.uint32(0x00200000) << code, (code - np.uint32(1)) << np.uint32(23)).view(np.float32)


def _reciprocal(d: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.where(d == 0, np.float32(0), 1 / d)


def _down(y: NDArray[np.floating], top: int) -> Bytes:
    return np.trunc(y).astype(np.uint8).clip(0, top)


def _extreme(blocks: Floats, layout: BlockLayout) -> tuple[dict[str, Bytes], Bytes]:
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    d = farthest / -layout.offset
    code = _down(blocks * _reciprocal(d) + np.float32(layout.offset + 0.5), 2**layout.code_bits - 1)
    return {"d": _as_half(d)}, code


def _absolute(blocks: Floats, layout: BlockLayout) -> tuple[dict[str, Bytes], Bytes]:
    d = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    scaled = blocks * _reciprocal(d)
    size = np.abs(scaled)
    whole = np.floor(size) + np.floor(2 * (size - np.floor(size)))
    return {"d": _as_half(d)}, (np.sign(scaled) * whole).astype(np.int8).view(np.uint8)


def _range(blocks: Floats, layout: BlockLayout) -> tuple[dict[str, Bytes], Bytes]:
    low, top = blocks.min(axis=1, keepdims=True), 2**layout.code_bits - 1
    d = (blocks.max(axis=1, keepdims=True) - low) / top
    code = _down((blocks - low) * _reciprocal(d) + np.float32(0.5), top)
    return {"d": _as_half(d), "m": _as_half(low)}, code


def _powers(blocks: Floats, layout: BlockLayout) -> tuple[dict[str, Bytes], Bytes]:
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    exponent = np.where(largest > 0, np.frexp(largest)[1] - 1 - 2 + 127, 0).clip(0, 254).astype(np.uint8)
    levels = np.array(layout.levels, np.float32)[:8]
    edges = (levels[:-1] + levels[1:]) / 2 * _power(exponent)[..., None]
    code = (np.abs(blocks)[..., None] > edges).sum(axis=-1).astype(np.uint8)
    return {"e": exponent}, np.where((blocks < 0) & (code > 0), code + np.uint8(8), code)


_CHOICES = {
    Choice.EXTREME: _extreme,
    Choice.ABSOLUTE: _absolute,
    Choice.RANGE: _range,
    Choice.POWER: _powers,
}
