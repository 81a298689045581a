"""The folder where compiled programs are kept between processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

_SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@contextlib.contextmanager
def cached_in(folder: str | Path | None) -> Iterator[None]:
    """Keep programs compiled inside this block in a folder, and read them from there; None changes nothing."""
    if folder is None:
        yield
        return
    before = [getattr(jax.config, name) for name in _SETTINGS]
    _set(str(Path(folder).absolute()), 0.2)
    try:
        yield
    finally:
        _set(*before)


def _set(folder: str | None, least_seconds: float) -> None:
    for name, value in zip(_SETTINGS, (folder, least_seconds), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX opens its folder once; this makes it look again
