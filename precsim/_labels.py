"""Short names of scalings, for a column of a table."""

from __future__ import annotations

from typing import Any

from precsim._format import Format
from precsim._learned import Learned
from precsim._preparation import Fitted, Rotated
from precsim._two_level import TwoLevel
from precsim.quantize import PerBlock, PerChannel, PerTensor, PerToken


def label(quantizer: Any) -> str:
    """What shares a scale under this quantizer, in a word or two.

    Examples
    --------
    >>> from precsim.formats import INT4
    >>> from precsim.quantize import MXFP4, NVFP4, Quantizer
    >>> [label(q) for q in (Quantizer(INT4, PerChannel(axis=0)), MXFP4, NVFP4)]
    ['channel', 'block 32 E8M0', 'block 16 two-level']
    """
    match quantizer:
        case Rotated():
            return f"rotated {label(quantizer.quantizer)}"
        case Fitted():
            return f"fitted {label(quantizer.quantizer)}"
        case Learned():
            return f"learned {label(quantizer.quantizer)}"
    match getattr(quantizer, "scaling", None):
        case PerTensor():
            name = "tensor"
        case PerChannel():
            name = "channel"
        case PerToken():
            name = "token"
        case TwoLevel(size=size):
            name = f"block {size} two-level"
        case PerBlock(size=size, scale_format=None):
            name = f"block {size}"
        case PerBlock(size=size, scale_format=Format(name=kept)):
            name = f"block {size} {kept}"
        case _:
            return "mixed"
    return name if getattr(quantizer, "symmetric", True) else f"{name} affine"
