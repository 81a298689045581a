"""The questions of `precsim.evidence.findings` asked of both editions by one function each, side by side.

Of the first edition an answer stands as it is printed everywhere: networks are drawn again. Of the second it is the
mean over its three languages of the number that each gives alone, with Student's t over them: a number that is to hold
for other languages is as sure as languages agree. A question that the second edition has no runs for says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from precsim.evidence import findings, fitted, resampling
from precsim.evidence.architecture import interval
from precsim.evidence.findings.finding import STATED, Finding
from precsim.evidence.resampling import Number
from precsim.evidence.rows import damage, trained_weights
from precsim.runs import Table

Question = Callable[[Table], Finding | tuple[Finding, ...]]

#: How intervals are made, for the line below a table.
SURE = "drawing networks again (first edition), Student's t over languages (second)"
_SCHEDULES = "one schedule in the second edition, the cosine"
_FACTS = "no MLPs in the second edition"


@dataclass(frozen=True, slots=True)
class Headline:
    """A function that asks a table, the selection it reads, and why the second edition has no answer, if so.

    Attributes
    ----------
    ask : callable
    of : str
        The selection, a function of `precsim.evidence.rows`.
    absent : str
        "" where the second edition can be asked.
    alone : bool
        Whether a language alone can be asked; else the second edition's networks are drawn again, as the first's.
    """

    ask: Question
    of: str
    absent: str = ""
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and what the editions say.

    Attributes
    ----------
    question : str
        As the first edition is asked it.
    of : str
        The selection.
    first : Finding
    second : Number or None
        None where the second edition has no runs for it.
    models : int
        Of the second edition.
    languages : tuple of float
        What each language of the second edition says alone; none where it was asked as a whole.
    words : str
        The second edition's verdict, or why it has none.
    """

    question: str
    of: str
    first: Finding
    second: Number | None
    models: int
    languages: tuple[float, ...]
    words: str

    @property
    def asked(self) -> str:
        """The question in full, also where the one that it goes on from has no answer here."""
        return _IN_FULL.get(self.question, self.question)

    @property
    def cells(self) -> tuple[str, ...]:
        """Words for one row of a table: question, the first edition, the second, and the models of both."""
        first = _words(Number(self.first.value, self.first.low, self.first.high), self.first.verdict)
        second = "" if self.second is None else _words(self.second, self.words)
        return (self.asked, first, second, f"{self.first.models:,}; {self.models:,}")


def selections(answers: Iterable[Answer]) -> str:
    """The selections behind some answers, each once, in the words of a source."""
    names = dict.fromkeys(name for answer in answers for name in answer.of.split(", "))
    return f"precsim-2026, and precsim-2027 by editions.standard_table; {', '.join(names)}"


def constants(table: Table) -> tuple[Finding, ...]:
    """Constants of the law of δ and of the share of parameters that few bits leave: `precsim.evidence.fitted`."""
    law, weights = fitted.damage(table), fitted.weights(table)
    deltas, trained = damage(table), trained_weights(table)
    names = {
        "γ_D of the law of δ": "gamma_D",
        "γ_N of the law of δ": "gamma_N",
        "γ of the law of δ [bits]": "gamma_post",
    }
    found = [_stated(words, resampling.parameter(law, name), deltas) for words, name in names.items()]
    for bits in (3.0, 4.0, 6.0):
        share = resampling.of_law(weights, lambda fit, P=bits: float(fit.n_eff(1.0, weights=P)))
        found.append(
            _stated(f"f({bits:.0f}): share of parameters that weights of {bits:.0f} bits leave", share, trained)
        )
    return tuple(found)


