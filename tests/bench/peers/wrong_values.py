"""Values that peers get wrong: each line runs the peer on one number (or block) whose right image is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import precsim as ps
from tests.bench.peers.rounders import ROUNDERS

__all__ = ["WRONG", "Wrong"]


@dataclass(frozen=True)
class Wrong:
    """One number, what a peer makes of it, and what it should be."""

    peer: str
    task: str
    given: float
    peers_value: Callable[[], float]
    right_value: Callable[[], float]


def _rounded(peer: str, fmt: ps.Format, x: float, dtype: type = np.float32) -> float:
    call = ROUNDERS[peer](fmt, np.array([x, 1.0], dtype))
    assert call is not None
    return float(np.asarray(call())[0])


def _line(peer: str, fmt: ps.Format, x: float, why: str, dtype: type = np.float32) -> Wrong:
    right = lambda: float(ps.round_to(np.array([x], dtype), fmt, nan=None if fmt.has_nan else ps.NanRule.KEEP)[0])  # noqa: E731
    return Wrong(peer, f"{fmt}: {why}", x, lambda: _rounded(peer, fmt, x, dtype), right)


def _apytypes_cast() -> float:
    import apytypes

    return float(apytypes.APyFloatArray.from_float([0.99 * 2.0**-14], 8, 23).cast(5, 2).to_numpy()[0])


def _block_below_a_power_of_two() -> np.ndarray:
    block = np.full((1, 32), 0.3, np.float32)
    block[0, 0] = np.nextafter(np.float32(8), np.float32(0))
    return block


def _gfloat_scale() -> float:
    from gfloat import compute_scale_amax

    return float(compute_scale_amax(ps.FP4_E2M1.emax, _block_below_a_power_of_two()[0]))


def _torchao_rceil() -> float:
    import torch
    from torchao.prototype.mx_formats.mx_tensor import ScaleCalculationMode, to_mx

    scale, _ = to_mx(
        torch.from_numpy(_block_above_the_largest()), torch.float4_e2m1fn_x2, 32, ScaleCalculationMode.RCEIL
    )
    return float(scale.to(torch.float32)[0, 0])


def _block_above_the_largest() -> np.ndarray:
    block = np.full((1, 32), 0.3, np.float32)
    block[0, 0] = np.nextafter(np.float32(6 * 2.0**49), np.float32(np.inf))
    return block


def _scale_by(rule: ps.ScaleRule, block: np.ndarray) -> float:
    scaling = ps.PerBlock(32, scale_format=ps.E8M0, rule=rule)
    view, axes = scaling.grouped(np, block)
    return float(scaling.scale(np, view, axes, ps.FP4_E2M1.grid())[0, 0, 0])


WRONG = (
    _line("pychop", ps.FP16, 70000.0, "overflow up to twice the range becomes zero"),
    _line("pychop", ps.FP16, 65520.0, "what rounds up past the largest value is left outside the format"),
    _line("qtorch", ps.FP8_E4M3, 1.0625, "'nearest' sends a tie away from zero, not to even"),
    _line("qtorch", ps.FP4_E2M1, float(np.float32(0.24999999)), "subnormals are rounded twice"),
    _line("qtorch", ps.FP16, 100000.0, "overflow below twice the range stays finite"),
    _line("qtorch", ps.FP8_E5M2, float("nan"), "NaN becomes a number"),
    Wrong(
        "apytypes", "FP8_E5M2: cast of what rounds up to the smallest normal number", 0.99 * 2.0**-14, _apytypes_cast,
        lambda: float(ps.round_to(np.float64([0.99 * 2.0**-14]), ps.FP8_E5M2)[0]),
    ),
    _line("ml_dtypes", ps.FP8_E4M3, 1.0625 + 2.0**-40, "float64 is rounded twice, through float32", np.float64),
    _line("torch", ps.FP8_E4M3, 1.0625 + 2.0**-40, "float64 is rounded twice, through float32", np.float64),
    _line("ml_dtypes", ps.FP4_E2M1, float("nan"), "NaN becomes a number"),
    Wrong(
        "gfloat", "MXFP4 scale of a float32 block: floor(log2 a) by a logarithm",
        float(_block_below_a_power_of_two()[0, 0]),
        _gfloat_scale, lambda: _scale_by(ps.ScaleRule.FLOOR, _block_below_a_power_of_two()),
    ),
    Wrong(
        "torchao", "MXFP4 scale, RCEIL: ceil(log2(a / 6)) by a logarithm", float(_block_above_the_largest()[0, 0]),
        _torchao_rceil, lambda: _scale_by(ps.ScaleRule.RCEIL, _block_above_the_largest()),
    ),
)  # fmt: skip
