"""The sandbox of this machine: none may be a reason to skip, one that leaks never is."""

from __future__ import annotations

import pytest

from precsim.course.grading.probe import trusted
from precsim.course.grading.sandbox import NoSandboxError, Sandbox


def sandbox_here(*, required: bool) -> Sandbox:
    """The first sandbox that holds; skips where there is none and none is required."""
    try:
        return trusted()
    except NoSandboxError as failure:
        if required or "a guest can" in str(failure):
            raise
        return pytest.skip(f"{failure} (PRECSIM_REQUIRE_SANDBOX=1 makes this a failure)")
