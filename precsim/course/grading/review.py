"""What a person should read: names in a submission by which one looks for the grader. They never change a score.

The text is searched, not parsed: Python's parser is not made for text that wants to bring it down, and this runs where
the grades are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Modules that no exercise needs, and by which a process looks at itself or leaves itself.
SUSPECT = (
    "ast|builtins|ctypes|gc|importlib|inspect|multiprocessing|os|pickle|requests|resource|shutil|signal|socket|"
    "subprocess|sys|threading|traceback|urllib"
)
_PATTERNS = {
    "imports": re.compile(
        rf"(?m)^[ \t]*(?:import|from)[ \t]+({SUSPECT})\b|^[ \t]*import[ \t][^#\n]*,[ \t]*({SUSPECT})\b"
    ),
    # what exercises have in a student's copy of the course, and have not in the grader's
    "reads": re.compile(r"\b(ps\d+\.\w+\.(?:truth|mistakes|inputs)|ps\d+\.EXERCISES)\b"),
    "uses": re.compile(r"\b(__import__|eval|exec)[ \t]*\("),
    "runs": re.compile(r"(?m)^[ \t]*(!|%%?(?:bash|sh|system|sx)\b)"),
}


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
        for verb, pattern in _PATTERNS.items():
            for groups in pattern.findall(source):
                name = groups if isinstance(groups, str) else "".join(groups)
                found.add(f"{verb} {name}"[:60])
    return tuple(sorted(found))
