"""The page of the public names, made from their docstrings when the book is built, so that it cannot fall behind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import precsim

HEAD = """# API

Every public name of `import precsim as ps`, from its own documentation. The examples are run by the tests.

"""
TEXT = ("Notes", "References", "Returns", "Yields")
LISTS = ("Parameters", "Raises", "Attributes")


def public() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Yield heading and (dotted name, object) for the package itself and then for each of its public submodules."""
    top = [name for name in precsim.__all__ if not name.startswith("__")]
    objects = [(name, getattr(precsim, name)) for name in top]
    yield "`ps`", [(f"ps.{name}", value) for name, value in objects if not inspect.ismodule(value)]
    seen = {id(value) for _, value in objects}
    for name, module in objects:
        if inspect.ismodule(module):
            names = getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")])
            new = [
                (n, getattr(module, n))
                for n in names
                if _ours(getattr(module, n)) and id(getattr(module, n)) not in seen
            ]
            yield f"`ps.{name}`", [(f"ps.{name}.{n}", value) for n, value in new]


def page() -> str:
    """Return the page in MyST Markdown."""
    parts = [HEAD]
    for heading, members in public():
        parts.append(f"## {heading}\n\n")
        module = getattr(precsim, heading.strip("`").removeprefix("ps."), precsim)
        parts.append(prose(summary(module)) + "\n\n")
        constants = [(name, value) for name, value in members if not _documented(value)]
        parts += [entry(name, value) for name, value in members if _documented(value)]
        if constants:
            parts.append("### Constants\n\n" + "\n".join(f"- `{n}`: `{_short(v)}`" for n, v in constants) + "\n\n")
    return "".join(parts)


def entry(name: str, value: Any) -> str:
    """Return heading, signature and documentation of one name."""
    text = [f"### `{name}`\n\n"]
    if not inspect.isclass(value) or not issubclass(value, Enum):
        text.append(f"```python\n{name.split('.')[-1]}{_signature(value)}\n```\n\n")
    sections = split(inspect.getdoc(value) or "")
    text.append(prose(sections.pop("", "")) + "\n\n")
    for title, body in sections.items():
        if title == "Examples":
            text.append(f"```python\n{body}\n```\n\n")
        elif title in LISTS:
            text.append(f"*{title}*\n\n{listed(body)}\n\n")
        else:
            text.append(f"*{title}*\n\n{prose(body)}\n\n")
    return "".join(text)


def split(doc: str) -> dict[str, str]:
    """Return the sections of a numpydoc docstring by title; the text before the first has the title ""."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    lines = doc.splitlines()
    skip = False
    for line, under in zip(lines, [*lines[1:], ""], strict=True):
        if skip:
            skip = False
        elif under.strip() and set(under.strip()) == {"-"} and line.strip():
            title, skip = line.strip(), True
            found[title] = []
        else:
            found[title].append(line)
    return {name: "\n".join(body).strip("\n") for name, body in found.items()}


def listed(body: str) -> str:
    """Return the entries of a section (name and kind flush left, meaning indented) as a list."""
    items: list[str] = []
    for line in body.splitlines():
        if line and not line[0].isspace():
            name, _, kind = line.partition(" : ")
            items.append(f"- `{name}`" + (f" ({prose(kind)})" if kind else ""))
        elif line.strip() and items:
            items[-1] += (": " if items[-1].endswith((")", "`")) else " ") + prose(line.strip())
    return "\n".join(items)


def prose(text: str) -> str:
    """Return docstring text as Markdown: code spans kept, everything else literal; examples in it fenced."""
    blocks = re.split(r"\n\s*\n", text)
    return "\n\n".join(f"```python\n{b}\n```" if b.lstrip().startswith(">>>") else _literal(b) for b in blocks)


def summary(module: Any) -> str:
    """Return the first paragraph of a module's documentation."""
    return (inspect.getdoc(module) or "").split("\n\n")[0]


def _literal(text: str) -> str:
    pieces = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    return "".join(
        "`" + piece.strip("`") + "`" if i % 2 else re.sub(r"([\\*_$<>\[\]{}|#^~])", r"\\\1", piece)
        for i, piece in enumerate(pieces)
    )


def _ours(value: Any) -> bool:
    module = getattr(value, "__module__", None) or type(value).__module__
    return module.startswith("precsim") and not inspect.ismodule(value)


def _documented(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__")


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return re.sub(r"<(?:function |class ')?([\w.]+)[^<>]*>", r"\1", text)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else text[:157] + "..."
