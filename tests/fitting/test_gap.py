"""Low precision held against full precision, without a law: pairs, groups, intervals, and what has no partner."""

import math

import numpy as np
import pytest
from scipy import stats

from precsim import laws
from precsim.fitting import gaps

INF = math.inf
T_975_OF_2 = 4.302652729911275  # Student's t, two degrees of freedom, from tables


def table(seeds=3, widths=((INF, INF), (4, INF), (3, 3)), cost=(0.0, 0.05, 0.2), noise=0.0, rng=None, N=1e8, D=2e9):
    rows = []
    for (w, a), c in zip(widths, cost, strict=True):
        for seed in range(seeds):
            loss = (
                3.0 + 0.01 * seed + c + (noise * rng.standard_normal() if rng is not None else 0.001 * seed * (c > 0))
            )
            rows.append((N, D, w, a, seed, loss))
    return dict(
        zip(("N", "D", "weights", "activations", "seed", "loss"), map(list, zip(*rows, strict=True)), strict=True)
    )


def test_pairs_have_the_mean_and_the_interval_of_their_differences():
    found = gaps(table())
    assert [(g.weights, g.activations, g.runs, g.references, g.pairs) for g in found.rows] == [
        (4, INF, 3, 3, 3),
        (3, 3, 3, 3, 3),
    ]
    for gap, cost in zip(found.rows, (0.05, 0.2), strict=True):
        half = T_975_OF_2 * 0.001 / math.sqrt(3)  # differences are cost, cost + 1e-3, cost + 2e-3
        assert gap.gap == pytest.approx(cost + 0.001, abs=1e-12)
        assert (gap.low, gap.high) == pytest.approx((cost + 0.001 - half, cost + 0.001 + half), abs=1e-12)
        assert math.isnan(gap.share)


def test_without_seeds_two_means_are_compared_by_welch():
    rows = table()
    del rows["seed"]
    rows["loss"][3:6] = [3.05, 3.07, 3.12]
    gap = gaps(rows).rows[0]
    a, b = np.array([3.05, 3.07, 3.12]), np.array([3.0, 3.01, 3.02])
    va, vb = a.var(ddof=1) / 3, b.var(ddof=1) / 3
    freedom = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 2)
    assert freedom < 2.5  # 4 if the two had one spread
    assert gap.pairs == 0
    assert (gap.high - gap.gap) / math.sqrt(va + vb) == pytest.approx(stats.t.ppf(0.975, freedom))
    assert gap.gap - gap.low == pytest.approx(gap.high - gap.gap)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_holds_the_truth_as_often_as_it_says(level, paired, rng):
    tries, hits = 600, 0
    for _ in range(tries):
        rows = table(seeds=4, noise=0.02, rng=rng)
        if not paired:
            del rows["seed"]
            rows["loss"] = (np.array(rows["loss"]) - 0.01 * np.tile(np.arange(4), 3)).tolist()
        one = gaps(rows, level=level).rows[0]
        hits += one.low <= 0.05 <= one.high
    band = 3.5 * math.sqrt(level * (1 - level) * tries)
    assert abs(hits - level * tries) < band


def test_the_share_of_a_gap_is_the_network_that_would_be_as_bad():
    law = laws.published.HOFFMANN_2022
    gap = gaps(table(), law=law).rows[1]
    term = law.A * 1e8**-law.alpha
    for share, value in ((gap.share, gap.gap), (gap.share_low, gap.high), (gap.share_high, gap.low)):
        assert share == pytest.approx((1 + value / term) ** (-1 / law.alpha), rel=1e-9)


def test_a_gap_that_no_size_explains_has_share_zero_or_infinity():
    rows = table(cost=(0.0, 5000.0, -3.0), widths=((INF, INF), (2, INF), (3, INF)))
    rows["loss"] = [loss if loss > 0 else 0.01 for loss in rows["loss"]]
    small, large = (g.share for g in gaps(rows, law=laws.published.HOFFMANN_2022).rows[::-1])
    assert (small, large) == (0.0, INF)


