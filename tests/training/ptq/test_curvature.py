"""Curvature against the dense Hessian, and second-order damage against measured damage."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from precsim.models import EXACT, MLP, Recipe, Transformer
from precsim.models.points import map_weights
from precsim.numerics import INT3, INT4, INT5, INT6, PerChannel, PerToken, Quantizer
from precsim.training import Job, ptq, train_model
from precsim.training.languages import ZipfFacts, Zipfgram
from precsim.training.ptq import Sample
from precsim.training.ptq.held_out import divergence, held_out, importance

FACTS = ZipfFacts(vocabulary=8)


def dense_trace(model, params, language, sample):
    """Trace by channel from the whole Hessian, differentiated twice by every weight in float32."""
    text = held_out(model, language, sample)
    share = jnp.asarray(importance(model, language, sample), jnp.float32)

    def gap(blocks):
        each = [divergence(model, {**params, "blocks": blocks}, EXACT, block) for block in zip(*text, strict=True)]
        return jnp.concatenate(each) @ share

    flat, back = ravel_pytree(params["blocks"])
    diagonal = back(jnp.diag(jax.hessian(lambda w: gap(back(w)))(flat)))
    found = {}
    map_weights({"blocks": diagonal}, lambda name, d: found.setdefault(name, np.asarray(d).sum(axis=0)))
    return found


@pytest.mark.parametrize(
    ("model", "language"),
    [
        pytest.param(MLP(4), FACTS, id="mlp"),
        pytest.param(
            Transformer(4, layers=1, head_width=2, window=16),
            Zipfgram(order=1, vocabulary=6),
            id="transformer",
            marks=pytest.mark.weekly,  # a minute on an idle core: its dense Hessian and 400 probes
        ),
    ],
)
def test_trace_against_the_dense_hessian(model, language):
    t = train_model(Job(model=model, language=language, tokens=20_000, batch_tokens=128))
    sample = Sample(sequences=16)
    exact = dense_trace(model, t.params, language, sample)
    found = ptq.curvature(model, t.params, language, probes=400, sample=sample)
    assert set(found.traces) == set(exact)
    total = sum(float(d.sum()) for d in exact.values())
    assert abs(found.trace - total) < 4.5 * found.se
    assert found.se < 0.1 * total
    for name, trace in exact.items():  # a channel put in the wrong place would be seen
        assert np.corrcoef(found.traces[name], trace)[0, 1] > 0.8


def test_probes_are_counted_and_too_few_are_refused():
    t = train_model(Job(model=MLP(4), language=FACTS, tokens=2000, batch_tokens=128))
    with pytest.raises(ValueError, match="at least 2 probes, not 1"):
        ptq.curvature(t.job.model, t.params, FACTS, probes=1)
    with pytest.raises(ValueError, match="probes must be 0 or at least 2"):
        Job(model=MLP(4), language=FACTS, tokens=2000, probes=1)
    few, many = (ptq.curvature(t.job.model, t.params, FACTS, probes=n) for n in (8, 128))
    assert 2 < few.se / many.se < 8  # square root of 16


@pytest.mark.slow
def test_second_order_predicts_the_damage_of_fine_formats():
    formats = (INT3, INT4, INT5, INT6)
    posts = [Quantizer(fmt, PerChannel()) for fmt in formats]
    ratios = []
    for seed in range(3):
        job = Job(model=MLP(12), language=ZipfFacts(), tokens=400_000, post=tuple(posts), probes=32, seed=seed)
        looks = train_model(job).run.evaluations
        assert looks[0].curvature > 10 * looks[0].curvature_se > 0
        assert math.isnan(looks[0].second_order)
        ratios.append([look.delta / look.second_order for look in looks[1:]])
    # damages of one model are one draw of rounding errors; the median over models and formats is not
    assert 0.8 < np.median(ratios) < 1.25


def test_other_treatments_have_no_second_order():
    q, token = Quantizer(INT4, PerChannel()), Quantizer(INT4, PerToken())
    ends = ptq.Post(Recipe(weights=q, activations=token))
    gptq = ptq.Post(Recipe(weights=q), ptq.GPTQ())
    job = Job(model=MLP(4), language=FACTS, tokens=2000, batch_tokens=128, post=(q, ends, gptq), probes=2)
    _, nearest, *others = train_model(job).run.evaluations
    assert not math.isnan(nearest.second_order)
    assert all(math.isnan(look.second_order) for look in others)
