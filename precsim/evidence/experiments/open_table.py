"""The open table of runs: its batches are defined here, and nothing else defines them.

Each function returns the jobs of one batch; `batches` names them all. `python -m precsim.evidence.experiments.make`
trains what is missing and writes the table. Budgets are 2.5 apart and the same for all sizes, so that a law can be
read off at fixed N and at fixed D. A job's seed decides its starting weights and the order of its data; jobs of equal
seed and language differ in nothing but what their batch varies, and can be compared in pairs.
"""

from __future__ import annotations

from dataclasses import replace

from precsim.models import FIRST_EDITION, MLP, Transformer
from precsim.models.recipes import Recipe, everywhere, kumar, per_token
from precsim.numerics.formats import (
    FP4_E2M1,
    FP6_E2M3,
    FP6_E3M2,
    FP8_E4M3,
    FP8_E5M2,
    INT2,
    INT3,
    INT4,
    INT5,
    INT6,
    INT7,
    INT8,
    Format,
    Specials,
)
from precsim.numerics.quantize import (
    MXFP4,
    MXFP6,
    MXFP8,
    MXINT8,
    NF4,
    NVFP4,
    PerBlock,
    PerChannel,
    PerTensor,
    Quantizer,
    TwoLevel,
)
from precsim.training.job import Compute, Job
from precsim.training.languages.synthetic import KingJames, ZipfFacts, Zipfgram
from precsim.training.optimizers import Constant, Cosine, Linear, Schedule, WarmupStableDecay
from precsim.training.ptq import AWQ, GPTQ, Post

INTEGERS = (INT2, INT3, INT4, INT5, INT6, INT7, INT8)
TRAINED = (INT2, INT3, INT4, INT5, INT6, INT8)  # and float32
FLOATS = (FP4_E2M1, FP6_E2M3, FP6_E3M2, FP8_E4M3, FP8_E5M2)
LANGUAGES = tuple(Zipfgram(order=3, seed=seed) for seed in range(3))
PROBES = 8


def budget(k: int) -> int:
    """Training tokens of budget number k: 500,000 times 2.5^k.

    Examples
    --------
    >>> [budget(k) for k in (0, 1, 6)]
    [500000, 1250000, 122070312]
    """
    return int(500_000 * 2.5**k)


def treatments() -> tuple[Post, ...]:
    """The 25 ways in which every model's weights are rounded to nearest after training.

    Integers of 2 to 8 bits by channel and by tensor, five floats by channel, and six formats of blocks, which
    lie along a matrix's inputs.
    """
    by_channel = [Quantizer(fmt, PerChannel(axis=-1)) for fmt in (*INTEGERS, *FLOATS)]
    by_tensor = [Quantizer(fmt, PerTensor()) for fmt in INTEGERS]
    return tuple(Post.of(q) for q in (*by_channel, *by_tensor, *_blocks()))


def main() -> tuple[Job, ...]:
    """Sizes times budgets times bits of the weights: what the laws are fitted to.

    Three languages times two seeds up to 49 M tokens and 393 k parameters; beyond, one language and two seeds. The
    longest runs (122 M tokens) and the largest model (3.1 M parameters) are held out of every fit.
    """
    jobs: list[Job] = []
    for width, first in ((16, 0), (32, 0), (48, 1), (64, 1), (96, 2), (128, 3)):
        jobs += _by_bits(_network(width), range(first, 6), LANGUAGES, seeds=2)
        jobs += _by_bits(_network(width), [6], LANGUAGES[:1], seeds=2, holdout=True) if width > 32 else ()
    jobs += _by_bits(_network(192), [4, 5], LANGUAGES[:1], seeds=2)
    jobs += _by_bits(_network(256), [4, 5], LANGUAGES[:1], seeds=2)
    jobs += _by_bits(_network(256, layers=4), [4, 5], LANGUAGES[:1], seeds=1, holdout=True)
    return tuple(jobs)


