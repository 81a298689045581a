"""Rounding to a format: modes, rules and (in this first form) the grid that changes nothing."""

from __future__ import annotations

from precsim._grid import Grid
from precsim._modes import NanRule, Rounding, Saturation, Subnormals

__all__ = ["OFF", "NanRule", "Rounding", "Saturation", "Subnormals"]

OFF: Grid = Grid.off()  #: leaves float32 numbers unchanged
