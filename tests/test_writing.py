"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from precsim.writing import draft_of, write


def test_what_fails_halfway_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "law.json"
    path.write_text("old")
    with pytest.raises(LookupError), draft_of(path) as draft:
        {}[draft.write_text("half")]
    with pytest.raises(FileNotFoundError), draft_of(path):
        pass  # nothing was written
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["law.json"]


def test_a_link_is_followed_and_permissions_stay(tmp_path):
    path, link = tmp_path / "law.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_device_is_written_to_and_a_folder_is_refused(tmp_path):
    before = os.stat(os.devnull)
    write(os.devnull, "nothing")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert os.stat(os.devnull).st_ino == before.st_ino
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write(tmp_path, "text")


def test_a_pipe_gets_the_text(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(pipe, "é")
        assert os.read(reader, 10) == "é".encode()
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
