"""Drawings: pictures whose coordinates are values of the package, in the page itself, without a script.

A `Canvas` holds shapes by looks, a `Drawing` two of them (wide and narrow) with a caption; every other module here
draws one idea.
"""

from __future__ import annotations

from precsim.view.drawings.block_memory import block_memory
from precsim.view.drawings.chain import Link, chain
from precsim.view.drawings.common_end import common_end
from precsim.view.drawings.divide_round_multiply import divide_round_multiply
from precsim.view.drawings.drawing import Drawing, Frame, drawn
from precsim.view.drawings.posterised import posterised
from precsim.view.drawings.pretended_slope import pretended_slope
from precsim.view.drawings.shared_scales import shared_scales
from precsim.view.drawings.smaller_network import smaller_network
from precsim.view.drawings.summation_trees import summation_trees
from precsim.view.drawings.the_task import the_task
from precsim.view.drawings.three_strokes import three_strokes
from precsim.view.drawings.transformer_block import transformer_block
from precsim.view.drawings.when_rounding_happens import when_rounding_happens
from precsim.view.drawings.where_a_sum_stops import where_a_sum_stops

__all__ = [
    "Drawing",
    "Frame",
    "Link",
    "block_memory",
    "chain",
    "common_end",
    "divide_round_multiply",
    "drawn",
    "posterised",
    "pretended_slope",
    "shared_scales",
    "smaller_network",
    "summation_trees",
    "the_task",
    "three_strokes",
    "transformer_block",
    "when_rounding_happens",
    "where_a_sum_stops",
]
