# %% [markdown]
# # Problem set 7: derivations
#
# Nine functions. Derive with pencil or SymPy first, then write the result. Replace `raise NotImplementedError`, run the
# cell, then run the check below it. A wrong answer is told which mistake it most likely is. Reading: part
# *Derivations* of the book.
#
# `ps7.paper()` gives the published constants by name.

# %%
import math

import numpy as np
import sympy as sp

import precsim as ps
from precsim.course import ps7

# %% [markdown]
# ## 1. The best number of bits (3 points)
#
# With $f(P) = (1 - e^{-P/\gamma})^k$ and a cost $C = 6 N D P/16$, size, data and bits are free. Derive the condition
# for $P^*$ and solve it numerically. Return $P^*$ in bits, rounded to 6 decimals: `round(float(x), 6)`. From a starting
# point `sp.nsolve` may fail, or run off to where the condition is flat; between two ends it does not:
# `sp.nsolve(condition, P, (0.1 * gamma, 12 * gamma), solver="bisect")`.
#
# Which letters of the loss does your condition contain?


# %% exercise="best_bits" role="about"
minutes = 30
objectives = {"6-derivations/best-bits": "derive the condition for $P^*$"}


# %% exercise="best_bits" role="answer"
def best_bits(gamma: float, parts: int) -> float:
    """P* of k = `parts` equal factors, rounded to 6 decimals."""
    ### BEGIN SOLUTION
    P = sp.Symbol("P", positive=True)
    f = (1 - sp.exp(-P / gamma)) ** parts
    condition = sp.simplify(P * sp.diff(sp.log(f), P)) - 1
    return round(float(sp.nsolve(condition, P, (0.1 * gamma, 12 * gamma), solver="bisect", verify=False)), 6)
    ### END SOLUTION


# %% exercise="best_bits" role="check" points=3
ps.course.check(ps7.BEST_BITS, best_bits)


# %% exercise="best_bits" role="group" group="other constants" points=2
inputs = [(1.3, 3), (2.2, 4), (0.5, 2)]


# %% exercise="best_bits" role="wrong" mistake="spare alpha"
def best_bits(gamma: float, parts: int) -> float:
    P = sp.Symbol("P", positive=True)
    condition = 0.4965 * parts * (P / gamma) / (sp.exp(P / gamma) - 1) - 1
    return round(float(sp.nsolve(condition, P, (0.0001 * gamma, 12 * gamma), solver="bisect", verify=False)), 6)


# %% exercise="best_bits" role="wrong" mistake="in units of gamma"
def best_bits(gamma: float, parts: int) -> float:
    x = sp.Symbol("x", positive=True)
    return round(float(sp.nsolve(parts * x / (sp.exp(x) - 1) - 1, x, (0.1, 12), solver="bisect", verify=False)), 6)


# %% [markdown]
# ## 2. The tokens of an optimal plan (2 points)
#
# The paper prints, in three equations, $D^*/D^*_{16} = f^{\alpha/(\alpha+\beta)}\,p^{+\beta/(\alpha+\beta)}$ with
# $p = P/16$. Its $N^*/N^*_{16} = f^{-\alpha/(\alpha+\beta)}\,p^{-\beta/(\alpha+\beta)}$ is right. Correct the first
# from the second, and return it rounded to 9 decimals.


# %% exercise="data_ratio" role="about"
minutes = 15
objectives = {"6-derivations/equations": "find a misprint by a count of powers"}


