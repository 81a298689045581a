"""What Altair cannot draw: a script of ``view/modules``, for the pages of the book and for JupyterLab alike."""

from __future__ import annotations

import functools
import html
import re
from abc import ABC, abstractmethod
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from precsim.view.theme import WIDGET

if TYPE_CHECKING:
    from anywidget import AnyWidget

#: How a reader gets the live widget in a notebook.
INSTALL = "pip install 'precsim[widgets]'"


class Widget(ABC):
    """A value that is shown at the end of a cell by a script in the browser.

    In the page of the book it is live without a kernel, in JupyterLab if anywidget is installed; everywhere else its
    `text` stands, with what to install.
    """

    __slots__ = ()

    module: ClassVar[str]  #: script and style sheet, ``view/modules/NAME.js`` and ``NAME.css``

    @property
    @abstractmethod
    def text(self) -> str:
        """What the reader sees where no script runs, in a sentence."""

    @property
    def static(self) -> str:
        """The same as HTML; a widget that can say more without a script says it here."""
        return html.escape(self.text)

    @property
    @abstractmethod
    def description(self) -> str:
        """What can be done with it, in words: the text alternative of the page's element."""

    @property
    def reading(self) -> str:
        """How it is read, for the caption."""
        return ""

    @property
    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What the script needs, by name and in JSON types."""

    def _repr_mimebundle_(self, **_: object) -> Any:
        static = self.static
        page = {"module": self.module, "state": self.state, "description": self.description, "static": static}
        live = _live(self.module, tuple(self.state))
        if live is None:
            lacking = f"Live in a notebook after: {INSTALL}"
            shown = f"<div>{static}</div><p>{html.escape(lacking)}</p>"
            return {WIDGET: page, "text/html": shown, "text/plain": f"{self.text} {lacking}"}
        view = live(**self.state)._repr_mimebundle_()
        data, metadata = view if isinstance(view, tuple) else (view, {})
        return {**(data or {}), WIDGET: page, "text/html": f"<div>{static}</div>", "text/plain": self.text}, metadata


@functools.cache
def _live(module: str, names: tuple[str, ...]) -> type[AnyWidget] | None:
    """The live widget's class, its state under these names; None where anywidget is not installed."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None
    code = {"_esm": script(module), "_css": _MODULES.joinpath(f"{module}.css").read_text("utf-8")}
    state = {name: traitlets.Any().tag(sync=True) for name in names}
    return type(f"Live_{module}", (anywidget.AnyWidget,), code | state)


def script(module: str) -> str:
    """Return a widget's module as one text: what it imports from its neighbors stands once, in place of the import."""
    return "".join(_bundle(module, set()))


def _bundle(module: str, seen: set[str]) -> list[str]:
    text = _MODULES.joinpath(f"{module}.js").read_text("utf-8")
    parts: list[str] = []
    for name in _IMPORT.findall(text):
        if name not in seen:
            seen.add(name)
            parts += [part.replace("\nexport ", "\n") for part in _bundle(name, seen)]
    return [*parts, _IMPORT.sub("", text)]


_MODULES = files("precsim.view").joinpath("modules")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
