"""The exercises: checks inside a notebook, and the notebooks that are made from one source each.

``precsim.course.ps1`` and its successors hold the exercises of a problem set: inputs, truths and known
mistakes. `check` is what the student's notebook calls. ``python -m precsim.course`` makes the notebooks; a class is
graded by ``precsim course``, in `precsim.course.grading`.
"""

from __future__ import annotations

from precsim.course.checking import Exercise, Mistake, WrongAnswer, check

__all__ = ["Exercise", "Mistake", "WrongAnswer", "check"]
