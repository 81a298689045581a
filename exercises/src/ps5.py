# %% [markdown]
# # Problem set 5: laws
#
# Six functions. Replace `raise NotImplementedError`, run the cell, then run the check below it. A wrong answer is told
# which mistake it most likely is. Reading: part 4 of the book.

# %%
import math

import numpy as np

import precsim as ps
from precsim.course import ps5
from precsim.laws import Chinchilla

# %% [markdown]
# ## 1. An exponent (2 points)
#
# Losses of networks of several sizes, trained on more data than matters, follow $L = e + A N^{-\alpha}$ with a known
# floor $e$. Write `exponent`: $\alpha$ by least squares of a straight line through the logarithms.
#
# Before you write: draw `losses` over `sizes` on logarithmic axes, with and without the floor.


# %% exercise="exponent" role="about"
minutes = 20
objectives = {"4-laws/power-laws": "see a power law with a floor on paper"}


# %% exercise="exponent" role="answer"
def exponent(sizes, losses, floor: float) -> float:
    """Exponent alpha of floor + A * N**-alpha, by least squares of logarithms."""
    ### BEGIN SOLUTION
    x, y = np.log(sizes), np.log(np.asarray(losses) - floor)
    x = x - x.mean()
    return float(-(x @ y) / (x @ x))
    ### END SOLUTION


# %% exercise="exponent" role="check" points=2
ps.course.check(ps5.EXPONENT, exponent)


# %% exercise="exponent" role="group" group="other curves" points=1
inputs = [ps5._curve(0.25 + 0.05 * seed, 0.5 * seed, seed + 50) for seed in range(5)]


# %% exercise="exponent" role="wrong" mistake="floor kept"
def exponent(sizes, losses, floor: float) -> float:
    return float(-np.polyfit(np.log(sizes), np.log(losses), 1)[0])


# %% exercise="exponent" role="wrong" mistake="sign"
def exponent(sizes, losses, floor: float) -> float:
    return float(np.polyfit(np.log(sizes), np.log(np.asarray(losses) - floor), 1)[0])


# %% exercise="exponent" role="wrong" mistake="ends only"
def exponent(sizes, losses, floor: float) -> float:
    fall = math.log(losses[0] - floor) - math.log(losses[-1] - floor)
    return fall / (math.log(sizes[-1]) - math.log(sizes[0]))


# %% [markdown]
# ## 2. A robust objective (2 points)
#
# Write `objective`: the sum over runs of Huber's function of $r = \ln L - \ln\hat L$, which is $r^2/2$ for
# $|r| \le \delta$ and $\delta\,(|r| - \delta/2)$ beyond. $\delta$ is the knee.


# %% exercise="objective" role="about"
minutes = 15
objectives = {"4-laws/fitting": "say what is minimized when a scaling law is fitted"}


# %% exercise="objective" role="answer"
def objective(seen, predicted, knee: float) -> float:
    """Sum of Huber's function of log residuals."""
    ### BEGIN SOLUTION
    r = np.abs(np.log(seen) - np.log(predicted))
    return float(np.where(r <= knee, r * r / 2, knee * (r - knee / 2)).sum())
    ### END SOLUTION


# %% exercise="objective" role="check" points=2
ps.course.check(ps5.OBJECTIVE, objective)


# %% exercise="objective" role="group" group="other knees" points=1
a, b = ps5.runs(7)["loss"], ps5.runs(8)["loss"]
inputs = [(a, b, knee) for knee in (1e-5, 3e-3, 1.0)]


# %% exercise="objective" role="wrong" mistake="no logarithm"
def objective(seen, predicted, knee: float) -> float:
    r = np.abs(np.asarray(seen) - np.asarray(predicted))
    return float(np.where(r <= knee, r * r / 2, knee * (r - knee / 2)).sum())


# %% exercise="objective" role="wrong" mistake="signed"
def objective(seen, predicted, knee: float) -> float:
    r = np.log(seen) - np.log(predicted)
    return float(np.where(r <= knee, r * r / 2, knee * (r - knee / 2)).sum())


