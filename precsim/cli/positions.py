"""Where in a grid file a value stands: its keys and its line, for messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

_HEADER = re.compile(r"^\s*(\[{1,2})\s*([A-Za-z0-9_.-]+)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")

Path = tuple[str | int, ...]


class GridError(ValueError):
    """A grid file that cannot be used; the message names the file, the line and the key."""


@dataclass(frozen=True)
class Position:
    r"""A value of the file: its keys, and the text that they are looked up in.

    Examples
    --------
    >>> text = "tokens = 10\n[model]\nkind = 'mlp'\nwidth = 0\n"
    >>> Position("grid.toml", text, ("model", "width")).line
    4
    """

    file: str
    text: str
    path: Path = ()

    def into(self, *keys: str | int) -> Position:
        """The position of what these keys hold, below this one."""
        return Position(self.file, self.text, self.path + keys)

    def fail(self, message: str) -> NoReturn:
        """Refuse the value, with file, line and keys before the message.

        Raises
        ------
        GridError
            Always.
        """
        raise GridError(f"{self.file}:{self.line}: {f'{self.keys}: ' if self.keys else ''}{message}")

    @property
    def keys(self) -> str:
        """The keys, joined by dots; numbers of list elements and the word grid are left out."""
        return ".".join(str(key) for key in self.path if isinstance(key, str) and key != "grid")

    @property
    def line(self) -> int:
        """Number of the line that sets the value, or the innermost table around it that has a line; from 1."""
        lines = self.text.splitlines()
        best, depth = 0, 0
        for number, table, keys in _settings(lines):
            full = table + keys
            if self.path[: len(full)] == full and len(full) > depth:
                best, depth = number, len(full)
        rest = [str(key) for key in self.path[depth:] if isinstance(key, str)]
        for number in range(best, len(lines)):  # keys of inline tables, on this line or on its continuations
            if not rest:
                break
            if number > best and (_HEADER.match(lines[number]) or _KEY.match(lines[number])):
                break
            while rest and re.search(rf"""(?<![\w-])["']?{re.escape(rest[0])}["']?\s*=""", lines[number]):
                best = number
                rest.pop(0)
        return best + 1


def _settings(lines: list[str]) -> list[tuple[int, Path, Path]]:
    """Every line that opens a table or sets a key: (number from 0, table, keys set; none for a header)."""
    found: list[tuple[int, Path, Path]] = []
    table: Path = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(lines):
        if header := _HEADER.match(line):
            names = header[2].split(".")
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
            table = _numbered(names, counts)
            found.append((number, table, ()))
        elif key := _KEY.match(line):
            parts = re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", key[1])
            found.append((number, table, tuple(part.strip("\"'") for part in parts)))
    return found


def _numbered(names: list[str], counts: dict[str, int]) -> Path:
    path: list[str | int] = []
    for n, name in enumerate(names):
        path.append(name)
        if (whole := ".".join(names[: n + 1])) in counts:
            path.append(counts[whole])
    return tuple(path)
