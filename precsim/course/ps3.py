"""Problem set 3: sums that keep what they lose, chunks, and bounds that choose an accumulator or a loss scale."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from precsim.course.checking import Exercise, Mistake
from precsim.numerics.arithmetic import Accumulator, Order, dot, gamma, total
from precsim.numerics.formats import BF16, FP16, FP32
from precsim.numerics.rounding import round_to

__all__ = ["CHUNKED_DOT", "EXERCISES", "KAHAN", "LOSS_SCALE", "PAIRWISE", "PRECISION", "bf16", "fp32", "terms"]


def bf16(x: float) -> float:
    """Return x rounded to BF16, nearest-even.

    Examples
    --------
    >>> bf16(257.0), bf16(0.1)
    (256.0, 0.10009765625)
    """
    return float(round_to(float(x), BF16))


def fp32(x: float) -> float:
    """Return x rounded to float32, nearest-even.

    Examples
    --------
    >>> fp32(2.0**24 + 1)
    16777216.0
    """
    return float(np.float32(x))


def terms(n: int, *, seed: int, low: float = 0.0) -> tuple[float, ...]:
    """Return n values of BF16 between low and 1.

    Examples
    --------
    >>> all(bf16(x) == x for x in terms(5, seed=0))
    True
    """
    return tuple(round_to(np.random.default_rng(seed).uniform(low, 1.0, n), BF16).tolist())


_SUMS = (
    ((1.0, 2.0, 3.0),),
    ((256.0, 1.0, 1.0),),
    ((1.0, *(2.0**-9,) * 40),),
    (terms(33, seed=1),),
    (terms(150, seed=2),),
    (terms(301, seed=3, low=-1.0),),
    (terms(900, seed=4),),
    (terms(1200, seed=6, low=-0.9),),
)


def _naive(x: Sequence[float]) -> float:
    return float(total(x, Accumulator(BF16)))


def _exact(x: Sequence[float]) -> float:
    return bf16(math.fsum(x))


# -- compensated summation ---------------------------------------------------------------------------------------


def _kahan(x: Sequence[float], *, sign: float = 1.0, keep: bool = True, last: bool = False) -> float:
    s, carry = x[0], 0.0
    for t in x[1:]:
        y = bf16(t - (sign * carry if keep else 0.0))
        new = bf16(s + y)
        lost = bf16(bf16(new - s) - y)
        carry = bf16(carry + lost) if last else lost
        s = new
    return bf16(s - carry) if last else s


KAHAN = Exercise(
    name="kahan_sum",
    truth=lambda x: float(total(x, Accumulator(BF16, Order.KAHAN))),
    inputs=lambda: _SUMS,
    mistakes=(
        Mistake("naive", "what each addition loses is not given to the next term.", _naive),
        Mistake(
            "sign",
            "c = (new - s) - y is what was added too much, so it is subtracted from the next term, not added.",
            functools.partial(_kahan, sign=-1.0),
        ),
        Mistake(
            "at the end",
            "the losses are collected and given back at the end only; each belongs to the very next term.",
            functools.partial(_kahan, keep=False, last=True),
        ),
        Mistake("wide", "it sums in float64 and rounds at the end; every operation must be rounded to BF16.", _exact),
    ),
)


# -- pairwise summation --------------------------------------------------------------------------------------------


def _halves(x: Sequence[float]) -> float:
    if len(x) == 1:
        return x[0]
    return bf16(_halves(x[: len(x) // 2]) + _halves(x[len(x) // 2 :]))


def _neighbors(x: Sequence[float], *, keep_odd: bool = True, rounded: bool = True) -> float:
    level = list(x)
    while len(level) > 1:
        sums = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        odd = [level[-1]] if len(level) % 2 and keep_odd else []
        level = [bf16(s) if rounded else s for s in sums] + odd
    return level[0] if rounded else bf16(level[0])


PAIRWISE = Exercise(
    name="pairwise_sum",
    truth=lambda x: float(total(x, Accumulator(BF16, Order.PAIRWISE))),
    inputs=lambda: (((256.0, 1.0, 1.0, 1.0),), *_SUMS, (terms(77, seed=5),)),
    mistakes=(
        Mistake("one by one", "it adds one after the other; add neighbors, then the neighbors of the results.", _naive),
        Mistake(
            "odd one lost",
            "when the number of terms is odd, the last one goes on to the next round as it is.",
            functools.partial(_neighbors, keep_odd=False),
        ),
        Mistake(
            "halves",
            "splitting the list in halves is another tree when the length is no power of two; add neighbors.",
            _halves,
        ),
        Mistake(
            "wide",
            "it does not round between the rounds; every addition must be rounded to BF16.",
            functools.partial(_neighbors, rounded=False),
        ),
    ),
)


# -- chunked accumulation ------------------------------------------------------------------------------------------


def _factors(n: int, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    x, y = (round_to(rng.uniform(0.5, 2.0, n), BF16).tolist() for _ in range(2))
    return tuple(x), tuple(y)


def _chunked(
    x: Sequence[float],
    y: Sequence[float],
    block: int,
    *,
    inner=bf16,
    outer=fp32,
    product: Callable[[float], float] = float,
    whole: bool = False,
) -> float:
    s = 0.0
    stop = len(x) - len(x) % block if whole else len(x)
    for first in range(0, stop, block):
        part = product(x[first] * y[first])
        for a, b in zip(x[first + 1 : first + block], y[first + 1 : first + block], strict=True):
            part = inner(part + product(a * b))
        s = outer(s + part)
    return s


CHUNKED_DOT = Exercise(
    name="chunked_dot",
    truth=lambda x, y, block: float(dot(x, y, Accumulator(FP32, Order.BLOCKED, block=block, inner=BF16))),
    inputs=lambda: (
        ((1.0, 2.0), (3.0, 4.0), 2),
        (*_factors(8, 1), 4),
        (*_factors(64, 2), 16),
        (*_factors(300, 3), 32),
        (*_factors(600, 4), 128),
    ),
    mistakes=(
        Mistake(
            "no chunks",
            "everything is summed in BF16; the sum of each chunk is to be added to a float32 number.",
            lambda x, y, block: _chunked(x, y, len(x)),
        ),
        Mistake(
            "outer in BF16",
            "the sum over chunks is kept in BF16; it is the one that needs float32.",
            functools.partial(_chunked, outer=bf16),
        ),
        Mistake(
            "all in float32",
            "the sums within a chunk are kept in float32; the hardware of this exercise has BF16 there.",
            functools.partial(_chunked, inner=fp32),
        ),
        Mistake(
            "products rounded",
            "products are exact here (fused multiply-add): only sums are rounded.",
            functools.partial(_chunked, product=bf16),
        ),
        Mistake(
            "last chunk",
            "the last chunk may be shorter than the others; its products count too.",
            functools.partial(_chunked, whole=True),
        ),
    ),
)


# -- choice of an accumulator --------------------------------------------------------------------------------------


def _precision(n: int, tolerance: float, *, steps: int = -1, factor: float = 1.0, linear: bool = False) -> int:
    k = n + steps
    for p in range(2, 60):
        u = factor * 2.0**-p
        if (k * u if linear else gamma(k, u)) <= tolerance:
            return p
    raise ValueError(f"no precision below 60 bits is enough for n = {n} and {tolerance}")


def _pairwise_precision(n: int, tolerance: float) -> int:
    return _precision(math.ceil(math.log2(n)) + 1, tolerance)


PRECISION = Exercise(
    name="precision_needed",
    truth=_precision,
    inputs=lambda: ((2, 0.01), (65, 0.067), (65, 0.0625), (1000, 0.01), (4096, 1e-3), (10**6, 0.5)),
    mistakes=(
        Mistake(
            "n additions",
            "n terms need n - 1 additions.",
            functools.partial(_precision, steps=0),
        ),
        Mistake(
            "eps",
            "nearest rounding has u = 2**-p; 2**(1-p) is the spacing above 1, twice as large.",
            functools.partial(_precision, factor=2.0),
        ),
        Mistake(
            "first order",
            "k u is the first term of the bound only; it is k u / (1 - k u).",
            functools.partial(_precision, linear=True),
        ),
        Mistake("pairwise", "that is enough for pairwise summation; terms are added one by one.", _pairwise_precision),
        Mistake(
            "square root",
            "sqrt(n) u is what is likely; the bound that always holds has n.",
            lambda n, tolerance: _precision(math.isqrt(n - 1) + 1, tolerance),
        ),
    ),
)


# -- loss scale ----------------------------------------------------------------------------------------------------

_GRADIENTS = (
    (1.0, 0.5),
    (1e-3, -2e-7, 3e-9),
    (-0.02, 0.001, 1e-8),
    (0.99999, 0.25),
    (3e-6, 2.5e-6, -1e-6),
    (70000.0, 1.0),
)


def _scale_for(size: float) -> int:
    return math.floor(math.log2(FP16.maximum / size))


LOSS_SCALE = Exercise(
    name="loss_scale",
    truth=lambda gradients: _scale_for(max(map(abs, gradients))),
    inputs=lambda: tuple((gradients,) for gradients in _GRADIENTS),
    mistakes=(
        Mistake("signed", "the largest magnitude counts, also of a negative gradient.", lambda g: _scale_for(max(g))),
        Mistake(
            "smallest",
            "it brings the smallest gradient to the end of the range, and all others beyond it.",
            lambda g: _scale_for(min(map(abs, g))),
        ),
        Mistake(
            "one too many",
            "with this k the largest gradient overflows: take the floor of the logarithm, not the ceiling.",
            lambda g: math.ceil(math.log2(FP16.maximum / max(map(abs, g)))),
        ),
        Mistake(
            "binade",
            "the highest binade of FP16 ends at 65504, a little before 2**16: exponents alone do not decide.",
            lambda g: 15 - (math.frexp(max(map(abs, g)))[1] - 1),
        ),
        Mistake(
            "never down",
            "if the largest gradient is beyond the range already, k is negative.",
            lambda g: max(0, _scale_for(max(map(abs, g)))),
        ),
    ),
)

EXERCISES = (KAHAN, PAIRWISE, CHUNKED_DOT, PRECISION, LOSS_SCALE)
