"""Training speed in model-tokens per second, and two pinned workers against one process with two threads."""

import time

import pytest

from precsim.formats import INT2, INT3, INT4, INT5, INT6, INT8
from precsim.grids import one_sitting
from precsim.languages import Zipfgram
from precsim.models import MLP, Transformer
from precsim.quantize import PerChannel, Quantizer
from precsim.sweeps import Cores, Local, sweep
from precsim.training import Job, Recipe, train_population

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


def test_two_pinned_workers_against_one_process_with_two_threads(benchmark, tmp_path):
    jobs = [job for job in one_sitting() if job.tokens == 1_250_000 and job.N > 1024]
    seconds = {}
    for where in (Local(members=9), Cores(2, members=9)):
        sweep([job for job in one_sitting() if job.tokens == 80_000], where=where, cache=tmp_path, progress=False)
        began = time.perf_counter()
        if isinstance(where, Cores):
            benchmark.pedantic(lambda where=where: sweep(jobs, where=where, cache=tmp_path, progress=False), rounds=1)
        else:
            sweep(jobs, where=where, cache=tmp_path, progress=False)
        seconds[type(where).__name__] = time.perf_counter() - began
    benchmark.extra_info |= {**seconds, "ratio": seconds["Local"] / seconds["Cores"]}


def test_warm_start_to_the_first_run(benchmark, tmp_path):
    job = one_sitting()[0]
    sweep([job], where=Cores(1), cache=tmp_path, progress=False)
    benchmark.pedantic(lambda: sweep([job], where=Cores(1), cache=tmp_path, progress=False), rounds=2)