def test_one_pair_has_a_gap_and_no_interval():
    gap = gaps(table(seeds=1)).rows[0]
    assert gap.gap == pytest.approx(0.05)
    assert math.isnan(gap.low)
    assert math.isnan(gap.high)


def test_rows_without_a_partner_are_counted_and_others_kept():
    rows, lonely = table(), table(widths=((4, INF),), cost=(0.1,), N=2e8)
    both = {name: rows[name] + lonely[name] for name in rows}
    found = gaps(both)
    assert len(found.rows) == 2
    assert (found.reading.rows, found.reading.used) == (12, 9)
    assert found.reading.left_out == {"without a run in full precision to compare with": 3}
    with pytest.raises(ValueError, match=r"none of 3 rows .* same N, D$"):
        gaps({name: lonely[name] + [(2e8, 4e9, INF, INF, 0, 3.0)[k]] for k, name in enumerate(lonely)})


def test_a_run_agrees_with_its_reference_in_what_is_named():
    one, two = table(), table(cost=(0.5, 0.6, 0.9))
    both = {name: one[name] + two[name] for name in one} | {"lr": [1e-3] * 9 + [3e-3] * 9}
    mixed = gaps(both)
    assert all(g.pairs == 0 for g in mixed.rows)  # two references of each seed: no pairs
    apart = gaps(both, same=["lr"]).rows
    assert [(g.labels["lr"], g.weights, round(g.gap, 3)) for g in apart] == [
        (1e-3, 4, 0.051),
        (3e-3, 4, 0.1),
        (1e-3, 3, 0.201),
        (3e-3, 3, 0.4),
    ]


def test_references_without_a_run_do_not_hinder_pairs_and_runs_without_a_reference_do():
    rows = table(widths=((INF, INF), (4, INF)), cost=(0.0, 0.05))
    fewer, unpaired = ({name: v[:5] for name, v in rows.items()}, {name: v[1:] for name, v in rows.items()})
    assert [(g.runs, g.references, g.pairs) for g in (gaps(fewer).rows[0], gaps(unpaired).rows[0])] == [
        (2, 3, 2),
        (3, 2, 0),
    ]


def test_pairs_may_share_more_than_a_seed():
    one, two = table(), table()
    two["loss"] = [loss + 1 for loss in two["loss"]]
    both = {name: one[name] + two[name] for name in one} | {"language": ["a"] * 9 + ["b"] * 9}
    wide, narrow = gaps(both).rows[0], gaps(both, pair=["seed", "language"]).rows[0]
    assert (wide.pairs, narrow.pairs) == (0, 6)
    assert narrow.gap == pytest.approx(wide.gap)
    assert (narrow.high - narrow.low) * 100 < wide.high - wide.low


def test_schemes_of_the_same_widths_are_kept_apart():
    rows = table(widths=((INF, INF), (4, INF), (4, INF)))
    rows["scheme"] = ["BF16"] * 3 + ["RTN"] * 3 + ["LSQ"] * 3
    assert [(g.labels, round(g.gap, 3)) for g in gaps(rows).rows] == [
        ({"scheme": "RTN"}, 0.051),
        ({"scheme": "LSQ"}, 0.201),
    ]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"weights": [INF] * 9, "activations": [INF] * 9}, {}, "no row is in low precision"),
        ({"weights": [4] * 9}, {}, "no row is in full precision"),
        ({}, {"level": 1.0}, "level must be between 0 and 1, got 1.0"),
        ({}, {"same": ["lr"]}, "no column lr to agree in; it has"),
        ({"N": [100.0] * 9}, {}, "N"),
    ],
)
def test_refuses_what_has_no_answer(change, options, message):
    with pytest.raises(ValueError, match=message):
        gaps(table() | change, **options)


def test_a_table_of_pairs_without_a_size_is_told_what_to_add():
    with pytest.raises(ValueError, match=r"no column N and D: .*one number in every row if all runs are alike"):
        gaps({"weights": [np.inf, 4.0], "loss": [3.0, 3.1]})
