"""A table is data first: a head, rows of texts and a caption; Markdown in a terminal, HTML below a cell."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from precsim.view.theme import TABLE


@dataclass(frozen=True, slots=True)
class Table:
    """A small table of numbers, the first column of which names the rows.

    Attributes
    ----------
    head : tuple of str
    rows : tuple of tuples of str
        Each as long as the head; the first cell names the row. A power such as ``2^-4`` is raised in HTML.
    caption : str
        What the numbers are, with their unit and method.
    ours, paper, toy, computed : str
        Where the numbers are from, as `captioned` has it: runs that we publish (table, selection, number of models),
        others, made on the page, closed forms.

    Raises
    ------
    ValueError
        If a row has another length than the head.

    Examples
    --------
    >>> print(Table(("parameter", "value"), (("alpha", "0.35"),), "Fitted to 240 runs."))
    | parameter | value |
    | --- | ---: |
    | alpha | 0.35 |
    <BLANKLINE>
    Fitted to 240 runs.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    ours: str = ""
    paper: str = ""
    toy: str = ""
    computed: str = ""

    _style: ClassVar[str] = "ps-formats"  #: of the book's style sheet: numbers, right-aligned and in one line
    _rule: ClassVar[str] = "---:"

    def __post_init__(self) -> None:
        if uneven := [row for row in self.rows if len(row) != len(self.head)]:
            raise ValueError(f"a row has one cell for each of {', '.join(self.head)}; got {uneven[0]}")

    def to_markdown(self) -> str:
        """Return the table in Markdown, the caption as a paragraph below."""
        lines = [_line(self.head), "| --- |" + f" {self._rule} |" * (len(self.head) - 1), *map(_line, self.rows)]
        sources = [f"[{name}] {text}" for name, text in self.sources.items()]
        return "\n".join(lines) + "".join(f"\n\n{text}" for text in (self.caption, *sources) if text)

    __str__ = to_markdown

    @property
    def sources(self) -> dict[str, str]:
        """Where the numbers are from, by tag."""
        found = {"paper": self.paper, "ours": self.ours, "toy": self.toy, "computed": self.computed}
        return {name: text for name, text in found.items() if text}

    def _repr_html_(self) -> str:
        said = " ".join(filter(None, (self.caption, *(f"[{name}] {text}" for name, text in self.sources.items()))))
        return self._html(f"<caption>{html.escape(said)}</caption>" if said else "")

    def _html(self, caption: str = "") -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.head)
        body = "".join(
            f'<tr><th scope="row">{html.escape(first)}</th>' + "".join(f"<td>{_cell(c)}</td>" for c in rest) + "</tr>"
            for first, *rest in self.rows
        )
        return (
            f'<div class="ps-scroll" tabindex="0"><table class="table {self._style}">{caption}<thead><tr>{head}</tr>'
            f"</thead><tbody>{body}</tbody></table></div>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        first, *rest = re.split(r"(?<=[.;]) ", self.caption, maxsplit=1)
        said = {"message": first, "reading": "".join(rest), **self.sources}
        page = {"html": self._html(), "caption": {name: text for name, text in said.items() if text}}
        return {TABLE: page, "text/html": self._repr_html_(), "text/plain": repr(self)}


@dataclass(frozen=True, slots=True)
class Words(Table):
    """A table of short texts, read from the left, in which no cell may be empty.

    Raises
    ------
    ValueError
        If a row has another length than the head, or an empty cell.

    Examples
    --------
    >>> print(Words(("equation", "proof"), (("7", "α cancels."),), "Proofs."))
    | equation | proof |
    | --- | --- |
    | 7 | α cancels. |
    <BLANKLINE>
    Proofs.
    """

    _style: ClassVar[str] = "ps-words"
    _rule: ClassVar[str] = "---"

    def __post_init__(self) -> None:
        Table.__post_init__(self)
        if empty := [row for row in self.rows if not all(cell.strip() for cell in row)]:
            raise ValueError(f"the cells of a table of words are not empty; got {empty[0]}")


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(text: str) -> str:
    return re.sub(r"^(\d+)\^(-?\d+)$", r"\1<sup>\2</sup>", html.escape(text))
