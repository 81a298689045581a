"""Products through a matrix unit inside training, against the integer kernel that was compared with an H100."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import precsim as ps
from precsim.evidence import rows
from precsim.evidence.experiments import second_edition
from precsim.models.products import Backward, numbers_of, plan_of, product
from precsim.models.rounder import training_sites
from precsim.models.through_unit import aligned_product
from precsim.models.training_recipes import fp8_per_tensor, mxfp8
from precsim.numerics.arithmetic import H100_BF16, H100_FP8, Chain
from precsim.numerics.formats import FP8_E4M3, FP8_E5M2
from precsim.runs import Evaluation, Run
from precsim.training import train_model
from precsim.training.job import Job, job_of
from precsim.training.populations import populations_of

MODEL = ps.models.Transformer(32, layers=1)


def _values(rng, shape, fmt):
    """Values over the whole range of a format: zeros, subnormals and the maximum among them."""
    x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-14, 12, shape)).astype(np.float32)
    x[rng.random(shape) < 0.1] = 0
    x[0, 0] = fmt.maximum
    return ps.round_to(np.clip(x, -fmt.maximum, fmt.maximum), fmt)


ONE_CHAIN = Chain()


def _through(chain=ONE_CHAIN):
    return fp8_per_tensor(unit=H100_FP8, chain=chain)


@pytest.mark.parametrize(("right", "chain"), [(FP8_E4M3, Chain()), (FP8_E5M2, Chain(promote=128))])
def test_float_operations_give_the_bits_of_the_integer_kernel(right, chain):
    rng = np.random.default_rng(0)
    a, b = _values(rng, (48, 200), FP8_E4M3), _values(rng, (200, 32), right)
    want = ps.arithmetic.matmul(a, b, H100_FP8.with_inputs(FP8_E4M3, right), chain=chain)
    got = aligned_product(H100_FP8, chain, jnp.asarray(a), jnp.asarray(b), FP8_E4M3, right)
    assert np.array_equal(np.asarray(got).view(np.uint32), want.view(np.uint32))


def test_subnormal_factors_align_by_the_least_exponent_of_their_format():
    """2^-9 counts as 2^-6: what lies between the two cuts is lost."""
    rng = np.random.default_rng(2)
    a = (rng.integers(-7, 8, (32, 64)) * 2.0**-9).astype(np.float32)
    b = ps.round_to((rng.standard_normal((64, 16)) * 2.0 ** rng.integers(-6, 8, (64, 16))).astype(np.float32), FP8_E4M3)
    for left, right in ((a, b), (b.T, a.T)):
        want = ps.arithmetic.matmul(np.ascontiguousarray(left), np.ascontiguousarray(right), H100_FP8)
        got = aligned_product(H100_FP8, Chain(), jnp.asarray(left), jnp.asarray(right), FP8_E4M3, FP8_E4M3)
        assert np.array_equal(np.asarray(got), want)
        assert (want != left.astype(np.float64) @ right).mean() > 0.5


@pytest.mark.parametrize("chain", [pytest.param(Chain(), marks=pytest.mark.slow), Chain(promote=64)])
def test_all_three_products_of_two_matrices_are_the_units(chain):
    """Each factor is an odd scale times codes that hold their format's maximum: rounding changes nothing."""
    rng = np.random.default_rng(1)
    scales = np.array([0.3, 0.07, 1.9, 1e-5], np.float32)
    shapes = ((96, 40), (40, 16), (40, 24), (96, 40))
    formats = (FP8_E4M3, FP8_E4M3, FP8_E4M3, FP8_E5M2)
    codes = [_values(rng, shape, fmt) for shape, fmt in zip(shapes, formats, strict=True)]
    x, w, v, slope = (jnp.asarray(c * s) for c, s in zip(codes, scales, strict=True))
    x_, w_, v_, slope_ = codes
    by_x, by_w, by_v, by_g = map(float, scales)

    def unit(a, b, left, right):
        return ps.arithmetic.matmul(a, b, H100_FP8.with_inputs(left, right), chain=chain)

    products = _through(chain).products(MODEL)
    recipe = {"p": products["block0.attention"]}
    plan = plan_of([recipe], ["p"])
    y, back = jax.vjp(lambda x, m: product(plan, "p", numbers_of(plan, recipe), x, m, jnp.uint32(0)), x, [w, v])
    to_x, (to_w, to_v) = back(slope)
    e4m3, e5m2 = FP8_E4M3, FP8_E5M2
    forward = [unit(x_, m, e4m3, e4m3) * (by_x * by) for m, by in ((w_, by_w), (v_, by_v))]
    back_by = [
        unit(g, m.T, e5m2, e4m3) * (by_g * by) for g, m, by in ((slope_[:, :16], w_, by_w), (slope_[:, 16:], v_, by_v))
    ]
    along = unit(slope_.T, x_, e5m2, e4m3).T * (by_g * by_x)
    pairs = ((y, np.hstack(forward)), (to_x, sum(back_by)), (jnp.hstack([to_w, to_v]), along))
    for got, want in pairs:  # the scale is found again to a last place or two
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=0)
    exact = np.hstack([x_ @ w_, x_ @ v_])
    assert np.abs(np.asarray(y) / exact - np.float32(1)).max() > 1e-3  # which float32 sums are not