# %% exercise="objective" role="wrong" mistake="a jump"
def objective(seen, predicted, knee: float) -> float:
    r = np.abs(np.log(seen) - np.log(predicted))
    return float(np.where(r <= knee, r * r / 2, knee * r).sum())


# %% [markdown]
# ## 3. An interval from draws (2 points)
#
# A bootstrap gave many values of one number. Write `interval_width`: the width of the central percentile interval
# that contains a share `level` of them. Use `numpy.quantile` as it is.


# %% exercise="interval_width" role="about"
minutes = 10
objectives = {"4-laws/fitting": "give an interval for any number computed from a fit"}


# %% exercise="interval_width" role="answer"
def interval_width(draws, level: float) -> float:
    """Width of the percentile interval of the draws."""
    ### BEGIN SOLUTION
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(high - low)
    ### END SOLUTION


# %% exercise="interval_width" role="check" points=2
ps.course.check(ps5.INTERVAL, interval_width)


# %% exercise="interval_width" role="group" group="other levels" points=1
inputs = [(ps5._lognormal(777, 12), level) for level in (0.5, 0.8, 0.999)]


# %% exercise="interval_width" role="wrong" mistake="one tail"
def interval_width(draws, level: float) -> float:
    return float(np.quantile(draws, level) - np.quantile(draws, 1 - level))


# %% exercise="interval_width" role="wrong" mistake="normal"
def interval_width(draws, level: float) -> float:
    return float(2 * 1.96 * np.std(draws))


# %% exercise="interval_width" role="wrong" mistake="of the mean"
def interval_width(draws, level: float) -> float:
    return float(2 * 1.96 * np.std(draws) / np.sqrt(len(draws)))


# %% [markdown]
# ## 4. Effective parameters from two losses (3 points)
#
# Two networks have the same $N$ and the same data. One was trained in low precision and has the loss `low`, the other
# in full precision and has `full`. The law is $L = E + A (f N)^{-\alpha} + B D^{-\beta}$, with $f = 1$ in full
# precision. Write `share`: $f$. You are not given $E$, $B$, $\beta$ and $D$; why not?


# %% exercise="share" role="about"
minutes = 25
objectives = {"4-laws/effective-parameters": "read the share"}


# %% exercise="share" role="answer"
def share(low: float, full: float, N: float, A: float, alpha: float) -> float:
    """N_eff / N of the network trained in low precision."""
    ### BEGIN SOLUTION
    return (1 + (low - full) * N**alpha / A) ** (-1 / alpha)
    ### END SOLUTION


# %% exercise="share" role="check" points=3
ps.course.check(ps5.SHARE, share)


# %% exercise="share" role="group" group="other shares" points=2
law = Chinchilla(E=1.7, A=500.0, B=2000.0, alpha=0.37, beta=0.4)
inputs = [(float(law(f * 1e8, 1e10)), float(law(1e8, 1e10)), 1e8, 500.0, 0.37) for f in (0.05, 0.5, 0.97)]


# %% exercise="share" role="wrong" mistake="inverse"
def share(low: float, full: float, N: float, A: float, alpha: float) -> float:
    return (1 + (low - full) * N**alpha / A) ** (1 / alpha)


# %% exercise="share" role="wrong" mistake="first order"
def share(low: float, full: float, N: float, A: float, alpha: float) -> float:
    return 1 - (low - full) / (alpha * A * N**-alpha)


# %% exercise="share" role="wrong" mistake="ratio of losses"
def share(low: float, full: float, N: float, A: float, alpha: float) -> float:
    return (full / low) ** (1 / alpha)


# %% [markdown]
# ## 5. Critical data (3 points)
#
# The loss of a model served in $P$ bits is $\text{const} + B D^{-\beta} + C_T D^{\gamma_D} N^{-\gamma_N}
# e^{-P/\gamma_{\text{post}}}$. Write `critical`: the $D$ at which it is least. Which exponent do you expect for $N$?


# %% exercise="critical" role="about"
minutes = 20
objectives = {"4-laws/degradation-and-critical-data": "compute the critical number of tokens"}


