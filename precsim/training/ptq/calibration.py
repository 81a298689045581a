"""What the matrices of a trained model are fed, and methods that use it to quantize them one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.models import MLP, Kind, Model, Weights
from precsim.models.points import chain, map_weights
from precsim.models.recipes import Recipe
from precsim.models.rounder import Sites, grids, points, shared_sites
from precsim.numerics.grid import Grid
from precsim.numerics.quantize import Quantizer
from precsim.training.languages import passages, sampling
from precsim.training.languages.synthetic import KingJames, Language
from precsim.training.ptq.treatments import RTN, Post

# read to estimate second moments of at most a few hundred inputs
_SEQUENCES = 256  # of 64 tokens
_CONTEXTS = 4096  # of real text, for models of single contexts


def quantize(model: Model, params: Weights, language: Language, recipe: Recipe, post: Post) -> Weights:
    """The weights that a method with data makes of a trained model's weights, a pytree like `params`.

    Parameters
    ----------
    model, params, language, recipe
        The trained model, what it reads, and the recipe that it was trained with.
    post : Post
        A treatment whose method looks at data.

    Raises
    ------
    ValueError
        If the method is RTN.

    Notes
    -----
    Second moments of inputs are exact for `MLP` (all contexts, by probability); a `Transformer` reads
    sequences drawn for this purpose, neither those of training nor those of evaluation. The embedding has no
    inputs to look at and is rounded to nearest.
    """
    method = post.method
    if isinstance(method, RTN):
        raise ValueError("rounding to nearest needs no data: quantize the matrices by themselves")
    sites, after = shared_sites([recipe], model), shared_sites([post.recipe], model)
    train, later = grids(recipe, model, sites), grids(post.recipe, model, after)
    chosen = {name: q for (kind, name), q in post.recipe.sites(model).items() if kind is Kind.WEIGHTS}
    measure = _moments(model, sites, after)
    result = map_weights(params, points(sites, train, params=params).weights)
    moments, source = {}, ""
    for name in model.sites[Kind.WEIGHTS]:
        if name not in chosen:
            continue
        quantizer = chosen[name]
        assert isinstance(quantizer, Quantizer)  # `Post` has refused the others
        if name == "embedding":
            new = quantizer(np.asarray(_matrix(result, name)))
        else:
            if model.input_of(name) != source:  # matrices with a common input share its moments
                source = model.input_of(name)
                moments = measure(result, train, later, _text(model, language))
            moment = np.asarray(moments[source], np.float64)
            new = method.weights(np.asarray(_matrix(result, name)), moment, quantizer)
        result = map_weights(result, lambda n, w, name=name, new=new: jnp.asarray(new) if n == name else w)
    return result


def _matrix(params: Weights, name: str) -> Array:
    found = []
    map_weights(params, lambda n, w: found.append(w) or w if n == name else w)
    return found[0]


@functools.lru_cache(maxsize=32)
def _moments(model: Model, sites: Sites, after: Sites) -> Callable[..., dict[str, Array]]:
    """Compiled function from weights and grids to E x x^T for each site of activations."""

    def measure(params: Weights, train: Grid | None, later: Grid | None, text: tuple[Array, Array]) -> dict[str, Array]:
        tokens, share = text
        passing = chain(points(sites, train), points(after, later))._replace(weights=lambda name, w: w)
        kept: dict[str, Array] = {}

        def note(name: str, x: Array) -> Array:
            x = passing.activations(name, x)
            flat = x.reshape(-1, x.shape[-1])
            weight = jnp.repeat(share, flat.shape[0] // share.shape[0])
            kept[name] = (flat * weight[:, None]).T @ flat
            return x

        with jax.default_matmul_precision("highest"):
            model.logits(params, tokens, passing._replace(activations=note))
        return kept

    return jax.jit(measure)


@functools.lru_cache(maxsize=4)
def _text(model: Model, language: Language) -> tuple[Array, Array]:
    """Calibration text and the probability of each token vector in one row of it."""
    key = jax.random.fold_in(jax.random.key(0), 2**31 + 1)  # evaluation folds in 2^31, training 0 to 2
    if isinstance(language, KingJames):  # of its training part
        source = passages.book(language)
        count, window = (_CONTEXTS, None) if isinstance(model, MLP) else (_SEQUENCES, model.window)
        tokens, _ = sampling.batch(language, source, key, jnp.uint32(0), count, window)
        return tokens, jnp.full(count, 1 / (count * (window or 1)))
    table = sampling.tables(language)
    if isinstance(model, MLP):
        return sampling.all_contexts(language), table.contexts
    tokens = sampling.draw_sequences(language, table, key, _SEQUENCES, model.window)
    return tokens, jnp.full(_SEQUENCES, 1 / tokens.size)