# %% exercise="data_ratio" role="answer"
def data_ratio(P: float, f: float, alpha: float, beta: float) -> float:
    """D* at P bits over D* at 16 bits for the same compute, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    p, total = P / 16, alpha + beta
    return round(f ** (alpha / total) * p ** (-alpha / total), 9)
    ### END SOLUTION


# %% exercise="data_ratio" role="check" points=2
ps.course.check(ps7.DATA_RATIO, data_ratio)


# %% exercise="data_ratio" role="group" group="other exponents" points=1
inputs = [(5.0, 0.4, 0.2, 0.3), (10.0, 0.9, 0.6, 0.1)]


# %% exercise="data_ratio" role="wrong" mistake="printed"
def data_ratio(P: float, f: float, alpha: float, beta: float) -> float:
    return round(f ** (alpha / (alpha + beta)) * (P / 16) ** (beta / (alpha + beta)), 9)


# %% exercise="data_ratio" role="wrong" mistake="size"
def data_ratio(P: float, f: float, alpha: float, beta: float) -> float:
    return round(f ** (-alpha / (alpha + beta)) * (P / 16) ** (-beta / (alpha + beta)), 9)


# %% [markdown]
# ## 3. The rate of the grid (2 points)
#
# The damage of rounding goes with the square of the step, and a symmetric integer grid of $P$ bits has $2^{P-1} - 1$
# steps from zero to the largest weight. Write `grid_rate`: the $\gamma$ in $e^{-P/\gamma}$ between $P$ and $P+1$ bits,
# rounded to 9 decimals. Before you run it: is it above or below the limit $1/(2 \ln 2) = 0.72$?


# %% exercise="grid_rate" role="about"
minutes = 15
objectives = {"6-derivations/rounding-noise": r"compute the rate $\gamma_{\text{post}}$"}


# %% exercise="grid_rate" role="answer"
def grid_rate(P: int) -> float:
    """Bits per factor e of the damage, between P and P + 1 bits, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    return round(1 / (2 * math.log((2**P - 1) / (2 ** (P - 1) - 1))), 9)
    ### END SOLUTION


# %% exercise="grid_rate" role="check" points=2
ps.course.check(ps7.GRID_RATE, grid_rate)


# %% exercise="grid_rate" role="group" group="other numbers of bits" points=1
inputs = [(2,), (7,), (12,)]


# %% exercise="grid_rate" role="wrong" mistake="amplitude"
def grid_rate(P: int) -> float:
    return round(1 / math.log((2**P - 1) / (2 ** (P - 1) - 1)), 9)


# %% exercise="grid_rate" role="wrong" mistake="powers of two"
def grid_rate(P: int) -> float:
    return round(1 / (2 * math.log(2)), 9)


# %% exercise="grid_rate" role="wrong" mistake="rate"
def grid_rate(P: int) -> float:
    return round(2 * math.log((2**P - 1) / (2 ** (P - 1) - 1)), 9)


# %% [markdown]
# ## 4. Critical data (3 points)
#
# $L(D) = B D^{-\beta} + C_T\, D^{\gamma_D} N^{-\gamma_N} e^{b - P/\gamma_{\text{post}}} + \dots$ Find the $D$ at
# which more data begins to hurt, with the constants of `ps7.paper()`. Return $\log_{10} D$, rounded to 9 decimals.


# %% exercise="critical_decades" role="about"
minutes = 25
objectives = {"6-derivations/best-bits": "derive the critical amount of data"}


