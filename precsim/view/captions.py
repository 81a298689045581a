"""What stands below every figure and table: what it says, how it is read, and a tag that says where it is from.

A page of the book ends the cell of a chart, a widget or a drawing with `captioned`, which also gives a table its
source. The build adds the number, and tests (``tests/book/test_captions.py``) ask for all of it, on every page:

* ``message``: one sentence that the data bear out. Where it states a result, a claim of the page says it in the same
  words (`precsim.evidence.claim`), or the claim itself is given; where there is no finding it says what is shown.
* ``reading``: what marks, lines and bands are. A view function gives its own (``finish(..., reading=…)``,
  `Widget.reading`, a field ``reading``), so that a page repeats it only where it has more to say.
* sources, one keyword each: ``paper`` (numbers of others), ``ours`` (runs that we publish: table, selection, number of
  models, as `precsim.evidence.sourced` writes them), ``toy`` (made on the page) and ``computed`` (closed forms, exact
  arithmetic).
"""

from __future__ import annotations

import html
import re
import sys
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from precsim.view.table import Table
from precsim.view.theme import CAPTION, VEGA_LITE


@dataclass(frozen=True, slots=True)
class Caption:
    """The words below a figure.

    Attributes
    ----------
    message : str
        What it says, in a sentence.
    reading : str
        How it is read: marks, lines, bands, colors.
    paper, ours, toy, computed : str
        Where its numbers are from; at least one.

    Examples
    --------
    >>> print(Caption("A point.", "Dot: the point.", computed="by hand"))
    A point. Dot: the point. [computed] by hand
    """

    message: str
    reading: str = ""
    paper: str = ""
    ours: str = ""
    toy: str = ""
    computed: str = ""

    @property
    def data(self) -> dict[str, str]:
        """Its parts by name, without the empty ones."""
        return {f.name: text for f in fields(self) if (text := getattr(self, f.name))}

    def __str__(self) -> str:
        sources = [f"[{name}] {text}" for name, text in self.data.items() if name not in ("message", "reading")]
        return " ".join(filter(None, (self.message, self.reading, *sources)))


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, widget or drawing with its caption; a notebook shows both, the book with a number.

    Attributes
    ----------
    shown : chart, Widget or Drawing
    caption : Caption
    """

    shown: Any
    caption: Caption

    def _ipython_display_(self) -> None:
        publish = sys.modules["IPython.display"].publish_display_data  # it is there: only IPython calls this method
        publish(*self.bundle())
        # A notebook draws a chart from its own type and cannot write below it; the book drops this second output.
        words = {"text/html": f"<p>{caption_html(self.caption.data)}</p>", "text/plain": str(self.caption)}
        publish({CAPTION: {}, **words})

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the output of what is shown, by type, the caption inside those of the book, and its metadata."""
        made = self.shown._repr_mimebundle_()
        data, metadata = made if isinstance(made, tuple) else (made, {})
        return {kind: self._with_caption(kind, content) for kind, content in data.items()}, metadata

    def _with_caption(self, kind: str, content: Any) -> Any:
        if kind == VEGA_LITE:
            return {**content, "usermeta": {**content.get("usermeta", {}), "caption": self.caption.data}}
        return {**content, "caption": self.caption.data} if kind.startswith("application/vnd.precsim.") else content


def captioned(
    shown: Any,
    message: Any = "",
    *,
    reading: str = "",
    paper: str = "",
    ours: str = "",
    toy: str = "",
    computed: str = "",
) -> Any:
    """Return a figure or a table with its caption, to be the last value of a cell.

    Parameters
    ----------
    shown : chart, Widget, Drawing or Table
    message : str or Claim
        What it says, in one sentence; left out where a table or drawing says it itself. A claim says its sentence.
    reading : str
        How it is read; left out where the function that draws it says so.
    paper : str
        Where numbers of others are from: printed by them, or made of their constants and runs.
    ours : str
        Runs and measurements that we publish: table, selection, number of models, as `precsim.evidence.sourced` and
        `precsim.evidence.counted` write them.
    toy : str
        What was made on the page, or stored and tried again there in part.
    computed : str
        What closed form or exact arithmetic.

    Returns
    -------
    Figure, Table or Drawing

    Raises
    ------
    ValueError
        If a message, a reading (of a figure) or a source is missing.

    Examples
    --------
    >>> table = Table(("x", "x²"), (("2", "4"),), "Squares.")
    >>> captioned(table, computed="exact arithmetic").computed
    'exact arithmetic'
    >>> captioned(table)
    Traceback (most recent call last):
    ValueError: a caption needs a source: paper=, ours=, toy= or computed=; 'Squares.' has none
    """
    given = {"message": str(getattr(message, "sentence", message)), "reading": reading}
    given |= {"paper": paper, "ours": ours, "toy": toy, "computed": computed}
    parts = _own(shown) | {name: text for name, text in given.items() if text}
    needed = ("message",) if isinstance(shown, Table) else ("message", "reading")
    if lacking := [name for name in needed if not parts.get(name)]:
        raise ValueError(f"a caption needs a {' and a '.join(lacking)}; that of {type(shown).__name__} has none")
    caption = Caption(**parts)
    if not set(parts) - {"message", "reading"}:
        raise ValueError(f"a caption needs a source: paper=, ours=, toy= or computed=; {caption.message!r} has none")
    if isinstance(shown, Table):
        return replace(shown, caption=" ".join(filter(None, (caption.message, caption.reading))), **_sources(parts))
    if is_dataclass(shown) and hasattr(shown, "computed"):  # a drawing has a caption of its own
        return replace(shown, **parts)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return Figure(shown, caption)


def _own(shown: Any) -> dict[str, str]:
    """What the function that made it says of it."""
    if isinstance(shown, Table):
        return {"message": shown.caption, **shown.sources}
    said = getattr(shown, "usermeta", None)  # of a chart
    if isinstance(said, dict):
        return dict(said.get("caption", {}))
    found = {f.name: getattr(shown, f.name, "") for f in fields(Caption)}
    return {name: text for name, text in found.items() if isinstance(text, str) and text}


def _sources(parts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in parts.items() if name not in ("message", "reading")}


def caption_html(parts: dict[str, str], number: str = "") -> str:
    """Return the words of a caption, given by the names of `Caption`, each source after its tag.

    Examples
    --------
    >>> caption_html({"message": "A point.", "ours": "2 models"})
    '<strong>A point.</strong> <span class="ps-from"><b class="ps-tag ps-ours">ours</b> 2 models</span>'
    """
    said = {name: _marked(text) for name, text in parts.items()}
    pieces = [number, f"<strong>{said['message']}</strong>" if "message" in said else "", said.get("reading", "")]
    for name in (f.name for f in fields(Caption) if f.name in _sources(said)):  # in this order: notebooks sort names
        pieces.append(f'<span class="ps-from"><b class="ps-tag ps-{name}">{name}</b> {said[name]}</span>')
    return " ".join(filter(None, pieces))


def _marked(text: str) -> str:
    """The text as HTML: ``code`` between backticks, powers raised, subscripts of single letters lowered."""
    code = re.split(r"`([^`]*)`", html.escape(text))
    for i, part in enumerate(code):
        raised = re.sub(r"(?<=\w)\^([-−]?\w+)", r"<sup>\1</sup>", part)
        code[i] = f"<code>{part}</code>" if i % 2 else re.sub(r"\b([^\W\d_])_(\w{1,4})\b", r"\1<sub>\2</sub>", raised)
    return "".join(code)
