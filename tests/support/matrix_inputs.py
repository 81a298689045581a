"""Seeded factors for matrix units: the same on every machine, by NumPy's PCG64."""

from __future__ import annotations

import enum

import numpy as np

from precsim.numerics import FP16, Format, decode, round_to


class Kind(enum.Enum):
    """What the factors look like."""

    BITS = "all bit patterns alike, infinities, NaN and subnormals among them"
    FINITE = "all bit patterns alike, without infinities and NaN"
    NORMAL = "standard normal numbers, rounded"
    CANCELLING = "each product twice with opposite signs, one of them changed in its last bits"
    LOPSIDED = "one large factor in a row of tiny ones"
    TINY = "products about the smallest numbers that the accumulator holds"
    HUGE = "products about the largest numbers that the accumulator holds"
    PAIRS = "one product: every pair of codes of formats of 8 bits"


def factors(kind: Kind, left: Format, right: Format, shape: tuple[int, int, int], rng: np.random.Generator):
    """Return a (m, K) and b (K, n) as float32 values of the two formats."""
    m, depth, n = shape
    if kind is Kind.PAIRS:
        a, b = np.zeros((m, depth), np.float32), np.zeros((depth, n), np.float32)
        a[:, 0], b[0] = _codes(np.arange(m) % 256, left), _codes(np.arange(n) % 256, right)
        return a, b
    a, b = _one(kind, left, (m, depth), rng), _one(kind, right, (n, depth), rng)
    if kind is Kind.CANCELLING and depth > 1:
        half = depth // 2
        a[:, half : 2 * half] = -a[:, :half]
        b[:, half : 2 * half] = b[:, :half]
        b[:, half] = _one(Kind.NORMAL, right, (n,), rng)
        order = rng.permutation(depth)
        a, b = a[:, order], b[:, order]
    return np.ascontiguousarray(a), np.ascontiguousarray(b.T)


def _one(kind: Kind, fmt: Format, shape, rng: np.random.Generator) -> np.ndarray:
    if kind is Kind.BITS or kind is Kind.FINITE:
        values = _codes(rng.integers(2**fmt.bits, size=shape, dtype=np.uint32), fmt)
        if kind is Kind.FINITE:
            values[~np.isfinite(values)] = 1.0
        return values
    normal = rng.standard_normal(shape).astype(np.float32)
    if kind is Kind.LOPSIDED:
        normal *= np.float32(2) ** -rng.integers(0, 24, shape).astype(np.float32)
        normal[..., 0] = 2.0 ** rng.integers(0, 8)
    elif kind is Kind.TINY:
        low = -13 if fmt is FP16 else fmt.emin if fmt.bits <= 8 else -72
        normal *= np.float32(2) ** (low + rng.integers(-4, 8, shape)).astype(np.float32)
    elif kind is Kind.HUGE:
        normal *= np.float32(2) ** (min(fmt.emax - 2, 62) - rng.integers(0, 4, shape)).astype(np.float32)
    return round_to(normal, fmt, saturate=True)


def _codes(codes: np.ndarray, fmt: Format) -> np.ndarray:
    size = 1 if fmt.bits <= 8 else 2 if fmt.bits <= 16 else 4
    return decode(codes.astype(f"u{size}"), fmt).astype(np.float32)


def accumulators(kind: Kind, half: bool, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return accumulators to start from, of the size that the sums of the same kind have: float32 or float16."""
    code, real = (np.uint16, np.float16) if half else (np.uint32, np.float32)
    if kind in (Kind.BITS, Kind.FINITE):
        values = rng.integers(2 ** (16 if half else 32), size=shape, dtype=np.uint64).astype(code).view(real)
        return np.where(np.isfinite(values), values, real(1)) if kind is Kind.FINITE else values
    spread = rng.integers(-12, 6, shape)
    if kind is Kind.TINY:
        spread = (-16 if half else -135) + rng.integers(-8, 12, shape)
    elif kind is Kind.HUGE:
        spread = (13 if half else 124) + rng.integers(-6, 3, shape)
    with np.errstate(over="ignore", under="ignore"):
        return (rng.standard_normal(shape) * 2.0**spread).astype(real)
