"""A trained model and all its treatments read by one compiled program, whatever their formats, scales and recipe.

Treatments that round matrices to nearest, and recipes that round products by quantizers with traced numbers, are rows
of numbers here: one compile for each shape of model, not one for each way of scaling. `readings` answers None for what
is no such row (methods with data, zero points, learned scales, rounded keys and values), which `evaluation` reads as
before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.models import EXACT, Kind, Model, Recipe, Weights
from precsim.models.operands import Menu, Numbers, rounded
from precsim.models.points import map_weights
from precsim.models.products import (
    Again,
    Backward,
    Operand,
    Plan,
    Products,
    forward_product,
    forward_weights,
    numbers_of,
    operand_numbers,
    plan_of,
)
from precsim.numerics.codebook import Codebook
from precsim.numerics.quantize import PerBlock, PerChannel, PerToken, Quantizer
from precsim.numerics.two_level import TwoLevel
from precsim.training.ptq.held_out import divergence
from precsim.training.ptq.treatments import RTN, Post


class Readings(NamedTuple):
    """What one program found: row 0 is the model as trained, the others are its treatments, in order."""

    gaps: np.ndarray  # (rows, units), float64
    errors: list[dict[str, np.ndarray]]  # mean squared rounding error of each output channel, by treatment


class _Rows(NamedTuple):
    """Treatments as numbers that a program can map over."""

    numbers: Numbers  # (rows,)
    listed: Any  # int32 (rows,), 1 + number of the listed quantizer, 0 for none


class _Shape(NamedTuple):
    """All that the program depends on besides shapes of arrays."""

    model: Model
    plan: Plan
    menu: Menu
    listed: tuple[Quantizer, ...]  # quantizers to listed values, which are compiled in
    treated: tuple[str, ...]  # matrices that treatments round


def readings(
    model: Model, params: Weights, recipe: Recipe, posts: Sequence[Post], text: tuple, like: Sequence[Recipe] = ()
) -> Readings | None:
    """Divergence of a model as trained and after each treatment, unit by unit; None if they are not all rows.

    Parameters
    ----------
    model, params
        The trained model.
    recipe : Recipe
        What is in force: its weights are rounded once, its activations on their way.
    posts : sequence of Post
    text : (tokens, probabilities)
        From `held_out`.
    like : sequence of Recipe
        Others that the same program shall serve.
    """
    together = [_forward(one, model) for one in (recipe, *like)]
    quantizers = [_nearest(post, model) for post in posts]
    if together[0] is None or any(q is None for q in quantizers):
        return None
    chosen = [one for one in together if one is not None]
    plan = plan_of(chosen, model.sites[Kind.ACTIVATIONS])
    shape, rows = _rows(model, plan, [q for q in quantizers if q is not None])
    gaps, errors = _program(shape)(params, numbers_of(plan, chosen[0]), rows, text)
    found = {name: np.asarray(values, np.float64) for name, values in errors.items()}
    by_row = [{name: values[n] for name, values in found.items()} for n in range(1, len(posts) + 1)]
    return Readings(np.asarray(gaps, np.float64)[: len(posts) + 1], by_row)


def _forward(recipe: Recipe, model: Model) -> dict | None:
    """A recipe's forward pass as numbers of products; None if it rounds anything in another way."""
    other = (recipe.kv, recipe.accumulator)
    if any(rule is not None for rule in other):
        return None
    sites = recipe.sites(model)
    if any(name in ("embedding", "head") for kind, name in sites if kind in (Kind.WEIGHTS, Kind.ACTIVATIONS)):
        return None
    try:
        found = replace(recipe, gradients=None, accumulator=None, master=None, backward=Backward()).products(model)
        plan_of([found], model.sites[Kind.ACTIVATIONS])  # refuses formats that no traced operand has, such as BF16
    except ValueError:
        return None
    return found


def _nearest(post: Post, model: Model) -> Quantizer | None:
    """The one quantizer that a treatment rounds the matrices of the layers with, if that is all it does."""
    recipe = post.recipe
    kept = recipe.weights
    alone = all(recipe.of(kind) is None for kind in Kind if kind is not Kind.WEIGHTS) and recipe.backward is None
    if not (alone and isinstance(post.method, RTN) and isinstance(kept, Quantizer) and kept.symmetric):
        return None
    if not isinstance(kept.format, Codebook):
        try:
            Operand(quantizer=_transposed(kept))
        except ValueError:
            return None
    return kept


