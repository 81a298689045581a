"""Values as JSON that names them for good, and back: what the key of a job is the hash of.

A value is written as the name of its class and the fields that are not at their default, never as a path, so that
modules may move and fields with a default may be added; a class or a field that is renamed changes every key. Where
what is usual has changed, a field says what a description without it still means (`precsim.equality.unwritten`).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from precsim.equality import UNWRITTEN

Json = dict | list | str | float | int | bool | None


def described(value: object) -> Json:
    """A value as JSON: dataclasses by name with the fields that are not at their default.

    Raises
    ------
    ValueError
        If a value is of another kind.
    """
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if dataclasses.is_dataclass(value):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        silent = {f.name: _meant(f) for f in dataclasses.fields(value)}
        kept = {name: described(v) for name, v in named.items() if v != silent[name]}
        return {"is": type(value).__name__, **kept}
    if isinstance(value, tuple):
        return [_element(_Same(v)) for v in value]
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    raise ValueError(f"{value!r} cannot be part of a job's key")


def _meant(f: dataclasses.Field) -> object:
    """What a description that leaves a field out means: its default, unless the field says otherwise."""
    return f.metadata.get(UNWRITTEN, f.default)


def restored(value: Json, classes: Mapping[str, type]) -> object:
    """The value that `described` has written; lists become tuples.

    Parameters
    ----------
    value : JSON
    classes : mapping from name to type
        The dataclasses and enums that may occur (`classes_of`).

    Raises
    ------
    KeyError
        If a class, or a member of an enum, does not exist.
    TypeError
        If a class has no such field.
    """
    if isinstance(value, list):
        return tuple(restored(item, classes) for item in value)
    if isinstance(value, dict):
        cls: Any = classes[value["is"]]
        later = {f.name: f.metadata[UNWRITTEN] for f in dataclasses.fields(cls) if UNWRITTEN in f.metadata}
        return cls(**later | {name: restored(v, classes) for name, v in value.items() if name != "is"})
    if isinstance(value, str):
        kind, dot, member = value.partition(".")
        if dot and issubclass(cls := classes.get(kind, object), enum.Enum):
            return cls[member]
    return value


def classes_of(*modules: ModuleType) -> dict[str, type]:
    """The dataclasses and enums of this package that are named in the modules, by their names."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__.startswith("precsim.")
        if dataclasses.is_dataclass(value) or issubclass(value, enum.Enum)
    }


class _Same:
    """A value that equals itself alone: 1 == 1.0, but they are written differently."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@functools.lru_cache(maxsize=1024)
def _element(same: _Same) -> Json:
    """An element of a tuple, described once: the jobs of a grid share theirs."""
    return described(same.value)
