"""What a person should read: names in a submission by which one looks for the grader. They never change a score."""

from __future__ import annotations

import ast
from collections.abc import Iterable

#: Modules that no exercise needs, and by which a process looks at itself or leaves itself.
SUSPECT = frozenset(
    "ast builtins ctypes gc importlib inspect multiprocessing os pickle resource shutil signal socket subprocess sys "
    "threading traceback urllib requests".split()
)
#: Attributes of exercises that a student's copy of the course has and the grader's has not.
TRUTHS = frozenset({"truth", "mistakes", "inputs", "EXERCISES"})


def flags(sources: Iterable[str]) -> tuple[str, ...]:
    """Say what in a notebook's own code is worth a look.

    Parameters
    ----------
    sources : iterable of str
        Code that is not the release's.

    Examples
    --------
    >>> flags(["import gc", "decode = ps1.DECODE.truth", "truth = 1"])
    ('imports gc', 'reads ps1.DECODE.truth')
    """
    found = set()
    for source in sources:
        code = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
        if code.strip() != source.strip() and "\n!" in f"\n{source}":
            found.add("runs a command of the system")
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {f"imports {alias.name}" for alias in node.names if alias.name.partition(".")[0] in SUSPECT}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in SUSPECT:
                found.add(f"imports {node.module}")
            elif isinstance(node, ast.Attribute) and node.attr in TRUTHS and _of_a_set(node.value):
                found.add(f"reads {ast.unparse(node)}"[:80])
            elif isinstance(node, ast.Name) and node.id in ("__import__", "eval", "exec"):
                found.add(f"uses {node.id}")
    return tuple(sorted(found))


def _of_a_set(node: ast.expr) -> bool:
    """Whether an expression is ``psN`` or something in it."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id.startswith("ps") and node.id[2:].isdigit()
