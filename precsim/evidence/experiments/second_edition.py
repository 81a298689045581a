"""The open table's second edition, "precsim-2027": the network that the field trains, and recipes as the field trains.

Its batches are defined here, and nothing else defines them; `make` trains what is missing. The network is the standard
block (`precsim.models.STANDARD`): gains, embeddings of standard deviation width^-1/2, decay 0.1 on matrices, rate
0.25 / width. Every cell has six models, three languages times two seeds, unless its batch says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from precsim.evidence.experiments.open_table import LANGUAGES, PROBES, budget, treatments
from precsim.models import FIRST_EDITION, STANDARD, Model, Recipe, Transformer
from precsim.models.products import Backward
from precsim.models.recipes import kumar, per_token
from precsim.models.training_recipes import fp8_blocks, fp8_per_tensor, mxfp4, mxfp8, nvfp4, quartet, quartet_2
from precsim.numerics.arithmetic import H100_FP8, Chain
from precsim.numerics.formats import INT3, INT4, INT5, INT6
from precsim.training.job import Compute, Job
from precsim.training.languages.synthetic import KingJames
from precsim.training.ptq import AWQ, GPTQ, Post

BITS = (INT3, INT4, INT6)  # trained
COMPUTE = Compute.OPERANDS  # after the gate; TF32 before it, and for recipes that round activations
_FIRST = {32: 0, 48: 1, 64: 1, 96: 2, 128: 3, 192: 4}  # width -> smallest budget, about 20 tokens for a parameter
_LAST = {32: 5, 48: 6, 64: 7, 96: 8, 128: 8, 192: 7}  # to 2,000 and more; 345 at 885k
_LAST_TRAINED = 6  # 122 M tokens


def network(width: int, *, head_width: int | None = None) -> Transformer:
    """The standard block at this width: two layers to 885k parameters, heads of 16, of 64 from 885k on."""
    layers = {256: 4, 384: 6, 512: 10}.get(width, 2)
    return Transformer(width, layers, head_width=head_width or (64 if width >= 192 else 16))


def batch_tokens(width: int) -> int:
    """Tokens of one step; large networks take large steps, which the batch `controls` shows to raise damage."""
    return 2048 if width <= 96 else 4096 if width <= 192 else 16384


def gate() -> tuple[Job, ...]:
    """May products take bfloat16 operands, and heads be wider? Two sizes, and one trained at 4 bits.

    Heads of 64 also attend in one fused kernel, all of it in bfloat16.
    """
    narrow, wide = (Compute.TF32, Compute.OPERANDS), (Compute.OPERANDS,)
    jobs: list[Job] = []
    for width, head, arithmetics, recipes in (
        (64, 16, narrow, [Recipe(), kumar(weights=INT4)]),
        (64, 32, wide, [Recipe()]),
        (128, 16, narrow, [Recipe()]),
        (128, 64, narrow, [Recipe()]),
    ):
        jobs += _cells(width, [5], recipe=recipes, model=network(width, head_width=head), compute=list(arithmetics))
    return tuple(jobs)


def laws() -> tuple[Job, ...]:
    """Sizes times budgets in full precision: what the laws of loss and damage are fitted to."""
    jobs: list[Job] = []
    for width, first in _FIRST.items():
        ks = range(first, _LAST[width] + 1)
        bent = set(ks[1::2][-3:])  # three budgets also measure the curvature
        for k in ks:
            jobs += _cells(width, [k], probes=PROBES if k in bent else 0)
    return tuple(jobs)


def bits() -> tuple[Job, ...]:
    """The same sizes trained with weights of 3, 4 and 6 bits, to 122 M tokens."""
    jobs: list[Job] = []
    for width, first in _FIRST.items():
        ks = range(first + (width <= 96), min(_LAST[width], _LAST_TRAINED) + 1)
        jobs += _cells(width, list(ks), recipe=[kumar(weights=fmt) for fmt in BITS])
    return tuple(jobs)


def architecture() -> tuple[Job, ...]:
    """What of the network decides how damage grows: gains, size of the embedding, decay, norms of queries and keys.

    Everything is trained at the rates of the standard block, so that two variants differ in what is named and in
    nothing else. Three models a cell; the standard block itself is in `laws`.
    """
    ks = [3, 4, 5, 6]
    named = ((width, fields) for width in (64, 96) for fields in variants(width).values())
    return tuple(job for width, fields in named for job in _cells(width, ks, seed=0, **fields))


def variants(width: int) -> dict[str, dict[str, Any]]:
    """Fields of a job by the name of what differs from the standard block, in the order of the batch."""
    model = network(width)
    rates = {"learning_rate": model.learning_rate, "embedding_rate": 0.02}
    blocks = {
        "no gains, unit embeddings": FIRST_EDITION,
        "unit embeddings": replace(FIRST_EDITION, gains=True),
        "no gains": replace(STANDARD, gains=False),
        "standard": STANDARD,
    }
    found: dict[str, dict[str, Any]] = {
        f"{name}, {words}": {"model": replace(model, block=block), "weight_decay": decay, "decay_embedding": True}
        for name, block in blocks.items()
        for words, decay in (("no decay", 0.0), ("decay of everything", 0.1))
    }
    usual = {"weight_decay": 0.1, "decay_embedding": False}
    found["queries and keys normed"] = {"model": replace(model, block=replace(STANDARD, query_key_norm=True)), **usual}
    slow = {"embedding_rate": model.learning_rate}
    found["embedding at the rate of matrices"] = {"model": model, **usual, **slow}
    return {name: rates | fields for name, fields in found.items()}


def compared() -> dict[str, frozenset[str]]:
    """Keys of the jobs that are compared in `architecture`, by the name of the variant; "standard" is of `laws`."""
    ks = [3, 4, 5, 6]
    usual: dict[Model, set[int]] = {network(width): {_cells(width, [k])[0].D for k in ks} for width in (64, 96)}
    alike = (job for job in (*gate(), *laws()) if job.D in usual.get(job.model, ()) and job.recipe == Recipe())
    found: dict[str, set[str]] = {"standard": {job.key for job in alike if job.seed == 0 and job.compute is COMPUTE}}
    for width in (64, 96):
        for name, fields in variants(width).items():
            found.setdefault(name, set()).update(job.key for job in _cells(width, ks, seed=0, **fields))
    return {name: frozenset(keys) for name, keys in found.items()}


def large() -> tuple[Job, ...]:
    """Networks beyond every fit, held out: 3.1 M parameters at three budgets, 10.6 M at one.

    What laws fitted to `laws` say of them was written down before they were trained: ``data/predictions-2.json``.
    """
    jobs = _cells(256, [5, 6, 7], seed=0, holdout=True)
    return jobs + _cells(384, [6], seed=0, language=LANGUAGES[0], holdout=True)


def larger() -> tuple[Job, ...]:
    """Beyond `large`, held out as well: 3.1 M parameters at 763 M tokens, 10.6 M at 305 M, one of 31.5 M at 20 N.

    And 3.1 M trained in 4 bits. What was said before: ``data/predictions-3.json``.
    """
    jobs = _cells(256, [8], seed=0, holdout=True) + _cells(384, [7], seed=0, holdout=True)
    jobs += _cells(512, [0], tokens=20 * network(512).parameters, seed=0, language=LANGUAGES[0], holdout=True)
    return jobs + _cells(256, [5, 6], seed=0, recipe=kumar(weights=INT4), holdout=True)


def penalties() -> tuple[Job, ...]:
    """The variants of `architecture` trained in 3 and 4 bits: what is lost, beside what rounding would cost them.

    One size, two budgets, three languages; partners in full precision are in `architecture`.
    """
    return tuple(job for fields in variants(64).values() for job in penalties_of(fields))


def penalties_of(fields: dict[str, Any]) -> tuple[Job, ...]:
    """The jobs of `penalties` of one variant, by its fields."""
    return _cells(64, [4, 5], seed=0, recipe=[kumar(weights=fmt) for fmt in BITS[:2]], **fields)


def parts() -> tuple[Job, ...]:
    """Weights, activations (a scale for each token) and KV cache in 3, 4 and 6 bits, alone and together; in TF32."""
    single = [recipe for fmt in BITS for recipe in (kumar(weights=fmt), per_token(activations=fmt), kumar(kv=fmt))]
    pairs = [per_token(weights=w, activations=a) for w, a in ((INT3, INT3), (INT4, INT4), (INT3, INT6), (INT6, INT3))]
    pairs += [kumar(weights=INT4, kv=INT4), per_token(activations=INT4, kv=INT4)]
    together = [per_token(weights=fmt, activations=fmt, kv=fmt) for fmt in BITS]
    shared = {"recipe": [Recipe(), *single, *pairs, *together], "compute": Compute.TF32}
    shared["post"] = (*treatments(), *(Post(per_token(activations=fmt)) for fmt in (INT4, INT6)))
    cells = ((32, [1, 2, 3]), (64, [3, 4, 5]), (96, [4, 5]))
    return tuple(job for width, ks in cells for job in _cells(width, ks, **shared))


def share() -> tuple[Job, ...]:
    """Trained in full precision, and the last 3, 10 or 30 % of the steps in 3 or 4 bits; 0 and 100 % are in `bits`."""
    last = [(0.97, 1.0), (0.9, 1.0), (0.7, 1.0)]
    recipes = [kumar(weights=fmt) for fmt in BITS[:2]]
    cells = ((64, [3, 4, 5]), (96, [4, 5]))
    return tuple(job for width, ks in cells for job in _cells(width, ks, recipe=recipes, in_force=last))


def controls() -> tuple[Job, ...]:
    """Peak rate and size of the batch, in full precision and at 3 and 4 bits: no retuning, and tokens, not steps."""
    recipes = [Recipe(), *(kumar(weights=fmt) for fmt in BITS[:2])]
    rate = network(64).learning_rate
    jobs = _cells(64, [4, 6], seed=0, recipe=recipes, learning_rate=[rate * f for f in (0.25, 0.5, 2.0, 4.0)])
    return jobs + _cells(64, [4], seed=0, recipe=recipes, batch_tokens=[512, 8192, 32768])


def recipes_by_size() -> tuple[Job, ...]:
    """The recipes of `recipes` at other sizes and budgets: whether penalties grow with data or fall with size."""
    cells = ((32, [2, 3, 4]), (64, [3, 5]), (96, [4]))
    tried = list(trained_in().values())
    return tuple(job for width, ks in cells for job in _cells(width, ks, recipe=tried, compute=Compute.TF32))


def methods() -> tuple[Job, ...]:
    """Networks of `laws` once more, rounded with data besides: GPTQ and AWQ at 3, 4 and 5 bits, in six seeds."""
    tried = tuple(Post(kumar(weights=fmt), method) for method in (GPTQ(), AWQ()) for fmt in (INT3, INT4, INT5))
    cells = ((32, [2, 4]), (64, [3, 5]), (128, [5]))
    return tuple(job for width, ks in cells for job in _cells(width, ks, post=(*treatments(), *tried)))


def text() -> tuple[Job, ...]:
    """Real text, whose entropy nobody knows, read up to five times; the first edition's batch in the standard block."""
    shared = {"language": KingJames(passes=6), "recipe": [Recipe(), *(kumar(weights=fmt) for fmt in BITS)]}
    return tuple(job for width in (32, 64) for job in _cells(width, list(range(5)), **shared))


