"""One training run to be (`Job`): its fields, its key, the JSON that a run keeps of it, and back (`job_of`)."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import itertools
import json
import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from precsim import models
from precsim.equality import unwritten
from precsim.models import MLP, Model, Transformer, Weights, recipes
from precsim.models.recipes import PerLayer, Recipe
from precsim.numerics import formats, matrix_unit, quantize, rounding
from precsim.runs.tables import Run
from precsim.training import languages, optimizers, ptq
from precsim.training.languages.synthetic import KingJames, Language, ZipfFacts, Zipfgram
from precsim.training.optimizers import SGD, AdamW, Cosine, Optimizer, Schedule
from precsim.training.ptq import Post, Sample
from precsim.training.spec import classes_of, described, restored

__all__ = ["Compute", "Job", "PerLayer", "Recipe", "Trained", "job_of"]


class Compute(enum.Enum):
    """Arithmetic of the matrix products in training; evaluation is always in full float32.

    Processors without TF32 (all CPUs) use float32 for it. BF16 rounds operands and results of products to bfloat16
    anywhere, but for the logits; weights and sums along the network stay in float32. Quantizers of more than
    8 significant bits lose their last ones there. OPERANDS rounds operands alone to bfloat16, and sums and keeps
    everything between products in float32; heads of 64 and more attend in one fused kernel, in bfloat16. GPUs only: a
    processor computes in float32.
    """

    FLOAT32 = "highest"
    TF32 = "tensorfloat32"
    BF16 = "bfloat16"
    OPERANDS = "BF16_BF16_F32"


_NO_ROUNDING, _COSINE, _ADAMW, _SAMPLE = Recipe(), Cosine(), AdamW(), Sample()  # defaults of a job, immutable


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training run to be; equal jobs give equal bits on the same machine and the same population size.

    Parameters
    ----------
    model : MLP or Transformer
    language : Zipfgram, ZipfFacts or KingJames
        What is read. `Transformer` needs one that can be read as a sequence: not ZipfFacts.
    tokens : int
        D, training tokens; rounded to whole steps, at least one (`D`).
    recipe : Recipe
        Which tensors are rounded in training.
    seed : int
        Decides the starting weights and the order of data: jobs of equal seed and batch differ in nothing
        else, so their losses can be compared in pairs. Below 2^32.
    learning_rate : float, optional
        Peak, per step; the model's own choice for AdamW if not given (`rate`).
    embedding_rate : float, optional
        Peak of the embedding and of gains; the model's own choice if not given, or `learning_rate`.
    weight_decay : float, optional
        Decay of matrices, before the learning rate; the model's own choice if not given (`decay`). Gains never decay.
    decay_embedding : bool, optional
        Whether the embedding decays too; the model's own choice if not given.
    schedule : Cosine, Linear, Constant or WarmupStableDecay
    optimizer : AdamW or SGD
    batch_tokens : int, optional
        Tokens of one step; the model's own choice if not given. A multiple of a Transformer's window.
    post : sequence of Quantizer or Post
        Treatments after training, each evaluated against the model as trained.
    looks : sequence of int
        Numbers of tokens at which the model is evaluated on the way, besides the end.
    average : float, optional
        Evaluate and return, instead of the last weights, their average over steps with weights that fall by this
        factor with each step of age (and sum to 1): below 1 an exponential average, 1 the plain mean. In (0, 1].
    in_force : (float, float)
        From which to which share of the steps `recipe` rounds; before and after, nothing is rounded. (0.9, 1) is
        training that is finished in few bits, (0, 0.9) training that is finished in float32.
    compute : Compute
    sample : Sample
        Held-out text of evaluations.
    probes : int
        Random directions by which each evaluation estimates the curvature of the loss (`ptq.curvature`): 0 or at
        least 2.
    holdout : bool
        A label in the table of runs: never to be used in a fit. Not part of the key.

    Raises
    ------
    ValueError
        If a value is outside its range, or recipe, model and language do not fit together.

    Examples
    --------
    >>> job = Job(model=MLP(8), language=Zipfgram(), tokens=100_000)
    >>> job.steps, job.D, job.rate
    (98, 100352, 0.04)
    """

    model: Model
    language: Language
    tokens: int
    recipe: Recipe = _NO_ROUNDING
    seed: int = 0
    learning_rate: float | None = None
    embedding_rate: float | None = None
    # descriptions without these fields are of jobs whose networks were trained so
    weight_decay: float | None = field(default=None, metadata=unwritten(0.0))
    decay_embedding: bool | None = field(default=None, metadata=unwritten(True))
    schedule: Schedule = _COSINE
    optimizer: Optimizer = _ADAMW
    batch_tokens: int | None = None
    post: tuple[Post, ...] = ()
    looks: tuple[int, ...] = ()
    average: float | None = None
    in_force: tuple[float, float] = (0.0, 1.0)
    compute: Compute = Compute.FLOAT32
    sample: Sample = _SAMPLE
    probes: int = 0
    holdout: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "post", tuple(Post.of(post) for post in self.post))
        object.__setattr__(self, "looks", tuple(sorted({int(tokens) for tokens in self.looks})))
        _check(self)

    @property
    def batch(self) -> int:
        """Tokens of one step: `batch_tokens`, or what the model suggests."""
        return self.batch_tokens or self.model.batch_tokens

    @property
    def steps(self) -> int:
        """Steps of the run: tokens / batch, rounded, at least 1."""
        return max(1, round(self.tokens / self.batch))

    @property
    def D(self) -> int:
        """Tokens that the run really reads: steps times batch."""
        return self.steps * self.batch

    @property
    def N(self) -> int:
        """Parameters of the model without embedding and unembedding."""
        return self.model.parameters

    @property
    def rate(self) -> float:
        """Peak learning rate: `learning_rate`, or what suits AdamW at the model's width."""
        return self.model.learning_rate if self.learning_rate is None else self.learning_rate

    @property
    def rate_of_embedding(self) -> float:
        """Peak learning rate of the embedding and of gains."""
        if self.embedding_rate is not None:
            return self.embedding_rate
        return self.rate if self.model.embedding_rate is None else self.model.embedding_rate

    @property
    def decay(self) -> float:
        """Weight decay of matrices: `weight_decay`, or what is usual for the model."""
        return self.model.weight_decay if self.weight_decay is None else self.weight_decay

    @property
    def embedding_decays(self) -> bool:
        """Whether the embedding decays like a matrix: `decay_embedding`, or what is usual for the model."""
        return self.model.decay_embedding if self.decay_embedding is None else self.decay_embedding

    @property
    def decay_steps(self) -> float:
        """Steps at the peak rate in which decay alone would shrink a matrix by a factor e: 1 / (rate x decay).

        The shape of the damage of rounding follows this time, not the rate or the decay alone.
        """
        return math.inf if self.decay == 0 else 1 / (self.rate * self.decay)

    def rounds_at(self, step: int) -> bool:
        """Whether `recipe` is in force in this step (from 0)."""
        first, last = self.rounded_steps
        return first <= step < last

    @property
    def rounded_steps(self) -> tuple[int, int]:
        """The first step in which `recipe` is in force, and the first in which it no longer is."""
        first, last = self.in_force
        return round(first * self.steps), round(last * self.steps)

    @property
    def look_steps(self) -> tuple[int, ...]:
        """Steps after which the model is evaluated; the last is the end."""
        inner = {min(self.steps, max(1, round(tokens / self.batch))) for tokens in self.looks}
        return tuple(sorted(inner | {self.steps}))

    @property
    def spec(self) -> str:
        """Every field that decides the run, as JSON; fields at their default are left out."""
        named = dataclasses.replace(
            self,
            learning_rate=self.rate,
            embedding_rate=None if self.rate_of_embedding == self.rate else self.rate_of_embedding,
            weight_decay=self.decay,
            decay_embedding=self.embedding_decays,
            batch_tokens=self.batch,
        )
        return json.dumps(described(named), sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """Hash of the fields, 16 hexadecimal digits: the job's name in a store of runs."""
        return hashlib.sha256(self.spec.encode()).hexdigest()[:16]

    @classmethod
    def grid(cls, **fields: Any) -> tuple[Job, ...]:
        """Every combination of the given values, the last field changing fastest.

        Parameters
        ----------
        **fields
            Fields of a Job. A list or a range is a set of alternatives; anything else, tuples
            included, is one value.

        Raises
        ------
        ValueError
            If a field does not exist, or a list of alternatives is empty.

        Examples
        --------
        >>> jobs = Job.grid(model=[MLP(8), MLP(16)], language=Zipfgram(), tokens=[10**5, 10**6], seed=range(3))
        >>> len(jobs), jobs[0].N, jobs[-1].N
        (12, 1024, 4096)
        """
        known = {f.name for f in dataclasses.fields(cls)}
        for name, value in fields.items():
            if name not in known:
                raise ValueError(f"a Job has no field {name!r}; it has {', '.join(sorted(known))}")
            if isinstance(value, (list, range)) and not len(value):
                raise ValueError(f"the list of alternatives for {name} is empty")
        choices: list[Any] = [value if isinstance(value, (list, range)) else [value] for value in fields.values()]
        combinations: Iterator[tuple[Any, ...]] = itertools.product(*choices)
        return tuple(cls(**dict(zip(fields, values, strict=True))) for values in combinations)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained model: its job, its weights (a pytree of arrays), and its record."""

    job: Job
    params: Weights
    run: Run


_CLASSES = {cls.__name__: cls for cls in (Job, Compute)} | classes_of(
    formats, languages, matrix_unit, models, ptq, quantize, recipes, rounding, optimizers
)


def job_of(run: Run) -> Job:
    """The job of a stored run, from its ``spec``.

    Raises
    ------
    ValueError
        If the run keeps no spec, or this version of the package reads another job in it.

    Examples
    --------
    >>> from precsim.runs import Evaluation
    >>> job = Job(model=MLP(8), language=ZipfFacts(vocabulary=8), tokens=1000)
    >>> look = Evaluation(step=1, loss=1.0, gap=0.1, delta=0.0, delta_se=0.0)
    >>> run = Run(job=job.key, model="", N=1, D=1, entropy=1.0, steps=1, evaluations=(look,), spec=job.spec)
    >>> job_of(run).key == job.key
    True
    """
    if not run.spec:
        raise ValueError(f"run {run.job} keeps no spec of its job, so it cannot be trained again")
    try:
        job = restored(json.loads(run.spec), _CLASSES)
    except (ValueError, TypeError, KeyError) as failure:
        raise ValueError(f"the spec of run {run.job} is not one of this version: {failure}") from None
    if not isinstance(job, Job) or job.key != run.job:
        raise ValueError(f"the spec of run {run.job} describes another job; it was made by another version of precsim")
    return dataclasses.replace(job, holdout=run.holdout)


def _check(job: Job) -> None:
    """Refuse a job that cannot be trained, before anything is compiled."""
    for name, kinds in (
        ("model", (MLP, Transformer)),
        ("language", (Zipfgram, ZipfFacts, KingJames)),
        ("recipe", (Recipe,)),
        ("schedule", Schedule.__args__),
        ("optimizer", (AdamW, SGD)),
        ("compute", (Compute,)),
        ("sample", (Sample,)),
    ):
        if not isinstance(getattr(job, name), kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{name} must be a {wanted}, not {getattr(job, name)!r}")
    for name in ("tokens", "seed", "batch_tokens", "probes"):
        value: Any = getattr(job, name)
        if value is None and name == "batch_tokens":
            continue
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or value % 1 != 0:  # refuses NaN and inf
            raise ValueError(f"{name} must be an integer, not {value!r}")
        object.__setattr__(job, name, math.trunc(value))
    if job.tokens < 1 or job.batch < 1:
        raise ValueError(f"tokens and batch_tokens must be positive, not {job.tokens} and {job.batch}")
    if job.probes < 0 or job.probes == 1:
        raise ValueError(f"probes must be 0 or at least 2, for a standard error, not {job.probes}")
    if job.steps >= 2**31:
        raise ValueError(f"{job.tokens} tokens make {job.steps} steps; use larger batches")
    if not 0 <= job.seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2^32 - 1, not {job.seed}")
    if not (math.isfinite(job.rate) and job.rate > 0):
        raise ValueError(f"learning_rate must be a positive number, not {job.learning_rate!r}")
    if not (math.isfinite(job.rate_of_embedding) and job.rate_of_embedding > 0):
        raise ValueError(f"embedding_rate must be a positive number, not {job.embedding_rate!r}")
    if not (math.isfinite(job.decay) and job.decay >= 0):
        raise ValueError(f"weight_decay must be a number of at least 0, not {job.weight_decay!r}")
    if len(job.in_force) != 2 or not 0 <= job.in_force[0] < job.in_force[1] <= 1:
        raise ValueError(f"in_force must be two rising shares of the steps, 0 to 1, not {job.in_force!r}")
    if job.average is not None and not 0 < job.average <= 1:
        raise ValueError(f"average must lie above 0 and be at most 1, not {job.average!r}")
    if any(not 1 <= tokens <= job.tokens for tokens in job.looks):
        raise ValueError(f"looks must lie between 1 and tokens = {job.tokens}, not {job.looks}")
    if isinstance(job.model, Transformer):
        if not job.language.successive:
            raise ValueError(
                f"{job.language} has no sequences for a Transformer to read; use an MLP, a Zipfgram or KingJames"
            )
        if job.batch % job.model.window:
            raise ValueError(f"batch_tokens {job.batch} is not a multiple of the window {job.model.window}")
        if job.model.window <= 8 + (0 if isinstance(job.language, KingJames) else job.language.context_length):
            raise ValueError(f"window {job.model.window} is too short to evaluate: use at least 16")
    if isinstance(job.language, KingJames):
        job.language.check(job.D, job.model.window if isinstance(job.model, Transformer) else None)
    for recipe in (job.recipe, *(post.recipe for post in job.post)):
        _fits(recipe, job.model)


@functools.lru_cache(maxsize=4096)
def _fits(recipe: Recipe, model: Model) -> None:
    """Refuse a recipe that names a site that the model does not have; kept, since the jobs of a grid share theirs."""
    recipe.sites(model)
