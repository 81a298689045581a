# %% [markdown]
# # Problem set 3: sums, chunks, bounds
#
# Five functions, each about ten lines. Replace `raise NotImplementedError`, run the cell, then run the check below it.
# A wrong answer is told which mistake it most likely is. Reading: part 2 of the book, and *Range and subnormals* for
# the last exercise.
#
# Two functions are given: `bf16(x)` rounds a number to BF16, `fp32(x)` to float32, both nearest-even. Python's own
# arithmetic is in float64, wide enough to hold every intermediate result below: so `bf16(a + b)` is a BF16 addition.

# %%
import math

import numpy as np

import precsim as ps
from precsim.course import ps3
from precsim.course.ps3 import bf16, fp32

# %% [markdown]
# ## 1. Compensated summation (3 points)
#
# Write `kahan_sum`. For each term $t$ after the first: $y = t - c$, $s' = s + y$, $c = (s' - s) - y$, then $s'$ takes
# the place of $s$. Begin with the first term and $c = 0$. Each of the four operations is rounded to BF16. Return $s$.
#
# By hand first: what are $s$ and $c$ after the terms 256, 1, 1?


# %% exercise="kahan_sum" role="about"
minutes = 25
objectives = {"2-arithmetic/sums": "compare one-after-the-other, pairwise, blocked and compensated"}


# %% exercise="kahan_sum" role="answer"
def kahan_sum(terms) -> float:
    """Sum of values of BF16 by Kahan's algorithm, every operation rounded to BF16."""
    ### BEGIN SOLUTION
    s, c = terms[0], 0.0
    for t in terms[1:]:
        y = bf16(t - c)
        new = bf16(s + y)
        c = bf16(bf16(new - s) - y)
        s = new
    return s
    ### END SOLUTION


# %% exercise="kahan_sum" role="check" points=3
ps.course.check(ps3.KAHAN, kahan_sum)


# %% exercise="kahan_sum" role="group" group="other terms" points=2
inputs = [(ps3.terms(n, seed=n + 10),) for n in (1, 2, 50, 400)]


# %% exercise="kahan_sum" role="wrong" mistake="naive"
def kahan_sum(terms) -> float:
    s = terms[0]
    for t in terms[1:]:
        s = bf16(s + t)
    return s


# %% exercise="kahan_sum" role="wrong" mistake="sign"
def kahan_sum(terms) -> float:
    s, c = 0.0, 0.0
    for t in terms:
        y = bf16(t + c)
        s, before = bf16(s + y), s
        c = bf16(bf16(s - before) - y)
    return s


# %% exercise="kahan_sum" role="wrong" mistake="wide"
def kahan_sum(terms) -> float:
    s, c = 0.0, 0.0
    for t in terms:
        y = t - c
        s, before = s + y, s
        c = (s - before) - y
    return bf16(s)


# %% [markdown]
# ## 2. Pairwise summation (2 points)
#
# Write `pairwise_sum`: add neighbors (first and second, third and fourth, ...), rounding each sum to BF16. If a term
# is left over, it goes on as it is. Repeat with the list of results until one number is left.


# %% exercise="pairwise_sum" role="about"
minutes = 20
objectives = {"2-arithmetic/sums": "compare one-after-the-other, pairwise, blocked and compensated"}


# %% exercise="pairwise_sum" role="answer"
def pairwise_sum(terms) -> float:
    """Sum of values of BF16 by adding neighbors, every addition rounded to BF16."""
    ### BEGIN SOLUTION
    level = list(terms)
    while len(level) > 1:
        left = level[-1:] if len(level) % 2 else []
        level = [bf16(level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)] + left
    return level[0]
    ### END SOLUTION


# %% exercise="pairwise_sum" role="check" points=2
ps.course.check(ps3.PAIRWISE, pairwise_sum)


# %% exercise="pairwise_sum" role="group" group="other terms" points=1
inputs = [(ps3.terms(n, seed=n + 20),) for n in (1, 2, 3, 63, 64, 65, 1000)]


# %% exercise="pairwise_sum" role="wrong" mistake="one by one"
def pairwise_sum(terms) -> float:
    s = 0.0
    for t in terms:
        s = bf16(s + t)
    return s


# %% exercise="pairwise_sum" role="wrong" mistake="halves"
def pairwise_sum(terms) -> float:
    middle = len(terms) // 2
    return terms[0] if middle == 0 else bf16(pairwise_sum(terms[:middle]) + pairwise_sum(terms[middle:]))


