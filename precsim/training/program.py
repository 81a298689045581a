"""One compiled program that trains a population of equal shape: scan over steps, map over members.

What decides a member's fate (formats, seed, learning rate, weight decay, number of steps) is traced, so
one compile serves all of it. The number of steps between two looks is traced too: the loop's length is
not part of the program.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental.compilation_cache import compilation_cache

from precsim.models import MLP, Kind, Model, Points, Weights
from precsim.models.learned_steps import started
from precsim.models.points import map_weights
from precsim.models.products import Plan, Products, numbers_of
from precsim.models.rounder import STEPS, Rounder, Sites, points
from precsim.numerics.grid import Grid
from precsim.training.languages import sampling
from precsim.training.languages.synthetic import Language
from precsim.training.optimizers import Optimizer, Schedule

_INIT, _DATA, _ROUNDING = 0, 1, 2  # what a member's seed is split into
_AHEAD, _FAR_AHEAD = 8, 32  # steps whose data are drawn at once, on processors and on GPUs, which start kernels slowly


OPERANDS = "BF16_BF16_F32"  # operands rounded to bfloat16, sums and results in float32
_FUSED_WIDTH = 64  # least width of a head for which fused attention pays


def product_precision(precision: str) -> str:
    """How JAX carries out products; processors, which have no bfloat16 products, do them in float32."""
    return "highest" if precision == OPERANDS and jax.default_backend() == "cpu" else precision


def fused_attention(model: Model) -> Callable[[Array, Array, Array], Array] | None:
    """Causal attention in one kernel, in bfloat16, where the GPU has one and heads are wide enough."""
    if jax.default_backend() == "cpu" or getattr(model, "head_width", 0) < _FUSED_WIDTH:
        return None

    def attention(query: Array, key: Array, value: Array) -> Array:
        narrow = (part.astype(jnp.bfloat16) for part in (query, key, value))
        mixed = jax.nn.dot_product_attention(*narrow, is_causal=True, implementation="cudnn")
        return mixed.astype(query.dtype)

    return attention


class Shape(NamedTuple):
    """All that a compiled program depends on; equal shapes share one."""

    model: Model
    language: Language  # of any seed: the tables are arguments
    batch_tokens: int
    optimizer: Optimizer
    schedule: Schedule
    precision: str
    sites: Sites
    members: int
    averages: bool
    plan: Plan | None = None  # how products are carried out in all three passes
    switches: bool = False  # whether some member's recipe is not in force in all steps


class Member(NamedTuple):
    """What differs between members: numbers, or arrays over the population once stacked."""

    seed: Any  # uint32
    steps: Any  # int32; 0 marks an empty slot
    rate: Any  # float32, peak learning rate
    embedding_rate: Any  # float32, that of the embedding and gains
    decay: Any  # float32
    embedding_decay: Any  # float32
    force: Any  # int32 (2,), the first step in which the recipe rounds, and the first in which it no longer does
    grids: Grid | None  # (sites,)
    average: Any  # float32, decay of the average of weights
    language: Any  # int32, which of the languages on the shelf it reads
    products: Products | None = None  # numbers of the plan


class State(NamedTuple):
    """Where one member stands, or all of them, with a first axis over members."""

    params: Weights
    moments: Any  # what the optimizer keeps: pytrees like the weights
    mean: Weights | None  # average of the weights so far; None if no member wants one
    step: Array  # int32, steps done
    loss: Array  # float32, training loss of the last step [nats/token]
    finite: Array  # bool, false once a loss was not finite


class Program(NamedTuple):
    """The compiled functions of one shape; each is compiled at its first call."""

    start: Callable[[Member], State]  # (member) -> state of one member
    advance: Callable[..., State]  # (state, members, shelf, count) -> state; members beyond their last step stand still
    put: Callable[..., tuple[State, Member]]  # (state, members, slot, state of one, member) -> (state, members)


def stack(members: list[Member]) -> Member:
    """Members as one, with arrays along a new first axis."""
    return jax.tree.map(lambda *columns: np.stack(columns), *members)


@functools.lru_cache(maxsize=64)
def program(shape: Shape) -> Program:
    """The program of a shape, kept so that it is compiled once in a process."""
    model, language, optimizer = shape.model, shape.language, shape.optimizer
    carrier = jnp.bfloat16 if shape.precision == "bfloat16" else None
    attention = fused_attention(model) if shape.precision == OPERANDS else None
    ahead = _AHEAD if jax.default_backend() == "cpu" else _FAR_AHEAD

    def start(one: Member) -> State:
        key = jax.random.fold_in(jax.random.key(one.seed), _INIT)
        params = model.init(key, language.vocabulary, language.context_length)
        if steps := started(shape.sites, params, one.grids):
            params = {**params, STEPS: steps}
        mean = jax.tree.map(jnp.zeros_like, params) if shape.averages else None
        return State(params, optimizer.start(params), mean, jnp.int32(0), jnp.float32(jnp.nan), jnp.bool_(True))

    def batches(state: State, one: Member, shelf: sampling.Source) -> tuple[Array, Array]:
        """What the next steps read; a sequence is drawn token by token, so it pays to draw many at once."""
        source = sampling.taken(shelf, one.language)
        key = jax.random.fold_in(jax.random.key(one.seed), _DATA)
        steps = state.step + jnp.arange(ahead)
        return jax.vmap(lambda step: draw(shape, source, key, step))(steps)

    def step(state: State, one: Member, batch: tuple[Array, Array]) -> State:
        noise = jax.random.fold_in(jax.random.fold_in(jax.random.key(one.seed), _ROUNDING), state.step)

        grids, products = in_force(shape, one, state.step) if shape.switches else (one.grids, one.products)
        how = {"plan": shape.plan, "products": products, "attention": attention}

        def objective(params: Weights) -> Array:
            return cross_entropy(model, params, batch, points(shape.sites, grids, noise, carrier, params, **how))

        loss, grads = jax.value_and_grad(objective)(state.params)
        rate, decay = by_part(state.params, one, shape.schedule.factor(state.step, one.steps))
        params, moments = optimizer.update(state.params, state.moments, grads, rate, decay, state.step)
        stored = Rounder(shape.sites, grids, noise)
        params = map_weights(params, lambda name, w: stored.round(Kind.MASTER, name, w))
        mean = None if state.mean is None else averaged(state.mean, params, one.average, state.step)
        new = State(params, moments, mean, state.step + 1, loss, state.finite & jnp.isfinite(loss))
        return jax.tree.map(lambda a, b: jnp.where(state.step < one.steps, a, b), new, state)

    def advance(state: State, members: Member, shelf: sampling.Source, count: Array) -> State:
        def some(done: Array, state: State) -> State:
            drawn = jax.vmap(batches, in_axes=(0, 0, None), out_axes=1)(state, members, shelf)

            def one(n: Array, state: State) -> State:
                return jax.vmap(step)(state, members, jax.tree.map(lambda batch: batch[n], drawn))

            return jax.lax.fori_loop(0, jnp.minimum(ahead, count - done * ahead), one, state)

        # what stays in float32 beside bfloat16 products (the logits) may still use the faster ones
        with jax.default_matmul_precision("tensorfloat32" if carrier else product_precision(shape.precision)):
            return jax.lax.fori_loop(0, (count + ahead - 1) // ahead, some, state)

    def put(state: State, members: Member, slot: Array, one: State, who: Member) -> tuple[State, Member]:
        return jax.tree.map(lambda a, b: a.at[slot].set(b), (state, members), (one, who))

    return Program(jax.jit(start), jax.jit(advance, donate_argnums=0), jax.jit(put, donate_argnums=0))


def by_part(params: Weights, one: Member, factor: Array) -> tuple[Weights, Weights]:
    """Learning rate and decay of every array: the embedding and gains have their own, learned scales never decay."""

    def part(path: tuple, leaf: Array) -> tuple[Array, Array]:
        if path[0].key == STEPS:
            return one.rate * factor, jnp.zeros(())
        if path[0].key == "embedding":
            return one.embedding_rate * factor, one.embedding_decay
        if leaf.ndim == 1:
            return one.embedding_rate * factor, jnp.zeros(())
        return one.rate * factor, one.decay

    def side(n: int) -> Weights:
        return jax.tree_util.tree_map_with_path(lambda path, leaf: part(path, leaf)[n], params)

    return side(0), side(1)


def in_force(shape: Shape, one: Member, step: Array) -> tuple[Grid | None, Products | None]:
    """The numbers of a member's recipe in this step: nothing is rounded before its first and after its last."""
    active = (one.force[0] <= step) & (step < one.force[1])
    grids, products = one.grids, one.products
    if grids is not None:
        off = Grid.stack(*(Grid.off() for _ in shape.sites))
        grids = jax.tree.map(lambda number, exact: jnp.where(active, number, exact), grids, off)
    if products is not None:
        assert shape.plan is not None
        none = numbers_of(shape.plan, {})
        products = jax.tree.map(lambda number, exact: jnp.where(active, number, exact), products, none)
    return grids, products


