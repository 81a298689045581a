"""Matrix products with the bits that a matrix unit gives: NumPy arrays in compiled loops, JAX arrays under XLA."""

from __future__ import annotations

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from precsim.numerics.binary_format import Format, Specials
from precsim.numerics.formats import FP16
from precsim.numerics.inputs import as_numbers, is_jax
from precsim.numerics.matrix_unit import BlockScales, Chain, Join, MatrixUnit
from precsim.numerics.modes import NanRule, Rounding
from precsim.numerics.rounding import round_to

__all__ = ["multiply"]

_NAN = {np.float32: 0x7FFFFFFF, np.float16: 0x7FFF}  # the one NaN that the instructions write
_ROWS = 256  # of a piece of work for a thread


def multiply(
    a, b, unit: MatrixUnit, chain: Chain | None = None, *, start=None, scales=None, threads: int = 1
) -> NDArray[np.floating]:
    """Return the product of a and b with the bits that a matrix unit gives; see `precsim.arithmetic.matmul`."""
    chain = _checked_chain(unit, chain, start)
    if is_jax(a) or is_jax(b):
        from precsim.numerics.kernels.alignment_under_jax import multiply_traced

        if scales is not None or threads != 1:
            raise ValueError("scales and threads are for NumPy arrays; received them with a JAX array")
        return multiply_traced(a, b, unit, chain, start)
    left, right = _factors(a, b, unit)
    m, depth, n = *left.shape, right.shape[1]
    parts = chain.parts or (depth,)
    if sum(parts) != depth:
        raise ValueError(f"the lengths in Chain.parts must add up to K = {depth}; received {parts}")
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads must be an integer of at least 1; received {threads!r}")
    work = _prepared(left, right, unit, scales)
    acc = np.zeros((work.tiles, m, _kernels().TILE))
    if start is not None:
        acc[...] = _tiled(_start(start, unit, (m, n)), work.tiles)
    result = np.float16 if unit.output is FP16 else np.float32
    ends = [0, *itertools.accumulate(parts)]
    sums = [_chained(work, acc, ends[i], ends[i + 1], chain.promote, threads) for i in range(len(parts))]
    with np.errstate(over="ignore", invalid="ignore"):
        whole = functools.reduce(np.add, sums).astype(result)  # float32 added in order
    out = np.ascontiguousarray(whole.transpose(1, 0, 2).reshape(m, -1)[:, :n])
    out.view(f"u{out.itemsize}")[np.isnan(out)] = _NAN[result]
    return out


class _Work(NamedTuple):
    """Factors laid out for the kernels: the second one in tiles of columns."""

    unit: MatrixUnit
    rule: tuple
    left: tuple[NDArray, ...]  # values and powers, (m, K); scales and their powers
    right: tuple[NDArray, ...]  # the same in tiles, (tiles, K, TILE)
    odd_rows: NDArray[np.bool_]
    odd_tiles: NDArray[np.bool_]

    @property
    def tiles(self) -> int:
        return self.right[0].shape[0]


def _chained(work: _Work, acc: NDArray, first: int, last: int, promote: int | None, threads: int) -> NDArray:
    """One piece of K: instruction after instruction, promoted or not; float32 in tiles (FP16 sums stay float64)."""
    if promote is None:
        sums = acc.copy()
        _advance(work, sums, first, last, threads)
        return sums if work.unit.output is FP16 else sums.astype(np.float32)
    total = np.zeros(acc.shape, np.float32)
    for k in range(first, last, promote):
        sums = np.zeros(acc.shape)
        _advance(work, sums, k, min(k + promote, last), threads)
        with np.errstate(over="ignore", invalid="ignore"):
            total += sums.astype(np.float32)
    return total


def _advance(work: _Work, acc: NDArray, first: int, last: int, threads: int) -> None:
    pieces = [(t, i) for t in range(work.tiles) for i in range(0, acc.shape[1], _ROWS)]
    if threads == 1 or len(pieces) == 1:
        for t, i in pieces:
            _piece(work, acc[t, i : i + _ROWS], t, i, first, last)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_piece, work, acc[t, i : i + _ROWS], t, i, first, last) for t, i in pieces]:
            done.result()


