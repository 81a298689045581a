"""The home page's picture: its sentences follow from its numbers, by the first rule that holds."""

import math

import numpy as np
import pytest

from precsim.evidence import rows
from precsim.view import hero
from precsim.view.training.hero import WAYS, Hero

TOKENS = (1e6, 4e6, 20e6)


def picture(trained, rounded, full=(0.7, 0.6, 0.5), spread=0.01):
    """Two bits, three budgets, three runs a cell, apart by the spread."""
    runs = np.array([-0.5, 0.0, 0.5]) * spread
    gaps = {"trained": np.array([full, trained]), "rounded": np.array([full, rounded])}
    return Hero(TOKENS, (math.inf, 3.0), {way: g[:, :, None] + runs for way, g in gaps.items()})


@pytest.mark.parametrize(
    ("way", "means", "stop", "said"),
    [
        (
            "rounded",
            (0.75, 0.7, 0.8),
            2,
            "stopped at 4.0M tokens and rounded is better (0.700 against 0.800): more data",
        ),
        ("rounded", (0.75, 0.7, 0.8), 1, "after 4.0M tokens: +0.100 nats. More data still helped."),
        ("rounded", (0.75, 0.7, 0.705), 2, "neither helped nor hurt by more than equal runs differ"),
        ("rounded", (0.705, 0.605, 0.505), 2, "3 runs in full precision differ by 0.010 among themselves"),
        ("trained", (0.75, 0.7, 0.6), 2, "Trained in 3 bits on 20M tokens: +0.100 nats. It never turns in these runs"),
        ("trained", (0.75, 0.7, 0.8), 1, "+0.100 nats. More data still helped."),
        ("trained", (0.75, 0.7, 0.8), 2, "The same network stopped at 4.0M tokens is better (0.700 against 0.800)"),
    ],
)
def test_the_sentence_is_that_of_the_first_rule_that_holds(way, means, stop, said):
    assert said in picture(means, means).answer(way, 1, stop)


def test_full_precision_has_its_own_sentence_in_both_ways():
    one = picture((0.8, 0.7, 0.6), (0.8, 0.9, 1.0))
    assert one.answer("trained", 0, 2) == one.answer("rounded", 0, 2)
    assert "0.500 nats above the best" in one.answer("trained", 0, 2)


def test_the_open_table_fills_every_cell_and_the_means_are_those_of_plain_pandas():
    runs = rows.two_ways(rows.open_table())
    found = hero(runs)
    assert {values.shape for values in found.gaps.values()} == {(7, 6, 6)}
    np.testing.assert_array_equal(found.gaps["trained"][0], found.gaps["rounded"][0])
    table = rows.open_table()
    plain = table[(table["batch"] == "main") & (table["N"] == 24576) & (table["post_format"] == "INT3")]
    plain = plain[(plain["post_scaling"] == "channel") & (plain["post_method"] == "rtn") & np.isinf(plain["weights"])]
    plain = plain[(plain["step"] == plain["steps"]) & np.isinf(plain["post_activations"]) & np.isinf(plain["post_kv"])]
    want = plain.groupby("D")["gap"].mean().to_numpy()
    np.testing.assert_allclose(found.gaps["rounded"][found.bits.index(3.0)].mean(axis=1), want)
    assert found.text == found.answer("rounded", found.bits.index(3.0), 5)
    assert "more data hurt" in found.text


def test_the_state_has_every_run_and_every_sentence():
    found = hero(rows.two_ways(rows.open_table()))
    data = found.state["data"]
    assert sum(len(some) for way in WAYS for stop in data["answers"][way] for some in [stop]) == 2 * 7 * 6
    assert data["bits"][0] is None
    assert np.shape(data["runs"]["rounded"]) == (7, 6, 6)


def test_uneven_runs_and_missing_widths_are_refused():
    runs = rows.two_ways(rows.open_table())
    with pytest.raises(ValueError, match="as many runs as the others"):
        hero(runs.iloc[1:])
    with pytest.raises(ValueError, match="no run has 9 bits; there are inf, 8, 6"):
        hero(runs, bits=9)
