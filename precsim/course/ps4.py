"""Problem set 4: learning through rounding, a quantized layer, GPTQ on two weights, and two questions to real runs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from precsim.course.checking import Exercise, Mistake
from precsim.course.stored_runs import PartRun, Run, part_runs, runs

__all__ = [
    "BEST_TOKENS",
    "EXERCISES",
    "GPTQ_SECOND",
    "HARDEST_PART",
    "LAYER_OUTPUT",
    "STE_WEIGHT",
    "PartRun",
    "Run",
    "layer",
    "part_runs",
    "runs",
]

Matrix = tuple[tuple[float, ...], ...]


# -- straight-through ----------------------------------------------------------------------------------------------


def _grid(w: float, h: float) -> float:
    return h * round(w / h)


def _descend(
    w: float,
    x: float,
    y: float,
    h: float,
    rate: float,
    steps: int,
    *,
    slope: Callable[[float, float, float, float], float] = lambda w, q, x, y: (q * x - y) * x,
    stored: bool = False,
    rounded: bool = False,
) -> float:
    for _ in range(steps):
        q = _grid(w, h)
        w = (q if stored else w) - rate * slope(w, q, x, y)
    return _grid(w, h) if rounded else w


STE_WEIGHT = Exercise(
    name="ste_weight",
    truth=_descend,
    inputs=lambda: (
        (0.875, 1.0, 0.25, 1.0, 0.25, 1),
        (0.875, 2.0, 0.25, 1.0, 0.125, 1),
        (0.25, 1.0, 0.375, 1.0, 0.25, 2),
        (0.875, 1.0, 0.25, 1.0, 0.25, 8),
        (-1.375, 0.5, 0.75, 0.5, 0.5, 12),
        (2.125, -1.0, 0.625, 0.25, 0.125, 20),
    ),
    mistakes=(
        Mistake(
            "unrounded",
            "the network uses the rounded weight, so the error is q(w) x - y; only the factor q'(w) is replaced by 1.",
            functools.partial(_descend, slope=lambda w, q, x, y: (w * x - y) * x),
        ),
        Mistake(
            "no input",
            "the derivative of q x - y by q is x: the error is multiplied with x once more.",
            functools.partial(_descend, slope=lambda w, q, x, y: q * x - y),
        ),
        Mistake(
            "true derivative",
            "the true derivative of the rounding is 0, and so nothing moves; straight-through puts 1 in its place.",
            lambda w, x, y, h, rate, steps: w,
        ),
        Mistake(
            "stored rounded",
            "the step starts from the rounded weight; the optimizer keeps and moves the weight before rounding.",
            functools.partial(_descend, stored=True),
        ),
        Mistake(
            "returns rounded",
            "it returns the rounded weight at the end; asked for is the optimizer's weight.",
            functools.partial(_descend, rounded=True),
        ),
    ),
)


# -- a layer ----------------------------------------------------------------------------------------------------------


def layer(inputs: int, outputs: int, bits: int, *, seed: int) -> tuple[Matrix, tuple[float, ...]]:
    """Return a weight matrix, rows are inputs, and an input vector, all with few binary digits.

    The largest weight of every column is a power of two times the largest integer of the width, so that scales per
    column are powers of two and all results are exact in float64. No weight lies halfway between two grid points.

    Examples
    --------
    >>> W, x = layer(2, 3, 4, seed=0)
    >>> len(W), len(W[0]), len(x)
    (2, 3, 2)
    """
    rng = np.random.default_rng(seed)
    most = 2 ** (bits - 1) - 1
    codes = rng.integers(-most + 1, most, (inputs, outputs)) + rng.choice(
        [-0.375, -0.25, 0.0, 0.25, 0.375], (inputs, outputs)
    )
    for j in range(outputs):
        codes[rng.integers(inputs), j] = most * rng.choice([-1, 1])
    columns = np.exp2(np.arange(outputs) % 4 - 5.0)
    matrix = codes * columns
    return tuple(tuple(row) for row in matrix.tolist()), tuple((rng.integers(-8, 9, inputs) / 4).tolist())


def _output(
    W: Matrix,
    x: Sequence[float],
    bits: int,
    j: int,
    *,
    group: Callable[[Matrix, int, int], Sequence[float]] = lambda W, i, j: [row[j] for row in W],
    levels: int = -1,
    pick: Callable[[float], float] = round,
    back: bool = True,
) -> float:
    total = 0.0
    for i, a in enumerate(x):
        scale = max(map(abs, group(W, i, j))) / (2 ** (bits - 1) + levels)
        total += a * pick(W[i][j] / scale) * (scale if back else 1.0)
    return total


LAYER_OUTPUT = Exercise(
    name="layer_output",
    truth=_output,
    inputs=lambda: (
        (((0.875, 0.25), (0.375, -1.75)), (1.0, 1.0), 4, 0),
        *((*layer(n, m, bits, seed=seed), bits, j) for n, m, bits, seed, j in _LAYERS),
    ),
    mistakes=(
        Mistake(
            "per tensor",
            "it has one scale for the whole matrix; each output, a column of W, has its own.",
            functools.partial(_output, group=lambda W, i, j: [v for row in W for v in row]),
        ),
        Mistake(
            "per input",
            "it takes the largest weight of each row; rows are inputs, and a scale belongs to an output.",
            functools.partial(_output, group=lambda W, i, j: W[i]),
        ),
        Mistake(
            "levels",
            "a symmetric grid of P bits ends at 2**(P-1) - 1, not at 2**(P-1).",
            functools.partial(_output, levels=0),
        ),
        Mistake(
            "not scaled back",
            "the codes are multiplied with x, but not with the scale.",
            functools.partial(_output, back=False),
        ),
        Mistake(
            "cut",
            "it cuts digits off (toward zero) where it should round to the nearest code.",
            functools.partial(_output, pick=int),
        ),
        Mistake(
            "not quantized",
            "it multiplies the weights as they are.",
            lambda W, x, bits, j: sum(a * row[j] for a, row in zip(x, W, strict=True)),
        ),
    ),
)  # fmt: skip
_LAYERS = ((4, 3, 4, 1, 0), (4, 3, 4, 1, 2), (8, 6, 3, 2, 5), (16, 5, 5, 3, 1), (6, 4, 3, 4, 3))


# -- GPTQ --------------------------------------------------------------------------------------------------------------


def _second(
    w1: float,
    w2: float,
    a: float,
    b: float,
    c: float,
    h: float,
    *,
    sign: float = 1.0,
    by: int = 2,
    rounded: bool = True,
) -> float:
    moved = w2 + sign * b / (a if by == 1 else c) * (w1 - _grid(w1, h))
    return _grid(moved, h) if rounded else moved


GPTQ_SECOND = Exercise(
    name="gptq_second",
    truth=_second,
    inputs=lambda: (
        (0.375, 0.25, 1.0, 0.75, 1.0, 1.0),
        (0.375, 0.625, 1.0, -0.75, 1.0, 1.0),
        (0.375, 0.25, 4.0, 1.5, 1.0, 1.0),
        (1.4375, -0.375, 1.0, 0.5, 2.0, 1.0),
        (-0.3125, 0.9375, 2.0, 1.0, 0.75, 0.5),
        (2.0, 0.375, 1.0, 0.5, 1.0, 0.25),
    ),
    mistakes=(
        Mistake(
            "nearest",
            "the second weight is rounded as if nothing had happened; move it first, by what the first one lost.",
            lambda w1, w2, a, b, c, h: _grid(w2, h),
        ),
        Mistake(
            "sign",
            "the second weight moves the wrong way: with b > 0 it must give back what w1 - q1 took.",
            functools.partial(_second, sign=-1.0),
        ),
        Mistake(
            "wrong diagonal",
            "the best answer of the second weight divides by its own second moment, c, not by that of the first.",
            functools.partial(_second, by=1),
        ),
        Mistake(
            "not rounded",
            "the moved weight must still be rounded to the grid.",
            functools.partial(_second, rounded=False),
        ),
        Mistake(
            "rounded too early",
            "the second weight is rounded before it is moved; move it, then round once.",
            lambda w1, w2, a, b, c, h: _second(w1, _grid(w2, h), a, b, c, h),
        ),
    ),
)


# -- the best amount of data -------------------------------------------------------------------------------------------


def _best(
    rows: Sequence[Run],
    bits: float,
    *,
    together: Callable[[list[float]], float] = lambda gaps: math.fsum(gaps) / len(gaps),
    chosen: Callable[[Run, float], bool] = lambda row, bits: row.bits == bits,
    turn: bool = True,
) -> float:
    cells: dict[int, list[float]] = {}
    for row in rows:
        if chosen(row, bits):
            cells.setdefault(row.D, []).append(row.gap)
    best = min(cells, key=lambda D: together(cells[D]))
    return math.inf if turn and best == max(cells) else float(best)


def _least_damage(rows: Sequence[Run], bits: float) -> float:
    full = {(row.D, row.seed): row.gap for row in rows if math.isinf(row.bits)}
    pairs = [row._replace(gap=row.gap - full[row.D, row.seed]) for row in rows if (row.D, row.seed) in full]
    return _best(pairs, bits)


BEST_TOKENS = Exercise(
    name="best_tokens",
    truth=_best,
    inputs=lambda: (
        (runs(1024), 3.0),
        (runs(1024), 2.0),
        (runs(1024), 4.0),
        (runs(4096), 3.0),
        (runs(4096, drop=3), 2.0),
        (runs(1024, drop=3), 3.0),
    ),
    mistakes=(
        Mistake(
            "least damage",
            "the damage of rounding grows with every token; what counts is the gap that is left after rounding.",
            _least_damage,
        ),
        Mistake(
            "sum",
            "amounts of data with fewer seeds look better in a sum; take the mean.",
            functools.partial(_best, together=math.fsum),
        ),
        Mistake(
            "all bits",
            "it mixes networks of all widths; only those rounded to the given bits count.",
            functools.partial(_best, chosen=lambda row, bits: True),
        ),
        Mistake(
            "never",
            "if the mean still falls at the last amount of data, no turn was seen: return math.inf.",
            functools.partial(_best, turn=False),
        ),
        Mistake(
            "as trained",
            "it looks at the networks before rounding, whose gap falls with every token.",
            functools.partial(_best, chosen=lambda row, bits: math.isinf(row.bits), turn=False),
        ),
    ),
)  # fmt: skip


# -- the part that hurts most ------------------------------------------------------------------------------------------


def _penalties(rows: Sequence[PartRun]) -> dict[str, list[float]]:
    full = {row.seed: row.gap for row in rows if row.part == "none"}
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.part != "none" and row.seed in full:
            found.setdefault(row.part, []).append(row.gap - full[row.seed])
    return found


def _hardest(
    rows: Sequence[PartRun],
    *,
    of: Callable[[list[float]], float] = lambda values: math.fsum(values) / len(values),
    paired: bool = True,
    best: Callable = max,
) -> str:
    found = _penalties(rows)
    if not paired:
        found = {part: [row.gap for row in rows if row.part == part] for part in found}
    return best(found, key=lambda part: of(found[part]))


def _kept(bits: int, **seeds: Sequence[int]) -> tuple[PartRun, ...]:
    """Runs of which only these seeds of the named parts are left."""
    lost = [(part, seed) for part, kept in seeds.items() for seed in range(8) if seed not in kept]
    return part_runs(bits, lost=lost)


HARDEST_PART = Exercise(
    name="hardest_part",
    truth=_hardest,
    inputs=lambda: (
        (part_runs(3),),
        (part_runs(2),),
        (_kept(4, weights=(5, 6), activations=(0, 2, 3), kv=(5,)),),
        (_kept(2, activations=(3,)),),
        (_kept(3, weights=(1, 4, 7), activations=(), kv=(1, 4, 5)),),
        (_kept(3, none=(0, 1, 2, 3, 4)),),
    ),
    mistakes=(
        Mistake(
            "not paired",
            "it compares mean gaps of runs from unequal seeds; subtract the run in float32 of its own seed first.",
            functools.partial(_hardest, paired=False),
        ),
        Mistake(
            "one run",
            "it looks at the worst single pair; take the mean over pairs.",
            functools.partial(_hardest, of=max),
        ),
        Mistake(
            "sum",
            "parts with more seeds look worse in a sum; take the mean over pairs.",
            functools.partial(_hardest, of=math.fsum),
        ),
        Mistake("least", "that is the part that hurts least.", functools.partial(_hardest, best=min)),
    ),
)  # fmt: skip

EXERCISES = (STE_WEIGHT, LAYER_OUTPUT, GPTQ_SECOND, BEST_TOKENS, HARDEST_PART)
