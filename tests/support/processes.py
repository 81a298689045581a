"""Processes that a test starts and kills: none outlives a test that fails, for the next test would be blamed for it."""

import contextlib
import os
import signal
import subprocess
import sys


@contextlib.contextmanager
def python(code, **settings):
    """A Python that runs `code`; gone at the end of the block, whatever happened in it."""
    with subprocess.Popen([sys.executable, "-c", code], **settings) as process:
        try:
            yield process
        finally:
            process.kill()


def killed(pid):
    """Kill a process; whether it was still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
