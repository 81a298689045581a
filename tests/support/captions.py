"""Figures and tables in the cells of a page, and what their captions lack."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support import prose

SOURCES = {"paper", "ours", "toy", "computed"}
#: Of `ps.view`: what makes tables, and what draws nothing or has a caption by itself.
TABLES = {"Table", "Words", "format_table", "comparison_table", "plan_table", "parameter_table"}
OTHERS = {"captioned", "Explored", "paper_and_ours", "derivation", "enable", "finish", "page", "Caption", "Figure"}
OTHERS |= {"predict", "predict_number"}  # questions
#: As the pages write them in formulas, and captions as letters.
_SIGNS = {"√": "\\sqrt ", "^*": "*", "α": "alpha", "γ": "gamma", "δ": "delta"}
_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.M | re.S)


def cells(path: Path) -> Iterator[ast.Module]:
    """The cells of a page, parsed."""
    for cell in _CELL.findall(path.read_text(encoding="utf-8")):
        yield ast.parse("\n".join("" if line.startswith((":", "%")) else line for line in cell.splitlines()))


def _view(node: ast.AST) -> str:
    """The name of `ps.view` that is called, of `ps.view.drawings` too; "" for another node."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name.startswith("ps.view."):
            return name.rpartition(".")[2]
    return ""


def _captioned(table: ast.Call) -> bool:
    """Whether a table is given a caption: after head and rows, which may come together, or by name."""
    there = 3 - any(isinstance(part, ast.Starred) for part in table.args)
    return len(table.args) >= there or "caption" in {k.arg for k in table.keywords}


def captions(path: Path) -> list[ast.Call]:
    """The calls of `ps.view.captioned` on a page."""
    return [node for cell in cells(path) for node in ast.walk(cell) if _view(node) == "captioned"]


def message(call: ast.Call) -> ast.expr | None:
    """The message that is given to `ps.view.captioned`."""
    return next((k.value for k in call.keywords if k.arg == "message"), call.args[1] if len(call.args) > 1 else None)


def messages(path: Path) -> list[str]:
    """Messages of a page that stand in it as texts; of those with numbers to be filled in, the text around them."""
    found = []
    for call in captions(path):
        said = message(call)
        if isinstance(said, ast.Constant):
            found.append(str(said.value))
        elif isinstance(said, ast.JoinedStr):
            found.append(" ".join(str(part.value) for part in said.values if isinstance(part, ast.Constant)))
        elif isinstance(said, ast.IfExp):
            found += [str(one.value) for one in (said.body, said.orelse) if isinstance(one, ast.Constant)]
    return found


def bare(path: Path) -> list[str]:
    """Figures of a page without a caption, and tables without a caption or a source."""
    found = []
    for cell in cells(path):
        inside = {id(n) for c in ast.walk(cell) if _view(c) == "captioned" for n in ast.walk(c.args[0])}
        # A view that is given to a name or to a function of the page is shown where that is captioned.
        for node in ast.walk(cell):
            name = _view(node)
            if not name or name in OTHERS or id(node) in inside:
                continue
            given = {k.arg for k in node.keywords}
            whole = name in TABLES and (name not in {"Table", "Words"} or _captioned(node)) and given & SOURCES
            if not whole:
                found.append(ast.unparse(node)[:100])
    return found


def plain(text: str) -> str:
    """A sentence without markup, capital or full stop: what is compared."""
    for sign, name in _SIGNS.items():
        text = text.replace(sign, name)
    text = re.sub(r"\\text\{([^}]*)\}|[*$`\\{}]", r"\1", text)
    return " ".join(text.split()).strip(" .,:;").casefold()


def unbound(path: Path, excused: list[str]) -> list[str]:
    """Messages of a page that state a result which no claim of the page says in the same words."""
    said = [plain(quote) for quote in [*prose.quoted(path), *excused]]
    return [
        text
        for text in messages(path)
        if prose.Sentence("", 0, "", text, after_cell=True).is_result and not any(plain(text) in one for one in said)
    ]
