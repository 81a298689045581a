"""A sentence of the book bound to the numbers that it speaks of: if they no longer say it, the build stops.

Prose stays prose. Below a paragraph stands a cell that repeats its sentence (or the part of it that states a result)
word for word, says under which condition it holds, and hands over the numbers. A test (``tests/book/test_claims.py``)
finds quotations that are in no paragraph, and sentences with results that no cell quotes. On the page the cell is a
small mark that opens the numbers, with the selection they come from.

`SHARED` quantities mean one thing wherever they are printed; `disagreements` finds pages that print different values of
one without saying of which rows each is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from precsim.evidence.resampling import Number
from precsim.evidence.rows import SECOND_EDITION, open_table, second_edition
from precsim.runs import Table

#: What the build reads of a page: sentences, numbers and selections, as JSON.
CLAIMS = "application/vnd.precsim.claims+json"
#: Numbers with one meaning on every page, by the name under which a claim is given them.
SHARED = frozenset(
    "gamma_D gamma_N gamma_post C_T alpha beta C_w best_bits_weights f2 f3 f4 f6 f8 turns_at_3_bits turns_at_4_bits "
    "gptq_over_nearest rate_over_theory".split()
)
_SURE = "; intervals by "
_INTERVAL = re.compile(r" \[[^\]]*\]")

#: Where numbers come from: a selection of the open table by its function, or words.
Source = Callable[[Table], Any] | str


class ClaimError(AssertionError):
    """A sentence of the book that its numbers do not say."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence that holds, its numbers as texts by name, and where they come from.

    Attributes
    ----------
    sentence : str
        As it stands in the page, in Markdown.
    numbers : tuple of (str, str)
    source : str
        Table, selection, and how many models, languages and seeds; "" where the numbers stand on the page itself.
    """

    sentence: str
    numbers: tuple[tuple[str, str], ...]
    source: str = ""


def claim(sentence: str, holds: bool, *, of: Source = "", by: str = "", **numbers: object) -> Claim:
    """A sentence with the numbers that it was checked on.

    Parameters
    ----------
    sentence : str
        Word for word as in the page.
    holds : bool
        Whether the numbers say so.
    of : callable or str
        Selection of `precsim.evidence.rows` that the numbers come from (its models are counted), or a source in words.
    by : str
        How intervals were made, for example "drawing sizes again".
    **numbers : float, Number, str, or a sequence or mapping of floats
        What the sentence speaks of, by name; shown to three digits.

    Raises
    ------
    ClaimError
        If it does not hold: the message has the sentence and its numbers.
    ValueError
        If there is no number, or one of `SHARED` without `of`.

    Examples
    --------
    >>> claim("twice two is four", 2 * 2 == 4, product=2 * 2)
    Claim(sentence='twice two is four', numbers=(('product', '4'),), source='')
    >>> claim("twice two is five", 2 * 2 == 5, product=2 * 2)
    Traceback (most recent call last):
    precsim.evidence.claims.ClaimError: no longer true: “twice two is five” (product = 4)
    """
    if not numbers:
        raise ValueError(f"a claim without numbers says nothing that could fail; give those of {sentence!r} by name")
    texts = tuple((name, _text(value)) for name, value in numbers.items())
    if not holds:
        said = ", ".join(f"{name} = {text}" for name, text in texts)
        raise ClaimError(f"no longer true: “{sentence}” ({said})")
    if not of and (alone := sorted(SHARED & set(numbers))):
        raise ValueError(f"{', '.join(alone)} is printed on other pages too: say of which rows it is, of=rows.damage")
    return Claim(sentence, texts, sourced(of, by=by))


def sourced(of: Source, *, by: str = "") -> str:
    """Where numbers come from and how sure they are, in a line: for claims, and below tables.

    Parameters
    ----------
    of, by
        As in `claim`.

    Examples
    --------
    >>> sourced("Epoch AI's 240 points", by="4,000 bootstrap draws, 95 %")
    "Epoch AI's 240 points; intervals by 4,000 bootstrap draws, 95 %"
    """
    return "; ".join(filter(None, (of if isinstance(of, str) else described(of), by and f"intervals by {by}")))


def counted(name: str, rows: Table) -> str:
    """Rows in a line: their name, and how many models, languages and seeds are in them.

    Examples
    --------
    >>> from precsim.evidence import rows
    >>> table = rows.open_table()
    >>> counted("precsim-2026, batch text", table[table["batch"] == "text"])
    'precsim-2026, batch text: 160 models, 1 language, 2 seeds'
    """
    return f"{name}: {_counts(rows)}"


def described(selection: Callable[[Table], Any]) -> str:
    """A selection of the open table in a line: its edition, its name, and the models, languages and seeds in it.

    Examples
    --------
    >>> from precsim.evidence import rows
    >>> described(rows.damage).partition(":")[0]
    'open table, first edition, rows.damage'
    """
    read, edition = (second_edition, "second") if selection in SECOND_EDITION else (open_table, "first")
    found = selection(read())
    parts = found if isinstance(found, tuple) else (found,)
    return f"open table, {edition} edition, rows.{selection.__name__}: {' and '.join(map(_counts, parts))}"


def _counts(rows: Table) -> str:
    languages = _plural(rows["language_seed"].nunique(), "language")
    seeds = _plural(rows["seed"].nunique(), "seed")
    return f"{_plural(rows['job'].nunique(), 'model')}, {languages}, {seeds}"


class Claims(tuple[Claim, ...]):
    """The claims of a paragraph, as a notebook shows them: a mark that opens the numbers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(
            f"checked: {c.sentence} ({', '.join(f'{n} = {t}' for n, t in c.numbers)})"
            + (f" [{c.source}]" if c.source else "")
            for c in self
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        data = [{"sentence": c.sentence, "numbers": dict(c.numbers), "source": c.source} for c in self]
        return {CLAIMS: data, "text/html": self._html(), "text/plain": repr(self)}

    def _html(self) -> str:
        lines = []
        for c in self:
            numbers = "; ".join(f"{html.escape(name.replace('_', ' '))} = {html.escape(t)}" for name, t in c.numbers)
            source = f"<br><small>{html.escape(c.source)}</small>" if c.source else ""
            lines.append(f"<li><q>{html.escape(_plain(c.sentence))}</q> {numbers}{source}</li>")
        what = "A sentence" if len(self) == 1 else f"{len(self)} sentences"
        verb = "follows" if len(self) == 1 else "follow"
        summary = f"{what} above {verb} from these numbers"
        return f'<details class="ps-claims"><summary>{summary}</summary><ul>{"".join(lines)}</ul></details>'


def checked(*some: Claim) -> Claims:
    """The claims of a paragraph, to be the last value of the cell below it.

    Examples
    --------
    >>> checked(claim("twice two is four", 2 * 2 == 4, product=2 * 2))
    checked: twice two is four (product = 4)
    """
    return Claims(some)


class Printed(NamedTuple):
    """A shared quantity as a page prints it."""

    page: str
    name: str
    value: str
    source: str


def disagreements(printed: Iterable[Printed]) -> list[str]:
    """Pairs of pages that print different values of one quantity without both saying that they are of other rows.

    An interval may be made in several ways, and then belongs to its way; the number that it is of belongs to the rows.

    Examples
    --------
    >>> one, other = Printed("a", "beta", "0.4", "x"), Printed("b", "beta", "0.5", "x")
    >>> disagreements([one, other])
    ['beta is 0.4 on a and 0.5 on b, both of x']
    >>> disagreements([one, other._replace(source="y")])
    []
    >>> sizes = one._replace(value="0.4 [0.1, 0.7]", source="x; intervals by drawing sizes again")
    >>> disagreements([one, sizes]), disagreements([other, sizes])
    ([], ['beta is 0.5 on b and 0.4 on a, both of x'])
    """
    first: dict[tuple[str, str], Printed] = {}
    found = []
    for one in printed:
        if one.name not in SHARED:
            continue
        for this in (one, _without_intervals(one)):
            known = first.setdefault((this.name, this.source), this)
            if known.value != this.value:
                rows = f"both of {this.source}" if this.source else "and neither says of what"
                found.append(f"{this.name} is {known.value} on {known.page} and {this.value} on {this.page}, {rows}")
                break
    return found


def _without_intervals(one: Printed) -> Printed:
    """The number alone, with the rows that it is of."""
    return one._replace(value=_INTERVAL.sub("", one.value), source=one.source.partition(_SURE)[0])


def printed(page: str, said: Iterable[Mapping[str, Any]]) -> list[Printed]:
    """What a page prints, from the JSON that `Claims` left in it."""
    return [Printed(page, name, text, one["source"]) for one in said for name, text in one["numbers"].items()]


def _text(value: object) -> str:
    if isinstance(value, Number):
        return f"{value:.3g}"
    if isinstance(value, str | bool | np.bool_):
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(one)}" for key, one in value.items())
    if isinstance(value, Iterable):
        return ", ".join(map(_text, value))
    number = float(value)  # pyright: ignore[reportArgumentType] - whatever has a value as a float
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e7 else f"{number:.3g}"


def _plain(markdown: str) -> str:
    return " ".join(markdown.replace("*", "").replace("$", "").split())


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count:,} {word}s"
