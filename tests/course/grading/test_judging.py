"""The parts that judge: equality, keys, the student edition, the pipe, a guest that is a script of the test's."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from support.places import ROOT
from support.sandboxes import sandbox_here
from support.submissions import SOURCE, in_call, right

from precsim.course import Exercise, WrongAnswer, check
from precsim.course.grading import channel, guest, judge, key
from precsim.course.grading.channel import Guest, GuestFailure, Limits
from precsim.course.grading.edition import given, warm, write_edition
from precsim.course.grading.judge import GuestDidNotStartError
from precsim.course.grading.key import read_key
from precsim.course.grading.keys import key_of
from precsim.course.grading.probe import leaks
from precsim.course.grading.sandbox import Bubblewrap, NoSandboxError, Place, Unsafe
from precsim.course.notebooks import read
from precsim.course.values import answered, encoded, equal

PLACES = sorted((ROOT / "exercises" / "src").glob("ps*.py"))
QUICK = Limits(start=5.0, cell=1.0, call=1.0, whole=10.0)


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "truth", "tolerance", "same"),
    [
        (0.0, -0.0, 0, True),
        (math.nan, math.nan, 0, True),
        (math.nan, 1.0, 1, False),
        (math.inf, math.inf, 1e-6, True),
        ([[2.0]], 2.0, 0, True),
        ([2.0, 2.0], 2.0, 0, False),
        (2, 2.0, 0, True),
        (True, 1, 0, False),
        (1, True, 0, False),
        (True, True, 0, True),
        ("a", "a", 0, True),
        ("1", 1, 0, False),
        (None, 0, 0, False),
        ({}, 0, 0, False),
        (10**400, 1.0, 1e-6, False),
        (1.0 + 5e-7, 1.0, 1e-6, True),
        (1.0 + 5e-6, 1.0, 1e-6, False),
        ([1, 2], [1, 2.0], 0, True),
        ([1], [1, 2], 0, False),
    ],
)
def test_equal(got, truth, tolerance, same):
    assert equal(got, truth, tolerance) is same


Row = namedtuple("Row", "D loss")


@pytest.mark.parametrize(
    "value",
    [1, -0.0, 1e300, "word", None, True, (1, (2.0,)), [1, [2]], {3: 0.5, "a": (1,)}, (Row(1, 2.0), Row(3, math.inf))],
)
def test_inputs_arrive_as_they_were(value):
    back = guest.revived(json.loads(json.dumps(encoded(value))))
    assert back == value
    assert type(back) is type(value) or isinstance(value, Row)
    assert repr(back) == repr(value)


def test_arrays_arrive_as_arrays_and_other_things_are_refused():
    back = guest.revived(json.loads(json.dumps(encoded({"x": np.array([1.0, np.nan])}))))["x"]
    np.testing.assert_array_equal(back, [1.0, np.nan])
    assert encoded(np.float64(2.0)) == 2.0
    with pytest.raises(TypeError, match="made of numbers, words"):
        encoded(object())


def test_a_pair_is_an_answer_for_the_judge_and_for_the_check(capsys):
    """Where the sign of a zero is asked for, the truth is the pair of value and sign."""
    truth = (-0.0, -1.0)
    assert equal(json.loads(json.dumps(guest.plain(truth))), answered(truth))
    assert not equal([0.0, 1.0], answered(truth))
    pair = Exercise("signed", lambda x: truth, lambda: ((1.0,),), ())
    check(pair, lambda x: np.array(truth))
    with pytest.raises(WrongAnswer):
        check(pair, lambda x: (0.0, 1.0))


def test_an_answer_becomes_plain_data():
    from decimal import Decimal

    assert [guest.plain(x) for x in (np.float32(0.5), np.int8(3), Decimal("0.5"), (1, 2))] == [0.5, 3, 0.5, [1, 2]]
    assert guest.plain(object()) == "a value of type object"


# -- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", PLACES, ids=lambda path: path.stem)
def test_a_key_comes_back_and_is_the_same_every_time(source, tmp_path):
    cells = read(source)
    made = key_of(source.stem, cells)
    (tmp_path / "key.json").write_text(made.text(), encoding="utf-8")
    back = read_key(tmp_path / "key.json")
    assert back.text() == made.text() == key_of(source.stem, cells).text()
    assert back.points == sum(cell.points for cell in cells if cell.role.value == "check")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(version=2), "version 2"),
        (lambda data: data.pop("set"), "is no key"),
        (lambda data: data["exercises"][0]["groups"][0].update(points=0), "no points"),
        (lambda data: data["exercises"][0]["groups"][0].update(cases=[]), "no inputs"),
    ],
)
def test_a_broken_key_is_refused(change, words, tmp_path):
    data = json.loads(key_of("ps1", SOURCE).text())
    change(data)
    (tmp_path / "key.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=words):
        read_key(tmp_path / "key.json")


@pytest.mark.parametrize("module", [judge, channel, key, guest], ids=lambda module: module.__name__)
def test_what_judges_needs_the_standard_library_only(module):
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    ours = {"precsim.course.grading.channel", "precsim.course.grading.key", "precsim.course.values"}
    late = {"IPython.core.displayhook", "IPython.core.displaypub", "IPython.core.interactiveshell"}  # the guest's
    foreign = {name for name in names - ours - late if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == set()


# -- the student edition ---------------------------------------------------------------------------------------------


def test_the_student_edition_gives_what_statements_use_and_knows_no_truth(tmp_path):
    folder = write_edition(tmp_path)
    assert not (folder / "course" / "grading").exists()
    code = (
        "import precsim; precsim.__path__.insert(0, sys.argv[1])\n"
        "from precsim.course import ps1, ps2, ps3, ps4, ps5, ps6, ps7\n"
        "for m in (ps1, ps2, ps3, ps4, ps5, ps6, ps7):\n"
        "    for name in m.__all__:\n"
        "        e = getattr(m, name)\n"
        "        if type(e).__name__ == 'Exercise':\n"
        "            assert not {'truth', 'inputs', 'mistakes'} & set(dir(e)), name\n"
        "            n = e.name\n"
        "print(ps1.damage_table(3)[0].D, ps3.bf16(257.0), len(ps4.runs(1024)), ps7.paper()['gamma_post'])\n"
    )
    command = [sys.executable, "-c", f"import sys\n{code}", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["1000000000.0", "256.0", "80", "0.5907"], done.stderr


def test_no_truth_mistake_or_comment_of_the_sets_is_in_the_edition(tmp_path):
    course = ROOT / "precsim" / "course"
    for path in sorted(course.glob("ps?.py")):
        tree, kept_text = ast.parse(path.read_text(encoding="utf-8")), given(path.read_text(encoding="utf-8"))
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        calls = [n for n in calls if ast.unparse(n.func) in ("Mistake", "Exercise")]
        assert calls
        for call in calls:
            named = [k.value for k in call.keywords if k.arg in ("truth", "rule", "hint", "inputs")]
            for part in (*call.args[1:], *named):
                short = isinstance(part, ast.Constant) and len(str(part.value)) < 12
                assert short or not re.search(rf"(?<!\w){re.escape(ast.unparse(part))}(?!\w)", kept_text)
        assert "#" not in kept_text
        assert "lambda" not in kept_text, path.name


def test_a_set_that_gives_its_truth_away_is_refused():
    with pytest.raises(ValueError, match="which knows the truth"):
        given("__all__ = ['F', 'g']\nF = Exercise(name='f')\ndef g(): return F.truth")
    with pytest.raises(ValueError, match="this module has none"):
        given("x = 1")


# -- the pipe --------------------------------------------------------------------------------------------------------


def saying(code: str) -> list[str]:
    before, after = "import sys, time, os\nout = sys.stdout.buffer", "out.flush()\ntime.sleep(30)"
    return [sys.executable, "-I", "-c", f"{before}\n{code}\n{after}"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("out.write(b'[' * 100000 + b'\\n')", "not JSON"),
        ("out.write(b'9' * 6000 + b'\\n')", "not JSON"),
        ("out.write(b'[1]\\n')", "out of turn"),
        ("out.write(b'x' * (2 << 20))", "too long"),
        ("out.write(b'{}' + b' ' * (2 << 20) + b'\\n')", "too long"),
        ("pass", "more than 0.5 s"),
        ("os._exit(0)", "ended"),
        ("x = bytearray(300 << 20)", "MiB of memory"),
        ("[os.fork() or time.sleep(30) for _ in range(20)]", "processes"),
    ],
)
def test_a_guest_that_breaks_the_rules_is_killed(code, words):
    limits = Limits(memory=200 << 20, processes=12)
    began = time.monotonic()
    with Guest(saying(code), limits, began + 10) as talking, pytest.raises(GuestFailure, match=words):
        talking.receive(0.5 if words.startswith("more than 0") else 5.0)
    assert time.monotonic() - began < 8
    assert talking._process.returncode is not None


def test_a_guest_that_speaks_first_or_says_too_much_or_does_not_read_is_killed():
    with Guest(saying("out.write(b'{}\\n')"), Limits(), time.monotonic() + 10) as talking:
        time.sleep(0.5)
        with pytest.raises(GuestFailure, match="out of turn"):
            talking.send({})
    with Guest(saying("out.write(b'{}\\n' * 10)"), Limits(answers=20), time.monotonic() + 10) as talking:
        with pytest.raises(GuestFailure, match="too much"):
            talking.receive(2)
    with Guest(saying("pass"), Limits(call=0.5), time.monotonic() + 10) as talking:
        with pytest.raises(GuestFailure, match="does not read"):
            talking.send({"x": "y" * (1 << 20)})


def test_a_sandbox_that_does_not_start_is_no_zero():
    with pytest.raises(GuestDidNotStartError, match="did not start: it ended"):
        judge.judge(["1"], key_of("ps1", SOURCE), ["false"], limits=QUICK)


# -- the sandbox's own promises --------------------------------------------------------------------------------------


def test_a_hint_and_the_groups_are_told_but_no_input(sandbox, tmp_path):
    cells = [c["source"] for c in in_call("return abs(honest(code))")["cells"] if c["cell_type"] == "code"]
    found = judge.judge(cells, key_of("ps1", SOURCE), sandbox.command(Place(write_edition(tmp_path))))
    assert "the highest bit is the sign" in found.results[0].comment()
    assert found.score == 7


@pytest.mark.parametrize("source", PLACES, ids=lambda path: path.stem)
def test_the_solutions_of_every_set_get_all_points_in_the_sandbox(sandbox, tmp_path, source):
    cells = read(source)
    warm(tmp_path, source.stem)
    code = [c.text for c in cells if c.role.value in ("code", "answer", "check")]
    found = judge.judge(code, key_of(source.stem, cells), sandbox.command(Place(write_edition(tmp_path))))
    assert [(r.exercise.name, r.score, r.raised) for r in found.results if r.score < r.exercise.points] == []
    assert [output.out for output in found.cells.values() if output.error] == []


def test_loops_are_compiled_once_for_all_guests(sandbox, tmp_path):
    """Each guest compiled them again: seconds of every call, and on a busy machine more than a call may take."""
    warm(tmp_path, "ps3")
    kept = sorted(path.relative_to(tmp_path) for path in (tmp_path / "numba").rglob("*.nbc"))
    assert kept
    before = [(tmp_path / path).stat().st_mtime_ns for path in kept]
    warm(tmp_path, "ps3")
    code = [
        "import numpy as np, os, precsim as ps\nfrom pathlib import Path\nfrom precsim.course import ps3",
        "def new():\n    ps3.bf16(257.0)\n    return sorted(p.name for p in Path('/tmp/numba').rglob('*.nbc'))",
    ]
    with Guest(sandbox.command(Place(write_edition(tmp_path))), Limits(call=60.0), time.monotonic() + 200) as talking:
        talking.send({"cells": code, "skip": [], "edition": None})
        assert [talking.receive(60.0) for _ in range(6)][-1] == {"ready": True}
        talking.send({"fork": True})
        talking.receive(60.0)
        talking.send({"id": 1, "name": "new", "args": []})
        assert talking.receive(60.0)["value"] == sorted(path.name for path in kept)
    assert [(tmp_path / path).stat().st_mtime_ns for path in kept] == before


@pytest.mark.slow
def test_many_exercises_that_hang_cost_the_others_nothing(sandbox, tmp_path):
    """Four of nine loop for ever: the five that are right keep their points, and it is said what was stopped."""
    cells = read(ROOT / "exercises" / "src" / "ps7.py")
    slow = ("best_bits", "data_ratio", "grid_rate", "critical_decades")
    code = [c.text for c in cells if c.role.value in ("code", "answer")]
    code += [f"def {name}(*inputs):\n    while True:\n        pass" for name in slow]
    limits = Limits(call=6.0)  # of wall time: a right answer on a busy machine needs less
    found = judge.judge(code, key_of("ps7", cells), sandbox.command(Place(write_edition(tmp_path))), limits=limits)
    assert {r.exercise.name for r in found.results if r.ended} == set(slow)
    assert [r.score == r.exercise.points for r in found.results if r.exercise.name not in slow] == [True] * 5
    assert len(found.remarks) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_rights_has_the_same_sandbox(sandbox, tmp_path):
    """The same probe and a notebook as uid 1234, which bubblewrap itself makes, in a view where Python can be read."""
    code = """
