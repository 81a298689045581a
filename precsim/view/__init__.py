"""Charts and widgets: they take formats, tables and laws, and return values that a notebook shows.

A chart is an Altair chart with a description in words, units on its axes and a mark for every
observation; ``.properties(...)`` and ``.to_dict()`` work on it as on any other. Views draw; what is
computed comes from the packages below them.
"""

from __future__ import annotations

from precsim.view._theme import enable, finish
from precsim.view.explorer import how_many_bits
from precsim.view.grids import number_line, rounding_slider
from precsim.view.losses import delta_against_tokens, loss_against_bits, loss_against_tokens, predicted_against_observed
from precsim.view.widgets import Bits

__all__ = [
    "Bits",
    "delta_against_tokens",
    "enable",
    "finish",
    "how_many_bits",
    "loss_against_bits",
    "loss_against_tokens",
    "number_line",
    "predicted_against_observed",
    "rounding_slider",
]
