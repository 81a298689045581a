"""The judge's data for one problem set, ``key/psN.json``: inputs, truths, tolerance, points by named groups, hints."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

VERSION = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One call: its inputs as JSON with tags, the truth, and what each known mistake gives (None: nothing)."""

    args: list[Any]
    truth: Any
    mistakes: list[Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs that belong together under a name that a student may see; its points are given whole or not at all."""

    name: str
    points: int
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class KeyExercise:
    """A function that is called by name, and what it is worth.

    Parameters
    ----------
    name : str
        Of the function.
    tolerance : float
        Relative difference that counts as equal.
    hints : tuple of str
        For each known mistake what the student is told.
    groups : tuple of Group
        All inputs.
    """

    name: str
    tolerance: float
    hints: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def points(self) -> int:
        """The most that it gives."""
        return sum(group.points for group in self.groups)

    def cell(self, role: str) -> str:
        """Name of its cell in the notebook: role ``answer`` or ``check``."""
        return f"{self.name}-{role}".replace("_", "-")


@dataclass(frozen=True, slots=True)
class Key:
    """Everything the judge knows about one problem set."""

    name: str
    exercises: tuple[KeyExercise, ...]

    @property
    def points(self) -> int:
        """The most that the set gives."""
        return sum(exercise.points for exercise in self.exercises)

    def text(self) -> str:
        """The key as a file: one case a line, so that a change can be read."""
        exercises = []
        for exercise in self.exercises:
            groups = []
            for group in exercise.groups:
                cases = ",\n    ".join(json.dumps(asdict(case), ensure_ascii=False) for case in group.cases)
                head = json.dumps({"name": group.name, "points": group.points}, ensure_ascii=False)
                groups.append(f'   {head[:-1]}, "cases": [\n    {cases}]}}')
            head = {"name": exercise.name, "tolerance": exercise.tolerance, "hints": exercise.hints}
            exercises.append(
                f'  {json.dumps(head, ensure_ascii=False)[:-1]}, "groups": [\n' + ",\n".join(groups) + "]}"
            )
        return (
            f'{{"version": {VERSION}, "set": {json.dumps(self.name)}, "exercises": [\n' + ",\n".join(exercises) + "]}\n"
        )

    def digest(self) -> str:
        """Short name of these contents, which every record of a grade carries."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]


def read_key(path: Path) -> Key:
    """Read a key.

    Raises
    ------
    ValueError
        The file is no key of this version, or a group has no points or no case.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}, this precsim reads {VERSION}")
        exercises = tuple(
            KeyExercise(
                e["name"],
                e["tolerance"],
                tuple(e["hints"]),
                tuple(Group(g["name"], g["points"], tuple(Case(**case) for case in g["cases"])) for g in e["groups"]),
            )
            for e in data["exercises"]
        )
        key = Key(data["set"], exercises)
    except (KeyError, TypeError, ValueError) as failure:
        raise ValueError(f"{path} is no key: {failure}; make it again with precsim course init") from failure
    for exercise in exercises:
        for group in exercise.groups:
            if group.points <= 0 or not group.cases:
                raise ValueError(f"{path}: group {group.name!r} of {exercise.name} has no points or no inputs")
    return key
