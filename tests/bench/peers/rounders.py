"""Each peer as a function: given float32 numbers, what to call to have them rounded as its users would."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import numpy as np

import precsim as ps

Call = Callable[[], Any]

FORMATS = (ps.FP8_E4M3, ps.FP8_E5M2, ps.BF16, ps.FP16, ps.FP4_E2M1)
_ML = {"FP8_E4M3": "float8_e4m3fn", "FP8_E5M2": "float8_e5m2", "BF16": "bfloat16", "FP4_E2M1": "float4_e2m1fn"}
_TORCH = {"FP8_E4M3": "float8_e4m3fn", "FP8_E5M2": "float8_e5m2", "BF16": "bfloat16", "FP16": "float16"}
_GFLOAT = {
    "FP8_E4M3": "ocp_e4m3", "FP8_E5M2": "ocp_e5m2", "BF16": "bfloat16", "FP16": "binary16", "FP4_E2M1": "ocp_e2m1",
}  # fmt: skip


def installed(module: str) -> bool:
    """Whether a peer is there."""
    return importlib.util.find_spec(module) is not None


def _precsim(fmt: ps.Format, x: np.ndarray) -> Call:
    out = np.empty_like(x)
    return lambda: ps.round_to(x, fmt, out=out)


def _ml_dtypes(fmt: ps.Format, x: np.ndarray) -> Call | None:
    import ml_dtypes

    dtype = np.float16 if fmt is ps.FP16 else getattr(ml_dtypes, _ML[fmt.name])
    return lambda: x.astype(dtype).astype(np.float32)


def _torch(fmt: ps.Format, x: np.ndarray) -> Call | None:
    import torch

    if fmt.name not in _TORCH:
        return None
    dtype, tensor = getattr(torch, _TORCH[fmt.name]), torch.from_numpy(x)
    return lambda: tensor.to(dtype).to(torch.float32)


def _gfloat(fmt: ps.Format, x: np.ndarray) -> Call:
    import gfloat
    import gfloat.formats

    info = getattr(gfloat.formats, f"format_info_{_GFLOAT[fmt.name]}")
    return lambda: gfloat.round_ndarray(info, x)


def _qtorch(fmt: ps.Format, x: np.ndarray) -> Call:
    import torch
    from qtorch.quant import float_quantize

    tensor = torch.from_numpy(x)
    return lambda: float_quantize(tensor, fmt.exponent_bits, fmt.precision - 1, rounding="nearest")


def _apytypes(fmt: ps.Format, x: np.ndarray) -> Call:
    import apytypes

    exponent, fraction = fmt.exponent_bits, fmt.precision - 1
    return lambda: apytypes.APyFloatArray.from_float(x, exponent, fraction).to_numpy()


def _pychop(fmt: ps.Format, x: np.ndarray) -> Call:
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its backend
        import pychop

        pychop.backend("numpy")
        chop = pychop.Chop(fmt.exponent_bits, fmt.precision - 1, chunk_size=x.size + 1)
    return lambda: chop(x)


#: Peers by the name of their module.
ROUNDERS: dict[str, Callable[[ps.Format, np.ndarray], Call | None]] = {
    "precsim": _precsim,
    "ml_dtypes": _ml_dtypes,
    "torch": _torch,
    "gfloat": _gfloat,
    "qtorch": _qtorch,
    "apytypes": _apytypes,
    "pychop": _pychop,
}


def blocks(name: str, x: np.ndarray) -> Call:
    """MXFP4 by precsim or torchao: quantized and scaled back."""
    if name == "precsim":
        out = np.empty_like(x)
        return lambda: ps.MXFP4(x, out=out)
    import torch
    from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx

    tensor, kind = torch.from_numpy(x), torch.float4_e2m1fn_x2

    def quantize() -> Any:
        scale, data = to_mx(tensor, kind, 32)
        return to_dtype(data, scale, kind, 32, torch.float32)

    return quantize