def parts() -> tuple[Job, ...]:
    """Weights, activations and KV in training, alone and together; activations by tensor and by token."""
    bits = (INT3, INT4, INT6)
    recipes = [Recipe(), *(kumar(weights=w) for w in bits), *(kumar(kv=c) for c in INTEGERS)]
    recipes += [kumar(weights=w, kv=c) for w in (INT3, INT4) for c in (INT3, INT4)]
    for by in (kumar, per_token):
        recipes += [by(activations=a) for a in INTEGERS]
        recipes += [by(weights=w, activations=a) for w in bits for a in bits]
        recipes += [by(activations=a, kv=c) for a in (INT3, INT4) for c in (INT3, INT4)]
        recipes += [by(weights=b, activations=b, kv=b) for b in bits]
    after = (*_by_channel(), *(Post(per_token(activations=b)) for b in (INT4, INT6, INT8)))
    after += (*(Post(kumar(kv=b)) for b in (INT2, INT3, INT4, INT6)),)
    after += tuple(Post(per_token(weights=b, activations=b, kv=b)) for b in (INT3, INT4, INT6, INT8))
    return tuple(
        job
        for width, first in ((32, 1), (48, 1), (64, 2), (96, 2))
        for job in Job.grid(
            model=_network(width),
            language=list(LANGUAGES[: 2 if width < 96 else 1]),
            tokens=[budget(k) for k in range(first, first + 3)],
            recipe=recipes,
            post=after,
            compute=Compute.TF32,
        )
    )


def formats() -> tuple[Job, ...]:
    """Equal bits split differently into exponent and significand, and formats of blocks, against integers."""
    floats = [_float(e, m) for e, m in ((1, 2), (2, 1), (3, 0), (2, 2), (3, 1), (2, 3), (3, 2), (4, 1))]
    floats += [_float(e, m) for e, m in ((2, 5), (3, 4), (4, 3), (5, 2))]
    recipes = [Recipe(weights=Quantizer(fmt, PerChannel(axis=-1))) for fmt in floats]
    recipes += [Recipe(weights=q) for q in _blocks()]
    recipes += [everywhere(q) for q in (MXFP4, MXFP6, MXFP8, NVFP4)]
    return tuple(
        job
        for width, first in ((32, 1), (48, 1), (64, 2), (96, 2))
        for job in Job.grid(
            model=_network(width),
            language=list(LANGUAGES[: 2 if width < 96 else 1]),
            tokens=[budget(k) for k in range(first, first + 3)],
            recipe=recipes,
            post=_by_channel(),
            compute=Compute.TF32,
        )
    )


def schedules() -> tuple[Job, ...]:
    """The same tokens under other learning rates, to tell data from decay and from the growth of weights.

    Constant runs are looked at all along, and each of the others ends its decay where a constant run passes.
    """
    short: list[Schedule] = [Linear(), Cosine(), Constant()]
    short += [WarmupStableDecay(decay=share) for share in (0.05, 0.2, 0.5)]
    jobs: list[Job] = []
    for width in (32, 64):
        shared = {
            "model": _network(width),
            "language": list(LANGUAGES),
            "seed": range(2),
            "post": _by_channel(),
            "compute": Compute.TF32,
            "probes": PROBES,
        }
        jobs += Job.grid(**shared, schedule=short, tokens=[budget(k) for k in (2, 3, 4)])
        looks = tuple(int(500_000 * 2.5 ** (n / 2)) for n in range(10))
        jobs += Job.grid(**shared, schedule=[Constant(), Cosine()], tokens=budget(5), looks=looks)
    return tuple(jobs)


def controls() -> tuple[Job, ...]:
    """Peak learning rate and weight decay at two sizes, and the batch size, which separates tokens from steps."""
    jobs: list[Job] = []
    for width in (32, 64):
        shared = {
            "model": _network(width),
            "language": list(LANGUAGES[:2]),
            "tokens": [budget(k) for k in (2, 3, 4)],
            "post": _by_channel(),
            "compute": Compute.TF32,
        }
        rate = _network(width).learning_rate
        rates, decays = [rate * factor for factor in (0.25, 0.5, 1.0, 2.0, 4.0)], [0.0, 0.01, 0.1, 0.3]
        recipes = [Recipe(), kumar(weights=INT4)]
        jobs += Job.grid(**shared, learning_rate=rates, weight_decay=decays, recipe=recipes, probes=PROBES)
        recipes = [Recipe(), kumar(weights=INT3), kumar(weights=INT4)]
        jobs += Job.grid(**shared, batch_tokens=[512, 8192], recipe=recipes)
    return tuple(jobs)


def repeats() -> tuple[Job, ...]:
    """Twelve more seeds of full precision, where the law of damage is fitted: what one rounding does is mostly luck."""
    return tuple(
        job
        for width, first in ((32, 2), (48, 3), (64, 3), (96, 4))
        for job in Job.grid(
            model=_network(width),
            language=list(LANGUAGES),
            tokens=[budget(k) for k in range(first, 6)],
            seed=range(2, 14),
            post=treatments(),
            compute=Compute.TF32,
        )
    )


