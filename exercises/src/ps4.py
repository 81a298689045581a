# %% [markdown]
# # Problem set 4: training in few bits
#
# Five functions, each about ten lines. Replace `raise NotImplementedError`, run the cell, then run the check below it.
# A wrong answer is told which mistake it most likely is. Reading: part 3 of the book.
#
# Rounding to the nearest multiple of a step $h$ is `h * round(w / h)`: Python's `round` takes ties to even. All numbers
# of the first three exercises have few binary digits, so that float64 is exact.

# %%
import math

import precsim as ps
from precsim.course import ps4

# %% [markdown]
# ## 1. Straight-through by hand (2 points)
#
# A network of one weight: it answers $q(w)\,x$, where $q(w)$ is the multiple of $h$ nearest to $w$, and the right
# answer is $y$. The loss is $\frac12 (q(w)\,x - y)^2$. Write `ste_weight`: the optimizer's weight after `steps` steps
# of gradient descent with the straight-through gradient and learning rate `rate`.
#
# By hand first: $w = 0.875$, $x = 1$, $y = 0.25$, $h = 1$, rate 0.25. What is $w$ after one step?


# %% exercise="ste_weight" role="about"
minutes = 20
objectives = {"3-training/quantised-layers": "derive the straight-through gradient"}


# %% exercise="ste_weight" role="answer"
def ste_weight(w: float, x: float, y: float, h: float, rate: float, steps: int) -> float:
    """Weight kept by the optimizer after so many steps."""
    ### BEGIN SOLUTION
    for _ in range(steps):
        q = h * round(w / h)
        w -= rate * (q * x - y) * x
    return w
    ### END SOLUTION


# %% exercise="ste_weight" role="check" points=2
ps.course.check(ps4.STE_WEIGHT, ste_weight)


# %% exercise="ste_weight" role="group" group="other cases" points=1
inputs = [
    (0.125, 2.0, 1.75, 0.5, 0.0625, 30),
    (-3.0, 1.0, 0.5, 2.0, 0.5, 3),
    (1.0, 1.0, 1.0, 1.0, 0.5, 5),
]


# %% exercise="ste_weight" role="wrong" mistake="unrounded"
def ste_weight(w: float, x: float, y: float, h: float, rate: float, steps: int) -> float:
    for _ in range(steps):
        w = w - rate * (w * x - y) * x
    return w


# %% exercise="ste_weight" role="wrong" mistake="stored rounded"
def ste_weight(w: float, x: float, y: float, h: float, rate: float, steps: int) -> float:
    for _ in range(steps):
        w = h * round(w / h)
        w -= rate * (w * x - y) * x
    return w


# %% exercise="ste_weight" role="wrong" mistake="no input"
def ste_weight(w: float, x: float, y: float, h: float, rate: float, steps: int) -> float:
    for _ in range(steps):
        w -= rate * (h * round(w / h) * x - y)
    return w


# %% exercise="ste_weight" role="wrong" mistake="returns rounded"
def ste_weight(w: float, x: float, y: float, h: float, rate: float, steps: int) -> float:
    for _ in range(steps):
        w -= rate * (h * round(w / h) * x - y) * x
    return h * round(w / h)


# %% [markdown]
# ## 2. A quantized layer (3 points)
#
# `W` is a matrix as a tuple of rows, one row for each input; its columns are outputs. Write `layer_output`: output
# number `j` of the layer for the input vector `x`, with weights quantized to symmetric integers of `bits` bits, one
# scale for each output. The largest weight of a column lies on the last code, $2^{P-1} - 1$.


# %% exercise="layer_output" role="about"
minutes = 25
objectives = {"3-training/quantised-layers": "choose which numbers share a scale"}


# %% exercise="layer_output" role="answer"
def layer_output(W, x, bits: int, j: int) -> float:
    """Sum over inputs i of x[i] q(W[i][j]), column j of W quantized with its own scale."""
    ### BEGIN SOLUTION
    column = [row[j] for row in W]
    scale = max(abs(w) for w in column) / (2 ** (bits - 1) - 1)
    return sum(a * scale * round(w / scale) for a, w in zip(x, column, strict=True))
    ### END SOLUTION


# %% exercise="layer_output" role="check" points=3
ps.course.check(ps4.LAYER_OUTPUT, layer_output)


# %% exercise="layer_output" role="group" group="other layers" points=2
layers = [(*ps4.layer(7, 5, 3 + seed % 3, seed=seed), 3 + seed % 3) for seed in range(10, 20)]
inputs = [(*layer, j) for layer in layers for j in range(5)]


