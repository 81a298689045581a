"""The laws that the book's tools offer: each can be written down, and its constants written as Python are the law."""

from __future__ import annotations

import numpy as np
import pytest

from precsim import laws
from precsim.evidence import offers
from precsim.view import Explored
from precsim.view.laws.formulas import python_of

OFFERED = {one["name"]: one for one in (*offers.explored(), *offers.planned())}


@pytest.mark.parametrize("name", OFFERED)
def test_a_law_on_offer_comes_with_its_runs_its_source_and_its_constants(name):
    one = Explored(**OFFERED[name])
    assert one.note.endswith(".")
    assert one.source or "main-text" in one.slug
    assert eval(python_of(one.law), {"laws": laws}) == one.law


def test_draws_are_around_the_law_and_the_same_every_time():
    again = offers.kumar()["draws"].values
    for name, values in OFFERED["Kumar 2024"]["draws"].values.items():
        np.testing.assert_array_equal(values, again[name])
        low, high = np.percentile(values, [2, 98])
        assert low < OFFERED["Kumar 2024"]["law"].parameters[name] < high, name


def test_a_law_that_the_catalog_knows_without_runs_is_not_on_offer():
    with pytest.raises(ValueError, match="does not know the runs of Muennighoff"):
        offers._printed(laws.published.CATALOG[12].law, "Muennighoff 2023")
