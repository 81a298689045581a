"""Training: one compile for all members, same bits twice, members against single runs, and the parts by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.models import MLP, Transformer
from precsim.models.recipes import Stored, everywhere, kumar, per_token, quest, unscaled
from precsim.models.rounder import _accumulated
from precsim.numerics import (
    BF16,
    FP8_E4M3,
    FP8_E5M2,
    FP16,
    FP32,
    INT2,
    INT3,
    INT4,
    INT8,
    MXFP4,
    NF4,
    NVFP4,
    Accumulator,
    Order,
    PerBlock,
    PerChannel,
    PerTensor,
    PerToken,
    Quantizer,
    Rounding,
)
from precsim.numerics.arithmetic import matmul
from precsim.training import (
    SGD,
    AdamW,
    Constant,
    Cosine,
    Job,
    Linear,
    PerLayer,
    Recipe,
    Warmup,
    WarmupStableDecay,
    train,
    train_model,
    train_population,
)
from precsim.training.languages import ZipfFacts, Zipfgram

FACTS = ZipfFacts(vocabulary=8)
Q2, Q3, Q4, Q8 = (Quantizer(fmt, PerChannel()) for fmt in (INT2, INT3, INT4, INT8))
BASE = Job(model=MLP(4), language=FACTS, tokens=50 * 64, batch_tokens=64)


@pytest.fixture
def compiles():
    """Names of the programs compiled while the test runs, as JAX itself reports them, whatever ran before it."""
    jax.clear_caches()
    names = []

    def listen(event, duration, **details):
        if event.endswith("backend_compile_duration"):
            names.append(details.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def leaves(params):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]


def same_bits(a, b):
    return all(np.array_equal(x.view(np.uint32), y.view(np.uint32)) for x, y in zip(leaves(a), leaves(b), strict=True))


def variants(**changes):
    recipes = [Recipe(), Recipe(weights=Q2), Recipe(weights=Q3), Recipe(weights=Q8)]
    jobs = [dataclasses.replace(BASE, recipe=recipe, **changes) for recipe in recipes]
    return [*jobs, dataclasses.replace(jobs[0], seed=5), dataclasses.replace(jobs[1], learning_rate=0.01)]


def test_one_compile_serves_all_bits_seeds_rates_and_budgets(compiles):
    list(train_population(variants(post=(Q2, Q3))))
    assert compiles  # the counter counts
    compiles.clear()
    other = [dataclasses.replace(job, recipe=Recipe(weights=Q4), tokens=6400, post=(Q4, Q8)) for job in variants()]
    list(train_population([*variants(post=(Q2, Q8))[:1], *other[1:]]))
    list(train_population(variants(seed=9, weight_decay=0.1, tokens=640, post=(Q8, Q2))))
    assert not compiles


def test_same_job_twice_gives_the_same_bits():
    job = dataclasses.replace(BASE, recipe=Recipe(weights=Q3))
    first, second = train_model(job), train_model(job)
    assert same_bits(first.params, second.params)
    assert dataclasses.replace(first.run, seconds=0.0) == dataclasses.replace(second.run, seconds=0.0)


MANY = [
    variants(),
    [
        dataclasses.replace(job, model=Transformer(16, layers=1, window=16), language=Zipfgram(order=1, vocabulary=8))
        for job in variants()[:3:2]
    ],
]


@pytest.mark.parametrize("jobs", [MANY[0], pytest.param(MANY[1], marks=pytest.mark.slow)], ids=["mlp", "transformer"])
def test_member_of_a_population_equals_the_single_run_over_50_steps(jobs):
    for trained in train_population(jobs):
        alone = train_model(trained.job)
        a, b = (np.concatenate([leaf.ravel() for leaf in leaves(t.params)]) for t in (trained, alone))
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)
        assert trained.run.loss == pytest.approx(alone.run.loss, rel=1e-5)


def test_members_do_not_see_each_other_nor_the_place_they_are_in():
    jobs = variants()
    jobs[2] = dataclasses.replace(jobs[2], tokens=640)
    full = {t.job.key: t.params for t in train_population(jobs, members=6)}
    few = {t.job.key: t.params for t in train_population(jobs[::-1], members=2)}
    refilled = {t.job.key: t.params for t in train_population(jobs[1:], members=2, together=jobs)}
    assert len(full) == len(few) == 6
    assert all(same_bits(few[key], refilled[key]) for key in refilled)


def test_no_quantizer_and_a_wide_enough_grid_agree_in_every_bit():
    plain, low = dataclasses.replace(BASE, seed=1), dataclasses.replace(BASE, recipe=Recipe(weights=Q2))
    (alone, _) = train_population([plain, plain])
    (beside,) = [t for t in train_population([plain, low]) if t.job == plain]
    # the second program rounds weights for its neighbour: an unrounded member must not notice
    for a, b in zip(leaves(alone.params), leaves(beside.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_fewer_bits_are_seen_in_training():
    gaps = [train(dataclasses.replace(BASE, tokens=64_000, recipe=Recipe(weights=q))).gap for q in (None, Q8, Q3, Q2)]
    assert gaps[0] == pytest.approx(gaps[1], rel=0.1)
    assert gaps[1] < gaps[2] < gaps[3]


@pytest.mark.slow
def test_training_learns_what_can_be_learned():
    language = Zipfgram(order=1, vocabulary=8)
    run = train(Job(model=MLP(16), language=language, tokens=400_000, batch_tokens=256))
    assert 0 <= run.gap < 0.005  # a width-16 network can hold 8 rows of 8 probabilities
    assert run.loss == pytest.approx(run.entropy + run.gap)


def test_divergence_is_a_recorded_outcome_and_harms_no_neighbour():
    wild = dataclasses.replace(BASE, optimizer=SGD(clip=1e30), learning_rate=1e12)
    calm = dataclasses.replace(wild, learning_rate=1e-3)
    runs = {t.job.rate: t.run for t in train_population([wild, calm])}
    assert runs[1e12].diverged
    assert not runs[1e-3].diverged
    assert math.isfinite(runs[1e-3].loss)


@pytest.mark.slow
def test_activations_kv_blocks_floats_and_stochastic_rounding_train():
    recipe = Recipe(
        weights=Quantizer(FP8_E4M3, PerBlock(8, axis=0)),
        activations=Quantizer(INT8, PerToken(), Rounding.STOCHASTIC_A),
        kv=Quantizer(INT4, PerToken()),
    )
    job = Job(
        model=Transformer(16, layers=1, window=16),
        language=Zipfgram(order=1, vocabulary=8),
        tokens=30_000,
        batch_tokens=256,
        recipe=recipe,
    )
    run, plain = (t.run for t in train_population([job, dataclasses.replace(job, recipe=Recipe())]))
    assert run.activations == 8
    assert run.kv == 4
    assert run.kv_format == "INT4"
    assert run.gap == pytest.approx(plain.gap, rel=0.3)
    assert run.gap != plain.gap


@pytest.mark.slow
def test_named_recipes_and_block_formats_train():
    recipes = [kumar(weights=INT4, activations=INT8), per_token(weights=INT4, activations=INT8)]
    recipes += [everywhere(MXFP4), everywhere(NVFP4), everywhere(NF4), quest(weights=INT4, activations=INT4)]
    assert recipes[2].weights.scaling.axis == recipes[3].weights.scaling.axis == 0
    jobs = [dataclasses.replace(BASE, model=MLP(8), tokens=12_800, recipe=recipe) for recipe in (Recipe(), *recipes)]
    plain, *low = [train(job) for job in jobs]
    assert len({run.gap for run in low}) == len(recipes)
    for run in low:
        assert 0.9 * plain.gap < run.gap < 2 * plain.gap


@pytest.mark.slow
def test_bits_per_layer():
    layered = PerLayer(default=Q8, layers={"block0.*": Q2, "head": Q8})
    recipe = Recipe(weights=layered)
    formats = {name: q.format for (_, name), q in recipe.sites(MLP(4)).items()}
    assert formats == dict.fromkeys(("block0.up", "block0.down"), INT2) | dict.fromkeys(
        ("block1.up", "block1.down", "head"), INT8
    )
    run = train(dataclasses.replace(BASE, recipe=recipe))
    assert (run.weights, run.weights_format) == (5.0, "mixed")
    with pytest.raises(ValueError, match=r"block7.*names none of the weights"):
        dataclasses.replace(BASE, recipe=Recipe(weights=PerLayer(layers={"block7.*": Q2})))


def test_looks_on_the_way_do_not_change_the_run():
    watched = dataclasses.replace(BASE, looks=(640, 1280), post=(Q3,))
    run, plain = train(watched), train(dataclasses.replace(BASE, post=(Q3,)))
    assert [(e.step, e.post) for e in run.evaluations] == [
        (step, bits) for step in (10, 20, 50) for bits in (math.inf, 3.0)
    ]
    assert run.loss == plain.loss
    assert run.evaluations[0].weight_rms < run.evaluations[4].weight_rms
    early = train(dataclasses.replace(BASE, tokens=1280, schedule=Constant()))
    late = train(dataclasses.replace(BASE, looks=(1280,), schedule=Constant(warmup=Warmup(share=0.04))))
    assert late.evaluations[0].loss == pytest.approx(early.loss, rel=1e-6)  # both warm up for 2 steps


def test_adamw_against_a_numpy_implementation():
    rng = np.random.default_rng(0)
    w, m, v = rng.normal(size=7), np.zeros(7), np.zeros(7)
    params, state = jnp.asarray(w, jnp.float32), AdamW().start(jnp.zeros(7))
    for t in range(1, 30):
        g = rng.normal(size=7) * 10 ** rng.uniform(-2, 1)
        params, state = AdamW().update(params, state, jnp.asarray(g, jnp.float32), 0.01, 0.1, jnp.int32(t - 1))
        g = g * min(1, 1 / np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g**2
        w = w - 0.01 * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.1 * w)
    np.testing.assert_allclose(params, w, rtol=2e-5, atol=1e-6)


def test_sgd_with_momentum_against_its_closed_form():
    params, state = jnp.float32(1.0), SGD().start(jnp.float32(1.0))
    for t in range(10):
        params, state = SGD(momentum=0.5, clip=9).update(params, state, jnp.float32(1.0), 0.1, 0.0, jnp.int32(t))
    # after t steps of gradient 1: 0.1 sum_s (1 - 0.5^s) / 0.5
    assert float(params) == pytest.approx(1 - 0.1 * sum((1 - 0.5**s) / 0.5 for s in range(1, 11)), rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Cosine(), {0: 1 / 100, 99: 1.0, 999: 0.05, 549: 0.05 + 0.95 / 2}),
        (Linear(), {0: 1 / 100, 549: 0.5, 999: 0.0}),
        (Constant(), {0: 1 / 100, 50: 0.51, 999: 1.0}),
        (WarmupStableDecay(), {0: 1 / 100, 500: 1.0, 899: 0.5, 999: 0.0}),
        (Cosine(warmup=Warmup(most=10)), {0: 0.1, 9: 1.0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_schedules_at_chosen_steps_of_1000(schedule, points):
    for step, expected in points.items():
        assert float(schedule.factor(jnp.float32(step), jnp.float32(1000))) == pytest.approx(expected, abs=1e-6)


def test_key_is_a_function_of_what_decides_the_weights():
    assert BASE.key == dataclasses.replace(BASE).key == dataclasses.replace(BASE, holdout=True).key
    assert BASE.key == dataclasses.replace(BASE, learning_rate=BASE.rate).key  # the default, written out
    fields = {
        "model": MLP(5),
        "language": ZipfFacts(vocabulary=8, seed=1),
        "tokens": 64,
        "recipe": Recipe(weights=Q2),
        "seed": 1,
        "learning_rate": 0.5,
        "weight_decay": 0.1,
        "schedule": Linear(),
        "optimizer": SGD(),
        "batch_tokens": 32,
        "post": (Q2,),
        "looks": (64,),
    }
    keys = {dataclasses.replace(BASE, **{name: value}).key for name, value in fields.items()}
    assert len(keys | {BASE.key}) == len(fields) + 1


def test_grid_takes_every_combination():
    jobs = Job.grid(model=[MLP(4), MLP(8)], language=FACTS, tokens=[10**3, 10**4], seed=range(3), post=(Q2, Q3))
    assert len({job.key for job in jobs}) == 12
    assert all(len(job.post) == 2 for job in jobs)
    with pytest.raises(ValueError, match="no field 'token'"):
        Job.grid(model=MLP(4), language=FACTS, token=1)
    with pytest.raises(ValueError, match="seed is empty"):
        Job.grid(model=MLP(4), language=FACTS, tokens=1, seed=[])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tokens": 0}, "positive.*0"),
        ({"tokens": 1.5}, "integer.*1.5"),
        ({"seed": -1}, "seed.*-1"),
        ({"seed": 2**32}, "seed"),
        ({"learning_rate": math.nan}, "learning_rate.*nan"),
        ({"weight_decay": -1.0}, "weight_decay.*-1"),
        ({"model": "mlp"}, "MLP or Transformer, not 'mlp'"),
        ({"language": "english"}, "Zipfgram or ZipfFacts"),
        ({"recipe": INT4}, "Recipe"),
        ({"schedule": "cosine"}, "Cosine"),
        ({"post": ("int4",)}, "Quantizer or a Post.*int4"),
        ({"looks": (10**9,)}, "looks"),
        ({"model": Transformer(16)}, "sequences"),
        ({"model": Transformer(16), "language": Zipfgram(order=1), "batch_tokens": 100}, "multiple of the window"),
        ({"model": Transformer(16, window=8), "language": Zipfgram(order=1)}, "window 8 is too short"),
        ({"post": (Quantizer(INT4, PerTensor(), Rounding.TOWARD_ZERO),)}, "nearest-even or stochastically"),
    ],
)
def test_impossible_jobs_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(BASE, **fields)


def test_impossible_recipes_are_refused():
    with pytest.raises(ValueError, match=r"weights must be a Quantizer.*INT4"):
        Recipe(weights=INT4)
    with pytest.raises(ValueError, match="no kv to quantize"):
        dataclasses.replace(BASE, recipe=Recipe(kv=Q4))
    two_scalings = [dataclasses.replace(BASE, recipe=Recipe(weights=q)) for q in (Q4, Quantizer(INT4, PerTensor()))]
    with pytest.raises(ValueError, match="is rounded as"):
        list(train_population(two_scalings))
    with pytest.raises(ValueError, match="same model"):
        list(train_population([BASE, dataclasses.replace(BASE, model=MLP(5))]))


@pytest.mark.slow
def test_bfloat16_activations_with_a_scale_ended_in_nan():
    job = dataclasses.replace(BASE, model=MLP(8), tokens=6_400)
    plain = train(job).gap
    for recipe in (kumar(activations=BF16), unscaled(weights=BF16, activations=BF16)):
        assert train(dataclasses.replace(job, recipe=recipe)).gap == pytest.approx(plain, rel=0.1)


@pytest.mark.slow
def test_gradients_accumulators_master_weights_and_averages_train():
    job = dataclasses.replace(BASE, model=MLP(8), tokens=12_800)
    plain = train(job)
    recipes = [
        Recipe(gradients=Quantizer(INT4, PerToken(), Rounding.STOCHASTIC_A)),
        Recipe(accumulator=Accumulator(FP16, Order.BLOCKED, 4, FP32)),
        Recipe(master=Stored(FP8_E4M3)),
    ]
    for recipe, kind in zip(recipes, ("gradients", "accumulator", "master"), strict=True):
        trained = train_model(dataclasses.replace(job, recipe=recipe))
        assert getattr(trained.run, kind) < 32
        assert trained.run.gap == pytest.approx(plain.gap, rel=0.25)
        assert trained.run.gap != plain.gap
    kept = np.asarray(trained.params["blocks"][0]["up"])
    assert np.isin(kept, FP8_E4M3.values().astype(np.float32)).all()  # the optimizer keeps what the format holds
    last = dataclasses.replace(job, average=1e-9)  # an average that forgets at once is the last weights
    assert train(last).gap == pytest.approx(plain.gap, rel=1e-4)
    assert train(dataclasses.replace(job, average=0.9)).gap < 1.1 * plain.gap


def test_limited_accumulator_equals_the_arithmetic_of_the_package(rng):
    a, b = rng.integers(-8, 9, size=(5, 16)), rng.integers(-8, 9, size=(16, 3))
    exact = Accumulator(FP8_E5M2, Order.BLOCKED, 4, FP32)  # sums of a block are small integers, exact in both
    ours = _accumulated(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32), FP8_E5M2.grid(saturate=False), 4)
    assert np.array_equal(ours, matmul(a.astype(float), b.astype(float), exact))
