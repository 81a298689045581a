"""The paper's statements, run: the form with offsets says what the paper says, the printed form does not."""

from __future__ import annotations

import numpy as np
import pytest

from precsim.evidence.paper.statements import KUMAR, data_hurts, fixed_best_bits, matched_loss, table
from precsim.laws.published import KUMAR_2024, KUMAR_2024_MAIN_TEXT
from precsim.planning import Choice, plan


def test_every_statement_with_a_number_holds_with_offsets_and_four_fail_without():
    rows = table()
    assert len(rows) == len(KUMAR) >= 12
    judged = [r for r in rows if r["holds"] is not None]
    assert all(r["printed"] for r in judged), "judged without a printed number or order"
    assert not any(r["printed"] for r in rows if r["holds"] is None)
    assert all(r["holds"] for r in judged)
    failing = [r["claim"] for r in judged if not r["main text holds"]]
    assert len(judged) == 8
    assert len(failing) == 4


def test_the_upturn_is_held_against_the_printed_26_billion():
    """16.4 billion tokens were once printed as "no"."""
    (upturn,) = (s for s in KUMAR if "26B" in s.claim)
    assert upturn.holds(16.4e9)
    assert not upturn.holds(27e9)


@pytest.mark.parametrize(
    ("law", "losses"),
    [
        (KUMAR_2024, {4: 3.171, 6: 3.092, 8: 3.091, 16: 3.140}),
        (KUMAR_2024_MAIN_TEXT, {4: 3.058, 6: 3.068, 8: 3.082, 16: 3.140}),
    ],
)
def test_compute_matched_models_by_independent_calculation(law, losses):
    """Values computed from the constants alone when the paper was read, to three decimals."""
    for bits, loss in losses.items():
        assert matched_loss(law, bits) == pytest.approx(loss, abs=1.1e-3)


def test_the_best_bits_of_a_fixed_model_are_those_of_the_planner():
    P, N, D = fixed_best_bits(KUMAR_2024, 70e9, 15e12), 70e9, 15e12
    compute = 6 * N * D * P / 16
    found = plan(KUMAR_2024, compute=compute, parameters=N, choices=[Choice.tied(p) for p in np.arange(8, 13, 0.05)])
    assert found.choice.bits["weights"] == pytest.approx(P, abs=0.11)


def test_data_hurts_where_the_slope_changes_its_sign():
    D = data_hurts(KUMAR_2024, 30e6, 3.0)
    around = KUMAR_2024(30e6, D * np.array([0.9, 1.0, 1.1]), post=3)
    assert around.argmin() == 1
