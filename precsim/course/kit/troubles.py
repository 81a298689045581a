"""What goes wrong in a class, why, and what helps: one table for the guide of assistants and for the book."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """What one sees, what is behind it, and what helps."""

    symptom: str
    cause: str
    remedy: str


TROUBLES = (
    Trouble(
        "`no sandbox holds here`",
        "bubblewrap is not installed, or the system forbids it",
        "`apt install bubblewrap`, then `precsim course doctor`. Ubuntu 24.04 needs an AppArmor profile for `bwrap`; "
        "inside a container name spaces are often forbidden: grade on the host",
    ),
    Trouble(
        "`lies in ..., which every guest may read`",
        "the class lies within the environment or the source of precsim",
        "move the class folder elsewhere, for example to your home folder",
    ),
    Trouble(
        "`is not empty and no class`",
        "`init` was given a folder with other things in it",
        "give a new folder; a class is never made over something else",
    ),
    Trouble(
        "a student is *failed*: `psN.ipynb is missing`",
        "two notebooks under other names, or a zip file",
        "leave one notebook in `submitted/STUDENT/psN/`; a single one is taken whatever its name",
    ),
    Trouble(
        "a folder is `not graded, for this is no name of a student`",
        "blanks or other marks in the name",
        "use the name by which the platform logs the student in",
    ),
    Trouble(
        "a student is *missing* and did hand in",
        "the folder's name is not the one in `roster.csv`",
        "rename the folder; capitals count",
    ),
    Trouble(
        "*flagged*: `... was stopped: it took more than ... s`",
        "an endless loop, or a busy machine",
        "`precsim course grade FOLDER --student NAME --set psN --force --jobs 1`",
    ),
    Trouble(
        "`another process grades`",
        "a second terminal, or formgrader's button",
        "wait; if no process is left, start again: the lock ends with its process",
    ),
    Trouble(
        "`is damaged`: the gradebook",
        "a full disk, or a network file system",
        "copy the newest file of `backups/` to `gradebook.db` and grade again: records are not lost",
    ),
    Trouble(
        "an exercise was wrong in itself",
        "a mistake of ours or yours in the source",
        "mend it, `precsim course renew FOLDER psN`, then grade: all are graded again, points by hand stay",
    ),
    Trouble(
        "right in the notebook, not right here",
        "the check shows some inputs, the grader has more",
        "the comment names the group; ask for such an input by hand",
    ),
    Trouble(
        "the platform's file lacks a set, or a student",
        "no column of its name, or a login that the roster does not have",
        "`canvas` and `moodle` print what they could not place; name the assignment `ps1` there",
    ),
    Trouble(
        "formgrader shows nothing",
        "it was started in another folder",
        "`cd FOLDER`, then `jupyter lab`; its settings are in `nbgrader_config.py` there",
    ),
)
