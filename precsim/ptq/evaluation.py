"""Exact loss of a trained model, and what quantizing it adds: paired, in full float32, by one compiled program."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim import _sampling
from precsim._grid import Grid
from precsim._run import Evaluation
from precsim._wiring import Wiring, grids, points, widened, wire
from precsim.languages import Language, entropy, exact
from precsim.models import MLP, Kind, Model, Points
from precsim.models.points import chain, map_weights
from precsim.ptq.calibration import quantize
from precsim.ptq.posts import RTN, Post
from precsim.recipes import Recipe

_WARM = 8  # positions from here on see the whole context of every language offered (order at most 3)
_BLOCK = 4096  # positions evaluated at a time, which bounds the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Held-out text for models that read sequences; never drawn in training.

    Models that read single contexts need none: all contexts are enumerated, weighted by their probability.
    """

    sequences: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sequences < 2:
            raise ValueError(f"a standard error needs at least 2 sequences, not {self.sequences}")


def damage(
    model: Model,
    params: Any,
    language: Language,
    posts: Sequence[Post | Any],
    *,
    recipe: Recipe | None = None,
    sample: Sample | None = None,
    step: int = 0,
    rate: float = math.nan,
) -> tuple[Evaluation, ...]:
    """Loss of the model as trained and after each treatment, and the paired differences.

    Parameters
    ----------
    model, params, language
        The trained model: its configuration, its weights (pytree), what it reads.
    posts : sequence of Post or Quantizer
        Treatments; a Quantizer alone means round-to-nearest of the weights.
    recipe : Recipe, optional
        What the model was trained with; it stays in force.
    sample : Sample, optional
        Held-out text for a model that reads sequences.
    step, rate
        Copied into the evaluations: steps done, and the learning rate there.

    Returns
    -------
    tuple of Evaluation, length 1 + len(posts)
        The first is the model as trained, with delta 0.

    Raises
    ------
    ValueError
        If a treatment names a tensor that the model does not have.

    Notes
    -----
    gap = KL(language || model), delta = gap after - gap before, both averaged over the same contexts. For
    `MLP` every context counts with its exact probability and delta_se is 0; a `Transformer` reads held-out
    sequences (positions from 8 on), and delta_se is the standard error of the paired difference over
    sequences. The formats are traced: other formats with the same scaling need no new compile.
    """
    recipe, sample = recipe or Recipe(), sample or Sample()
    posts = [Post.of(post) for post in posts]
    wiring = widened(wire([recipe], model))
    slots = _slots(1 + len(posts))
    results: dict[int, np.ndarray] = {}
    base = np.empty(0)
    for post_wiring, members in _by_wiring(posts, model).items():
        exam = _exam(model, language, wiring, post_wiring)
        stacked = _stack([grids(posts[n].recipe, model, post_wiring) for n in members], post_wiring, slots)
        train_grids = grids(recipe, model, wiring)
        candidates = exam.prepare(params, train_grids, stacked)
        for m, n in enumerate(members):
            if not isinstance(posts[n].method, RTN):
                chosen = quantize(model, params, language, recipe, posts[n])
                candidates = exam.put(candidates, 1 + m, chosen)
        text = _held_out(model, language, sample)
        divergence = np.asarray(exam.divergence(candidates, train_grids, stacked, text), dtype=np.float64)
        base = divergence[0]
        results |= {n: divergence[1 + m] for m, n in enumerate(members)}
    importance = _importance(model, language, sample)
    known, rms = entropy(language), _rms(params)

    def look(after: np.ndarray, post: Post | None) -> Evaluation:
        gap, change = float(importance @ after), after - base
        fields = {} if post is None else _columns(post, model)
        exact = isinstance(model, MLP) or post is None
        return Evaluation(
            step=step,
            loss=known + gap,
            gap=gap,
            delta=float(importance @ change),
            delta_se=0.0 if exact else float(change.std(ddof=1) / math.sqrt(len(change))),
            weight_rms=rms,
            rate=rate,
            **fields,
        )

    return (look(base, None), *(look(results[n], post) for n, post in enumerate(posts)))


class _Exam(NamedTuple):
    prepare: Any  # (params, grids of the recipe, grids of the treatments) -> weights of every candidate
    put: Any  # (weights of every candidate, slot, weights of one) -> weights of every candidate
    divergence: Any  # (weights, grids, grids, text) -> KL by candidate and unit, (slots, units)


