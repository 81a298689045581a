"""The experiments of the chapters: labels, pairs, gradients without a scale, and stored runs that can be made again."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import precsim as ps
from precsim.course import stored_runs
from precsim.evidence.experiments import chapters, demonstrations
from precsim.models import MLP, Recipe
from precsim.models.recipes import Stored, kumar
from precsim.training import Job, PerLayer, Trained, train, train_model
from precsim.training.languages import ZipfFacts, exact

FACTS = ZipfFacts(vocabulary=8)
BASE = Job(model=MLP(4), language=FACTS, tokens=50 * 64, batch_tokens=64)


def test_labels_come_back_with_the_rows_and_shared_jobs_are_trained_once():
    cells = [chapters.Cell(BASE, {"name": n, "weights": w}) for n, w in (("a", 1.0), ("b", 2.0))]
    found = chapters.run(cells)
    assert found["name"].tolist() == ["a", "b"]
    assert found["weights"].tolist() == [1.0, 2.0]  # a label goes before a column of the same name
    assert found["gap"].nunique() == 1
    with pytest.raises(ValueError, match="same labels"):
        chapters.run([cells[0], chapters.Cell(BASE, {"other": 1})])


def test_float32_as_a_format_changes_nothing():
    plain, formal = train(BASE), train(dataclasses.replace(BASE, recipe=kumar(weights=ps.FP32, activations=ps.FP32)))
    assert plain.gap == pytest.approx(formal.gap, rel=1e-6)  # another program: sums in another order


def test_a_shifted_format_is_a_constant_scale():
    for k in (-3, 0, 7):
        fmt = chapters.shifted(ps.FP8_E5M2, k)
        x = np.random.default_rng(k + 5).normal(size=200) * 2.0**-k
        with np.errstate(over="ignore"):
            assert np.array_equal(ps.round_to(x, fmt), ps.round_to(x * 2.0**k, ps.FP8_E5M2) / 2.0**k)


def test_gradients_below_the_format_stop_all_learning_and_a_scale_brings_it_back():
    start = math.log(8) - exact(FACTS).entropy

    def gap(rule) -> float:
        return train(
            dataclasses.replace(BASE, recipe=Recipe(gradients=PerLayer(default=rule, layers={"head": rule})))
        ).gap

    free, lost = train(BASE).gap, gap(Stored(chapters.shifted(ps.FP8_E4M3, -20)))
    kept = gap(Stored(chapters.shifted(ps.FP8_E4M3, 8)))
    assert lost == pytest.approx(start, rel=0.02)  # the unembedding starts small, not at zero
    assert kept == pytest.approx(free, rel=0.05)
    assert free < 0.8 * start
    assert train(
        dataclasses.replace(BASE, recipe=Recipe(gradients=Stored(chapters.shifted(ps.FP8_E4M3, 40))))
    ).diverged  # overflow is NaN


def test_gradients_of_products_are_the_derivatives_by_finite_differences():
    trained = train_model(BASE)
    found = demonstrations.product_gradients(trained, rng=np.random.default_rng(3))
    # a softmax's derivative by its logits sums to zero for each token
    logits = found[-64 * 8 :].reshape(64, 8)
    assert np.abs(logits.sum(axis=1)).max() < 1e-6
    assert np.abs(logits).sum() > 0.1
    inputs = demonstrations.product_inputs(trained, rng=np.random.default_rng(3))
    assert inputs["block0.up"].shape == (64, 4)
    assert np.mean(inputs["block0.up"] ** 2, axis=1) == pytest.approx(1, rel=1e-3)  # after the normalization


def test_only_models_of_single_contexts_are_asked_for_a_batch():
    from precsim.models import Transformer
    from precsim.training.languages import Zipfgram

    job = Job(
        model=Transformer(16, layers=1, window=16), language=Zipfgram(order=1, vocabulary=8), tokens=64, batch_tokens=64
    )
    with pytest.raises(ValueError, match="for an MLP"):
        demonstrations.product_gradients(Trained(job, None, train(BASE)), rng=np.random.default_rng(0))


@pytest.mark.slow
def test_stored_runs_of_the_exercises_are_what_training_gives():
    """To a tenth of the spread of seeds: another machine sums in another order."""
    jobs = [job for job in ps.grids.one_sitting() if job.recipe.weights is None and job.N == 1024 and job.seed == 0]
    kept = {(row.D, row.bits): row.gap for row in stored_runs.runs(1024) if row.seed == 0}
    for job in jobs[:3]:
        assert train(dataclasses.replace(job, post=())).gap == pytest.approx(kept[job.D, math.inf], rel=0.01)
