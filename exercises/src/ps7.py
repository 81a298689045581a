# %% [markdown]
# # Problem set 7: derivations
#
# Five functions. Derive with pencil or SymPy first, then write the result. Replace `raise NotImplementedError`, run the
# cell, then run the check below it. A wrong answer is told which mistake it most likely is. Reading: part
# *Derivations* of the book. Time: about two hours.
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
# for $P^*$ and solve it numerically (`sp.nsolve`). Return $P^*$ in bits, rounded to 6 decimals: `round(float(x), 6)`.
#
# Which letters of the loss does your condition contain?


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
### BEGIN HIDDEN TESTS
for gamma, parts in ((1.3, 3), (2.2, 4), (0.5, 2)):
    assert best_bits(gamma, parts) == ps7.BEST_BITS.truth(gamma, parts), "other constants"
### END HIDDEN TESTS


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


# %% exercise="data_ratio" role="answer"
def data_ratio(P: float, f: float, alpha: float, beta: float) -> float:
    """D* at P bits over D* at 16 bits for the same compute, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    p, total = P / 16, alpha + beta
    return round(f ** (alpha / total) * p ** (-alpha / total), 9)
    ### END SOLUTION


# %% exercise="data_ratio" role="check" points=2
ps.course.check(ps7.DATA_RATIO, data_ratio)
### BEGIN HIDDEN TESTS
for P, f, alpha, beta in ((5.0, 0.4, 0.2, 0.3), (10.0, 0.9, 0.6, 0.1)):
    assert data_ratio(P, f, alpha, beta) == ps7.DATA_RATIO.truth(P, f, alpha, beta), "other exponents"
### END HIDDEN TESTS


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


# %% exercise="grid_rate" role="answer"
def grid_rate(P: int) -> float:
    """Bits per factor e of the damage, between P and P + 1 bits, rounded to 9 decimals."""
    ### BEGIN SOLUTION
    return round(1 / (2 * math.log((2**P - 1) / (2 ** (P - 1) - 1))), 9)
    ### END SOLUTION


# %% exercise="grid_rate" role="check" points=2
ps.course.check(ps7.GRID_RATE, grid_rate)
### BEGIN HIDDEN TESTS
for P in (2, 7, 12):
    assert grid_rate(P) == ps7.GRID_RATE.truth(P), "other numbers of bits"
### END HIDDEN TESTS


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
### BEGIN HIDDEN TESTS
for N, bits in ((1e6, 2), (1e9, 6)):
    assert critical_decades(N, bits) == ps7.CRITICAL.truth(N, bits), "other models"
law = ps.laws.published.KUMAR_2024
assert abs(critical_decades(1e8, 4) - math.log10(ps.laws.critical_tokens(law, 1e8, 4))) < 1e-8, "the package's root"
### END HIDDEN TESTS


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


# %% exercise="terms_allowed" role="answer"
def terms_allowed(precision: int, tolerance: float, mean_zero: bool) -> int:
    """Largest number of terms with an error within the tolerance, to first order."""
    ### BEGIN SOLUTION
    steps = tolerance * 2.0**precision
    return math.floor(steps**2 if mean_zero else steps) + 1
    ### END SOLUTION


# %% exercise="terms_allowed" role="check" points=2
ps.course.check(ps7.TERMS, terms_allowed)
### BEGIN HIDDEN TESTS
for precision, tolerance in ((4, 0.3), (11, 0.05), (16, 0.002)):
    for mean_zero in (False, True):
        truth = ps7.TERMS.truth(precision, tolerance, mean_zero)
        assert terms_allowed(precision, tolerance, mean_zero) == truth, "other formats"
### END HIDDEN TESTS


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
