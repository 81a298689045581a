"""Recipes: which tensor of a network gets which quantizer."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
from jax import Array

from precsim._family import Family, family_of
from precsim._grid import Grid
from precsim._modes import Rounding
from precsim.formats import Format
from precsim.models import Kind, Model, Points
from precsim.quantize import PerBlock, PerChannel, PerTensor, PerToken, Quantizer, Scaling, TwoLevel, fake_quantize

_ENDS = ("embedding", "head")
_TRAINABLE = (Rounding.NEAREST_EVEN, Rounding.STOCHASTIC_A)  # what the traced kernel does


@dataclass(frozen=True, slots=True, kw_only=True)
class PerLayer:
    """One quantizer for most places and others for some, chosen by name.

    Parameters
    ----------
    default : Quantizer or None
        For every place that no pattern names.
    layers : mapping from str to Quantizer or None
        Patterns in the manner of file names ("block0.*", "head"); the last that matches decides.

    Examples
    --------
    >>> PerLayer(default=None, layers={"head": None}).choose("block0.up") is None
    True
    """

    default: Quantizer | None = None
    layers: Any = ()

    def __post_init__(self) -> None:
        pairs = self.layers.items() if isinstance(self.layers, Mapping) else self.layers
        object.__setattr__(self, "layers", tuple((str(pattern), quantizer) for pattern, quantizer in pairs))

    @property
    def pairs(self) -> tuple[tuple[str, Quantizer | None], ...]:
        """Patterns and their quantizers, in order."""
        return self.layers

    def choose(self, name: str) -> Quantizer | None:
        """The quantizer of the place with this name."""
        for pattern, quantizer in reversed(self.pairs):
            if fnmatch.fnmatchcase(name, pattern):
                return quantizer
        return None if name in _ENDS else self.default


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which tensors are rounded, and how; None leaves a kind in float32.

    Parameters
    ----------
    weights, activations, kv : Quantizer, PerLayer or None
        Quantizer of the weight matrices, of what is multiplied with them, and of the keys and values
        kept for later tokens. The embedding and the unembedding ("head") stay in float32 unless a
        `PerLayer` names them.

    Raises
    ------
    ValueError
        If a field is something else.

    Notes
    -----
    The forward pass uses the rounded tensor; the gradient passes through the rounding unchanged
    (straight-through), and the optimizer updates float32 weights.

    Examples
    --------
    >>> Recipe() == Recipe(weights=None, activations=None, kv=None)
    True
    """

    weights: Quantizer | PerLayer | None = None
    activations: Quantizer | PerLayer | None = None
    kv: Quantizer | PerLayer | None = None

    def __post_init__(self) -> None:
        for kind in Kind:
            value = self.of(kind)
            if value is not None and not isinstance(value, (Quantizer, PerLayer)):
                raise ValueError(
                    f"{kind.value} must be a Quantizer, a PerLayer or None, not {value!r}; "
                    "a Format becomes a Quantizer with a scaling: Quantizer(format, scaling)"
                )

    def of(self, kind: Kind) -> Quantizer | PerLayer | None:
        """What this recipe does to one kind of tensor."""
        return {Kind.WEIGHTS: self.weights, Kind.ACTIVATIONS: self.activations, Kind.KV: self.kv}[kind]

    def places(self, model: Model) -> dict[tuple[Kind, str], Quantizer]:
        """Every place of the model that this recipe rounds, and its quantizer.

        Raises
        ------
        ValueError
            If a pattern names no place of the model, or the model has no tensor of the kind.
        """
        found = {}
        for kind in Kind:
            chosen, names = self.of(kind), model.sites[kind]
            if chosen is None:
                continue
            if not names:
                raise ValueError(f"{model} has no {kind.value} to quantize; leave {kind.value}=None")
            layers = chosen if isinstance(chosen, PerLayer) else PerLayer(default=chosen)
            for pattern, _ in layers.pairs:
                if not fnmatch.filter(names, pattern):
                    raise ValueError(f"{pattern!r} names none of the {kind.value} of {model}: {', '.join(names)}")
            for quantizer in (layers.default, *(q for _, q in layers.pairs)):
                if quantizer is not None:
                    _traceable_format(quantizer)
            found |= {(kind, name): q for name in names if (q := layers.choose(name)) is not None}
        return found

    def bits(self, kind: Kind, model: Model) -> float:
        """Mean bits of one kind over the model's places without embedding and head; inf if any is left in float32."""
        names = [name for name in model.sites[kind] if name not in _ENDS]
        places = self.places(model)
        widths = [float(q.bits) if (q := places.get((kind, name))) else math.inf for name in names]
        return sum(widths) / len(widths) if widths else math.inf

    def format_name(self, kind: Kind) -> str:
        """Name of the format of one kind: "" if left in float32, "mixed" under a `PerLayer`."""
        chosen = self.of(kind)
        if chosen is None:
            return ""
        return "mixed" if isinstance(chosen, PerLayer) else chosen.format.name


