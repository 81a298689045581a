"""Where a law was learned: the sizes and tokens of the runs behind it, and how far a point lies outside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def _outside(value: float, ends: tuple[float, float]) -> float:
    """The factor by which a value leaves a range; 1 inside."""
    return float(max(ends[0] / value, value / ends[1], 1.0))


@dataclass(frozen=True, slots=True)
class Region:
    """Ranges of parameters, tokens and tokens per parameter of the runs behind a law.

    Attributes
    ----------
    N, D : (float, float)
        Least and most parameters and training tokens.
    per_parameter : (float, float)
        Least and most D/N; by default what the two ranges allow.

    Raises
    ------
    ValueError
        For a range that is not 0 < low ≤ high < ∞.

    Examples
    --------
    >>> runs = Region(N=(30e6, 220e6), D=(1.5e9, 26e9))
    >>> runs.beyond(440e6, 26e9)
    {'N': 2.0}
    """

    N: tuple[float, float]
    D: tuple[float, float]
    per_parameter: tuple[float, float] = field(default=(0.0, 0.0))

    def __post_init__(self):
        if self.per_parameter == (0.0, 0.0):
            object.__setattr__(self, "per_parameter", (self.D[0] / self.N[1], self.D[1] / self.N[0]))
        for name, (low, high) in (("N", self.N), ("D", self.D), ("per_parameter", self.per_parameter)):
            if not 0 < low <= high < np.inf:
                raise ValueError(f"{name} must be (low, high) with 0 < low <= high, got {(low, high)}")

    @staticmethod
    def of(runs: Any) -> Region:
        """The region of a table of runs: its columns N and D.

        Raises
        ------
        ValueError
            If the table has no such columns, or no row.
        """
        names = set(runs.columns if hasattr(runs, "columns") else runs)
        if not {"N", "D"} <= names or not len(runs["N"]):
            raise ValueError(
                f"a region needs the columns N and D of some runs, got {', '.join(sorted(map(str, names)))}"
            )
        N, D = (np.asarray(runs[name], dtype=float) for name in ("N", "D"))
        ends = [(float(x.min()), float(x.max())) for x in (N, D, D / N)]
        return Region(*ends)

    def beyond(self, N: float, D: float) -> Mapping[str, float]:
        """What lies outside (``N``, ``D``, ``D/N``) → the factor by which it does; empty inside."""
        factors = {
            "N": _outside(N, self.N),
            "D": _outside(D, self.D),
            "D/N": _outside(D / N, self.per_parameter),
        }
        return {name: factor for name, factor in factors.items() if factor > 1 + 1e-9}


#: Tokens per parameter beyond which nobody trains: what stands for a region where a law's runs are not known.
SANE = Region(N=(1e-300, 1e300), D=(1e-300, 1e300), per_parameter=(0.1, 1e5))
