"""The paper's claims judged by the standard block: the same rules, its own runs, and words from the same list."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import precsim as ps
from precsim.evidence import paper
from precsim.evidence.editions import standard_table
from precsim.evidence.experiments import second_edition
from precsim.evidence.paper import our_fits, what_to_buy, which_tensor
from precsim.evidence.paper.exhibits import NOT_JUDGED, Verdict


@pytest.fixture(scope="module")
def judged() -> dict[str, tuple[str, str]]:
    return {number: (verdict, evidence) for number, _, verdict, evidence in paper.claims(standard_table)}


def test_every_claim_has_a_word_of_the_list_or_no_runs(judged):
    assert list(judged) == [str(n) for n in range(1, 14)]
    words = {verdict.value for verdict in Verdict}
    assert {n for n, (word, _) in judged.items() if word not in words} == {"11"}
    assert judged["11"] == (NOT_JUDGED, "No run: this edition has no batch of formats.")
    assert not any("nan" in evidence for _, evidence in judged.values())


def test_claims_that_need_no_run_are_the_first_editions(judged):
    first = {number: (verdict, evidence) for number, _, verdict, evidence in paper.claims()}
    assert [judged[n] == first[n] for n in ("7", "8")] == [True, True]
    assert [judged[n] == first[n] for n in ("1", "4", "9")] == [False, False, False]


def test_a_network_twice_as_large_at_six_bits_by_its_jobs(judged):
    """Claim 12 by gaps of declared jobs; D/N of 20 or more, as the selection of single networks has it."""
    gaps = ps.load_runs("precsim-2027").query("post_method == 'none'").set_index("job")["gap"]
    jobs = (*second_edition.laws(), *second_edition.bits(), *second_edition.methods())
    full, six = {}, {}
    for job in jobs:
        if job.D < 20 * job.N:
            continue
        at = (job.N, job.tokens, job.language.seed, job.seed)
        if str(job.recipe.weights.format if job.recipe.weights else "") == "INT6":
            six[at] = gaps[job.key]
        elif not job.recipe.weights:
            full[at] = gaps[job.key]  # of networks trained twice the last, with GPTQ
    sizes = sorted({at[0] for at in full})
    wins = []
    for small, large in itertools.product(sizes, sizes):
        if not 1.6 <= large / small <= 2.6:
            continue
        for tokens in {at[1] for at in full if at[0] == small}:
            ratios = [
                six[large, tokens, language, seed] / full[small, tokens, language, seed]
                for language, seed in itertools.product(range(3), range(2))
                if (large, tokens, language, seed) in six
            ]
            if ratios:
                wins.append(np.median(ratios) < 1)
    assert all(wins)
    assert judged["12"][0] == Verdict.CONFIRMED.value
    assert f"In {len(wins)} of {len(wins)} pairs" in judged["12"][1]
    assert set(what_to_buy.double_size(standard_table)["bits"]) == {6}
    assert set(what_to_buy.double_size()["bits"]) == {8}


def test_the_first_edition_is_what_is_read_where_nothing_else_is_asked_for():
    assert which_tensor.scales() == ("tensor", "token")
    assert which_tensor.scales(standard_table) == ("token",)
    assert our_fits.main()["D"].max() != our_fits.main(standard_table)["D"].max()
    assert our_fits.damage_fit().law != our_fits.damage_fit(of=standard_table).law
