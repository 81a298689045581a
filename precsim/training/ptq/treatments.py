"""What is done to a trained model: which tensors are quantized, and by which method."""

from __future__ import annotations

from dataclasses import dataclass

from precsim.models.recipes import Learned, PerLayer, Recipe
from precsim.numerics.quantize import Quantizer
from precsim.training.ptq.awq import AWQ
from precsim.training.ptq.fixed_scales import check_fixed
from precsim.training.ptq.gptq import GPTQ


@dataclass(frozen=True, slots=True)
class RTN:
    """Round to nearest: each matrix is quantized by itself; no data needed."""

    @property
    def name(self) -> str:
        """Name in a table of runs."""
        return "rtn"


_RTN = RTN()
Method = RTN | GPTQ | AWQ


@dataclass(frozen=True, slots=True)
class Post:
    """One treatment after training.

    Parameters
    ----------
    recipe : Recipe
        Which tensors are quantized; weights once, activations and KV on their way through the model.
    method : RTN, GPTQ or AWQ
        How the weights are chosen.

    Raises
    ------
    ValueError
        If a field is something else, or a method with data is given no weights to quantize, or a quantizer whose
        scales cannot be fixed before it begins: scales on two levels, zero points, listed values, `Rotated`, `Fitted`.

    Notes
    -----
    A model that was trained with quantized weights *is* those quantized weights: they are what is quantized
    again, so the same quantizer a second time changes nothing.
    """

    recipe: Recipe
    method: Method = _RTN

    def __post_init__(self) -> None:
        if not isinstance(self.recipe, Recipe):
            raise ValueError(f"recipe must be a Recipe, not {self.recipe!r}")
        if not isinstance(self.method, Method):
            raise ValueError(f"method must be RTN(), GPTQ() or AWQ(), not {self.method!r}")
        if self.recipe.weights is None and not isinstance(self.method, RTN):
            raise ValueError(f"{self.method} quantizes weights, but the recipe has weights=None")
        kept = self.recipe.weights
        parts = (kept.default, *(q for _, q in kept.pairs)) if isinstance(kept, PerLayer) else (kept,)
        for part in parts:
            if isinstance(part, Learned):
                raise ValueError("a learned scale is a parameter of training; after it, use Fitted or a Quantizer")
            if part is not None and not isinstance(self.method, RTN):
                check_fixed(part)

    @classmethod
    def of(cls, value: Post | Quantizer) -> Post:
        """A quantizer alone means: round the weights to nearest with it.

        Raises
        ------
        ValueError
            If the value is neither a Post nor a Quantizer.
        """
        if isinstance(value, Post):
            return value
        if isinstance(value, Quantizer):
            return cls(Recipe(weights=value))
        raise ValueError(f"a treatment after training is a Quantizer or a Post, not {value!r}")
