"""Recipes as a compiled program sees them: places that are rounded, and the numbers of the formats there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from precsim.models import Kind, Model, Points
from precsim.models.learned_steps import LearnedScaling
from precsim.models.recipes import Blocks, Recipe, Stored, compiled_in, numbers_of
from precsim.models.transforms import apply_scaling
from precsim.numerics.formats import INT8
from precsim.numerics.grid import Family, Grid, family_of
from precsim.numerics.kernels.under_jax import round_traced, straight_through
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import Quantizer

STEPS = "steps"  # where learned scales are kept among the weights of a model
_NOISE_BITS = 24  # of each random word; what float32 compares exactly


class Place(NamedTuple):
    """A rounded place, as far as a compiled program must know it."""

    kind: Kind
    name: str
    scaling: Any
    stochastic: bool
    fixed: Quantizer | None  # a quantizer whose values are part of the program (listed values, zero points)
    family: Family


#: Rounded places in a fixed order; hashable, so that it can choose a compiled program.
Wiring = tuple[Place, ...]


def wire(recipes: Iterable[Recipe], model: Model) -> Wiring:
    """One wiring that serves all of these recipes: a place is wired if any of them rounds it.

    Raises
    ------
    ValueError
        If two recipes scale or round the same place differently; such recipes need different programs.
    """
    wiring: dict[tuple[Kind, str], Place] = {}
    for recipe in recipes:
        for (kind, name), quantizer in recipe.places(model).items():
            fixed = quantizer if compiled_in(quantizer) else None
            family = Family.UNIFORM if fixed else family_of(numbers_of(quantizer))
            stochastic = quantizer.rounding is Rounding.STOCHASTIC_A
            place = Place(kind, name, quantizer.scaling, stochastic, fixed, family)
            other = wiring.setdefault((kind, name), place)
            if other[:-1] != place[:-1]:
                raise ValueError(f"{name} is rounded as {other} and as {place}")
            wiring[kind, name] = place._replace(family=max(family, other.family))
    return tuple(sorted(wiring.values(), key=lambda place: (place.kind.value, place.name)))


def widened(wiring: Wiring) -> Wiring:
    """The same wiring for integers and floats alike: one program for both, at a little more work."""
    return tuple(place._replace(family=max(place.family, Family.FLOAT)) for place in wiring)


def grids(recipe: Recipe, model: Model, wiring: Wiring) -> Grid | None:
    """Numbers of this recipe's formats, arrays (places,) in the order of the wiring; `Grid.off` where not rounded."""
    if not wiring:
        return None
    places = recipe.places(model)
    chosen = [places.get((place.kind, place.name)) for place in wiring]
    return Grid.stack(*(_numbers(quantizer) if quantizer else Grid.off() for quantizer in chosen))


def part(wiring: Wiring, grids: Grid | None, kinds: Iterable[Kind]) -> tuple[Wiring, Grid | None]:
    """Places of these kinds alone, and their numbers."""
    chosen = [n for n, place in enumerate(wiring) if place.kind in tuple(kinds)]
    if not chosen or grids is None:
        return (), None
    columns: Any = grids
    return tuple(wiring[n] for n in chosen), Grid(*(entry[..., chosen] for entry in columns))


def _numbers(quantizer: Any) -> Grid:
    # of a quantizer that is compiled in, only on or off is read
    return INT8.grid() if compiled_in(quantizer) else numbers_of(quantizer)


