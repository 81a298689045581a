"""Where a student's code runs: bubblewrap, else nowhere unless the instructor says so.

A sandbox is a value with a name and a `command`: the command line that starts the guest in it. To add one (a container,
Landlock, macOS' seatbelt) write such a class and list it in `KINDS`; `probe.trusted` decides by trying, not by the
platform's name.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MIB = 1 << 20
#: Where a guest finds itself, whatever machine it is on.
GUEST = Path(__file__).with_name("guest.py")
#: Where it finds loops that were compiled before, if there are any; it copies them, for numba wants to write there.
WARM = Path("/guest/numba")
#: User ids that a guest of root gets, one for each that runs at the same time; no account has them.
FIRST_UID = 61_001


class NoSandboxError(OSError):
    """Nothing on this machine can hold a student's code, or what is there failed its probe."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a guest may read.

    Parameters
    ----------
    edition : Path
        A folder whose ``course`` takes the place of `precsim.course`: the student edition.
    slot : int
        Number of the guest among those that run at the same time.
    python, package : Path
        The interpreter that runs the notebooks, and the folder of the package precsim.
    """

    edition: Path
    slot: int = 0
    python: Path = Path(sys.executable)
    package: Path = Path(__file__).parents[2]

    @property
    def readable(self) -> tuple[Path, ...]:
        """Folders of the interpreter and its libraries, outer ones first."""
        prefixes = {Path(sys.base_prefix).resolve(), Path(sys.prefix), self.package}
        return tuple(sorted(prefixes, key=lambda path: len(path.parts)))


class Sandbox(Protocol):
    """A way to hold a guest."""

    @property
    def name(self) -> str:
        """The word by which records call it."""
        ...

    @property
    def overlays(self) -> bool:
        """Whether the student edition lies over the package's own folder; else the guest is told where it is."""
        ...

    def command(self, place: Place) -> list[str]:
        """The command line that starts a guest."""
        ...


def environment(home: str, place: Place) -> dict[str, str]:
    """The only environment variables that a guest has."""
    alone = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        "HOME": f"{home}/home",
        "PATH": f"{place.python.parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": home,
        "PYTHONPATH": str(place.package.parent),  # this precsim, also where the interpreter would find another
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": f"{home}/numba",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": f"{home}/mpl",
        "IPYTHONDIR": f"{home}/ipython",
        **dict.fromkeys(alone, "1"),
    }


def limited() -> list[str]:
    """The command that limits one process: 2 GiB, 48 processes of the user, 2 minutes, 16 MiB a file."""
    limits = {"as": 2048 * MIB, "nproc": 48, "cpu": 120, "fsize": 16 * MIB, "core": 0, "nofile": 256, "memlock": 65536}
    return [program("prlimit"), *(f"--{name}={value}" for name, value in limits.items())]


def dropped(slot: int) -> list[str]:
    """The command by which root becomes a user without an account and without any right."""
    uid = FIRST_UID + slot
    user = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    return [program("setpriv"), *user, "--inh-caps=-all", "--bounding-set=-all"]


def program(name: str) -> str:
    """Return the path of a program.

    Raises
    ------
    NoSandboxError
        It is not installed.
    """
    found = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")
    if found is None:
        raise NoSandboxError(f"the program {name} is not installed")
    return found


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Name spaces of its own for everything: no network, no other process, no file but those of Python."""

    name: str = "bubblewrap"
    overlays: bool = True

    def command(self, place: Place) -> list[str]:
        """The command line that starts a guest, as root or as a user."""
        root = os.geteuid() == 0
        spaces = ["ipc", "pid", "net", "uts", "cgroup-try", *(() if root else ("user",))]
        words = [program("bwrap"), *(f"--unshare-{space}" for space in spaces)]
        words += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv", "--cap-drop", "ALL"]
        if root:  # the rights to become another user, which are lost on the way
            words += [word for right in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{right}")]
        else:
            words += ["--disable-userns"]
        words += [*_system(), "--perms", "1777", "--size", str(64 * MIB), "--tmpfs", "/tmp"]
        made = {Path("/"), Path("/usr"), Path("/tmp")}
        for path in place.readable:
            words += [*_folders(path, made), "--ro-bind", str(path), str(path)]
        words += ["--ro-bind", str(place.edition / "course"), str(place.package / "course")]
        words += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(MIB), "--tmpfs", "/dev/shm"]
        words += ["--remount-ro", "/dev", "--perms", "0755", "--dir", "/guest"]
        words += ["--ro-bind", str(GUEST), "/guest/guest.py"]
        words += ["--ro-bind-try", str(place.edition / "numba"), str(WARM)]
        for name, value in environment("/tmp", place).items():
            words += ["--setenv", name, value]
        words += ["--remount-ro", "/", "--chdir", "/tmp", "--", *limited(), *(dropped(place.slot) if root else ())]
        return [*words, str(place.python), "-P", "/guest/guest.py"]


def _system() -> list[str]:
    """The system's own folders: programs and libraries, nothing that a person wrote."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib32", "lib64", "bin", "sbin"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in ("/etc/ld.so.cache", "/etc/fonts"):
        words += ["--ro-bind-try", name, name]
    return words


def _folders(path: Path, made: set[Path]) -> list[str]:
    """Make the folders above a mount, readable; bubblewrap alone would make them for root only."""
    words = []
    for parent in reversed(path.parents):
        if parent not in made:
            words += ["--perms", "0755", "--dir", str(parent)]
    made |= {path, *path.parents}
    return words


@dataclass(frozen=True, slots=True)
class Unsafe:
    """No sandbox: a student's code can do what the instructor can. For one's own notebooks only."""

    name: str = "none"
    overlays: bool = False

    def command(self, place: Place) -> list[str]:
        """The command line that starts a guest without any limit but those of a process."""
        variables = [f"{name}={value}" for name, value in environment("/tmp", place).items()]
        return [program("env"), "-i", *variables, *limited(), str(place.python), "-P", str(GUEST)]


#: In the order in which they are tried.
KINDS: tuple[Sandbox, ...] = (Bubblewrap(),)
