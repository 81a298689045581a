"""Products as the field trains them: six quantizers, two for each of the three products that one matrix takes part in.

    forward   y  = X W      rounds X and W along the inputs
    dgrad     dX = G W^T    rounds G and W along the outputs
    wgrad     dW = X^T G    rounds X and G along the tokens

`Backward` says what a recipe does in the two products of the backward pass; `product` carries out all three with one
custom derivative. All of a recipe's numbers are traced, so that members of a population may follow different recipes.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from precsim.models.operands import Draw, Menu, Numbers, Rounded, rounded
from precsim.models.through_unit import Through, aligned_product, check_unit, codes_of
from precsim.models.transforms import hadamard, turned
from precsim.numerics.binary_format import Format
from precsim.numerics.grid import Family, Grid, family_of
from precsim.numerics.matrix_unit import Chain, MatrixUnit
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import PerBlock, PerChannel, PerTensor, PerToken, Quantizer
from precsim.numerics.two_level import TwoLevel, TwoLevelRule

__all__ = ["Again", "Backward", "Operand", "Plan", "Products", "product"]


_ONE_CHAIN = Chain()  # immutable


class Again(enum.Enum):
    """What an operand of the backward pass is rounded from, where it was rounded in the forward pass already."""

    NO = "from the number before its rounding in the forward pass"
    YES = "from what the forward pass has rounded"

    def __repr__(self) -> str:
        return f"Again.{self.name}"


class Role(enum.IntEnum):
    """The six operands, in the order of their numbers."""

    X = 0  #: activations of the forward product
    W = 1  #: weights of the forward product
    DGRAD_G = 2
    DGRAD_W = 3
    WGRAD_X = 4
    WGRAD_G = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """How one operand is rounded beyond what its `Quantizer` says.

    Parameters
    ----------
    quantizer : Quantizer
        Groups lie along the axis that is summed over: the last one, whatever the operand. Nearest-even or stochastic
        (variant A).
    factor : float
        What every scale is multiplied by: 4/3 after a power of two rounded down leaves nothing clipped.
    unbiased : bool
        Nearest-even, with block scales that are corrected and then rounded at random (MS-EDEN), for `TwoLevel` in a
        rotated product.

    Raises
    ------
    ValueError
        If the quantizer is none that a traced program can carry out, or the parts do not fit together.
    """

    quantizer: Quantizer
    factor: float = 1.0
    unbiased: bool = False

    def __post_init__(self) -> None:
        _check(self.quantizer)
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ValueError(f"factor must be a positive number, not {self.factor!r}")
        nearest = self.quantizer.rounding is Rounding.NEAREST_EVEN
        if self.unbiased and not (nearest and isinstance(self.quantizer.scaling, TwoLevel)):
            raise ValueError(f"unbiased scales are for nearest-even blocks of two levels, not {self.quantizer}")

    @classmethod
    def of(cls, value: Operand | Quantizer) -> Operand:
        """A quantizer alone is an operand that does nothing beyond it.

        Raises
        ------
        ValueError
            If the value is neither.
        """
        if isinstance(value, Operand):
            return value
        if isinstance(value, Quantizer):
            return cls(quantizer=value)
        raise ValueError(f"an operand is rounded by a Quantizer or an Operand, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward:
    """What a recipe does in the backward pass, and to what the products of both passes are turned by.

    Parameters
    ----------
    dgrad_gradients, dgrad_weights : Quantizer, Operand or None
        Of the product that carries gradients back, along the outputs. None: float32.
    wgrad_activations, wgrad_gradients : Quantizer, Operand or None
        Of the product that gives the gradient of the matrix, along the tokens.
    dgrad_rotation, wgrad_rotation : int
        Elements that are turned together, by a Hadamard matrix of this size whose signs are drawn at each step, along
        the axis that is summed over; both operands alike, so that the product does not change. A power of two; 1:
        none. Smaller where an axis is no multiple of it. (The forward pass is turned by `Rotated` quantizers.)
    again : Again
        Whether dgrad's weights and wgrad's activations are rounded a second time, or from the numbers before.
    trust : bool
        Whether the gradient of what the forward pass has clipped is zero.
    unit : MatrixUnit or None
        What adds the terms of all three products: one whose accumulator is E8M13, such as `H100_FP8`; every operand is
        then rounded to a format that it takes, with one scale per tensor. None: float32.
    chain : Chain
        Of the unit's instructions: promotion, without parts.

    Raises
    ------
    ValueError
        If a quantizer is none that a traced program can carry out, a rotation is no power of two, or training cannot
        go through the unit.

    Examples
    --------
    >>> from precsim.numerics import MXFP8
    >>> Backward(dgrad_gradients=MXFP8).dgrad_rotation
    1
    """

    dgrad_gradients: Operand | Quantizer | None = None
    dgrad_weights: Operand | Quantizer | None = None
    wgrad_activations: Operand | Quantizer | None = None
    wgrad_gradients: Operand | Quantizer | None = None
    dgrad_rotation: int = 1
    wgrad_rotation: int = 1
    again: Again = Again.NO
    trust: bool = False
    unit: MatrixUnit | None = None
    chain: Chain = _ONE_CHAIN

    def __post_init__(self) -> None:
        for name in ("dgrad_gradients", "dgrad_weights", "wgrad_activations", "wgrad_gradients"):
            value = getattr(self, name)
            if value is not None:
                Operand.of(value)
        for name in ("dgrad_rotation", "wgrad_rotation"):
            size = getattr(self, name)
            if not isinstance(size, int) or size < 1 or size & (size - 1):
                raise ValueError(f"{name} must be a power of two, or 1 for none, not {size!r}")
        if not isinstance(self.again, Again):
            raise ValueError(f"again must be Again.NO or Again.YES, not {self.again!r}")
        if self.unit is not None:
            check_unit(self.unit, self.chain)


class Carried(NamedTuple):
    """How one product is carried out in all three passes."""

    backward: Backward
    activations: Quantizer | None  # in the forward pass
    weights: Quantizer | None
    rotation: int  # in the forward pass

    @property
    def operands(self) -> tuple[Operand | None, ...]:
        """The six operands, in the order of `Role`."""
        how = self.backward
        back = (how.dgrad_gradients, how.dgrad_weights, how.wgrad_activations, how.wgrad_gradients)
        forward = [q and Operand(quantizer=_along_last(q)) for q in (self.activations, self.weights)]
        return (*forward, *(value and Operand.of(value) for value in back))

    @property
    def rotations(self) -> tuple[int, int, int]:
        """Sizes of the rotations of the three products."""
        return self.rotation, self.backward.dgrad_rotation, self.backward.wgrad_rotation

    def through(self) -> Through | None:
        """How a matrix unit adds the terms of the three products; None without one.

        Raises
        ------
        ValueError
            If an operand does not enter the unit: not rounded with one scale per tensor, to a format that it takes.
        """
        unit = self.backward.unit
        if unit is None:
            return None
        x, w, g, *again = self.operands
        # what is not rounded again is what the forward pass has rounded
        both = (x, w, g, again[0] or w, again[1] or x, again[2])
        fitting = (one.quantizer for one in both if one and isinstance(one.quantizer.scaling, PerTensor))
        found = [fmt for fmt in (one.format for one in fitting) if isinstance(fmt, Format) and fmt in unit.accepts]
        if len(found) != len(Role) or found[3:] != [found[1], found[0], found[2]]:
            raise ValueError(
                f"each operand of a product by {unit.name} is rounded with one scale per tensor to one of "
                f"{', '.join(map(str, unit.accepts))}, to the same in all passes; got {both}"
            )
        return Through(unit, self.backward.chain, *found[:3])


Chosen = dict[str, Carried]  # by the name of the product
_EXACT = Carried(Backward(), None, None, 1)


class Plan(NamedTuple):
    """What a program must know to serve the products of several recipes; hashable."""

    names: tuple[str, ...]  # of the products, in the order of the numbers
    menus: tuple[Menu, ...]  # one for each Role
    rotations: tuple[tuple[int, ...], ...]  # sizes that occur, for each of the three products
    trust: bool
    through: tuple[Through | None, ...]  # in the order of the names


class Products(NamedTuple):
    """Numbers of one member, arrays over (products, roles) or (products, 3); traced."""

    operands: Numbers
    rotation: Any  # int32, which of the plan's sizes
    trust: Any  # bool, (products,)

    def at(self, n: int) -> Products:
        """The numbers of product n."""
        return jax.tree.map(lambda entry: entry[n], self)


def through_of(recipes: Sequence[Chosen], names: Sequence[str]) -> tuple[Through | None, ...]:
    """The matrix unit of each product, the same in all these recipes.

    Raises
    ------
    ValueError
        If two recipes go through different ones, or one through none: they need programs of their own.
    """
    found = {tuple(recipe.get(name, _EXACT).through() for name in names) for recipe in recipes}
    if len(found) != 1:
        raise ValueError("recipes whose products are added by different matrix units need programs of their own")
    return found.pop()


def plan_of(recipes: Sequence[Chosen], names: Sequence[str]) -> Plan:
    """The plan that serves all these recipes' products."""
    every = [carried for recipe in recipes for carried in recipe.values()]
    menus = []
    for role in Role:
        used = [(one, carried) for carried in every if (one := carried.operands[role]) is not None]
        scalings = tuple(sorted({one.quantizer.scaling for one, _ in used}, key=repr))
        stochastic = any(one.quantizer.rounding is Rounding.STOCHASTIC_A for one, _ in used)
        together = max((carried.rotations[role // 2] for one, carried in used if one.unbiased), default=0)
        menus.append(Menu(scalings, stochastic, together))
    sizes = tuple(tuple(sorted({1, *(carried.rotations[k] for carried in every)})) for k in range(3))
    trust = any(carried.backward.trust for carried in every)
    return Plan(tuple(names), tuple(menus), sizes, trust, through_of(recipes, names))


def numbers_of(plan: Plan, recipe: Chosen) -> Products:
    """Numbers of one recipe for a plan; products that it does not round are exact."""
    rows, turns, trust = [], [], []
    for name in plan.names:
        carried = recipe.get(name, _EXACT)
        rows.append(
            [operand_numbers(plan.menus[role], carried.operands[role], carried.backward.again) for role in Role]
        )
        turns.append([np.int32(plan.rotations[k].index(carried.rotations[k])) for k in range(3)])
        trust.append(carried.backward.trust)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(one for row in rows for one in row))
    shaped = jax.tree.map(lambda leaf: leaf.reshape(len(plan.names), len(Role), *leaf.shape[1:]), stacked)
    return Products(shaped, np.array(turns, np.int32), np.array(trust))


def product(plan: Plan, name: str, numbers: Products, x: Array, matrices: list[Array], word: Array) -> Array:
    """Products of x, (tokens, inputs), with matrices (inputs, outputs) side by side: (tokens, all outputs).

    Each matrix is quantized by itself. `numbers` are those of all products of the plan; `word` (uint32) decides what is
    drawn, signs of rotations and roundings.
    """
    n = plan.names.index(name)
    return _product(plan, plan.through[n], numbers.at(n), x, tuple(matrices), word)


def forward_weights(plan: Plan, numbers: Products, matrix: Array) -> Array:
    """A matrix (inputs, outputs) as the forward pass rounds it, turned back."""
    turn = _turner(plan, numbers, 0, matrix.shape[0], None)
    return turn(_operand(plan, numbers, Role.W, turn(matrix.T), jnp.uint32(0)).values).T


def forward_product(plan: Plan, numbers: Products, x: Array, matrices: list[Array]) -> Array:
    """The forward product of x, rounded on its way, with matrices that are rounded already (`forward_weights`)."""
    turn = _turner(plan, numbers, 0, x.shape[1], None)
    return turn(_operand(plan, numbers, Role.X, turn(x), jnp.uint32(0)).values) @ jnp.concatenate(matrices, axis=1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _product(
    plan: Plan, through: Through | None, numbers: Products, x: Array, matrices: tuple[Array, ...], word: Array
) -> Array:
    return _forward(plan, through, numbers, x, matrices, word)[0]


def _forward(
    plan: Plan, through: Through | None, numbers: Products, x: Array, matrices: tuple[Array, ...], word: Array
) -> tuple:
    turn = _turner(plan, numbers, 0, x.shape[1], None)
    seen = turn(x)
    rows = [turn(matrix.T) for matrix in matrices]
    x_round = _operand(plan, numbers, Role.X, seen, word)
    w_round = [_operand(plan, numbers, Role.W, row, word + np.uint32(n)) for n, row in enumerate(rows)]
    values = [one.values for one in w_round]
    if through is None:
        result = x_round.values @ jnp.concatenate(values).T
    else:
        formats = through.activations, through.weights
        each = [_by_unit(through, x_round.values, matrix, *formats) for matrix in values]
        result = jnp.concatenate(each, axis=1)
    return result, (numbers, seen, rows, x_round, w_round, word)


def _backward(plan: Plan, through: Through | None, kept: tuple, slope: Array) -> tuple:
    numbers, seen, rows, x_round, w_round, word = kept
    again = numbers.operands.again
    widths = [row.shape[0] for row in rows]
    signs = word ^ np.uint32(0x51635)
    back = _turner(plan, numbers, 1, math.gcd(*widths), signs)
    along = _turner(plan, numbers, 2, seen.shape[0], signs)

    def source(role: Role, before: Array, after: Rounded) -> Array:
        return jnp.where(again[role], after.values, before)

    gradients = _operand(plan, numbers, Role.DGRAD_G, back(slope), word).values
    weights = [
        _operand(plan, numbers, Role.DGRAD_W, back(source(Role.DGRAD_W, row, one).T), word + np.uint32(n)).values
        for n, (row, one) in enumerate(zip(rows, w_round, strict=True))
    ]
    to_x = _carried_back(through, gradients, weights)
    activations = _operand(plan, numbers, Role.WGRAD_X, along(source(Role.WGRAD_X, seen, x_round).T), word).values
    gradients = _operand(plan, numbers, Role.WGRAD_G, along(slope.T), word).values
    if through is None:
        slopes = gradients @ activations.T
    else:
        slopes = _by_unit(through, gradients, activations, through.gradients, through.activations)
    to_w = jnp.split(slopes, np.cumsum(widths)[:-1])
    if plan.trust:
        to_x = jnp.where(numbers.trust & ~x_round.inside, 0, to_x)
        to_w = [jnp.where(numbers.trust & ~one.inside, 0, part) for one, part in zip(w_round, to_w, strict=True)]
    turn = _turner(plan, numbers, 0, seen.shape[1], None)  # its own inverse
    nothing = jax.tree.map(_no_slope, numbers)
    return nothing, turn(to_x), tuple(turn(part).T for part in to_w), _no_slope(word)


_product.defvjp(_forward, _backward)


def _by_unit(through: Through, a: Array, b: Array, left: Format, right: Format) -> Array:
    """a @ b.T of operands as they were rounded, as the matrix unit adds its terms."""
    (p, s), (q, t) = codes_of(a, left), codes_of(b, right)
    return aligned_product(through.unit, through.chain, p, q.T, left, right) * (s * t)


def _carried_back(through: Through | None, gradients: Array, weights: list[Array]) -> Array:
    """The gradient of a product's input, from (tokens, all outputs) and matrices (inputs, outputs) as rounded.

    Matrices have scales of their own, so that a unit takes them one by one; what it gives is added in float32.
    """
    if through is None:
        return gradients @ jnp.concatenate(weights, axis=1).T
    codes, scale = codes_of(gradients, through.gradients)
    total, start = jnp.zeros((gradients.shape[0], weights[0].shape[0]), jnp.float32), 0
    for matrix in weights:
        part = codes[:, start : start + matrix.shape[1]]
        found, other = codes_of(matrix, through.weights)
        some = aligned_product(through.unit, through.chain, part, found.T, through.gradients, through.weights)
        total, start = total + some * (scale * other), start + matrix.shape[1]
    return total


def _no_slope(leaf: Array) -> Any:
    whole = not jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
    return np.zeros(jnp.shape(leaf), jax.dtypes.float0) if whole else jnp.zeros_like(leaf)


def _operand(plan: Plan, numbers: Products, role: Role, x: Array, word: Array) -> Rounded:
    chosen = jax.tree.map(lambda entry: entry[role], numbers.operands)
    return rounded(plan.menus[role], chosen, x, word * np.uint32(len(Role)) + np.uint32(role))


def _turner(plan: Plan, numbers: Products, which: int, length: int, signs: Array | None) -> Any:
    """Function that turns blocks along the last axis by the member's rotation of this product, which is traced."""
    sizes = plan.rotations[which]
    fitting = [min(size, length & -length) for size in sizes]
    most = max(fitting)
    if most == 1:
        return lambda x: x
    # a member that does not turn takes x as it is, not x times the identity, which some arithmetic would round
    matrices = np.stack([np.kron(np.eye(most // size), hadamard(size)) for size in fitting]).astype(np.float32)
    matrix = jnp.asarray(matrices)[numbers.rotation[which]]
    if signs is not None:
        drawn = jax.random.bits(jax.random.key(signs), (most,), "uint32") >> 31
        flipped = jnp.where(jnp.asarray(numbers.rotation[which]) > 0, drawn, 0)
        matrix = jnp.where(flipped > 0, -1.0, 1.0)[:, None] * matrix
    still = jnp.asarray(fitting)[numbers.rotation[which]] == 1
    return lambda x: jnp.where(still, x, turned(x, matrix, -1))


def operand_numbers(menu: Menu, operand: Operand | None, again: Again) -> Numbers:
    if operand is None:
        # an operand that is not rounded again is what the forward pass has rounded: the rule of plain recipes
        return Numbers(_as_arrays(Grid.off()), np.int32(0), np.int32(Draw.NEAREST), np.float32(1), np.bool_(True))
    quantizer = operand.quantizer
    draw = Draw.STOCHASTIC if quantizer.rounding is Rounding.STOCHASTIC_A else Draw.NEAREST
    assert isinstance(quantizer.format, Format)
    grid = _as_arrays(quantizer.format.grid(saturate=True))
    place = menu.scalings.index(quantizer.scaling)
    how = Draw.EDEN if operand.unbiased else draw
    return Numbers(grid, np.int32(place), np.int32(how), np.float32(operand.factor), np.bool_(again is Again.YES))


def _as_arrays(grid: Grid) -> Grid:
    return jax.tree.map(lambda entry: entry[0], Grid.stack(grid))


def _along_last(quantizer: Quantizer) -> Quantizer:
    """A quantizer of a matrix (inputs, outputs) as one of its transpose: groups along the inputs, now the last axis."""
    scaling = quantizer.scaling
    if isinstance(scaling, PerChannel):
        return replace(quantizer, scaling=PerToken())
    if isinstance(scaling, PerBlock | TwoLevel):
        return replace(quantizer, scaling=replace(scaling, axis=-1))
    return quantizer


def _check(quantizer: Quantizer) -> None:
    """Refuse what a traced operand cannot do."""
    trained = quantizer.rounding in (Rounding.NEAREST_EVEN, Rounding.STOCHASTIC_A)
    if not isinstance(quantizer.format, Format) or not quantizer.symmetric or not trained:
        raise ValueError(
            f"an operand takes a symmetric format, nearest-even or stochastic (variant A), not {quantizer}"
        )
    if family_of(quantizer.format.grid(saturate=True)) is Family.ANY:
        raise ValueError(f"{quantizer.format} is no format whose values lie on a grid of floats")
    scaling = quantizer.scaling
    exact = isinstance(scaling, TwoLevel) and scaling.rule in (TwoLevelRule.EXACT, TwoLevelRule.FOUR_OVER_SIX)
    if (
        exact
        or not isinstance(scaling, PerTensor | PerToken | PerBlock | TwoLevel)
        or getattr(scaling, "axis", -1) != -1
    ):
        raise ValueError(f"an operand's groups lie along its last axis, with scales found from maxima, not {scaling}")
