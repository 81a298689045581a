"""The one resampler, against plain loops, NumPy and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim import laws
from precsim.evidence import resampling
from precsim.evidence.resampling import DRAWS, LEAST, explained, median, number, powers, redraw, slope


def stratified(sizes, rng):
    """Networks of as many cells as sizes, two rows each, in an order of their own."""
    rows = [(f"{i}.{k}", 10 * (i + 1), 7, rng.random()) for i, n in enumerate(sizes) for k in range(n) for _ in "ab"]
    return pd.DataFrame(rows, columns=["job", "N", "D", "y"]).sample(frac=1.0, random_state=3)


def test_units_are_drawn_whole_within_cells_and_small_cells_together(rng):
    rows = stratified((8, 6, 2, 1), rng)
    drawn = redraw(rows)
    counts = pd.DataFrame(drawn.counts.T, index=pd.MultiIndex.from_frame(drawn.rows[["N", "job"]]))
    assert (counts[0] == 1).all()
    assert (counts.groupby("job").nunique() == 1).all(axis=None), "the rows of a network stay together"
    of_cell = counts.groupby("N").sum() / 2
    assert (of_cell.loc[[10, 20]].T == [8, 6]).all(axis=None)
    assert (of_cell.loc[[30, 40]].sum() == 3).all()
    assert of_cell.loc[40].nunique() > 1, "a cell of one network varies, because it is drawn with the other small one"
    assert len(counts.columns) == 1 + DRAWS
    assert LEAST == 6


def test_each_unit_is_drawn_once_on_average(rng):
    often = redraw(stratified((6, 9, 3), rng), draws=4000).counts[1:]
    assert np.allclose(often.mean(axis=0), 1, atol=5 / np.sqrt(4000))
    variance = np.mean([1 - 1 / n for n in (6, 9, 3) for _ in range(n)])  # of a multinomial
    assert often.var(axis=0).mean() == pytest.approx(variance, rel=0.05)


def test_fewer_than_three_units_are_refused(rng):
    with pytest.raises(ValueError, match=r"2 unit\(s\) by job: nothing to draw again"):
        redraw(stratified((2,), rng))


def test_means_of_redraws_are_plain_means_of_repeated_rows(rng):
    drawn = redraw(stratified((7, 3), rng), draws=20)
    cells, means = drawn.means("y", ["N"])
    for line, picked in zip(means, drawn.picked(), strict=True):
        plain = drawn.rows.iloc[picked].groupby("N")["y"].mean().reindex(cells["N"])
        np.testing.assert_allclose(line, plain)
    lines, ends, table = drawn.table("y", ["D"], "N")
    assert (lines, ends.tolist()) == ([(7,)], [10, 20])
    np.testing.assert_allclose(table[:, 0], means)


def test_the_ends_of_an_interval_are_numpys_percentiles_of_the_draws_that_exist(rng):
    values = rng.normal(size=401)
    found = number(values)
    assert (found.value, found.low, found.high) == (values[0], *np.percentile(values[1:], [2.5, 97.5]))
    some = np.concatenate([values, [np.nan] * 50])
    assert number(some) == found
    turns = np.concatenate([[3.0], np.repeat([-np.inf, 2.0, 4.0, np.inf], [5, 195, 195, 5])])
    assert number(turns)[1:] == (2.0, 4.0)
    turns = np.concatenate([[3.0], np.repeat([2.0, np.inf], [380, 20])])
    assert number(turns)[1:] == (2.0, np.inf)


def test_the_interval_of_a_median_covers_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(100):
        rows = pd.DataFrame({"job": np.repeat(np.arange(25), 2).astype(str), "x": rng.normal(size=25).repeat(2)})
        found = median(rows, "x")
        hits += found.low <= 0 <= found.high
    assert 88 <= hits <= 100  # 95 expected; three standard deviations of a binomial are 6.5


def test_copies_of_a_networks_rows_do_not_make_an_interval_narrower(rng):
    rows = pd.DataFrame({"job": [str(i) for i in range(12)], "x": rng.normal(size=12)})
    assert median(rows, "x") == pytest.approx(median(pd.concat([rows] * 20), "x"))


def test_a_median_and_any_measure_are_redrawn_alike(rng):
    rows = stratified((9, 4), rng)
    assert resampling.resampled(rows, lambda t: float(t["y"].median())) == pytest.approx(median(rows, "y"))


def test_a_share_explained_is_r_squared(rng):
    said = np.exp(rng.normal(size=60))
    seen = said * np.exp(0.1 * rng.normal(size=60))
    often = rng.integers(0, 3, size=(5, 60))
    for line, found in zip(often, explained(seen, said, often), strict=True):
        y, off = np.repeat(np.log(seen), line), np.repeat(np.log(seen / said), line)
        assert found == pytest.approx(1 - np.sum(off**2) / np.sum((y - y.mean()) ** 2))
    seen[:3] = [-1.0, 0.0, np.nan]
    (some,) = explained(seen, said, np.ones((1, 60)))
    assert some == pytest.approx(explained(seen[3:], said[3:], np.ones((1, 57)))[0])


def test_powers_are_those_of_least_squares(rng):
    N, D = (x.ravel() for x in np.meshgrid([1e4, 3e4, 9e4], [1e6, 2e6, 8e6]))
    y = 0.3 * D**0.7 * N**-0.2 * np.exp(0.05 * rng.normal(size=9))
    rows = pd.DataFrame({"job": np.arange(9).astype(str), "N": N, "D": D, "y": y})
    drawn = redraw(rows, draws=10)
    d, n = powers(drawn, "y")
    for k, picked in enumerate(drawn.picked()):
        x = np.c_[np.ones(9), np.log(D[picked]), np.log(N[picked])]
        if np.linalg.matrix_rank(x) == 3:
            assert (d[k], n[k]) == pytest.approx(tuple(np.linalg.lstsq(x, np.log(y[picked]))[0][1:]))
    assert (d[0], n[0]) == pytest.approx((0.7, -0.2), abs=0.1)
    assert powers(redraw(rows.assign(y=np.where(rows.index < 1, -1.0, y)), draws=1), "y")[0][0] != d[0]


def test_a_slope_ignores_what_is_missing():
    x, group = np.array([0.0, 1.0, 2.0, 0.0, 1.0]), np.array([0, 0, 0, 1, 1])
    y = np.array([[0.0, 3.0, np.nan, 7.0, 10.0], [0.0, 1.0, 2.0, 0.0, 1.0]])
    assert slope(x, y, group) == pytest.approx([3.0, 1.0])


def test_a_number_of_a_law_has_the_interval_of_the_books_bootstrap(rng):
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 5), np.geomspace(1e8, 1e10, 5)))
    truth = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    runs = pd.DataFrame({"N": N, "D": D, "loss": truth(N, D) * np.exp(0.001 * rng.standard_normal(25))})
    found = ps.fit(laws.Chinchilla(), runs)
    band = ps.interval(ps.bootstrap(found, n=DRAWS, rng=np.random.default_rng(0)), lambda law: law.alpha)
    assert resampling.parameter(found, "alpha") == (found.law.alpha, band.low, band.high)
    doubled = pd.concat([runs.assign(look=k) for k in (0, 1)]).assign(job=lambda t: t.index.astype(str))
    both = ps.fit(laws.Chinchilla(), doubled)  # evaluations of one network: drawn together
    wide = [resampling.parameter(one, "alpha") for one in (found, both)]
    assert wide[1].high - wide[1].low == pytest.approx(wide[0].high - wide[0].low, rel=0.05)
