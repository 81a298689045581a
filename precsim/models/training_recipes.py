"""Recipes by which networks are trained in few bits, 2024 to 2026, as their sources describe them.

Each function names its source and what of it was checked there, and what is left out. All leave the embedding and the
unembedding in float32, and more where `exempt` names layers. Formats that round the forward pass alone (`kumar`,
`everywhere`, …) are no training recipes in this sense: they are "forward only".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from precsim.models.products import Again, Backward, Operand
from precsim.models.recipes import PerLayer, Recipe
from precsim.models.transforms import Rotated
from precsim.numerics.formats import E8M0, FP4_E2M1, FP8_E4M3, FP8_E5M2
from precsim.numerics.matrix_unit import Chain, MatrixUnit
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import PerBlock, PerTensor, Quantizer, ScaleRule
from precsim.numerics.two_level import TwoLevel

__all__ = ["fp8_blocks", "fp8_per_tensor", "mxfp4", "mxfp8", "nvfp4", "quartet", "quartet_2"]

_SR = Rounding.STOCHASTIC_A
_ONE_CHAIN = Chain()  # immutable


def fp8_per_tensor(*, exempt: Iterable[str] = (), unit: MatrixUnit | None = None, chain: Chain = _ONE_CHAIN) -> Recipe:
    """FP8 with one current scale for each tensor: E4M3 forward, E5M2 gradients; both passes use what was rounded once.

    Checked in TransformerEngine's documentation (Float8CurrentScaling, Format.HYBRID). Delayed scales are not modelled.
    Terms are added in float32, or as a matrix unit adds them: `unit=H100_FP8` for an accumulator of 13 fraction bits,
    `chain=Chain(promote=128)` for its promotion.

    Examples
    --------
    >>> fp8_per_tensor().backward.wgrad_gradients.format.name
    'FP8_E5M2'
    """
    gradients = Quantizer(FP8_E5M2, PerTensor())
    forward = Quantizer(FP8_E4M3, PerTensor())
    back = Backward(dgrad_gradients=gradients, wgrad_gradients=gradients, unit=unit, chain=chain)
    return _recipe(forward, forward, back, exempt)


def fp8_blocks(*, exempt: Iterable[str] = ()) -> Recipe:
    """DeepSeek-V3's FP8: E4M3 everywhere, activations and gradients in 1 x 128, weights in tiles of 128 x 128.

    Checked in TransformerEngine's documentation of its recipe after DeepSeek-V3 (which by default rounds the scales to
    powers of two); scales here are float32 as in the report. Sums that are promoted every 128 terms are not modelled.

    Examples
    --------
    >>> fp8_blocks().weights.scaling.rows
    128
    """
    row, tile = Quantizer(FP8_E4M3, PerBlock(128)), Quantizer(FP8_E4M3, PerBlock(128, rows=128))
    back = Backward(dgrad_gradients=row, wgrad_activations=row, wgrad_gradients=row)
    return _recipe(row, tile, back, exempt)


def mxfp8(*, exempt: Iterable[str] = ()) -> Recipe:
    """MXFP8: E4M3 in blocks of 32 whose power-of-two scale is rounded up, every operand along the axis it is summed.

    Scale rule after NVIDIA's report on MXFP8 (2506.08027), from memory: unchecked.
    """
    q = Quantizer(FP8_E4M3, PerBlock(32, scale_format=E8M0, rule=ScaleRule.RCEIL))
    back = Backward(dgrad_gradients=q, dgrad_weights=q, wgrad_activations=q, wgrad_gradients=q)
    return _recipe(q, q, back, exempt)


def mxfp4(*, stochastic: bool = True, rotation: int = 32, exempt: Iterable[str] = ()) -> Recipe:
    """MXFP4 in all three products: E2M1 in blocks of 32, gradients at random with room of 4/3, wgrad turned by 32.

    Checked in Quartet's code (its baseline "AlbertTseng" rounds so): scale 2^(floor(log2 a) - 2) * 4/3 leaves nothing
    clipped, so that rounding at random is right on average.

    Parameters
    ----------
    stochastic : bool
        Whether gradients are rounded at random, or nearest-even without room.
    rotation : int
        Elements turned together along the tokens; 1: none.
    exempt : iterable of str
        Patterns of products that stay in float32 ("block0.*").
    """
    forward = Quantizer(FP4_E2M1, PerBlock(32, scale_format=E8M0))
    drawn = Operand(quantizer=replace(forward, rounding=_SR), factor=4 / 3)
    back = Backward(
        dgrad_gradients=drawn if stochastic else forward,
        dgrad_weights=forward,
        wgrad_activations=forward,
        wgrad_gradients=drawn if stochastic else forward,
        wgrad_rotation=rotation,
    )
    return _recipe(forward, forward, back, exempt)


def nvfp4(*, stochastic: bool = True, rotation: int = 16, tiles: bool = True, exempt: Iterable[str] = ()) -> Recipe:
    """NVIDIA's NVFP4: E2M1 in blocks of 16 (weights 16 x 16), gradients at random, wgrad turned by random Hadamard 16.

    Checked in TransformerEngine's documentation (NVFP4BlockScaling): two-dimensional weights, which both passes share;
    rounding at random for gradients alone; rotation for wgrad alone, its signs drawn at each step.

    Parameters
    ----------
    stochastic, rotation, exempt
        As for `mxfp4`.
    tiles : bool
        Whether weights share scales in squares of 16 x 16, or along the axis that is summed over, twice.
    """
    row = Quantizer(FP4_E2M1, TwoLevel(16))
    weights = Quantizer(FP4_E2M1, TwoLevel(16, rows=16)) if tiles else row
    gradients = replace(row, rounding=_SR) if stochastic else row
    back = Backward(
        dgrad_gradients=gradients,
        dgrad_weights=None if tiles else row,
        wgrad_activations=row,
        wgrad_gradients=gradients,
        wgrad_rotation=rotation,
    )
    return _recipe(row, weights, back, exempt)


def quartet(*, exempt: Iterable[str] = ()) -> Recipe:
    """Quartet: MXFP4, forward turned by Hadamard 32 with scales by spread, backward at random from rounded operands.

    Checked in the authors' code (forward "QuEST", backward as `mxfp4`): the backward products round what the forward
    pass has rounded, all turned by 32 with fresh signs, and gradients of clipped numbers are zero.

    References
    ----------
    castro2025.
    """
    forward = Quantizer(FP4_E2M1, PerBlock(32, scale_format=E8M0, rule=ScaleRule.SPREAD))
    drawn = Operand(quantizer=Quantizer(FP4_E2M1, PerBlock(32, scale_format=E8M0), rounding=_SR), factor=4 / 3)
    back = Backward(
        dgrad_gradients=drawn,
        dgrad_weights=drawn,
        wgrad_activations=drawn,
        wgrad_gradients=drawn,
        dgrad_rotation=32,
        wgrad_rotation=32,
        again=Again.YES,
        trust=True,
    )
    found = _recipe(forward, forward, back, exempt)
    return replace(found, weights=_rotated(found.weights, 0), activations=_rotated(found.activations, -1))


def quartet_2(*, exempt: Iterable[str] = ()) -> Recipe:
    """Quartet II: NVFP4 forward, and backward with nearest-even elements and corrected, randomly rounded scales.

    Checked in the authors' code: all four backward operands are made from what the forward pass has rounded, turned by
    32 with fresh signs, scales times 17/16 * 0.93. The choice between two scales for a block ("four over six"), which
    the paper adds to the forward pass, is left out, as in that code.

    References
    ----------
    panferov2026.
    """
    row = Quantizer(FP4_E2M1, TwoLevel(16))
    fair = Operand(quantizer=row, factor=17 / 16 * 0.93, unbiased=True)
    back = Backward(
        dgrad_gradients=fair,
        dgrad_weights=fair,
        wgrad_activations=fair,
        wgrad_gradients=fair,
        dgrad_rotation=32,
        wgrad_rotation=32,
        again=Again.YES,
    )
    return _recipe(row, row, back, exempt)


def _recipe(activations: Quantizer, weights: Quantizer, backward: Backward, exempt: Iterable[str]) -> Recipe:
    scaling = weights.scaling
    if isinstance(scaling, PerBlock | TwoLevel) and scaling.rows == 1:
        weights = replace(weights, scaling=replace(scaling, axis=0))  # along the inputs of a matrix (inputs, outputs)
    left = tuple((pattern, None) for pattern in exempt)
    if not left:
        return Recipe(weights=weights, activations=activations, backward=backward)
    return Recipe(
        weights=PerLayer(default=weights, layers=left),
        activations=PerLayer(default=activations, layers=left),
        backward=backward,
    )


def _rotated(rule: Any, axis: int) -> Any:
    """Every quantizer of a rule turned by 32 along the axis that is summed over."""
    if isinstance(rule, PerLayer):
        return PerLayer(default=_rotated(rule.default, axis), layers=rule.layers)
    return Rotated(rule, 32, axis)
