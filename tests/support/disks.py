"""Disks that are full, and folders in which nothing may be written."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, *, kilobytes: int = 1024) -> Iterator[Path]:
    """A disk of its own of so many KiB, at a folder that is made; skips where the machine does not allow one."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount on this machine: full and read-only disks are not tried")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here, so full and read-only disks are not tried: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all that is left of a disk."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def seal(disk: Path, *, sealed: bool = True) -> None:
    """Make a disk of `small_disk` read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{'ro' if sealed else 'rw'}", str(disk)], check=True)
