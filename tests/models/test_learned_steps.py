"""Learned scales: the derivatives of the source by hand, where the steps start, and what training makes of them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.models import MLP, PerLayer, Recipe, Transformer
from precsim.models.learned_steps import LearnedScaling
from precsim.models.recipes import Fitted, Learned, kumar
from precsim.models.rounder import STEPS
from precsim.numerics import FP4_E2M1, INT2, INT3, INT4, INT8, PerBlock, PerChannel, PerTensor, Quantizer
from precsim.numerics.grid import Grid
from precsim.training import SGD, AdamW, Constant, Job, train_model, train_population
from precsim.training.languages import ZipfFacts, Zipfgram
from precsim.training.ptq import Post, damage

CHANNEL = PerChannel(axis=-1)
FACTS = ZipfFacts(vocabulary=8)
BASE = Job(model=MLP(4), language=FACTS, tokens=50 * 64, batch_tokens=64)


def learned(fmt, scaling=CHANNEL) -> Recipe:
    return Recipe(weights=Learned(Quantizer(fmt, scaling)))


@pytest.mark.parametrize("groups", [PerTensor(), CHANNEL])
def test_values_and_derivatives_are_those_of_the_source(groups):
    rng = np.random.default_rng(0)
    w = rng.standard_normal((40, 6)).astype(np.float32)
    up = rng.standard_normal((40, 6)).astype(np.float32)  # derivative that arrives from the loss
    grid, q = INT3.grid(), 3
    step = np.full((1, 1) if groups == PerTensor() else (1, 6), 0.4, np.float32)
    scaling = LearnedScaling(groups)

    def loss(w, t):
        return jnp.sum(up * scaling.round(w, t, grid))

    by_w, by_log = jax.grad(loss, argnums=(0, 1))(jnp.asarray(w), jnp.log(step))
    v = (w / step).astype(np.float64)
    rounded = np.clip(np.round(v), -q, q)
    within = np.abs(v) < q
    axes = (0, 1) if groups == PerTensor() else (0,)
    n = w.size // step.size
    by_step = np.where(within, rounded - v, np.sign(v) * q)  # equation 3 of the source
    expected = (up * by_step).sum(axis=axes, keepdims=True) / np.sqrt(n * q) * step  # d log s = ds / s
    np.testing.assert_allclose(scaling.round(jnp.asarray(w), jnp.log(step), grid), step * rounded, rtol=1e-6)
    np.testing.assert_allclose(by_w, up * within, rtol=1e-6)
    np.testing.assert_allclose(by_log, expected, rtol=1e-4)


def test_steps_start_where_the_source_says_and_never_beyond_the_largest_weight():
    w = jnp.asarray(np.random.default_rng(1).standard_normal((64, 5)), jnp.float32)
    scaling = LearnedScaling(CHANNEL)
    few = np.exp(scaling.start(w, INT2.grid()))
    np.testing.assert_allclose(few, 2 * np.abs(w).mean(0, keepdims=True), rtol=1e-6)
    many = np.exp(scaling.start(w, INT8.grid()))
    np.testing.assert_allclose(many, np.abs(w).max(0, keepdims=True) / 127, rtol=1e-6)
    assert np.exp(scaling.start(jnp.zeros((4, 2)), INT3.grid())).tolist() == [[1.0, 1.0]]


def test_an_unrounded_member_of_a_population_is_left_alone():
    scaling, w = LearnedScaling(CHANNEL), jnp.ones((3, 2))
    t = scaling.start(w, Grid.off())
    value, slopes = jax.value_and_grad(lambda w, t: scaling.round(w, t, Grid.off()).sum(), argnums=(0, 1))(w, t)
    assert value == 6
    assert np.array_equal(slopes[0], w)
    assert np.array_equal(slopes[1], jnp.zeros_like(t))


def test_the_trained_weights_lie_on_the_grid_of_trained_steps():
    job = Job(model=MLP(8), language=FACTS, tokens=40_000, recipe=learned(INT3))
    trained = train_model(job)
    steps = np.exp(trained.params[STEPS]["block0.up"])
    start = np.exp(LearnedScaling(CHANNEL).start(_start(job)["blocks"][0]["up"], INT3.grid()))
    assert steps.shape == (1, 32)
    assert np.abs(np.log(steps / start)).max() > 0.05  # they moved
    w = np.asarray(trained.params["blocks"][0]["up"])
    again = damage(job.model, trained.params, FACTS, (), recipe=job.recipe)
    by_hand = jax.tree.map(lambda w: w, trained.params)
    del by_hand[STEPS]
    for block, name in ((b, n) for b in range(2) for n in ("up", "down")):
        s = np.exp(trained.params[STEPS][f"block{block}.{name}"])
        w = np.asarray(trained.params["blocks"][block][name])
        by_hand["blocks"][block][name] = jnp.asarray(s * np.clip(np.round(w / s), -3, 3))
    (exact,) = damage(job.model, by_hand, FACTS, ())
    assert again[0].gap == pytest.approx(exact.gap, rel=1e-5)
    assert trained.run.gap == pytest.approx(exact.gap, rel=1e-5)


def _start(job: Job):
    """Weights that training starts from: those of a run whose learning rate is next to nothing."""
    tiny = Job(model=job.model, language=job.language, tokens=1, learning_rate=1e-30, seed=job.seed)
    return train_model(tiny).params


@pytest.mark.slow
def test_members_of_different_bits_share_a_program_and_agree_with_single_runs():
    jobs = [
        Job(model=MLP(4), language=FACTS, tokens=3200, batch_tokens=64, recipe=r)
        for r in (learned(INT2), learned(INT4), Recipe())
    ]
    together = {each.job.key: each for each in train_population(jobs)}
    for job in jobs:
        alone, member = train_model(job).params, together[job.key].params
        for a, b in zip(jax.tree.leaves(alone["blocks"]), jax.tree.leaves(member["blocks"]), strict=True):
            assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(a)


def test_weight_decay_leaves_the_steps_alone():
    params = {"w": jnp.ones(3), STEPS: {"a": jnp.full(2, -3.0)}}
    zeros = jax.tree.map(jnp.zeros_like, params)
    for optimizer in (AdamW(), SGD()):
        new, _ = optimizer.update(params, optimizer.start(params), zeros, 0.1, {"w": 0.5, STEPS: 0.0}, jnp.int32(0))
        np.testing.assert_allclose(new["w"], 0.95)
        assert np.array_equal(new[STEPS]["a"], params[STEPS]["a"])


@pytest.mark.slow
def test_at_two_bits_learned_scales_beat_the_largest_weight():
    """With absmax, 2 bits leave most weights zero; a step of its own choosing does not."""
    language = Zipfgram(order=2, vocabulary=16)
    losses = {}
    for name, recipe in (("learned", learned(INT2)), ("absmax", kumar(weights=INT2))):
        job = Job(model=MLP(16), language=language, tokens=200_000, recipe=recipe)
        losses[name] = train_model(job).run.gap
    assert losses["learned"] < losses["absmax"]


@pytest.mark.slow
def test_a_transformer_trains_with_learned_scales_and_can_be_quantized_again():
    four = Quantizer(INT4, CHANNEL)
    layers = PerLayer(default=Learned(four), layers={"block0.*": Learned(Quantizer(INT8, PerTensor())), "head": None})
    model = Transformer(16, window=32)
    job = Job(
        model=model,
        language=Zipfgram(vocabulary=16),
        tokens=20_000,
        recipe=Recipe(weights=layers),
        post=(Quantizer(INT2, CHANNEL),),
    )
    trained = train_model(job)
    assert not trained.run.diverged
    assert trained.params[STEPS]["block0.key"].shape == (1, 1)
    assert trained.params[STEPS]["block1.key"].shape == (1, 16)
    assert trained.run.evaluations[1].delta > 0


def test_weights_of_another_recipe_are_refused():
    params = MLP(4).init(jax.random.key(0), 8, 2)
    with pytest.raises(ValueError, match=r"no learned step for block0\.down: .* another recipe"):
        damage(MLP(4), params, FACTS, (), recipe=learned(INT3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Learned(Quantizer(FP4_E2M1, CHANNEL)), "takes integers"),
        (lambda: Learned(Quantizer(INT4, PerBlock(32))), "one step for a tensor or a channel"),
        (lambda: Learned(Quantizer(INT4, CHANNEL, symmetric=False)), "symmetric Quantizer"),
        (lambda: Learned(Fitted(Quantizer(INT4, CHANNEL))), "symmetric Quantizer"),
        (lambda: Recipe(activations=Learned(Quantizer(INT4))), "activations must be a Quantizer"),
        (lambda: Recipe(kv=PerLayer(default=Learned(Quantizer(INT4)))), "kv must be made of"),
        (lambda: Post(learned(INT4)), "parameter of training"),
        (lambda: Post(Recipe(weights=PerLayer(default=Learned(Quantizer(INT4))))), "parameter of training"),
    ],
)
def test_what_cannot_be_learned_is_refused(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


def test_a_job_with_constant_rate_zero_keeps_its_steps():
    job = Job(model=MLP(4), language=FACTS, tokens=640, recipe=learned(INT3), schedule=Constant(), learning_rate=1e-30)
    steps = train_model(job).params[STEPS]
    start = LearnedScaling(CHANNEL).start(_start(job)["blocks"][1]["down"], INT3.grid())
    np.testing.assert_allclose(steps["block1.down"], start, rtol=1e-6)
