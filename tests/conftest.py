from __future__ import annotations

import hypothesis
import numpy as np
import pytest

# The same examples on every run and no time limit of its own: a busy machine must not fail a property.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("ci")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20241107)
