"""The student's wheel: in the place of each problem set's module the part that a student may have.

Run by hatchling when a wheel is built, in an environment that has nothing but hatchling.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StudentWheel(BuildHookInterface):
    """Writes the student's modules and has them packed where the instructor's are left out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable install keeps the instructor's modules."""
        if version == "editable":
            return
        course = Path(self.root) / "precsim" / "course"
        spec = importlib.util.spec_from_file_location("edition", course / "grading" / "edition.py")
        if spec is None or spec.loader is None:
            raise ImportError(f"{course}/grading/edition.py cannot be loaded")
        edition = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(edition)
        self._folder = tempfile.TemporaryDirectory(prefix="student-wheel-")
        for path in sorted(course.glob("ps*.py")):
            if not (course / "checks" / f"{path.stem}.json").is_file():
                raise ValueError(f"{path.name} has no checks for students: make course")
            made = Path(self._folder.name) / path.name
            made.write_text(edition.given(path.read_text(encoding="utf-8"), of=path.stem), encoding="utf-8")
            build_data["force_include"][str(made)] = f"precsim/course/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written."""
        del build_data, artifact_path
        if version != "editable":
            self._folder.cleanup()
