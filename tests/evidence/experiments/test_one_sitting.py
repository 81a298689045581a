"""The opening chapter as it was executed: what its live sweep showed, against what it promises."""

import html
import re

import pytest
from support.places import BUILT

PAGE = BUILT / "html" / "0-one-sitting.html"

pytestmark = [
    pytest.mark.book,
    pytest.mark.skipif(not PAGE.exists(), reason="the book is not built: make book, then make test"),
]


@pytest.fixture(scope="module")
def printed() -> str:
    """What the page shows, without its marks."""
    shown = html.unescape(re.sub(r"<[^>]+>", "", PAGE.read_text(encoding="utf-8")))
    if "networks diverged" not in shown:
        pytest.skip("the opening page was not executed in this build: make book, then make test")
    return shown


def _numbers(pattern: str, text: str) -> list[float]:
    found = re.search(pattern, text)
    assert found, f"the chapter no longer prints {pattern!r}"
    return [float(group.replace(",", "")) for group in found.groups()]


def test_no_network_of_the_sweep_diverged(printed):
    assert _numbers(r"(\d+) evaluations, (\d+) networks diverged", printed) == [1080, 0]


def test_damage_rises_with_data_in_95_percent_of_steps(printed):
    rising, steps = _numbers(r"rises in (\d+) of (\d+) steps", printed)
    assert steps == 48
    assert rising / steps >= 0.95


def test_more_data_hurts_at_two_and_three_bits(printed):
    largest = 3.13
    for bits in (2, 3):
        (seen,) = _numbers(rf"{bits} bits: by the law .*\s+least gap seen at ([\d.]+) million", printed)
        assert seen < largest


def test_both_laws_fit_and_every_parameter_has_an_interval(printed):
    assert _numbers(r"R² of δ on a log scale: ([\d.]+)", printed)[0] >= 0.95
    assert _numbers(r"R² of gap on a log scale: ([\d.]+)", printed)[0] >= 0.95
    for name in "A B alpha beta c_w gamma_w C_T gamma_D gamma_N gamma_post".split():
        value, low, high = _numbers(rf"\b{name} = (\S+) +95 % interval (\S+) to (\S+)", printed)
        assert low <= value <= high
