"""Training speed on a GPU, as JSON: ``python -m tests.bench.device_training``; run by `test_bench_accelerator`."""

from __future__ import annotations

import json
import sys
import time

import jax

from precsim.models import Recipe, Transformer
from precsim.models.recipes import kumar
from precsim.numerics import INT3, INT4, INT6, INT8
from precsim.training import Compute, Job, program
from precsim.training.engine import _member, stack_states
from precsim.training.languages import Zipfgram, sampling
from precsim.training.populations import shape_of

SMALL, LARGE = Transformer(64), Transformer(256, layers=4)
BITS = (INT3, INT4, INT6, INT8)
PARTS = [kumar(weights=w, activations=a, kv=c) for c in BITS for a in BITS for w in BITS]
WEIGHTS = [Recipe(), *(kumar(weights=w) for w in BITS)] * 13
CASES = {
    "N=98k, weights, activations, KV, 64 models, TF32": (SMALL, PARTS, 64, Compute.TF32, 2048),
    "N=98k, weights, activations, KV, 8 models, TF32": (SMALL, PARTS, 8, Compute.TF32, 2048),
    "N=98k, weights, 64 models, TF32": (SMALL, WEIGHTS, 64, Compute.TF32, 2048),
    "N=3.1M, weights, activations, KV, 8 models, bf16, batches of 2,048": (LARGE, PARTS, 8, Compute.BF16, 2048),
    "N=3.1M, weights, activations, KV, 8 models, bf16, batches of 16,384": (LARGE, PARTS, 8, Compute.BF16, 16384),
}
STEPS = 64


def tokens_per_second(model: Transformer, recipes: list[Recipe], members: int, compute: Compute, batch: int) -> dict:
    """Model-tokens per second, the best of four, and the seconds of the first call."""
    shared = {"model": model, "language": Zipfgram(), "tokens": 10**8, "compute": compute, "batch_tokens": batch}
    jobs = [Job(recipe=recipe, seed=n, **shared) for n, recipe in enumerate(recipes[:members])]
    shape = shape_of(jobs, members)
    compiled, source = program.program(shape), sampling.shelf((jobs[0].language,))
    each = [_member(job, jobs[0], shape.sites, (job.language,)) for job in jobs]
    who, state = program.stack(each), stack_states([compiled.start(one) for one in each])
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        state = compiled.advance(state, who, source, STEPS)
        state.step.block_until_ready()
        seconds.append(time.perf_counter() - began)
    return {"tokens_per_second": members * batch * STEPS / min(seconds[1:]), "first_call": seconds[0]}


if __name__ == "__main__":
    found = {name: tokens_per_second(*case) for name, case in CASES.items()}
    json.dump({"device": jax.devices()[0].device_kind, **found}, sys.stdout)
