"""Loss of a trained model, and what quantizing it adds: paired, in full float32, by one compiled program."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.models import Kind, Model, Weights
from precsim.models.points import chain, map_weights
from precsim.models.recipes import Recipe, label
from precsim.models.rounder import Sites, grids, of_kinds, points, shared_sites, widened
from precsim.numerics.grid import Grid
from precsim.runs.run import Evaluation
from precsim.training.languages.synthetic import Language, entropy
from precsim.training.ptq.calibration import quantize
from precsim.training.ptq.curvature import Curvature, curvature
from precsim.training.ptq.held_out import Sample, divergence, enumerated, held_out, importance
from precsim.training.ptq.together import readings
from precsim.training.ptq.treatments import RTN, Post

_ONCE = (Kind.WEIGHTS,)  # rounded before the model reads
_ON_THE_WAY = (Kind.ACTIVATIONS, Kind.KV, Kind.ACCUMULATOR)  # rounded while it reads


def damage(
    model: Model,
    params: Weights,
    language: Language,
    posts: Sequence[Post | Any],
    *,
    recipe: Recipe | None = None,
    sample: Sample | None = None,
    probes: int = 0,
    step: int = 0,
    rate: float = math.nan,
    like: Sequence[Recipe] = (),
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
    probes : int
        Random directions of the estimated Hessian trace (`curvature`); 0 leaves curvature and second_order NaN.
    step, rate
        Copied into the evaluations: steps done, and the learning rate there.
    like : sequence of Recipe
        Recipes of other models that the same compiled program shall serve.

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
    sequences. Of real text the loss is the cross-entropy of the characters that are there, gap is NaN and every model
    reads sequences. The formats are traced: other formats with the same scaling need no new compile, and treatments of
    weights alone share the program that reads, whatever their scaling.
    """
    recipe, sample = recipe or Recipe(), sample or Sample()
    posts = [Post.of(post) for post in posts]
    text = held_out(model, language, sample)
    read = readings(model, params, recipe, posts, text, like)
    needed = probes or read is None
    trained = _as_trained(model, params, recipe) if needed else params
    if read is not None:
        first, results = read.gaps[0], {n: (read.gaps[0], after) for n, after in enumerate(read.gaps[1:])}
    else:
        first, results = _one_by_one(model, params, trained, language, recipe, posts, text)
    share, known, rms = importance(model, language, sample), entropy(language), _rms(params)
    bend = curvature(model, trained, language, probes=probes, sample=sample) if probes else None

    def predicted(bend: Curvature, n: int) -> float:
        if read is not None:
            return bend.damage(read.errors[n])
        return _second_order(bend, model, trained, posts[n])

    def look(before: np.ndarray, after: np.ndarray, n: int | None) -> Evaluation:
        post = None if n is None else posts[n]
        mean, change = float(share @ after), after - before
        exact = enumerated(model, language) or post is None
        return Evaluation(
            step=step,
            loss=mean if math.isnan(known) else known + mean,
            gap=math.nan if math.isnan(known) else mean,
            delta=float(share @ change),
            delta_se=0.0 if exact else float(change.std(ddof=1) / math.sqrt(len(change))),
            weight_rms=rms,
            curvature=math.nan if bend is None else bend.trace * rms**2,
            curvature_se=math.nan if bend is None else bend.se * rms**2,
            second_order=math.nan if bend is None or n is None else predicted(bend, n),
            rate=rate,
            **({} if post is None else _columns(post, model)),
        )

    return (look(first, first, None), *(look(*results[n], n) for n in range(len(posts))))


def _as_trained(model: Model, params: Weights, recipe: Recipe) -> Weights:
    """Weights as the forward pass of their recipe rounds them."""
    sites = widened(shared_sites([recipe], model))
    return _rounded(*of_kinds(sites, grids(recipe, model, sites), _ONCE))(params)


