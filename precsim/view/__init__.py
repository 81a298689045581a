"""Charts and widgets: they take formats, tables and laws, and return values that a notebook shows.

A chart is an Altair chart with a description in words, units on its axes and a mark for every
observation; ``.properties(...)`` and ``.to_dict()`` work on it as on any other. Views draw; what is
computed comes from the packages below them.
"""

from __future__ import annotations

from precsim.view._theme import enable, finish
from precsim.view.blocks import block_scale
from precsim.view.budgets import added_loss, fixed_model, iso_flop, serving_cost
from precsim.view.contours import iso_loss
from precsim.view.decisions import design_map, held_out_error, profile_likelihood, regret_curve
from precsim.view.explorer import how_many_bits
from precsim.view.exploring import Explored, Explorer, explore
from precsim.view.factors import effective_parameters
from precsim.view.formulas import formula_and_numbers
from precsim.view.grids import number_line, relative_error, rounding_slider
from precsim.view.losses import delta_against_tokens, loss_against_bits, loss_against_tokens, predicted_against_observed
from precsim.view.modes import mode_slider, stochastic_bias
from precsim.view.pairs import two_weights
from precsim.view.places import recipe_map
from precsim.view.ranges import format_builder, loss_scaling
from precsim.view.repeats import joint_penalties, paired_runs
from precsim.view.report import page
from precsim.view.scales import scale_groups
from precsim.view.searching import factor_forms, knee_sweep, straighten
from precsim.view.straight import descent, straight_through
from precsim.view.sums import error_curves, running_sum
from precsim.view.tables import Table, comparison_table, parameter_table, plan_table
from precsim.view.trials import bit_map, trials
from precsim.view.widgets import Bits, FormatTable, bit_flipper, format_table
from precsim.view.words import Words

__all__ = [
    "Bits",
    "Explored",
    "Explorer",
    "FormatTable",
    "Table",
    "Words",
    "added_loss",
    "bit_flipper",
    "bit_map",
    "block_scale",
    "comparison_table",
    "delta_against_tokens",
    "descent",
    "design_map",
    "effective_parameters",
    "enable",
    "error_curves",
    "explore",
    "factor_forms",
    "finish",
    "fixed_model",
    "format_builder",
    "format_table",
    "formula_and_numbers",
    "held_out_error",
    "how_many_bits",
    "iso_flop",
    "iso_loss",
    "joint_penalties",
    "knee_sweep",
    "loss_against_bits",
    "loss_against_tokens",
    "loss_scaling",
    "mode_slider",
    "number_line",
    "page",
    "paired_runs",
    "parameter_table",
    "plan_table",
    "predicted_against_observed",
    "profile_likelihood",
    "recipe_map",
    "regret_curve",
    "relative_error",
    "rounding_slider",
    "running_sum",
    "scale_groups",
    "serving_cost",
    "stochastic_bias",
    "straight_through",
    "straighten",
    "trials",
    "two_weights",
]
