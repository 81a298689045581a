"""The job that a stored run was made from: its ``spec``, JSON of class names and fields, read back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from precsim._codebook import Codebook
from precsim._format import Format, Specials
from precsim.languages import ZipfFacts, Zipfgram
from precsim.models import MLP, Transformer
from precsim.ptq import AWQ, GPTQ, RTN, Post, Sample
from precsim.quantize import (
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    Quantizer,
    ScaleRule,
    TwoLevel,
    TwoLevelRule,
)
from precsim.rounding import Rounding
from precsim.runs import Run
from precsim.schedules import SGD, AdamW, Constant, Cosine, Linear, Warmup, WarmupStableDecay
from precsim.training import Compute, Job, PerLayer, Recipe

_VALUES = (
    Job, MLP, Transformer, Zipfgram, ZipfFacts, Recipe, PerLayer, Quantizer, Format, Codebook, PerTensor, PerChannel,
    PerToken, PerBlock, TwoLevel, Post, RTN, GPTQ, AWQ, Sample, Cosine, Linear, Constant, WarmupStableDecay, Warmup,
    AdamW, SGD,
)  # fmt: skip
_CLASSES: dict[str, type] = {cls.__name__: cls for cls in _VALUES}
_ENUMS = {cls.__name__: cls for cls in (Compute, Rounding, Specials, ScaleRule, TwoLevelRule)}


def job_of(run: Run) -> Job:
    """The job of a stored run.

    Raises
    ------
    ValueError
        If the run keeps no spec, or this version of the package reads another job in it.

    Examples
    --------
    >>> from precsim.runs import Evaluation
    >>> job = Job(model=MLP(8), language=ZipfFacts(vocabulary=8), tokens=1000, recipe=Recipe())
    >>> look = Evaluation(step=1, loss=1.0, gap=0.1, delta=0.0, delta_se=0.0)
    >>> run = Run(job=job.key, model="", N=1, D=1, entropy=1.0, steps=1, evaluations=(look,), spec=job.spec)
    >>> job_of(run).key == job.key
    True
    """
    if not run.spec:
        raise ValueError(f"run {run.job} keeps no spec of its job, so it cannot be trained again")
    try:
        job = _object(json.loads(run.spec))
    except (ValueError, TypeError, KeyError) as failure:
        raise ValueError(f"the spec of run {run.job} is not one of this version: {failure}") from None
    if not isinstance(job, Job) or job.key != run.job:
        raise ValueError(f"the spec of run {run.job} describes another job; it was made by another version of precsim")
    return dataclasses.replace(job, holdout=run.holdout)


def _object(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_object(item) for item in value)
    if isinstance(value, dict):
        cls = _CLASSES[value["is"]]
        return cls(**{name: _object(v) for name, v in value.items() if name != "is"})
    if isinstance(value, str) and (kind := _ENUMS.get(value.partition(".")[0])) and "." in value:
        return kind[value.partition(".")[2]]
    return value
