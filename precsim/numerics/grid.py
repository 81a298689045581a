"""The numbers of a format that a rounding kernel needs, as one tuple that JAX can trace and map over."""

from __future__ import annotations

import enum
import math
from typing import Any, NamedTuple


class Grid(NamedTuple):
    """The numbers a rounding kernel needs; each may be a plain number, an array or a traced JAX value.

    All entries are exact in float32 when the format fits in float32. Magnitudes carry no sign: the kernel adds it.
    """

    precision: int  #: significand bits p, hidden bit included
    emin: int  #: exponent of the smallest normal number
    maximum: float  #: largest positive value
    minimum: float  #: magnitude of the most negative value; 0 for unsigned formats
    overflow: float  #: what a positive result above `maximum` becomes
    underflow: float  #: magnitude that a negative result below ``-minimum`` becomes
    infinity: float  #: what +infinity becomes
    minus_infinity: float  #: magnitude that -infinity becomes
    nan: float  #: magnitude that NaN becomes
    least: float  #: smallest value of a format without zero; 0 elsewhere
    flush: float  #: results of smaller magnitude become zero; 0 keeps subnormals
    signed: int  #: 1 where negative values exist
    negative_zero: int  #: 1 where -0 has a code
    parity: int  #: p = 1 only: parity of ``exponent field of float32 - code``; 0 elsewhere

    @classmethod
    def off(cls) -> Grid:
        """Return the grid that leaves every float32 number unchanged (NaN becomes the quiet NaN)."""
        largest = math.ldexp(2.0**24 - 1, 104)
        return cls(24, -126, largest, largest, math.inf, math.inf, math.inf, math.inf, math.nan, 0.0, 0.0, 1, 1, 0)

    @staticmethod
    def stack(*grids: Grid) -> Grid:
        """Return one grid whose entries are NumPy arrays of shape (len(grids),), to be mapped over.

        Examples
        --------
        >>> from precsim.numerics import FP4_E2M1, INT4
        >>> Grid.stack(INT4.grid(), FP4_E2M1.grid()).maximum
        array([7., 6.], dtype=float32)
        """
        import numpy as np

        if not grids:
            raise ValueError("Grid.stack needs at least one grid; received none")
        columns = zip(*grids, strict=True)
        kinds = (np.int32 if type(v) is int else np.float32 for v in grids[0])
        stacked: list[Any] = [np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)]
        return Grid(*stacked)


_BIAS = 127  # of float32


class Family(enum.IntEnum):
    """What is known of a grid while compiling; the larger serves the smaller ones' grids too."""

    UNIFORM = 0  #: one spacing for all values, as integers have
    FLOAT = 1  #: values and spacings are normal float32 numbers
    ANY = 2  #: nothing: the integer kernel is needed


def family_of(grid: Grid) -> Family:
    """The smallest family of a grid of plain numbers; `Grid.off` belongs to every family."""
    if grid.precision >= 24:
        return Family.UNIFORM
    largest = max(grid.maximum, grid.minimum)
    saturating = (grid.overflow, grid.underflow) == (grid.maximum, grid.minimum)
    normal = grid.emin - grid.precision > -_BIAS and largest < 2.0 ** (_BIAS - 1)
    if not (saturating and normal and grid.signed) or grid.least or grid.flush:
        return Family.ANY
    if largest <= 2.0 ** (grid.emin + 1):
        return Family.UNIFORM
    # at precision 1 a tie between powers of two is decided by their codes, of which whole numbers know nothing
    return Family.FLOAT if grid.precision >= 2 else Family.ANY
