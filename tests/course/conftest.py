"""A class for the tests, and the sandbox of this machine; where there must be one, its absence is a failure."""

from __future__ import annotations

import os
import shutil

import pytest
from support.places import ROOT
from support.sandboxes import sandbox_here

from precsim.course.grading.classroom import Classroom, create


@pytest.fixture(scope="session")
def sandbox():
    return sandbox_here(required=bool(os.environ.get("PRECSIM_REQUIRE_SANDBOX")))


@pytest.fixture(scope="session")
def ps1_only(tmp_path_factory):
    """The instructor's folder with the first set alone."""
    folder = tmp_path_factory.mktemp("exercises")
    (folder / "src").mkdir()
    (folder / "src" / "ps1.py").write_text((ROOT / "exercises/src/ps1.py").read_text())
    return folder


@pytest.fixture(scope="session")
def new_class(tmp_path_factory, ps1_only):
    return create(tmp_path_factory.mktemp("new") / "class", ps1_only, lambda line: None)


@pytest.fixture
def school(tmp_path, new_class):
    """A class of one problem set that is nobody else's."""
    return Classroom(shutil.copytree(new_class.folder, tmp_path / "class"))
