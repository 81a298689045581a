"""Training through the rounding in the linear model: annealed it costs what the best correction does, else far more."""

from __future__ import annotations

import numpy as np
import pytest

from precsim.models import Teacher
from precsim.numerics import INT3, INT4
from precsim.training.ptq.annealed_student import anneal_student


@pytest.mark.parametrize(("width", "bits"), [(32, INT3), (32, INT4)])
def test_a_rate_that_falls_to_zero_reaches_the_corrected_value(width, bits):
    """Within 4 standard errors over bases and 6 %; nearest rounding costs more than twice as much."""
    found = anneal_student(Teacher(width), bits, np.random.default_rng(0), bases=12, draws=30, steps=3000)
    error = found.annealed.std() / np.sqrt(len(found.annealed))
    assert found.annealed.mean() == pytest.approx(1.0, abs=min(4 * error + 0.01, 0.06))
    assert found.gptq.mean() == pytest.approx(1.0, abs=0.06)
    assert found.nearest.mean() > 2


def test_at_a_constant_rate_the_weights_chatter_together_and_that_costs_many_times_more():
    found = anneal_student(Teacher(32), INT4, np.random.default_rng(1), bases=6, draws=20, steps=2000)
    assert 5 < (found.constant / found.nearest).mean() < 60
