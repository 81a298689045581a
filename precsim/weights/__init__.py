"""What number formats would do to the weights of a model, read from its file: errors, outliers, bytes, a ranking.

A checkpoint (safetensors or GGUF) is mapped into memory, its sizes and offsets are checked, nothing in it is executed.
`survey` streams it in pieces and measures, for each tensor and format, what rounding would change. It knows weights
only: without data it says nothing about the loss.
"""

from precsim.weights.checkpoints import Checkpoint, Tensor, open_checkpoint
from precsim.weights.surveys import FORMATS, Score, Survey, TensorSurvey, survey

__all__ = ["FORMATS", "Checkpoint", "Score", "Survey", "Tensor", "TensorSurvey", "open_checkpoint", "survey"]
