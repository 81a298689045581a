# %% [markdown]
# # Problem set 6: plans
#
# Five functions. Replace `raise NotImplementedError`, run the cell, then run the check below it. A wrong answer is told
# which mistake it most likely is. Reading: part 5 of the book.

# %%
import math

import numpy as np

import precsim as ps
from precsim.course import ps6
from precsim.course.ps6 import SIZES, WIDTHS, loss, share, tokens_for

# %% [markdown]
# ## 1. The best size for a budget (2 points)
#
# The law is $L = E + A N^{-\alpha} + B D^{-\beta}$ and training costs $C = 6 N D$. Write `best_size`: the $N$ of least
# loss. By hand first: set the derivative with respect to $\ln N$ along the budget to zero.


# %% exercise="best_size" role="about"
minutes = 20
objectives = {"5-planning/what-compute-buys": "read the best size off an isoFLOP curve"}


# %% exercise="best_size" role="answer"
def best_size(A: float, B: float, alpha: float, beta: float, C: float) -> float:
    """Parameters of least loss at C floating-point operations."""
    ### BEGIN SOLUTION
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return G * (C / 6) ** (beta / (alpha + beta))
    ### END SOLUTION


# %% exercise="best_size" role="check" points=2
ps.course.check(ps6.SIZE, best_size)


# %% exercise="best_size" role="group" group="other laws" points=1
inputs = [(300.0, 900.0, 0.3, 0.4, C) for C in (1e18, 3e25)]


# %% exercise="best_size" role="wrong" mistake="six"
def best_size(A: float, B: float, alpha: float, beta: float, C: float) -> float:
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * C ** (beta / (alpha + beta))


# %% exercise="best_size" role="wrong" mistake="equal terms"
def best_size(A: float, B: float, alpha: float, beta: float, C: float) -> float:
    return (A / B) ** (1 / (alpha + beta)) * (C / 6) ** (beta / (alpha + beta))


# %% exercise="best_size" role="wrong" mistake="exponents exchanged"
def best_size(A: float, B: float, alpha: float, beta: float, C: float) -> float:
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (C / 6) ** (alpha / (alpha + beta))


# %% [markdown]
# ## 2. The best width on a machine (3 points)
#
# `shares` maps widths to $f(P)$, the share of parameters that training at $P$ bits leaves. `able` are the widths that
# a machine multiplies, 16 among them; an operation at $b$ of these bits takes $b/16$ of the time. Operands of another
# width are computed at the next wider one that the machine has. Write `best_width`: the width of `shares` with the
# most effective parameters for the time.
#
# Predict: can a width that the machine lacks ever win?


# %% exercise="best_width" role="about"
minutes = 25
objectives = {"5-planning/how-many-bits": "replace the paper's price by that of a machine"}


# %% exercise="best_width" role="answer"
def best_width(shares, able) -> int:
    """Width with the largest f(P) / price(P)."""
    ### BEGIN SOLUTION
    return max(shares, key=lambda P: shares[P] * 16 / min(b for b in able if b >= P))
    ### END SOLUTION


# %% exercise="best_width" role="check" points=3
ps.course.check(ps6.WIDTH, best_width)


# %% exercise="best_width" role="group" group="other machines" points=2
shares = {3: 0.2, 4: 0.5, 5: 0.52, 9: 0.95, 16: 1.0}
inputs = [(shares, able) for able in ((5, 10, 16), (3, 16))]


# %% exercise="best_width" role="wrong" mistake="price by bits"
def best_width(shares, able) -> int:
    return max(shares, key=lambda P: shares[P] / P)


# %% exercise="best_width" role="wrong" mistake="share only"
def best_width(shares, able) -> int:
    return max(shares, key=shares.get)


# %% exercise="best_width" role="wrong" mistake="native only"
def best_width(shares, able) -> int:
    return max((P for P in shares if P in able), key=lambda P: shares[P] / P)


# %% [markdown]
# ## 3. A fixed model (3 points)
#
# A model has $N$ parameters and a budget of $C = 6 N D P / 16$ operations. Given are `loss(N, D)` for full precision,
# `share(P)`, the share of parameters left at $P$ bits, and `WIDTHS`. Write `fixed_bits`: the width of least loss.
#
# Predict: does a larger budget call for more bits or for fewer?


# %% exercise="fixed_bits" role="about"
minutes = 25
objectives = {"5-planning/fixed-model": "compute it for a given model"}


# %% exercise="fixed_bits" role="answer"
def fixed_bits(N: float, C: float) -> int:
    """Width of least loss for a model of N parameters at C operations."""
    ### BEGIN SOLUTION
    return min(WIDTHS, key=lambda P: loss(share(P) * N, 16 * C / (6 * N * P)))
    ### END SOLUTION


