"""The sentences of a page, where they stand, and which of them state a result."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

#: Sections and blocks that ask or cite and do not report.
_ASKING = re.compile(r"Exercises|Sources|Columns|Where to begin", re.IGNORECASE)
_BLOCK = re.compile(r"^(`{3,}|:{3,}|\$\$)")
#: Words of quantity, and of comparison or change.
_QUANTITY = re.compile(
    r"\b(half|halves|halved|thirds?|quarters?|twice|double[sd]?|doubling|triples?|tenths?|hundredths?|\w+fold|"
    r"(?:two|three|four|five|six|seven|eight|ten|twenty|hundred|thousand|several|many) times|a factor|"
    r"percent|per cent|power of ten)\b"
    r"|\d[\d.,]*\s?(?:%|\\%|times|nats?|decibels|dB)|(?<![\w.^_{-])\d+\.\d+",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(rises?|falls?|grows?|grew|shrinks?|drops?|saturates?|stagnates?|turns?|agrees?|disagrees?|differs?|holds?|"
    r"(?:larger|smaller|better|worse|higher|lower|fewer|faster|slower|cheaper|steeper|flatter|wider|narrower)|"
    r"most|least|best|worst|nearly|almost|hardly|flat|close to|beyond|exceeds?|equals?|equal|none|never|always|every|"
    r"all)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A sentence of a page in Markdown, in one line; whether a cell stands above it in its section."""

    page: str
    line: int
    section: str
    text: str
    after_cell: bool

    @property
    def words(self) -> str:
        """Without formulas, code, citations and links."""
        text = re.sub(r"\{[a-z:]+\}`[^`]*`", " ", self.text)
        return re.sub(r"\$[^$]*\$|`[^`]*`|\]\([^)]*\)", " ", text)

    @property
    def is_result(self) -> bool:
        """Whether it states what numbers of the page show: a quantity anywhere, a comparison below a cell."""
        return bool(_QUANTITY.search(self.words) or (self.after_cell and _CHANGE.search(self.words)))

    @property
    def is_sourced(self) -> bool:
        """Whether it names where it comes from: a source, a stored file or a test."""
        return bool(re.search(r"\{cite|`(?:tests|precsim/data)/", self.text))


def sentences(path: Path, name: str) -> list[Sentence]:
    """Sentences of the paragraphs and lists of a page, in order."""
    found: list[Sentence] = []
    section, after_cell, fence, block, start = "", False, "", [], 0
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    first = 1 + lines.index("---", 1) if lines and lines[0] == "---" else 0

    def flush() -> None:
        whole = " ".join(" ".join(block).split())
        block.clear()
        if whole and not _ASKING.search(section) and not whole.startswith(("**Predict", "You will be able", "- {doc}")):
            found.extend(Sentence(name, start, section, one, after_cell) for one in _split(whole))

    listing = False
    for number, line in enumerate(lines[first:], first + 1):
        if fence:
            if line.strip().startswith(fence):
                fence = ""
            continue
        if mark := _BLOCK.match(line):
            flush()
            closed = line.strip().endswith("$$") and len(line.strip()) > 4
            fence = "" if closed else mark.group(1)
            after_cell |= line.startswith("```{code-cell}")
            continue
        if line.startswith("#"):
            flush()
            section, after_cell, listing = line.lstrip("# "), False if line.startswith("## ") else after_cell, False
            continue
        if line.startswith("You will be able"):
            flush()
            listing = True
            continue
        if listing and line.startswith(("- ", "  ")):
            continue
        if not line.strip() or line.startswith(("|", "- ", "* ")) or re.match(r"\d+\. ", line):
            flush()
            if line.startswith("|"):
                continue
            listing = listing and not line.strip()
        if not block:
            start = number
        block.append(re.sub(r"^([-*]|\d+\.) ", "", line))
    flush()
    return found


def _split(text: str) -> list[str]:
    """Sentences of a paragraph: a full stop before a capital, outside formulas and code."""
    kept: list[str] = []
    marked = re.sub(r"\$[^$]*\$|`[^`]*`", lambda m: m.group().replace(". ", ".\u0000"), text)
    for part in re.split(r"(?<=[.!?])(?:\*)?\s+(?=[\"“(*$]?[A-Z0-9$δγβαP`])", marked):
        kept.append(part.replace("\u0000", " ").strip())
    return [part for part in kept if len(part) > 3]


def quoted(path: Path) -> list[str]:
    """The sentences that the cells of a page bind to numbers: first arguments of calls of ``claim``."""
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    found = []
    for cell in cells:
        code = "\n".join("" if line.startswith((":", "%")) else line for line in cell.splitlines())
        found += [sentence for node in ast.walk(ast.parse(code)) if (sentence := of(node))]
    return found


def of(node: ast.AST | None) -> str:
    """The sentence of a call of ``claim``; "" for anything else."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "claim":
        return " ".join(str(ast.literal_eval(node.args[0])).split())
    return ""


def paragraphs(path: Path) -> str:
    """The prose of a page in one line, for finding a quotation in it."""
    text = re.sub(r"^```\{code-cell\}.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return " ".join(text.split())
