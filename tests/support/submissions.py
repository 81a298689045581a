"""Submissions of problem set 1 as students and attackers hand them in, made by code, with the scores they deserve.

An attack is a cell at the end of a right notebook, or happens inside a call of ``decode`` (3 of the 10 points): the
other exercises must keep their points. `FILES` are broken as files, `CELLS` in their cells.
"""
# ruff: noqa: E501  an attack in one line is easier to read than one that is broken

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.places import ROOT

from precsim.course.notebooks import Edition, Role, notebook, read

SOURCE = read(ROOT / "exercises" / "src" / "ps1.py")
WRONG = {cell.mistake: cell.text for cell in SOURCE if cell.role is Role.WRONG and cell.exercise == "decode"}
Book = dict[str, Any]


def right() -> Book:
    """The notebook with all solutions."""
    return json.loads(json.dumps(notebook(SOURCE, Edition.INSTRUCTOR)))


def stubs() -> Book:
    """The notebook as it was handed out."""
    return json.loads(json.dumps(notebook(SOURCE, Edition.STUDENT)))


def cell(source: str) -> Book:
    return {"cell_type": "code", "id": "own", "metadata": {}, "execution_count": None, "outputs": [], "source": source}


def ending_with(source: str, book: Book | None = None) -> Book:
    """A notebook with one more cell."""
    book = copy.deepcopy(book) if book else right()
    book["cells"].append(cell(source))
    return book


def in_call(body: str) -> Book:
    """A notebook whose right ``decode`` does something else first."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return ending_with(f"honest = decode\ndef decode(code):\n{lines}    return honest(code)\n")


def instead(definition: str) -> Book:
    """A notebook whose ``decode`` is this."""
    book = right()
    for number, part in enumerate(book["cells"]):
        if part["id"] == "decode-answer":
            book["cells"][number]["source"] = definition
    return book


_TO_ALL = "import os\nfor fd in range(3, 30):\n    try:\n        os.write(fd, {})\n    except OSError:\n        pass"
_FORK = "import os, time\ntry:\n    for _ in range(400):\n        if os.fork() == 0:\n            time.sleep(600)\nexcept OSError:\n    pass"
_EAT = "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(150 << 20)\n        time.sleep(60)\ntime.sleep(60)"
_DAEMON = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\nos.wait()"
_SYSCALL = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint('SYSCALL', libc.{}, ctypes.get_errno())"
_TRY = "try:\n    {}\n    print('BROKE OUT')\nexcept Exception as e:\n    print(type(e).__name__)"
_SEARCH = """import gc
def decode(code):
    for thing in gc.get_objects():
        for name in ("truth", "hidden", "expected", "cases"):
            try:
                found = getattr(thing, name, None)
                if callable(found) and thing is not None:
                    return found(code)
            except BaseException:
                pass
    return None"""
_FIND = """import os
found = []
for folder, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if f not in ("proc", "sys", "usr")]
    found += [f for f in files if f.endswith((".db", ".ipynb")) and "site-packages" not in folder or f == "ps1.json"]
