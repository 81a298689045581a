"""Rounding modes and the rules for what has no image in the target format, as enums; random bits as values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from precsim.numerics.binary_format import whole

__all__ = ["CounterBits", "GivenBits", "NanRule", "Rounding", "Saturation", "Subnormals", "most_bits"]


class Rounding(enum.Enum):
    """Which of the two neighbouring values of the format a number between them moves to.

    With nu the fraction of the interval already passed (0 at the neighbour nearer zero, 1 at the other), N random
    bits and R the integer they form, the stochastic modes move away from zero when (IEEE P3109 4.0):

    * A: ``floor(nu 2**N) + R >= 2**N``; biased toward zero by less than ``2**-N`` of the interval, exact when the
      interval has at most N bits in the carrier;
    * B: ``floor(nu 2**(N+1)) + 2R + 1 >= 2**(N+1)``; bias at most ``2**-(N+1)``;
    * C: ``round_half_even(nu 2**N) + R >= 2**N``; no bias over the finite fractions of a carrier.
    """

    NEAREST_EVEN = "nearest; a tie goes to the even code"
    NEAREST_AWAY = "nearest; a tie goes away from zero"
    TOWARD_ZERO = "the neighbour nearer zero"
    UP = "the neighbour above (toward +infinity)"
    DOWN = "the neighbour below (toward -infinity)"
    TO_ODD = "the neighbour with odd code, unless the number is in the format"
    STOCHASTIC_A = "stochastic, fraction truncated to N bits"
    STOCHASTIC_B = "stochastic, fraction rounded half up to N bits"
    STOCHASTIC_C = "stochastic, fraction rounded half to even to N bits"
    STOCHASTIC = STOCHASTIC_A

    @property
    def is_stochastic(self) -> bool:
        """True if the mode needs random bits."""
        return self in (Rounding.STOCHASTIC_A, Rounding.STOCHASTIC_B, Rounding.STOCHASTIC_C)


class Saturation(enum.Enum):
    """What becomes of a result beyond the largest value (P3109: SatNone, SatFinite, SatPropagate)."""

    NONE = "infinity, or NaN where the format has no infinity; directed modes may stop at the largest value"
    FINITE = "the largest value, for infinities too"
    PROPAGATE = "the largest value, but infinity stays infinity (NaN where the format has no infinity)"


class NanRule(enum.Enum):
    """What becomes of NaN in a format that has no NaN."""

    RAISE = "ValueError, before anything is changed"
    KEEP = "NaN stays in the array although the format has no code for it"
    ZERO = "zero"
    MAXIMUM = "the largest value with the sign of the NaN"


class Subnormals(enum.Enum):
    """Whether results between zero and the smallest normal number are kept."""

    KEEP = "gradual underflow, as the format defines it"
    FLUSH = "a rounded result below the smallest normal number becomes zero of its sign"


@dataclass(frozen=True, slots=True)
class CounterBits:
    """Random bits made inside the kernel: a hash of the seed and of each element's number in C order.

    The result does not depend on chunks, threads or memory layout. To round a long array in pieces, give each piece
    the number of its first element as `start`. The sequence repeats after 2**32 elements.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**64.
    start : int
        Number of the first element.
    width : int, optional
        N; by default what the carrier compares exactly: float32 24 for variant A and 23 for B and C, float64 32.

    Examples
    --------
    >>> from precsim import BF16, CounterBits, Rounding, round_to
    >>> whole = round_to([1.001, 1.002, 1.003, 1.004], BF16, Rounding.STOCHASTIC, noise=CounterBits(7))
    >>> part = round_to([1.003, 1.004], BF16, Rounding.STOCHASTIC, noise=CounterBits(7, start=2))
    >>> bool((whole[2:] == part).all())
    True
    """

    seed: int
    start: int = 0
    width: int | None = None

    def __post_init__(self) -> None:
        for field, top in (("seed", 2**64), ("start", 2**62)):
            object.__setattr__(self, field, whole(f"CounterBits.{field}", getattr(self, field), 0, top - 1))
        object.__setattr__(self, "width", _checked_width(self.width))


@dataclass(frozen=True, slots=True, eq=False)
class GivenBits:
    """Random bits given by the caller: one integer 0 <= R < 2**width for each element.

    Parameters
    ----------
    values : integer array, the shape of the numbers to be rounded
    width : int
        N.

    Examples
    --------
    >>> import numpy as np
    >>> from precsim import INT4, GivenBits, Rounding, round_to
    >>> round_to([2.25] * 4, INT4, Rounding.STOCHASTIC, noise=GivenBits(np.arange(4), 2))
    array([2., 2., 2., 3.])
    """

    values: Any
    width: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", _checked_width(self.width))
        if self.width is None:
            raise ValueError("GivenBits needs its width, the number of random bits in each value")


def _checked_width(width: int | None) -> int | None:
    return None if width is None else whole("the number of random bits", width, 1, 32)


def most_bits(rounding: Rounding, carrier_fraction: int) -> int:
    """Largest N a stochastic mode can use with a carrier, so that 1 - R / 2**N (in B and C: half steps) is exact."""
    return min(32, carrier_fraction + (1 if rounding is Rounding.STOCHASTIC_A else 0))