# %% exercise="pairwise_sum" role="wrong" mistake="odd one lost"
def pairwise_sum(terms) -> float:
    while len(terms) > 1:
        terms = [bf16(terms[2 * i] + terms[2 * i + 1]) for i in range(len(terms) // 2)]
    return terms[0]


# %% [markdown]
# ## 3. A dot product in chunks (3 points)
#
# Write `chunked_dot` as hardware with a narrow accumulator is used: products are exact; a chunk of `block` products is
# summed one by one, and each sum is rounded to BF16 (the first product of a chunk is taken as it is); the chunk's sum
# is then added to a running number in float32, which begins at 0. The last chunk may be shorter.


# %% exercise="chunked_dot" role="about"
minutes = 30
objectives = {"2-arithmetic/dot-products": "predict what the chunk size of a tensor core does"}


# %% exercise="chunked_dot" role="answer"
def chunked_dot(x, y, block: int) -> float:
    """Dot product with sums of BF16 within chunks and of float32 over chunks."""
    ### BEGIN SOLUTION
    s = 0.0
    for first in range(0, len(x), block):
        products = [a * b for a, b in zip(x[first : first + block], y[first : first + block], strict=True)]
        part = products[0]
        for product in products[1:]:
            part = bf16(part + product)
        s = fp32(s + part)
    return s
    ### END SOLUTION


# %% exercise="chunked_dot" role="check" points=3
ps.course.check(ps3.CHUNKED_DOT, chunked_dot)


# %% exercise="chunked_dot" role="group" group="other chunk sizes" points=2
x, y = (ps.round_to(v, ps.FP8_E4M3).tolist() for v in np.random.default_rng(5).normal(size=(2, 777)))
inputs = [(tuple(x), tuple(y), block) for block in (1, 7, 64, 777, 1000)]


# %% exercise="chunked_dot" role="wrong" mistake="no chunks"
def chunked_dot(x, y, block: int) -> float:
    s = x[0] * y[0]
    for a, b in zip(x[1:], y[1:], strict=True):
        s = bf16(s + a * b)
    return fp32(s)


# %% exercise="chunked_dot" role="wrong" mistake="outer in BF16"
def chunked_dot(x, y, block: int) -> float:
    s = 0.0
    for first in range(0, len(x), block):
        part = x[first] * y[first]
        for i in range(first + 1, min(first + block, len(x))):
            part = bf16(part + x[i] * y[i])
        s = bf16(s + part)
    return s


# %% exercise="chunked_dot" role="wrong" mistake="last chunk"
def chunked_dot(x, y, block: int) -> float:
    s = 0.0
    for k in range(len(x) // block):
        part = x[k * block] * y[k * block]
        for i in range(k * block + 1, (k + 1) * block):
            part = bf16(part + x[i] * y[i])
        s = fp32(s + part)
    return s


# %% [markdown]
# ## 4. Which accumulator is wide enough? (2 points)
#
# A sum of $n$ terms, one by one, has an error of at most $\gamma_{n-1}\sum|x_i|$, with
# $\gamma_k = k u / (1 - k u)$ for $k u < 1$ and $u = 2^{-p}$. Write `precision_needed`, the least precision $p \ge 2$
# for which $\gamma_{n-1}$ is at most `tolerance`. Try it before you write: how many bits for 1000 terms and 1 %?


# %% exercise="precision_needed" role="about"
minutes = 20
objectives = {"2-arithmetic/error-bounds": "decide from $n$ and $u$ whether an accumulator is safe"}


# %% exercise="precision_needed" role="answer"
def precision_needed(n: int, tolerance: float) -> int:
    """Least number of significand bits with which n terms, n >= 2, are summed within the tolerance for sure."""
    ### BEGIN SOLUTION
    p = 2
    while (n - 1) * 2.0**-p >= 1 or (n - 1) * 2.0**-p / (1 - (n - 1) * 2.0**-p) > tolerance:
        p += 1
    return p
    ### END SOLUTION


# %% exercise="precision_needed" role="check" points=2
ps.course.check(ps3.PRECISION, precision_needed)


# %% exercise="precision_needed" role="group" group="other numbers of terms" points=1
inputs = [(n, t) for n in (2, 3, 17, 129, 5000, 10**5) for t in (1e-4, 0.004, 0.3)]


# %% exercise="precision_needed" role="wrong" mistake="eps"
def precision_needed(n: int, tolerance: float) -> int:
    return next(p for p in range(2, 60) if ps.arithmetic.gamma(n - 1, 2.0 ** (1 - p)) <= tolerance)


# %% exercise="precision_needed" role="wrong" mistake="first order"
def precision_needed(n: int, tolerance: float) -> int:
    return max(2, math.ceil(math.log2((n - 1) / tolerance)))


# %% exercise="precision_needed" role="wrong" mistake="square root"
def precision_needed(n: int, tolerance: float) -> int:
    return next(p for p in range(2, 60) if ps.arithmetic.gamma(math.isqrt(n - 1), 2.0**-p) <= tolerance)


# %% [markdown]
# ## 5. A safe loss scale (2 points)
#
# Gradients are to be stored in FP16 after multiplication by $2^k$. Write `loss_scale`: the largest integer $k$ with
# which no gradient is larger in magnitude than 65504, FP16's largest value. $k$ may be negative. The gradients are not
# all zero.


# %% exercise="loss_scale" role="about"
minutes = 25
objectives = {"1-numbers/range-and-subnormals": "choose a loss scale for gradients"}


# %% exercise="loss_scale" role="answer"
def loss_scale(gradients) -> int:
    """Largest k for which 2**k times every gradient stays within FP16."""
    ### BEGIN SOLUTION
    largest = max(abs(g) for g in gradients)
    return math.floor(math.log2(65504 / largest))
    ### END SOLUTION


# %% exercise="loss_scale" role="check" points=2
ps.course.check(ps3.LOSS_SCALE, loss_scale)


# %% exercise="loss_scale" role="group" group="other gradients" points=1
inputs = [(tuple((np.random.default_rng(s).standard_cauchy(50) * 1e-5).tolist()),) for s in range(20)]


# %% exercise="loss_scale" role="wrong" mistake="signed"
def loss_scale(gradients) -> int:
    return math.floor(math.log2(65504 / max(gradients)))


# %% exercise="loss_scale" role="wrong" mistake="binade"
def loss_scale(gradients) -> int:
    return 16 - max(math.frexp(g)[1] for g in gradients)


# %% exercise="loss_scale" role="wrong" mistake="smallest"
def loss_scale(gradients) -> int:
    return math.floor(math.log2(65504 / min(abs(g) for g in gradients)))
