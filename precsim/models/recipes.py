"""Recipes: which tensor of a network gets which quantizer."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

from precsim.models.learned_steps import Learned
from precsim.models.points import Kind
from precsim.models.products import Backward, Carried, Chosen
from precsim.models.transforms import Fitted, Rotated
from precsim.numerics.arithmetic import Accumulator, Order
from precsim.numerics.binary_format import Format
from precsim.numerics.formats import FP32
from precsim.numerics.grid import Grid
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import (
    Codebook,
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    Quantizer,
    TwoLevel,
    TwoLevelRule,
)

if TYPE_CHECKING:
    from precsim.models import Model

_ENDS = ("embedding", "head")
_TRAINABLE = (Rounding.NEAREST_EVEN, Rounding.STOCHASTIC_A)  # what the traced kernel does
_QUANTIZERS = (Quantizer, Rotated, Fitted)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerLayer:
    """One quantizer for most sites and others for some, chosen by name.

    Parameters
    ----------
    default : Quantizer or None
        For every site that no pattern names.
    layers : mapping from str to Quantizer or None
        Patterns in the manner of file names ("block0.*", "head"); the last that matches decides.

    Examples
    --------
    >>> PerLayer(default=None, layers={"head": None}).choose("block0.up") is None
    True
    """

    default: Quantizer | Rotated | Fitted | Learned | Stored | Accumulator | None = None
    layers: Any = ()

    def __post_init__(self) -> None:
        pairs = self.layers.items() if isinstance(self.layers, Mapping) else self.layers
        object.__setattr__(self, "layers", tuple((str(pattern), quantizer) for pattern, quantizer in pairs))

    @property
    def pairs(self) -> tuple[tuple[str, Any], ...]:
        """Patterns and their quantizers, in order."""
        return self.layers

    def choose(self, name: str) -> Any:
        """The quantizer of the site with this name."""
        for pattern, quantizer in reversed(self.pairs):
            if fnmatch.fnmatchcase(name, pattern):
                return quantizer
        return None if name in _ENDS else self.default


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the terms of a product are grouped for an accumulator: this many are summed in float32 at a time."""

    size: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Numbers kept in a format as they are, without a scale: an optimizer's copy of the weights, plain gradients.

    A constant scale of 2^k is a change of the format's bias by k.

    Parameters
    ----------
    format : Format
    rounding : Rounding
        Nearest-even or stochastic (variant A).

    Raises
    ------
    ValueError
        If the format has listed values, or the rounding is another.
    """

    format: Format
    rounding: Rounding = Rounding.NEAREST_EVEN

    def __post_init__(self) -> None:
        if not isinstance(self.format, Format):
            raise ValueError(f"Stored.format must be a Format, not {self.format!r}")
        if self.rounding not in _TRAINABLE:
            raise ValueError(f"Stored rounds to nearest-even or stochastically (variant A), not {self.rounding}")

    @property
    def scaling(self) -> type[Stored]:
        """The class itself, which tells a program that this site has no scale."""
        return Stored

    @property
    def bits(self) -> float:
        """Storage bits of one element."""
        return float(self.format.bits)


@dataclass(frozen=True, slots=True)
class _Sums:
    """An accumulator as a site's quantizer."""

    accumulator: Accumulator

    @property
    def format(self) -> Format:
        return self.accumulator.format

    @property
    def rounding(self) -> Rounding:
        return self.accumulator.rounding

    @property
    def scaling(self) -> Blocks:
        return Blocks(self.accumulator.block or 1)

    @property
    def bits(self) -> float:
        return float(self.accumulator.format.bits)


Rule = Quantizer | Rotated | Fitted | PerLayer | None
#: What rounds one site.
SiteQuantizer = Quantizer | Rotated | Fitted | Learned | Stored | _Sums

