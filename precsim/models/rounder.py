"""Recipes as a compiled program sees them: sites that are rounded, and the numbers of the formats there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from precsim.models import Kind, Model, Points, Weights
from precsim.models.learned_steps import LearnedScaling
from precsim.models.products import Plan, Products, plan_of, product, through_of
from precsim.models.recipes import Blocks, PerLayer, Recipe, SiteQuantizer, Stored, compiled_in, numbers_of
from precsim.models.transforms import apply_scaling
from precsim.numerics.formats import INT8
from precsim.numerics.grid import Family, Grid, family_of
from precsim.numerics.kernels.under_jax import round_traced, straight_through
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import Quantizer

STEPS = "steps"  # where learned scales are kept among the weights of a model
# A stochastic site draws one 32-bit word for an element and keeps its high 24: R / 2^24 is exact in float32, so that
# its comparison with the discarded share is, too; 32 bits would be rounded first, with a tie rule of its own.
_NOISE_BITS = 24
_PRODUCTS = 1 << 20  # what a product's draws are numbered from, beyond all sites


class Site(NamedTuple):
    """A site of a model that is rounded, as far as a compiled program must know it."""

    kind: Kind
    name: str
    scaling: Any  # a quantizer's, `LearnedScaling`, `Blocks` or `Stored`: which of the ways below rounds
    stochastic: bool
    fixed: Quantizer | None  # a quantizer whose values are part of the program (listed values, zero points)
    family: Family


#: Rounded sites in a fixed order; hashable, so that they can choose a compiled program.
Sites = tuple[Site, ...]


def shared_sites(recipes: Iterable[Recipe], model: Model) -> Sites:
    """The sites of one program that serves all of these recipes: those that any of them rounds.

    Raises
    ------
    ValueError
        If two recipes scale or round the same site differently; such recipes need different programs.
    """
    found: dict[tuple[Kind, str], Site] = {}
    for recipe in recipes:
        for (kind, name), quantizer in recipe.sites(model).items():
            fixed = quantizer if compiled_in(quantizer) else None
            family = Family.UNIFORM if fixed else family_of(numbers_of(quantizer))
            stochastic = quantizer.rounding is Rounding.STOCHASTIC_A
            site = Site(kind, name, quantizer.scaling, stochastic, fixed, family)
            other = found.setdefault((kind, name), site)
            if other[:-1] != site[:-1]:
                raise ValueError(f"{name} is rounded as {other} and as {site}")
            found[kind, name] = site._replace(family=max(family, other.family))
    return tuple(sorted(found.values(), key=lambda site: (site.kind.value, site.name)))


def training_sites(recipes: Iterable[Recipe], model: Model) -> Sites:
    """The sites of one program that trains by all of these recipes; those with a `Backward` leave products to `Plan`.

    Raises
    ------
    ValueError
        If two recipes scale or round the same site differently, some round the backward pass and some do not, or
        products go through different matrix units.
    """
    recipes = tuple(recipes)
    if len({recipe.backward is None for recipe in recipes}) > 1:
        raise ValueError("recipes with a backward pass of their own need another program than those without")
    if any(recipe.backward and recipe.backward.unit for recipe in recipes):
        through_of([recipe.products(model) for recipe in recipes], model.sites[Kind.ACTIVATIONS])
    return shared_sites((_without_products(recipe, model) for recipe in recipes), model)


def training_plan(recipes: Iterable[Recipe], model: Model) -> Plan | None:
    """What a program must know of the products of these recipes; None if none rounds the backward pass."""
    chosen = [recipe.products(model) for recipe in recipes if recipe.backward is not None]
    return plan_of(chosen, model.sites[Kind.ACTIVATIONS]) if chosen else None


def _without_products(recipe: Recipe, model: Model) -> Recipe:
    """A recipe whose weights and activations are rounded where they are multiplied, by its `Plan`, and nowhere else."""
    if recipe.backward is None:
        return recipe
    weights = recipe.weights
    ends = [pair for pair in weights.pairs if pair[0] == "embedding"] if isinstance(weights, PerLayer) else []
    kept = PerLayer(default=None, layers=tuple(ends)) if ends else None
    return dataclasses.replace(recipe, weights=kept, activations=None, backward=None)


def widened(sites: Sites) -> Sites:
    """The same sites for integers and floats alike: one program for both, at a little more work."""
    return tuple(site._replace(family=max(site.family, Family.FLOAT)) for site in sites)


def grids(recipe: Recipe, model: Model, sites: Sites) -> Grid | None:
    """Numbers of this recipe's formats, arrays (sites,) in the order of the sites; `Grid.off` where not rounded."""
    if not sites:
        return None
    rounded = recipe.sites(model)
    chosen = [rounded.get((site.kind, site.name)) for site in sites]
    return Grid.stack(*(_numbers(quantizer) if quantizer else Grid.off() for quantizer in chosen))


def of_kinds(sites: Sites, grids: Grid | None, kinds: Iterable[Kind]) -> tuple[Sites, Grid | None]:
    """Sites of these kinds alone, and their numbers."""
    wanted = tuple(kinds)
    chosen = [n for n, site in enumerate(sites) if site.kind in wanted]
    if not chosen or grids is None:
        return (), None
    return tuple(sites[n] for n in chosen), jax.tree.map(lambda entry: entry[..., chosen], grids)


