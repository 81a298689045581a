"""Formats that are a list of values: NF4."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import ModuleType

import numpy as np

__all__ = ["NF4_LEVELS", "Codebook"]


@dataclass(frozen=True, slots=True)
class Codebook:
    """A format given by its values; the code of a value is its place in the list.

    Parameters
    ----------
    name : str
    levels : tuple of float
        Ascending, all float32; the largest magnitude is what a scale maps the largest element to.

    Raises
    ------
    ValueError
        If there are fewer than two levels, or they do not ascend.
    """

    name: str
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        exact = [float(np.float32(v)) for v in self.levels]
        if len(exact) < 2 or any(b <= a for a, b in itertools.pairwise(exact)):
            raise ValueError(f"{self.name}: a codebook needs at least two ascending levels; received {self.levels}")

    @property
    def bits(self) -> int:
        """Storage bits of one code."""
        return (len(self.levels) - 1).bit_length()

    @property
    def maximum(self) -> float:
        """Largest magnitude of the levels, which a group's scale maps to."""
        return max(abs(v) for v in self.levels)

    def values(self) -> np.ndarray:
        """All values in ascending order, shape (n,), float32."""
        return np.array(self.levels, np.float32)

    def midpoints(self) -> np.ndarray:
        """Midpoints of neighboring values, rounded to float32: shape (n - 1,)."""
        levels = self.values().astype(np.float64)
        return ((levels[:-1] + levels[1:]) / 2).astype(np.float32)

    def nearest(self, xp: ModuleType, x):
        """Return the nearest level of each element; at the midpoint (rounded to float32) the lower one. NaN stays."""
        levels = self.values()
        place = xp.searchsorted(xp.asarray(self.midpoints()), x.reshape(-1), side="left").reshape(x.shape)
        return xp.where(xp.isnan(x), x, xp.asarray(levels)[place])

    def __str__(self) -> str:
        return self.name


#: The published table of bitsandbytes: quantiles of N(0, 1), 8 above zero and 7 below, made to end at -1 and 1.
NF4_LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
