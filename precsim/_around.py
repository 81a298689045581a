"""What every value that is built around a quantizer shares with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precsim._codebook import Codebook
    from precsim._format import Format
    from precsim._modes import Rounding

__all__ = ["Around"]


class Around:
    """A quantizer with something done before or after it; its elements are the inner quantizer's."""

    __slots__ = ()
    quantizer: Any

    @property
    def format(self) -> Format | Codebook:
        """Of the elements."""
        return self.quantizer.format

    @property
    def rounding(self) -> Rounding:
        """Of the elements."""
        return self.quantizer.rounding

    @property
    def symmetric(self) -> bool:
        """Whether there are no zero points."""
        return self.quantizer.symmetric

    @property
    def bits(self) -> float:
        """Storage bits of one element."""
        return float(self.quantizer.bits)
