"""Which kernel rounds a NumPy array, and running it: in one go, in chunks, in threads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format, whole
from precsim.numerics.grid import Grid
from precsim.numerics.kernels.integer import BINARY32, BINARY64, counter_bits, round_numpy
from precsim.numerics.kernels.parameters import magic_fits, parameters, wide_fits
from precsim.numerics.modes import CounterBits, GivenBits, NanRule, Rounding, Saturation, Subnormals, most_bits
from precsim.numerics.rules import check_carrier, grid_for

__all__ = [
    "Plan",
    "are_simple",
    "check_out",
    "flat",
    "kernel_serves",
    "plan_for",
    "refuse_nan",
    "run",
    "run_inplace",
    "run_random",
    "run_usual",
    "usual_plan",
]

_CHUNK = 1 << 17  # elements; half a megabyte of float32, so that a second look at a chunk finds it in cache


_SCAN = {c: parameters(Grid.off(), np.dtype(c), Rounding.NEAREST_EVEN) for c in "fd"}  # any format will do


class Plan(NamedTuple):
    """How to round one kind of array."""

    apart: Callable  #: from one array to another
    inplace: Callable | None  #: on one array
    parameters: np.ndarray
    fmt: Format
    refuses_nan: bool
    checks: bool = False  #: `apart` itself raises where it meets NaN


def kernel_serves(fmt: Format, grid: Grid, rounding: Rounding, char: str) -> str:
    """Return which fast kernel rounds to a grid: ``magic``, ``wide``, or neither (empty).

    10**7 float32 numbers in memory copies: magic 0.9 to 1.2, wide 0.9, and 3 for those that are left to
    `kernels.any_format` (NumPy's passes over the same integers, used for stochastic rounding to them: 100).
    """
    carrier = BINARY32 if char == "f" else BINARY64
    by_code = rounding in (Rounding.NEAREST_EVEN, Rounding.TO_ODD)
    if grid.least or (grid.precision == 1 and by_code and not fmt.is_integer):
        return ""  # no zero, or ties decided by the exponent
    if magic_fits(grid, carrier):
        return "magic"
    return "wide" if wide_fits(grid, carrier) else ""


@functools.lru_cache(maxsize=1024, typed=True)  # 1 is no answer to `saturate`, though it equals True
def plan_for(
    fmt: Format,
    rounding: Rounding,
    saturate: bool | Saturation | None,
    nan: NanRule | None,
    subnormals: Subnormals,
    char: str,
    width: int,
    unused: int,
    seed: int,
) -> Plan:
    """Return the kernels and parameters for one combination of format, rules and carrier."""
    grid = grid_for(fmt, rounding, saturate, nan, subnormals)
    check_carrier(fmt, 32 if char == "f" else 64)
    refuses = not fmt.has_nan and nan in (None, NanRule.RAISE)
    served = kernel_serves(fmt, grid, rounding, char)
    if not served:
        if rounding.is_stochastic:
            apart = functools.partial(_integer_random, grid, rounding, width, unused, seed)
            return Plan(apart, None, np.empty(0), fmt, refuses)
        any_format = kernels.any_format
        p = any_format.integer_parameters(fmt, grid, np.dtype(char), rounding)
        return Plan(any_format.round_any, None, p, fmt, refuses)
    loops = kernels.loops
    p = parameters(grid, np.dtype(char), rounding, width, unused, seed)
    if rounding.is_stochastic:
        given, counted = (
            (loops.magic_given, loops.magic_counter) if served == "magic" else (loops.wide_given, loops.wide_counter)
        )
        return Plan(functools.partial(_random, given, counted), None, p, fmt, refuses)
    if served == "wide":
        if rounding is Rounding.NEAREST_EVEN:
            return Plan(loops.wide_even, loops.wide_even_inplace, p, fmt, refuses)
        return Plan(loops.wide_fixed, None, p, fmt, refuses)
    if rounding is Rounding.NEAREST_EVEN:
        apart = functools.partial(_checked, fmt, loops.magic_even_checked) if refuses else loops.magic_even
        return Plan(apart, loops.magic_even_inplace, p, fmt, refuses, checks=refuses)
    apart = {
        Rounding.NEAREST_AWAY: loops.magic_tie_away,
        Rounding.TOWARD_ZERO: loops.magic_toward_zero,
        Rounding.UP: loops.magic_directed,
        Rounding.DOWN: loops.magic_directed,
        Rounding.TO_ODD: loops.magic_odd,
    }[rounding]
    return Plan(apart, None, p, fmt, refuses)


@functools.lru_cache(maxsize=1024)
def usual_plan(fmt: Format, rounding: Rounding, dtype: np.dtype) -> Plan | None:
    """Return the plan under the default rules, or None where a call needs more than running it."""
    if dtype.char not in "fd" or not dtype.isnative or not isinstance(rounding, Rounding) or rounding.is_stochastic:
        return None
    plan = plan_for(fmt, rounding, None, None, Subnormals.KEEP, dtype.char, 0, 0, 0)
    scans = plan.refuses_nan and not plan.checks
    return None if scans or not plan.parameters.size else plan


def are_simple(x: np.ndarray, out: Any, dtype: np.dtype) -> bool:
    """Whether a loop may read x and write out (of this dtype) as they are: contiguous, apart, of one shape."""
    if type(out) is not np.ndarray or out.shape != x.shape or out.dtype != dtype or not x.size:
        return False
    flags = out.flags
    if not (x.flags.c_contiguous and flags.c_contiguous and flags.writeable) or x is out:
        return False
    return (x.base is None and out.base is None) or not np.may_share_memory(x, out)


class _RandomLoop(NamedTuple):
    """A stochastic kernel and its parameters."""

    kernel: Callable
    parameters: np.ndarray


@functools.lru_cache(maxsize=1024)
def usual_random(
    fmt: Format, rounding: Rounding, dtype: np.dtype, kind: np.dtype | CounterBits | GivenBits
) -> _RandomLoop | None:
    """Return the stochastic loop under the default rules, for random words of a dtype or made from a seed."""
    if not isinstance(rounding, Rounding) or not rounding.is_stochastic or dtype.char not in "fd":
        return None
    most = most_bits(rounding, 23 if dtype.char == "f" else 52)
    if isinstance(kind, CounterBits):
        held, width, seed = 32, most if kind.width is None else kind.width, kind.seed
    elif isinstance(kind, np.dtype) and kind.char in "BHI":
        held, width, seed = 8 * kind.itemsize, min(8 * kind.itemsize, most), 0
    else:
        return None
    if width > most or not dtype.isnative or not isinstance(fmt, Format):
        return None
    plan = plan_for(fmt, rounding, None, None, Subnormals.KEEP, dtype.char, width, held - width, seed)
    if plan.refuses_nan or not plan.parameters.size:
        return None
    given, counted = plan.apart.args  # pyright: ignore[reportFunctionMemberAccess] - a partial of `_random`
    return _RandomLoop(counted if isinstance(kind, CounterBits) else given, plan.parameters)


def run_random(x: np.ndarray, fmt: Format, rounding: Rounding, noise: Any, out: np.ndarray) -> bool:
    """Round stochastically if arguments and arrays are as simple as they mostly are; return whether it was done."""
    if type(noise) is CounterBits:
        loop = usual_random(fmt, rounding, x.dtype, noise)
        extra: Any = noise.start
    elif type(noise) is np.ndarray:
        if noise.shape != x.shape or not noise.flags.c_contiguous or np.may_share_memory(noise, out):
            return False
        loop, extra = usual_random(fmt, rounding, x.dtype, noise.dtype), noise
    else:
        return False
    if loop is None or not are_simple(x, out, x.dtype):
        return False
    if x.ndim != 1:
        x, out = x.reshape(-1), out.reshape(-1)
        extra = extra if type(extra) is int else extra.reshape(-1)
    loop.kernel(x, extra, out, loop.parameters)
    return True


def run_usual(plan: Plan, x: np.ndarray, out: np.ndarray) -> bool:
    """Run a usual plan if the arrays are as simple as they mostly are; return whether it was done."""
    if out is x:
        flags = x.flags
        if plan.inplace is None or plan.refuses_nan or not (x.size and flags.c_contiguous and flags.writeable):
            return False
        plan.inplace(x if x.ndim == 1 else x.reshape(-1), plan.parameters)
        return True
    if not are_simple(x, out, x.dtype):
        return False
    if x.ndim != 1:
        x, out = x.reshape(-1), out.reshape(-1)
    plan.apart(x, out, plan.parameters)
    return True


def _checked(fmt, kernel, x, out, p) -> None:
    if kernel(x, out, p):
        refuse_nan(x, fmt)


def _random(given, counted, x, extra, out, p) -> None:
    (counted if isinstance(extra, int) else given)(x, extra, out, p)


def _integer_random(grid, rounding, width, unused, seed, x, extra, out, p) -> None:
    if isinstance(extra, int):
        index = np.arange(extra, extra + x.size, dtype=np.uint64).astype(np.uint32)
        extra = counter_bits(np, index, seed & 0xFFFFFFFF, seed >> 32)
    out[...] = round_numpy(x, grid, rounding, extra >> extra.dtype.type(unused), width)


def flat(x: np.ndarray) -> np.ndarray:
    """Return the elements in C order as one contiguous axis; a copy only where the layout needs one."""
    return (x if x.flags.c_contiguous else np.ascontiguousarray(x)).reshape(-1)


def run(plan: Plan, x: np.ndarray, out: np.ndarray, extra, threads: int) -> None:
    """Round one flat array into another; random words, or the number of the first element, in extra."""
    if isinstance(extra, np.ndarray):
        extra = flat(extra)
    if x.size <= _CHUNK and threads == 1:
        _piece(plan, x, out, extra, 0, x.size)
    elif threads == 1 and (plan.checks or not plan.refuses_nan) and plan.parameters.size:
        _piece(plan, x, out, extra, 0, x.size)
    else:
        _pieces(threads, x.size, lambda i, j: _piece(plan, x, out, extra, i, j))


def run_inplace(plan: Plan, x: np.ndarray, threads: int) -> None:
    """Round one flat array in place, after making sure that it holds no NaN the format refuses."""
    if plan.refuses_nan:
        refuse_nan(x, plan.fmt)
    kernel = plan.inplace
    assert kernel is not None
    if threads == 1:
        kernel(x, plan.parameters)
    else:
        _pieces(threads, x.size, lambda i, j: kernel(x[i:j], plan.parameters))


def _piece(plan: Plan, x, out, extra, i: int, j: int) -> None:
    x, out = x[i:j], out[i:j]
    if plan.refuses_nan and not plan.checks:
        refuse_nan(x, plan.fmt)
    if extra is None:
        plan.apart(x, out, plan.parameters)
    elif isinstance(extra, int):
        plan.apart(x, extra + i, out, plan.parameters)
    else:
        plan.apart(x, extra[i:j], out, plan.parameters)


def _pieces(threads: int, size: int, work) -> None:
    threads = whole("threads", threads, low=1)
    if threads == 1:
        for i in range(0, size, _CHUNK):
            work(i, min(i + _CHUNK, size))
        return
    step = max(_CHUNK, -(-size // threads))
    with ThreadPoolExecutor(threads) as pool:  # one piece each, the first of them here
        others = [pool.submit(work, i, min(i + step, size)) for i in range(step, size, step)]
        work(0, min(step, size))
        for other in others:
            other.result()


def refuse_nan(x: np.ndarray, fmt: Format) -> None:
    """Raise ValueError if there is NaN in x."""
    if kernels.loops.has_nan(x, _SCAN[x.dtype.char]):
        raise ValueError(
            f"{fmt} has no NaN, and x holds {int(np.isnan(x).sum())} of them; "
            "remove them or say what they become: nan=NanRule.ZERO, MAXIMUM or KEEP"
        )


def check_out(out, x: np.ndarray) -> None:
    """Refuse an output that cannot take the result."""
    if not isinstance(out, np.ndarray):
        raise ValueError(f"out must be a NumPy array; received {type(out).__name__}")
    if out.shape != x.shape or out.dtype != x.dtype:
        raise ValueError(f"out must have shape {x.shape} and dtype {x.dtype}; received {out.shape} and {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only; pass a writeable array")
    if 0 in out.strides and out.size > 1 and any(s == 0 and n > 1 for s, n in zip(out.strides, out.shape, strict=True)):
        raise ValueError("out is a broadcast array whose elements share memory; pass a real array")
