"""Charts and widgets: they take formats, tables and laws, and return values that a notebook shows.

A chart is an Altair chart with a description in words, units on its axes and a mark for every
observation; ``.properties(...)`` and ``.to_dict()`` work on it as on any other. Views draw; what is
computed comes from the packages below them.
"""

from __future__ import annotations

from precsim.view._theme import enable, finish
from precsim.view.explorer import how_many_bits
from precsim.view.grids import number_line, relative_error, rounding_slider
from precsim.view.losses import delta_against_tokens, loss_against_bits, loss_against_tokens, predicted_against_observed
from precsim.view.widgets import Bits, FormatTable, bit_flipper, format_table

__all__ = [
    "Bits",
    "FormatTable",
    "bit_flipper",
    "delta_against_tokens",
    "enable",
    "finish",
    "format_table",
    "how_many_bits",
    "loss_against_bits",
    "loss_against_tokens",
    "number_line",
    "predicted_against_observed",
    "relative_error",
    "rounding_slider",
]
