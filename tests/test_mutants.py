"""The list of mutants itself: each still changes one place of a file that is there, and names tests that are."""

import pytest
from support.mutants import MUTANTS
from support.places import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_changes_one_place_and_its_tests_exist(mutant):
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.old != mutant.new
    assert (ROOT / mutant.tests.partition(" -k ")[0]).exists()
