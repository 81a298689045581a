"""After training: quantize a trained model and measure the damage on exactly the same tokens."""

from precsim.ptq.awq import AWQ
from precsim.ptq.calibration import quantize
from precsim.ptq.evaluation import Sample, damage
from precsim.ptq.gptq import GPTQ
from precsim.ptq.posts import RTN, Post

__all__ = ["AWQ", "GPTQ", "RTN", "Post", "Sample", "damage", "quantize"]
