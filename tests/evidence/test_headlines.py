"""Both editions beside each other: every question has an answer or a reason, and answers are those of plain means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.plain.formats import plain_robustness
from support.plain.rounding import plain_damage
from support.plain.rows import level_slope, rounded

import precsim as ps
from precsim.evidence import findings, headlines
from precsim.evidence.editions import standard_table
from precsim.evidence.experiments import second_edition
from precsim.evidence.headlines import HEADLINES, Answer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    first, second = ps.load_runs("precsim-2026"), standard_table()
    return {a.question: a for topic in HEADLINES for a in headlines.beside(topic, first, second)}


@pytest.fixture(scope="module")
def by_hand():
    """The second edition's networks by their declared jobs, under the names that the plain computations know."""
    raw = ps.load_runs("precsim-2027")
    again = {(j.model, j.tokens, j.language, j.seed) for j in second_edition.methods()}
    jobs = [j for j in second_edition.laws() if (j.model, j.tokens, j.language, j.seed) not in again]
    keys = {j.key for j in (*jobs, *second_edition.methods(), *second_edition.bits())}
    some = raw[raw["job"].isin(keys)].assign(batch="main", holdout=False)
    tokens = {j.key: j.tokens for j in (*jobs, *second_edition.methods(), *second_edition.bits())}
    return some.assign(D=some["job"].map(tokens))


def said(plain, table) -> dict[str, list[float]]:
    """What a plain computation says of each language alone, up to where it asks for what the table lacks."""
    found: dict[str, list[float]] = {}
    for _, some in table.groupby("language_seed"):
        answers = plain(some)
        while True:
            try:
                question, value = next(answers)
            except (StopIteration, KeyError, ValueError, IndexError):
                break
            found.setdefault(question, []).append(float(getattr(value, "expected", value)))
    return found


def test_every_question_of_the_first_edition_is_asked_and_answered_as_there(answers):
    asked = {f.question: f for f in findings.all_of(ps.load_runs("precsim-2026"))}
    counts = {"trained models", "transformers among them", "evaluations", "models that diverged, kept as rows"}
    counts |= {"share of the declared models that is missing"}
    training = {q for q in asked if q.startswith("training in ")}
    assert set(asked) - set(answers) == counts | training
    assert all(answers[q].first == asked[q] for q in set(asked) & set(answers))


def test_a_question_without_an_answer_has_a_reason_and_no_runs(answers):
    none = [a for a in answers.values() if a.second is None]
    assert len(none) > 20
    assert all(a.words and a.models == 0 and not a.languages for a in none)
    assert all(a.cells[2] == "" for a in none)
    turns = answers["sizes whose critical data at 3 bits lie, with the interval, between two budgets"]
    assert turns.cells[1:] == ("5 of 5 sizes", "6 of 7 sizes", f"{turns.first.models:,}; {turns.models:,}")
    some = [a for a in answers.values() if a.second is not None]
    assert all(a.models > 0 and np.isfinite(a.second.value) for a in some)


def test_answers_are_plain_means_over_languages_with_students_t(answers, by_hand):
    plain = said(plain_damage, by_hand[np.isinf(by_hand["weights"])]) | said(plain_robustness, by_hand)
    late = by_hand[np.isinf(by_hand["weights"])]
    plain |= {q: v for q, v in said(_rounded_only, late).items()}
    asked = [q for q, each in plain.items() if q in answers and len(each) == 3 and answers[q].languages]
    held_out = {q for q in asked if "larger than those fitted" in q}  # the fit's sizes have larger ones beside them
    exact = [q for q in asked if q not in held_out]
    assert len(exact) >= 10
    for question in exact:
        answer, each = answers[question], plain[question]
        assert answer.languages == pytest.approx(each, rel=1e-6), question
        assert answer.second.value == pytest.approx(np.mean(each), rel=1e-6), question
        wanted = stats.ttest_1samp(each, 0).confidence_interval(0.95)
        assert [answer.second.low, answer.second.high] == pytest.approx([*wanted], rel=1e-6, abs=1e-9), question


def _rounded_only(table):
    """Of the formats, what is rounded afterwards: none is trained in the second edition."""
    jobs = table.assign(batch="main")
    for name, (fmt, scaling) in {
        "FP4_E2M1": ("FP4_E2M1", "channel"),
        "NF4": ("NF4", "block 64"),
        "NVFP4": ("FP4_E2M1", "block 16 two-level"),
    }.items():
        late = jobs[(jobs["D"] >= 60 * jobs["N"]) & jobs["post_method"].eq("rtn")]
        means = late.groupby(["post_format", "post_scaling", "N", "D"])["delta"].mean()
        logs = np.log(means).groupby(level=[0, 1]).mean()
        yield f"rounding afterwards to {name}: cost over INT4's", np.exp(logs[fmt, scaling] - logs["INT4", "channel"])


def test_what_grows_in_the_standard_block_by_plain_slopes(answers, by_hand):
    asked = {
        "exponent of D in δ at 4 bits": lambda r: r["delta"],
        "exponent of D in the mean square of the weights": lambda r: r["weight_rms"] ** 2,
        "exponent of D in the trace of the Hessian": lambda r: r["curvature"] / r["weight_rms"] ** 2,
    }
    for question, of in asked.items():
        each = []
        for _, some in rounded(by_hand, bits=(4,)).groupby("language_seed"):
            known = some[some["curvature"] > 0]
            each.append(level_slope(known, np.log(of(known)), ["N"]))
        assert answers[question].languages == pytest.approx(each, rel=1e-6)


def test_an_unknown_topic_is_refused():
    with pytest.raises(ValueError, match=r"no headlines on 'weather'; the topics are full precision, constants"):
        headlines.beside("weather", standard_table(), standard_table())
