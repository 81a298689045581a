"""Which jobs share a program, and how a population is dealt out."""

import dataclasses

import pytest

from precsim.models import MLP
from precsim.models.rounder import shared_sites
from precsim.numerics import FP4_E2M1, INT2, INT3, INT4, PerChannel, PerTensor, Quantizer
from precsim.training import SGD, Job, Linear, Recipe, populations_of
from precsim.training.job import Compute
from precsim.training.languages import ZipfFacts, Zipfgram
from precsim.training.populations import pieces, shape_of
from precsim.training.ptq import Sample

LOW = [Recipe(), *(Recipe(weights=Quantizer(fmt, PerChannel())) for fmt in (INT2, INT3))]
SHARED = {"language": ZipfFacts(vocabulary=8), "batch_tokens": 64, "post": (Quantizer(INT4, PerChannel()),)}
JOBS = Job.grid(model=[MLP(4), MLP(6)], tokens=[640, 6400, 32_000], recipe=LOW, **SHARED)
PER_TENSOR = dataclasses.replace(JOBS[1], recipe=Recipe(weights=Quantizer(INT2, PerTensor())))


def test_jobs_share_a_population_when_one_program_can_serve_them():
    groups = populations_of(JOBS, 8)
    assert [len(group.jobs) for group in groups] == [9, 9]
    # all nine jobs of a group are 3.7 times its longest: a fifth slot would stand empty at the end
    assert [group.members for group in groups] == [4, 4]
    assert groups[0].flops > groups[1].flops
    assert len(populations_of([*JOBS, PER_TENSOR], 8)) == 3


def test_what_is_done_already_does_not_change_the_program():
    left = populations_of(JOBS, 8, done=frozenset(job.key for job in JOBS[:8]))
    assert sum(len(group.jobs) for group in left) == 10
    assert all(len(group.together) == 3 and group.members == 4 for group in left)
    whole = {group.jobs[0].model: shape_of([*group.jobs, *group.together], 4) for group in populations_of(JOBS, 8)}
    assert all(shape_of([*group.jobs, *group.together], 4) == whole[group.jobs[0].model] for group in left)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("model", {"model": MLP(5)}),
        ("language", {"language": Zipfgram(order=1, vocabulary=8)}),
        ("batch", {"batch_tokens": 128}),
        ("optimizer", {"optimizer": SGD(), "learning_rate": 0.1}),
        ("schedule", {"schedule": Linear()}),
        ("compute", {"compute": Compute.TF32}),
        ("sample", {"sample": Sample(sequences=8)}),
        ("averaging", {"average": 0.9}),
    ],
)
def test_jobs_that_differ_in_what_is_compiled_are_told_apart_by_grouping_and_refusal_alike(name, changes):
    other = dataclasses.replace(JOBS[0], **changes)
    assert len(populations_of([JOBS[0], other], 8)) == 2
    with pytest.raises(ValueError, match=f"must have the same {name}"):
        shape_of([JOBS[0], other], 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 3},
        {"language": ZipfFacts(vocabulary=8, seed=5)},
        {"learning_rate": 0.01},
        {"weight_decay": 0.1},
        {"tokens": 1280},
        {"post": ()},
        {"looks": (640,)},
        {"recipe": Recipe(weights=Quantizer(FP4_E2M1, PerChannel()))},
    ],
)
def test_jobs_that_differ_in_numbers_alone_share_a_program(changes):
    other = dataclasses.replace(JOBS[1], **changes)
    (population,) = populations_of([JOBS[1], other], 8)
    assert len(population.jobs) == 2
    assert shape_of([JOBS[1], other], 2).members == 2


def test_a_site_that_is_scaled_in_two_ways_needs_two_programs():
    assert len(populations_of([JOBS[1], PER_TENSOR], 8)) == 2
    with pytest.raises(ValueError, match="is rounded as"):
        shape_of([JOBS[1], PER_TENSOR], 2)
    assert [site.name for site in shared_sites([JOBS[1].recipe], MLP(4, layers=1))] == ["block0.down", "block0.up"]


def test_pieces_hold_every_job_once_the_longest_first():
    (population,) = populations_of([job for job in JOBS if job.model == MLP(6)], 4)
    parts = pieces(population)
    assert [len(part.jobs) for part in parts] == [4, 4, 1]
    steps = [job.steps for part in parts for job in part.jobs]
    assert steps == sorted(steps, reverse=True)
    assert sorted(job.key for part in parts for job in part.jobs) == sorted(job.key for job in population.jobs)
    assert all(part.together == population.together and part.members == population.members for part in parts)
