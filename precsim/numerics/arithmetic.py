"""Sums, dot products and matrix products that round after every operation, and bounds on their error.

An `Accumulator` says in which format products and partial sums are kept, and in which order they are added. Every
operation is rounded once: its float64 result is first rounded to odd (from the exact error of the addition), so that
rounding it again to the narrow format gives what one rounding would (Boldo and Melquiond 2008).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format, whole
from precsim.numerics.elementary import elementwise
from precsim.numerics.inputs import as_numbers
from precsim.numerics.instruction import Instruction, instruction
from precsim.numerics.kernels.integer import BINARY64
from precsim.numerics.kernels.parameters import magic_fits, parameters
from precsim.numerics.matrix_product import multiply
from precsim.numerics.matrix_unit import BlockScales, Chain, Evidence, Join, MatrixUnit
from precsim.numerics.modes import CounterBits, NanRule, Rounding, Subnormals
from precsim.numerics.named_units import (  # fmt: skip
    A100_BF16,
    A100_FP16,
    A100_FP16_ACCUMULATE,
    A100_TF32,
    ADA_BF16,
    ADA_FP8,
    ADA_FP16,
    ADA_TF32,
    B200_BF16,
    B200_FP8,
    B200_FP16,
    B200_MXFP4,
    B200_MXFP8,
    B200_NVFP4,
    B200_TF32,
    CDNA3_BF16,
    CDNA3_FP8,
    CDNA3_FP16,
    CDNA3_XF32,
    H100_BF16,
    H100_FP8,
    H100_FP16,
    H100_FP16_ACCUMULATE,
    H100_TF32,
    T4_FP16,
    UNITS,
    V100_FP16,
    unit_table,
)
from precsim.numerics.rounding import round_to
from precsim.numerics.rules import grid_for
from precsim.numerics.unit_errors import unit_error_bound, unit_errors

__all__ = [
    "A100_BF16",
    "A100_FP16",
    "A100_FP16_ACCUMULATE",
    "A100_TF32",
    "ADA_BF16",
    "ADA_FP8",
    "ADA_FP16",
    "ADA_TF32",
    "B200_BF16",
    "B200_FP8",
    "B200_FP16",
    "B200_MXFP4",
    "B200_MXFP8",
    "B200_NVFP4",
    "B200_TF32",
    "CDNA3_BF16",
    "CDNA3_FP8",
    "CDNA3_FP16",
    "CDNA3_XF32",
    "H100_BF16",
    "H100_FP8",
    "H100_FP16",
    "H100_FP16_ACCUMULATE",
    "H100_TF32",
    "T4_FP16",
    "UNITS",
    "V100_FP16",
    "Accumulator",
    "BlockScales",
    "Chain",
    "Evidence",
    "Instruction",
    "Join",
    "MatrixUnit",
    "Order",
    "dot",
    "elementwise",
    "error_bound",
    "gamma",
    "gamma_probabilistic",
    "instruction",
    "matmul",
    "total",
    "unit_error_bound",
    "unit_errors",
    "unit_table",
]  # fmt: skip


class Order(enum.IntEnum):
    """In which order terms are added."""

    SEQUENTIAL = 0  #: one after the other
    PAIRWISE = 1  #: neighbours, then neighbours of the results, ...: a balanced tree
    KAHAN = 2  #: one after the other, the rounding error of each addition carried along
    BLOCKED = 3  #: blocks one after the other, each summed by itself first


_KINDS = {
    Rounding.NEAREST_EVEN: 0,
    Rounding.TOWARD_ZERO: 1,
    Rounding.STOCHASTIC_A: 2,
    Rounding.STOCHASTIC_B: 2,
    Rounding.STOCHASTIC_C: 2,
    Rounding.UP: 3,
    Rounding.DOWN: 3,
    Rounding.NEAREST_AWAY: 4,
    Rounding.TO_ODD: 5,
}
_NEAREST = (Rounding.NEAREST_EVEN, Rounding.NEAREST_AWAY)


@dataclass(frozen=True, slots=True)
class Accumulator:
    """How a sum is carried out.

    Parameters
    ----------
    format : Format
        Of every partial sum; precision at most 25.
    order : Order
    block : int
        `Order.BLOCKED` only: terms in a block (a tensor core's chunk).
    inner : Format, optional
        `Order.BLOCKED` only: format of the sums within a block; None: `format`.
    products : Format, optional
        Format that each product is rounded to before it is added; None: exact products (fused multiply-add).
    rounding : Rounding
        For products and sums. A sum that is exactly zero is +0 in every mode.

    Raises
    ------
    ValueError
        If a field is of the wrong kind or means nothing for the order.
    """

    format: Format
    order: Order = Order.SEQUENTIAL
    block: int | None = None
    inner: Format | None = None
    products: Format | None = None
    rounding: Rounding = Rounding.NEAREST_EVEN

    def __post_init__(self) -> None:
        if not isinstance(self.order, Order):
            raise ValueError(f"order must be a member of Order; received {self.order!r}")
        for field in ("format", "inner", "products"):
            fmt = getattr(self, field)
            if fmt is None and field != "format":
                continue
            if not isinstance(fmt, Format):
                raise ValueError(f"Accumulator.{field} must be a Format; received {fmt!r}")
            if fmt.precision > 25 or not fmt.has_zero or (fmt.precision == 1 and not fmt.is_integer):
                raise ValueError(f"arithmetic is simulated in formats with zero and 2 to 25 bits; received {fmt}")
            if not magic_fits(fmt.grid(), BINARY64):
                raise ValueError(f"the exponents of {fmt} leave no room in float64")
        blocked = self.order is Order.BLOCKED
        if blocked != (self.block is not None) or (not blocked and self.inner is not None):
            raise ValueError(f"block (and inner) belong to Order.BLOCKED; received {self.order!r}, block={self.block}")
        if blocked:
            object.__setattr__(self, "block", whole("block", self.block, low=1))
        if self.rounding not in _KINDS:
            raise ValueError(f"rounding must be a member of Rounding; received {self.rounding!r}")


def total(x, accumulator: Accumulator, *, noise: CounterBits | None = None) -> np.float64:
    """Return the sum of x with every partial sum rounded.

    Parameters
    ----------
    x : array_like, shape (n,)
        Terms; each must be a value of the accumulator's format (round them first).
    accumulator : Accumulator
    noise : CounterBits, optional
        For stochastic rounding.

    Raises
    ------
    ValueError
        If x is empty, has more than one axis, or holds numbers that are not values of the format.

    Examples
    --------
    >>> from precsim.numerics import BF16
    >>> ones = np.ones(1000)
    >>> total(ones, Accumulator(BF16)), total(ones, Accumulator(BF16, Order.PAIRWISE))
    (np.float64(256.0), np.float64(1000.0))
    """
    terms = _vector(x, "x")
    _require_values(terms, accumulator.inner or accumulator.format)
    return np.float64(kernels.sums.add_up(terms.copy(), *_arguments(accumulator, noise)))


def dot(x, y, accumulator: Accumulator | MatrixUnit, *, noise: CounterBits | None = None) -> np.float64:
    """Return the inner product of x and y: products (rounded or exact), then their sum with every step rounded.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Of at most 26 significant bits each (float32 has 24), so that products are exact before they are rounded.
    accumulator : Accumulator
    noise : CounterBits, optional
        For stochastic rounding.

    Examples
    --------
    >>> from precsim.numerics import FP16, FP32
    >>> x = np.float32([1.0, 2.0**-11, 2.0**-11])
    >>> dot(x, np.ones(3), Accumulator(FP16)), dot(x, np.ones(3), Accumulator(FP32))
    (np.float64(1.0), np.float64(1.0009765625))
    """
    a, b = _vector(x, "x"), _vector(y, "y")
    if a.shape != b.shape:
        raise ValueError(f"x and y must have one length; received {a.size} and {b.size}")
    return matmul(a[None, :], b[:, None], accumulator, noise=noise)[0, 0]


def matmul(
    a,
    b,
    how: Accumulator | MatrixUnit,
    *,
    noise: CounterBits | None = None,
    chain: Chain | None = None,
    start=None,
    scales: tuple | None = None,
    threads: int = 1,
):
    """Return the matrix product with every operation rounded, or with the bits that a GPU's matrix unit gives.

    Parameters
    ----------
    a : array_like, shape (m, n)
    b : array_like, shape (n, k)
        With an `Accumulator`: of at most 26 significant bits each. With a `MatrixUnit`: values of its formats `left`
        and `right`; NumPy arrays, or JAX arrays of float32, whose values are not looked at.
    how : Accumulator or MatrixUnit
        Adds one product after the other, or as many at once as the unit does.
    noise : CounterBits, optional
        `Accumulator` only, for stochastic rounding; each operation has its own number.
    chain : Chain, optional
        `MatrixUnit` only: promotion, and pieces of K; by default one chain of instructions from 0.
    start : array_like, shape (m, k), optional
        `MatrixUnit` only: accumulators to start from; float32 numbers, or float16 where the unit keeps FP16.
    scales : tuple of two arrays, shapes (m, n / size) and (n / size, k), optional
        Needed by a `MatrixUnit` with block scales: those of a and of b.
    threads : int
        `MatrixUnit` and NumPy only.

    Returns
    -------
    array, shape (m, k)
        float64 (`Accumulator`); float32, or float16 where the unit keeps FP16 (`MatrixUnit`).

    Raises
    ------
    ValueError
        If shapes do not fit, values do not belong to a format, or an argument means nothing for `how`.

    Notes
    -----
    A unit's sum of zero is +0, every NaN has the code 0x7FFFFFFF (float16: 0x7FFF). Under JAX the derivative is that of
    the exact product; scaled units, and those of more than 25 fraction bits or another join, are NumPy's only.

    Examples
    --------
    >>> import precsim as ps
    >>> x, y = np.float32([[1, 2**-14]]), np.float32([[1], [1]])
    >>> matmul(x, y, ps.arithmetic.H100_BF16), matmul(x, y, Accumulator(ps.BF16))
    (array([[1.000061]], dtype=float32), array([[1.]]))
    >>> rng = np.random.default_rng(0)
    >>> x, y = ps.round_to(np.abs(rng.standard_normal((2, 1, 4096))).astype(np.float32), ps.FP8_E4M3)
    >>> for chain in (None, Chain(promote=128)):  # positive terms: 13 fraction bits lose 7 %, promotion saves them
    ...     print(f"{matmul(x, y.T, ps.arithmetic.H100_FP8, chain=chain).item() / (x @ y.T).item() - 1:+.2%}")
    -7.09%
    -0.07%
    """
    if isinstance(how, MatrixUnit):
        if noise is not None:
            raise ValueError(f"matrix units draw no random bits; received noise={noise!r}")
        return multiply(a, b, how, chain, start=start, scales=scales, threads=threads)
    if not isinstance(how, Accumulator):
        raise ValueError(f"matmul adds as an Accumulator or a MatrixUnit says; received {how!r}")
    given = {"chain": chain, "start": start, "scales": scales, "threads": None if threads == 1 else threads}
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} belongs to a MatrixUnit; received {value!r} with an Accumulator")
    left, right = (np.ascontiguousarray(as_numbers(v), np.float64) for v in (a, b))
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[0] or 0 in left.shape + right.shape:
        raise ValueError(f"matmul takes shapes (m, n) and (n, k), none empty; received {left.shape} and {right.shape}")
    for v in (left, right):
        finite = v[np.isfinite(v)]
        if np.any((finite.view(np.int64) & ((1 << 27) - 1)) != 0):
            raise ValueError("factors must have at most 26 significant bits, so that products are exact")
    arguments = _arguments(how, noise)
    products = how.products
    p = arguments[0] if products is None else _parameters(products, how.rounding, noise)
    return kernels.sums.multiply(left, np.ascontiguousarray(right.T), p, products is None, *arguments)


def gamma(n: int, u: float) -> float:
    """Return ``n u / (1 - n u)``, the bound on n rounding errors (Higham 2002, Lemma 3.1); inf if n u >= 1."""
    if n < 0 or not 0 < u < 1:
        raise ValueError(f"gamma needs n >= 0 and 0 < u < 1; received n={n}, u={u}")
    return math.inf if n * u >= 1 else n * u / (1 - n * u)


def gamma_probabilistic(n: int, u: float, confidence: float = 1.0) -> float:
    """Return ``exp(c sqrt(n) u + n u**2 / (1 - u)) - 1``: what n errors of mean zero stay below, mostly.

    Holds with probability at least ``1 - 2 exp(-c**2 (1 - u)**2 / 2)`` if the errors are independent with mean zero
    (Higham and Mary 2019, Theorem 2.4); for stochastic rounding the errors are mean independent, which is enough.
    """
    if n < 0 or not 0 < u < 1 or confidence <= 0:
        raise ValueError(f"needs n >= 0, 0 < u < 1, c > 0; received n={n}, u={u}, c={confidence}")
    return math.expm1(confidence * math.sqrt(n) * u + n * u * u / (1 - u))


def error_bound(
    accumulator: Accumulator, n: int, *, confidence: float | None = None, rounded_terms: bool = False
) -> float:
    """Return c in ``|computed - exact| <= c sum |terms|`` for n terms, without overflow or underflow.

    Parameters
    ----------
    accumulator : Accumulator
    n : int
        Number of terms, of a sum or of an inner product.
    confidence : float, optional
        None: the deterministic bound. A number: the probabilistic one (`gamma_probabilistic`), for nearest rounding
        (whose errors are then assumed to be independent with mean zero) and stochastic rounding (whose are, up to
        ``2**-N`` of an interval with N random bits).
    rounded_terms : bool
        True: the terms are values of the format already, as `total` wants them. False: they may be exact products,
        which the first addition does not leave unrounded; holds for sums too.

    Raises
    ------
    ValueError
        If n < 1, or a probabilistic bound is asked for a rounding whose errors have a mean: directed, or to odd.

    Notes
    -----
    The number of roundings a term passes through is n - 1 (sequential; n where exact products are added, since the
    first of them is rounded too), ceil(log2 n) (pairwise), b - 1 within a block and ceil(n / b) outside it (blocked:
    each block's sum is rounded when it is added); at least one where products are exact; one more if products are
    rounded.
    Kahan: ``2 u + 4 n u**2``, a bound with an explicit second-order term (Higham 2002, (4.8), leaves it as O(n u**2)),
    and one more rounding where products are exact. u is 2**-p for nearest and 2**(1-p) for the other roundings.

    Examples
    --------
    >>> from precsim.numerics import BF16
    >>> error_bound(Accumulator(BF16), 1) >= 2.0**-8  # the product of two numbers is rounded
    True
    """
    if n < 1:
        raise ValueError(f"a sum has at least one term; received n={n}")
    rounding, fused = accumulator.rounding, accumulator.products is None and not rounded_terms
    if confidence is not None and not (rounding in _NEAREST or rounding.is_stochastic):
        raise ValueError(
            f"a probabilistic bound needs errors of mean zero: nearest or stochastic rounding; received {rounding!r}"
        )

    def unit(fmt: Format) -> float:
        return float(fmt.unit_roundoff) * (1 if rounding in _NEAREST else 2)

    def one(fmt: Format, steps: int) -> float:
        u = unit(fmt)
        if steps == 0 or u == 1:  # one bit of precision, rounded in a direction: no relative bound below 1
            return 0.0 if steps == 0 else math.inf
        return gamma(steps, u) if confidence is None else gamma_probabilistic(steps, u, confidence)

    fmt, parts = accumulator.format, []
    if accumulator.order is Order.KAHAN:
        u = unit(fmt)
        parts += [2 * u + 4 * n * u * u, u if fused else 0.0]
    elif accumulator.order is Order.BLOCKED:
        block = accumulator.block or n
        parts += [one(accumulator.inner or fmt, min(block, n) - 1), one(fmt, math.ceil(n / block))]
    elif accumulator.order is Order.SEQUENTIAL:
        parts.append(one(fmt, n if fused else n - 1))
    else:
        parts.append(one(fmt, max(math.ceil(math.log2(n)), int(fused))))
    if accumulator.products is not None:
        parts.append(one(accumulator.products, 1))
    return math.prod(1 + part for part in parts) - 1


def _vector(x, name: str) -> np.ndarray:
    vector = as_numbers(x).astype(np.float64)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} must have shape (n,) with n >= 1; received {vector.shape}")
    return vector


def _require_values(terms: np.ndarray, fmt: Format) -> None:
    same = round_to(terms, fmt, nan=None if fmt.has_nan else NanRule.KEEP)
    wrong = (same != terms) & ~(np.isnan(same) & np.isnan(terms))
    if wrong.any():
        raise ValueError(f"terms must be values of {fmt}; {terms[wrong][0]} is not: use round_to first")


def _arguments(accumulator: Accumulator, noise: CounterBits | None) -> tuple:
    if accumulator.rounding.is_stochastic != isinstance(noise, CounterBits):
        wanted = "needs noise=CounterBits(seed)" if noise is None else "takes CounterBits for stochastic rounding only"
        raise ValueError(f"{accumulator.rounding} {wanted}; received noise={noise!r}")
    p = _parameters(accumulator.format, accumulator.rounding, noise)
    inner = _parameters(accumulator.inner or accumulator.format, accumulator.rounding, noise)
    start = 0 if noise is None else noise.start
    return p, inner, int(accumulator.order), accumulator.block or 1, _KINDS[accumulator.rounding], start


def _parameters(fmt: Format, rounding: Rounding, noise: CounterBits | None) -> np.ndarray:
    width = 0 if noise is None else (noise.width or 32)
    seed = 0 if noise is None else noise.seed
    grid = grid_for(fmt, rounding, None, None, Subnormals.KEEP)
    return parameters(grid, np.dtype(np.float64), rounding, width, 32 - width, seed)