@pytest.mark.slow  # three programs to compile
def test_a_member_of_a_population_trains_as_it_does_alone_and_not_as_with_float32_sums():
    jobs = [
        Job(model=MODEL, language=ps.languages.Zipfgram(seed=k), tokens=40_000, recipe=recipe)
        for k in range(2)
        for recipe in (_through(), _through(Chain(promote=128)), fp8_per_tensor())
    ]
    groups = populations_of(jobs, 8)
    assert sorted(len(group.jobs) for group in groups) == [2, 2, 2]
    losses = {job: train_model(job).run.evaluations[-1].loss for job in jobs[:3]}
    assert len(set(losses.values())) == 3
    assert max(losses.values()) - min(losses.values()) < 0.01 * min(losses.values())


def test_a_job_through_a_unit_is_described_and_comes_back():
    job = Job(model=MODEL, language=ps.languages.Zipfgram(), tokens=2_000, recipe=_through(Chain(promote=128)))
    look = Evaluation(step=1, loss=1.0, gap=0.1, delta=0.0, delta_se=0.0)
    run = Run(job=job.key, model="", N=1, D=1, entropy=1.0, steps=1, evaluations=(look,), spec=job.spec)
    assert (job_of(run).key, job_of(run).recipe) == (job.key, job.recipe)
    described = json.loads(job.spec)
    assert described["recipe"]["backward"]["chain"] == {"is": "Chain", "promote": 128}
    stored = rows.second_edition()["job"]
    again = [job for job in second_edition.sums() if job.key in set(stored)]
    assert len(again) == 216, "the keys of jobs that were trained"
    renamed = dataclasses.replace(H100_FP8, source="elsewhere")
    same = fp8_per_tensor(unit=renamed, chain=Chain(promote=128))
    assert dataclasses.replace(job, recipe=same).key == job.key
    without = dataclasses.replace(job, recipe=fp8_per_tensor())
    assert "unit" not in json.loads(without.spec)["recipe"]["backward"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"unit": H100_BF16}, "E8M13"),
        ({"unit": H100_FP8, "chain": Chain(parts=(32, 32))}, "without parts"),
        ({"unit": H100_FP8, "chain": Chain(promote=40)}, "32 products at a time"),
    ],
)
def test_units_that_training_cannot_go_through_are_refused_in_words(given, words):
    with pytest.raises(ValueError, match=words):
        Backward(**given)


@pytest.mark.parametrize("recipe", [mxfp8(), ps.models.recipes.kumar(weights=FP8_E4M3, activations=FP8_E4M3)])
def test_operands_that_do_not_enter_the_unit_are_refused_by_name(recipe):
    backward = dataclasses.replace(recipe.backward or Backward(), unit=H100_FP8)
    with pytest.raises(ValueError, match="one scale per tensor"):
        training_sites([dataclasses.replace(recipe, backward=backward)], MODEL)


def test_recipes_with_and_without_a_unit_need_programs_of_their_own():
    with pytest.raises(ValueError, match="programs of their own"):
        training_sites([_through(), fp8_per_tensor()], MODEL)
    assert training_sites([_through(), _through()], MODEL) == training_sites([_through()], MODEL)