@functools.lru_cache(maxsize=32)
def _exam(model: Model, language: Language, wiring: Wiring, post_wiring: Wiring) -> _Exam:
    """The compiled programs of an evaluation; slot 0 is the model as trained."""

    def prepare(params: Any, train: Grid | None, post: Grid | None) -> Any:
        trained = map_weights(params, points(wiring, train).weights)
        return jax.vmap(lambda post: map_weights(trained, points(post_wiring, post).weights))(post)

    def divergence(candidates: Any, train: Grid | None, post: Grid | None, text: tuple) -> Array:
        def one(params: Any, post: Grid | None) -> Array:
            passing = chain(points(wiring, train), points(post_wiring, post))
            # the weights are rounded already
            return _divergence(model, params, passing._replace(weights=lambda name, w: w), text)

        with jax.default_matmul_precision("highest"):
            return jax.vmap(one)(candidates, post)

    def put(candidates: Any, slot: Array, one: Any) -> Any:
        return jax.tree.map(lambda all, new: all.at[slot].set(new), candidates, one)

    return _Exam(jax.jit(prepare), jax.jit(put, donate_argnums=0), jax.jit(divergence))


def _divergence(model: Model, params: Any, points: Points, text: tuple) -> Array:
    """KL(language || model) for each unit of the text, which comes in blocks (blocks, units, …)."""

    def block(part: tuple) -> Array:
        tokens, teacher = part
        student = jax.nn.log_softmax(model.logits(params, tokens, points))
        if not isinstance(model, MLP):
            student = student[:, _WARM:]
        sure = jnp.where(teacher > 0, teacher, 1.0)  # 0 log 0 = 0
        return jnp.sum(teacher * (jnp.log(sure) - student), axis=-1).reshape(tokens.shape[0], -1).mean(axis=1)

    return jax.lax.map(block, text).reshape(-1)


@functools.lru_cache(maxsize=4)
def _held_out(model: Model, language: Language, sample: Sample) -> tuple[Array, Array]:
    """Tokens and the language's own probabilities, in blocks: (blocks, units, tokens), (blocks, units, …, V)."""
    table = _sampling.tables(language)
    if isinstance(model, MLP):
        tokens, teacher = _sampling.all_contexts(language), table.conditional
        count = math.gcd(len(tokens), _BLOCK)
    else:
        tokens, teacher = _sequences(language, sample.sequences, model.window, table, np.uint32(sample.seed))
        count = math.gcd(len(tokens), max(1, _BLOCK // model.window))
    return tokens.reshape(-1, count, *tokens.shape[1:]), teacher.reshape(-1, count, *teacher.shape[1:])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sequences(
    language: Language, count: int, window: int, table: _sampling.Tables, seed: Array
) -> tuple[Array, Array]:
    key = jax.random.fold_in(jax.random.key(seed), 2**31)  # training folds in 0 to 2 only
    tokens = _sampling.draw_sequences(language, table, key, count, window)
    contexts = _sampling.context_numbers(language, tokens)[:, _WARM - language.context_length + 1 :]
    return tokens, table.conditional[contexts]


def _importance(model: Model, language: Language, sample: Sample) -> np.ndarray:
    if isinstance(model, MLP):
        return exact(language).contexts
    return np.full(sample.sequences, 1.0 / sample.sequences)


def _by_wiring(posts: list[Post], model: Model) -> dict[Wiring, list[int]]:
    """Treatments that can share a program: grouped by scaling, in order; one empty group if there are none."""
    groups: dict[Wiring, list[int]] = {}
    for n, post in enumerate(posts):
        groups.setdefault(widened(wire([post.recipe], model)), []).append(n)
    return groups or {(): []}


def _stack(chosen: list[Grid | None], wiring: Wiring, slots: int) -> Grid:
    """Grids of all candidates, arrays (slots, places): first none, then the treatments, then none as padding."""
    off = Grid.stack(*(Grid.off() for _ in range(max(1, len(wiring)))))
    rows = [off, *(grid if grid is not None else off for grid in chosen)]
    rows += [off] * (slots - len(rows))
    stacked: list[Any] = [np.stack(column) for column in zip(*rows, strict=True)]
    return Grid(*stacked)


def _slots(needed: int) -> int:
    """Candidates of one program: the next power of two, so that few different programs are compiled."""
    return 1 << (needed - 1).bit_length()


def _columns(post: Post, model: Model) -> dict[str, Any]:
    recipe = post.recipe
    weights = recipe.weights
    return {
        "post": recipe.bits(Kind.WEIGHTS, model),
        "post_activations": recipe.bits(Kind.ACTIVATIONS, model),
        "post_kv": recipe.bits(Kind.KV, model),
        "post_format": recipe.format_name(Kind.WEIGHTS),
        "post_scaling": "" if weights is None else str(getattr(weights, "scaling", "mixed")),
        "post_method": post.method.name,
    }


def _rms(params: Any) -> float:
    """Root mean square of the matrices inside the blocks."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params["blocks"])]
    return math.sqrt(sum(float(np.sum(w * w)) for w in leaves) / sum(w.size for w in leaves))
