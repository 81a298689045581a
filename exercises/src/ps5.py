# %% [markdown]
# # Problem set 5: laws
#
# Nine functions. Replace `raise NotImplementedError`, run the cell, then run the check below it. A wrong answer is told
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


# %% [markdown]
# ## 7. How fast damage grows, with an interval (3 points)
#
# `ps5.networks(98304, of="standard")` are networks of the open table's second edition: rows with `network`, `D`
# (tokens), `language`, `gap` and `delta`, the damage of rounding to 4 bits. Write `growth`: the exponent of $D$ in
# $\delta$, and the half-width of its 95 % interval. One exponent for each language, by least squares of logarithms;
# then their mean, and Student's interval of it: $t\,s/\sqrt n$ for $n$ languages, with $t$ = `ps5.STUDENT[n]` and $s$
# the standard deviation with $n - 1$.
#
# Then compare a network with decay and one without: do the intervals overlap?


# %% exercise="growth" role="about"
minutes = 25
objectives = {"4-laws/what-architecture-does": "say which parts of a network"}


# %% exercise="growth" role="answer"
def growth(rows) -> tuple[float, float]:
    """Exponent of D in delta, mean over languages, and the half-width of its 95 % interval."""
    ### BEGIN SOLUTION
    slopes = []
    for language in {row.language for row in rows}:
        mine = [row for row in rows if row.language == language]
        x, y = np.log([row.D for row in mine]), np.log([row.delta for row in mine])
        slopes.append(np.polyfit(x, y, 1)[0])
    n = len(slopes)
    half = ps5.STUDENT[n] * np.std(slopes, ddof=1) / math.sqrt(n)
    return float(np.mean(slopes)), float(half)
    ### END SOLUTION


# %% exercise="growth" role="check" points=3
ps.course.check(ps5.GROWTH, growth)


# %% exercise="growth" role="group" group="other networks" points=2
names = ["unit embeddings, no decay", "standard, decay of everything", "no gains, decay of everything"]
inputs = [(ps5.networks(N, of=name),) for name in names for N in (98304, 221184)]


# %% exercise="growth" role="wrong" mistake="gap"
def growth(rows) -> tuple[float, float]:
    slopes = []
    for language in {row.language for row in rows}:
        mine = [row for row in rows if row.language == language]
        slopes.append(np.polyfit(np.log([r.D for r in mine]), np.log([r.gap for r in mine]), 1)[0])
    return float(np.mean(slopes)), ps5.STUDENT[len(slopes)] * float(np.std(slopes, ddof=1)) / len(slopes) ** 0.5


# %% exercise="growth" role="wrong" mistake="normal"
def growth(rows) -> tuple[float, float]:
    slopes = []
    for language in {row.language for row in rows}:
        mine = [row for row in rows if row.language == language]
        slopes.append(np.polyfit(np.log([r.D for r in mine]), np.log([r.delta for r in mine]), 1)[0])
    return float(np.mean(slopes)), 1.96 * float(np.std(slopes, ddof=1)) / len(slopes) ** 0.5


# %% exercise="growth" role="wrong" mistake="biased"
def growth(rows) -> tuple[float, float]:
    slopes = []
    for language in {row.language for row in rows}:
        mine = [row for row in rows if row.language == language]
        slopes.append(np.polyfit(np.log([r.D for r in mine]), np.log([r.delta for r in mine]), 1)[0])
    return np.mean(slopes), ps5.STUDENT[len(slopes)] * np.std(slopes) / math.sqrt(len(slopes))


# %% [markdown]
# ## 8. The network to serve at 4 bits (2 points)
#
# `ps5.networks(98304, budget=4)` are eleven networks that differ in their gains, embeddings, decay or norms, after 122
# million tokens. Write `served_network`: the name of the one with the least loss when its weights are rounded to 4
# bits, on the mean over languages. Some runs may be lost: compare over the languages that every network still has.
#
# Is it the network that you would choose in full precision?


# %% exercise="served_network" role="about"
minutes = 15
objectives = {"4-laws/what-architecture-does": "say which parts of a network"}


