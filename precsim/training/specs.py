"""The job that a stored run was made from: its ``spec``, JSON of class names and fields, read back."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any

from precsim import models
from precsim.models import recipes
from precsim.numerics import formats, quantize, rounding
from precsim.runs.tables import Run
from precsim.training import job, languages, optimizers, ptq
from precsim.training.job import Job

_MODULES = (formats, languages, models, ptq, quantize, recipes, rounding, optimizers, job)
_OURS = {
    name: value
    for module in _MODULES
    for name, value in vars(module).items()
    if isinstance(value, type) and value.__module__.startswith("precsim.")
}
_CLASSES = {name: cls for name, cls in _OURS.items() if dataclasses.is_dataclass(cls)}
_ENUMS = {name: cls for name, cls in _OURS.items() if issubclass(cls, enum.Enum)}


def job_of(run: Run) -> Job:
    """The job of a stored run.

    Raises
    ------
    ValueError
        If the run keeps no spec, or this version of the package reads another job in it.

    Examples
    --------
    >>> from precsim.training.languages import ZipfFacts
    >>> from precsim.models import MLP
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
