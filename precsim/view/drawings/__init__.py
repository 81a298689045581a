"""Drawings: pictures whose coordinates are values of the package, in the page itself, without a script.

A `Canvas` holds shapes by looks, a `Drawing` two of them (wide and narrow) with a caption; every other module here
draws one idea.
"""

from __future__ import annotations

from precsim.view.drawings.alignment import cut_products
from precsim.view.drawings.block import transformer_block
from precsim.view.drawings.codes import bit_layout
from precsim.view.drawings.contours import sliding_map
from precsim.view.drawings.crowd import under_the_roof
from precsim.view.drawings.decisions import drift_of_ties, neighbors_taken
from precsim.view.drawings.domains import where_runs_exist
from precsim.view.drawings.drawing import Drawing, Frame, drawn
from precsim.view.drawings.facts import the_task
from precsim.view.drawings.grids import common_end
from precsim.view.drawings.groups import shared_scales
from precsim.view.drawings.ladder import ulp_ladder
from precsim.view.drawings.links import Link, chain
from precsim.view.drawings.memory import block_memory
from precsim.view.drawings.multiplier import multiplier
from precsim.view.drawings.outlier import one_outlier
from precsim.view.drawings.pictures import posterised
from precsim.view.drawings.quadratic import bowl
from precsim.view.drawings.quantizing import divide_round_multiply
from precsim.view.drawings.serving import roofline
from precsim.view.drawings.sizes import smaller_network
from precsim.view.drawings.sources import Said, forest
from precsim.view.drawings.stagnation import where_a_sum_stops
from precsim.view.drawings.staircase import pretended_slope
from precsim.view.drawings.timing import when_rounding_happens
from precsim.view.drawings.trees import summation_trees
from precsim.view.drawings.turn import three_strokes

__all__ = [
    "Drawing",
    "Frame",
    "Link",
    "Said",
    "bit_layout",
    "block_memory",
    "bowl",
    "chain",
    "common_end",
    "cut_products",
    "divide_round_multiply",
    "drawn",
    "drift_of_ties",
    "forest",
    "multiplier",
    "neighbors_taken",
    "one_outlier",
    "posterised",
    "pretended_slope",
    "roofline",
    "shared_scales",
    "sliding_map",
    "smaller_network",
    "summation_trees",
    "the_task",
    "three_strokes",
    "transformer_block",
    "ulp_ladder",
    "under_the_roof",
    "when_rounding_happens",
    "where_a_sum_stops",
    "where_runs_exist",
]