def _one_by_one(
    model: Model,
    params: Weights,
    trained: Weights,
    language: Language,
    recipe: Recipe,
    posts: list[Post],
    text: tuple,
) -> tuple[np.ndarray, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Divergence as trained, and before and after each treatment, by one program for each way of scaling."""
    sites = widened(shared_sites([recipe], model))
    train = grids(recipe, model, sites)
    first: np.ndarray | None = None
    results: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for later, members in (_grouped(posts, model, _ON_THE_WAY) or {(): []}).items():
        candidates, slots, count = _candidates(model, params, trained, language, recipe, posts, members)
        rows = {slots[n]: grids(posts[n].recipe, model, later) for n in members if later}
        reading = _reading(model, of_kinds(sites, train, _ON_THE_WAY)[0], later)
        train_grids, post_grids = of_kinds(sites, train, _ON_THE_WAY)[1], _stack(rows, later, count)
        found = np.asarray(reading(candidates, train_grids, post_grids, text), dtype=np.float64)
        first = found[0] if first is None else first
        # the base of each difference is read by the very program that reads the treated model
        results |= {n: (found[0], found[slots[n]]) for n in members}
    assert first is not None
    return first, results


def _candidates(
    model: Model,
    params: Weights,
    trained: Weights,
    language: Language,
    recipe: Recipe,
    posts: list[Post],
    members: list[int],
) -> tuple[Weights, dict[int, int], int]:
    """Weights of the model as trained (slot 0) and after the chosen treatments; the slot of each; number of slots."""
    pieces, slots, filled = [_as_one(trained)], {}, 1
    nearest = [n for n in members if isinstance(posts[n].method, RTN)]
    for sites, group in _grouped([posts[n] for n in nearest], model, _ONCE).items():
        chosen = [nearest[m] for m in group]
        size = _padded(len(chosen))
        rows = {m: of_kinds(*_sites_and_grid(posts[n].recipe, model), _ONCE)[1] for m, n in enumerate(chosen)}
        pieces.append(_rounded_variously(sites)(trained, _stack(rows, sites, size)))
        slots |= {n: filled + m for m, n in enumerate(chosen)}
        filled += size
    for n in members:
        if n not in slots:
            pieces.append(_as_one(quantize(model, params, language, recipe, posts[n])))
            slots[n] = filled
            filled += 1
    count = 1 << (filled - 1).bit_length()  # few sizes, so that few different programs are compiled
    return _joined(pieces, count), slots, count


@functools.lru_cache(maxsize=512)
def _sites_and_grid(recipe: Recipe, model: Model) -> tuple[Sites, Grid | None]:
    """Rounded sites and numbers of one recipe; kept, since the same treatments follow every model of a sweep."""
    sites = widened(shared_sites([recipe], model))
    return sites, grids(recipe, model, sites)


def _grouped(posts: Sequence[Post], model: Model, kinds: tuple[Kind, ...]) -> dict[Sites, list[int]]:
    """Treatments whose sites of these kinds can share a program, in order."""
    groups: dict[Sites, list[int]] = {}
    for n, post in enumerate(posts):
        groups.setdefault(of_kinds(*_sites_and_grid(post.recipe, model), kinds)[0], []).append(n)
    return groups


@functools.lru_cache(maxsize=64)
def _rounding(sites: Sites) -> Callable[[Weights, Grid | None], Weights]:
    return jax.jit(lambda params, grid: map_weights(params, points(sites, grid, params=params).weights))


def _rounded(sites: Sites, grid: Grid | None) -> Callable[[Weights], Weights]:
    """Function from weights to weights rounded once."""
    return lambda params: _rounding(sites)(params, grid) if sites else params


@functools.lru_cache(maxsize=64)
def _rounded_variously(sites: Sites) -> Callable[[Weights, Grid], Weights]:
    """Compiled function from weights and grids (candidates, sites) to weights of each candidate."""
    one = _rounding(sites)
    return jax.jit(lambda params, grids: jax.vmap(lambda grid: one(params, grid))(grids))


@functools.lru_cache(maxsize=64)
def _reading(model: Model, train: Sites, post: Sites) -> Callable[..., Array]:
    """Compiled function from weights of all candidates to their divergence, (slots, units)."""

    def read(candidates: Weights, train_grids: Grid | None, post_grids: Grid, text: tuple) -> Array:
        def one(params: Weights, grid: Grid) -> Array:
            passing = chain(points(train, train_grids), points(post, grid))
            return jax.lax.map(lambda block: divergence(model, params, passing, block), text).reshape(-1)

        with jax.default_matmul_precision("highest"):
            return jax.vmap(one)(candidates, post_grids)

    return jax.jit(read)


@jax.jit
def _as_one(params: Weights) -> Weights:
    return jax.tree.map(lambda leaf: leaf[None], params)


@functools.partial(jax.jit, static_argnums=1)
def _joined(pieces: list[Weights], count: int) -> Weights:
    """Candidates of all pieces along the first axis, filled up with the first to this number."""

    def join(*leaves: Array) -> Array:
        missing = count - sum(leaf.shape[0] for leaf in leaves)
        return jnp.concatenate([*leaves, jnp.broadcast_to(leaves[0], (missing, *leaves[0].shape[1:]))])

    return jax.tree.map(join, *pieces)


def _stack(rows: dict[int, Grid | None], sites: Sites, count: int) -> Grid:
    """Grids of all candidates, arrays (count, sites); those without a row stay unrounded."""
    off = Grid.stack(*(Grid.off() for _ in range(max(1, len(sites)))))
    chosen = [rows.get(n) or off for n in range(count)]
    stacked: list[Any] = [np.stack(column) for column in zip(*chosen, strict=True)]
    return Grid(*stacked)


def _padded(needed: int) -> int:
    """Candidates rounded by one program: one less than a power of two, as the model as trained is one more."""
    return (1 << needed.bit_length()) - 1


def _second_order(bend: Curvature, model: Model, trained: Weights, post: Post) -> float:
    """Damage that the curvature predicts for rounding to nearest; NaN for treatments of anything else."""
    sites = post.recipe.sites(model)
    ends = {"embedding", "head"} & {name for _, name in sites}
    if not isinstance(post.method, RTN) or ends or any(kind is not Kind.WEIGHTS for kind, _ in sites):
        return math.nan
    sites, grid = _sites_and_grid(post.recipe, model)
    return bend.damage(_squared_errors(sites)(trained, grid))


@functools.lru_cache(maxsize=64)
def _squared_errors(sites: Sites) -> Callable[[Weights, Grid | None], dict[str, Array]]:
    """Compiled function from weights to the mean squared rounding error of each output channel, by name."""

    def measure(params: Weights, grid: Grid) -> dict[str, Array]:
        found: dict[str, Array] = {}

        def note(name: str, w: Array) -> Array:
            if any(site.name == name for site in sites):
                found[name] = jnp.mean((points(sites, grid).weights(name, w) - w) ** 2, axis=0)
            return w

        map_weights(params, note)
        return found

    return jax.jit(measure)


def _columns(post: Post, model: Model) -> dict[str, Any]:
    recipe = post.recipe
    weights = recipe.weights
    return {
        "post": recipe.bits(Kind.WEIGHTS, model),
        "post_activations": recipe.bits(Kind.ACTIVATIONS, model),
        "post_kv": recipe.bits(Kind.KV, model),
        "post_format": recipe.format_name(Kind.WEIGHTS),
        "post_scaling": "" if weights is None else label(weights),
        "post_method": post.method.name,
    }


def _rms(params: Weights) -> float:
    """Root mean square of the matrices inside the blocks."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(params["blocks"]) if leaf.ndim > 1]
    return math.sqrt(sum(float(np.sum(w * w)) for w in leaves) / sum(w.size for w in leaves))
