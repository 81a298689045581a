"""Archives of learning platforms: whose a notebook is, and that nothing is written elsewhere or lost."""

from __future__ import annotations

import zipfile

import pytest

from precsim.cli import main

ROSTER = """Student,ID,SIS User ID,SIS Login ID,Section
"Lovelace, Ada",11,a1,ada,One
"Hopper, Bob",12,b1,bob,One
"""
MOODLE = (
    "First name,Surname,Username,Email address\nAda,Lovelace,ada,a@x.org\nSam,Same,sam,s@x.org\nSam,Same,sam2,t@x.org\n"
)


@pytest.fixture
def school_with(school, tmp_path):
    """A class with a roster, and a way to collect what an archive has."""

    def collect(entries: dict[str, bytes], roster: str = ROSTER) -> int:
        (tmp_path / "roster.csv").write_text(roster)
        main(["course", "roster", str(school.folder), str(tmp_path / "roster.csv")])
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
            for name, data in entries.items():
                packed.writestr(name, data)
        return main(["course", "collect", str(school.folder), "ps1", str(tmp_path / "all.zip")])

    return school.folder / "submitted", collect


def files(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_of_canvas(school_with):
    submitted, collect = school_with
    entries = {"lovelaceada_11_900_ps1.ipynb": b"a", "hopperbob_LATE_12_901_ps1-2.ipynb": b"b", "x_11_9_notes.pdf": b""}
    assert collect(entries) == 0
    assert files(submitted) == {"ada/ps1/ps1.ipynb": b"a", "bob/ps1/ps1.ipynb": b"b"}


def test_an_archive_of_moodle_and_a_name_that_two_have(school_with, capsys):
    submitted, collect = school_with
    entries = {
        "Ada Lovelace_77_assignsubmission_file_/ps1.ipynb": b"a",
        "Sam Same_78_assignsubmission_file/ps1.ipynb": b"s",
    }
    assert collect(entries, MOODLE) == 1
    assert files(submitted) == {"ada/ps1/ps1.ipynb": b"a"}
    assert "nobody in the roster: 'Sam Same_78" in capsys.readouterr().err


def test_what_was_handed_in_before_is_kept(school_with, capsys):
    submitted, collect = school_with
    for data in (b"first", b"first", b"second"):
        assert collect({"lovelaceada_11_900_ps1.ipynb": data}) == 0
    assert files(submitted) == {"ada/ps1/ps1.ipynb": b"second"}
    assert list(files(submitted.parent / "resubmitted").values()) == [b"first"]
    assert capsys.readouterr().out.count("handed in again") == 1


@pytest.mark.parametrize("name", ["../../x_11_1_a.ipynb", "/tmp/x_11_1_a.ipynb", "a\\x_11_1_a.ipynb"])
def test_the_names_in_an_archive_choose_no_folder(school_with, name):
    submitted, collect = school_with
    assert collect({name: b"a"}) == 0
    assert files(submitted) == {"ada/ps1/ps1.ipynb": b"a"}


def test_what_is_too_large_is_left_out_and_a_link_is_not_followed(school_with, tmp_path, capsys):
    submitted, collect = school_with
    assert collect({"lovelaceada_11_900_ps1.ipynb": bytes(9 << 20)}) == 0
    assert files(submitted) == {}
    assert "more than a notebook may have" in capsys.readouterr().out
    (submitted / "ada").mkdir()
    (submitted / "ada" / "ps1").symlink_to(tmp_path)
    assert collect({"lovelaceada_11_900_ps1.ipynb": b"a"}) == 2
    assert not (tmp_path / "ps1.ipynb").exists()


def test_what_is_no_archive_or_no_set_is_refused(school, tmp_path, capsys):
    (tmp_path / "a.zip").write_text("no")
    assert main(["course", "collect", str(school.folder), "ps1", str(tmp_path / "a.zip")]) == 2
    assert "is no zip file" in capsys.readouterr().err
    assert main(["course", "collect", str(school.folder), "ps9", str(tmp_path / "a.zip")]) == 2
    assert "no problem set 'ps9'" in capsys.readouterr().err
