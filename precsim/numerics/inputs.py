"""What people hold numbers in, as arrays that the kernels take: float32 or float64, native byte order.

float16, bfloat16 and the other narrow floats of ml_dtypes are exact in float32 and become that; integers and Python
numbers are exact in float64 and become that; float32 and float64 stay, without a copy. Tensors of torch and of other
libraries are read in place through DLPack. What would lose something on the way is refused by name.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["as_numbers", "is_jax"]

_EXACT_INTEGER = 2**53  # float64 holds every integer up to here


def is_jax(x: object) -> bool:
    """Whether x is a JAX array or tracer; never imports JAX to find out."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x, jax.Array)


def as_numbers(x: ArrayLike) -> np.ndarray:
    """Return numbers as a NumPy array of float32 or float64 in native byte order; a view where that is possible.

    Parameters
    ----------
    x : array_like or DLPack tensor
        Floats of any width up to 64 bits and either byte order, ml_dtypes' narrow floats, integers, Python numbers
        and lists of them, torch tensors.

    Raises
    ------
    ValueError
        If x is masked, holds something else (bool, complex, text, objects, long double), or an integer beyond 2**53.

    Examples
    --------
    >>> as_numbers(np.float16([1.5])), as_numbers([1, 2]), as_numbers(np.array([0.1], ">f4"))
    (array([1.5], dtype=float32), array([1., 2.]), array([0.1], dtype=float32))
    """
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError("masked arrays are not rounded: pass x.filled(...) or x.compressed()")
    array = _from_tensor(x) if hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray) else np.asarray(x)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f" and size in (4, 8):
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if (kind == "f" and size == 2) or array.dtype.type.__module__ == "ml_dtypes":
        return array.astype(np.float32)
    if kind not in "iu":
        raise ValueError(f"only real numbers are rounded; received {array.dtype}: {_short(x)}")
    if size == 8 and array.size and max(abs(int(array.min())), abs(int(array.max()))) > _EXACT_INTEGER:
        raise ValueError(f"integers beyond 2**53 are not exact in float64; received {array.min()} to {array.max()}")
    return array.astype(np.float64)


def _from_tensor(x) -> np.ndarray:
    """Return a tensor's memory as an array; on another device, or with a gradient, its values."""
    if type(x).__module__.partition(".")[0] == "torch":
        x = x.detach().cpu()
        if str(x.dtype) == "torch.bfloat16":  # NumPy's DLPack has no bfloat16: its 16 bits are the high ones of float32
            words = np.from_dlpack(x.contiguous().view(sys.modules["torch"].int16)).view(np.uint16)
            return (words.astype(np.uint32) << 16).view(np.float32)
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError, ValueError):
        return np.asarray(x)


def _short(x: object) -> str:
    shown = repr(x)
    return shown if len(shown) < 60 else f"{shown[:57]}..."