# %% exercise="layer_output" role="wrong" mistake="per tensor"
def layer_output(W, x, bits: int, j: int) -> float:
    scale = max(abs(w) for row in W for w in row) / (2 ** (bits - 1) - 1)
    return sum(a * scale * round(row[j] / scale) for a, row in zip(x, W, strict=True))


# %% exercise="layer_output" role="wrong" mistake="levels"
def layer_output(W, x, bits: int, j: int) -> float:
    scale = max(abs(row[j]) for row in W) / 2 ** (bits - 1)
    return sum(a * round(row[j] / scale) * scale for a, row in zip(x, W, strict=True))


# %% exercise="layer_output" role="wrong" mistake="cut"
def layer_output(W, x, bits: int, j: int) -> float:
    scale = max(abs(row[j]) for row in W) / (2 ** (bits - 1) - 1)
    return sum(a * int(row[j] / scale) * scale for a, row in zip(x, W, strict=True))


# %% [markdown]
# ## 3. GPTQ on two weights (3 points)
#
# The output is $x_1 w_1 + x_2 w_2$, and $\mathbb{E}\,x x^\top = \begin{pmatrix} a & b \\ b & c \end{pmatrix}$. GPTQ
# rounds $w_1$ to $q_1$, moves $w_2$ to where $\mathbb{E}\,(x^\top (w - q))^2$ is least for this $q_1$, and rounds it
# to $q_2$. Write `gptq_second`: the value of $q_2$ on a grid of step $h$. Set the derivative by the second weight to
# zero to see where it moves to.


# %% exercise="gptq_second" role="about"
minutes = 30
objectives = {"3-training/after-training": "carry out GPTQ on two weights by hand"}


# %% exercise="gptq_second" role="answer"
def gptq_second(w1: float, w2: float, a: float, b: float, c: float, h: float) -> float:
    """Second weight after GPTQ."""
    ### BEGIN SOLUTION
    q1 = h * round(w1 / h)
    moved = w2 + b / c * (w1 - q1)
    return h * round(moved / h)
    ### END SOLUTION


# %% exercise="gptq_second" role="check" points=3
ps.course.check(ps4.GPTQ_SECOND, gptq_second)


# %% exercise="gptq_second" role="group" group="other cases" points=2
inputs = [
    (0.4375, 0.3125, 1.0, 0.5, 0.5, 0.5),
    (-1.3125, 0.1875, 3.0, -1.0, 1.0, 1.0),
    (0.3125, 0.0625, 1, 0, 1, 1),
]


# %% exercise="gptq_second" role="wrong" mistake="nearest"
def gptq_second(w1: float, w2: float, a: float, b: float, c: float, h: float) -> float:
    return h * round(w2 / h)


# %% exercise="gptq_second" role="wrong" mistake="sign"
def gptq_second(w1: float, w2: float, a: float, b: float, c: float, h: float) -> float:
    q1 = h * round(w1 / h)
    return h * round((w2 + b / c * (q1 - w1)) / h)


# %% exercise="gptq_second" role="wrong" mistake="wrong diagonal"
def gptq_second(w1: float, w2: float, a: float, b: float, c: float, h: float) -> float:
    q1 = h * round(w1 / h)
    return h * round((w2 + b / a * (w1 - q1)) / h)


# %% [markdown]
# ## 4. Find the U (2 points)
#
# `ps4.runs(N)` are real runs: networks trained in float32 on five amounts of data and then rounded. Each row has
# `D` (tokens), `bits` (after training; `math.inf` for the network as trained), `seed` and `gap`. Write `best_tokens`:
# the amount of data with the least mean gap over seeds at the given bits. Return `math.inf` if that is the largest
# amount tried, because then no turn was seen. Some runs may have been lost, so amounts may have unequal numbers of
# seeds.


# %% exercise="best_tokens" role="about"
minutes = 20
objectives = {"4-laws/degradation-and-critical-data": "compute the critical number of tokens"}


# %% exercise="best_tokens" role="answer"
def best_tokens(rows, bits: float) -> float:
    """Tokens at which the mean gap of networks with these bits after training is least."""
    ### BEGIN SOLUTION
    gaps = {}
    for row in rows:
        if row.bits == bits:
            gaps.setdefault(row.D, []).append(row.gap)
    best = min(gaps, key=lambda D: sum(gaps[D]) / len(gaps[D]))
    return math.inf if best == max(gaps) else best
    ### END SOLUTION


