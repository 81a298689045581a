"""The layout of the package: floors, sizes, names, and that each rule about imports can fail."""

from __future__ import annotations

import ast
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

import precsim

PACKAGE = ROOT / "precsim"
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [path for path in FILES if path.name != "__init__.py"]
PACKAGES = "numerics models training runs laws symbolic fitting planning evidence view data course weights cli".split()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def dotted(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def executed(tree: ast.AST):
    """Nodes that run: those under ``if TYPE_CHECKING`` do not."""
    for node in ast.iter_child_nodes(tree):
        if not only_for_types(node):
            yield node
            yield from executed(node)


def imported(path: Path, known: set[str]) -> set[str]:
    """Modules of the package that a file imports anywhere, from its source."""
    found = set()
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name in known}


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules that import each other, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    least: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        number[name] = least[name] = len(number)
        stack.append(name)
        for other in arrows[name]:
            if other not in number:
                visit(other)
                least[name] = min(least[name], least[other])
            elif other in stack:
                least[name] = min(least[name], number[other])
        if least[name] == number[name]:
            group = set(stack[stack.index(name) :])
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(group)

    for name in arrows:
        if name not in number:
            visit(name)
    return found


# -- rooms -----------------------------------------------------------------------------------------------------------


def test_the_root_has_few_modules_and_none_is_private():
    root = [path.name for path in PACKAGE.glob("*.py")]
    assert len(root) <= 6
    assert not [name for name in root if name.startswith("_") and name != "__init__.py"]


def test_the_rooms_are_those_of_the_plan_and_each_says_what_it_holds():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(PACKAGES)
    for room in PACKAGES:
        doc = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert 2 <= len(doc.splitlines()) <= 14, f"{room}: its nouns and the way through it, in a few lines"


def test_no_module_is_in_a_circle():
    known = {dotted(path) for path in FILES}
    inside = {dotted(path): imported(path, known) - {dotted(path)} for path in MODULES}
    arrows = {name: {other for other in others if other in inside} for name, others in inside.items()}
    assert circles(arrows) == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def test_sizes_are_those_of_a_book_that_is_read():
    sizes = [lines(path) for path in MODULES]
    assert statistics.median(sizes) <= 170
    assert {name_of(path): lines(path) for path in MODULES if lines(path) > 500} == {}
    assert len([n for n in sizes if n < 60]) <= 8, sorted((lines(p), name_of(p)) for p in MODULES if lines(p) < 60)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_imports_stand_at_the_top_but_for_heavy_libraries():
    inside = {
        (name_of(path), node.lineno)
        for path in FILES
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert len(inside) <= 40, sorted(inside)


def test_few_arguments_are_annotated_as_anything():
    given = [
        (name_of(path), ast.unparse(argument.annotation))
        for path in FILES
        for function in functions(path)
        for argument in ast.walk(function.args)
        if isinstance(argument, ast.arg) and argument.annotation is not None
    ]
    loose = [where for where, kind in given if kind == "Any"]
    assert len(loose) <= 0.05 * len(given), f"{len(loose)} of {len(given)}"


def test_a_docstring_says_more_than_four_words():
    short = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                doc = ast.get_docstring(node)
                if doc is not None and len(doc.split()) <= 4:
                    short.append(f"{name_of(path)}: {node.name}: {doc}")
    assert short == [], "rewrite it so that it says something, or remove it"


def test_public_names_are_those_of_the_stored_list():
    """A name may be added to the list; taking one away breaks pages, exercises and users."""
    stored = json.loads((ROOT / "tests" / "reference" / "public_names.json").read_text(encoding="utf-8"))
    assert sorted(precsim.__all__) == stored


def test_tests_mirror_the_packages():
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    other = {ROOT / "tests", ROOT / "tests" / "book", ROOT / "tests" / "bench"}
    there = {PACKAGE / folder.relative_to(ROOT / "tests") for folder in folders - other}
    assert [name_of(folder) for folder in there if not folder.is_dir()] == []
    assert {folder.relative_to(PACKAGE).parts[0] for folder in there} == set(PACKAGES)


# -- contracts -------------------------------------------------------------------------------------------------------

BREAKS = {  # contract → file that gets an import which breaks it
    "floors": ("laws/setting.py", "from precsim.planning import plans"),
    "numerics": ("numerics/grid.py", "from precsim.numerics import rounding"),
    "training": ("training/program.py", "from precsim.training import sweeps"),
    "fitting": ("fitting/observations.py", "from precsim.fitting import fits"),
    "acyclic": ("view/numbers/sums.py", "from precsim.view import book\nfrom precsim.view.laws import contours"),
    "tables": ("evidence/rows.py", "import jax"),
    "views": ("view/theme.py", "import pandas"),
    "sphinx": ("view/theme.py", "import docutils"),
    "kernels": ("cli/printing.py", "from precsim.numerics.kernels import loops"),
}
ALSO = {"acyclic": ("view/laws/contours.py", "from precsim.view.numbers import sums")}  # a circle takes two


def contracts() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return [line.split('"')[1] for line in text.splitlines() if line.startswith("id = ")]


def test_every_contract_has_an_import_that_breaks_it():
    assert contracts() == list(BREAKS)


def lint(folder: Path, contract: str) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).parent / "lint-imports", "--contract", contract, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder)})


@pytest.mark.slow
@pytest.mark.parametrize("contract", BREAKS)
def test_a_contract_is_kept_and_can_be_broken(contract, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "precsim", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copytree(PACKAGE / "data", tmp_path / "precsim" / "data", ignore=lambda _, names: _no_python(names))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    whole = lint(tmp_path, contract)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for where, statement in filter(None, (BREAKS[contract], ALSO.get(contract))):
        file = tmp_path / "precsim" / where
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("annotations\n", f"annotations\n{statement}\n", 1), encoding="utf-8")
        assert file.read_text(encoding="utf-8") != text
    broken = lint(tmp_path, contract)
    assert broken.returncode != 0, broken.stdout
    assert "BROKEN" in broken.stdout


def _no_python(names: list[str]) -> list[str]:
    return [name for name in names if "." in name and not name.endswith(".py")]
