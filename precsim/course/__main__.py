"""``python -m precsim.course build | check | lab``: notebooks, their check against the source, JupyterLab."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from precsim.course.notebooks import Edition, dumps, notebook, read

#: nbgrader's own rules for a course folder; hidden tests stay out of what students get back.
_NBGRADER = """c = get_config()
c.CourseDirectory.course_id = "precsim"
c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError'}
c.ExecutePreprocessor.timeout = 120
"""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def student_notebooks(exercises: Path) -> dict[Path, str]:
    """Path and text of every student notebook, as the sources have it."""
    return {
        exercises / f"{source.stem}.ipynb": dumps(notebook(read(source), Edition.STUDENT))
        for source in sorted((exercises / "src").glob("ps*.py"))
    }


def build(exercises: Path, out: Path) -> int:
    """Write the student notebooks, and in `out` the key and nbgrader's course folder with its release."""
    for path, text in student_notebooks(exercises).items():
        path.write_text(text, encoding="utf-8")
        _say(f"{path}: the student's notebook")
    course = out / "nbgrader"
    shutil.rmtree(out, ignore_errors=True)
    for source in sorted((exercises / "src").glob("ps*.py")):
        text = dumps(notebook(read(source), Edition.INSTRUCTOR))
        for target in (out / "key" / f"{source.stem}.ipynb", course / "source" / source.stem / f"{source.stem}.ipynb"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        _say(f"{out / 'key' / source.stem}.ipynb: the answer key, with the hidden tests")
    (course / "nbgrader_config.py").write_text(_NBGRADER, encoding="utf-8")
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "--create", "--force", "--log-level=ERROR"]
    for folder in sorted((course / "source").iterdir()):
        code = subprocess.run([*command, folder.name], cwd=course, env=own_programs(), check=False).returncode
        if code:
            return code
        _say(f"{course / 'release' / folder.name}: the graded release; submissions go to {course / 'submitted'}")
    return 0


def own_programs() -> dict[str, str]:
    """The environment variables with this Python's programs found first: nbgrader calls alembic by its name."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def check(exercises: Path) -> int:
    """Say which student notebooks differ from what their source generates."""
    stale = [
        path
        for path, text in student_notebooks(exercises).items()
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
    parser.add_argument("--out", type=Path, default=Path("dist/course"), help="folder for key and release")
    options = parser.parse_args()
    if not (options.exercises / "src").is_dir():
        parser.error(f"{options.exercises} has no folder src; run this from the project's folder or give --exercises")
    match options.command:
        case "build":
            return build(options.exercises, options.out)
        case "check":
            return check(options.exercises)
    return lab(options.exercises.parent)


if __name__ == "__main__":
    sys.exit(main())
