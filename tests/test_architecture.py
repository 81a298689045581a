"""Rules of the whole project that a machine can check: imports, sizes, documentation, environment, pages."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import statistics
import subprocess
import sys
import tomllib
from enum import Enum
from pathlib import Path

import pytest
from support.places import ROOT

import precsim

PACKAGE = sorted((ROOT / "precsim").rglob("*.py"))
PAGES = sorted(p for p in (ROOT / "book").rglob("*.md") if p.name != "api.md")
HEAVY = ("jax", "sympy", "altair", "pandas", "numba", "scipy")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def loaded_after(statement: str) -> set[str]:
    """Heavy modules in memory after a statement in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


# -- import --------------------------------------------------------------------------------------------------------


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import precsim") == set()


def test_the_import_test_can_fail():
    assert "altair" in loaded_after("import precsim; precsim.view")
    assert "pandas" in loaded_after("import precsim, pandas")


def test_laws_are_fitted_without_jax():
    assert "jax" not in loaded_after("import precsim as ps; ps.fit, ps.laws, ps.runs, ps.bootstrap, ps.symbolic")


def test_importing_the_package_costs_little_more_than_numpy():
    """Half a second of CPU, as the median of alternating fresh interpreters, so that a busy machine does not matter."""
    code = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"

    def seconds(modules: str) -> float:
        out = subprocess.run([sys.executable, "-c", code.format(modules)], capture_output=True, check=True, cwd=ROOT)
        return float(out.stdout)

    pairs = [(seconds("numpy"), seconds("numpy, precsim")) for _ in range(5)]
    assert statistics.median(both - alone for alone, both in pairs) <= 0.5


def test_a_function_does_not_hide_behind_a_module_of_its_name():
    """After the first use ``ps.name`` must still be what it was."""
    for name in precsim.__all__:
        first = getattr(precsim, name)
        if not inspect.ismodule(first) and not name.startswith("__"):
            assert importlib.util.find_spec(f"precsim.{name}") is None, name
        assert getattr(precsim, name) is first


# -- the shape of the package ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_a_module_is_named_after_its_idea_and_fits_in_the_head(path):
    assert path.stem.strip("_") not in {"utils", "util", "common", "helpers", "helper", "misc", "tools"}
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, "split it by idea"


HOMES = {
    "numba": {"numerics"},
    "jax": {"numerics", "models", "training", "evidence"},
    "scipy": {"laws", "fitting", "planning", "evidence", "symbolic", "course"},
    "sympy": {"symbolic"},
    "altair": {"view"},
    "anywidget": {"view"},
    "docutils": {"view"},
    "distributed": {"training"},
    "nbformat": {"course"},
    "nbgrader": {"course"},
    "jupytext": {"course"},
    "pooch": {"data"},
    "matplotlib": set(),
    "requests": set(),
    "urllib": set(),
    "socket": {"course"},  # the grader's probe: a server that nobody in the sandbox may reach
}


