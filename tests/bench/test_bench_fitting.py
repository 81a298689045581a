"""Fits against the usual multi-start search of SciPy, as ratios of CPU time in one run; no table from outside."""

import time

import numpy as np
import pytest
from scipy.optimize import minimize

from precsim import laws
from precsim.fitting import Draws, bootstrap, fit
from precsim.planning import plan

LAW = laws.Chinchilla(E=1.8172, A=477.8, B=2143.4, alpha=0.3473, beta=0.3672)
KNEE = 1e-3


def table(rng):
    """240 runs with 0.5 % noise and a few outliers, about the shape of the public table."""
    N = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), 240))
    D = np.exp(rng.uniform(np.log(1e9), np.log(3e11), 240))
    noise = 0.005 * rng.standard_t(3, 240)
    return {"N": N, "D": D, "loss": LAW(N, D) * np.exp(noise)}


def cpu(call, repeats=1):
    """CPU seconds of one call."""
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats


def usual(runs):
    """Log-sum-exp objective with its gradient, as the published notebooks write it."""
    n, d, target = (np.log(runs[k]) for k in ("N", "D", "loss"))

    def objective(p):
        a, b, e, alpha, beta = p
        x = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
        top = x.max(0)
        weight = np.exp(x - top)
        total = weight.sum(0)
        r, q = top + np.log(total) - target, weight / total
        psi = np.clip(r, -KNEE, KNEE)
        value = np.where(np.abs(r) <= KNEE, r * r / 2, KNEE * (np.abs(r) - KNEE / 2)).sum()
        return value, (psi * np.stack([q[0], q[1], q[2], -q[0] * n, -q[1] * d])).sum(-1)

    return objective


def test_one_fit_against_4500_starts(benchmark, rng):
    runs = table(rng)
    found = fit(laws.Chinchilla(), runs, delta=KNEE)
    ours = cpu(lambda: fit(laws.Chinchilla(), runs, delta=KNEE), 5)
    axes = [np.arange(0, 30, 5), np.arange(0, 30, 5), np.arange(-1, 1.5, 0.5), np.arange(0, 2.5, 0.5)]
    starts = np.stack(np.meshgrid(*axes, axes[3], indexing="ij"), -1).reshape(-1, 5)
    some = starts[rng.choice(len(starts), 45, replace=False)]
    objective = usual(runs)
    values = []
    tight = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 15_000, "maxfun": 30_000}  # at its defaults no start gets there

    def search(start):
        return minimize(objective, start, jac=True, method="L-BFGS-B", options=tight).fun

    theirs = cpu(lambda: values.extend(map(search, some))) / 45
    assert found.objective == pytest.approx(min(values), rel=1e-9)
    benchmark.extra_info |= {"ours_ms": 1e3 * ours, "one_start_ms": 1e3 * theirs, "ratio": len(starts) * theirs / ours}
    benchmark.pedantic(lambda: fit(laws.Chinchilla(), runs), rounds=5)
    assert ours <= 0.05  # the bar is 25 ms on an idle core
    assert (
        benchmark.extra_info["ratio"] >= 1000 / 2
    )  # the bar is 1,000; another job on the core may halve either figure


def test_bootstraps_and_plans(rng):
    found = fit(laws.Chinchilla(), table(rng), delta=KNEE)
    assert cpu(lambda: bootstrap(found, n=4000, rng=rng)) <= 10
    assert cpu(lambda: bootstrap(found, n=1000, rng=rng, rescan=True)) <= 20
    published = laws.published.KUMAR_2024
    values = {k: v * np.exp(0.02 * rng.standard_normal(1000)) for k, v in published.parameters.items() if k != "b"}
    assert cpu(lambda: plan(Draws(published, values), compute=1e23)) <= 1