def brief() -> tuple[Job, ...]:
    """Budgets below those of the main batch, in full precision: the loss of 2 bits is least in runs so short."""
    return tuple(
        job
        for width, first in ((32, 0), (48, 1), (64, 1), (96, 2), (128, 3))
        for job in Job.grid(
            model=_network(width),
            language=list(LANGUAGES),
            tokens=[budget(k) for k in range(-3, first)],
            seed=range(2),
            post=treatments(),
            compute=Compute.TF32,
        )
    )


def text() -> tuple[Job, ...]:
    """Real text, read up to five times: what holds for chains whose law is known need not hold for English."""
    models = [_network(32), _network(64), MLP(16), MLP(32)]
    return tuple(
        job
        for model in models
        for job in Job.grid(
            model=model,
            language=KingJames(passes=6),
            tokens=[budget(k) for k in range(5)],
            recipe=[Recipe(), *(kumar(weights=fmt) for fmt in (INT3, INT4, INT6))],
            seed=range(2),
            post=treatments(),
            compute=Compute.TF32,
        )
    )


def facts() -> tuple[Job, ...]:
    """Another architecture and another language: MLPs that learn facts by heart."""
    return tuple(
        job
        for width in (8, 12, 16, 24, 32, 48)
        for job in Job.grid(
            model=MLP(width),
            language=[ZipfFacts(seed=seed) for seed in range(3)],
            tokens=[int(80_000 * 2.5**k) for k in range(6)],
            recipe=[Recipe(), *(kumar(weights=fmt) for fmt in TRAINED)],
            seed=range(2),
            post=treatments(),
            compute=Compute.TF32,
        )
    )


def batches() -> dict[str, tuple[Job, ...]]:
    """Every batch of the table by its name, in the order in which they are made.

    A job is part of the first batch that needs it.

    Examples
    --------
    >>> jobs = [job for batch in batches().values() for job in batch]
    >>> len(jobs) == len({job.key for job in jobs})
    True
    """
    found: dict[str, tuple[Job, ...]] = {}
    declared: set[str] = set()
    for batch in (facts, schedules, controls, formats, parts, main, text, repeats, brief):
        fresh = tuple(job for job in batch() if job.key not in declared)
        declared |= {job.key for job in fresh}
        found[batch.__name__] = fresh
    return found


def _by_bits(model: Transformer, budgets, languages: tuple[Zipfgram, ...], *, seeds: int, holdout: bool = False):
    """One size of the main batch. Full-precision runs also measure the curvature, and some try GPTQ and AWQ."""
    shared = {
        "model": model,
        "language": list(languages),
        "tokens": [budget(k) for k in budgets],
        "seed": range(seeds),
        "post": treatments(),
        "compute": Compute.TF32,
        "holdout": holdout,
    }
    full = Job.grid(**shared, probes=PROBES)
    if model.width in (32, 64, 128):
        recipes = [kumar(weights=fmt) for fmt in (INT3, INT4, INT5)]
        more = tuple(Post(recipe, method) for method in (GPTQ(), AWQ()) for recipe in recipes)
        full = tuple(
            replace(job, post=(*job.post, *more)) if job.seed == 0 and job.language.seed == 0 else job for job in full
        )
    return full + Job.grid(**shared, recipe=[kumar(weights=fmt) for fmt in TRAINED])


def _network(width: int, layers: int = 2) -> Transformer:
    """The network of this edition: no gains, unit embeddings, no decay."""
    return Transformer(width, layers, block=FIRST_EDITION)


def _by_channel() -> tuple[Post, ...]:
    return tuple(Post.of(Quantizer(fmt, PerChannel(axis=-1))) for fmt in INTEGERS)


def _blocks() -> list[Quantizer]:
    """Formats of blocks for weights, blocks along the inputs."""
    scalings = {q: q.scaling for q in (MXFP4, MXFP6, MXFP8, MXINT8, NVFP4, NF4)}
    found = []
    for quantizer, scaling in scalings.items():
        assert isinstance(scaling, (PerBlock, TwoLevel))
        found.append(replace(quantizer, scaling=replace(scaling, axis=0)))
    return found


def _float(exponent: int, fraction: int) -> Format:
    name = f"FP{1 + exponent + fraction}_E{exponent}M{fraction}"
    known = {fmt.name: fmt for fmt in FLOATS}
    return known.get(name) or Format(name=name, exponent_bits=exponent, precision=fraction + 1, specials=Specials.NONE)
