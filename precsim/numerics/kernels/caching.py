"""Compiled loops kept on disk, and compiled again as soon as any file they are made from changes.

numba compares the date of the file that a loop stands in, not of the files it imports. Here the contents of all
kernel files are part of the key, so that an update of `elements` or `words` never runs an old loop.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

__all__ = ["compiled"]


@functools.cache
def _digest() -> str:
    """SHA-256 of the files beside this one."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


class _Cache(FunctionCache):
    """numba's cache of one function, its keys extended by the digest."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple:
        return (*super()._index_key(sig, codegen), _digest())


def compiled(function=None, **options: Any) -> Any:
    """Decorate a loop: compiled without the GIL, kept on disk."""
    if function is None:
        return functools.partial(compiled, **options)
    dispatcher: Any = njit(nogil=True, **options)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher
