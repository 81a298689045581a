"""Rounding to a format, and between values and codes: `round_to`, `encode`, `decode`, `ulp`, `next_up`, `next_down`.

The kind of array given picks the executor: NumPy arrays go to the numba kernels (or, for the few formats those
cannot serve, to the integer kernel under NumPy), JAX arrays to the integer kernel under XLA. Both are loaded on
first use, and agree in every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format
from precsim.numerics.codes import codes_of, decode, encode_simple
from precsim.numerics.dispatch import (
    check_out,
    flat,
    plan_for,
    refuse_nan,
    run,
    run_inplace,
    run_random,
    run_usual,
    usual_plan,
)
from precsim.numerics.grid import Grid
from precsim.numerics.inputs import as_numbers, is_jax
from precsim.numerics.modes import CounterBits, GivenBits, NanRule, Rounding, Saturation, Subnormals
from precsim.numerics.random_bits import random_bits
from precsim.numerics.rules import check_carrier, grid_for

__all__ = [
    "OFF",
    "CounterBits",
    "GivenBits",
    "NanRule",
    "Rounding",
    "Saturation",
    "Subnormals",
    "decode",
    "encode",
    "next_down",
    "next_up",
    "round_to",
    "ulp",
]

OFF: Grid = Grid.off()  #: leaves float32 numbers unchanged


def round_to(
    x,
    fmt: Format,
    rounding: Rounding = Rounding.NEAREST_EVEN,
    *,
    saturate: bool | Saturation | None = None,
    nan: NanRule | None = None,
    subnormals: Subnormals = Subnormals.KEEP,
    noise: Any = None,
    out: np.ndarray | None = None,
    threads: int = 1,
):
    """Return each element of x moved to a value of fmt: same shape, same kind of array, float32 or float64 as x.

    Parameters
    ----------
    x : array_like, shape (...)
        NumPy or JAX array, float32 or float64, of either byte order. float16 and bfloat16 become float32; integers,
        Python numbers and lists become float64; torch tensors are read through DLPack (`precsim.numerics.inputs`).
    fmt : Format
    rounding : Rounding
        Nearest-even by default. float64 is rounded once, never through float32.
    saturate : bool or Saturation, optional
        What becomes of results beyond the largest value. False (`Saturation.NONE`): infinity, or NaN where the
        format has none. True (`Saturation.FINITE`): the largest value, for infinities too. Default: False for
        formats with NaN; formats without NaN and infinity always saturate.
    nan : NanRule, optional
        What becomes of NaN in a format without NaN. Default: `NanRule.RAISE` for NumPy; for JAX, where compiled code
        cannot refuse a value, `NanRule.KEEP`. In formats with NaN, NaN stays NaN and keeps its sign.
    subnormals : Subnormals
        `Subnormals.FLUSH` turns rounded results below the smallest normal number into zeros.
    noise : unsigned array of the shape of x, GivenBits or CounterBits
        Random bits for stochastic modes. An unsigned array gives N = 8 or 16 by its dtype; of uint32 the highest 24
        bits are used (23 for variants B and C; all 32 with float64).
    out : numpy.ndarray, optional
        Where the result goes: shape and dtype of x, any layout; may be x itself or overlap it.
    threads : int
        Above 1: rounded in that many threads (worth it from some millions of elements on idle cores).

    Returns
    -------
    array
        out if given, else a new array.

    Raises
    ------
    ValueError
        If an argument is of the wrong kind, means nothing for the format, or x holds NaN and the format does not.
        Nothing is written then, with one exception: NaN found while rounding into a separate `out`.

    Notes
    -----
    The spacing at x is ``2**(max(floor(log2 |x|), emin) - p + 1)``, also above the largest value; the result is
    rounded on that spacing first and overflow is decided after (IEEE 754, IEEE P3109). A tie under nearest-even goes
    to the even code, also for p = 1. -0 stays -0 where the format has it and becomes 0 elsewhere. Directed modes and
    to-odd stop at the largest value on the side they round away from. Negative results in an unsigned format are
    beyond its range: NaN, or its smallest value under saturation. `Saturation.FINITE` takes infinities to the largest
    value in FNUZ formats too, as P3109 does (ONNX makes them NaN there). Without zero (E8M0), zero and small positive
    numbers become the smallest value, and every negative number is beyond the range.

    Under JAX the derivative is 0, the true one wherever there is one; a `Quantizer` has the straight-through
    derivative instead.

    Examples
    --------
    >>> from precsim.numerics import FP8_E4M3, FP4_E2M1
    >>> round_to([0.3, 1.9, 17.0, 500.0], FP8_E4M3)
    array([ 0.3125,  1.875 , 16.    ,     nan])
    >>> round_to([0.3, 1.9, 17.0], FP4_E2M1, Rounding.DOWN)
    array([0. , 1.5, 6. ])
    """
    if type(x) is not np.ndarray:
        if is_jax(x):
            if out is not None or threads != 1:
                raise ValueError("out and threads are for NumPy arrays; JAX arrays cannot be written to")
            return _round_jax(x, grid_for(fmt, rounding, saturate, nan, subnormals), rounding, noise, fmt)
        return round_to(
            as_numbers(x),
            fmt,
            rounding,
            saturate=saturate,
            nan=nan,
            subnormals=subnormals,
            noise=noise,
            out=out,
            threads=threads,
        )[()]
    if out is not None and threads == 1 and saturate is nan is None and subnormals is Subnormals.KEEP:
        if noise is None:
            plan = usual_plan(fmt, rounding, x.dtype)
            if plan is not None and run_usual(plan, x, out):
                return out
        elif run_random(x, fmt, rounding, noise, out):
            return out
    code = x.dtype.char
    if code not in "fd" or not x.dtype.isnative:
        x = as_numbers(x)
        code = x.dtype.char
    bits = random_bits(noise, rounding, x)
    plan = plan_for(fmt, rounding, saturate, nan, subnormals, code, bits.width, bits.unused, bits.seed)
    if out is not None:
        check_out(out, x)
    if x.size == 0:
        return x.copy() if out is None else out
    if out is None:
        out = np.empty(x.shape, x.dtype)
        run(plan, flat(x), out.reshape(-1), bits.extra, threads)
        return out
    if out is x and x.flags.c_contiguous and plan.inplace is not None:
        run_inplace(plan, x.reshape(-1), threads)
    elif out.flags.c_contiguous:
        extra = bits.extra
        if isinstance(extra, np.ndarray) and np.may_share_memory(extra, out):
            extra = extra.copy()
        source = x.copy() if np.may_share_memory(x, out) else x
        if plan.refuses_nan and source is not x:
            refuse_nan(flat(x), fmt)
        run(plan, flat(source), out.reshape(-1), extra, threads)
    else:
        whole = np.empty(x.shape, x.dtype)
        run(plan, flat(x), whole.reshape(-1), bits.extra, threads)
        out[...] = whole
    return out


def encode(
    x,
    fmt: Format,
    rounding: Rounding = Rounding.NEAREST_EVEN,
    *,
    saturate: bool | Saturation | None = None,
    nan: NanRule | None = None,
    subnormals: Subnormals = Subnormals.KEEP,
    noise: Any = None,
    out: np.ndarray | None = None,
):
    """Return the codes of the values that `round_to` gives, as the smallest unsigned integers that hold them.

    Parameters
    ----------
    x, fmt, rounding, saturate, nan, subnormals, noise
        As for `round_to`, shape (...).
    out : numpy.ndarray, optional
        Where the codes go: uint8, uint16, uint32 or uint64 by ``fmt.bits``, shape of x.

    Returns
    -------
    array of unsigned integers, shape of x
        NaN has the quiet NaN's code with its sign; two's complement for integer formats.

    Raises
    ------
    ValueError
        As for `round_to`; also if NaN would stay in a format without NaN.

    Examples
    --------
    >>> from precsim.numerics import FP8_E4M3, INT4
    >>> [f"{code:08b}" for code in encode([448.0, -0.3], FP8_E4M3)]
    ['01111110', '10101010']
    >>> encode([-8.0, 7.0, 2.5], INT4)
    array([8, 7, 2], dtype=uint8)
    """
    if out is not None and type(x) is np.ndarray and noise is saturate is nan is None:
        if rounding is Rounding.NEAREST_EVEN and subnormals is Subnormals.KEEP and encode_simple(x, fmt, out):
            return out
    rules = {"saturate": saturate, "nan": nan, "subnormals": subnormals}
    return codes_of(x, fmt, rounding, rules, noise, out, round_to)


def ulp(x, fmt: Format) -> np.ndarray:
    """Return the spacing of the format at x: ``2**(max(floor(log2 |x|), emin) - p + 1)``, as float64.

    Parameters
    ----------
    x : array_like, shape (...)
        NaN gives NaN, infinity gives infinity. Beyond the largest value the spacing goes on growing.

    Examples
    --------
    >>> from precsim.numerics import FP8_E4M3
    >>> ulp([1.0, 1.99, 2.0, 0.0], FP8_E4M3)
    array([0.125     , 0.125     , 0.25      , 0.00195312])
    """
    if not isinstance(fmt, Format):
        raise ValueError(f"fmt must be a Format; received {fmt!r}")
    wide = as_numbers(x).astype(np.float64)
    exponent = np.where(wide == 0, fmt.emin, np.maximum(np.frexp(wide)[1] - 1, fmt.emin))
    return np.where(np.isfinite(wide), np.ldexp(1.0, exponent - fmt.precision + 1), np.abs(wide))[()]


def next_up(x, fmt: Format) -> np.ndarray:
    """Return the smallest value of the format greater than x, as float64; NaN where there is none.

    Examples
    --------
    >>> from precsim.numerics import FP4_E2M1
    >>> next_up([1.0, 1.2, 6.0], FP4_E2M1), next_down([1.0, 1.2], FP4_E2M1)
    (array([1.5, 1.5, nan]), array([0.5, 1. ]))
    """
    wide = as_numbers(x).astype(np.float64)
    above = round_to(np.nextafter(wide, np.inf), fmt, Rounding.UP)
    return np.where(above > wide, above, np.nan)[()]


def next_down(x, fmt: Format) -> np.ndarray:
    """Return the greatest value of the format smaller than x, as float64; NaN where there is none.

    Examples
    --------
    >>> from precsim.numerics import FP4_E2M1
    >>> next_down([1.0, 1.2, -6.0], FP4_E2M1)
    array([0.5, 1. , nan])
    """
    wide = as_numbers(x).astype(np.float64)
    below = round_to(np.nextafter(wide, -np.inf), fmt, Rounding.DOWN)
    return np.where(below < wide, below, np.nan)[()]


def _round_jax(x, grid: Grid, rounding: Rounding, noise, fmt: Format):
    x = kernels.under_jax.as_floats(x)
    check_carrier(fmt, 8 * x.dtype.itemsize)
    if x.size == 0:
        return x
    bits = random_bits(noise, rounding, x)
    return kernels.under_jax.round_traced(x, grid, rounding, bits.words(x), bits.width)
