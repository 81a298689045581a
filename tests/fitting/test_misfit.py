"""Intervals that know of a wrong form: the sizes of misfit and noise are found, and coverage is restored."""

import numpy as np
import pytest

from precsim import laws
from precsim.fitting import fit, misfit, uncertainty
from precsim.laws import WEIGHTS

TRUTH = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37) | laws.Saturating(WEIGHTS, c=6.0, gamma=1.3)
N, D, W = map(
    np.ravel, np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5), [2.0, 3.0, 4.0, 6.0, 8.0, np.inf])
)
EXACT = TRUTH(N, D, weights=W)
ASKED = {name: (lambda law, n=name: law.parameters[n]) for name in TRUTH.parameters} | {
    "f(4)": lambda law: law.n_eff(1.0, weights=4.0),
    "P*": lambda law: law.best_bits(),
    "inside": lambda law: law(1e8, 1e10, weights=4.0),
    "beyond": lambda law: law(1e10, 1e12, weights=4.0),
}


def root(kind, length):
    """Root of the covariance of a field over the settings, with another scaling of the axes than the estimate uses."""
    x = np.column_stack([np.log(N / 1e8) / 1.5, np.log(D / 1e10) / 1.8, np.minimum(W, 16) / 4])
    d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1)) / length
    return np.linalg.cholesky((np.exp(-d * d / 2) if kind == "smooth" else np.exp(-d)) + 1e-8 * np.eye(len(x)))


def table(rng, field=None, size=0.0, noise=0.003):
    error = noise * rng.standard_normal(len(N))
    if field is not None:
        error = error + size * field @ rng.standard_normal(len(N))
    return {"N": N, "D": D, "weights": W, "loss": EXACT * np.exp(error)}


def coverage(field, size, sets):
    """Share of tables whose 95 % interval holds the truth, and the median width: with and without misfit."""
    inside = {"plain": {q: [] for q in ASKED}, "misfit": {q: [] for q in ASKED}}
    widths = {"plain": {q: [] for q in ASKED}, "misfit": {q: [] for q in ASKED}}
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        found = fit(TRUTH.blank(), table(rng, field, size), strict=False)
        for kind, module in (("plain", uncertainty), ("misfit", misfit)):
            draws = module.bootstrap(found, n=200, rng=rng)
            for name, fn in ASKED.items():
                band = uncertainty.interval(draws, fn)
                inside[kind][name].append(fn(TRUTH) in band)
                widths[kind][name].append(band.high - band.low)
    shares = {kind: {q: np.mean(x) for q, x in found.items()} for kind, found in inside.items()}
    wider = {q: np.median(widths["misfit"][q]) / np.median(widths["plain"][q]) for q in ASKED}
    return shares["plain"], shares["misfit"], wider


def test_sizes_of_misfit_and_noise_are_found():
    field = root("smooth", 1.0)
    found = [misfit.misfit(fit(TRUTH.blank(), table(np.random.default_rng(k), field, 0.006)))[0] for k in range(8)]
    assert np.median([m.noise for m in found]) == pytest.approx(0.003, rel=0.15)
    assert np.median([m.size for m in found]) == pytest.approx(0.006, rel=0.3)
    assert min(m.gain for m in found) > 20


def test_noise_alone_is_no_misfit():
    found = [misfit.misfit(fit(TRUTH.blank(), table(np.random.default_rng(k))))[0] for k in range(8)]
    assert np.median([m.gain for m in found]) < 3
    assert np.median([m.noise for m in found]) == pytest.approx(0.003, rel=0.15)


def test_the_draws_of_a_law_in_two_stages(rng):
    law = TRUTH | laws.KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.34, gamma_post=0.6)
    rows = {k: np.repeat(v, 3) for k, v in table(rng).items()} | {"post": np.tile([np.inf, 3.0, 4.0], len(N))}
    delta = law.delta(rows["N"], rows["D"], weights=rows["weights"], post=rows["post"])
    rows |= {"delta": delta * np.exp(0.05 * rng.standard_normal(len(delta)))}
    draws = misfit.bootstrap(fit(law.blank(), rows), n=40, rng=rng)
    assert set(draws.values) == set(law.parameters) - {"b"}
    assert uncertainty.interval(draws[:9], lambda law: law.gamma_D).method == "bootstrap percentile with misfit"
    assert 0.4 < np.median(draws.values["gamma_D"]) < 0.6
    again = misfit.bootstrap(fit(law.blank(), rows), n=40, rng=np.random.default_rng(5))
    same = misfit.bootstrap(fit(law.blank(), rows), n=40, rng=np.random.default_rng(5))
    assert np.array_equal(again.values["E"], same.values["E"])


def test_bad_arguments(rng):
    found = fit(TRUTH.blank(), table(rng))
    with pytest.raises(ValueError, match="at least 2"):
        misfit.bootstrap(found, n=1, rng=rng)
    known = laws.Chinchilla(E=1.7, A=400.0, B=2000.0) | TRUTH.parts[1]  # two exponents from four rows
    with pytest.raises(ValueError, match="too few residuals"):
        misfit.misfit(fit(known, {k: v[::37][:4] for k, v in table(rng).items()}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "length"),
    [("smooth", 1.0), pytest.param("smooth", 0.5, marks=pytest.mark.weekly), ("rough", 1.0)],
)
def test_coverage_under_misfit(kind, length):
    """A form that is wrong by half a percent, with 0.3 % noise: 60 tables."""
    plain, ours, _ = coverage(root(kind, length), 0.005, 60)
    assert np.mean(list(plain.values())) < 0.75, plain
    assert np.mean(list(ours.values())) >= 0.87, ours
    assert min(ours.values()) >= 0.75, ours


@pytest.mark.slow
def test_coverage_and_width_without_misfit():
    plain, ours, wider = coverage(None, 0.0, 60)
    assert min(ours.values()) >= 0.88, ours
    assert max(wider.values()) < 1.3, wider
    assert np.mean(list(ours.values())) >= np.mean(list(plain.values())) - 0.01
