"""Operands and products of training recipes against the exact quantizers of `numerics`, carried out by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.models import Kind, Transformer
from precsim.models import training_recipes as recipes
from precsim.models.operands import Menu, position_bits, rounded
from precsim.models.products import (
    Again,
    Backward,
    Operand,
    numbers_of,
    operand_numbers,
    plan_of,
    product,
)
from precsim.models.recipes import PerLayer, Recipe
from precsim.models.transforms import hadamard
from precsim.numerics import FP4_E2M1, FP8_E4M3, FP8_E5M2, INT4, NVFP4
from precsim.numerics.formats import E8M0
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import PerBlock, PerTensor, PerToken, Quantizer, ScaleRule
from precsim.numerics.two_level import TwoLevel

RNG = np.random.default_rng(0)
SR = Rounding.STOCHASTIC_A
SCALINGS = (
    PerTensor(),
    PerToken(),
    PerBlock(32, scale_format=E8M0),
    PerBlock(32, scale_format=E8M0, rule=ScaleRule.RCEIL),
    PerBlock(128, rows=128),
    TwoLevel(16),
    TwoLevel(16, rows=16),
)


def heavy(*shape):
    """Numbers of very unequal size, so that every block has another scale and elements reach every binade."""
    return (RNG.standard_normal(shape) * np.exp(2 * RNG.standard_normal(shape))).astype(np.float32)


def test_one_program_rounds_by_every_format_scaling_and_mode_as_the_quantizers_do_in_every_bit():
    menu, word, x = Menu(SCALINGS, stochastic=True, eden=0), jnp.uint32(7), heavy(48, 96)
    one = jax.jit(lambda numbers, x: rounded(menu, numbers, x, word).values)
    noise = np.asarray(position_bits(word, x.shape))
    for fmt in (FP4_E2M1, FP8_E4M3, FP8_E5M2, INT4):
        for scaling in SCALINGS:
            for mode in (Rounding.NEAREST_EVEN, SR):
                q = Quantizer(fmt, scaling, rounding=mode)
                found = one(operand_numbers(menu, Operand(quantizer=q), Again.NO), x)
                expected = q(x) if mode is not SR else q(x, noise=noise)
                np.testing.assert_array_equal(found, expected, err_msg=f"{fmt} {scaling} {mode}")
    exact = one(operand_numbers(menu, None, Again.NO), x)
    np.testing.assert_array_equal(exact, x)


def test_square_tiles_share_the_scale_of_their_largest_element_and_their_transpose_is_quantized_alike():
    x, q = heavy(130, 200), Quantizer(FP8_E4M3, PerBlock(128, rows=128))
    expected = np.empty_like(x)
    for rows in (slice(0, 128), slice(128, 130)):
        for columns in (slice(0, 128), slice(128, 200)):
            expected[rows, columns] = Quantizer(FP8_E4M3, PerTensor())(x[rows, columns])
    np.testing.assert_array_equal(q(x), expected)
    np.testing.assert_array_equal(q(x.T), expected.T)
    stored = q.encode(x)
    assert stored.scales.size == 4
    np.testing.assert_array_equal(stored.decode(), expected)


def test_a_scale_by_spread_is_the_power_of_two_below_quartets_constant_times_the_deviation():
    x = heavy(4, 32)
    for row, result in zip(
        x, Quantizer(FP4_E2M1, PerBlock(32, scale_format=E8M0, rule=ScaleRule.SPREAD))(x), strict=True
    ):
        scale = 2.0 ** np.floor(np.log2(2.92247856 / 6 * row.astype(float).std()))
        nearest = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
        places = np.abs(np.abs(row)[:, None] / scale - nearest).argmin(1)
        np.testing.assert_allclose(result, np.sign(row) * nearest[places] * scale, rtol=1e-6)


def test_corrected_scales_make_a_turned_operand_right_on_average_where_nearest_even_is_not():
    """In a random basis the mean over bases of x . Q(x) is |x|^2; rounding to nearest alone falls short."""
    q = Operand(quantizer=Quantizer(FP4_E2M1, TwoLevel(16)), factor=17 / 16 * 0.93, unbiased=True)
    plain = Operand(quantizer=q.quantizer, factor=q.factor)
    menu = Menu((TwoLevel(16),), stochastic=False, eden=32)
    x = heavy(1, 64)
    signs = RNG.choice([-1.0, 1.0], (2000, 2, 32)).astype(np.float32)
    turned = ((x.reshape(1, 2, 32) * signs) @ hadamard(32)).reshape(2000, 64)
    share = {}
    for name, operand in (("fair", q), ("nearest", plain)):
        numbers = operand_numbers(menu, operand, Again.NO)
        each = jax.jit(lambda x, word, numbers=numbers: rounded(menu, numbers, x[None], word).values[0])
        values = np.asarray(jax.vmap(each)(turned, jnp.arange(2000, dtype=jnp.uint32)))
        back = (values.reshape(2000, 2, 32) @ hadamard(32)) * signs
        share[name] = (back.reshape(2000, 64).mean(0) @ x[0]) / (x[0] @ x[0])
    assert abs(share["fair"] - 1) < 0.002
    assert abs(share["nearest"] - 1) > 0.005


ALL = {
    "per tensor": recipes.fp8_per_tensor(),
    "blocks": recipes.fp8_blocks(),
    "mxfp8": recipes.mxfp8(),
    "mxfp4": recipes.mxfp4(),
    "nvfp4": recipes.nvfp4(),
    "quartet": recipes.quartet(),
    "forward only": replace(recipes.mxfp8(), backward=Backward()),
}
TOKENS, INPUTS, OUTPUTS = 64, 32, (32, 64)


def at_random(y, noise):
    """E2M1 by stochastic rounding, variant A, from its list of values."""
    values, size = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6]), np.minimum(np.abs(y).astype(np.float64), 6)
    low = np.minimum(np.searchsorted(values, size, side="right") - 1, 6)
    passed = np.floor((size - values[low]) / (values[low + 1] - values[low]) * 2**24)
    return (np.sign(y) * np.where(passed + (noise >> 8) >= 2**24, values[low + 1], values[low])).astype(np.float32)


def by_hand(carried, x, matrices, slope, word, most):
    """Forward product and both gradients, operand by operand, with `Quantizer` on NumPy arrays.

    Signs are drawn for the largest rotation of the program, `most` at once.
    """
    signs = np.asarray(jax.random.bits(jax.random.key(np.uint32(word) ^ np.uint32(0x51635)), (most,), "uint32") >> 31)

    def turn(x, size, fresh):
        if size == 1:
            return x
        flips = np.where(signs > 0, -1.0, 1.0) if fresh else np.ones(most)
        matrix = flips[:, None] * np.kron(np.eye(most // size), hadamard(size))
        return (x.reshape(*x.shape[:-1], -1, most) @ matrix).reshape(x.shape).astype(np.float32)

    def q(role, x, n=0):
        operand = carried.operands[role]
        if operand is None:
            return x
        quantizer, given = operand.quantizer, (int(word) + n) * 6 + role
        noise = np.asarray(position_bits(jnp.uint32(given % 2**32), x.shape)) if quantizer.rounding is SR else None
        if operand.factor == 1:
            return quantizer(x, noise=noise) if noise is not None else quantizer(x)
        view, axes = quantizer.scaling.grouped(np, x)
        scale = quantizer.scaling.scale(np, view, axes, quantizer.format.grid())
        steps = quantizer.scaling.ungrouped(np, np.broadcast_to(scale, view.shape), x.shape) * np.float32(
            operand.factor
        )
        return at_random(x / steps, noise) * steps

    how, (forward, dgrad, wgrad) = carried.backward, carried.rotations
    seen, rows = turn(x, forward, False), [turn(w.T, forward, False) for w in matrices]
    x_round, w_round = q(0, seen), [q(1, row, n) for n, row in enumerate(rows)]
    again = how.again is Again.YES
    y = x_round @ np.concatenate(w_round).T
    source = [one if again or carried.operands[3] is None else row for one, row in zip(w_round, rows, strict=True)]
    weights = np.concatenate([q(3, turn(w.T, dgrad, True), n) for n, w in enumerate(source)], axis=1)
    to_x = q(2, turn(slope, dgrad, True)) @ weights.T
    source = x_round if again or carried.operands[4] is None else seen
    to_w = q(5, turn(slope.T.copy(), wgrad, True)) @ q(4, turn(source.T.copy(), wgrad, True)).T
    to_w = np.split(to_w, np.cumsum([len(row) for row in rows])[:-1])
    if how.trust:
        inside = [carried.operands[role].quantizer for role in (0, 1)]
        to_x = to_x * within(inside[0], seen)
        to_w = [part * within(inside[1], row) for part, row in zip(to_w, rows, strict=True)]
    return y, turn(to_x, forward, False), [turn(part, forward, False).T for part in to_w]


def within(quantizer, x):
    view, axes = quantizer.scaling.grouped(np, x)
    scale = quantizer.scaling.scale(np, view, axes, quantizer.format.grid())
    return quantizer.scaling.ungrouped(np, np.abs(view / scale) <= quantizer.format.maximum, x.shape)


def chosen(recipe):
    """How the product of queries, keys and values goes, under the name of it alone."""
    carried = recipe.products(Transformer(32, layers=1))["block0.attention"]
    return {"p": carried}


@pytest.mark.parametrize("names", [("nvfp4",), pytest.param(tuple(ALL), marks=pytest.mark.slow)], ids=["one", "all"])
def test_six_quantizers_of_every_recipe_against_products_by_hand(names):
    """One compiled program for all recipes; values and gradients equal those of the quantizers applied one by one."""
    plan = plan_of([chosen(ALL[name]) for name in names], ["p"])
    size = max(map(max, plan.rotations))
    x, slope = heavy(TOKENS, INPUTS), heavy(TOKENS, sum(OUTPUTS))
    matrices = [heavy(INPUTS, outputs) for outputs in OUTPUTS]
    word = jnp.uint32(12345)

    @jax.jit
    def run(numbers, x, matrices, slope):
        with jax.default_matmul_precision("highest"):
            y, back = jax.vjp(lambda x, matrices: product(plan, "p", numbers, x, matrices, word), x, matrices)
            return y, back(slope)

    for name in names:
        recipe = ALL[name]
        found, (to_x, to_w) = run(numbers_of(plan, chosen(recipe)), x, matrices, slope)
        y, by_x, by_w = by_hand(chosen(recipe)["p"], x, matrices, slope, word, size)
        for ours, theirs in ((found, y), (to_x, by_x), *zip(to_w, by_w, strict=True)):
            wrong = np.abs(ours - theirs) > 1e-4 * np.abs(theirs).max()
            assert wrong.mean() < 0.002, (name, wrong.mean())


def test_a_product_that_no_recipe_rounds_is_exact_forward_and_back():
    plan = plan_of([chosen(recipes.nvfp4())], ["p"])
    x, w, slope = heavy(TOKENS, INPUTS), heavy(INPUTS, 32), heavy(TOKENS, 32)

    @jax.jit
    def run(numbers, x, w, slope):
        y, back = jax.vjp(lambda x, w: product(plan, "p", numbers, x, [w], jnp.uint32(1)), x, w)
        return y, *back(slope)

    y, to_x, to_w = run(numbers_of(plan, {}), x, w, slope)
    for ours, exact in ((y, x @ w), (to_x, slope @ w.T), (to_w, x.T @ slope)):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_exempt_layers_are_left_out_of_all_three_products():
    model = Transformer(32)
    names = recipes.nvfp4(exempt=("block1.*",)).products(model)
    assert sorted(names) == [f"block0.{part}" for part in ("attention", "down", "out", "up")]
    assert set(recipes.nvfp4().products(model)) == set(model.sites[Kind.ACTIVATIONS]) - {"head"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Backward(dgrad_rotation=3), "power of two.*3"),
        (lambda: Backward(dgrad_gradients=FP4_E2M1), "Quantizer or an Operand"),
        (lambda: Backward(again=True), "Again.NO or Again.YES, not True"),
        (lambda: Operand(quantizer=NVFP4, factor=0.0), "positive.*0.0"),
        (lambda: Operand(quantizer=Quantizer(FP4_E2M1), unbiased=True), "two levels"),
        (lambda: Operand(quantizer=Quantizer(FP4_E2M1, PerBlock(32, axis=0))), "last axis"),
        (lambda: Operand(quantizer=Quantizer(INT4, symmetric=False)), "symmetric format"),
        (lambda: Recipe(backward=Kind.KV), "Backward or None"),
        (lambda: Recipe(backward=Backward(), gradients=NVFP4), "go with backward"),
        (
            lambda: Recipe(weights=PerLayer(default=NVFP4, layers={"block0.key": None}), backward=Backward()).products(
                Transformer(32)
            ),
            "block0.query.*rounded alike",
        ),
    ],
)
def test_refuses_what_cannot_be_traced(make, words):
    with pytest.raises(ValueError, match=words):
        make()
