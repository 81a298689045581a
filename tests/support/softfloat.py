"""Berkeley SoftFloat's conversions of operands like TestFloat's, as digests that need no SoftFloat to compare with.

``python tests/softfloat.py`` (with the package softfloatpy) writes reference/softfloat.csv. Operands: both signs, every
exponent, and significands of one run of ones or zeros at either end or one bit alone, which meet every carry, tie and
boundary; and random bit patterns. NaN is left out: what payload it keeps is SoftFloat's choice of machine.
"""

from __future__ import annotations

import csv
import hashlib
from typing import NamedTuple

import numpy as np
from support.places import REFERENCE

VECTORS = REFERENCE / "softfloat.csv"
#: SoftFloat's modes and the names of ours.
MODES = {
    "NEAR_EVEN": "NEAREST_EVEN", "NEAR_MAX_MAG": "NEAREST_AWAY", "MIN_MAG": "TOWARD_ZERO", "MAX": "UP", "MIN": "DOWN",
}  # fmt: skip
CONVERSIONS = {"f32_to_f16": "FP16", "f32_to_bf16": "BF16", "f64_to_f16": "FP16", "f64_to_f32": "FP32"}


class Row(NamedTuple):
    """One conversion in one mode."""

    conversion: str
    mode: str
    cases: int
    sha256: str


def cases(dtype: type) -> np.ndarray:
    """Return the operands of a dtype, without NaN."""
    stored, exponents, kind = (23, 256, np.uint32) if dtype is np.float32 else (52, 2048, np.uint64)
    ends = [(1 << k) - 1 for k in range(stored + 1)]
    full = ends[-1]
    runs = {
        *ends,
        *(full ^ e for e in ends),
        *(1 << k for k in range(stored)),
        *(full ^ (1 << k) for k in range(stored)),
    }
    significands = np.array(sorted(runs), kind)
    whole = (np.arange(2 * exponents, dtype=kind)[:, None] << kind(stored)) | significands
    drawn = np.random.Generator(np.random.PCG64(2)).integers(
        np.iinfo(kind).max, size=200_000, dtype=kind, endpoint=True
    )
    x = np.concatenate([whole.ravel(), drawn]).view(dtype)
    return x[~np.isnan(x)]


def digest(codes: np.ndarray) -> str:
    """SHA-256 of codes, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(codes).astype(codes.dtype.newbyteorder("<")).tobytes()).hexdigest()


def rows() -> list[Row]:
    """Return the stored digests."""
    with VECTORS.open(newline="") as file:
        return [Row(r["conversion"], r["mode"], int(r["cases"]), r["sha256"]) for r in csv.DictReader(file)]


def _make() -> list[Row]:
    import softfloatpy

    made = []
    for name in CONVERSIONS:
        wide = np.float32 if name.startswith("f32") else np.float64
        size = np.dtype(wide).itemsize
        kind = softfloatpy.Float32 if size == 4 else softfloatpy.Float64
        raw = cases(wide).astype(np.dtype(wide).newbyteorder(">")).tobytes()  # from_bytes takes the first byte first
        operands = [kind.from_bytes(raw[i : i + size]) for i in range(0, len(raw), size)]
        convert = getattr(softfloatpy, name)
        for mode in MODES:
            softfloatpy.set_rounding_mode(softfloatpy.RoundingMode[mode])
            result = b"".join(convert(operand).to_bytes() for operand in operands)
            width = len(result) // len(operands)
            made.append(
                Row(name, mode, len(operands), digest(np.frombuffer(result, f">u{width}").astype(f"<u{width}")))
            )
    return made


if __name__ == "__main__":
    with VECTORS.open("w", newline="") as output:
        writer = csv.writer(output, lineterminator="\n")
        writer.writerows([Row._fields, *_make()])
