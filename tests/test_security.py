"""SECURITY.md names a test for each thing that is handed to us: it exists."""

import ast
import re

import pytest
from support.places import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_is_there(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_says_who_tried():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| who |")]
    assert len(rows) == len(NAMED) + 1, "all but the lock's, which installing tries"
    assert all(row.count("|") == 6 for row in rows)
