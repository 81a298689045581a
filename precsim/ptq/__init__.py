"""After training: quantize a trained model and measure the damage on exactly the same tokens."""

from precsim.ptq.evaluation import Sample, damage
from precsim.ptq.posts import RTN, Post

__all__ = ["RTN", "Post", "Sample", "damage"]