def _piece(work: _Work, acc: NDArray, tile: int, row: int, first: int, last: int) -> None:
    kernels, unit, rows = _kernels(), work.unit, slice(row, row + _ROWS)
    left, right, terms = [v[rows] for v in work.left], [v[tile] for v in work.right], unit.terms // unit.split
    if unit.scales is not None and unit.scales.exact is not None:
        (a, _, sa, psa), (b, _, sb, psb) = left, right
        odd = bool(work.odd_tiles[tile] or work.odd_rows[rows].any())
        size, exact = unit.scales.size, unit.scales.exact
        kernels.multiply_groups(a, b, sa, psa, sb, psb, odd, acc, first, last, terms, size, exact, work.rule)
        return
    (a, pa), (b, pb) = left[:2], right[:2]
    if unit.join is Join.ALIGNED:
        odd = bool(work.odd_tiles[tile])
        kernels.multiply(a, pa, b, pb, work.odd_rows[rows], odd, acc, first, last, terms, work.rule)
    else:
        pairs = unit.join is Join.AFTER_PAIRS
        kernels.multiply_afterwards(a, pa, b, pb, pairs, acc, first, last, terms, work.rule)


# -- input ---------------------------------------------------------------------------------------------------------


def _checked_chain(unit: MatrixUnit, chain: Chain | None, start) -> Chain:
    chain = Chain() if chain is None else chain
    if not isinstance(chain, Chain):
        raise ValueError(f"chain must be a Chain, for example Chain(promote=128); received {chain!r}")
    if chain.promote is None and len(chain.parts) < 2:
        return chain
    if unit.output is FP16:
        raise ValueError(f"promotion and parts add float32 numbers, and {unit} keeps FP16; received {chain}")
    if start is not None:
        raise ValueError(f"an accumulator to start from belongs to one chain from end to end; received {chain}")
    for length in (*chain.parts[:-1], *([] if chain.promote is None else [chain.promote])):
        if length % unit.terms:
            raise ValueError(f"{unit} takes {unit.terms} products at a time; received a chain cut after {length}")
    return chain


def _factors(a, b, unit: MatrixUnit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with np.errstate(invalid="ignore"):  # what NumPy says of a signaling NaN
        left, right = (np.ascontiguousarray(as_numbers(v), np.float64) for v in (a, b))
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0] or 0 in left.shape + right.shape:
        raise ValueError(f"matmul takes shapes (m, n) and (n, k), none empty; received {left.shape} and {right.shape}")
    for name, values, fmt in (("a", left, unit.left), ("b", right, unit.right)):
        _require(name, values, fmt)
    return left, right


def _require(name: str, values: NDArray[np.float64], fmt: Format) -> None:
    infinite = np.isinf(values)
    if infinite.any() and not fmt.has_infinity:
        raise ValueError(f"{fmt} has no infinity, and {name} holds {int(infinite.sum())}")
    finite = np.where(infinite, 0.0, values)
    same = round_to(finite, fmt, nan=None if fmt.has_nan else NanRule.KEEP)
    wrong = (same != finite) & ~(np.isnan(same) & np.isnan(finite))
    if wrong.any() or (not fmt.has_nan and np.isnan(values).any()):
        example = values[wrong | np.isnan(same)][0]
        raise ValueError(f"{name} must hold values of {fmt}; {example} is not one: use round_to first")


def _start(start, unit: MatrixUnit, shape: tuple[int, int]) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(start, np.ndarray) and start.dtype == np.float16:
            start = start.astype(np.float32)
        values = np.broadcast_to(np.asarray(as_numbers(start), np.float64), shape)
        same = values.astype(np.float16 if unit.output is FP16 else np.float32).astype(np.float64)
    wrong = (same != values) & ~np.isnan(values)
    if wrong.any():
        kind = "float16" if unit.output is FP16 else "float32"
        raise ValueError(f"{unit} starts from {kind} numbers; {values[wrong][0]} is not one")
    return values


