"""Training speed on a GPU, against PyTorch on the same GPU; skipped where there is none."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precsim.models import Transformer
from precsim.models.recipes import kumar
from precsim.numerics import INT4
from precsim.training import Accelerator, Job, program, sweep
from precsim.training.languages import Zipfgram, sampling
from precsim.training.populations import shape_of
from precsim.training.workers import Worker
from tests.bench.test_bench_training import as_torch_names

pytestmark = pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs an NVIDIA GPU")
ROOT = Path(__file__).parents[2]


def on_device(*arguments, setting=None):
    """What a module of the benches prints on the GPU, in a process of its own."""
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, **(setting or {})}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_five_shapes_compile_train_and_evaluate(benchmark):
    jobs = [Job(model=Transformer(w), language=Zipfgram(), tokens=2048) for w in (32, 48, 64, 96, 128)]
    began = time.perf_counter()
    benchmark.pedantic(lambda: sweep(jobs, where=Accelerator(workers=5), progress=False), rounds=1)
    benchmark.extra_info["seconds"] = time.perf_counter() - began


def test_model_tokens_per_second_and_pytorch_one_by_one(benchmark, tmp_path):
    worker = Worker.on_accelerator(0, 1)
    ours = benchmark.pedantic(
        lambda: on_device("tests.bench.device_training", setting={"XLA_FLAGS": worker.flags, **dict(worker.settings)}),
        rounds=1,
    )
    problem = tmp_path / "problem.npz"
    steps = 300
    with jax.default_device(jax.devices("cpu")[0]):
        model, language = Transformer(64), Zipfgram()
        job = Job(model=model, language=language, tokens=steps * 2048, recipe=kumar(weights=INT4))
        shape, source = shape_of([job], 1), sampling.tables(language)
        params = jax.jit(model.init, static_argnums=(1, 2))(
            jax.random.key(0), language.vocabulary, language.context_length
        )
        drawn = [program.draw(shape, source, jax.random.key(1), jnp.int32(n)) for n in range(8)]
        batches = np.stack([np.concatenate([np.asarray(x), np.asarray(y)[:, -1:]], axis=1) for x, y in drawn])
        weights = as_torch_names(params)
    batches, rates = np.resize(batches, (1, steps, *batches.shape[1:])), np.full(steps, job.rate)
    np.savez(problem, batches=batches, rates=rates, bits=[4], **weights)
    eager = on_device("tests.bench.peers.torch_training", str(problem), "cuda")["tokens_per_second"]["1"]
    mine = ours["N=98k, weights, 64 models, TF32"]["tokens_per_second"]
    benchmark.extra_info |= {**ours, "PyTorch eager, one by one": eager, "ratio": mine / eager}
