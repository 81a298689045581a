"""Reading tensors of a safetensors or GGUF file: mapped into memory, every size and offset checked, nothing executed.

Only what is needed to find the numbers is read: names, shapes, types, offsets. Other metadata of GGUF is stepped over.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.block_layouts import LAYOUTS, BlockLayout
from precsim.numerics.block_packing import decode_blocks
from precsim.numerics.formats import BF16, FP8_E4M3, FP8_E5M2
from precsim.numerics.rounding import decode

__all__ = ["Checkpoint", "Tensor", "open_checkpoint"]

Bytes = NDArray[np.uint8]
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
_MOST = 1_000_000  # tensors or metadata entries; refused above, before anything is allocated

#: Types of safetensors: bytes of an element, and the NumPy dtype or format it is read as (None: no weights).
_TYPES = {
    "F64": (8, np.dtype("<f8")), "F32": (4, np.dtype("<f4")), "F16": (2, np.dtype("<f2")), "BF16": (2, BF16),
    "F8_E4M3": (1, FP8_E4M3), "F8_E5M2": (1, FP8_E5M2),
    **{name: (size, None) for name, size in {
        "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
    }.items()},
}  # fmt: skip
#: Plain types of GGUF by number, under the names above.
_PLAIN = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
_BLOCKS = {layout.number: layout for layout in LAYOUTS.values()}


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor of a file, not read yet.

    Parameters
    ----------
    name : str
    shape : tuple of int
        The last axis is contiguous in the file.
    stored : str
        Type in the file: "BF16", "Q4_K", ...
    path : Path
    offset, nbytes : int
        Where its bytes lie in the file.
    """

    name: str
    shape: tuple[int, ...]
    stored: str
    path: Path
    offset: int
    nbytes: int

    @property
    def size(self) -> int:
        """Number of elements of the tensor: the product of its shape."""
        return math.prod(self.shape)

    @property
    def has_numbers(self) -> bool:
        """Whether it holds real numbers of a type known here; integers and booleans are no weights."""
        return self.stored in LAYOUTS or (_TYPES.get(self.stored, (0, None))[1] is not None)

    def rows(self, count: int) -> Iterator[NDArray[np.float32]]:
        """Yield the numbers in pieces of whole rows: float32, shape (rows, last axis), about `count` elements each."""
        width = self.shape[-1] if self.shape else 1
        if not self.size:
            return
        rows = self.size // width
        row_bytes = self.nbytes // rows
        step = max(1, count // width)
        for start in range(0, rows, step):
            # each piece is mapped by itself, so that what was read does not stay in memory: 4,000 maps of a gigabyte
            # take half a second, and the whole file would count as ours
            shape = (min(step, rows - start), row_bytes)
            piece = np.memmap(self.path, np.uint8, "r", offset=self.offset + start * row_bytes, shape=shape)
            yield _numbers(piece, self.stored).reshape(-1, width)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The tensors of a file in the order of their names there.

    Parameters
    ----------
    path : Path
    kind : str
        "safetensors" or "GGUF".
    tensors : tuple of Tensor
    """

    path: Path
    kind: str
    tensors: tuple[Tensor, ...]


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Map a checkpoint into memory and return its tensors; reads the header only.

    Raises
    ------
    ValueError
        If the file is neither safetensors nor GGUF, or a size or offset in it cannot be.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if path.stat().st_size < 8:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are no checkpoint")
    data = np.memmap(path, np.uint8, mode="r")
    try:
        if bytes(data[:4]) == b"GGUF":
            return Checkpoint(path, "GGUF", tuple(_gguf(path, data)))
        return Checkpoint(path, "safetensors", tuple(_safetensors(path, data)))
    except (ValueError, struct.error) as failure:
        raise ValueError(f"{path}: {failure}") from None


def _numbers(data: Bytes, stored: str) -> NDArray[np.float32]:
    if stored in LAYOUTS:
        return decode_blocks(np.ascontiguousarray(data), LAYOUTS[stored])
    size, kind = _TYPES[stored]
    whole = np.ascontiguousarray(data).reshape(-1)
    if isinstance(kind, np.dtype):
        return whole.view(kind).astype(np.float32)
    assert kind is not None
    return np.asarray(decode(whole.view(f"<u{size}"), kind, dtype=np.float32), np.float32)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in the header twice")
    return found


def _safetensors(path: Path, data: Bytes) -> Iterator[Tensor]:
    (length,) = struct.unpack("<Q", bytes(data[:8]))
    if length > min(_LONGEST_HEADER, data.size - 8):
        raise ValueError(f"neither GGUF nor safetensors: a header of {length} bytes does not fit {data.size}")
    try:
        header = json.loads(bytes(data[8 : 8 + length]), object_pairs_hook=_once)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("neither GGUF nor safetensors: the header is no JSON") from None
    if not isinstance(header, dict):
        raise ValueError("the header is no table of tensors")
    size, ends = data.size - 8 - length, 0
    entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
    for name, entry in entries:
        if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
            raise ValueError(f"tensor {name!r} needs dtype, shape and data_offsets; received {entry!r}")
    for name, entry in sorted(entries, key=lambda item: _offsets(*item)):
        first, last = _offsets(name, entry)
        shape, stored = entry["shape"], entry["dtype"]
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"tensor {name!r} has shape {shape!r}")
        if first != ends or last > size or last < first:
            raise ValueError(f"tensor {name!r} lies at {first} to {last}, not from {ends} on within {size} bytes")
        ends = last
        if stored in _TYPES and last - first != math.prod(shape) * _TYPES[stored][0]:
            raise ValueError(f"tensor {name!r} of {stored} and shape {shape} has {last - first} bytes")
        yield Tensor(name, tuple(shape), str(stored), path, 8 + length + first, last - first)
    if ends != size:
        raise ValueError(f"{size - ends} bytes at the end belong to no tensor")


def _offsets(name: str, entry: dict) -> tuple[int, int]:
    offsets = entry["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int and n >= 0 for n in offsets):
        raise ValueError(f"tensor {name!r} has data_offsets {offsets!r}")
    return offsets[0], offsets[1]


class _Reader:
    """Numbers and texts one after the other, never beyond the file."""

    def __init__(self, data: Bytes) -> None:
        self.data, self.place = data, 4

    def take(self, size: int) -> bytes:
        if size > self.data.size - self.place:
            raise ValueError(f"the file ends at {self.data.size}, before the {size} bytes announced at {self.place}")
        self.place += size
        return bytes(self.data[self.place - size : self.place])

    def number(self, kind: str) -> int:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def count(self, what: str) -> int:
        found = self.number("Q")
        if found > _MOST:
            raise ValueError(f"{found} {what} are more than {_MOST}")
        return found

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")


_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST = 8, 9


def _skip(reader: _Reader, kind: int, depth: int = 0) -> int | None:
    """Step over a value of GGUF metadata; the value itself if it is an unsigned 32-bit integer."""
    if kind == _TEXT:
        reader.text()
    elif kind == _LIST:
        inner, count = reader.number("I"), reader.number("Q")
        if depth > 3:
            raise ValueError("lists of metadata are nested too deep")
        if inner in _SIZES:
            reader.take(_SIZES[inner] * count) if count < reader.data.size else reader.take(reader.data.size)
        else:
            for _ in range(count):
                _skip(reader, inner, depth + 1)
    elif kind == 4:
        return reader.number("I")
    elif kind in _SIZES:
        reader.take(_SIZES[kind])
    else:
        raise ValueError(f"metadata of unknown type {kind}")
    return None


def _gguf(path: Path, data: Bytes) -> Iterator[Tensor]:
    reader = _Reader(data)
    version = reader.number("I")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}; versions 2 and 3 (little-endian) are read")
    tensors, entries, alignment = reader.count("tensors"), reader.count("metadata entries"), 32
    for _ in range(entries):
        name = reader.text()
        value = _skip(reader, reader.number("I"))
        if name == "general.alignment" and value is not None:
            alignment = value
    if alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"alignment {alignment} is no power of two")
    infos = []
    for _ in range(tensors):
        name, axes = reader.text(), reader.number("I")
        if axes > 8:
            raise ValueError(f"tensor {name!r} has {axes} axes")
        shape = tuple(reader.number("Q") for _ in range(axes))[::-1]  # the first axis is contiguous there
        infos.append((name, shape, reader.number("I"), reader.number("Q")))
    begin = -(-reader.place // alignment) * alignment
    for name, shape, number, offset in infos:
        layout = _BLOCKS.get(number)
        stored = layout.name if layout else _PLAIN.get(number, f"type {number}")
        size = _stored_bytes(name, shape, stored, layout)
        if offset % alignment or begin + offset + size > data.size:
            raise ValueError(f"tensor {name!r} lies at {offset}, {size} bytes long, in {data.size - begin} bytes")
        yield Tensor(name, shape, stored, path, begin + offset, size)


def _stored_bytes(name: str, shape: tuple[int, ...], stored: str, layout: BlockLayout | None) -> int:
    count = math.prod(shape)
    if layout is None:
        return count * _TYPES[stored][0] if stored in _TYPES else 0
    if not shape or shape[-1] % layout.size:
        raise ValueError(f"tensor {name!r} of {layout} has rows of {shape[-1:]}, not of whole blocks of {layout.size}")
    return count // layout.size * layout.block_bytes
