"""The record of one training run, and the meaning and unit of every column of a table of runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from precsim.equality import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation(Record):
    """One look at a trained model: as trained, or quantized after training.

    `post`, `post_activations`, `post_kv` are bits (inf: as trained); losses in nats/token.
    """

    step: int
    loss: float
    gap: float
    delta: float
    delta_se: float
    post: float = math.inf
    post_activations: float = math.inf
    post_kv: float = math.inf
    post_format: str = ""
    post_scaling: str = ""
    post_method: str = "none"
    weight_rms: float = math.nan
    curvature: float = math.nan
    curvature_se: float = math.nan
    second_order: float = math.nan
    rate: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run(Record):
    """One trained model: what it was made from, what it cost, and how it was evaluated.

    Fields carry the meaning and unit of the column of the same name in `COLUMNS`.

    Examples
    --------
    >>> look = Evaluation(step=10, loss=3.0, gap=0.5, delta=0.0, delta_se=0.0)
    >>> run = Run(job="a", model="MLP(width=8)", N=1024, D=10240, entropy=2.5, steps=10, evaluations=(look,))
    >>> run.loss, run.diverged
    (3.0, False)
    """

    job: str
    model: str
    N: int
    D: int
    entropy: float
    steps: int
    evaluations: tuple[Evaluation, ...]
    weights: float = math.inf
    activations: float = math.inf
    kv: float = math.inf
    weights_format: str = ""
    activations_format: str = ""
    kv_format: str = ""
    weights_scaling: str = ""
    activations_scaling: str = ""
    kv_scaling: str = ""
    gradients: float = math.inf
    accumulator: float = math.inf
    master: float = math.inf
    gradients_format: str = ""
    accumulator_format: str = ""
    master_format: str = ""
    seed: int = 0
    language: str = ""
    language_seed: int = 0
    learning_rate: float = math.nan
    weight_decay: float = 0.0
    schedule: str = ""
    optimizer: str = ""
    batch_tokens: int = 0
    diverged: bool = False
    holdout: bool = False
    seconds: float = math.nan
    device: str = ""
    versions: str = ""
    spec: str = ""

    @property
    def final(self) -> Evaluation:
        """The model as trained, at the last step.

        Raises
        ------
        ValueError
            If that was not evaluated.
        """
        for look in reversed(self.evaluations):
            if look.post_method == "none" and look.step == self.steps:
                return look
        raise ValueError(f"run {self.job} has no evaluation of the model as trained at its last step, {self.steps}")

    @property
    def loss(self) -> float:
        """Loss as trained, at the end [nats/token]."""
        return self.final.loss

    @property
    def gap(self) -> float:
        """Loss above the language's entropy, as trained, at the end [nats/token]."""
        return self.final.gap

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each evaluation, with every column of `COLUMNS`."""
        looks = Evaluation.__slots__
        return [{name: getattr(e if name in looks else self, name) for name in COLUMNS} for e in self.evaluations]


#: Column -> (meaning, unit); the order of the columns in a table of runs.
COLUMNS: dict[str, tuple[str, str]] = {
    "job": ("key of the trained model: a hash of everything that decides its weights", ""),
    "model": ("architecture and its sizes", ""),
    "N": ("parameters without embedding and unembedding", "1"),
    "D": ("training tokens of the whole run", "tokens"),
    "loss": ("cross-entropy, entropy + gap", "nats/token"),
    "gap": ("exact Kullback-Leibler divergence from the language: loss - entropy", "nats/token"),
    "entropy": ("entropy rate of the language, E", "nats/token"),
    "delta": ("loss - loss of the same weights as trained, same tokens; 0 as trained", "nats/token"),
    "delta_se": ("standard error of delta over evaluation tokens; 0 when every context was enumerated", "nats/token"),
    "weights": ("bits of weights in training; inf = float32", "bits"),
    "activations": ("bits of activations in training; inf = float32", "bits"),
    "kv": ("bits of keys and values in training; inf = float32", "bits"),
    "weights_format": ("format of weights in training; empty = float32", ""),
    "activations_format": ("format of activations in training; empty = float32", ""),
    "kv_format": ("format of keys and values in training; empty = float32", ""),
    "weights_scaling": ("what shares a scale of weights in training: tensor, channel, block; empty = float32", ""),
    "activations_scaling": ("what shares a scale of activations in training: tensor or token; empty = float32", ""),
    "kv_scaling": ("what shares a scale of keys and values in training; empty = float32", ""),
    "gradients": ("bits of the derivatives by products in training; inf = float32", "bits"),
    "accumulator": ("bits of the partial sums of products in training; inf = float32", "bits"),
    "master": ("bits of the weights that the optimizer updates; inf = float32", "bits"),
    "gradients_format": ("format of derivatives in training; empty = float32", ""),
    "accumulator_format": ("format of partial sums in training; empty = float32", ""),
    "master_format": ("format of the weights that the optimizer updates; empty = float32", ""),
    "post": ("bits of weights after training; inf = as trained", "bits"),
    "post_activations": ("bits of activations after training; inf = as trained", "bits"),
    "post_kv": ("bits of keys and values after training; inf = as trained", "bits"),
    "post_format": ("format of weights after training; empty = as trained", ""),
    "post_scaling": ("scaling of weights after training; empty = as trained", ""),
    "post_method": ("how weights were quantized after training: none, rtn, gptq, gptq-ordered or awq", ""),
    "seed": ("seed of the starting weights and of the order of data", ""),
    "language": ("name of the language", ""),
    "language_seed": ("seed of the language's tables", ""),
    "learning_rate": ("peak learning rate", "1/step"),
    "weight_decay": ("decoupled weight decay, before the learning rate", "1"),
    "schedule": ("learning-rate schedule", ""),
    "optimizer": ("optimizer and its constants", ""),
    "batch_tokens": ("training tokens of one step", "tokens"),
    "step": ("steps done at this evaluation", "steps"),
    "steps": ("steps of the whole run", "steps"),
    "rate": ("learning rate at this evaluation", "1/step"),
    "weight_rms": ("root mean square of the matrices counted in N, at this evaluation", "1"),
    "curvature": (
        "trace of the Hessian of the gap by these matrices, times weight_rms^2; NaN: not asked",
        "nats/token",
    ),
    "curvature_se": ("standard error of curvature over random directions", "nats/token"),
    "second_order": ("1/2 sum over channels of mean squared rounding error times trace: predicted delta", "nats/token"),
    "diverged": ("a loss that is not finite, or in the end no better than guessing evenly", ""),
    "holdout": ("never to be used in a fit", ""),
    "seconds": ("this run's share of the wall time of its population", "s"),
    "device": ("what it ran on", ""),
    "versions": ("versions of code and libraries", ""),
}

#: Columns that hold words; an empty cell in a file of comma-separated values means the empty word.
TEXT = frozenset(
    {"job", "model", "weights_format", "activations_format", "kv_format", "gradients_format", "accumulator_format"}
    | {
        "weights_scaling",
        "activations_scaling",
        "kv_scaling",
        "master_format",
        "post_format",
        "post_scaling",
        "post_method",
    }
    | {"language", "schedule", "optimizer", "device", "versions"}
)
