"""Designs: Fisher bounds of the paper's grid, the 40-run bar, optimality by exhaustion, and refusals."""

import itertools

import numpy as np
import pytest

from precsim import laws
from precsim.fitting import Draws
from precsim.laws import WEIGHTS, published
from precsim.planning import Choice
from precsim.planning.design import Cell, candidates, expected, expected_draws, power, propose

LAW = laws.Composite(published.KUMAR_2024.parts[:4])
WIDTHS = (
    [Choice()]
    + [Choice(weights=p) for p in (3, 4, 5, 6, 8, 12)]
    + [Choice(activations=p) for p in (4, 5, 6, 8, 12)]
    + [Choice(kv=p) for p in (3, 4, 5, 6, 8, 12)]
    + [Choice.tied(p) for p in (4, 5, 6, 8, 12)]
)
GRID = candidates([30e6, 60e6, 110e6, 220e6], [1.5e9, 3e9, 6e9, 13e9, 26e9], WIDTHS)
FINE = candidates(np.geomspace(30e6, 220e6, 7), np.geomspace(0.75e9, 26e9, 6), WIDTHS)
TARGETS = [lambda law: law.best_bits(), lambda law: float(np.log(law(1.7e9, 26e9)))]


def test_fisher_bounds_of_the_papers_grid():
    """fitting.md section 4: 95 % half-widths of 460 runs at 0.5 % noise, offset form, α and β free."""
    widths, (bits, loss) = expected(LAW, GRID, noise=0.005, targets=TARGETS)
    assert sum(c.flops for c in GRID) == pytest.approx(2.87e21, rel=1e-3)
    reference = dict(
        A=0.22,
        B=0.65,
        E=0.009,
        alpha=0.028,
        beta=0.064,
        gamma_a=0.041,
        gamma_kv=0.079,
        n_a=0.053 * 1.4072,
        n_kv=0.105 * 2.4185,
        n_w=0.33 * 0.3037,
    )
    for name, value in reference.items():
        assert widths[name] == pytest.approx(value, rel=0.06)  # the reference is printed with two digits
    assert bits == pytest.approx(0.059, rel=0.05)
    assert loss == pytest.approx(0.0033, rel=0.03)


def test_forty_runs_bar():
    found = propose(LAW, FINE, budget=9.8e19, noise=0.005, max_runs=40)
    assert found.runs <= 40
    assert found.cost <= 9.8e19
    assert found.half_widths["alpha"] <= 0.07
    _, (bits, loss) = expected(LAW, found.cells, noise=0.005, repeats=found.repeats, targets=TARGETS)
    assert bits <= 0.18
    assert loss <= 0.012
    cheapest = sorted(GRID, key=lambda c: c.flops)[:40]
    assert expected(LAW, cheapest, noise=0.005)[0]["alpha"] > 3 * found.half_widths["alpha"]


def test_targets_are_served_better_than_by_the_determinant():
    general = propose(LAW, FINE, budget=9.8e19, noise=0.005, max_runs=40)
    aimed = propose(LAW, FINE, budget=9.8e19, noise=0.005, max_runs=40, targets=TARGETS)
    _, spread = expected(LAW, general.cells, noise=0.005, repeats=general.repeats, targets=TARGETS)
    assert np.prod(aimed.targets) < np.prod(spread)
    assert aimed.logdet < general.logdet


def test_small_design_is_the_best_of_all():
    """Six runs of 15 cells, every choice tried."""
    law = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    cells = candidates([1e7, 1e8, 1e9], [1e9, 3e9, 1e10, 3e10, 1e11])
    found = propose(law, cells, budget=1e30, noise=0.01, max_runs=6, max_repeats=1)

    rows = (
        np.array(
            [[law.gradient(c.N, c.D)[n] * law.parameters[n] / law(c.N, c.D) for n in law.parameters] for c in cells]
        )
        / 0.01
    )

    def logdet(chosen):
        chosen = list(chosen)
        return np.linalg.slogdet(rows[chosen].T @ rows[chosen])[1]

    best = max(logdet(s) for s in itertools.combinations(range(15), 6))
    assert found.logdet == pytest.approx(best, abs=1e-9)