#: What a kind of tensor may be given besides a `PerLayer`, where it differs from the others.
_ALLOWED = {
    Kind.WEIGHTS: (*_QUANTIZERS, Learned, Stored),
    Kind.ACTIVATIONS: (*_QUANTIZERS, Stored),
    Kind.KV: (*_QUANTIZERS, Stored),
    Kind.ACCUMULATOR: (Accumulator,),
    Kind.MASTER: (Stored,),
    Kind.GRADIENTS: (*_QUANTIZERS, Stored),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which tensors are rounded, and how; None leaves a kind in float32.

    Parameters
    ----------
    weights, activations, kv, gradients : Quantizer, Rotated, Fitted, PerLayer or None
        Quantizer of the weight matrices, of what is multiplied with them, of the keys and values
        kept for later tokens, and of the loss's derivatives by each product, as they come back. Weights may be
        Learned, too, and each of them Stored (no scale: BF16 and FP16 as they are meant). The embedding
        and the unembedding ("head") stay in float32 unless a `PerLayer` names them.
    accumulator : Accumulator, PerLayer or None
        How a product's terms are added: `arithmetic.Accumulator` with exact products, nearest-even,
        SEQUENTIAL, or BLOCKED with ``inner=FP32``.
    master : Stored, PerLayer or None
        The format of the weights that the optimizer updates, rounded after every step. `gradients` may be
        Stored too: overflow is then real.
    backward : Backward, optional
        What is rounded in the two products of the backward pass, and how products are turned. Without it, only the
        forward pass rounds ("forward only"): the backward products take what it has rounded, and float32 gradients.

    Raises
    ------
    ValueError
        If a field is something else, or does not go with `backward`.

    Notes
    -----
    The forward pass uses the rounded tensor; the gradient passes through the rounding unchanged
    (straight-through), through a limited accumulator as through an exact product, and the optimizer updates
    float32 weights unless `master` says otherwise. Gradients are rounded once, tokens by outputs, for both products
    that use them.

    Examples
    --------
    >>> Recipe() == Recipe(weights=None, activations=None, kv=None)
    True
    """

    weights: Rule | Learned | Stored = None
    activations: Rule | Stored = None
    kv: Rule | Stored = None
    gradients: Rule | Stored = None
    accumulator: Accumulator | PerLayer | None = None
    master: Stored | PerLayer | None = None
    backward: Backward | None = None

    def __post_init__(self) -> None:
        if self.backward is not None and not isinstance(self.backward, Backward):
            raise ValueError(f"backward must be a Backward or None, not {self.backward!r}")
        if self.backward is not None and (self.gradients is not None or self.accumulator is not None):
            raise ValueError("gradients and accumulator=None go with backward, which rounds gradients itself")
        for kind in Kind:
            value = self.of(kind)
            allowed = _ALLOWED.get(kind, _QUANTIZERS)
            if not isinstance(value, (*allowed, PerLayer, type(None))):
                names = ", a ".join(each.__name__ for each in allowed)
                raise ValueError(
                    f"{kind.value} must be a {names}, a PerLayer or None, not {value!r}; "
                    "a Format becomes a Quantizer with a scaling: Quantizer(format, scaling)"
                )
            for quantizer in () if not isinstance(value, PerLayer) else (value.default, *dict(value.pairs).values()):
                if not isinstance(quantizer, (*allowed, type(None))):
                    raise ValueError(f"{kind.value} must be made of {allowed}, not {quantizer!r}")

    def of(self, kind: Kind) -> Any:
        """What this recipe does to one kind of tensor."""
        return getattr(self, kind.value)

    def sites(self, model: Model) -> dict[tuple[Kind, str], SiteQuantizer]:
        """Every site of the model that this recipe rounds, and its quantizer.

        Raises
        ------
        ValueError
            If a pattern names no site of the model, or the model has no tensor of the kind.
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
                    _check_quantizer(kind, _Sums(quantizer) if isinstance(quantizer, Accumulator) else quantizer)
            for name in names:
                if (q := layers.choose(name)) is not None:
                    found[kind, name] = _Sums(q) if isinstance(q, Accumulator) else q
        return found

    def products(self, model: Model) -> Chosen:
        """How each product of the model is carried out in all three passes, by name; empty without `backward`.

        A product none of whose two operands is rounded in the forward pass is exempt from the backward rules, too.

        Raises
        ------
        ValueError
            If matrices that share a product are rounded differently, or a quantizer is none that can be traced.
        """
        found: Chosen = {}
        if self.backward is None:
            return found
        sites = self.sites(model)
        for name in model.sites[Kind.ACTIVATIONS]:
            matrices = [w for w in model.sites[Kind.WEIGHTS] if w != "embedding" and model.input_of(w) == name]
            weights = {sites.get((Kind.WEIGHTS, w)) for w in matrices}
            activations = sites.get((Kind.ACTIVATIONS, name))
            if len(weights) > 1:
                raise ValueError(f"{', '.join(matrices)} are one product in training, so they must be rounded alike")
            (kept,) = weights
            if activations is not None or kept is not None:
                found[name] = _carried_out(self.backward, name, activations, kept)
        return found

    def bits(self, kind: Kind, model: Model) -> float:
        """Mean bits of one kind over the model's sites without embedding and head; inf if any is left in float32."""
        names = [name for name in model.sites[kind] if name not in _ENDS]
        rounded = self.sites(model)
        widths = [float(q.bits) if (q := rounded.get((kind, name))) else math.inf for name in names]
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
    >>> from precsim.numerics import INT4
    >>> kumar(weights=INT4).weights.scaling
    PerChannel(axis=-1)
    """
    return Recipe(
        weights=weights and Quantizer(weights, PerChannel(axis=-1)),
        activations=activations and Quantizer(activations, PerTensor()),
        kv=kv and Quantizer(kv, PerToken()),
    )


def unscaled(*, weights: Format | None = None, activations: Format | None = None, kv: Format | None = None) -> Recipe:
    """Numbers rounded to formats as they are, without scales: what BF16 and FP16 are made for. Overflow is real.

    Examples
    --------
    >>> from precsim.numerics import BF16
    >>> unscaled(weights=BF16, activations=BF16).weights == Stored(BF16)
    True
    """
    return Recipe(
        weights=weights and Stored(weights), activations=activations and Stored(activations), kv=kv and Stored(kv)
    )


def per_token(*, weights: Format | None = None, activations: Format | None = None, kv: Format | None = None) -> Recipe:
    """As `kumar`, but each token's activations have a scale of their own.

    Examples
    --------
    >>> from precsim.numerics import INT4
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
    >>> from precsim.numerics import FP4_E2M1
    >>> from precsim.numerics import PerBlock
    >>> everywhere(Quantizer(FP4_E2M1, PerBlock(32))).weights.scaling.axis
    0
    """
    weights = quantizer
    if isinstance(quantizer.scaling, (PerBlock, TwoLevel)):
        weights = replace(quantizer, scaling=replace(quantizer.scaling, axis=0))
    return Recipe(weights=weights, activations=quantizer, kv=quantizer if kv else None)


def quest(*, weights: Format | None = None, activations: Format | None = None, size: int = 64) -> Recipe:
    """Rotated by Hadamard matrices and scaled for the least squared error: weights per channel, activations per token.

    What QuEST changed, but for its rule for the gradient, which passes through unchanged here.

    Examples
    --------
    >>> from precsim.numerics import INT4
    >>> quest(weights=INT4).weights.axis
    0
    """
    return Recipe(
        weights=weights and Rotated(Fitted(Quantizer(weights, PerChannel(axis=-1))), size, axis=0),
        activations=activations and Rotated(Fitted(Quantizer(activations, PerToken())), size),
    )


def compiled_in(quantizer: SiteQuantizer) -> TypeGuard[Quantizer]:
    """Whether a program must be compiled for this very quantizer: its values are no few numbers."""
    inner = quantizer
    while isinstance(inner, (Rotated, Fitted, Learned)):
        inner = inner.quantizer
    exact = isinstance(inner.scaling, TwoLevel) and inner.scaling.rule is TwoLevelRule.EXACT
    return isinstance(inner, Quantizer) and (isinstance(inner.format, Codebook) or not inner.symmetric or exact)


def _carried_out(backward: Backward, name: str, activations: Any, weights: Any) -> Carried:
    """How a product goes whose two operands are rounded so in the forward pass."""
    turns = {q.size if isinstance(q, Rotated) else 1 for q in (activations, weights)}
    plain: list[Any] = [q.quantizer if isinstance(q, Rotated) else q for q in (activations, weights)]
    if len(turns) > 1 or not all(isinstance(q, Quantizer | None) for q in plain):
        raise ValueError(
            f"with backward, both operands of {name} are rounded by a Quantizer, or both by one that is Rotated by the "
            f"same size, not by {activations!r} and {weights!r}"
        )
    return Carried(backward, plain[0], plain[1], turns.pop())


def numbers_of(quantizer: SiteQuantizer) -> Grid:
    """The numbers of a format that a compiled program takes as arguments."""
    kept = isinstance(quantizer, (Stored, _Sums))  # without a scale, overflow is real
    assert isinstance(quantizer.format, Format)  # listed values are compiled in
    return quantizer.format.grid(saturate=not kept)


def _check_quantizer(kind: Kind, quantizer: SiteQuantizer) -> None:
    """Refuse a quantizer that training cannot carry out.

    Raises
    ------
    ValueError
        If the rounding mode would need a program of its own, or the parts do not fit together.
    """
    if quantizer.rounding not in _TRAINABLE:
        raise ValueError(
            f"{kind.value} are rounded nearest-even or stochastically (variant A), not {quantizer.rounding}"
        )
    if isinstance(quantizer, (Rotated, Fitted)) and compiled_in(quantizer):
        raise ValueError(f"{kind.value}: only formats without listed values or zero points are rotated or fitted")
    if isinstance(quantizer, _Sums):
        sums = quantizer.accumulator
        ordered = sums.order is Order.SEQUENTIAL or (sums.order is Order.BLOCKED and sums.inner == FP32)
        if sums.rounding is not Rounding.NEAREST_EVEN or sums.products is not None or not ordered:
            raise ValueError(
                "an accumulator in training adds exact products, nearest-even, SEQUENTIAL or BLOCKED "
                f"with inner=FP32, not {sums}"
            )


def label(quantizer: SiteQuantizer | PerLayer | Accumulator) -> str:
    """What shares a scale under this quantizer, in a word or two.

    Examples
    --------
    >>> from precsim.numerics import INT4
    >>> from precsim.numerics import MXFP4, NVFP4, Quantizer
    >>> [label(q) for q in (Quantizer(INT4, PerChannel(axis=0)), MXFP4, NVFP4)]
    ['channel', 'block 32 E8M0', 'block 16 two-level']
    """
    match quantizer:
        case Rotated():
            return f"rotated {label(quantizer.quantizer)}"
        case Fitted():
            return f"fitted {label(quantizer.quantizer)}"
        case Learned():
            return f"learned {label(quantizer.quantizer)}"
    match getattr(quantizer, "scaling", None):
        case PerTensor():
            name = "tensor"
        case PerChannel():
            name = "channel"
        case PerToken():
            name = "token"
        case TwoLevel(size=size):
            name = f"block {size} two-level"
        case PerBlock(size=size, scale_format=None):
            name = f"block {size}"
        case PerBlock(size=size, scale_format=Format(name=kept)):
            name = f"block {size} {kept}"
        case _:
            return "mixed"
    return name if getattr(quantizer, "symmetric", True) else f"{name} affine"
