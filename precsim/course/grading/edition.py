"""The student edition of `precsim.course`: what statements give, without truths, inputs, mistakes and solutions.

It is cut out of the instructor's modules: of each ``psN.py`` the public names stay that are no exercises, with what
they need, and an exercise becomes its name. In the sandbox the edition lies in the place of `precsim.course`, so that
``psN.NAME.truth`` does not exist there. It is told from the syntax tree: comments do not survive either.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_CHECKING = '''"""Exercises without what they know: the grader calls the functions itself, outside of this process."""

import sys
from dataclasses import dataclass


class WrongAnswer(AssertionError):
    """Raised by the check that students have at home."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Known to the grader only."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Exercise:
    """A function to be written."""

    name: str


def check(exercise, answer):
    """Say that the answer is judged elsewhere."""
    sys.stdout.write(f"{exercise.name}: judged by the grader\\\\n")
'''.replace("\\\\n", "\\n")


_TRUTHS = """
import copy, importlib, sys
import precsim
precsim.round_to(0.3, precsim.FP4_E2M1)  # statements offer it, and truths are computed in other ways
for exercise in importlib.import_module(f"precsim.course.{sys.argv[1]}").EXERCISES:
    for args in exercise.inputs():
        exercise.truth(*copy.deepcopy(args))
"""


def _is_exercise(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "Exercise"
    )


def _names(node: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def _uses(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def given(source: str, of: str = "") -> str:
    r"""Return the part of a problem set's module that a student may have.

    Parameters
    ----------
    source : str
        The module, with ``__all__``.
    of : str
        Name of the set: its exercises are then checked by what `precsim.course.shown` has of them, as at home; else
        they are names only, as in the sandbox.

    Raises
    ------
    ValueError
        It has no ``__all__``, or something given needs an exercise.

    Examples
    --------
    >>> print(given("__all__ = ['F', 'half']\ndef half(x): return x / 2\nF = Exercise(name='f', truth=half)"))
    from precsim.course.checking import Exercise
    __all__ = ['F', 'half']
    def half(x):
        return x / 2
    F = Exercise(name='f')
    """
    tree = ast.parse(source)
    exercises = {name for node in tree.body if _is_exercise(node) for name in _names(node)}
    listed = next((node for node in tree.body if _names(node) == {"__all__"}), None)
    if not isinstance(listed, ast.Assign):
        raise ValueError("a problem set says in __all__ what it gives to students; this module has none")
    public = set(ast.literal_eval(listed.value)) - {"EXERCISES"}
    needed = public - exercises
    while True:
        more = {name for node in tree.body if _names(node) & needed for name in _uses(node)} | needed
        if more == needed:
            break
        needed = more
    if needed & (exercises | {"EXERCISES"}):
        raise ValueError(f"what is given to students needs {sorted(needed & exercises)}, which knows the truth")
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    lines = [ast.unparse(node) for node in future]
    maker = ("shown", "Shown") if of else ("checking", "Exercise")
    lines += [f"from precsim.course.{maker[0]} import {maker[1]}", f"__all__ = {sorted(public)!r}"]
    for node in tree.body:
        if _is_exercise(node):
            (target,) = _names(node)
            call = node.value  # type: ignore[attr-defined]
            name = next(keyword.value for keyword in call.keywords if keyword.arg == "name")
            lines.append(f"{target} = {maker[1]}({f'{of!r}, ' if of else ''}name={ast.unparse(name)})")
        elif node not in future and node is not listed and _names(node) & needed:
            lines.append(ast.unparse(_only(node, needed)))
    return "\n".join(lines)


def _only(node: ast.stmt, needed: set[str]) -> ast.stmt:
    """An import without the names that nothing given needs."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return node
    kept = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in needed]
    if isinstance(node, ast.Import):
        return ast.Import(kept)
    return ast.ImportFrom(node.module, kept, node.level)


def warm(folder: Path, name: str) -> None:
    """Compile into ``folder/numba`` what the functions of a set need, so that no guest spends its seconds on that.

    A guest cannot keep what it compiles: each would need some seconds again, on a busy machine more than a call may
    take. The truths are called for it, in a process of their own: nothing of a student's runs.
    """
    package = Path(__file__).parents[2]
    cache, mark = folder / "numba", folder / f"{name}.warm"
    newest = max(path.stat().st_mtime_ns for path in package.rglob("*.py"))
    now = f"{sys.version} {package} {newest}"
    if mark.is_file() and mark.read_text(encoding="utf-8") == now:
        return
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(package.parent)}
    cache.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, "-P", "-c", _TRUTHS, name], env=variables, capture_output=True, check=False)
    if done.returncode == 0:
        mark.write_text(now, encoding="utf-8")


def write_edition(folder: Path) -> Path:
    """Write the student edition as ``folder/course`` and return `folder`.

    It is made anew each time, beside the old one, and takes its place in one step.
    """
    course = Path(__file__).parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".course-", dir=folder))
    (made / "checking.py").write_text(_CHECKING, encoding="utf-8")
    for path in course.iterdir():
        if path.name in {"__init__.py", "stored_runs.py"} or path.suffix == ".csv":
            shutil.copyfile(path, made / path.name)
        elif path.match("ps*.py"):
            (made / path.name).write_text(given(path.read_text(encoding="utf-8")), encoding="utf-8")
    made.chmod(0o755)
    old = folder / "course"
    if old.exists():
        old.rename(folder / f"{made.name}-old")
        shutil.rmtree(folder / f"{made.name}-old")
    os.replace(made, old)
    return folder