def _numbers(quantizer: SiteQuantizer) -> Grid:
    # of a quantizer that is compiled in, only on or off is read
    return INT8.grid() if compiled_in(quantizer) else numbers_of(quantizer)


class Rounder:
    """Rounding of sites with (traced) grids.

    Stochastic sites draw their bits from `key`; without one they round to nearest. Sites whose scale is learned
    take it from `steps`, by name.
    """

    def __init__(
        self, sites: Sites, grids: Grid | None, key: Array | None = None, steps: Mapping[str, Array] | None = None
    ) -> None:
        self._grids, self._key, self._steps = grids, key, steps or {}
        self._sites = {(site.kind, site.name): (n, site) for n, site in enumerate(sites)}

    def has(self, kind: Kind) -> bool:
        """Whether any site of this kind is rounded."""
        return any(site.kind is kind for _, site in self._sites.values())

    def round(self, kind: Kind, name: str, x: Array) -> Array:
        """The tensor of this kind and name, rounded; the derivative is that of the identity."""
        if (kind, name) not in self._sites:
            return x
        n, site = self._sites[kind, name]
        grid, noise = self.grid(n), self._noise(n, site, x.shape)
        if isinstance(site.scaling, LearnedScaling):
            if name not in self._steps:
                raise ValueError(f"these weights hold no learned step for {name}: they were trained by another recipe")
            return site.scaling.round(x, self._steps[name], grid)
        if site.fixed is not None:
            # `Grid.off` has float32's 24 bits: a member that does not round this site takes the tensor as it is
            return jnp.where(grid.precision >= 24, x, site.fixed(x))
        if site.scaling is Stored:
            return straight_through(_unscaled, x, grid, noise)
        return apply_scaling(site.scaling, x, grid, noise, site.family)

    def grid(self, n: int) -> Grid:
        """Numbers of site number n."""
        return jax.tree.map(lambda entry: entry[n], self._grids)

    def back(self, name: str, x: Array) -> Array:
        """x itself; the derivative that comes back through it is rounded."""
        if (Kind.GRADIENTS, name) not in self._sites:
            return x
        n, site = self._sites[Kind.GRADIENTS, name]

        def rounded(slope: Array, grid: Grid, noise: Array | None) -> Array:
            if site.fixed is not None:
                return jnp.where(grid.precision >= 24, slope, site.fixed(slope))
            if site.scaling is Stored:
                return _unscaled(slope, grid, noise)
            return apply_scaling(site.scaling, slope, grid, noise, site.family)

        return _rounded_on_its_way_back(rounded, x, self.grid(n), self._noise(n, site, x.shape))

    def multiply(self, name: str, x: Array, weight: Array) -> Array:
        """x @ weight with partial sums rounded; the derivative is that of the exact product."""
        exact = x @ weight
        if (Kind.ACCUMULATOR, name) not in self._sites:
            return exact
        n, site = self._sites[Kind.ACCUMULATOR, name]
        assert isinstance(site.scaling, Blocks)
        limited = _accumulated(x, weight, self.grid(n), site.scaling.size)
        return exact + jax.lax.stop_gradient(limited - exact)

    # one key for each site, folded in by its number: the same sites give the same bits whatever else is rounded, and
    # under vmap each member folds its own seed in before
    def _noise(self, n: int, site: Site, shape: tuple[int, ...]) -> Array | None:
        if not site.stochastic or self._key is None:
            return None
        return jax.random.bits(jax.random.fold_in(self._key, n), shape, "uint32")


def points(
    sites: Sites,
    grids: Grid | None,
    key: Array | None = None,
    carrier: DTypeLike | None = None,
    params: Weights | None = None,
    *,
    plan: Plan | None = None,
    products: Products | None = None,
    attention: Callable[[Array, Array, Array], Array] | None = None,
) -> Points:
    """Rounding functions for a model's `logits`, from sites and (traced) grids; see `Rounder`.

    Learned scales are taken from the weights `params`; `plan` and `products` say how products are carried out in all
    three passes, with `key` for what they draw, `attention` how queries, keys and values are mixed.
    """
    rounder = Rounder(sites, grids, key, (params or {}).get(STEPS))

    def of(kind: Kind) -> Callable[[str, Array], Array]:
        return lambda name, x: rounder.round(kind, name, x)

    multiply = rounder.multiply if rounder.has(Kind.ACCUMULATOR) else None

    def together(name: str, x: Array, matrices: list[Array]) -> Array | None:
        if plan is None or products is None or key is None or name not in plan.names:
            return None
        n = plan.names.index(name)
        word = jax.random.bits(jax.random.fold_in(key, _PRODUCTS + n), (), "uint32")
        return product(plan, name, products, x, matrices, word)

    served = None if plan is None else together
    rounding = (of(Kind.WEIGHTS), of(Kind.ACTIVATIONS), of(Kind.KV), rounder.back)
    return Points(*rounding, multiply, carrier, served, attention)


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