_CACHE = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@contextlib.contextmanager
def cached_in(folder: str | Path | None) -> Iterator[None]:
    """Keep programs that are compiled inside this block in a folder, and read them from there; None changes nothing."""
    if folder is None:
        yield
        return
    before = [getattr(jax.config, name) for name in _CACHE]
    _set_cache(str(Path(folder).absolute()), 0.2)  # JAX keeps what took 1 s; a small network's parts take less
    try:
        yield
    finally:
        _set_cache(*before)


def _set_cache(folder: str | None, least_seconds: float) -> None:
    for name, value in zip(_CACHE, (folder, least_seconds), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX opens its folder once; this makes it look again


def averaged(mean: Weights, params: Weights, decay: Array, step: Array) -> Weights:
    """Average of the weights after each step so far, weights falling by `decay` with age and summing to 1."""
    # (1 - d) / (1 - d^(t + 1)), and 1 / (t + 1) in the limit d = 1
    t = (step + 1).astype(jnp.float32)
    share = jnp.where(decay < 1, (1 - decay) / -jnp.expm1(t * jnp.log(decay)), 1 / t)
    return jax.tree.map(lambda m, w: m + share * (w - m), mean, params)


def draw(shape: Shape, source: sampling.Source, key: Array, step: Array) -> tuple[Array, Array]:
    """The batch of a step: what the model reads, and the token after each position that counts."""
    if isinstance(shape.model, MLP):
        return sampling.batch(shape.language, source, key, step, shape.batch_tokens)
    window = shape.model.window
    return sampling.batch(shape.language, source, key, step, shape.batch_tokens // window, window)


def cross_entropy(model: Model, params: Weights, batch: tuple[Array, Array], points: Points) -> Array:
    """Mean of -log p(target) [nats/token]."""
    tokens, targets = batch
    logits = model.logits(params, tokens, points)
    # a one-hot product: the gradient of a gather would be a slow, on GPUs unordered, scatter
    hit = jnp.sum(logits * jax.nn.one_hot(targets, logits.shape[-1]), axis=-1)
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - hit)