def recipes() -> tuple[Job, ...]:
    """Training in 4 and 8 bits as the field does it, in all three products, beside the forward pass alone.

    In TF32, full precision too: a product of operands of bfloat16 would round what activations of 8 bits are scaled to.
    """
    return tuple(
        job for recipe in trained_in().values() for job in _cells(64, [4], recipe=recipe, compute=Compute.TF32)
    )


def trained_in() -> dict[str, Recipe]:
    """Recipes of the batch `recipes` by name."""
    return {
        "full precision": Recipe(),
        "FP8 per tensor": fp8_per_tensor(),
        "FP8 in blocks": fp8_blocks(),
        "MXFP8": mxfp8(),
        "MXFP4": mxfp4(),
        "NVFP4": nvfp4(),
        "Quartet": quartet(),
        "Quartet II": quartet_2(),
        "NVFP4, forward only": replace(nvfp4(), backward=Backward()),
        "MXFP4, forward only": replace(mxfp4(), backward=Backward()),
    }


def sums() -> tuple[Job, ...]:
    """FP8 with one scale per tensor, the terms of all three products added in three ways (`added_by`), in four seeds.

    Everything else is float32, and so is the evaluation: what differs between partners is how training added.
    """
    cells = ((32, [1, 2, 3]), (64, [2, 3]), (96, [3]))
    shared = {"recipe": list(added_by().values()), "compute": Compute.FLOAT32, "seed": range(4)}
    return tuple(job for width, ks in cells for job in _cells(width, ks, **shared))