def kumar(*, weights: Format | None = None, activations: Format | None = None, kv: Format | None = None) -> Recipe:
    """The recipe of the paper: symmetric absmax, weights per output channel, activations per tensor, KV per token.

    References
    ----------
    kumar2024, appendix I; the scale of the KV cache is not stated there and is taken per token and head.

    Examples
    --------
    >>> from precsim.formats import INT4
    >>> kumar(weights=INT4).weights.scaling
    PerChannel(axis=-1)
    """
    return Recipe(
        weights=weights and Quantizer(weights, PerChannel(axis=-1)),
        activations=activations and Quantizer(activations, PerTensor()),
        kv=kv and Quantizer(kv, PerToken()),
    )


def per_token(*, weights: Format | None = None, activations: Format | None = None, kv: Format | None = None) -> Recipe:
    """As `kumar`, but each token's activations have a scale of their own.

    Examples
    --------
    >>> from precsim.formats import INT4
    >>> per_token(activations=INT4).activations.scaling
    PerToken()
    """
    recipe = kumar(weights=weights, kv=kv)
    return replace(recipe, activations=activations and Quantizer(activations, PerToken()))


def everywhere(quantizer: Quantizer, *, kv: bool = False) -> Recipe:
    """One quantizer for weights and activations, and for KV if asked: how block formats are used.

    Blocks of weights are taken along their inputs, as those of activations are, so that a product of
    blocks shares two scales.

    Examples
    --------
    >>> from precsim.formats import FP4_E2M1
    >>> from precsim.quantize import PerBlock
    >>> everywhere(Quantizer(FP4_E2M1, PerBlock(32))).weights.scaling.axis
    0
    """
    weights = quantizer
    if isinstance(quantizer.scaling, (PerBlock, TwoLevel)):
        weights = replace(quantizer, scaling=replace(quantizer.scaling, axis=0))
    return Recipe(weights=weights, activations=quantizer, kv=quantizer if kv else None)


class Place(NamedTuple):
    """A rounded place, as far as a compiled program must know it."""

    kind: Kind
    name: str
    scaling: Scaling
    stochastic: bool
    family: Family = Family.ANY


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
            family = family_of(_traceable_format(quantizer).grid())
            place = Place(kind, name, quantizer.scaling, _is_stochastic(quantizer), family)
            other = wiring.setdefault((kind, name), place)
            if (other.scaling, other.stochastic) != (place.scaling, place.stochastic):
                raise ValueError(f"{name} is rounded as {other} and as {place}")
            wiring[kind, name] = place._replace(family=max(family, other.family))
    return tuple(sorted(wiring.values(), key=lambda place: (place.kind.value, place.name)))


def grids(recipe: Recipe, model: Model, wiring: Wiring) -> Grid | None:
    """Numbers of this recipe's formats, arrays (places,) in the order of the wiring; `Grid.off` where not rounded."""
    if not wiring:
        return None
    places = recipe.places(model)
    chosen = [places.get((place.kind, place.name)) for place in wiring]
    return Grid.stack(*(_traceable_format(quantizer).grid() if quantizer else Grid.off() for quantizer in chosen))


def points(wiring: Wiring, grids: Any, key: Array | None = None) -> Points:
    """Rounding functions for a model's `logits`, from a wiring and (traced) grids.

    Stochastic places draw their bits from `key`; without one they round to nearest.
    """
    number = {(place.kind, place.name): n for n, place in enumerate(wiring)}

    def rounding(kind: Kind) -> Callable[[str, Array], Array]:
        def apply(name: str, x: Array) -> Array:
            n = number.get((kind, name))
            if n is None:
                return x
            noise = None
            if wiring[n].stochastic and key is not None:
                noise = jax.random.bits(jax.random.fold_in(key, n), x.shape, "uint32")
            grid = Grid(*(entry[n] for entry in grids))
            return fake_quantize(x, grid, wiring[n].scaling, noise=noise, family=wiring[n].family)

        return apply

    return Points(rounding(Kind.WEIGHTS), rounding(Kind.ACTIVATIONS), rounding(Kind.KV))


def _traceable_format(quantizer: Quantizer) -> Format:
    """The format, if a compiled program can take its numbers as arguments.

    Raises
    ------
    ValueError
        If the rounding mode, the list of values or the zero point would need a program of its own.
    """
    if quantizer.rounding not in _TRAINABLE:
        raise ValueError(f"a recipe rounds to nearest-even or stochastically (variant A), not {quantizer.rounding}")
    if not isinstance(quantizer.format, Format) or not quantizer.symmetric:
        raise ValueError(f"a recipe takes formats without listed values or zero points, not {quantizer}")
    return quantizer.format


def _is_stochastic(quantizer: Quantizer) -> bool:
    return quantizer.rounding is Rounding.STOCHASTIC_A
