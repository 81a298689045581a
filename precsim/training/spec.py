"""Values as JSON that names them for good: what the key of a job is the hash of."""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Any


def described(value: Any) -> Any:
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
        defaults = {f.name: f.default for f in dataclasses.fields(value)}
        kept = {name: described(v) for name, v in named.items() if v != defaults[name]}
        return {"is": type(value).__name__, **kept}
    if isinstance(value, tuple):
        return [_element(_Same(v)) for v in value]
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    raise ValueError(f"{value!r} cannot be part of a job's key")


class _Same:
    """A value that equals itself alone: 1 == 1.0, but they are written differently."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@functools.lru_cache(maxsize=1024)
def _element(same: _Same) -> Any:
    """An element of a tuple, described once: the jobs of a grid share theirs."""
    return described(same.value)