def test_half_widths_shrink_with_the_square_root_of_repeats():
    one = expected(LAW, GRID, noise=0.005)[0]
    four = expected(LAW, GRID, noise=0.005, repeats=[4] * len(GRID))[0]
    for name, width in one.items():
        assert four[name] == pytest.approx(width / 2, rel=1e-9)


def test_next_runs_build_on_those_made():
    first = propose(LAW, FINE, budget=5e19, noise=0.005, max_runs=25)
    made = [c for c, r in zip(first.cells, first.repeats, strict=True) for _ in range(r)]
    more = propose(LAW, FINE, budget=5e19, noise=0.005, max_runs=15, done=made)
    assert more.half_widths["alpha"] < first.half_widths["alpha"]
    assert more.logdet > first.logdet


def test_prior_draws_guard_against_a_wrong_guess(rng):
    values = {n: v * np.exp(0.1 * rng.standard_normal(6)) for n, v in LAW.parameters.items()}
    robust = propose(Draws(LAW, values), FINE, budget=9.8e19, noise=0.005, max_runs=40)
    blind = propose(LAW, FINE, budget=9.8e19, noise=0.005, max_runs=40)
    assert robust.half_widths["alpha"] < 0.3
    truth = [
        expected(Draws(LAW, values)[i], d.cells, noise=0.005, repeats=d.repeats)[0]["alpha"]
        for d in (robust, blind)
        for i in range(6)
    ]
    assert np.isfinite(truth).all()


def test_guard_drops_widths_where_the_law_ends():
    cells = (*GRID, *candidates([3e7], [1.5e9], [Choice.tied(3), Choice(activations=3.2)]))
    found = propose(LAW, cells, budget=9.8e19, noise=0.005, max_runs=40)
    assert found.dropped == 2


def test_power_grows_with_runs_and_is_the_level_without_effect():
    law = laws.KumarDegradation(C_T=0.06, gamma_D=0.05, gamma_N=0.34, gamma_post=0.59)
    cells = candidates([1e6, 1e7], [1e8, 1e9], [Choice(post=3), Choice(post=4)])
    few = power(law, cells, lambda x: x.gamma_D, noise=0.2)
    many = power(law, cells, lambda x: x.gamma_D, noise=0.2, repeats=[20] * len(cells))
    assert 0.05 < few < many
    nothing = power(law, cells, lambda x: x.gamma_D, noise=0.2, against=0.05)
    assert nothing == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (FINE, {"budget": 1e15}, "do not allow them"),
        (FINE, {"budget": 1e20, "max_runs": 5}, "need at least 11 runs"),
        (candidates([3e7, 6e7, 1e8], [1e9, 2e9, 4e9]), {"budget": 1e21}, "vary N, D and every width"),
        (FINE, {"budget": -1.0}, "budget must be positive"),
        (FINE, {"budget": 1e20, "noise": 0.0}, "noise must be positive"),
    ],
)
def test_refusals(cells, options, message):
    with pytest.raises(ValueError, match=message):
        propose(LAW, cells, **({"noise": 0.005} | options))


def test_a_list_that_determines_nothing_says_so():
    law = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37) | laws.Saturating(WEIGHTS, c=3.0, gamma=1.2)
    assert set(expected(law, [Cell(1e8, 1e10)], noise=0.01)[0].values()) == {np.inf}


def test_expected_draws_spread_as_expected_says_and_singular_cells_are_refused():
    """Their standard deviation is the Fisher bound; the cells are the paper's grid of sizes, tokens and widths."""
    cells = candidates([3e7, 6e7, 1.1e8, 2.2e8], [1.5e9, 6e9, 2.6e10], [Choice(), Choice(4), Choice(6), Choice(8)])
    law = published.KUMAR_2024_FLOAT
    widths, _ = expected(law, cells, noise=0.005)
    draws = expected_draws(law, cells, noise=0.005, n=4000, rng=np.random.default_rng(3))
    for name, half in widths.items():
        value = law.parameters[name]
        moved = draws.values[name] - value if not law.describe(name)["positive"] else np.log(draws.values[name] / value)
        assert 1.96 * np.std(moved) == pytest.approx(half, rel=0.06)
    with pytest.raises(ValueError, match="do not determine"):
        expected_draws(law, cells[:3], noise=0.005, n=10, rng=np.random.default_rng(3))
