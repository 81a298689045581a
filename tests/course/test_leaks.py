"""No truth, solution, wrong answer or hidden input is in what students get: wheel, notebooks, book, search index."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile

import pytest
from support import leaks
from support.places import ROOT

HTML = ROOT / "_build" / "html"
#: Modules that a student's wheel has and the secrets of which are looked for.
SETS = sorted(path.stem for path in (ROOT / "exercises" / "src").glob("*.py"))


@pytest.fixture(scope="module")
def secrets():
    found = leaks.secrets()
    assert all(len(lines) >= 40 for lines in found.values()), {kind: len(lines) for kind, lines in found.items()}
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as packed:
        packed.extractall(folder / "in")
    return folder / "in"


def test_the_students_wheel_has_no_secret(wheel, secrets):
    for name in SETS:
        assert (wheel / "precsim" / "course" / f"{name}.py").is_file()
        assert (wheel / "precsim" / "course" / "checks" / f"{name}.json").is_file()
    assert leaks.leaked(leaks.files(wheel), secrets) == []
    assert [*wheel.rglob("*.ipynb"), *wheel.rglob("exercises")] == []


def test_the_checks_work_from_the_wheel_and_know_no_truth(wheel):
    """In another process, with the wheel in the place of the project."""
    code = """
import precsim, precsim as ps, sys
from precsim.course import ps1, WrongAnswer
assert precsim.__file__.startswith(sys.argv[1])
assert not hasattr(ps1, "EXERCISES") and not hasattr(ps1.DECODE, "truth") and not hasattr(ps1.DECODE, "inputs")
ps.course.check(ps1.DECODE, ps.FP8_E4M3.value)
try:
    ps.course.check(ps1.DECODE, lambda code: abs(ps.FP8_E4M3.value(code)))
except WrongAnswer as wrong:
    print(wrong)
from precsim.cli import main
print(main(["course", "init", sys.argv[2], "--exercises", sys.argv[3]]))
"""
    words = [sys.executable, "-P", "-c", code, str(wheel), str(wheel / "class"), str(ROOT / "exercises")]
    done = subprocess.run(words, capture_output=True, text=True, env={"PYTHONPATH": str(wheel)}, cwd=wheel)
    assert done.returncode == 0, done.stderr
    assert "decode: 10 of 10 right." in done.stdout
    assert "which is not its value (9 of 10 right). Likely mistake: the highest bit is the sign" in done.stdout
    assert "student's copy of precsim, which knows no answers" in done.stderr
    assert done.stdout.rstrip().endswith("2")


def test_the_notebooks_have_no_secret(secrets):
    assert leaks.leaked(leaks.files(ROOT / "exercises"), secrets) != [], "src/ is found when it is looked at"
    released = [(name, text) for name, text in leaks.files(ROOT / "exercises") if name.endswith(".ipynb")]
    assert len(released) == len(SETS)
    assert leaks.leaked(released, secrets) == []


def test_the_chapters_have_no_secret(secrets):
    texts = list(leaks.files(ROOT / "book"))
    assert len([name for name, _ in texts if name.endswith(".md")]) >= 40
    assert leaks.leaked(texts, secrets) == []


@pytest.mark.book
@pytest.mark.skipif(not (HTML / "index.html").exists(), reason="the book is not built: make book, then make test")
def test_the_book_its_downloads_and_its_search_index_have_no_secret(secrets):
    texts = list(leaks.files(HTML))
    index = next(text for name, text in texts if name == "searchindex.js").lower()
    assert leaks.leaked(texts, secrets) == []
    assert [word for word in leaks.words(secrets) if word in index] == []


def test_names_that_only_secrets_have_are_looked_for_in_the_index(secrets):
    assert "hidden_in_subnorma" in leaks.words(secrets)


PLANTED = {
    "a.py": "def f(code):\n        return sign * (1 + trailing / 8) * 2.0 ** (exponent - 7)\n",
    "a.html": "<pre><span>return</span> <b>sign</b> * (<i>1</i> + trailing / 8) * 2.0 ** (exponent - 7)</pre>",
    "checks.json": '{"args": [[0.125, 2.0, 1.75, 0.5, 0.0625, 30]]}',
    "searchindex.js": "sign, exponent, trailing = (-1) ** (code >> 7), (code >> 3) & 15, code & 7",
}


@pytest.mark.parametrize("name", [*PLANTED, "b.ipynb"])
def test_a_secret_that_is_planted_is_found(tmp_path, secrets, name):
    text = PLANTED.get(name) or json.dumps({"cells": [{"source": PLANTED["a.py"].splitlines(True)}]})
    (tmp_path / name).write_text(text)
    assert len(leaks.leaked(leaks.files(tmp_path), secrets)) >= 1


def test_an_instructors_module_in_the_wheel_would_be_found(wheel, tmp_path, secrets):
    shutil.copy(ROOT / "precsim" / "course" / "ps1.py", tmp_path / "ps1.py")
    found = leaks.leaked(leaks.files(tmp_path), secrets)
    assert len(found) >= 20
    assert any("truth or rule" in line for line in found)
