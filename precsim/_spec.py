"""Values as JSON that names them for good: what the key of a job is the hash of."""

from __future__ import annotations

import dataclasses
import enum
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
        return [described(v) for v in value]
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    raise ValueError(f"{value!r} cannot be part of a job's key")
