"""``python -m precsim.course build | check | lab``: notebooks, their check against the source, JupyterLab."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from precsim.course.checking import exercises_of
from precsim.course.kit.pages import pages
from precsim.course.notebooks import Edition, dumps, notebook, read
from precsim.course.shown import stored

CHECKS = Path(__file__).parent / "checks"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def student_notebooks(exercises: Path) -> dict[Path, str]:
    """Path and text of every student notebook, as the sources have it."""
    return {
        exercises / f"{source.stem}.ipynb": dumps(notebook(read(source), Edition.STUDENT))
        for source in sorted((exercises / "src").glob("ps*.py"))
    }


def student_checks(exercises: Path) -> dict[Path, str]:
    """Path and text of what a student's copy has of each set's checks, as the instructor's modules have it."""
    names = [source.stem for source in sorted((exercises / "src").glob("ps*.py"))]
    return {CHECKS / f"{name}.json": stored(name, exercises_of(name)) for name in names}


def build(exercises: Path, out: Path, book: Path) -> int:
    """Write student notebooks, their checks, the tables of the book's pages on them, and the answer key in `out`.

    Nothing is removed, and no class is touched.

    Raises
    ------
    ValueError
        `out` holds submissions or grades: a class is made by ``precsim course init``, elsewhere.
    """
    for kept in ("submitted", "graded", "gradebook.db"):
        if (out / kept).exists():
            raise ValueError(f"{out} holds a class ({kept}); give another folder with --out")
    made = student_notebooks(exercises) | student_checks(exercises)
    for path, text in (made | pages(exercises, book) if book.is_dir() else made).items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            _say(f"{path}: made anew")
    (out / "key").mkdir(parents=True, exist_ok=True)
    for source in sorted((exercises / "src").glob("ps*.py")):
        path = out / "key" / f"{source.stem}.ipynb"
        path.write_text(dumps(notebook(read(source), Edition.INSTRUCTOR)), encoding="utf-8")
        _say(f"{path}: the answer key")
    _say("a class to be graded: precsim course init FOLDER")
    return 0


def check(exercises: Path, book: Path) -> int:
    """Say which notebooks and pages differ from what the sources generate."""
    stale = [
        path
        for path, text in (student_notebooks(exercises) | student_checks(exercises) | pages(exercises, book)).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        _say(f"{path} is not what its source generates: run make course")
    return len(stale)


def lab(root: Path) -> int:
    """Open JupyterLab at the exercises; chapters (.md) open as notebooks by a double click."""
    settings = Path(sys.prefix) / "etc" / "jupyter" / "labconfig" / "default_setting_overrides.json"
    viewers = dict.fromkeys(("markdown", "myst"), "Jupytext Notebook")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": viewers}}, indent=2))
    command = [sys.executable, "-m", "jupyter", "lab", "--LabApp.default_url=/lab/tree/exercises/ps1.ipynb"]
    return subprocess.run(command, cwd=root, check=False).returncode


def main() -> int:
    """Run one command from the project's folder."""
    parser = argparse.ArgumentParser(prog="python -m precsim.course", description=__doc__)
    parser.add_argument("command", choices=["build", "check", "lab"])
    parser.add_argument(
        "--exercises", type=Path, default=Path("exercises"), help="folder with src/ (default: exercises)"
    )
    parser.add_argument("--out", type=Path, default=Path("dist/course"), help="folder for the answer key")
    parser.add_argument("--book", type=Path, default=Path("book"), help="folder with the pages (default: book)")
    options = parser.parse_args()
    if not (options.exercises / "src").is_dir():
        parser.error(f"{options.exercises} has no folder src; run this from the project's folder or give --exercises")
    match options.command:
        case "build":
            try:
                return build(options.exercises, options.out, options.book)
            except ValueError as failure:
                parser.error(str(failure))
        case "check":
            return check(options.exercises, options.book)
    return lab(options.exercises.parent)


if __name__ == "__main__":
    sys.exit(main())
