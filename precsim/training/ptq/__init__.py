"""After training: quantize a trained model and measure the damage on exactly the same tokens."""

from precsim.training.ptq.awq import AWQ
from precsim.training.ptq.calibration import quantize
from precsim.training.ptq.curvature import Curvature, curvature
from precsim.training.ptq.evaluation import damage
from precsim.training.ptq.gptq import GPTQ
from precsim.training.ptq.held_out import Sample
from precsim.training.ptq.treatments import RTN, Post

__all__ = ["AWQ", "GPTQ", "RTN", "Curvature", "Post", "Sample", "curvature", "damage", "quantize"]
