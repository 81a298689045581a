"""Names that load their module on first use, so that importing a package loads nothing that is not asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The ``__getattr__``, ``__dir__`` and ``__all__`` of a package (PEP 562).

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    homes : mapping of str to str
        Module below the package → the names in it, separated by blanks. A name ``.`` is the module itself; ``.other``
        is the module under another name.

    Examples
    --------
    >>> homes = {"numerics.formats": "Format .", "training.optimizers": ".schedules"}
    >>> load, listed, everything = names("precsim", homes)
    >>> everything, load("Format").__name__, load("schedules").__name__
    (['Format', 'formats', 'schedules'], 'Format', 'precsim.training.optimizers')
    """
    where: dict[str, tuple[str, str | None]] = {}
    for module, words in homes.items():
        for word in words.split():
            attribute = None if word.startswith(".") else word
            where[word.removeprefix(".") or module.rpartition(".")[2]] = (module, attribute)
    everything = sorted(where)

    def load(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = where[name]
        found = importlib.import_module(f"{package}.{module}")
        return found if attribute is None else getattr(found, attribute)

    return load, lambda: everything, everything
