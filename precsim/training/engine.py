"""The loop around a compiled population: fill its slots, advance, look, record, refill."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from precsim import __version__
from precsim.models import Kind, Recipe, Weights
from precsim.models.products import numbers_of
from precsim.models.recipes import label
from precsim.models.rounder import grids
from precsim.runs.tables import Evaluation, Run
from precsim.training.job import Job, Trained
from precsim.training.keeping import Keeper
from precsim.training.languages import sampling
from precsim.training.languages.synthetic import Language, entropy
from precsim.training.populations import shape_of
from precsim.training.program import Member, Shape, State, program, stack
from precsim.training.ptq import damage

_REPORT_SECONDS = 0.5  # time between two reports of progress; changes nothing in the results
_FIRST_CHUNK = 8  # steps of the first call


@dataclass(slots=True)
class _Slot:
    """One slot of a population and the job in it."""

    job: Job
    done: int = 0
    seconds: float = 0.0
    looks: list[Evaluation] = field(default_factory=list)

    @property
    def next_look(self) -> int:
        return next(step for step in self.job.look_steps if step > self.done)


def populate(
    jobs: list[Job], members: int, together: list[Job], report: Callable[[int], None], keeper: Keeper
) -> Iterator[Trained]:
    """Train the jobs, longest first, in a population of `members` slots (see `training.train_population`)."""
    shape = shape_of([*jobs, *together], members)
    languages = tuple(dict.fromkeys(job.language for job in jobs))
    compiled, shelf = program(shape), sampling.shelf(languages)
    waiting = sorted(jobs, key=lambda job: -job.steps)
    kept = keeper.read()
    if kept is None:
        slots: list[_Slot | None] = [_Slot(waiting.pop(0)) if waiting else None for _ in range(members)]
    else:
        slots, waiting = _resumed(kept, waiting)
    crew = [_member(slot.job if slot else None, jobs[0], shape, languages) for slot in slots]
    # each member starts by itself and is stacked with the others: a job that takes a slot later starts by the same
    # compiled function, so that its first weights are the same bits whichever slot it gets, and when
    who = stack(crew)
    state = stack_states([compiled.start(one) for one in crew]) if kept is None else jax.tree.map(jnp.asarray, kept[2])
    for n, slot in enumerate(slots):  # a job that was finished after the copy was made has left its slot empty
        if slot is None and waiting:
            slots[n] = following = _Slot(waiting.pop(0))
            one = _member(following.job, jobs[0], shape, languages)
            state, who = compiled.put(state, who, n, compiled.start(one), one)
    chunk = _FIRST_CHUNK
    alike = tuple(dict.fromkeys([*(job.recipe for job in [*jobs, *together]), Recipe()]))
    while any(slots):
        busy = [slot for slot in slots if slot]
        count = min(chunk, *(slot.next_look - slot.done for slot in busy))
        began = time.perf_counter()
        state = compiled.advance(state, who, shelf, count)
        state.step.block_until_ready()
        spent = time.perf_counter() - began
        # as many steps as fill the time between two reports, but at most twice as many as the last time, for the
        # first call also compiles; the number is an argument of the program, so any number runs the same code
        chunk = max(1, min(2 * chunk, int(count * _REPORT_SECONDS / max(spent, 1e-9))))
        for slot in busy:
            slot.done += count
            slot.seconds += spent / len(busy)
        report(count * shape.batch_tokens * len(busy))
        for n, slot in enumerate(slots):
            if slot is None or slot.done not in slot.job.look_steps:
                continue
            params = _take(state.params if slot.job.average is None else state.mean, n)
            _look(slot, params, alike)
            if slot.done < slot.job.steps:
                continue
            yield Trained(slot.job, params, _finish(slot, bool(state.finite[n])))
            slots[n] = None  # a member whose steps are done stands still
            if waiting:
                slots[n] = following = _Slot(waiting.pop(0))
                one = _member(following.job, jobs[0], shape, languages)
                state, who = compiled.put(state, who, n, compiled.start(one), one)
        if keeper.due():
            keeper.write(slots, [job.key for job in waiting], state)
    keeper.forget()


def _resumed(kept: tuple, waiting: list[Job]) -> tuple[list[_Slot | None], list[Job]]:
    """Slots as they were kept, and the jobs that wait; a slot whose job was finished since stands empty."""
    left = {job.key: job for job in waiting}
    slots = [slot if slot and slot.job.key in left else None for slot in kept[0]]
    busy = {slot.job.key for slot in slots if slot}
    return slots, [job for job in waiting if job.key not in busy]


@jax.jit
def stack_states(states: list[State]) -> State:
    """States of single members as one state of a population."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


@jax.jit
def _take(params: Weights, slot: jax.Array | int) -> Weights:
    return jax.tree.map(lambda leaf: leaf[slot], params)


def _member(job: Job | None, like: Job, shape: Shape, languages: tuple[Language, ...]) -> Member:
    """The numbers of a job, in the types that the program is compiled for, or of an empty slot: no steps to do."""
    real = job or like
    decays = (real.decay, real.decay if real.embedding_decays else 0.0)
    return Member(
        seed=np.uint32(real.seed),
        steps=np.int32(job.steps if job else 0),
        rate=np.float32(real.rate),
        embedding_rate=np.float32(real.rate_of_embedding),
        decay=np.float32(decays[0]),
        embedding_decay=np.float32(decays[1]),
        force=np.array(real.rounded_steps, np.int32),
        grids=grids(real.recipe, real.model, shape.sites),
        average=np.float32(real.average or 0.0),
        language=np.int32(languages.index(job.language) if job else 0),
        products=None if shape.plan is None else numbers_of(shape.plan, real.recipe.products(real.model)),
    )


