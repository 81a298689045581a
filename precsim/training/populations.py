"""Which jobs share a compiled program, and how they are dealt out: groups, the slots of each, fillings of the slots."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from precsim.models import Model, Recipe
from precsim.models.rounder import training_plan, training_sites
from precsim.training.job import Compute, Job
from precsim.training.languages.synthetic import Language, unseeded
from precsim.training.optimizers import Optimizer, Schedule
from precsim.training.program import Shape
from precsim.training.ptq import Sample


@dataclass(frozen=True, slots=True)
class Population:
    """Jobs that one compiled program serves.

    Attributes
    ----------
    jobs : tuple of Job
        What is to be trained.
    together : tuple of Job
        One job for each recipe of the whole group, trained already or not: they decide the program.
    members : int
        Slots of the population: jobs that are trained side by side.
    """

    jobs: tuple[Job, ...]
    together: tuple[Job, ...]
    members: int

    @property
    def flops(self) -> float:
        """Training cost at 6 N D [FLOP]."""
        return float(sum(6 * job.N * job.D for job in self.jobs))


class _Common(NamedTuple):
    """What the jobs of a population must have in common besides the sites that they round."""

    model: Model
    language: Language  # but for its seed: the tables are arguments of the program
    batch: int
    optimizer: Optimizer
    schedule: Schedule
    compute: Compute
    sample: Sample
    averaging: bool

    @classmethod
    def of(cls, job: Job) -> _Common:
        language, averaging = unseeded(job.language), job.average is not None
        return cls(job.model, language, job.batch, job.optimizer, job.schedule, job.compute, job.sample, averaging)


def shape_of(jobs: Sequence[Job], members: int) -> Shape:
    """The shape of the program that serves all of these jobs in a population of so many slots.

    Raises
    ------
    ValueError
        If they cannot share one program: naming what they do not have in common.
    """
    common = _Common.of(jobs[0])
    for job in jobs:
        for name, first, other in zip(_Common._fields, common, _Common.of(job), strict=True):
            if first != other:
                raise ValueError(
                    f"jobs of one population must have the same {name} (of a language, all but its seed), "
                    f"not {first} and {other}; sweep groups them"
                )
    recipes = list(dict.fromkeys(job.recipe for job in jobs))
    sites = training_sites(recipes, common.model)
    return Shape(
        common.model,
        common.language,
        common.batch,
        common.optimizer,
        common.schedule,
        common.compute.value,
        sites,
        members,
        common.averaging,
        training_plan(recipes, common.model),
        any(job.in_force != (0.0, 1.0) for job in jobs),
    )


def populations_of(
    jobs: Iterable[Job] | Mapping[str, Job], members: int, done: frozenset[str] = frozenset()
) -> tuple[Population, ...]:
    """Group jobs into populations of equal shape, the most expensive first; jobs in `done` are left out.

    Jobs may come by their keys, which need not be computed again then: of many jobs, that is what takes time.

    The grouping, and with it every bit of the result, depends on all jobs given, not on those already done.
    """
    groups: dict[_Common, list[tuple[set[Recipe], list[Job]]]] = {}
    names = {id(job): key for key, job in jobs.items()} if isinstance(jobs, Mapping) else {}
    for job in jobs.values() if isinstance(jobs, Mapping) else jobs:
        alike = groups.setdefault(_Common.of(job), [])
        fitting = (group for group in alike if _one_program(group[0], job))
        if (group := next(fitting, None)) is None:
            alike.append(({job.recipe}, [job]))
        else:
            group[0].add(job.recipe)
            group[1].append(job)
    found = []
    for _, group in (group for alike in groups.values() for group in alike):
        left = tuple(job for job in group if (names.get(id(job)) or job.key) not in done) if done else tuple(group)
        if left:
            one_each = tuple({job.recipe: job for job in reversed(group)}.values())
            found.append(Population(left, one_each, _slots(group, members)))
    return tuple(sorted(found, key=lambda population: -population.flops))


def pieces(population: Population) -> list[Population]:
    """A population cut into fillings of its slots, longest jobs first, so that few slots stand empty."""
    jobs = sorted(population.jobs, key=lambda job: -job.steps)
    size = population.members
    return [dataclasses.replace(population, jobs=tuple(jobs[n : n + size])) for n in range(0, len(jobs), size)]


def _one_program(recipes: set[Recipe], job: Job) -> bool:
    """Whether a program that serves these recipes can be one that serves the job's, too."""
    if job.recipe in recipes:
        return True
    try:
        training_sites([*recipes, job.recipe], job.model)
    except ValueError:
        return False
    return True


def _slots(group: list[Job], most: int) -> int:
    """Slots that all stay busy until the longest job ends.

    An empty slot costs as much as a busy one, for the program maps over all of them. Nine jobs, three each of 10, 100
    and 500 steps, have 3.7 times the steps of the longest: of four slots 9 % of the work is empty, of eight 54 %.
    All jobs count, done or not: a product over another number of members may be summed in another order.
    """
    steps = [job.steps for job in group]
    return max(1, min(most, math.ceil(sum(steps) / max(steps))))