# %% exercise="critical" role="answer"
def critical(B, beta, C_T, gamma_D, gamma_N, gamma_post, N: float, P: float) -> float:
    """Tokens beyond which more training makes the served model worse."""
    ### BEGIN SOLUTION
    ratio = beta * B * N**gamma_N * math.exp(P / gamma_post) / (gamma_D * C_T)
    return ratio ** (1 / (gamma_D + beta))
    ### END SOLUTION


# %% exercise="critical" role="check" points=3
ps.course.check(ps5.CRITICAL, critical)


# %% exercise="critical" role="group" group="other settings" points=2
inputs = [(3000.0, 0.4, 0.02, 0.55, 0.3, 0.6, N, P) for N in (1e6, 1e9) for P in (2, 6, 8)]


# %% exercise="critical" role="wrong" mistake="equal terms"
def critical(B, beta, C_T, gamma_D, gamma_N, gamma_post, N: float, P: float) -> float:
    return (B * N**gamma_N * math.exp(P / gamma_post) / C_T) ** (1 / (gamma_D + beta))


# %% exercise="critical" role="wrong" mistake="bits hurt"
def critical(B, beta, C_T, gamma_D, gamma_N, gamma_post, N: float, P: float) -> float:
    return (beta * B * N**gamma_N * math.exp(-P / gamma_post) / (gamma_D * C_T)) ** (1 / (gamma_D + beta))


# %% exercise="critical" role="wrong" mistake="no root"
def critical(B, beta, C_T, gamma_D, gamma_N, gamma_post, N: float, P: float) -> float:
    return beta * B * N**gamma_N * math.exp(P / gamma_post) / (gamma_D * C_T)


# %% [markdown]
# ## 6. A law on trial (3 points)
#
# `ps5.runs(seed)` is a table: a dictionary of columns N, D and loss. Write `held_out_error`: leave out the runs whose
# $N D$ is greater than the 70 % quantile of $N D$, fit `Chinchilla()` to the others with `ps.fit`, and return the mean
# of $|\ln L - \ln\hat L|$ over those left out.
#
# Two of the four tables behind the check were not made by Chinchilla's form. Which? Look at the errors.


# %% exercise="held_out_error" role="about"
minutes = 30
objectives = {"4-laws/power-laws": "choose between five base laws by what they predict"}


# %% exercise="held_out_error" role="answer"
def held_out_error(table) -> float:
    """Mean relative error on the runs of largest compute, which the fit has not seen."""
    ### BEGIN SOLUTION
    compute = table["N"] * table["D"]
    held = compute > np.quantile(compute, 0.7)
    law = ps.fit(Chinchilla(), {name: column[~held] for name, column in table.items()}).law
    predicted = law(table["N"][held], table["D"][held])
    return float(np.mean(np.abs(np.log(table["loss"][held]) - np.log(predicted))))
    ### END SOLUTION


# %% exercise="held_out_error" role="check" points=3
ps.course.check(ps5.HELD_OUT, held_out_error)


# %% exercise="held_out_error" role="group" group="other tables" points=2
inputs = [(ps5.runs(seed),) for seed in (21, 22)]


# %% exercise="held_out_error" role="wrong" mistake="seen"
def held_out_error(table) -> float:
    compute = table["N"] * table["D"]
    held = compute > np.quantile(compute, 0.7)
    law = ps.fit(Chinchilla(), table).law
    return float(np.mean(np.abs(np.log(table["loss"][held]) - np.log(law(table["N"][held], table["D"][held])))))


# %% exercise="held_out_error" role="wrong" mistake="in sample"
def held_out_error(table) -> float:
    law = ps.fit(Chinchilla(), table).law
    return float(np.mean(np.abs(np.log(table["loss"]) - np.log(law(table["N"], table["D"])))))


# %% exercise="held_out_error" role="wrong" mistake="small ones"
def held_out_error(table) -> float:
    compute = table["N"] * table["D"]
    held = compute < np.quantile(compute, 0.3)
    law = ps.fit(Chinchilla(), {name: column[~held] for name, column in table.items()}).law
    return float(np.mean(np.abs(np.log(table["loss"][held]) - np.log(law(table["N"][held], table["D"][held])))))
