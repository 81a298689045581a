"""A drawing of the book: one or several pictures, each wide and narrow, and the words below them."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from precsim.view.captions import Caption, caption_html
from precsim.view.drawings.canvas import Canvas
from precsim.view.theme import DRAWING

WIDE, NARROW = 688, 350  #: pixels: the text of a page on a desk and on a telephone


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture in both widths, with the label of the button that shows it and its words for a screen reader."""

    label: str
    wide: Canvas
    narrow: Canvas
    description: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a cell of the book shows: it needs no script, and takes its colors from the page around it.

    Attributes
    ----------
    title : str
        Its name for a screen reader.
    frames : tuple of Frame
        Where there are several, buttons choose one; the style sheet has room for eight.
    choice : str
        What the buttons choose.
    message, reading, paper, ours, toy, computed : str
        Caption: what the drawing says, how it is read, and where its numbers are from, by the sources of
        `precsim.view.captioned`, with which a page adds what only it knows.
    first : int
        Position of the frame that is shown before anything is chosen.
    """

    title: str
    frames: tuple[Frame, ...]
    message: str
    reading: str = ""
    choice: str = ""
    first: int = 0
    paper: str = ""
    ours: str = ""
    toy: str = ""
    computed: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.frames) <= 8:
            raise ValueError(f"a drawing has one to eight pictures, got {len(self.frames)}")
        if short := [frame.label for frame in self.frames if len(frame.description) < 40]:
            raise ValueError(f"{self.title}: describe the picture in words, 40 letters or more, for {short}")

    @property
    def html(self) -> str:
        """Buttons, where there is a choice, and all pictures; the style sheet shows one of them."""
        name = "d" + hashlib.sha256((self.title + self.frames[0].description).encode()).hexdigest()[:8]
        buttons = "".join(
            f'<label><input type="radio" name="{name}" value="{i}"{" checked" if i == self.first else ""}>'
            f"<span>{html.escape(frame.label)}</span></label>"
            for i, frame in enumerate(self.frames)
        )
        shown = "".join(
            f'<div class="frame">{frame.wide.svg(self.title, frame.description, "wide")}'
            f"{frame.narrow.svg(self.title, frame.description, 'narrow')}</div>"
            for frame in self.frames
        )
        choose = f"<fieldset><legend>{html.escape(self.choice)}</legend>{buttons}</fieldset>"
        return f"{choose if len(self.frames) > 1 else ''}{shown}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        caption = Caption(self.message, self.reading, self.paper, self.ours, self.toy, self.computed)
        page = {"html": self.html, "description": self.title, "caption": caption.data}
        alone = f'<div class="ps-drawing"><style>{style()}</style>{self.html}</div><p>{caption_html(caption.data)}</p>'
        return {DRAWING: page, "text/html": alone, "text/plain": f"{caption} {self.frames[self.first].description}"}


def drawn(
    picture: Callable[[float], Canvas],
    *,
    title: str,
    description: str,
    message: str,
    reading: str = "",
    toy: str = "",
    computed: str = "",
) -> Drawing:
    """Return the drawing of one picture, which a function of the width draws, with its caption."""
    frame = Frame(title, picture(WIDE), picture(NARROW), description)
    return Drawing(title, (frame,), message, reading, toy=toy, computed=computed)


def style() -> str:
    """Return the style sheet of all drawings."""
    return files("precsim.view.drawings").joinpath("drawing.css").read_text("utf-8")
