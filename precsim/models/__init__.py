"""Small networks as frozen configurations and pure functions over pytrees, and where their numbers are rounded.

A model (`MLP`, `Transformer`) says *where* its numbers may be rounded (`Points`); a `Recipe` says *how*; ``rounder``
joins the two inside a compiled program. ``transforms`` and ``learned_steps`` are what a recipe may do besides rounding;
`Teacher` is the linear model whose every loss has a closed form.
"""

from precsim.models.block import FIRST_EDITION, STANDARD, Block, Norm
from precsim.models.mlp import MLP
from precsim.models.points import EXACT, Kind, Points, Weights, linear
from precsim.models.recipes import PerLayer, Recipe
from precsim.models.teacher import Teacher
from precsim.models.transformer import Feed, Transformer

Model = MLP | Transformer

__all__ = [
    "EXACT",
    "FIRST_EDITION",
    "MLP",
    "STANDARD",
    "Block",
    "Feed",
    "Kind",
    "Model",
    "Norm",
    "PerLayer",
    "Points",
    "Recipe",
    "Teacher",
    "Transformer",
    "Weights",
    "linear",
]