print("FOUND", found)"""

#: Name → (notebook, score). What happens in a cell costs nothing; what happens in decode costs at most its 3 points.
ATTACKS: dict[str, tuple[Book, int | range]] = {
    "truth": (instead("decode = ps1.DECODE.truth"), 7),
    "truth-in-call": (
        instead("def decode(code):\n    from precsim.course import ps1\n    return ps1.DECODE.truth(code)"),
        7,
    ),
    "truth-by-import": (instead("from precsim.course.grading.keys import key_of\ndecode = key_of"), 7),
    "truth-by-source": (
        instead(
            "def decode(code):\n    import precsim, pathlib\n    here = pathlib.Path(precsim.__file__).parents[1]\n"
            "    names = {}\n    exec((here / 'exercises/src/ps1.py').read_text(), names)\n    return names['decode'](code)"
        ),
        7,
    ),
    "truth-by-search": (instead(_SEARCH), 7),
    "equal-to-all": (
        instead("class E:\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndecode = lambda c: E()"),
        7,
    ),
    "float-subclass": (
        instead(
            "class F(float):\n    __eq__ = lambda s, o: True\n    __reduce__ = lambda s: (exec, ('1/0',))\ndecode = lambda c: F(5)"
        ),
        7,
    ),
    "word-subclass": (instead("class S(str):\n    __eq__ = lambda s, o: True\ndecode = lambda c: S('x')"), 7),
    "lying-index": (instead("class I:\n    __index__ = lambda s: 10**5000\ndecode = lambda c: I()"), 7),
    "endless-list": (instead("class T:\n    tolist = lambda s: T()\ndecode = lambda c: T()"), 7),
    "own-circle": (instead("def decode(code):\n    x = []\n    x.append(x)\n    return x"), 7),
    "constant": (instead("decode = lambda code: 1.0"), 7),
    "constant-nan": (instead("decode = lambda code: math.nan"), 7),
    "shown-inputs-only": (instead("decode = {0x38: 1.0, 0x3C: 1.5, 0x40: 2.0, 0x01: 2**-9}.get"), 7),
    "patched-check": (ending_with("ps.course.check = lambda *a: 10\nps1.DECODE = None"), 10),
    "patched-comparison": (
        ending_with("import math\nmath.isclose = lambda *a, **k: True\nmath.isnan = lambda x: True"),
        10,
    ),
    "patched-wrong": (
        ending_with(
            "import math, operator\nmath.isclose = operator.eq = lambda *a, **k: True", instead("decode = lambda c: 5")
        ),
        7,
    ),
    "transformer": (
        ending_with("1"),
        10,
    ),
    "forged-in-cell": (ending_with(_TO_ALL.format("b'{\"ready\": true}\\n'")), 10),
    "forged-answer": (in_call(_TO_ALL.format('b\'{"id": 1, "value": 1.0}\\n\'')), 7),
    "forged-score": (in_call(_TO_ALL.format("b'{\"score\": 10}\\n'")), 7),
    "forged-left": (in_call(_TO_ALL.format("b'{\"left\": true}\\n'")), range(8)),
    "flood": (in_call("import os\nwhile True:\n    " + "os.write(4, b'x' * 65536)"), 7),
    "deep-json": (in_call(_TO_ALL.format("b'[' * 500000 + b'\\n'")), 7),
    "long-number": (in_call(_TO_ALL.format('b\'{"id": 1, "value": \' + b"9" * 6000 + b"}\\n"')), 7),
    "long-answer": (in_call("return 10**5000"), 7),
    "wide-answer": (in_call("return [1.0] * 10**6"), 7),
    "loud-cell": (ending_with("for _ in range(100):\n    print('x' * 10**7)"), 10),
    "loud-call": (in_call("print('x' * 10**6)"), 10),
    "printed-inputs": (in_call("print('INPUT', code)\nimport sys\nprint('INPUT', code, file=sys.stderr)"), 10),
    "telling-exception": (in_call("raise type(f'INPUT{code}', (Exception,), {})"), 7),
    "exit-in-call": (in_call("import os\nos._exit(0)"), 7),
    "exit-in-cell": (ending_with("import os\nos._exit(0)"), 10),
    "system-exit": (in_call("raise SystemExit"), 7),
    "system-exit-in-cell": (ending_with("raise SystemExit"), 10),
    "crash-in-call": (in_call("import ctypes\nctypes.string_at(0)"), 7),
    "crash-in-cell": (ending_with("import ctypes\nctypes.string_at(0)"), 10),
    "loop-in-cell": (ending_with("while True:\n    pass"), 10),
    "loop-in-call": (in_call("while True:\n    pass"), 7),
    "deaf-loop": (
        in_call("import signal\nfor s in (2, 15):\n    signal.signal(s, signal.SIG_IGN)\nwhile True:\n    pass"),
        7,
    ),
    "sleep": (in_call("import time\ntime.sleep(10**6)"), 7),
    "recursion": (in_call("return decode(code)"), 7),
    "memory": (in_call("return len(bytearray(8 << 30))"), 7),
    "memory-of-many": (ending_with(_EAT), 10),
    "fork-bomb": (ending_with(_FORK), range(11)),
    "fork-bomb-in-call": (in_call(_FORK), range(11)),
    "daemon": (ending_with(_DAEMON), 10),
    "kill-parent": (ending_with("import os\ntry:\n    os.kill(os.getppid(), 9)\nexcept OSError:\n    pass"), 10),
    "kill-all": (ending_with("import os\ntry:\n    os.kill(-1, 9)\nexcept OSError:\n    pass"), 10),
    "memory-of-parent": (ending_with(_TRY.format("open('/proc/1/mem', 'rb').read(1)")), 10),
    "unshare": (ending_with(_SYSCALL.format("unshare(0x10000000 | 0x20000)")), 10),
    "mount": (ending_with(_SYSCALL.format("mount(b'none', b'/tmp', b'tmpfs', 0, None)")), 10),
    # of a user the first process in the sandbox is its own, with the same rights: to hold it gains nothing
    "ptrace": (ending_with("import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)"), range(11)),
    "become-root": (ending_with(_TRY.format("import os; os.setuid(0); open('/etc/shadow').read()")), 10),
    "network": (
        ending_with(_TRY.format("import socket; socket.create_connection(('127.0.0.1', PORT), timeout=1)")),
        10,
    ),
    "outside": (ending_with(_TRY.format("import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)")), 10),
    "abstract-socket": (
        ending_with(_TRY.format("import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0precsim-test')")),
        10,
    ),
    "full-disk": (
        ending_with(_TRY.format("[open(f'/tmp/{n}', 'wb').write(bytes(15 << 20)) for n in range(9)]")),
        10,
    ),
    "full-shared-memory": (ending_with(_TRY.format("open('/dev/shm/x', 'wb').write(bytes(8 << 20))")), 10),
    "write-package": (ending_with(_TRY.format("open(ps.__file__, 'a')")), 10),
    "write-guest": (ending_with(_TRY.format("open('/guest/x', 'w')")), 10),
    "write-root": (ending_with(_TRY.format("open('/x', 'w')")), 10),
    "search-files": (ending_with(_FIND), 10),
    "gradebook": (ending_with(_TRY.format("import os; os.remove('GRADEBOOK')")), 10),
    "class-key": (ending_with(_TRY.format("open('KEY').read()")), 10),
    "closed-files": (ending_with("import os\nos.closerange(0, 200)"), 10),
    "left-over": (ending_with("import atexit, os\natexit.register(os.abort)\nraise KeyboardInterrupt"), 10),
}
ATTACKS["transformer"] = (right(), 0)
ATTACKS["transformer"][0]["cells"].insert(
    0,
    cell(
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['decode = round_e4m3 = turning_point = abs\\n'])"
    ),
)


def _edited(change: Callable[[list[Book]], object]) -> Book:
    book = right()
    change(book["cells"])
    return book


def _named(cells: list[Book], name: str) -> Book:
    return next(part for part in cells if part["id"] == name)


def _double(name: str) -> Callable[[list[Book]], object]:
    return lambda cells: cells.insert(cells.index(_named(cells, name)), copy.deepcopy(_named(cells, name)))


def _without_marks(cells: list[Book]) -> None:
    for number, part in enumerate(cells):
        part["metadata"], part["id"] = {}, f"n{number}"


SCRIPT = "<script>document.title='RAN'</script><img src=x onerror=\"document.title='RAN'\">[a](javascript:RAN)"


def _scripts(cells: list[Book]) -> None:
    cells.append({"cell_type": "markdown", "id": "m", "metadata": {}, "source": SCRIPT + "\n~~~\n" + SCRIPT})
    html = {"output_type": "display_data", "metadata": {}, "data": {"text/html": SCRIPT}}
    cells.append({**cell(f"from IPython.display import HTML\nprint({SCRIPT!r})\nHTML({SCRIPT!r})"), "outputs": [html]})
    cells[0]["source"] += SCRIPT


#: Name → (notebook, score, words of a remark).
CELLS: dict[str, tuple[Book, int, str]] = {
    "answer-twice": (_edited(_double("decode-answer")), 10, "earlier copy"),
    "check-twice": (_edited(_double("decode-check")), 10, "earlier copy"),
    "locked-changed": (_edited(lambda c: _named(c, "decode-check").update(source="10")), 10, "locked"),
    "points-100": (
        _edited(lambda c: _named(c, "decode-check")["metadata"]["nbgrader"].update(points=100)),
        10,
        "marks",
    ),
    "unlocked": (
        _edited(lambda c: _named(c, "decode-check")["metadata"]["nbgrader"].update(locked=False)),
        10,
        "marks",
    ),
    "equal-ids": (_edited(lambda c: [part.update(id="same") for part in c]), 10, ""),
    "no-marks": (_edited(_without_marks), 10, "missing"),
    "answer-deleted": (
        _edited(lambda c: [c.remove(_named(c, n)) for n in ("decode-answer", "decode-check")]),
        7,
        "missing",
    ),
    "odd-kind": (_edited(lambda c: c.append({"cell_type": "magic", "source": 3})), 10, "no known kind"),
    "odd-types": (
        _edited(lambda c: c.append({"cell_type": "code", "metadata": [], "id": 5, "source": {"a": 1}})),
        10,
        "",
    ),
    "scripts": (_edited(_scripts), 10, ""),
    "other-kernel": ({**right(), "metadata": {"kernelspec": {"name": "bash", "argv": ["rm"]}}}, 10, ""),
}


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 30)


#: Name → (what makes the file, words of the reason).
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda path: path.symlink_to(path.parents[3] / "key" / "ps1.json"), "cannot be read"),
    "fifo": (os.mkfifo, "not a regular file"),
    "sparse": (_sparse, "more than 8 MiB"),
    "folder": (lambda path: path.mkdir(), "not a regular file"),
    "deep": (lambda path: path.write_text("[" * 10**6), "not JSON"),
    "garbage": (lambda path: path.write_bytes(bytes(range(256)) * 9), "not JSON"),
    "empty": (lambda path: path.write_text(""), "not JSON"),
    "no-notebook": (lambda path: path.write_text("[1]"), "not of nbformat 4"),
    "nbformat-3": (lambda path: path.write_text(json.dumps({**right(), "nbformat": 3})), "not of nbformat 4"),
    "nbformat-9": (lambda path: path.write_text(json.dumps({**right(), "nbformat": 9})), "not of nbformat 4"),
    "wrong-types": (lambda path: path.write_text('{"nbformat": 4, "cells": {"a": 1}}'), "no list of cells"),
    "no-cells": (lambda path: path.write_text('{"nbformat": 4, "cells": []}'), "is empty"),
    "nothing": (lambda path: None, "is missing"),
}

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

#: Name → (notebook, score): eleven that are no attack.
ORDINARY: dict[str, tuple[Book, int]] = {
    "solved": (right(), 10),
    "stubs": (stubs(), 0),
    "no-nan": (instead(WRONG["no NaN"]), 9),
    "hidden-bit": (instead(WRONG["hidden bit"]), 9),
    "warns": (in_call("import warnings\nwarnings.warn('hm')\nimport sys\nprint('hm', file=sys.stderr)"), 10),
    "arrays": (in_call("import numpy as np\nreturn np.array([honest(code)])"), 10),
    "numpy": (in_call("import numpy as np\nreturn np.float32(honest(code))"), 10),
    "negative-zero": (in_call("return honest(code) or -0.0"), 10),
    "fractions": (
        in_call("from fractions import Fraction\nx = honest(code)\nreturn x if math.isnan(x) else Fraction(x)"),
        10,
    ),
    "error-in-a-cell": (ending_with("this is no Python"), 10),
    "draws": (
        ending_with(
            f"from IPython.display import Image, display\nimport base64\ndisplay(Image(base64.b64decode('{_PNG}')))"
        ),
        10,
    ),
}


def hand_in(folder: Path, student: str, book: Book | Callable[[Path], object]) -> None:
    """Put a submission where a class collects them."""
    path = folder / "submitted" / student / "ps1" / "ps1.ipynb"
    path.parent.mkdir(parents=True)
    if callable(book):
        book(path)
    else:
        path.write_text(json.dumps(book))
