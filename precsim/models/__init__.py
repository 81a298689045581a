"""Small networks as frozen configurations and pure functions over pytrees, with named quantization points."""

from precsim.models.mlp import MLP
from precsim.models.points import EXACT, Kind, Points, linear
from precsim.models.teacher import Teacher
from precsim.models.transformer import Feed, Transformer

Model = MLP | Transformer

__all__ = ["EXACT", "MLP", "Feed", "Kind", "Model", "Points", "Teacher", "Transformer", "linear"]