def added_by() -> dict[str, Recipe]:
    """Recipes of the batch `sums` by what adds: an H100's accumulator of 13 fraction bits is the case of interest."""
    return {
        "float32": fp8_per_tensor(),
        "13 bits": fp8_per_tensor(unit=H100_FP8),
        "13 bits, promoted every 128": fp8_per_tensor(unit=H100_FP8, chain=Chain(promote=128)),
    }


def trained_as() -> dict[str, frozenset[str]]:
    """Keys of the jobs of the batch `recipes` by the name of the recipe."""
    names = {recipe: name for name, recipe in trained_in().items()}
    found: dict[str, set[str]] = {name: set() for name in names.values()}
    for job in recipes():
        found[names[job.recipe]].add(job.key)
    return {name: frozenset(keys) for name, keys in found.items()}


def batches() -> dict[str, tuple[Job, ...]]:
    """Every batch of the edition by its name, in the order in which they are made.

    A job is part of the first batch that needs it.

    Examples
    --------
    >>> {name: len(jobs) for name, jobs in batches().items()}
    {'gate': 54, 'laws': 204, 'bits': 462, 'architecture': 240, 'large': 10, 'recipes': 60, 'larger': 13,
     'penalties': 120, 'parts': 912, 'share': 180, 'controls': 99, 'recipes_by_size': 354, 'methods': 30, 'text': 80,
     'sums': 216}
    """
    found: dict[str, tuple[Job, ...]] = {}
    declared: set[str] = set()
    for batch in (
        gate, laws, bits, architecture, large, recipes,
        larger, penalties, parts, share, controls, recipes_by_size, methods, text, sums,
    ):  # fmt: skip
        fresh = tuple(job for job in batch() if job.key not in declared)
        declared |= {job.key for job in fresh}
        found[batch.__name__] = fresh
    return found


def _cells(width: int, ks: list[int], **fields) -> tuple[Job, ...]:
    """Cells of one size: three languages times two seeds, with all treatments after training."""
    shared = {
        "model": network(width),
        "language": list(LANGUAGES),
        "tokens": [budget(k) for k in ks],
        "seed": range(2),
        "batch_tokens": batch_tokens(width),
        "post": treatments(),
        "compute": COMPUTE,
    }
    return Job.grid(**shared | fields)
