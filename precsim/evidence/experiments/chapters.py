"""The experiments of the chapters: small enough for a laptop; what they gave ships with the package (`lessons`).

Each returns `Cell`s, jobs with the labels by which a chart tells them apart; `run` trains them and gives their table.
Where some jobs round a tensor and others do not, the others round it to FP32, which changes nothing: so all of them
have the same places, and one program trains them and one evaluates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from precsim.models import FIRST_EDITION, MLP, Transformer
from precsim.models.recipes import PerLayer, Recipe, Stored, kumar, per_token
from precsim.numerics.arithmetic import Accumulator, Order
from precsim.numerics.formats import FP8_E4M3, FP8_E5M2, FP32, INT2, INT3, INT4, INT5, INT6, Format
from precsim.numerics.modes import Rounding
from precsim.numerics.quantize import PerChannel, Quantizer
from precsim.training.job import Job
from precsim.training.languages.synthetic import ZipfFacts, Zipfgram
from precsim.training.ptq import AWQ, GPTQ, RTN, Post
from precsim.training.sweeps import Local, sweep

__all__ = [
    "Cell",
    "accumulators",
    "activation_scales",
    "courses",
    "decayed",
    "labeled",
    "loss_scales",
    "master_weights",
    "one_sitting",
    "parts",
    "run",
    "seeds",
    "shifted",
    "significand",
    "treatments",
    "twice",
    "two_lengths",
]

_BITS = (INT2, INT3, INT4, INT5, INT6)


@dataclass(frozen=True, slots=True)
class Cell:
    """One job of an experiment and what it is called there.

    Attributes
    ----------
    job : Job
    labels : mapping of str to str or float
        Columns that its rows get besides those of `runs.COLUMNS`.
    """

    job: Job
    labels: Mapping[str, str | float]


def run(cells: Iterable[Cell], *, members: int = 48) -> pd.DataFrame:
    """Train the jobs of an experiment in this process; one row for each (cell, evaluation), labels as columns.

    Parameters
    ----------
    cells : iterable of Cell
        With the same labels each. Two cells may share a job, which is then trained once.
    members : int
        Most models side by side.

    Raises
    ------
    ValueError
        If there are no cells, or their labels differ in name.

    Examples
    --------
    >>> job = Job(model=MLP(4), language=ZipfFacts(vocabulary=8), tokens=2_000)
    >>> table = run([Cell(job, {"name": "once"}), Cell(replace(job, seed=1), {"name": "again"})])
    >>> table["name"].tolist()
    ['once', 'again']
    """
    cells = list(cells)
    _names(cells)  # before anything is trained
    return labeled(cells, sweep([cell.job for cell in cells], where=Local(members), progress=False))


def labeled(cells: Iterable[Cell], table: pd.DataFrame) -> pd.DataFrame:
    """Put the labels of an experiment beside the rows of its jobs; a label goes before a column of the same name.

    Raises
    ------
    ValueError
        If there are no cells, or their labels differ in name.

    Examples
    --------
    >>> import pandas as pd
    >>> job = Job(model=MLP(4), language=ZipfFacts(vocabulary=8), tokens=2_000)
    >>> labeled([Cell(job, {"name": "once"})], pd.DataFrame({"job": [job.key], "gap": [0.5]}))[["name", "gap"]]
       name  gap
    0  once  0.5
    """
    cells = list(cells)
    clash = [name for name in _names(cells) if name in table.columns]
    labels = pd.DataFrame([{"job": cell.job.key, **cell.labels} for cell in cells])
    return labels.merge(table.drop(columns=clash), on="job")


def _names(cells: Sequence[Cell]) -> tuple[str, ...]:
    names = {tuple(sorted(cell.labels)) for cell in cells}
    if len(names) != 1:
        raise ValueError(f"an experiment needs cells with the same labels; received {len(cells)} with {sorted(names)}")
    return names.pop()


# -- formats -------------------------------------------------------------------------------------------------------


def significand(precision: int) -> Format:
    """Return a format with the exponents of float32 and so many significand bits; 8 bits make BF16.

    Examples
    --------
    >>> significand(8).eps == FP32.eps * 2**16
    True
    """
    return Format(name=f"p{precision}", exponent_bits=8, precision=precision)


def shifted(fmt: Format, k: int) -> Format:
    """Return the format whose values are those of `fmt` divided by 2**k: a constant scale, as a change of the bias.

    Examples
    --------
    >>> shifted(FP8_E4M3, 10).maximum == FP8_E4M3.maximum / 2**10
    True
    """
    bias = 2 ** (fmt.exponent_bits - 1) - 1 if fmt.bias is None else fmt.bias
    return replace(fmt, name=f"{fmt.name}/2^{k}", bias=bias + k)


def _everywhere(rule: Any, *ends: str) -> PerLayer:
    return PerLayer(default=rule, layers=dict.fromkeys(ends, rule))


# -- what breaks -----------------------------------------------------------------------------------------------------


def loss_scales(
    formats: Sequence[Format] = (FP8_E4M3, FP8_E5M2), exponents: Iterable[int] = range(-6, 23, 2)
) -> tuple[Cell, ...]:
    """Gradients kept in 8 bits with one constant scale 2^k: underflow at one end, overflow at the other.

    Labels: "format" and "k". The gradients of every product are rounded, that of the unembedding too.

    Examples
    --------
    >>> len(loss_scales(exponents=[0, 8]))
    4
    """
    cells = []
    for fmt in formats:
        for k in exponents:
            rule = _everywhere(Stored(shifted(fmt, k)), "head")
            job = Job(model=MLP(8), language=ZipfFacts(), tokens=100_000, recipe=Recipe(gradients=rule))
            cells.append(Cell(job, {"format": fmt.name, "k": k}))
    return tuple(cells)


def master_weights(
    precisions: Iterable[int] = (3, 4, 5, 6, 7, 8, 11), rates: Sequence[float] = (0.01, 0.0025, 0.0006)
) -> tuple[Cell, ...]:
    """All weights kept in few significand bits between steps, rounded to nearest or stochastically, at several rates.

    Labels: "precision" [bits], "rounding", "rate" (peak learning rate).

    Examples
    --------
    >>> len(master_weights(precisions=[8], rates=[0.01]))
    2
    """
    cells = []
    for name, mode in (("nearest-even", Rounding.NEAREST_EVEN), ("stochastic", Rounding.STOCHASTIC_A)):
        for precision in precisions:
            rule = _everywhere(Stored(significand(precision), mode), "embedding", "head")
            for rate in rates:
                job = Job(
                    model=MLP(8),
                    language=ZipfFacts(),
                    tokens=100_000,
                    learning_rate=rate,
                    recipe=Recipe(master=rule),
                )
                cells.append(Cell(job, {"precision": precision, "rounding": name, "rate": rate}))
    return tuple(cells)


def accumulators(precisions: Iterable[int] = (2, 3, 4, 5, 6, 8), blocks: Sequence[int] = (4, 16)) -> tuple[Cell, ...]:
    """Sums of products rounded to few significand bits after every block of terms.

    Labels: "precision" [bits] and "block", terms summed in float32 between two roundings. Sums have 8 and 32 terms.

    Examples
    --------
    >>> len(accumulators([4], blocks=[16]))
    1
    """
    cells = []
    for block in blocks:
        for precision in precisions:
            sums = Accumulator(significand(precision), Order.BLOCKED, block=block, inner=FP32)
            recipe = Recipe(accumulator=_everywhere(sums, "head"))
            job = Job(model=MLP(8), language=ZipfFacts(), tokens=100_000, recipe=recipe)
            cells.append(Cell(job, {"precision": precision, "block": f"{block} terms"}))
    return tuple(cells)


# -- which part ------------------------------------------------------------------------------------------------------


def activation_scales(bits: Sequence[Format] = (INT2, INT3, INT4), seeds: Iterable[int] = range(4)) -> tuple[Cell, ...]:
    """Weights by activations of an MLP in every pair of widths, one activation scale for a tensor or for each token.

    Labels: "W" and "A" [bits; inf: float32] and "scale". The paper's scales are those of "per tensor".

    Examples
    --------
    >>> len(activation_scales())
    128
    """
    seeds = list(seeds)
    cells = []
    for name, how in (("per tensor", kumar), ("per token", per_token)):
        for weights in (*bits, FP32):
            for activations in (*bits, FP32):
                recipe = how(weights=weights, activations=activations)
                for seed in seeds:
                    job = Job(model=MLP(8), language=ZipfFacts(), tokens=80_000, recipe=recipe, seed=seed)
                    cells.append(Cell(job, {"W": _width(weights), "A": _width(activations), "scale": name}))
    return tuple(cells)


def parts(bits: Sequence[Format] = (INT2, INT3, INT4), seeds: Iterable[int] = range(3)) -> tuple[Cell, ...]:
    """A small transformer with weights, activations or KV cache in few bits, one part at a time and all together.

    Labels: "part" and "bits" (inf for the model in float32, which every part has). Scales as in the paper.

    Examples
    --------
    >>> len(parts(bits=[INT4], seeds=[0]))
    8
    """
    kinds = {
        "weights": ("weights",),
        "activations": ("activations",),
        "KV cache": ("kv",),
        "all three": ("weights", "activations", "kv"),
    }
    cells = []
    seeds = list(seeds)
    for part, names in kinds.items():
        for fmt in (*bits, FP32):
            given = {**dict.fromkeys(kinds["all three"], FP32), **dict.fromkeys(names, fmt)}
            for seed in seeds:
                job = Job(
                    model=Transformer(16, layers=1, window=32, block=FIRST_EDITION),
                    language=Zipfgram(order=2),
                    tokens=80_000,
                    recipe=kumar(**given),
                    seed=seed,
                )
                cells.append(Cell(job, {"part": part, "bits": _width(fmt)}))
    return tuple(cells)


# -- populations -----------------------------------------------------------------------------------------------------


def seeds(count: int = 24, weights: Format = INT4) -> tuple[Cell, ...]:
    """The same model from many seeds, in float32 and with weights in few bits: the same starts, the same data.

    Labels: "recipe".

    Examples
    --------
    >>> len(seeds(3))
    6
    """
    shared = {"model": MLP(8), "language": ZipfFacts(), "tokens": 100_000}
    return tuple(
        Cell(Job(**shared, recipe=recipe, seed=seed), {"recipe": name})
        for name, recipe in (("float32", kumar(weights=FP32)), (weights.name, kumar(weights=weights)))
        for seed in range(count)
    )


# -- after training --------------------------------------------------------------------------------------------------


def treatments(formats: Sequence[Format] = _BITS, seeds: Iterable[int] = range(4)) -> tuple[Cell, ...]:
    """Models trained in float32, then rounded by each of three methods to each format.

    Labels: none besides the columns of the table ("post" and "post_method").

    Examples
    --------
    >>> len(treatments()), len(treatments()[0].job.post)
    (4, 15)
    """
    post = tuple(Post(kumar(weights=fmt), method) for method in (RTN(), GPTQ(), AWQ()) for fmt in formats)
    return tuple(
        Cell(Job(model=MLP(16), language=ZipfFacts(), tokens=400_000, seed=seed, post=post), {}) for seed in seeds
    )


def twice(formats: Sequence[Format] = _BITS, seeds: Sequence[int] = range(3)) -> tuple[Cell, ...]:
    """Every width of weights in training with every width after it; looked at along the run.

    Labels: "trained" [bits; inf: float32].

    Examples
    --------
    >>> len(twice())
    18
    """
    post = tuple(Post(kumar(weights=fmt)) for fmt in formats)
    return tuple(
        Cell(
            Job(
                model=MLP(16),
                language=ZipfFacts(),
                tokens=400_000,
                recipe=kumar(weights=fmt),
                seed=seed,
                post=post,
                looks=(50_000, 100_000, 200_000),
            ),
            {"trained": _width(fmt)},
        )
        for fmt in (*formats, FP32)
        for seed in seeds
    )


# -- why it hurts ----------------------------------------------------------------------------------------------------


def two_lengths(formats: Sequence[Format] = _BITS, seeds: Iterable[int] = range(4)) -> tuple[Cell, ...]:
    """Models trained in float32 for two lengths and rounded, with the damage that their curvature predicts.

    Examples
    --------
    >>> len(two_lengths()), len(two_lengths()[0].job.post)
    (8, 5)
    """
    post = tuple(_per_channel(fmt) for fmt in formats)
    jobs = Job.grid(model=MLP(16), language=ZipfFacts(), seed=seeds, tokens=[100_000, 400_000], post=post, probes=32)
    return tuple(Cell(job, {}) for job in jobs)


def decayed() -> tuple[Cell, ...]:
    """One seed for two lengths, with and without weight decay; rounded to 4 bits, with curvatures.

    Examples
    --------
    >>> len(decayed())
    4
    """
    shared = {"model": MLP(16), "language": ZipfFacts(), "post": (_per_channel(INT4),), "probes": 24}
    jobs = Job.grid(**shared, tokens=[60_000, 240_000], weight_decay=[0.0, 0.3])
    return tuple(Cell(job, {}) for job in jobs)


def courses(formats: Sequence[Format] = (INT2, INT3, INT4), seeds: Iterable[int] = range(4)) -> tuple[Cell, ...]:
    """Models trained in float32 and in few bits, looked at along the run.

    Examples
    --------
    >>> len(courses()), len(courses()[0].job.look_steps)
    (16, 7)
    """
    looks = tuple(int(20_000 * 1.6**k) for k in range(6))
    shared = {"model": MLP(16), "language": ZipfFacts(), "tokens": 400_000, "looks": looks}
    recipes = (Recipe(), *(kumar(weights=fmt) for fmt in formats))
    return tuple(Cell(Job(**shared, recipe=recipe, seed=seed), {}) for seed in seeds for recipe in recipes)


def _width(fmt: Format) -> float:
    return float("inf") if fmt == FP32 else float(fmt.bits)


# -- the opening chapter ---------------------------------------------------------------------------------------------


def one_sitting() -> tuple[Job, ...]:
    """The sweep of the opening chapter: 180 small networks that show both precision laws, in about a minute.

    Four widths times five budgets of tokens, a factor 2.5 apart. In each cell nine models learn the same facts:
    four in float32 that differ in their seed, and one in each of INT2 to INT6 weights. All are rounded after
    training to INT2 to INT6 (one scale for each output channel). The excess loss is exact, so E = 0.

    Returns
    -------
    tuple of Job, length 180
        Four shapes; 900 evaluations after training besides the 180 as trained.

    Examples
    --------
    >>> jobs = one_sitting()
    >>> len(jobs), sorted({job.N for job in jobs}), len({job.tokens for job in jobs})
    (180, [1024, 2304, 4096, 9216], 5)
    """
    shared = {
        "model": [MLP(width) for width in (8, 12, 16, 24)],
        "language": ZipfFacts(),
        "tokens": [80_000, 200_000, 500_000, 1_250_000, 3_125_000],
        "post": tuple(_per_channel(format) for format in _BITS),
    }
    low = [Recipe(weights=_per_channel(format)) for format in _BITS]
    return Job.grid(**shared, seed=range(4)) + Job.grid(**shared, recipe=low)


def _per_channel(format: Format) -> Quantizer:
    return Quantizer(format, PerChannel(axis=-1))