class Rounder:
    """Rounding of the places of a wiring with (traced) grids.

    Stochastic places draw their bits from `key`; without one they round to nearest. Places whose scale is learned
    take it from `steps`, by name.
    """

    def __init__(self, wiring: Wiring, grids: Any, key: Array | None = None, steps: Any = None) -> None:
        self._grids, self._key, self._steps = grids, key, steps or {}
        self._places = {(place.kind, place.name): (n, place) for n, place in enumerate(wiring)}

    def has(self, kind: Kind) -> bool:
        """Whether any place of this kind is rounded."""
        return any(place.kind is kind for _, place in self._places.values())

    def round(self, kind: Kind, name: str, x: Array) -> Array:
        """The tensor of this kind and name, rounded; the derivative is that of the identity."""
        if (kind, name) not in self._places:
            return x
        n, place = self._places[kind, name]
        grid, noise = self.grid(n), self._noise(n, place, x.shape)
        if isinstance(place.scaling, LearnedScaling):
            if name not in self._steps:
                raise ValueError(f"these weights hold no learned step for {name}: they were trained by another recipe")
            return place.scaling.round(x, self._steps[name], grid)
        if place.fixed is not None:
            return jnp.where(grid.precision >= 24, x, place.fixed(x))
        if place.scaling is Stored:
            return straight_through(_unscaled, x, grid, noise)
        return apply_scaling(place.scaling, x, grid, noise, place.family)

    def grid(self, n: int) -> Grid:
        """Numbers of place number n."""
        return Grid(*(entry[n] for entry in self._grids))

    def back(self, name: str, x: Array) -> Array:
        """x itself; the derivative that comes back through it is rounded."""
        if (Kind.GRADIENTS, name) not in self._places:
            return x
        n, place = self._places[Kind.GRADIENTS, name]

        def rounded(slope: Array, grid: Grid, noise: Array | None) -> Array:
            if place.fixed is not None:
                return jnp.where(grid.precision >= 24, slope, place.fixed(slope))
            if place.scaling is Stored:
                return _unscaled(slope, grid, noise)
            return apply_scaling(place.scaling, slope, grid, noise, place.family)

        return _rounded_on_its_way_back(rounded, x, self.grid(n), self._noise(n, place, x.shape))

    def multiply(self, name: str, x: Array, weight: Array) -> Array:
        """x @ weight with partial sums rounded; the derivative is that of the exact product."""
        exact = x @ weight
        if (Kind.ACCUMULATOR, name) not in self._places:
            return exact
        n, place = self._places[Kind.ACCUMULATOR, name]
        assert isinstance(place.scaling, Blocks)
        limited = _accumulated(x, weight, self.grid(n), place.scaling.size)
        return exact + jax.lax.stop_gradient(limited - exact)

    def _noise(self, n: int, place: Place, shape: tuple[int, ...]) -> Array | None:
        if not place.stochastic or self._key is None:
            return None
        return jax.random.bits(jax.random.fold_in(self._key, n), shape, "uint32")


def points(wiring: Wiring, grids: Any, key: Array | None = None, carrier: Any = None, params: Any = None) -> Points:
    """Rounding functions for a model's `logits`, from a wiring and (traced) grids; see `Rounder`.

    Learned scales are taken from the weights `params`.
    """
    rounder = Rounder(wiring, grids, key, (params or {}).get(STEPS))

    def of(kind: Kind) -> Callable[[str, Array], Array]:
        return lambda name, x: rounder.round(kind, name, x)

    multiply = rounder.multiply if rounder.has(Kind.ACCUMULATOR) else None
    return Points(of(Kind.WEIGHTS), of(Kind.ACTIVATIONS), of(Kind.KV), rounder.back, multiply, carrier)


def _unscaled(x: Array, grid: Grid, noise: Array | None) -> Array:
    if noise is None:
        return round_traced(x, grid)
    return round_traced(x, grid, Rounding.STOCHASTIC_A, noise >> jnp.uint32(32 - _NOISE_BITS), _NOISE_BITS)


def _accumulated(x: Array, weight: Array, grid: Grid, size: int) -> Array:
    """Blocks of terms one after the other, each summed in float32 first, the running sum rounded after each."""
    total = jnp.zeros((x.shape[0], weight.shape[1]), x.dtype)
    for start in range(0, x.shape[1], size):
        total = round_traced(total + x[:, start : start + size] @ weight[start : start + size], grid)
    return total


def _rounded_on_its_way_back(rounded: Callable, x: Array, grid: Grid, noise: Array | None) -> Array:
    @jax.custom_vjp
    def through(x: Array, grid: Grid, noise: Array | None) -> Array:
        return x

    def forward(x: Array, grid: Grid, noise: Array | None) -> tuple:
        return x, (grid, noise)

    def backward(kept: tuple, slope: Array) -> tuple:
        return rounded(slope, *kept), None, None

    through.defvjp(forward, backward)
    return through(x, grid, noise)