import json, sys
from pathlib import Path
from precsim.course.grading.probe import leaks
from precsim.course.grading.probe import leaks
from precsim.course.grading.sandbox import Bubblewrap, NoSandboxError, Place, Unsafe
from precsim.course.grading.edition import write_edition
from precsim.course.grading.judge import judge
from precsim.course.grading.key import read_key
here = Path("/tmp")
cells = json.loads(sys.stdin.read())
edition = write_edition(here / "edition")
print(leaks(Bubblewrap()), judge(cells, read_key(here / "in" / "key.json"), Bubblewrap().command(Place(edition))).score)
"""
    (tmp_path / "key.json").write_text(key_of("ps1", SOURCE).text())
    tmp_path.chmod(0o755)
    (tmp_path / "key.json").chmod(0o644)
    words = ["bwrap", "--dev-bind", "/", "/", "--perms", "1777", "--tmpfs", "/tmp"]
    words += ["--ro-bind", str(tmp_path), "/tmp/in"]
    for path in Place(tmp_path).readable:
        above = list(reversed(path.parents))
        hidden = next((n for n, parent in enumerate(above) if n and not parent.stat().st_mode & 1), None)
        if Path("/tmp") in above:  # which is another one already
            hidden = above.index(Path("/tmp"))
        elif hidden is not None:
            words += ["--perms", "0755", "--tmpfs", str(above[hidden])]
        if hidden is not None:
            words += [word for parent in above[hidden + 1 :] for word in ("--perms", "0755", "--dir", str(parent))]
            words += ["--ro-bind", str(path), str(path)]
    words += ["--", "setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", sys.executable, "-c", code]
    cells = json.dumps([c["source"] for c in right()["cells"] if c["cell_type"] == "code"])
    done = subprocess.run(words, input=cells, capture_output=True, text=True, cwd="/")
    if "setting up uid map" in done.stderr or "No permissions to creat" in done.stderr:
        pytest.skip("this machine gives a user no name spaces")
    assert done.stdout.split("\n")[0] == "[] 10", done.stderr


class Leaking(Unsafe):
    """A sandbox in name only."""


def test_an_absent_sandbox_is_skipped_or_fails_as_asked_and_one_that_leaks_fails(monkeypatch):
    monkeypatch.setattr("precsim.course.grading.probe.KINDS", ())
    with pytest.raises(NoSandboxError, match="no sandbox holds here"):
        sandbox_here(required=True)
    with pytest.raises(pytest.skip.Exception, match="PRECSIM_REQUIRE_SANDBOX"):
        sandbox_here(required=False)
    monkeypatch.setattr("precsim.course.grading.probe.KINDS", (Leaking(),))
    with pytest.raises(NoSandboxError, match=r"a guest can .*write outside"):
        sandbox_here(required=False)


def test_the_probe_sees_what_no_sandbox_lets_through():
    found = leaks(Unsafe())
    assert {"read a file of the class", "reach the network of this machine", "write outside"} <= set(found)
    assert "use 3 GiB" not in found
    assert Bubblewrap().name not in found
