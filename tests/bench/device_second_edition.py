"""Training speed of the second edition's shapes on a GPU, as JSON: ``python -m tests.bench.device_second_edition``.

Each shape as its batches train it: standard block, operands of bfloat16, heads of 64 and fused attention where the
networks have them; TF32 beside it, and the training recipes of one program.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import jax

from precsim.evidence.experiments.second_edition import batch_tokens, network
from precsim.models import Recipe
from precsim.models.recipes import kumar
from precsim.models.training_recipes import fp8_blocks, fp8_per_tensor, mxfp4, mxfp8, nvfp4, quartet, quartet_2
from precsim.numerics import INT3, INT4, INT6
from precsim.training import Compute, Job, program
from precsim.training.engine import _member, stack_states
from precsim.training.languages import Zipfgram, sampling
from precsim.training.populations import shape_of

WEIGHTS = [Recipe(), *(kumar(weights=w) for w in (INT3, INT4, INT6))]
RECIPES = [fp8_per_tensor(), fp8_blocks(), mxfp8(), mxfp4(), nvfp4(), quartet(), quartet_2()]
# width, head width, members, arithmetic, recipes, steps
CASES = {
    "98k x 64, TF32": (64, 16, 64, Compute.TF32, WEIGHTS, 128),
    "98k x 64": (64, 16, 64, Compute.OPERANDS, WEIGHTS, 128),
    "98k x 64, heads of 32": (64, 32, 64, Compute.OPERANDS, WEIGHTS, 128),
    "98k x 10": (64, 16, 10, Compute.OPERANDS, [Recipe()], 512),
    "221k x 10": (96, 16, 10, Compute.OPERANDS, [Recipe()], 512),
    "393k x 10": (128, 16, 10, Compute.OPERANDS, [Recipe()], 256),
    "393k x 30": (128, 16, 30, Compute.OPERANDS, WEIGHTS, 64),
    "885k x 10": (192, 64, 10, Compute.OPERANDS, [Recipe()], 128),
    "3.1M x 8": (256, 64, 8, Compute.OPERANDS, [Recipe()], 32),
    "10.6M x 4": (384, 64, 4, Compute.OPERANDS, [Recipe()], 16),
    "98k x 28, training recipes, TF32": (64, 16, 28, Compute.TF32, RECIPES, 64),
}


def prepared(width: int, head: int, members: int, compute: Compute, recipes: list[Recipe], steps: int):
    """A compiled population that has done some steps, and what it needs to go on."""
    shared = {"model": network(width, head_width=head), "language": Zipfgram(order=3), "compute": compute}
    shared |= {"tokens": 10**9, "batch_tokens": batch_tokens(width)}
    jobs = [Job(recipe=recipes[n % len(recipes)], seed=n, **shared) for n in range(members)]
    shape = shape_of(jobs, members)
    compiled, source = program.program(shape), sampling.shelf((jobs[0].language,))
    each = [_member(job, jobs[0], shape, (job.language,)) for job in jobs]
    began = time.perf_counter()
    who, state = program.stack(each), stack_states([compiled.start(one) for one in each])
    state = compiled.advance(state, who, source, 8)
    state.step.block_until_ready()
    return compiled, state, who, source, time.perf_counter() - began


def main() -> None:
    """Compile all cases side by side, then time one after the other: the best of three."""
    names = [name for name in CASES if not sys.argv[1:] or name in sys.argv[1:]]
    found: dict[str, dict] = {}
    sampling.shelf((Zipfgram(order=3),))
    with ThreadPoolExecutor(8) as threads:
        waiting = {name: threads.submit(prepared, *CASES[name]) for name in names}
    for name, future in waiting.items():
        width, _, members, *_, steps = CASES[name]
        try:
            compiled, state, who, source, first = future.result()
        except Exception as failure:  # one case that a machine cannot do must not hide the others
            found[name] = {"failed": repr(failure)[:300]}
            continue
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            state = compiled.advance(state, who, source, steps)
            state.step.block_until_ready()
            seconds.append(time.perf_counter() - began)
        rate = members * batch_tokens(width) * steps / min(seconds)
        found[name] = {"tokens_per_second": rate, "step": min(seconds) / steps, "first_call": first}
    json.dump({"device": jax.devices()[0].device_kind, **found}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