# %% exercise="fixed_bits" role="check" points=3
ps.course.check(ps6.FIXED, fixed_bits)


# %% exercise="fixed_bits" role="group" group="other models" points=2
inputs = [(3e9, 1e23), (3e9, 1e25), (1e11, 1e24)]


# %% exercise="fixed_bits" role="wrong" mistake="same tokens"
def fixed_bits(N: float, C: float) -> int:
    return min(WIDTHS, key=lambda P: loss(share(P) * N, C / (6 * N)))


# %% exercise="fixed_bits" role="wrong" mistake="no loss of parameters"
def fixed_bits(N: float, C: float) -> int:
    return min(WIDTHS, key=lambda P: loss(N, 16 * C / (6 * N * P)))


# %% exercise="fixed_bits" role="wrong" mistake="share of the tokens"
def fixed_bits(N: float, C: float) -> int:
    return min(WIDTHS, key=lambda P: loss(N, share(P) * 16 * C / (6 * N * P)))


# %% [markdown]
# ## 4. A served model (3 points)
#
# `tokens_for(N, target)` are the tokens with which $N$ parameters reach the loss `target`. Training costs $6 N D$,
# each token served $2 N$. Write `served_size`: the size of `SIZES` that reaches `target` and serves `served` tokens
# at the least total cost. For how many served tokens would you train half of the compute-optimal size?


# %% exercise="served_size" role="about"
minutes = 25
objectives = {"5-planning/serving": "add the cost of serving to the budget"}


# %% exercise="served_size" role="answer"
def served_size(target: float, served: float) -> float:
    """Parameters of the model that is cheapest to train and serve."""
    ### BEGIN SOLUTION
    return min(SIZES, key=lambda N: 6 * N * tokens_for(N, target) + 2 * N * served)
    ### END SOLUTION


# %% exercise="served_size" role="check" points=3
ps.course.check(ps6.SERVED, served_size)


# %% exercise="served_size" role="group" group="other demands" points=2
inputs = [(2.15, 3e12), (2.02, 1e11), (2.1, 1e14)]


# %% exercise="served_size" role="wrong" mistake="training only"
def served_size(target: float, served: float) -> float:
    return min(SIZES, key=lambda N: 6 * N * tokens_for(N, target))


# %% exercise="served_size" role="wrong" mistake="six for serving"
def served_size(target: float, served: float) -> float:
    return min(SIZES, key=lambda N: 6 * N * (tokens_for(N, target) + served))


# %% exercise="served_size" role="wrong" mistake="smallest"
def served_size(target: float, served: float) -> float:
    return min(N for N in SIZES if math.isfinite(tokens_for(N, target)))


# %% [markdown]
# ## 5. What a list of runs would tell (3 points)
#
# Runs of the sizes $N_i$ will be made, with so much data that $\ln L = \ln A - \alpha \ln N$. Each $\ln L$ will have a
# standard deviation `noise`; $A$ and $\alpha$ are both unknown. Write `half_width`: half the width of the 95 % interval
# of $\alpha$ to expect, 1.959964 standard errors. Four runs: better two at each end, or spread evenly?


# %% exercise="half_width" role="about"
minutes = 25
objectives = {"5-planning/designing-your-sweep": "say what a run tells about a law"}


# %% exercise="half_width" role="answer"
def half_width(sizes, noise: float) -> float:
    """Half-width of the 95 % interval of the exponent that these runs would give."""
    ### BEGIN SOLUTION
    x = np.log(sizes)
    x = x - x.mean()
    return float(1.959964 * noise / np.sqrt(x @ x))
    ### END SOLUTION


# %% exercise="half_width" role="check" points=3
ps.course.check(ps6.HALF_WIDTH, half_width)


# %% exercise="half_width" role="group" group="other lists" points=2
inputs = [(sizes, 0.01) for sizes in ((1e3, 1e4, 1e4), (2e8, 3e8, 5e8, 9e8, 1e10))]


# %% exercise="half_width" role="wrong" mistake="not centered"
def half_width(sizes, noise: float) -> float:
    x = np.log(sizes)
    return float(1.959964 * noise / np.sqrt(x @ x))


# %% exercise="half_width" role="wrong" mistake="variance"
def half_width(sizes, noise: float) -> float:
    x = np.log(sizes) - np.mean(np.log(sizes))
    return float(1.959964 * noise**2 / (x @ x))


# %% exercise="half_width" role="wrong" mistake="standard error"
def half_width(sizes, noise: float) -> float:
    x = np.log(sizes) - np.mean(np.log(sizes))
    return float(noise / np.sqrt(x @ x))