def _scales(scales, unit: MatrixUnit, left: NDArray, right: NDArray) -> tuple[NDArray, NDArray]:
    if unit.scales is None:
        raise ValueError(f"{unit} has no block scales; received scales")
    if not isinstance(scales, tuple) or len(scales) != 2:
        raise ValueError(f"{unit} needs scales=(of a, of b); received {scales!r}")
    blocks: BlockScales = unit.scales
    depth = left.shape[1]
    if depth % blocks.size:
        raise ValueError(f"K must be a multiple of the block size {blocks.size}; received {depth}")
    sa, sb = (np.ascontiguousarray(as_numbers(v), np.float64) for v in scales)
    wanted = (left.shape[0], depth // blocks.size), (depth // blocks.size, right.shape[1])
    if (sa.shape, sb.shape) != wanted:
        raise ValueError(f"scales must have shapes {wanted[0]} and {wanted[1]}; received {sa.shape} and {sb.shape}")
    for name, values in (("scales of a", sa), ("scales of b", sb)):
        _require(name, values, blocks.format)
        if (values < 0).any():
            raise ValueError(f"the unit reads scales without their sign; {name} hold {values[values < 0][0]}")
    return sa, sb


# -- layout --------------------------------------------------------------------------------------------------------


def _prepared(left: NDArray, right: NDArray, unit: MatrixUnit, scales) -> _Work:
    kernels = _kernels()
    rows, columns = _odd(left, 1), _odd(right, 0)
    first = [left, kernels.powers(left, _smallest(unit.left))]
    second = [right, kernels.powers(right, _smallest(unit.right))]
    if unit.scales is not None or scales is not None:
        sa, sb = _scales(scales, unit, left, right)
        assert unit.scales is not None
        rows, columns = rows | _odd(sa, 1), columns | _odd(sb, 0)
        if unit.scales.exact is None:  # a power of two moves the exponents of the factors
            first = [v * np.repeat(sa, unit.scales.size, 1) for v in first]
            second = [v * np.repeat(sb, unit.scales.size, 0) for v in second]
        else:
            smallest = _smallest(unit.scales.format)
            first += [sa, kernels.powers(sa, smallest)]
            second += [sb, kernels.powers(sb, smallest)]
    tiles = -(-right.shape[1] // kernels.TILE)
    odd = np.zeros(tiles * kernels.TILE, bool)
    odd[: columns.size] = columns
    rule = kernels.Rule(
        up=2.0**unit.fraction_bits,
        down=2.0**-unit.fraction_bits,
        least=2.0**unit.least_exponent,
        small=unit.output.smallest_normal,
        last=float(unit.output.eps),
        limit=2.0 ** (unit.output.emax + 1),
        nearest=float(unit.rounding is Rounding.NEAREST_EVEN),
    )
    return _Work(
        unit,
        rule,
        tuple(first),
        tuple(_tiled(v, tiles) for v in second),
        rows,
        np.asarray(odd.reshape(tiles, -1).any(1)),
    )


def _odd(values: NDArray, axis: int) -> NDArray[np.bool_]:
    """Whether a row (or column) holds anything but finite numbers."""
    return np.asarray(~np.isfinite(values).all(axis))


def _smallest(fmt: Format) -> float:
    return 2.0**-127 if fmt.specials is Specials.SCALE else fmt.smallest_normal


def _tiled(values: NDArray, tiles: int) -> NDArray:
    """Columns in tiles: (K, n) becomes (tiles, K, TILE), zeros behind the last column."""
    depth, n = values.shape
    width = _kernels().TILE
    wide = np.zeros((depth, tiles * width))
    wide[:, :n] = values
    return np.ascontiguousarray(wide.reshape(depth, tiles, width).transpose(1, 0, 2))


@functools.cache
def _kernels():
    from precsim.numerics.kernels import alignment

    return alignment
