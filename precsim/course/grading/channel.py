"""One guest process and the pipe to it, which is hostile: lines, bytes, time, memory and processes are limited."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class GuestFailure(Exception):
    """The guest broke a limit or the order of the conversation, or is gone; it has been killed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one submission may use.

    Parameters
    ----------
    start, cell, call, whole : float
        Seconds until the guest is there, for one cell, for one call, for one submission.
    line, answers : int
        Bytes of one line, and of all that one guest says.
    memory : int
        Bytes of all processes of one guest.
    processes : int
        How many there may be at once.
    restarts : int
        How often a guest that was killed is started again.
    """

    start: float = 30.0
    cell: float = 20.0
    call: float = 10.0
    whole: float = 180.0
    line: int = 1 << 20
    answers: int = 1 << 22
    memory: int = 3 << 30
    processes: int = 100
    restarts: int = 3


class Guest:
    """A guest that runs; `close` kills it and all that it started.

    Parameters
    ----------
    command : sequence of str
        The sandbox's command line.
    limits : Limits
        What it may use.
    deadline : float
        Moment, on the monotonic clock, after which it is not waited for.
    """

    def __init__(self, command: Sequence[str], limits: Limits, deadline: float) -> None:
        self.limits, self.deadline = limits, deadline
        self._killed = ""
        self._rest, self._said = b"", 0
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the guest, with every process in its sandbox."""
        self._kill("closed")
        self._process.wait()
        self._closed.set()
        self._watch.join()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()  # type: ignore[union-attr]
            except BrokenPipeError:
                pass

    def _kill(self, why: str) -> None:
        self._killed = self._killed or why
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _look(self) -> None:
        """Kill the guest when all its processes together use too much."""
        while not self._closed.wait(0.1):
            there = descendants(self._process.pid)
            if len(there) > self.limits.processes:
                return self._kill(f"more than {self.limits.processes} processes")
            if private_memory(there) > self.limits.memory and shared_fairly(there) > self.limits.memory:
                return self._kill(f"more than {self.limits.memory >> 20} MiB of memory")
        return None

    def _broken(self, why: str) -> GuestFailure:
        why = self._killed or why
        self._kill(why)
        return GuestFailure(why)

    def send(self, message: dict[str, Any]) -> None:
        """Send one request; nothing may have been said before it.

        Raises
        ------
        GuestFailure
            It spoke out of turn, does not read, or is gone.
        """
        if self._rest or select.select([self._from], [], [], 0)[0]:
            raise self._broken("it spoke out of turn" if self._rest or self._more() else "it ended")
        data = json.dumps(message).encode() + b"\n"
        until = min(time.monotonic() + self.limits.call, self.deadline)
        while data:
            if not select.select([], [self._to], [], max(0.0, until - time.monotonic()))[1]:
                raise self._broken("it does not read what it is asked")
            try:
                data = data[os.write(self._to, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._broken("it ended") from None

    def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next message, whatever it says.

        Raises
        ------
        GuestFailure
            There is none in time, or it is no JSON object within the limits.
        """
        until = min(time.monotonic() + seconds, self.deadline)
        while b"\n" not in self._rest:
            if len(self._rest) > self.limits.line:
                raise self._broken("it said a line that is too long")
            if not select.select([self._from], [], [], max(0.0, until - time.monotonic()))[0]:
                raise self._broken(f"it took more than {seconds:g} s")
            if not self._more():
                raise self._broken("it ended")
        line, _, self._rest = self._rest.partition(b"\n")
        if len(line) > self.limits.line:
            raise self._broken("it said a line that is too long")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise self._broken("it said something that is not JSON") from None
        if not isinstance(message, dict):
            raise self._broken("it spoke out of turn")
        return message

    def _more(self) -> bool:
        try:
            data = os.read(self._from, 1 << 16)
        except BlockingIOError:
            return True
        self._rest += data
        self._said += len(data)
        if self._said > self.limits.answers:
            raise self._broken("it said too much")
        return bool(data)

    def out_of_turn(self) -> GuestFailure:
        """Kill the guest because of what it said, and return the failure to raise."""
        return self._broken("it spoke out of turn")


def descendants(root: int) -> list[int]:
    """Process ids of a process and all below it; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, level = [], [root]
    while level:
        found += level
        level = [child for parent in level for child in children.get(parent, ())]
    return found


def private_memory(pids: Sequence[int]) -> int:
    """Bytes that are no file's; what forks share counts once for each of them."""
    pages = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            pages += int(fields[1]) - int(fields[2])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def shared_fairly(pids: Sequence[int]) -> int:
    """Bytes of memory where what n processes share counts 1/n for each; all of it where that cannot be read."""
    kib = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except PermissionError:
            return private_memory(pids)
        except OSError:
            continue
        kib += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kib << 10