# %% exercise="best_tokens" role="check" points=2
ps.course.check(ps4.BEST_TOKENS, best_tokens)


# %% exercise="best_tokens" role="group" group="other rows" points=1
tables = [ps4.runs(N, drop=drop) for N in (1024, 4096) for drop in (0, 3, 5, 6, 9)]
inputs = [(rows, bits) for rows in tables for bits in (2.0, 3.0, 4.0)]


# %% exercise="best_tokens" role="wrong" mistake="sum"
def best_tokens(rows, bits: float) -> float:
    total = {}
    for row in rows:
        if row.bits == bits:
            total[row.D] = total.get(row.D, 0.0) + row.gap
    best = min(total, key=total.get)
    return math.inf if best == max(total) else best


# %% exercise="best_tokens" role="wrong" mistake="never"
def best_tokens(rows, bits: float) -> float:
    amounts = {row.D for row in rows if row.bits == bits}
    cells = {D: [row.gap for row in rows if (row.D, row.bits) == (D, bits)] for D in amounts}
    return min(cells, key=lambda D: sum(cells[D]) / len(cells[D]))


# %% exercise="best_tokens" role="wrong" mistake="least damage"
def best_tokens(rows, bits: float) -> float:
    full = {(row.D, row.seed): row.gap for row in rows if row.bits == math.inf}
    damage = {}
    for row in rows:
        if row.bits == bits and (row.D, row.seed) in full:
            damage.setdefault(row.D, []).append(row.gap - full[row.D, row.seed])
    best = min(damage, key=lambda D: sum(damage[D]) / len(damage[D]))
    return math.inf if best == max(damage) else best


# %% [markdown]
# ## 5. Which part hurts most? (2 points)
#
# `ps4.part_runs(bits)` are real runs of a small transformer: rows with `part` ("weights", "activations" or "kv" in few
# bits, or "none"), `seed` and `gap`. Write `hardest_part`: the name of the part with the largest mean *paired* penalty,
# the gap less that of "none" from the same seed. A run whose partner was lost is left out.


# %% exercise="hardest_part" role="about"
minutes = 25
objectives = {"3-training/weights-activations-kv": "rank weights, activations and KV cache"}


# %% exercise="hardest_part" role="answer"
def hardest_part(rows) -> str:
    """Name of the part that costs most, by the mean over pairs of equal seed."""
    ### BEGIN SOLUTION
    full = {row.seed: row.gap for row in rows if row.part == "none"}
    penalty = {}
    for row in rows:
        if row.part != "none" and row.seed in full:
            penalty.setdefault(row.part, []).append(row.gap - full[row.seed])
    return max(penalty, key=lambda part: sum(penalty[part]) / len(penalty[part]))
    ### END SOLUTION


# %% exercise="hardest_part" role="check" points=2
ps.course.check(ps4.HARDEST_PART, hardest_part)


# %% exercise="hardest_part" role="group" group="other rows" points=1
def without(bits, seed):
    return ps4.part_runs(bits, lost=[("activations", s) for s in range(8) if s != seed] + [("none", 7 - seed)])


tables = [without(bits, seed) for bits in (2, 3, 4) for seed in range(8)]
inputs = [(rows,) for rows in tables if len({row.part for row in rows}) == 4]


# %% exercise="hardest_part" role="wrong" mistake="not paired"
def hardest_part(rows) -> str:
    def mean(part):
        gaps = [row.gap for row in rows if row.part == part]
        return sum(gaps) / len(gaps)

    return max({row.part for row in rows if row.part != "none"}, key=mean)


# %% exercise="hardest_part" role="wrong" mistake="sum"
def hardest_part(rows) -> str:
    full = {row.seed: row.gap for row in rows if row.part == "none"}
    total = {}
    for row in rows:
        if row.part != "none" and row.seed in full:
            total[row.part] = total.get(row.part, 0.0) + row.gap - full[row.seed]
    return max(total, key=total.get)


# %% exercise="hardest_part" role="wrong" mistake="least"
def hardest_part(rows) -> str:
    full = {row.seed: row.gap for row in rows if row.part == "none"}
    pairs = [(row.part, row.gap - full[row.seed]) for row in rows if row.part != "none" and row.seed in full]
    mean = {part: sum(v for p, v in pairs if p == part) / sum(p == part for p, _ in pairs) for part, _ in pairs}
    return min(mean, key=mean.get)