def _transposed(quantizer: Quantizer) -> Quantizer:
    """A quantizer of matrices (inputs, outputs) as one of their transposes."""
    scaling = quantizer.scaling
    if isinstance(scaling, PerChannel) and scaling.axis in (-1, 1):
        return replace(quantizer, scaling=PerToken())
    if isinstance(scaling, PerBlock | TwoLevel):
        if scaling.rows > 1:
            return quantizer
        return replace(quantizer, scaling=replace(scaling, axis=-1 if scaling.axis in (0, -2) else 0))
    if isinstance(scaling, PerToken):
        return replace(quantizer, scaling=PerChannel(-1))
    return quantizer


def _rows(model: Model, plan: Plan, quantizers: list[Quantizer]) -> tuple[_Shape, _Rows]:
    plain = [None if isinstance(q.format, Codebook) else Operand(quantizer=_transposed(q)) for q in quantizers]
    scalings = tuple(sorted({one.quantizer.scaling for one in plain if one is not None}, key=repr))
    listed = tuple(dict.fromkeys(q for q in quantizers if isinstance(q.format, Codebook)))
    menu = Menu(scalings, stochastic=False, eden=0)
    count = 1 << len(quantizers).bit_length()  # few sizes, so that few programs are compiled
    padded = [None, *plain, *[None] * (count - len(plain) - 1)]
    numbers = [operand_numbers(menu, one, Again.NO) for one in padded]
    which = [0, *(1 + listed.index(q) if q in listed else 0 for q in quantizers), *[0] * (count - len(plain) - 1)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *numbers)
    treated = tuple(name for name in model.sites[Kind.WEIGHTS] if name not in ("embedding", "head"))
    return _Shape(model, plan, menu, listed, treated), _Rows(stacked, np.array(which, np.int32))


@functools.lru_cache(maxsize=64)
def _program(shape: _Shape) -> Callable[..., tuple[Array, dict[str, Array]]]:
    model, plan = shape.model, shape.plan
    products = {name: model.input_of(name) for name in shape.treated}

    def as_trained(name: str, w: Array, numbers: Products) -> Array:
        if name not in products:
            return w
        one = numbers.at(plan.names.index(products[name]))
        return forward_weights(plan, one, w)

    def treat(name: str, w: Array, row: _Rows) -> Array:
        if name not in products:
            return w
        result = rounded(shape.menu, row.numbers, w.T, jnp.uint32(0)).values.T
        for n, quantizer in enumerate(shape.listed, 1):
            result = jnp.where(row.listed == n, quantizer(w), result)
        return result

    def read(params: Weights, numbers: Products, rows: _Rows, text: tuple) -> tuple[Array, dict[str, Array]]:
        trained = map_weights(params, lambda name, w: as_trained(name, w, numbers))
        candidates = jax.vmap(lambda row: map_weights(trained, lambda name, w: treat(name, w, row)))(rows)
        errors: dict[str, Array] = {}

        def note(name: str, w: Array) -> Array:
            if name in products:
                errors[name] = jnp.mean((w - before[name]) ** 2, axis=1)
            return w

        before: dict[str, Array] = {}
        map_weights(trained, lambda name, w: before.setdefault(name, w))
        map_weights(candidates, note)
        passing = EXACT._replace(products=lambda name, x, matrices: _multiplied(plan, numbers, name, x, matrices))

        def one(candidate: Weights) -> Array:
            return jax.lax.map(lambda block: divergence(model, candidate, passing, block), text).reshape(-1)

        return jax.vmap(one)(candidates), errors

    def precisely(*arguments: Any) -> tuple[Array, dict[str, Array]]:
        with jax.default_matmul_precision("highest"):
            return read(*arguments)

    return jax.jit(precisely)


def _multiplied(plan: Plan, numbers: Products, name: str, x: Array, matrices: list[Array]) -> Array | None:
    """The forward product with activations rounded on their way; matrices are rounded already."""
    if name not in plan.names:
        return None
    return forward_product(plan, numbers.at(plan.names.index(name)), x, matrices)
