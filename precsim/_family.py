"""What is known of the grids of a rounded place while its program is compiled."""

from __future__ import annotations

import enum

from precsim._grid import Grid

__all__ = ["Family", "family_of"]

_BIAS = 127  # of float32


class Family(enum.IntEnum):
    """What is known of a grid while compiling; the larger serves the smaller ones' grids too."""

    EVEN = 0  #: one spacing for all values, as integers have
    FLOAT = 1  #: values and spacings are normal float32 numbers
    ANY = 2  #: nothing: the integer kernel is needed


def family_of(grid: Grid) -> Family:
    """The smallest family of a grid of plain numbers; `Grid.off` belongs to every family."""
    if grid.precision >= 24:
        return Family.EVEN
    largest = max(grid.maximum, grid.minimum)
    saturating = (grid.overflow, grid.underflow) == (grid.maximum, grid.minimum)
    normal = grid.emin - grid.precision > -_BIAS and largest < 2.0 ** (_BIAS - 1)
    if not (saturating and normal and grid.signed) or grid.least or grid.flush:
        return Family.ANY
    if largest <= 2.0 ** (grid.emin + 1):
        return Family.EVEN
    # at precision 1 a tie between powers of two is decided by their codes, of which whole numbers know nothing
    return Family.FLOAT if grid.precision >= 2 else Family.ANY
