"""Results of the package against those of the version before it was laid out anew (tests/support/results.py)."""

from __future__ import annotations

import csv

import pytest
from support import results
from support.places import REFERENCE


def stored() -> dict[str, tuple[str, list[float]]]:
    with (REFERENCE / "results.csv").open(encoding="utf-8", newline="") as file:
        return {name: (digest, [float(x) for x in numbers.split()]) for digest, name, numbers in csv.reader(file)}


def test_twelve_formats_round_as_before_bit_for_bit():
    kept = stored()
    assert {name: digest for digest, name, _ in results.rounding()} == {
        name: digest for name, (digest, _) in kept.items() if name.startswith("rounding")
    }


@pytest.mark.parametrize(("group", "digits"), [(results.plans, 1e-6), (results.fits, 1e-7)])
def test_plans_and_fits_are_as_before(group, digits):
    """Fits to seven digits, plans to six.

    The last bits of an objective belong to the machine's matrix library, and where a minimum is flat 1e-16 of the
    objective are 1e-8 of a parameter: `BetaOfN` was 9e-9 apart on two machines.
    """
    kept = stored()
    for _, name, numbers in group():
        assert list(numbers) == pytest.approx(kept[name][1], rel=digits), name


@pytest.mark.slow
def test_a_sweep_has_the_jobs_and_losses_of_before():
    """Keys to the digit; losses to 2 %: training of thousands of steps is chaotic in the last bit of a product."""
    kept = stored()
    for digest, name, numbers in results.sweep():
        if name == "job keys":
            assert digest == kept[name][0]
        else:
            assert list(numbers) == pytest.approx(kept[name][1], rel=0.02), name