def _look(slot: _Slot, params: Weights, alike: tuple[Recipe, ...]) -> None:
    job, began = slot.job, time.perf_counter()
    rate = job.rate * float(job.schedule.factor(jnp.float32(slot.done - 1), jnp.float32(job.steps)))
    slot.looks += damage(
        job.model,
        params,
        job.language,
        job.post,
        recipe=job.recipe if job.rounds_at(slot.done - 1) else Recipe(),
        sample=job.sample,
        probes=job.probes,
        step=slot.done,
        rate=rate,
        like=alike,
    )
    slot.seconds += time.perf_counter() - began


def _finish(slot: _Slot, finite: bool) -> Run:
    final = next(e for e in reversed(slot.looks) if e.post_method == "none")
    guess = math.log(slot.job.language.vocabulary)
    # overflow inside a normalization gives zeros, not infinities, and so exactly the loss of guessing
    diverged = not finite or not final.loss < guess * (1 - 1e-6)
    return _record(slot.job, tuple(slot.looks), diverged, slot.seconds, _device(), _versions())


def _device() -> str:
    device = jax.devices()[0]
    return platform.machine() + " CPU" if device.platform == "cpu" else device.device_kind


def _versions() -> str:
    # precsim's own from the module: it may run from its source tree, where nothing is installed
    names = ("jax", "jaxlib", "numpy")
    return " ".join([f"precsim {__version__}", *(f"{name} {importlib.metadata.version(name)}" for name in names)])


def _record(job: Job, looks: tuple, diverged: bool, seconds: float, device: str, versions: str) -> Run:
    """The run that a job has become."""
    bits: dict[str, Any] = {kind.value: job.recipe.bits(kind, job.model) for kind in Kind}
    names: dict[str, Any] = {f"{kind.value}_format": job.recipe.format_name(kind) for kind in Kind}
    for kind in (Kind.WEIGHTS, Kind.ACTIVATIONS, Kind.KV):
        names[f"{kind.value}_scaling"] = "" if job.recipe.of(kind) is None else label(job.recipe.of(kind))
    return Run(
        job=job.key,
        model=str(job.model),
        N=job.N,
        D=job.D,
        entropy=entropy(job.language),
        steps=job.steps,
        evaluations=looks,
        seed=job.seed,
        language=type(job.language).__name__,
        language_seed=job.language.seed,
        learning_rate=job.rate,
        weight_decay=job.decay,
        schedule=str(job.schedule),
        optimizer=str(job.optimizer),
        batch_tokens=job.batch,
        diverged=diverged,
        holdout=job.holdout,
        seconds=seconds,
        device=device,
        versions=versions,
        spec=job.spec,
        **bits,
        **names,
    )


def train(job: Job, *, progress: Callable[[int], None] | None = None) -> Run:
    """Train one small model; same job, same machine, same bits.

    Parameters
    ----------
    job : Job
    progress : callable, optional
        Called now and then with the number of tokens read since the last call.

    Returns
    -------
    Run
        A run that diverged has ``diverged=True``; that is no error.

    Examples
    --------
    >>> from precsim.models import MLP
    >>> from precsim.training.languages import ZipfFacts
    >>> run = train(Job(model=MLP(4), language=ZipfFacts(), tokens=10_000))
    >>> run.N, run.D, run.diverged
    (256, 10240, False)
    """
    return train_model(job, progress=progress).run


def train_model(job: Job, *, progress: Callable[[int], None] | None = None) -> Trained:
    """Train one small model and keep its weights."""
    (trained,) = train_population([job], progress=progress)
    return trained


def train_population(
    jobs: Iterable[Job],
    *,
    members: int | None = None,
    together: Iterable[Job] | None = None,
    progress: Callable[[int], None] | None = None,
    states: str | Path | None = None,
) -> Iterator[Trained]:
    """Train jobs of equal shape side by side in one compiled program, and yield each as it ends.

    Parameters
    ----------
    jobs : iterable of Job
        They may differ in formats, seeds, that of the language included, learning rate, weight decay, tokens,
        treatments and looks.
    members : int, optional
        Slots of the population: a job that ends makes room for the next. By default one for each job.
    together : iterable of Job, optional
        Jobs for which the program must serve too, though they are not trained now: so that a sweep
        taken up again uses the same program as before.
    progress : callable, optional
        Called now and then with the number of tokens read since the last call, over all members.
    states : path, optional
        Folder where the state of the population is kept every minute; what was killed goes on from there.

    Raises
    ------
    ValueError
        If two jobs cannot share a program.

    Notes
    -----
    Members do not see each other. A member of a population equals the same job trained alone to 1e-5
    (relative) over 50 steps; it is not bit-equal, because matrix products of another batch shape may be
    summed in another order; rounded to few bits, a number at a tie may then fall to the other side, which costs a
    whole step of the format. Training is chaotic, so over thousands of steps that may grow to the size of
    the difference between two seeds. Members of populations of equal size are bit-equal.
    """
    jobs = list(jobs)
    if not jobs:
        return
    report = progress or (lambda tokens: None)
    yield from populate(jobs, members or len(jobs), list(together or ()), report, Keeper(states, jobs))