# %% exercise="critical_decades" role="answer"
def critical_decades(N: float, bits: float) -> float:
    """Decimal logarithm of the critical number of tokens, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    k = ps7.paper()
    damage = k["gamma_D"] * k["C_T"] * N ** -k["gamma_N"] * math.exp(k["b"] - bits / k["gamma_post"])
    return round(math.log10(k["beta"] * k["B"] / damage) / (k["gamma_D"] + k["beta"]), 9)
    ### END SOLUTION


# %% exercise="critical_decades" role="check" points=3
ps.course.check(ps7.CRITICAL, critical_decades)


# %% exercise="critical_decades" role="group" group="other models" points=2
inputs = [(1e6, 2), (1e9, 6), (1e8, 4)]


# %% exercise="critical_decades" role="wrong" mistake="balance"
def critical_decades(N: float, bits: float) -> float:
    k = ps7.paper()
    damage = k["C_T"] * N ** -k["gamma_N"] * math.exp(k["b"] - bits / k["gamma_post"])
    return round(math.log10(k["B"] / damage) / (k["gamma_D"] + k["beta"]), 9)


# %% exercise="critical_decades" role="wrong" mistake="offset"
def critical_decades(N: float, bits: float) -> float:
    k = ps7.paper()
    damage = k["gamma_D"] * k["C_T"] * N ** -k["gamma_N"] * math.exp(-bits / k["gamma_post"])
    return round(math.log10(k["beta"] * k["B"] / damage) / (k["gamma_D"] + k["beta"]), 9)


# %% [markdown]
# ## 5. n against the root of n (2 points)
#
# A sum one by one in a format of precision $p$ has a relative error of at most $(n-1)\,u$ to first order, $u = 2^{-p}$,
# and of about $\sqrt{n-1}\,u$ if the rounding errors have mean zero. Write `terms_allowed`: the largest $n$ for which
# this is at most `tolerance`, by the first rule, or by the second if `mean_zero`.


# %% exercise="terms_allowed" role="about"
minutes = 15
objectives = {"6-derivations/random-rounding": r"derive $n u$ and $\sqrt n\,u$"}


# %% exercise="terms_allowed" role="answer"
def terms_allowed(precision: int, tolerance: float, mean_zero: bool) -> int:
    """Largest number of terms with an error within the tolerance, to first order."""
    ### BEGIN SOLUTION
    steps = tolerance * 2.0**precision
    return math.floor(steps**2 if mean_zero else steps) + 1
    ### END SOLUTION


# %% exercise="terms_allowed" role="check" points=2
ps.course.check(ps7.TERMS, terms_allowed)


# %% exercise="terms_allowed" role="group" group="other formats" points=1
inputs = [(*case, zero) for case in ((4, 0.3), (11, 0.05), (16, 0.002)) for zero in (False, True)]


# %% exercise="terms_allowed" role="wrong" mistake="swap"
def terms_allowed(precision: int, tolerance: float, mean_zero: bool) -> int:
    steps = tolerance * 2.0**precision
    return math.floor(steps if mean_zero else steps**2) + 1


# %% exercise="terms_allowed" role="wrong" mistake="n additions"
def terms_allowed(precision: int, tolerance: float, mean_zero: bool) -> int:
    steps = tolerance * 2.0**precision
    return math.floor(steps**2 if mean_zero else steps)


# %% exercise="terms_allowed" role="wrong" mistake="root of n"
def terms_allowed(precision: int, tolerance: float, mean_zero: bool) -> int:
    steps = tolerance * 2.0**precision
    return math.floor(np.sqrt(steps) if mean_zero else steps) + 1


# %% [markdown]
# ## 6. The largest weight (2 points)
#
# A scale is set by the largest magnitude of the $n$ numbers that share it. For independent normal numbers of variance 1
# write `largest_square`: $\kappa^2(n)$, the mean of the square of that largest magnitude, to a relative $10^{-6}$.
# The mean of a square $Y^2$ is $\int_0^\infty 2 y\, \Pr(Y > y)\, dy$; `scipy.integrate.quad` does the rest.
# Check yourself: for $n = 2$ it is $1 + 2/\pi$.


# %% exercise="largest_square" role="about"
minutes = 25
objectives = {"6-derivations/effective-parameters-derived": r"show that $N_{\text{eff}}/N$ then depends"}


# %% exercise="largest_square" role="answer"
def largest_square(n: int) -> float:
    """Mean square of the largest of n normal magnitudes."""
    ### BEGIN SOLUTION
    from scipy.integrate import quad

    return quad(lambda y: 2 * y * (1 - math.erf(y / math.sqrt(2)) ** n), 0, 12, limit=200)[0]
    ### END SOLUTION


# %% exercise="largest_square" role="check" points=2
ps.course.check(ps7.LARGEST, largest_square)


# %% exercise="largest_square" role="group" group="other numbers" points=1
inputs = [(5,), (256,)]


# %% exercise="largest_square" role="wrong" mistake="leading term"
def largest_square(n: int) -> float:
    return 2 * math.log(n)


# %% exercise="largest_square" role="wrong" mistake="mean, not square"
def largest_square(n: int) -> float:
    from scipy.integrate import quad

    return quad(lambda y: 1 - math.erf(y / math.sqrt(2)) ** n, 0, 12, limit=200)[0]


# %% exercise="largest_square" role="wrong" mistake="one side"
def largest_square(n: int) -> float:
    from scipy.integrate import quad

    return quad(lambda y: 2 * y * (1 - ((1 + math.erf(y / math.sqrt(2))) / 2) ** n), 0, 12, limit=200)[0]


# %% [markdown]
# ## 7. A weight that is trained through its rounding (2 points)
#
# The best value of a weight lies between two grid points a step $h$ apart, the share `nu` of a step above the lower. A
# straight-through gradient, at a constant rate, moves the weight that is kept until the slopes at the two points cancel
# on average. Which share of the steps does it spend at each, and what is its mean squared error? Rounded to 9 decimals.


# %% exercise="chatter" role="about"
minutes = 20
objectives = {"6-derivations/how-they-emerge": "derive what training in few bits costs"}


# %% exercise="chatter" role="answer"
def chatter(h: float, nu: float) -> float:
    """Mean squared error of the rounded weight over the steps, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    upper = nu  # upper (1 - nu) h = (1 - upper) nu h
    return round(upper * ((1 - nu) * h) ** 2 + (1 - upper) * (nu * h) ** 2, 9)
    ### END SOLUTION


