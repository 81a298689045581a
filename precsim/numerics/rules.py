"""From a format and the caller's rules to the grid that the kernels round to."""

from __future__ import annotations

import functools
import math

from precsim.numerics.binary_format import Format
from precsim.numerics.grid import Grid
from precsim.numerics.modes import NanRule, Rounding, Saturation, Subnormals

__all__ = ["check_carrier", "grid_for", "saturation_of"]


def saturation_of(fmt: Format, saturate: bool | Saturation | None) -> Saturation:
    """Return the saturation mode meant, refusing those that mean nothing for the format."""
    if saturate is None:
        return Saturation.NONE if fmt.has_nan else Saturation.FINITE
    if isinstance(saturate, bool):
        saturate = Saturation.FINITE if saturate else Saturation.NONE
    if not isinstance(saturate, Saturation):
        raise ValueError(f"saturate must be True, False, None or a member of Saturation; received {saturate!r}")
    if saturate is not Saturation.FINITE and not fmt.has_nan:
        raise ValueError(
            f"{fmt} has neither infinity nor NaN, so overflow can only saturate: leave saturate out or pass True; "
            f"received {saturate}"
        )
    return saturate


@functools.lru_cache(maxsize=1024, typed=True)  # 1 is no answer to `saturate`, though it equals True
def grid_for(
    fmt: Format,
    rounding: Rounding,
    saturate: bool | Saturation | None,
    nan: NanRule | None,
    subnormals: Subnormals,
) -> Grid:
    """Return the grid of a format under a rounding mode and the caller's rules."""
    if not isinstance(fmt, Format):
        raise ValueError(f"fmt must be a Format; received {fmt!r}")
    if not isinstance(rounding, Rounding):
        raise ValueError(f"rounding must be a member of Rounding; received {rounding!r}")
    mode = saturation_of(fmt, saturate)
    top, bottom = fmt.maximum, abs(fmt.minimum)
    special = math.inf if fmt.has_infinity else math.nan
    negative = special if fmt.signed else math.nan
    infinity, minus_infinity, overflow, underflow = special, negative, special, negative
    if mode is Saturation.FINITE:
        infinity, minus_infinity = top, bottom
    if mode is not Saturation.NONE:
        overflow, underflow = top, bottom
    if rounding in (Rounding.TOWARD_ZERO, Rounding.DOWN, Rounding.TO_ODD):
        overflow = top
    if rounding in (Rounding.TOWARD_ZERO, Rounding.UP, Rounding.TO_ODD):
        underflow = bottom
    return fmt.grid()._replace(
        overflow=overflow,
        underflow=underflow,
        infinity=infinity,
        minus_infinity=minus_infinity,
        nan=_nan_image(fmt, nan),
        flush=_flush_limit(fmt, subnormals),
    )


def _nan_image(fmt: Format, rule: NanRule | None) -> float:
    if rule is not None and not isinstance(rule, NanRule):
        raise ValueError(f"nan must be a member of NanRule or None; received {rule!r}")
    if rule is not None and fmt.has_nan:
        raise ValueError(f"{fmt} has a NaN, so NaN stays NaN: leave nan out; received {rule}")
    images: dict[NanRule | None, float] = {NanRule.ZERO: 0.0, NanRule.MAXIMUM: fmt.maximum}
    return images.get(rule, math.nan)


def _flush_limit(fmt: Format, subnormals: Subnormals) -> float:
    if not isinstance(subnormals, Subnormals):
        raise ValueError(f"subnormals must be a member of Subnormals; received {subnormals!r}")
    if subnormals is Subnormals.KEEP:
        return 0.0
    if not fmt.has_subnormals:
        raise ValueError(f"{fmt} has no subnormal numbers to flush: leave subnormals out")
    return fmt.smallest_normal


def check_carrier(fmt: Format, bits: int) -> None:
    """Refuse a format whose values a float32 carrier cannot all hold (every format here fits float64)."""
    if bits == 32:
        lowest = fmt.emin - fmt.precision + 1
        if fmt.precision > 24 or fmt.emax > 127 or fmt.emin < -127 or lowest < -149:
            raise ValueError(f"float32 cannot hold every value of {fmt}; give a float64 array")
