"""Every number that the book quotes from the open table, computed again by the plainest means (support.plain).

Nothing there uses the package's laws, slices, fits or resampling: only pandas, polynomial fits, least squares.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from support.plain import rows as slices
from support.plain.controls import plain_controls, plain_elsewhere
from support.plain.critical import plain_critical
from support.plain.formats import plain_formats, plain_robustness
from support.plain.rounding import plain_counts, plain_damage
from support.plain.rows import INF, lawful, rounded
from support.plain.training import PARTS, cells_of, error_held_out, of_part, offset, plain_joint, plain_training

import precsim as ps
from precsim.evidence import findings
from precsim.evidence.findings import critical, number_formats
from precsim.evidence.findings.finding import Finding, found


@pytest.fixture(scope="module")
def table():
    return ps.load_runs("precsim-2026")


@pytest.fixture(scope="module")
def answers(table):
    return {finding.question: finding for finding in findings.all_of(table)}


@pytest.fixture(scope="module")
def chinchilla(table):
    return slices.chinchilla(table)


@pytest.mark.slow
def test_findings_agree_with_the_plainest_computation(table, answers, chinchilla):
    plain = dict(plain_counts(table)) | dict(plain_damage(table)) | dict(plain_critical(table))
    plain |= dict(plain_training(table, chinchilla)) | dict(plain_joint(table, chinchilla))
    plain |= dict(plain_formats(table)) | dict(plain_robustness(table))
    plain |= dict(plain_controls(table)) | dict(plain_elsewhere(table))
    assert set(plain) == set(answers), "every finding has a plain computation"
    wrong = {}
    for question, value in plain.items():
        expected = value if type(value).__name__.startswith("Approx") else pytest.approx(float(value), rel=1e-6)
        if answers[question].value != expected:
            wrong[question] = (answers[question].value, value)
    assert wrong == {}


@pytest.mark.slow
def test_every_finding_says_what_it_rests_on_and_lies_in_its_interval(answers):
    for question, finding in answers.items():
        assert finding.models > 0, question
        assert finding.rows >= finding.models, question
        if not math.isnan(finding.low):
            assert finding.low < finding.high or finding.low == finding.value == finding.high, question
            width = finding.high - finding.low
            assert finding.low - width <= finding.value <= finding.high + width, question


@pytest.mark.slow
def test_the_paper_offset_form_predicts_worse_than_the_drifting_one(table, chinchilla, answers):
    """The verdict in words, from plain fits of both forms."""
    for part in ("weights, a scale for each channel", "KV cache"):
        letters = PARTS[part][0]
        cells = cells_of(of_part(table, part), chinchilla)
        cells = cells[~cells["flag"]].reset_index(drop=True)
        error = error_held_out(cells, chinchilla, letters, offset, [0.9, 0.6], False)
        finding = answers[f"{part}: mean error held out"]
        assert finding.verdict.startswith("drifting predicts best")
        said = float(finding.verdict.rsplit(" ", 1)[1].rstrip("%")) / 100
        assert said == pytest.approx(error, rel=0.05)
        assert error > finding.high


@pytest.mark.slow
def test_the_sentences_of_the_pages_hold(table, answers):
    """What the chapters say in words between the tables, so that another table would make them fail here."""
    value = {question: finding.value for question, finding in answers.items()}
    claims = {
        bar: [f.met for f in answers.values() if f.bar == f"{bar} (the paper)"] for bar in ("0", "1", "< 1", "≥ 0.90")
    }
    assert sum(map(len, claims.values())) == sum(finding.of_the_paper for finding in answers.values())
    assert all(claims["< 1"] + claims["≥ 0.90"])
    assert not any(claims["0"] + claims["1"])
    like = {
        question: [q for q in answers if q.startswith(question)]
        for question in ("exponent of D in the gap", "product law")
    }
    assert all(answers[q].low > 0 for q in like["exponent of D in the gap"])
    assert all(answers[q].high < 1 for q in like["product law"])
    held_out = [finding for q, finding in answers.items() if q.endswith(("error held out", "set: mean error"))]
    assert len(held_out) == 7
    assert all(f.verdict.startswith("drifting predicts best") for f in held_out)
    assert answers["gap added together over the sum of the gaps added alone"].high < 1
    tensor, token = (
        "ln gap added at 3 and 4 bits, activations by tensor over weights",
        "the same, activations by token over weights",
    )
    assert (
        answers[tensor].low
        > answers[token].high
        > answers[token].low
        > 1
        > answers["the same, KV cache over weights"].high
    )
    assert 0.5 < value["share of activations' extra cost (log scale) that a scale for each token removes"] < 1
    constant = answers["exponent of D in δ: constant rate over full cosines (1: the data; 0: the decay)"]
    assert constant.low <= 1 <= constant.high
    decays = [finding for q, finding in answers.items() if q.endswith("over constant rate, same tokens")]
    assert all(0.98 < f.low and f.value < 1.25 for f in decays)
    by_steps = answers["exponent of steps in δ at 4 bits, at fixed tokens"]
    assert by_steps.high < answers["exponent of tokens in δ at 4 bits, at fixed steps"].low
    growth = value["exponent of D in δ at 4 bits"]
    assert value["exponent of D in the mean square of the weights"] == pytest.approx(growth, abs=0.05)
    assert value["exponent of D in the trace of the Hessian"] < growth / 5
    assert 1 / value["mean square of the weights, weight decay 0.3 over none"] > 20
    assert value["δ at 4 bits, weight decay 0.3 over none"] == pytest.approx(0.5, abs=0.05)
    change = answers["exponent of D in δ at 4 bits, weight decay 0.3 less none (−exponent: growth stopped)"]
    assert change.high < 0
    much, none = (float(word) for word in change.verdict.removeprefix("exponents ").split(" and "))
    assert 0.4 < much < none
    assert value["cells in which training at 3 bits is best for serving at 3 bits"] > 0.95
    assert value["δ of GPTQ over rounding to nearest, 3–5 bits"] == pytest.approx(0.5, abs=0.05)
    assert answers["exponent of D in that ratio (GPTQ)"].low > 0 > answers["exponent of D in that ratio (AWQ)"].high
    within = answers["law of δ on sizes larger than those fitted: median error"].verdict.split()
    assert int(within[0]) > int(within[2]) / 2
    assert "2 models" in answers["law of δ on sizes larger than those fitted: worst cell"].verdict
    assert answers["training in FP4_E1M2: cost over INT4's"].low == 1 == value["training in FP4_E1M2: cost over INT4's"]
    worth = {one.name: one.worth for one in number_formats.after_training(table)}
    pairs = (("FP6_E3M2", "FP8_E5M2"), ("FP6_E2M3", "FP8_E4M3"))  # exponent bits beyond two buy next to nothing
    assert all(abs(worth[a] - worth[b]) < 0.1 for a, b in pairs)
    turns = critical.turns(table)
    assert all(turn.inside for turn in turns)
    assert all(1.5 < turn.predicted.value / turn.tokens < 4 for turn in turns if turn.bits == 2)
    assert value["critical data at 3 and 4 bits, the law's over the measured: geometric mean"] < 1.2
    rows = lawful(rounded(table, bits=(4,)), 0).groupby(["N", "D"])["delta"].mean().unstack()
    assert (rows.loc[55296].max() / rows.loc[55296].min()) > 10


@pytest.mark.slow
def test_formats_are_worth_integer_bits(table):
    """By one's own interpolation between the integers; an integer is worth itself."""
    worth = {one.name: one for one in number_formats.after_training(table)}
    for bits in range(2, 9):
        assert worth[f"INT{bits}"].worth == pytest.approx(bits)
    rows = table[table["batch"].isin(["main", "repeats"]) & np.isinf(table["weights"])]
    rows = lawful(rows[(rows["post_method"] == "rtn")])
    means = rows.groupby(["post_format", "post_scaling", "N", "D"])["delta"].mean()
    level = np.log(means).groupby(["post_format", "post_scaling"]).mean()
    scale = [level[f"INT{bits}", "channel"] for bits in range(2, 9)]
    place = np.interp(-level["NF4", "block 64"], -np.array(scale), np.arange(2, 9))
    assert worth["NF4"].worth == pytest.approx(place, rel=1e-9)
    assert worth["NF4"].bits == 4.5


