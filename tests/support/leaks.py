"""What an instructor knows and a student must not find: lines of solutions, wrong answers, rules, hidden inputs.

A secret is a line of code of which nothing else has a copy. Texts are compared without blanks and with one kind of
quotation marks, so that a formatter, a notebook's JSON or the spans of a highlighted page hide nothing.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from support.places import ROOT

from precsim.course.checking import exercises_of
from precsim.course.grading.edition import given
from precsim.course.grading.keys import group_inputs
from precsim.course.notebooks import Role, read, stub
from precsim.course.values import encoded

#: Characters of a line without blanks from which it can only be a copy: ``return math.nan`` stands in many places.
TELLING = 25
_BLANKS = re.compile(r"\s+")


def bare(text: str) -> str:
    """A text without blanks, and with double quotation marks only."""
    return _BLANKS.sub("", text).replace("'", '"')


def _lines(text: str) -> set[str]:
    made = (bare(line.strip().rstrip(",")) for line in text.splitlines() if not line.strip().startswith("#"))
    return {line for line in made if len(line) >= TELLING}


def public() -> str:
    """All that students have anyway: the library, the statements, what the problem sets give, hints."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "precsim").rglob("*.py") if not path.match("ps?.py")]
    for path in sorted((ROOT / "exercises" / "src").glob("*.py")):
        texts += [stub(cell) if cell.role is Role.ANSWER else cell.text for cell in read(path) if _open(cell.role)]
        texts.append(given((ROOT / "precsim" / "course" / path.name).read_text(encoding="utf-8")))
        texts += [mistake.hint for e in exercises_of(path.stem) for mistake in e.mistakes]
        module = ast.parse((ROOT / "precsim" / "course" / path.name).read_text(encoding="utf-8"))
        texts.append(ast.get_docstring(module) or "")
    return bare("\n".join(texts))


def _open(role: Role) -> bool:
    return role in (Role.TEXT, Role.CODE, Role.ANSWER, Role.CHECK)


def secrets() -> dict[str, set[str]]:
    """Lines by kind: solution, wrong answer, hidden input, truth or rule."""
    found: dict[str, set[str]] = {
        "solution": set(),
        "wrong answer": set(),
        "hidden input": set(),
        "truth or rule": set(),
    }
    kinds = {Role.ANSWER: "solution", Role.WRONG: "wrong answer", Role.GROUP: "hidden input"}
    for path in sorted((ROOT / "exercises" / "src").glob("*.py")):
        cells = read(path)
        for cell in cells:
            if cell.role in kinds:
                found[kinds[cell.role]] |= _lines(cell.text)
            if cell.role is Role.GROUP:
                for args in group_inputs(cell, cells):
                    text = bare(json.dumps([encoded(argument) for argument in args]))
                    found["hidden input"] |= {text} if len(text) >= TELLING else set()
        found["truth or rule"] |= _lines((ROOT / "precsim" / "course" / path.name).read_text(encoding="utf-8"))
        for e in exercises_of(path.stem):
            shown = {bare(json.dumps([encoded(argument) for argument in args])) for args in e.inputs()}
            found["hidden input"] -= shown
    known = public()
    return {kind: {line for line in lines if line.strip('",()') not in known} for kind, lines in found.items()}


def words(among: dict[str, set[str]]) -> set[str]:
    """Names that only secrets have: of the code of a page a search index keeps the words and not the lines."""
    known = public()
    names = {name for lines in among.values() for line in lines for name in re.findall(r"[A-Za-z]\w{9,}", line)}
    return {name.lower()[:-2] for name in names if name not in known}


def leaked(texts: Iterable[tuple[str, str]], among: dict[str, set[str]]) -> list[str]:
    """Where a secret stands, of what kind, and its beginning."""
    return [
        f"{where}: {kind}: {line[:60]}"
        for where, text in ((where, bare(text)) for where, text in texts)
        for kind, lines in among.items()
        for line in lines
        if line in text
    ]


def files(folder: Path) -> Iterator[tuple[str, str]]:
    """Texts of a folder by name: code and tables as they are, sources of notebooks, words of pages without scripts."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            yield name, "\n".join("".join(cell["source"]) for cell in cells)
        elif path.suffix == ".html":
            page = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", path.read_text(encoding="utf-8"))
            yield name, html.unescape(re.sub(r"<[^>]+>", "", page))
        elif path.suffix in {".py", ".json", ".md", ".txt", ".toml", ".csv"} or path.name == "searchindex.js":
            yield name, path.read_text(encoding="utf-8", errors="replace")