# %% exercise="chatter" role="check" points=2
ps.course.check(ps7.CHATTER, chatter)


# %% exercise="chatter" role="group" group="other steps" points=1
inputs = [(3.0, 0.9), (0.25, 0.4)]


# %% exercise="chatter" role="wrong" mistake="nearest"
def chatter(h: float, nu: float) -> float:
    return round((min(nu, 1 - nu) * h) ** 2, 9)


# %% exercise="chatter" role="wrong" mistake="even odds"
def chatter(h: float, nu: float) -> float:
    return round(h * h * (nu**2 + (1 - nu) ** 2) / 2, 9)


# %% exercise="chatter" role="wrong" mistake="mean over the cell"
def chatter(h: float, nu: float) -> float:
    return round(h * h / 6, 9)


# %% [markdown]
# ## 8. What a network keeps (2 points)
#
# Rounding would cost a network $v$. It may keep the share $\rho$ of its curvature, so that rounding costs $v\rho$, at
# the price $K(\rho - 1 - \ln\rho)$. Write `kept`: the best $\rho$, rounded to 9 decimals. By the envelope theorem it is
# also the slope of the whole cost in $v$: check that with a small difference.


# %% exercise="kept" role="about"
minutes = 15
objectives = {"6-derivations/how-they-emerge": "derive what training in few bits costs"}


# %% exercise="kept" role="answer"
def kept(v: float, K: float) -> float:
    """Share of the curvature that is worth keeping, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    return round(K / (K + v), 9)
    ### END SOLUTION


# %% exercise="kept" role="check" points=2
ps.course.check(ps7.KEPT, kept)


# %% exercise="kept" role="group" group="other constants" points=1
inputs = [(0.3, 0.04), (0.004, 0.2)]


# %% exercise="kept" role="wrong" mistake="share of the gap"
def kept(v: float, K: float) -> float:
    return round(K * math.log1p(v / K) / v, 9)


# %% exercise="kept" role="wrong" mistake="given up"
def kept(v: float, K: float) -> float:
    return round(v / (K + v), 9)


# %% exercise="kept" role="wrong" mistake="exponential"
def kept(v: float, K: float) -> float:
    return round(math.exp(-v / K), 9)


# %% [markdown]
# ## 9. Two tensors together (2 points)
#
# With the price of exercise 8 the least cost is $G(v) = K \ln(1 + v/K)$. Two tensors in few bits add the gaps `g1` and
# `g2`, each alone. Their damages add. Write `joint_gap`: what they add together, rounded to 9 decimals. Which sign has
# its cross term, and which sign has that of a product of factors $N_{\text{eff}}/N$?


# %% exercise="joint_gap" role="about"
minutes = 20
objectives = {"6-derivations/how-they-emerge": "explain why a network trained in few bits is robust"}


# %% exercise="joint_gap" role="answer"
def joint_gap(g1: float, g2: float, K: float) -> float:
    """Gap that two tensors add together, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    damage = K * math.expm1(g1 / K) + K * math.expm1(g2 / K)
    return round(K * math.log1p(damage / K), 9)
    ### END SOLUTION


# %% exercise="joint_gap" role="check" points=2
ps.course.check(ps7.JOINT, joint_gap)


# %% exercise="joint_gap" role="group" group="other gaps" points=1
inputs = [(0.4, 0.1, 0.3), (0.02, 0.03, 0.04)]


# %% exercise="joint_gap" role="wrong" mistake="sum"
def joint_gap(g1: float, g2: float, K: float) -> float:
    return round(g1 + g2, 9)


# %% exercise="joint_gap" role="wrong" mistake="product law"
def joint_gap(g1: float, g2: float, K: float) -> float:
    return round(g1 + g2 + g1 * g2 / K, 9)


# %% exercise="joint_gap" role="wrong" mistake="second order"
def joint_gap(g1: float, g2: float, K: float) -> float:
    return round(g1 + g2 - g1 * g2 / K, 9)


# %% exercise="joint_gap" role="wrong" mistake="bent twice"
def joint_gap(g1: float, g2: float, K: float) -> float:
    return round(K * math.log1p((g1 + g2) / K), 9)