#: Questions by topic, as `precsim.evidence.findings.TOPICS` has them, and the constants of the laws.
HEADLINES: dict[str, tuple[Headline, ...]] = {
    "full precision": (
        Headline(findings.base_law, "rows.networks"),
        Headline(findings.seed_noise, "rows.repeated"),
    ),
    "constants of the laws": (Headline(constants, "rows.damage, rows.trained_weights"),),
    "rounding after training": (
        Headline(findings.damage_rate, "rows.damage"),
        Headline(findings.damage_rises, "rows.damage"),
        Headline(findings.damage_falls, "rows.damage"),
        Headline(findings.damage_law, "rows.damage"),
        Headline(findings.damage_law_everywhere, "rows.damage"),
        Headline(findings.held_out_size, "rows.damage"),
        Headline(findings.held_out_worst, "rows.damage"),
        Headline(findings.second_order, "rows.curved"),
    ),
    "critical data": (Headline(findings.critical_data, "rows.turning"),),
    "training in few bits": (
        Headline(findings.held_out, "rows.trained_weights, rows.parts", alone=False),
        Headline(findings.effective_parameters, "rows.trained_weights, rows.parts"),
    ),
    "several tensors at once": (
        Headline(findings.product_law, "rows.parts"),
        Headline(findings.sensitivity, "rows.parts"),
    ),
    "formats": (Headline(findings.formats_rounded_to, "rows.formats_after_training"),),
    "trained and served in few bits": (
        Headline(findings.robustness, "rows.trained_and_rounded"),
        Headline(findings.unified_law, "rows.trained_and_rounded"),
        Headline(findings.best_training, "rows.served_like_trained"),
    ),
    "what else could do it": (
        Headline(findings.schedule, "rows.schedules", _SCHEDULES),
        Headline(findings.decays, "rows.schedules", _SCHEDULES),
        Headline(findings.growth, "rows.damage"),
        Headline(findings.weight_decay, "rows.controls"),
        Headline(findings.growth_under_decay, "rows.controls"),
        Headline(findings.learning_rate, "rows.controls"),
        Headline(findings.steps, "rows.controls"),
    ),
    "elsewhere": (
        Headline(findings.facts, "rows.elsewhere", _FACTS),
        Headline(findings.text, "rows.elsewhere", alone=False),
        Headline(findings.training_elsewhere, "rows.elsewhere", alone=False),
        Headline(findings.methods, "rows.methods"),
    ),
}
#: Why single questions have no answer, where the others of their function have one: by how they begin.
_WHY = {
    "activations, one scale for a tensor": "activations have a scale for each token",
    "all combined, activations by tensor": "activations have a scale for each token",
    "product law, activations × KV by tensor": "activations have a scale for each token",
    "product law, weights × activations by tensor": "activations have a scale for each token",
    "product law, weights × activations × KV by tensor": "activations have a scale for each token",
    "exponent of D in ln(N/N_eff), activations, one scale": "activations have a scale for each token",
    "exponent of D in the gap added by 2–4 bits, activations, one": "activations have a scale for each token",
    "ln gap added at 3 and 4 bits, activations by tensor": "activations have a scale for each token",
    "share of activations' extra cost": "activations have a scale for each token",
    "δ at 3 bits, trained at 5": "trained in 3, 4 and 6 bits",
    "δ at 3 bits, trained at 8": "trained in 3, 4 and 6 bits",
    "the same at 2 bits, which no fit saw": "one size turns between its budgets",
    "MLPs on facts": _FACTS,
}
#: Questions that go on from another, in full.
_IN_FULL = {
    "the same at 2 bits, which no fit saw": "critical data at 2 bits, which no fit saw: the law's over the measured",
    "the same, by a law fitted without the size": "critical data, by a law fitted without the size, over the measured",
    "the same, every size and budget": "law of δ, single models of every size and budget, R² of ln",
    "the same without robustness": "law of δ that does not know of training, both precisions, R² of ln",
    "the same, activations by token over weights": "ln gap added at 3 and 4 bits, activations by token over weights",
    "the same, KV cache over weights": "ln gap added at 3 and 4 bits, KV cache over weights",
}
#: The same question where the editions' settings differ: as the first edition is asked it, and the second.
_ALIKE = {
    "weight decay 0.3": "weight decay 0.1",
}


def beside(topic: str, first: Table, second: Table) -> tuple[Answer, ...]:
    """Every question on a topic, of both editions.

    Parameters
    ----------
    topic : str
        One of `HEADLINES`.
    first : DataFrame
        The first edition.
    second : DataFrame
        The second under the first's names, `precsim.evidence.editions.standard_table`.

    Raises
    ------
    ValueError
        If there is no such topic.
    """
    if topic not in HEADLINES:
        raise ValueError(f"no headlines on {topic!r}; the topics are {', '.join(HEADLINES)}")
    return tuple(answer for headline in HEADLINES[topic] for answer in _asked(headline, first, second))


def _asked(headline: Headline, first: Table, second: Table) -> list[Answer]:
    theirs = _all(headline.ask, first)
    if headline.absent:
        return [Answer(f.question, headline.of, f, None, 0, (), headline.absent) for f in theirs]
    ours = {one.question: one for one in _all(headline.ask, second)}
    each = []
    if headline.alone:
        parts = (some for _, some in second.groupby("language_seed"))
        each = [{one.question: one.value for one in _all(headline.ask, part)} for part in parts]
    return [_answer(headline, one, ours.get(_same(one.question)), each) for one in theirs]


def _answer(headline: Headline, first: Finding, found: Finding | None, each: list[dict[str, float]]) -> Answer:
    if found is None:
        why = next(why for start, why in _WHY.items() if first.question.startswith(start))
        return Answer(first.question, headline.of, first, None, 0, (), why)
    whole = Number(found.value, found.low, found.high)
    alone = tuple(one[found.question] for one in each if found.question in one)
    if len(alone) < len(each) or not each or np.isnan(found.low):  # a count has no interval
        return Answer(first.question, headline.of, first, whole, found.models, (), found.verdict)
    sure = interval(alone)
    number = Number(float(np.mean(alone)), sure.low, sure.high)
    return Answer(first.question, headline.of, first, number, found.models, alone, "")


def _same(question: str) -> str:
    for first, second in _ALIKE.items():
        question = question.replace(first, second)
    return question


def _all(ask: Question, table: Table) -> tuple[Finding, ...]:
    found = ask(table)
    return found if isinstance(found, tuple) else (found,)


def _stated(question: str, number: Number, rows: Table) -> Finding:
    return Finding(question, STATED, *number, len(rows), rows["job"].nunique(), None)


def _words(number: Number, verdict: str) -> str:
    """A number with its interval; a count as its verdict begins, "6 of 7 sizes"."""
    if np.isnan(number.low):
        return verdict.partition(",")[0] or f"{number.value:,.4g}"
    return f"{number:.3g}"