# %% exercise="served_network" role="answer"
def served_network(rows) -> str:
    """Name of the network with the least mean gap after rounding."""
    ### BEGIN SOLUTION
    names = list(dict.fromkeys(row.network for row in rows))
    common = set.intersection(*({row.language for row in rows if row.network == name} for name in names))

    def cost(name):
        values = [row.gap + row.delta for row in rows if row.network == name and row.language in common]
        return sum(values) / len(values)

    return min(names, key=cost)
    ### END SOLUTION


# %% exercise="served_network" role="check" points=2
ps.course.check(ps5.SERVED_NETWORK, served_network)


# %% exercise="served_network" role="group" group="other tables" points=1
lost = [("queries and keys normed", 0), ("queries and keys normed", 1)]
inputs = [(ps5.networks(N, budget=k),) for N in (98304, 221184) for k in (2, 3)]
inputs += [(ps5.networks(98304, budget=k, lost=lost),) for k in (1, 4)]


# %% exercise="served_network" role="wrong" mistake="as trained"
def served_network(rows) -> str:
    by_name = {}
    for row in rows:
        by_name.setdefault(row.network, {})[row.language] = row.gap
    common = set.intersection(*(set(one) for one in by_name.values()))
    return min(by_name, key=lambda name: sum(by_name[name][one] for one in common))


# %% exercise="served_network" role="wrong" mistake="least damage"
def served_network(rows) -> str:
    by_name = {}
    for row in rows:
        by_name.setdefault(row.network, {})[row.language] = row.delta
    common = set.intersection(*(set(one) for one in by_name.values()))
    return min(by_name, key=lambda name: sum(by_name[name][one] for one in common))


# %% exercise="served_network" role="wrong" mistake="other languages"
def served_network(rows) -> str:
    by_name = {}
    for row in rows:
        by_name.setdefault(row.network, []).append(row.gap + row.delta)
    return min(by_name, key=lambda name: sum(by_name[name]) / len(by_name[name]))


# %% [markdown]
# ## 9. A prediction and its score (3 points)
#
# `precsim/data/predictions-2.json` was written before the networks that it speaks of were trained. Of one of them a law
# said that the logarithm of a quantity is normal, with mean `said.ln` and standard deviation `said.sd`; then `measured`
# came out, one value for each run. Runs scatter by `spread` in the logarithm. Write `log_score`: the logarithm of the
# density that the prediction gives to the mean of the logarithms, where the variance of that mean is added to `said`'s.
#
# Score two laws on the same network. Which one would you trust with the next?


# %% exercise="log_score" role="about"
minutes = 20
objectives = {"4-laws/what-architecture-does": "read a prediction that was written down"}


# %% exercise="log_score" role="answer"
def log_score(said, measured, spread: float) -> float:
    """Logarithm of the predicted density of what was measured; larger is better."""
    ### BEGIN SOLUTION
    seen = sum(math.log(value) for value in measured) / len(measured)
    sd = math.sqrt(said.sd**2 + spread**2 / len(measured))
    return -(((seen - said.ln) / sd) ** 2) / 2 - math.log(sd * math.sqrt(2 * math.pi))
    ### END SOLUTION


# %% exercise="log_score" role="check" points=3
ps.course.check(ps5.LOG_SCORE, log_score)


# %% exercise="log_score" role="group" group="other predictions" points=2
laws = ["power law, D/N >= 60", "concave in ln D", "second order, measured curvature, D/N >= 60"]
inputs = [one for law in laws for one in ps5.foretold("delta at 6 bits", law)]


# %% exercise="log_score" role="wrong" mistake="noise forgotten"
def log_score(said, measured, spread: float) -> float:
    z = (np.mean(np.log(measured)) - said.ln) / said.sd
    return float(-(z**2) / 2 - np.log(said.sd) - np.log(2 * np.pi) / 2)


# %% exercise="log_score" role="wrong" mistake="no width"
def log_score(said, measured, spread: float) -> float:
    sd = math.hypot(said.sd, spread / math.sqrt(len(measured)))
    return float(-(((np.mean(np.log(measured)) - said.ln) / sd) ** 2) / 2)


# %% exercise="log_score" role="wrong" mistake="logarithm of the mean"
def log_score(said, measured, spread: float) -> float:
    sd = math.hypot(said.sd, spread / math.sqrt(len(measured)))
    z = (math.log(sum(measured) / len(measured)) - said.ln) / sd
    return -(z**2) / 2 - math.log(sd * math.sqrt(2 * math.pi))