def imports(tree: ast.AST) -> set[str]:
    """Top-level names of all modules imported anywhere in a file."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_a_library_is_imported_only_where_it_belongs(path):
    home = path.relative_to(ROOT / "precsim").parts[0].removesuffix(".py")
    foreign = {name for name in imports(ast.parse(path.read_text(encoding="utf-8"))) if name in HOMES}
    assert {name for name in foreign if home not in HOMES[name]} == set()


FORBIDDEN_CALLS = {
    "warnings.warn": "return a status instead",
    "np.random.seed": "take a generator",
    "os.environ.setdefault": "no global configuration",
    "jax.config.update('jax_enable_x64', True)": "the notebook sets the width of JAX's numbers",
}


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_the_package_has_no_global_effects(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = {ast.unparse(node.func) for node in nodes} | {ast.unparse(node) for node in nodes}
    assert {call: FORBIDDEN_CALLS[call] for call in calls & set(FORBIDDEN_CALLS)} == {}


# -- documentation ---------------------------------------------------------------------------------------------------


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"book_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PUBLIC = [name for name in precsim.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", [n for n in PUBLIC if not inspect.ismodule(getattr(precsim, n))])
def test_a_public_function_or_class_has_an_example_that_runs(name):
    value = getattr(precsim, name)
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    if inspect.isclass(value) and issubclass(value, Enum | Exception):
        return  # their members and causes are documented; the functions that take or raise them have examples
    assert ">>>" in (inspect.getdoc(value) or ""), f"ps.{name} has no example; `make test-all` runs them"


@pytest.mark.slow
def test_every_public_name_is_on_the_api_page():
    text = load(ROOT / "book" / "api.py").page()
    absent = [n for n in PUBLIC if f"`ps.{n}`" not in text and not inspect.ismodule(getattr(precsim, n))]
    assert absent == []
    assert all(f"## `ps.{n}`" in text for n in PUBLIC if inspect.ismodule(getattr(precsim, n)))


def test_every_source_that_is_cited_is_in_the_bibliography():
    keys = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(encoding="utf-8"), re.MULTILINE))
    cited = set()
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                doc = ast.get_docstring(node) or ""
                cited |= {(key, name_of(path)) for key in re.findall(r"\b[a-z]{3,}(?:19|20)\d\d[a-z]*\b", doc)}
    for path in PAGES:
        for keys_of_role in re.findall(r"\{cite[^}]*\}`([^`]+)`", path.read_text(encoding="utf-8")):
            cited |= {(key.strip(), name_of(path)) for key in keys_of_role.split(",")}
    assert cited, "the pattern finds nothing"
    assert {(key, where) for key, where in cited if key not in keys} == set()


def cells(page: Path) -> list[str]:
    """Code cells of a page, without their options."""
    found = re.findall(
        r"^```\{code-cell\}[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return ["\n".join(line for line in cell.splitlines() if not line.startswith(":")) for cell in found]


def faults(cell: str) -> list[str]:
    """What a cell of the book must not have."""
    found = []
    if any(len(line) > 120 for line in cell.splitlines()):
        found.append("a line over 120 characters")
    for node in ast.walk(ast.parse(re.sub(r"(?m)^%.*$", "", cell))):
        if isinstance(node, ast.ClassDef):
            found.append("a class")
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 5:
            found.append("a function over 5 lines")
        if isinstance(node, ast.List | ast.Tuple | ast.Set) and len(node.elts) > 12:
            if all(isinstance(element, ast.Constant) for element in node.elts):
                found.append("pasted numbers")
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            found.append("a star import")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_cells_of_a_page_call_and_do_not_implement(page):
    assert {cell: found for cell in cells(page) if (found := faults(cell))} == {}


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("class A: pass", "a class"),
        ("x = " + "1 + " * 40 + "1", "a line over 120 characters"),
        ("def f(x):\n" + "    x += 1\n" * 5, "a function over 5 lines"),
        (f"x = {list(range(13))}", "pasted numbers"),
        ("from numpy import *", "a star import"),
    ],
)
def test_the_rules_for_cells_can_fail(cell, fault):
    assert faults(cell) == [fault]


def unused_imports(some: list[str]) -> set[str]:
    """Names that cells import and none of them uses; an import for its effect alone has no name here."""
    trees = [ast.parse(re.sub(r"(?m)^%.*$", "", cell)) for cell in some]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    brought = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    return {alias.asname or alias.name.partition(".")[0] for alias in brought} - used


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_imports_what_it_uses(page):
    assert unused_imports(cells(page)) == set()


def test_unused_imports_are_found():
    assert unused_imports(["import numpy as np\nfrom a import b, c", "b(1)"]) == {"np", "c"}


def test_every_page_is_in_the_table_of_contents():
    text = (ROOT / "book/_toc.yml").read_text(encoding="utf-8")
    listed = {*re.findall(r"file: (\S+)", text), *re.findall(r"root: (\S+)", text)}
    there = {page.relative_to(ROOT / "book").with_suffix("").as_posix() for page in PAGES}
    assert there <= listed
    assert {name for name in listed if name != "appendix/api"} <= there


# -- environment -----------------------------------------------------------------------------------------------------


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def split(requirement: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?(.*)", requirement.replace(" ", "")).groups()
    return re.sub(r"[-_.]+", "-", name).lower(), bound


def wanted(*extras: str) -> dict[str, str]:
    """Name and bound of what the package needs with some extras, its own name left out."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    found = dict(split(item) for items in lists for item in items)
    found.pop("precsim", None)
    return found


