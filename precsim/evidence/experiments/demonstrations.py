"""What the chapters on training measure live: gradients, compilations, speed, and one weight trained by hand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import monitoring
from numpy.typing import NDArray

from precsim.models import EXACT, MLP
from precsim.training.engine import train_population
from precsim.training.job import Job
from precsim.training.languages.synthetic import exact

if TYPE_CHECKING:
    from precsim.training.job import Trained

__all__ = [
    "compilations",
    "product_gradients",
    "product_inputs",
    "straight_through_descent",
    "throughput",
]


def product_gradients(trained: Trained, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the derivatives of one batch's mean loss by the results of every product of a trained MLP, as one array.

    These are the numbers that the gradients of a recipe round: one for each token and output, the unembedding included.

    Parameters
    ----------
    trained : Trained
    rng : Generator
        Draws the batch from the model's language.

    Raises
    ------
    ValueError
        If the model reads sequences.

    Examples
    --------
    >>> from precsim.training.languages import ZipfFacts
    >>> from precsim.models import MLP
    >>> from precsim.training import train_model
    >>> job = Job(model=MLP(4), language=ZipfFacts(vocabulary=8), tokens=640, batch_tokens=64)
    >>> product_gradients(train_model(job), rng=np.random.default_rng(0)).shape  # 64 (2 (16 + 4) + 8)
    (3072,)
    """
    job = trained.job
    tokens, answers = _batch(job, rng)
    target = jax.nn.one_hot(answers, job.language.vocabulary)

    def loss(added: dict, sizes: dict | None = None) -> Any:
        def add(name: str, x: Any) -> Any:
            if sizes is not None:
                sizes[name] = x.shape
                return x
            return x + added[name]

        logits = job.model.logits(trained.params, tokens, EXACT._replace(gradients=add))
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * target, axis=-1))

    sizes: dict[str, tuple[int, ...]] = {}
    jax.eval_shape(lambda: loss({}, sizes))
    found = jax.jit(jax.grad(loss))({name: jnp.zeros(size) for name, size in sizes.items()})
    return np.concatenate([np.asarray(found[name]).ravel() for name in sizes])


def product_inputs(trained: Trained, *, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Return what each product of a trained MLP is fed for one batch: arrays (tokens, inputs) by the product's name.

    Parameters
    ----------
    trained : Trained
    rng : Generator
        Draws the batch from the model's language.

    Raises
    ------
    ValueError
        If the model reads sequences.

    Examples
    --------
    >>> from precsim.training.languages import ZipfFacts
    >>> from precsim.models import MLP
    >>> from precsim.training import train_model
    >>> job = Job(model=MLP(4), language=ZipfFacts(vocabulary=8), tokens=640, batch_tokens=64)
    >>> found = product_inputs(train_model(job), rng=np.random.default_rng(0))
    >>> {name: x.shape for name, x in found.items()}["block0.down"]
    (64, 16)
    """
    found: dict[str, NDArray[np.float32]] = {}

    def note(name: str, x: Any) -> Any:
        found[name] = np.asarray(x)
        return x

    tokens, _ = _batch(trained.job, rng)
    trained.job.model.logits(trained.params, tokens, EXACT._replace(activations=note))
    return found


def _batch(job: Job, rng: np.random.Generator) -> tuple[Any, Any]:
    """Contexts (tokens, context length) of one batch, and the token after each."""
    if not isinstance(job.model, MLP):
        raise ValueError(f"a batch of single contexts is for an MLP, not for {job.model}")
    tables, V, K = exact(job.language), job.language.vocabulary, job.language.context_length
    context = rng.choice(len(tables.contexts), job.batch, p=tables.contexts / tables.contexts.sum())
    above = tables.conditional[context].cumsum(axis=1) > rng.random((job.batch, 1))
    return context[:, None] // V ** np.arange(K - 1, -1, -1) % V, above.argmax(axis=1)


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """Collect the names of the programs that JAX compiles inside this block.

    Examples
    --------
    >>> import jax
    >>> with compilations() as names:
    ...     value = jax.jit(lambda x: x + 1)(1.0)
    >>> len(names)
    1
    """
    names: list[str] = []

    def listen(event: str, duration_secs: float, **details: Any) -> None:
        if event.endswith("backend_compile_duration"):
            names.append(str(details.get("fun_name", event)))

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        monitoring.unregister_event_duration_listener(listen)


def throughput(job: Job, members: Sequence[int], *, repeats: int = 3) -> list[dict[str, float]]:
    """Measure how many tokens populations of several sizes read in a second of processor time, compilation left out.

    Parameters
    ----------
    job : Job
        Trained with as many seeds as there are members.
    members : sequence of int
        Sizes; the first is the reference.
    repeats : int
        Measurements of each size. The sizes take turns, so that a slow minute of the machine hits all of them.

    Returns
    -------
    list of dict
        "members", and "ratio": tokens for each second of processor time over the mean of the first size's.
    """
    speed: list[tuple[int, float]] = []
    for turn in range(repeats + 1):  # the first compiles
        for count in members:
            jobs = [replace(job, seed=seed) for seed in range(count)]
            began = time.process_time()
            list(train_population(jobs))
            if turn:
                speed.append((count, sum(one.D for one in jobs) / (time.process_time() - began)))
    base = np.mean([rate for count, rate in speed if count == members[0]])
    return [{"members": float(count), "ratio": float(rate / base)} for count, rate in speed]


def straight_through_descent(
    start: float, target: float, *, step: float, rates: Sequence[float], steps: int = 120
) -> list[dict[str, float | str]]:
    """Train one weight through its rounding: w <- w - rate (q(w) - target), with q(w) the nearest multiple of `step`.

    Returns
    -------
    list of dict
        "rate", "schedule" ("constant" or "falling": linearly, to zero after the last step), "step" from 0, "weight",
        "rounded", and "mean", the mean of "rounded" so far.

    Examples
    --------
    >>> rows = straight_through_descent(0.9, 0.3, step=1.0, rates=[0.5], steps=2)
    >>> [(row["weight"], row["rounded"]) for row in rows if row["schedule"] == "constant"]
    [(0.9, 1.0), (0.55, 1.0), (0.20000000000000007, 0.0)]
    """
    rows: list[dict[str, float | str]] = []
    for schedule in ("constant", "falling"):
        for rate in rates:
            weight, total = start, 0.0
            for n in range(steps + 1):
                rounded = step * round(weight / step)
                total += rounded
                rows.append(
                    {
                        "rate": rate,
                        "schedule": schedule,
                        "step": n,
                        "weight": weight,
                        "rounded": rounded,
                        "mean": total / (n + 1),
                    }
                )
                now = rate if schedule == "constant" else rate * (1 - n / steps)
                weight -= now * (rounded - target)
    return rows
