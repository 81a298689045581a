"""Whether a sandbox holds: a guest inside tries to get out as a student's code could, and says how far it came."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import closing
from pathlib import Path

from precsim.course.grading.channel import Guest, GuestFailure, Limits
from precsim.course.grading.edition import write_edition
from precsim.course.grading.sandbox import KINDS, NoSandboxError, Place, Sandbox, Unsafe

_TRIES = """
import os, socket, sys

def tries(secret, port, outside, host_pid):
    def works(attempt):
        try:
            return bool(attempt())
        except BaseException:
            return False
    def connects():
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    def writes():
        open(outside, "w").close()
        return True
    def kills():
        os.kill(host_pid, 0)
        return True
    def imports():
        from precsim.course import ps1
        return hasattr(ps1.DECODE, "truth")
    def lacks():
        try:
            from precsim.course import ps1
        except ImportError:
            return True
    def eats():
        return len(bytearray(3 << 30))
    def forks():
        children, pid = [], 1
        try:
            for _ in range(60):
                pid = os.fork()
                if pid == 0:
                    import time
                    time.sleep(5)
                    os._exit(0)
                children.append(pid)
        finally:
            for child in children:
                os.kill(child, 9)
                os.waitpid(child, 0)
        return True
    return {
        "read a file of the class": works(lambda: open(secret).read()),
        "reach the network of this machine": works(connects),
        "write outside": works(writes),
        "reach other processes": works(kills),
        "read the truths": works(imports),
        "not import precsim, so that no notebook would run": works(lacks),
        "use 3 GiB": works(eats),
        "start 60 processes": works(forks),
        "act as root": os.geteuid() == 0 and works(lambda: open("/etc/shadow")),
    }
"""


def leaks(sandbox: Sandbox) -> list[str]:
    """What a guest in this sandbox can do that it must not; empty if it holds.

    Raises
    ------
    NoSandboxError
        No guest can be started in it.
    """
    with tempfile.TemporaryDirectory() as folder, closing(socket.create_server(("127.0.0.1", 0))) as server:
        where = Path(folder)
        (where / "key.json").write_text("secret", encoding="utf-8")
        where.chmod(0o755)
        (where / "open").mkdir()
        (where / "open").chmod(0o777)
        edition = write_edition(where / "edition")
        args = [str(where / "key.json"), server.getsockname()[1], str(where / "open" / "out"), os.getpid()]
        limits = Limits(call=20.0)
        try:
            with Guest(sandbox.command(Place(edition)), limits, deadline=float("inf")) as guest:
                guest.send({"cells": [_TRIES], "skip": [], "edition": None if sandbox.overlays else str(edition)})
                for _ in range(4):  # hello, the cell twice, ready
                    guest.receive(limits.start)
                guest.send({"fork": True})
                guest.receive(limits.call)
                guest.send({"id": 1, "name": "tries", "args": args})
                said = guest.receive(limits.call).get("value")
        except GuestFailure as failure:
            raise NoSandboxError(f"{sandbox.name} does not start a guest: {failure}") from None
        if not isinstance(said, dict):
            raise NoSandboxError(f"the probe in {sandbox.name} ended without a result")
        return sorted(what for what, worked in said.items() if worked)


def trusted(*, unsafe: bool = False) -> Sandbox:
    """Return the first sandbox that holds on this machine.

    Parameters
    ----------
    unsafe : bool
        Take none; it is written into every record.

    Raises
    ------
    NoSandboxError
        None holds; the message says what was tried.
    """
    if unsafe:
        return Unsafe()
    tried = []
    for sandbox in KINDS:
        try:
            found = leaks(sandbox)
        except NoSandboxError as failure:
            tried.append(str(failure))
            continue
        if not found:
            return sandbox
        tried.append(f"in {sandbox.name} a guest can {', '.join(found)}")
    raise NoSandboxError(
        f"no sandbox holds here: {'; '.join(tried)}. On Debian or Ubuntu: apt install bubblewrap. "
        "On Ubuntu 24.04 bwrap needs an AppArmor profile (bwrap-userns-restrict). For your own notebooks only: --unsafe"
    )
