"""Charts and widgets: they take formats, tables and laws, and return values that a notebook shows.

A chart is an Altair chart with a description in words, units on its axes and a mark for every
observation; ``.properties(...)`` and ``.to_dict()`` work on it as on any other. Views draw; what is
computed comes from the packages below them.
"""

from __future__ import annotations

from precsim.view import drawings
from precsim.view.captions import captioned
from precsim.view.laws.by_hand import factor_forms, knee_sweep, straighten
from precsim.view.laws.contours import iso_loss
from precsim.view.laws.derivations import Derived, derivation
from precsim.view.laws.effective_parameters import effective_parameters
from precsim.view.laws.explorer import Explored, Explorer, explore
from precsim.view.laws.formula_and_numbers import formula_and_numbers
from precsim.view.laws.how_many_bits import how_many_bits
from precsim.view.laws.paper_and_ours import paper_and_ours
from precsim.view.laws.runs_and_laws import (
    delta_against_tokens,
    loss_against_bits,
    loss_against_tokens,
    predicted_against_observed,
)
from precsim.view.laws.tables import comparison_table, parameter_table, plan_table
from precsim.view.numbers.block_scale import block_scale
from precsim.view.numbers.codes import Bits, bit_flipper, format_table
from precsim.view.numbers.gptq_pair import two_weights
from precsim.view.numbers.matrix_units import alignment, unit_error_curves
from precsim.view.numbers.number_line import number_line, relative_error, rounding_slider
from precsim.view.numbers.ranges import format_builder, loss_scaling
from precsim.view.numbers.rounding_modes import mode_slider, stochastic_bias
from precsim.view.numbers.scale_groups import scale_groups
from precsim.view.numbers.sums import error_curves, running_sum
from precsim.view.numbers.weight_distribution import weight_distribution
from precsim.view.planning.budgets import added_loss, fixed_model, iso_flop, serving_cost
from precsim.view.planning.decisions import design_map, held_out_error, profile_likelihood, regret_curve
from precsim.view.planning.planner import planner
from precsim.view.predict import Guess, predict, predict_number
from precsim.view.report import page
from precsim.view.table import Table, Words
from precsim.view.theme import enable, finish
from precsim.view.training.hero import hero
from precsim.view.training.paired_runs import joint_penalties, paired_runs
from precsim.view.training.straight_through import descent, straight_through
from precsim.view.training.trials import bit_map, trials

__all__ = [
    "Bits",
    "Derived",
    "Explored",
    "Explorer",
    "Guess",
    "Table",
    "Words",
    "added_loss",
    "alignment",
    "bit_flipper",
    "bit_map",
    "block_scale",
    "captioned",
    "comparison_table",
    "delta_against_tokens",
    "derivation",
    "descent",
    "design_map",
    "drawings",
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
    "hero",
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
    "paper_and_ours",
    "parameter_table",
    "plan_table",
    "planner",
    "predict",
    "predict_number",
    "predicted_against_observed",
    "profile_likelihood",
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
    "unit_error_curves",
    "weight_distribution",
]
