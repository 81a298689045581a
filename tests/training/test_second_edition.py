"""What the second edition asks of the engine: rates for parts, recipes in force for a while, states kept."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.models import FIRST_EDITION, MLP, STANDARD, Block, Transformer
from precsim.models.recipes import kumar
from precsim.numerics import INT4
from precsim.training import Job, engine
from precsim.training.job import job_of
from precsim.training.keeping import Keeper
from precsim.training.languages import ZipfFacts, Zipfgram
from precsim.training.populations import shape_of
from precsim.training.program import by_part, in_force
from precsim.training.spec import described

TEXT = Zipfgram(order=1, vocabulary=8)
SMALL = Transformer(16, layers=1, window=16)


def test_a_description_without_a_block_is_of_the_first_editions_network_and_its_key_stays():
    old = Transformer(64, block=FIRST_EDITION)
    assert described(old) == {"is": "Transformer", "width": 64}
    assert described(Transformer(64)) == {"is": "Transformer", "width": 64, "block": {"is": "Block"}}
    for model in (old, Transformer(64), Transformer(64, block=Block(query_key_norm=True))):
        job = Job(model=model, language=Zipfgram(order=3), tokens=10**6)
        look = engine.Evaluation(step=1, loss=1.0, gap=0.1, delta=0.0, delta_se=0.0)
        run = engine.Run(job=job.key, model="", N=1, D=1, entropy=1.0, steps=1, evaluations=(look,), spec=job.spec)
        assert job_of(run).model == model
        assert job_of(run).key == job.key
    spec = json.loads(Job(model=old, language=TEXT, tokens=10**6).spec)
    assert not {"weight_decay", "decay_embedding", "embedding_rate", "in_force"} & set(spec)


def test_the_standard_network_is_trained_as_the_field_trains_and_the_first_editions_as_it_was():
    new = Job(model=Transformer(64), language=TEXT, tokens=10**6)
    assert (new.rate, new.rate_of_embedding, new.decay, new.embedding_decays) == (0.25 / 64, 0.02, 0.1, False)
    assert new.decay_steps == pytest.approx(64 / 0.025)
    old = Job(model=Transformer(64, block=FIRST_EDITION), language=TEXT, tokens=10**6)
    assert (old.rate, old.rate_of_embedding, old.decay, old.embedding_decays) == (0.38 / 64, 0.38 / 64, 0.0, True)
    assert dataclasses.replace(new, embedding_rate=new.rate).key != new.key
    assert Transformer(64).block == STANDARD


def test_embedding_and_gains_have_their_own_rate_and_gains_never_decay():
    params = jax.eval_shape(lambda key: SMALL.init(key, 8, 1), jax.random.key(0))
    job = Job(model=SMALL, language=TEXT, tokens=10**4, weight_decay=0.3, decay_embedding=True, embedding_rate=0.5)
    one = engine._member(job, job, shape_of([job], 1), (TEXT,))
    rates, decays = by_part(params, one, 0.5)
    block = {name: (float(rates["blocks"][0][name]), float(decays["blocks"][0][name])) for name in ("up", "feed_gain")}
    assert block["up"] == pytest.approx((job.rate / 2, 0.3))
    assert block["feed_gain"] == (0.25, 0.0)
    assert (float(rates["embedding"]), float(decays["embedding"])) == pytest.approx((0.25, 0.3))
    exempt = engine._member(dataclasses.replace(job, decay_embedding=False), job, shape_of([job], 1), (TEXT,))
    assert float(by_part(params, exempt, 1.0)[1]["embedding"]) == 0.0
    assert float(by_part(params, exempt, 1.0)[1]["head"]) == pytest.approx(0.3)


def test_a_recipe_is_in_force_for_its_share_of_the_steps_and_nothing_is_rounded_outside():
    job = Job(model=SMALL, language=TEXT, tokens=5120, recipe=kumar(weights=INT4), in_force=(0.3, 0.8))
    assert (job.steps, job.rounded_steps) == (10, (3, 8))
    assert [job.rounds_at(step) for step in range(10)] == [False] * 3 + [True] * 5 + [False] * 2
    shape = shape_of([job], 1)
    assert shape.switches
    one = engine._member(job, job, shape, (TEXT,))
    for step in range(10):
        grids, _ = in_force(shape, one, jnp.int32(step))
        expected = INT4.grid().precision if job.rounds_at(step) else 24
        np.testing.assert_array_equal(grids.precision, expected)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"in_force": (0.5, 0.5)}, r"rising shares.*\(0.5, 0.5\)"),
        ({"in_force": (0.0, 1.5)}, "0 to 1"),
        ({"embedding_rate": -1.0}, "embedding_rate.*-1.0"),
    ],
)
def test_refuses_numbers_out_of_range(field, words):
    with pytest.raises(ValueError, match=words):
        Job(model=SMALL, language=TEXT, tokens=5120, **field)


@pytest.mark.slow
def test_a_population_that_was_killed_goes_on_where_it_was_to_the_same_bits(tmp_path):
    facts = ZipfFacts(vocabulary=8)
    jobs = [Job(model=MLP(4), language=facts, tokens=t, batch_tokens=64) for t in (6400, 4800, 1920, 1280)]
    whole = {t.run.job: t.run for t in engine.train_population(jobs, members=2)}
    keeper = Keeper(tmp_path, jobs, seconds=0)
    killed = engine.populate(jobs, 2, jobs, lambda tokens: None, keeper)
    first = [trained.run for trained in itertools.islice(killed, 1)]
    killed.close()
    left = [job for job in jobs if job.key not in {run.job for run in first}]
    began = []
    rest = engine.populate(left, 2, jobs, began.append, Keeper(tmp_path, left))
    runs = {run.job: run for run in (*first, *(trained.run for trained in rest))}
    assert sum(began) < sum(job.D for job in left)  # they did not start again
    assert runs.keys() == whole.keys()
    assert all(runs[key].evaluations == whole[key].evaluations for key in whole)
    assert not list(tmp_path.iterdir())  # nothing is left of what is done
