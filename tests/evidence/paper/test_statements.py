"""The paper's statements, run: the form with offsets says what the paper says, the printed form does not."""

from __future__ import annotations

import numpy as np
import pytest

from precsim.evidence.paper.statements import KUMAR, data_hurts, fixed_best_bits, matched_loss, table
from precsim.laws.published import KUMAR_2024, KUMAR_2024_MAIN_TEXT
from precsim.planning import Choice, plan


def test_every_statement_holds_with_offsets_and_half_fail_without():
    rows = table()
    assert len(rows) == len(KUMAR) >= 12
    assert all(r["holds"] for r in rows)
    assert sum(not r["main text holds"] for r in rows) >= 6


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