def test_environment_yml_agrees_with_pyproject():
    import yaml

    file = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert file["name"] == "precsim"
    assert file["channels"] == ["conda-forge", "nodefaults"]
    *conda, last = file["dependencies"]
    assert last["pip"][-1] == "-e ."
    listed = dict(split(item) for item in [*conda, *last["pip"][:-1]])
    python = listed.pop("python")
    listed.pop("pip")
    listed.pop("hatchling")  # builds the package
    assert re.fullmatch(r"=3\.1[1-3]", python), "one minor version, of those that are tested"
    conda_names = {"dask": "dask", "jax": "jax"}
    needed = wanted("widgets", "book", "course", "cluster")
    assert {conda_names.get(n, n): b for n, b in needed.items()} == listed


#: Libraries that no `import` of ours names: where the text stands without which they would not be needed.
NAMED_ELSEWHERE = {
    "basedpyright": ("Makefile", "$(BIN)/basedpyright"),
    "dask": ("precsim/training/executors.py", "distributed"),
    "django-static-mathjax": ("book/build.py", 'files("mathjax")'),
    "hatchling": ("pyproject.toml", 'build-backend = "hatchling.build"'),
    "import-linter": ("Makefile", "$(BIN)/lint-imports"),
    "ipykernel": ("precsim/course/notebooks.py", "ipykernel"),
    "jupyter-book": ("book/build.py", '"jupyter-book", "build"'),
    "jupyterlab": ("precsim/course/__main__.py", '"jupyter", "lab"'),
    "jupyterlab-myst": ("precsim/course/__main__.py", '"myst"'),
    "pre-commit": (".pre-commit-config.yaml", "repos:"),
    "pyarrow": ("precsim/data/conversion.py", "read_parquet"),
    "pytest-benchmark": ("Makefile", "pytest tests/bench"),
    "pytest-xdist": ("Makefile", "--dist worksteal"),
    "ruff": ("Makefile", "$(BIN)/ruff"),
    "sphinx-book-theme": ("_config.yml", "sphinx_book_theme"),
    "sphinx-exercise": ("_config.yml", "sphinx_exercise"),
    "sphinxcontrib-bibtex": ("_config.yml", "sphinxcontrib.bibtex"),
    "uv": ("Makefile", "$(BIN)/uv"),
}
IMPORTED_AS = {"vl-convert-python": "vl_convert"}


def without_use(names: set[str], imported: set[str]) -> set[str]:
    """Declared libraries that are neither imported nor named where `NAMED_ELSEWHERE` says."""
    seen = {name for name in names if IMPORTED_AS.get(name, name.replace("-", "_")) in imported}
    seen |= {
        name for name, (file, words) in NAMED_ELSEWHERE.items() if words in (ROOT / file).read_text(encoding="utf-8")
    }
    return names - seen


def test_no_dependency_is_declared_without_a_use():
    package = {name for path in PACKAGE for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
    assert without_use(set(wanted()) | set(wanted("widgets")), package) == set()
    others = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "book").rglob("*.py")]
    everywhere = package | {name for path in others for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
    everywhere |= {name for page in PAGES for cell in cells(page) for name in re.findall(r"(?m)^from (\w+)", cell)}
    declared = wanted("widgets", "book", "course", "cluster", "dev")
    assert without_use(set(declared), everywhere) == set()
    assert without_use({"numpy", "tensorflow"}, everywhere) == {"tensorflow"}
    assert without_use({"scipy"}, set()) == {"scipy"}
    assert set(NAMED_ELSEWHERE) <= set(declared), "an entry that excuses nothing"


def test_the_lock_names_no_index_and_pins_every_dependency():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    pinned = {split(line.split("==")[0])[0] for line in lock.splitlines() if "==" in line}
    assert set(wanted("widgets", "book", "course", "cluster", "dev")) <= pinned
    assert lock.count("--hash=sha256:") > len(pinned)


def test_only_targets_of_the_makefile_are_named():
    """Commands that README, CONTRIBUTING, the CI script and the pages tell a reader to run exist."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / ".ci/run", ROOT / "exercises/README.md", *PAGES]:
        for command in re.findall(r"[`\s](?:exec )?make ((?:[a-z-]+ ?)+)[`\n]", path.read_text(encoding="utf-8")):
            if path.suffix != ".md" or f"`make {command}`" in path.read_text(encoding="utf-8"):
                assert set(command.split()) <= targets, f"{path.name}: make {command}"


def test_the_licence_covers_code_and_text():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "MIT License" in text
    assert "THE SOFTWARE IS PROVIDED" in text
    assert "creativecommons.org/licenses/by/4.0" in text


def test_the_citation_file_and_the_changelog_know_the_version():
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == precsim.__version__
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
