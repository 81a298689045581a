"""Files that appear whole or not at all: written beside their place, then moved there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["draft_of", "write"]


@contextlib.contextmanager
def draft_of(path: str | Path) -> Iterator[Path]:
    """A place beside `path` to write to; what is there at the end of the block takes the place of `path`.

    If the block fails, or the process is killed, `path` is as it was. A link is followed; what is no regular file
    (a pipe, a terminal) is written to and not replaced.

    Parameters
    ----------
    path : path
        Its folder must exist.

    Yields
    ------
    Path
        A path of the same name in a folder of its own; nothing is there yet.

    Raises
    ------
    OSError
        If the folder cannot be written to, or the disk is full.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with draft_of(Path(folder) / "law.json") as draft:
    ...         _ = draft.write_text("{}")
    ...         seen = (Path(folder) / "law.json").exists()
    ...     seen, (Path(folder) / "law.json").read_text()
    (False, '{}')
    """
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(f"{path} is a folder, so no file can be written there")
    special = place.exists() and not place.is_file()
    with tempfile.TemporaryDirectory(dir=None if special else place.parent, prefix=".precsim-") as folder:
        draft = Path(folder) / place.name
        yield draft
        if special:
            with open(draft, "rb") as source, open(place, "wb") as target:
                shutil.copyfileobj(source, target)
            return
        if place.exists():
            shutil.copymode(place, draft)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())  # else a loss of power may leave the new name with nothing in it
        os.replace(draft, place)


def write(path: str | Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all (see `draft_of`).

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "law.json", "{}")
    ...     os.listdir(folder)
    ['law.json']
    """
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")
