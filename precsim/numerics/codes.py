"""`encode` and `decode`: between numbers and the codes a format stores."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from precsim.numerics import kernels
from precsim.numerics.binary_format import Format
from precsim.numerics.dispatch import are_simple, flat, kernel_serves, refuse_nan
from precsim.numerics.inputs import as_numbers, is_jax
from precsim.numerics.kernels.integer import BINARY32, BINARY64
from precsim.numerics.kernels.parameters import Params, parameters
from precsim.numerics.modes import NanRule, Rounding, Subnormals
from precsim.numerics.rules import check_carrier, grid_for

__all__ = ["code_dtype", "codes_of", "decode", "encode_simple"]

_USUAL = (None, None, Subnormals.KEEP)
_INF_OVERFLOWS = Params._fields.index("inf_overflows")


@functools.lru_cache(maxsize=512)
def code_dtype(fmt: Format) -> np.dtype:
    """Return the smallest unsigned dtype that holds a code."""
    return np.dtype(next(f"u{n}" for n in (1, 2, 4, 8) if 8 * n >= fmt.bits))


class _Loop(NamedTuple):
    """A kernel and the parameter arrays it takes after input and output."""

    kernel: Callable
    parameters: tuple[Any, ...]


@functools.lru_cache(maxsize=512, typed=True)  # 1 is no answer to `saturate`, though it equals True
def _encoder(fmt: Format, saturate, nan, subnormals, char: str) -> _Loop | None:
    """Return the one-pass nearest-even encoder, or None if the format has none."""
    grid = grid_for(fmt, Rounding.NEAREST_EVEN, saturate, nan, subnormals)
    check_carrier(fmt, 32 if char == "f" else 64)
    carrier = BINARY32 if char == "f" else BINARY64
    served = kernel_serves(fmt, grid, Rounding.NEAREST_EVEN, char)
    if not served or fmt.bits > carrier.bits - 1:
        return None
    codes = kernels.codes
    p = parameters(grid, np.dtype(char), Rounding.NEAREST_EVEN)
    if codes.is_shortened(fmt, carrier):
        return _Loop(codes.wide_encode, (p,))
    if served == "wide":
        return None
    k = codes.code_parameters(fmt, grid, carrier, bool(p[_INF_OVERFLOWS]))
    return _Loop(codes.magic_encode if fmt.has_nan else codes.magic_encode_checked, (p, k))


@functools.lru_cache(maxsize=512)
def _usual_encoder(fmt: Format, dtype: np.dtype) -> tuple[_Loop, np.dtype] | None:
    if not isinstance(fmt, Format) or dtype.char not in "fd" or not dtype.isnative:
        return None
    loop = _encoder(fmt, None, None, Subnormals.KEEP, dtype.char)
    return None if loop is None else (loop, code_dtype(fmt))


def encode_simple(x: np.ndarray, fmt: Format, out: Any) -> bool:
    """Encode by the default rules if the arrays are as simple as they mostly are; return whether it was done."""
    found = _usual_encoder(fmt, x.dtype)
    if found is None or not are_simple(x, out, found[1]):
        return False
    if x.ndim != 1:
        x, out = x.reshape(-1), out.reshape(-1)
    loop = found[0]
    if loop.kernel(x, out, *loop.parameters):
        refuse_nan(x, fmt)
    return True


@functools.lru_cache(maxsize=512)
def _usual_decoder(fmt: Format, codes: np.dtype, values: np.dtype) -> _Loop | None:
    """Return the loop for codes of a dtype that holds no others, into the default carrier."""
    if not isinstance(fmt, Format) or codes.char not in "BHIL" or 8 * codes.itemsize != fmt.bits:
        return None
    return _decoder(fmt, values) if codes.isnative and _value_dtype(fmt, values) == values else None


def codes_of(x, fmt: Format, rounding: Rounding, rules: dict[str, Any], noise, out, round_to) -> np.ndarray:
    """Encode as described in `precsim.numerics.rounding.encode`."""
    saturate, nan, subnormals = rules["saturate"], rules["nan"], rules["subnormals"]
    if nan is NanRule.KEEP:
        raise ValueError(f"NanRule.KEEP leaves NaN without a code in {fmt}; choose RAISE, ZERO or MAXIMUM")
    if is_jax(x):
        under_jax = kernels.under_jax
        if not fmt.has_nan and nan in (None, NanRule.RAISE):
            raise ValueError(f"{fmt} has no code for NaN and compiled code cannot refuse one: pass nan=NanRule.ZERO")
        if x.size == 0:
            return x.astype(code_dtype(fmt))
        rounded = round_to(x, fmt, rounding, noise=noise, **rules)
        single = rounded.dtype.itemsize == 4
        carrier, bits = BINARY32 if single else BINARY64, under_jax.pattern(rounded)
        return kernels.codes.encode_values(under_jax.jnp, carrier, bits, fmt).astype(code_dtype(fmt))
    scalar = not isinstance(x, np.ndarray)
    x = as_numbers(x)
    dtype = code_dtype(fmt)
    result = np.empty(x.shape, dtype) if out is None else _checked_out(out, x.shape, dtype)
    if x.size == 0:
        return result
    refuses = not fmt.has_nan and nan in (None, NanRule.RAISE)
    encoder = _encoder(fmt, saturate, nan, subnormals, x.dtype.char)
    values = x
    if rounding is not Rounding.NEAREST_EVEN or noise is not None or encoder is None:
        values = round_to(x, fmt, rounding, noise=noise, **rules)
        encoder = encoder and _encoder(fmt, None, None, Subnormals.KEEP, x.dtype.char)
    if np.may_share_memory(values, result):
        values = values.copy()
    target = result if result.flags.c_contiguous else np.empty(x.shape, dtype)
    if encoder is None:
        if refuses:
            refuse_nan(flat(values), fmt)
        whole = values is x  # not rounded yet
        grid = grid_for(fmt, Rounding.NEAREST_EVEN, *((saturate, nan, subnormals) if whole else _USUAL))
        p = kernels.any_format.integer_parameters(fmt, grid, x.dtype, Rounding.NEAREST_EVEN)
        kernels.any_format.encode_any(flat(values), target.reshape(-1), p)
    elif encoder.kernel(flat(values), target.reshape(-1), *encoder.parameters) and refuses:
        refuse_nan(flat(x), fmt)
    if target is not result:
        result[...] = target
    return result[()] if scalar else result


def decode(codes, fmt: Format, *, dtype: Any = None, out: np.ndarray | None = None):
    """Return the values of codes.

    Parameters
    ----------
    codes : unsigned integer array, shape (...)
        NumPy or JAX; Python integers and lists too. Each 0 <= code < 2**fmt.bits.
    fmt : Format
    dtype : numpy dtype, optional
        float32 or float64. Default: float32 if it holds every value of fmt, else float64.
    out : numpy.ndarray, optional
        Where the values go; its dtype is then the default.

    Returns
    -------
    array of floats, shape of codes

    Raises
    ------
    ValueError
        If a code is out of range, the codes are no integers, or the carrier does not fit.

    Examples
    --------
    >>> from precsim.numerics import FP8_E4M3, INT4
    >>> decode([0b0_1111_110, 0b1_0000_001, 0b0_1111_111], FP8_E4M3)
    array([ 4.480000e+02, -1.953125e-03,           nan], dtype=float32)
    >>> decode([0b0111, 0b1000], INT4)
    array([ 7., -8.], dtype=float32)
    """
    if type(codes) is np.ndarray and type(out) is np.ndarray and dtype is None:
        loop = _usual_decoder(fmt, codes.dtype, out.dtype)
        if loop is not None and are_simple(codes, out, out.dtype):
            if codes.ndim == 1:
                loop.kernel(codes, out, *loop.parameters)
            else:
                loop.kernel(codes.reshape(-1), out.reshape(-1), *loop.parameters)
            return out
    dtype = _value_dtype(fmt, out.dtype if dtype is None and isinstance(out, np.ndarray) else dtype)
    if is_jax(codes):
        if out is not None:
            raise ValueError("out is for NumPy arrays; JAX arrays cannot be written to")
        return _decode_jax(codes, fmt, dtype)
    scalar = not isinstance(codes, np.ndarray)
    codes = _checked_codes(np.asarray(codes), fmt)
    result = np.empty(codes.shape, dtype) if out is None else _checked_out(out, codes.shape, dtype)
    if np.may_share_memory(codes, result):
        codes = codes.copy()
    target = result if result.flags.c_contiguous else np.empty(codes.shape, dtype)
    decoder = _decoder(fmt, dtype)
    decoder.kernel(flat(codes), target.reshape(-1), *decoder.parameters)
    if target is not result:
        result[...] = target
    return result[()] if scalar else result


@functools.lru_cache(maxsize=256)
def _decoder(fmt: Format, dtype: np.dtype) -> _Loop:
    """Return the loop that decodes a format into a carrier."""
    carrier = BINARY32 if dtype.itemsize == 4 else BINARY64
    grid = grid_for(fmt, Rounding.NEAREST_EVEN, None, None, Subnormals.KEEP)
    served = kernel_serves(fmt, grid, Rounding.TOWARD_ZERO, dtype.char)
    codes = kernels.codes
    p = parameters(grid, dtype, Rounding.NEAREST_EVEN) if served else None
    if codes.is_shortened(fmt, carrier):
        return _Loop(codes.wide_decode, (p,))
    if served == "magic" and fmt.bits < carrier.bits:
        k = codes.code_parameters(fmt, grid, carrier, False)
        return _Loop(codes.integer_decode if fmt.is_integer else codes.magic_decode, (p, k))
    if fmt.bits > 16:
        return _Loop(_work_out, (fmt,))
    return _Loop(_look_up, (_value_table(fmt, dtype),))


def _look_up(codes: np.ndarray, out: np.ndarray, table: np.ndarray) -> None:
    np.take(table, codes, out=out)


def _work_out(codes: np.ndarray, out: np.ndarray, fmt: Format) -> None:
    carrier, kind = (BINARY32, np.int32) if out.dtype.itemsize == 4 else (BINARY64, np.int64)
    out[...] = kernels.codes.decode_values(np, carrier, codes.astype(kind), fmt).astype(kind).view(out.dtype)


@functools.lru_cache(maxsize=64)
def _value_table(fmt: Format, dtype: np.dtype) -> np.ndarray:
    return np.array([fmt.value(code) for code in range(2**fmt.bits)], dtype)


def _decode_jax(codes, fmt: Format, dtype: np.dtype):
    under_jax, jnp = kernels.under_jax, kernels.under_jax.jnp
    if codes.dtype.kind not in "iu":
        raise ValueError(f"codes are integers; received {codes.dtype}")
    if not under_jax.is_traced(codes):  # a compiled program cannot refuse a value: there it becomes NaN
        _refuse_outside(np.asarray(codes), fmt)
    carrier, unsigned = (BINARY32, jnp.uint32) if dtype.itemsize == 4 else (BINARY64, jnp.uint64)
    words = codes.astype(unsigned)  # a negative code is beyond the last one here
    if kernels.codes.is_shortened(fmt, carrier):
        values = under_jax.floats(words << (carrier.bits - fmt.bits), dtype)
        return values if fmt.bits == carrier.bits else jnp.where(words >> fmt.bits != 0, jnp.nan, values)
    if fmt.bits <= 16:
        return jnp.asarray(_value_table(fmt, dtype)).at[words].get(mode="fill", fill_value=jnp.nan)
    bits = under_jax.pattern(under_jax.floats(words, dtype))
    values = under_jax.floats(kernels.codes.decode_values(jnp, carrier, bits, fmt), dtype)
    return values if fmt.bits == carrier.bits else jnp.where(words >> fmt.bits != 0, jnp.nan, values)


@functools.lru_cache(maxsize=512)
def _value_dtype(fmt: Format, dtype: Any) -> np.dtype:
    if not isinstance(fmt, Format):
        raise ValueError(f"fmt must be a Format; received {fmt!r}")
    if dtype is None:
        try:
            check_carrier(fmt, 32)
        except ValueError:
            return np.dtype(np.float64)
        return np.dtype(np.float32)
    dtype = np.dtype(dtype)
    if dtype.char not in "fd":
        raise ValueError(f"values are decoded to float32 or float64; received {dtype}")
    check_carrier(fmt, 8 * dtype.itemsize)
    return dtype


def _checked_codes(codes: np.ndarray, fmt: Format) -> np.ndarray:
    if codes.size == 0 and codes.dtype.kind == "f":
        return codes.astype(code_dtype(fmt))  # np.asarray([]) is float64
    if codes.dtype.kind not in "iu":
        raise ValueError(f"codes are integers; received {codes.dtype}")
    wanted = code_dtype(fmt)
    _refuse_outside(codes, fmt)
    return codes if codes.dtype == wanted else codes.astype(wanted)


def _refuse_outside(codes: np.ndarray, fmt: Format) -> None:
    full = codes.dtype.kind == "u" and 8 * codes.dtype.itemsize <= fmt.bits
    if codes.size and not full and (int(codes.min()) < 0 or int(codes.max()) >= 2**fmt.bits):
        raise ValueError(f"codes of {fmt} lie in 0 ... {2**fmt.bits - 1}; received {codes.min()} to {codes.max()}")


def _checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        found = f"{out.shape}, {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be a writeable NumPy array of shape {shape} and dtype {dtype}; received {found}")
    return out