def test_the_minimum_of_a_parabola_is_found_exactly_and_ends_are_said_to_be_ends():
    x = np.log(np.array([1e6, 2.5e6, 6e6, 2e7]))
    lines = np.stack([(x - np.log(3e6)) ** 2, x, -x])
    assert critical._minimum(x, lines) == pytest.approx([3e6, -INF, INF])


def test_words_of_a_finding():
    rows = pd.DataFrame({"job": ["a", "a", "b"]})
    met = found("q", "≥ 1", [2.0, 1.5, 2.5], rows, lambda value: value >= 1)
    assert met.cells == ("q", "2", "1.525 to 2.475", "2", "≥ 1: yes")
    assert found("q", "≥ 1", [2.0, 0.5, 2.5], rows, lambda value: value >= 1).cells[-1] == "≥ 1: yes, not surely"
    assert found("q", "stated", [2.0, 1.5, 2.5], rows, verdict="so").cells == ("q (so)", "2", "1.525 to 2.475", "2", "")
    assert found("q", "1 (the paper)", [2.0], rows, lambda value: value == 1).cells[-1] == "1 (the paper): no"
    assert found("q", "1 (the paper)", [2.0], rows, lambda value: value == 1).of_the_paper
    assert isinstance(met, Finding)


def test_an_unknown_topic_is_refused(table):
    with pytest.raises(ValueError, match=r"no findings on 'weather'; the topics are the table, rounding"):
        findings.on("weather", table)
