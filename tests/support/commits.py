"""What the history of the repository says of a file that was to be written before something else."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from support.places import ROOT


def record_before(file: str, record: str) -> dict[str, Any]:
    """The JSON file `record` as it stood in the commit that added `file`, which was never changed since.

    Skips the test where the history cannot be looked up.
    """

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout

    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not in a clone: the order of commits cannot be looked up")
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("a shallow clone does not have the commits")
    written = git("log", "--diff-filter=A", "--format=%H", "--", file).split()
    if not written:
        pytest.skip("not committed yet")
    assert git("log", "--format=%H", "--", file).split() == written
    return json.loads(git("show", f"{written[-1]}:{record}"))
