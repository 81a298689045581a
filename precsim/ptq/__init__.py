"""After training: quantize a trained model and measure the damage on exactly the same tokens."""

from precsim.ptq.awq import AWQ
from precsim.ptq.calibration import quantize
from precsim.ptq.curvature import Curvature, curvature
from precsim.ptq.evaluation import damage
from precsim.ptq.gptq import GPTQ
from precsim.ptq.posts import RTN, Post
from precsim.ptq.reading import Sample

__all__ = ["AWQ", "GPTQ", "RTN", "Curvature", "Post", "Sample", "curvature", "damage", "quantize"]
