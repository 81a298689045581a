"""Training speed in model-tokens per second, workers on one core each against threads, and PyTorch."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.evidence.experiments.chapters import one_sitting
from precsim.models import MLP, Transformer
from precsim.numerics import INT2, INT3, INT4, INT5, INT6, INT8, PerChannel, Quantizer
from precsim.training import Cores, Job, Local, Recipe, program, sweep, train_population
from precsim.training.engine import _member, stack_states
from precsim.training.languages import Zipfgram, sampling
from precsim.training.populations import shape_of

RECIPES = [Recipe(), *(Recipe(weights=Quantizer(f, PerChannel())) for f in (INT2, INT3, INT4, INT5, INT6, INT8))]


@pytest.mark.parametrize(
    ("model", "members", "tokens"), [(MLP(16), 5, 1_000_000), (Transformer(32), 8, 200_000)], ids=str
)
def test_model_tokens_per_second(benchmark, model, members, tokens):
    recipes = (RECIPES * 2)[:members]
    jobs = [
        Job(model=model, language=Zipfgram(), tokens=tokens, recipe=recipe, seed=n) for n, recipe in enumerate(recipes)
    ]
    list(train_population([Job(model=model, language=Zipfgram(), tokens=1, recipe=r) for r in recipes]))  # compile
    benchmark.pedantic(lambda: list(train_population(jobs)), rounds=3)
    benchmark.extra_info["model_tokens_per_second"] = sum(job.D for job in jobs) / benchmark.stats.stats.min


def test_workers_on_one_core_each_against_one_process_with_two_threads(benchmark, tmp_path):
    """Sixteen transformers of 25k parameters, eight at a time: tokens over the time that longer runs take longer."""
    short, long = 120_000, 480_000
    jobs = [
        Job(model=Transformer(32), language=Zipfgram(), tokens=short, recipe=recipe, seed=n)
        for n, recipe in enumerate((RECIPES * 3)[:16])
    ]
    places = {"one core": Cores(1, members=8), "two threads": Local(members=8), "two cores": Cores(2, members=8)}
    seconds = {name: {} for name in places}

    def every():
        for name, where in places.items():
            for tokens in (2048, short, long):  # the first compiles
                began = time.perf_counter()
                some = [replace(job, tokens=tokens) for job in jobs]
                sweep(some, where=where, cache=tmp_path, progress=False)
                seconds[name][tokens] = time.perf_counter() - began

    benchmark.pedantic(every, rounds=1)
    rates = {name: (long - short) * len(jobs) / (s[long] - s[short]) for name, s in seconds.items()}
    benchmark.extra_info |= {
        "model_tokens_per_second": rates,
        "two cores over one": rates["two cores"] / rates["one core"],
        "two cores over two threads": rates["two cores"] / rates["two threads"],
    }


def test_warm_start_to_the_first_run(benchmark, tmp_path):
    job = one_sitting()[0]
    sweep([job], where=Cores(1), cache=tmp_path, progress=False)
    benchmark.pedantic(lambda: sweep([job], where=Cores(1), cache=tmp_path, progress=False), rounds=2)


def torch_python():
    """An interpreter that has PyTorch: the one that PRECSIM_PEERS_PYTHON names, or this one."""
    named = os.environ.get("PRECSIM_PEERS_PYTHON")
    if named is None and importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch: set PRECSIM_PEERS_PYTHON to an interpreter that has it (CPU build)")
    return named or sys.executable


def as_torch_names(params):
    """Weights under the names of `tests.bench.peers.torch_training`; query, key and value as one matrix."""
    named = {"embedding": params["embedding"], "head": params["head"]}
    for n, block in enumerate(params["blocks"]):
        joined = np.concatenate([block[part] for part in ("query", "key", "value")], axis=1)
        named |= {f"{n}.qkv": joined, **{f"{n}.{part}": block[part] for part in ("out", "up", "down")}}
    return {f"w:{name}": np.asarray(w) for name, w in named.items()}


def test_against_pytorch_eager_one_by_one(benchmark, tmp_path):
    """Eight transformers of 25k parameters: the same starting weights, batches, losses; then both speeds."""
    python, language, steps = torch_python(), Zipfgram(), 40
    bits = [16, 2, 3, 4, 5, 6, 8, 16]
    formats = {2: INT2, 3: INT3, 4: INT4, 5: INT5, 6: INT6, 8: INT8}
    recipes = [Recipe(weights=Quantizer(formats[b], PerChannel(axis=-1))) if b < 16 else Recipe() for b in bits]
    model = Transformer(32)
    jobs = [Job(model=model, language=language, tokens=steps * 2048, recipe=recipe) for recipe in recipes]
    shape = shape_of(jobs, len(jobs))
    keys = [jax.random.fold_in(jax.random.key(0), part) for part in (0, 1)]  # of weights and of data, for seed 0
    params = jax.jit(model.init, static_argnums=(1, 2))(keys[0], language.vocabulary, language.context_length)
    source = sampling.tables(language)
    drawn = [program.draw(shape, source, keys[1], jnp.int32(n)) for n in range(steps)]
    batches = np.stack([np.concatenate([np.asarray(x), np.asarray(y)[:, -1:]], axis=1) for x, y in drawn])
    schedule = jobs[0].schedule
    rates = [jobs[0].rate * float(schedule.factor(jnp.float32(n), jnp.float32(steps))) for n in range(steps)]
    problem = tmp_path / "problem.npz"
    every = np.broadcast_to(batches, (len(bits), *batches.shape))
    np.savez(problem, batches=every, rates=rates, bits=bits, **as_torch_names(params))

    ours = losses_of_first_steps(jobs, 3)
    np.testing.assert_allclose(in_torch(python, problem)["losses"], ours, rtol=1e-5)
    pairs = []

    def both():
        mine, theirs = training_alone(jobs, steps), in_torch(python, problem)
        pairs.append((*mine, max(theirs["tokens_per_second"].values()), max(theirs["by_core"].values())))

    benchmark.pedantic(both, rounds=5)  # alternated, so that a busy machine is busy for both
    mine, my_core, theirs, their_core = zip(*pairs, strict=True)
    benchmark.extra_info |= {
        "model_tokens_per_second": mine,
        "in torch": theirs,
        "ratio": float(np.median(np.divide(mine, theirs))),
        "ratio for each second of a core": float(np.median(np.divide(my_core, their_core))),
    }


def in_torch(python, problem):
    """What the peer made of the problem."""
    command = [python, "-m", "tests.bench.peers.torch_training", str(problem)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def started(jobs):
    """The compiled program of a population, its source of data, its members and their first state."""
    shape = shape_of(jobs, len(jobs))
    compiled, source = program.program(shape), sampling.shelf((jobs[0].language,))
    members = [_member(job, jobs[0], shape.sites, (job.language,)) for job in jobs]
    return compiled, source, program.stack(members), stack_states([compiled.start(one) for one in members])


def losses_of_first_steps(jobs, count):
    """Training loss of each job in each of the first steps, (jobs, count)."""
    compiled, source, who, state = started(jobs)
    found = []
    for _ in range(count):
        state = compiled.advance(state, who, source, 1)
        found.append(np.asarray(state.loss))
    return np.stack(found, axis=1)


def training_alone(jobs, steps):
    """Model-tokens per second, and per second of one core, of training without evaluation, as the peer counts."""
    compiled, source, who, state = started(jobs)
    state = compiled.advance(state, who, source, 8)
    state.step.block_until_ready()
    began, busy = time.perf_counter(), time.process_time()
    compiled.advance(state, who, source, steps - 8).step.block_until_ready()
    total = (steps - 8) * jobs[0].batch * len(jobs)
    return total / (time.perf_counter() - began), total / (time.process_time() - busy)
