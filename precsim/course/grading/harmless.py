"""The graded notebook as it may be looked at: nothing that a student wrote is markup, a link or a script in it.

nbgrader's pages render Markdown and outputs as HTML. So text of a student's is shown as it was typed, in a fence that
it cannot close; outputs are plain text and checked pictures, made anew from what the guest sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from precsim.course.grading.intake import Mended
from precsim.course.grading.judge import CellOutput

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_PNG = b"\x89PNG\r\n\x1a\n"


def literal(text: str) -> str:
    """Text as Markdown that shows it as it was typed.

    Examples
    --------
    >>> print(literal("<b>"))
    ~~~text
    <b>
    ~~~
    """
    text = _CONTROL.sub("", text.replace("\r", "\n"))
    fence = "~" * max(3, 1 + max(map(len, re.findall("~+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def picture(data: str) -> str | None:
    """A PNG in base64 again, from its bytes; None if it is none."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(raw).decode() if raw.startswith(_PNG) else None


def graded_notebook(cells: Sequence[Mended], outputs: dict[int, CellOutput], remarks: Sequence[str]) -> str:
    """Return the notebook for nbgrader's ``autograded`` folder as JSON.

    Parameters
    ----------
    cells : sequence of Mended
        All cells.
    outputs : dict
        Outputs by the number of the cell among the code cells that were run.
    remarks : sequence of str
        What was repaired; they stand in the first cell.
    """
    made = []
    if remarks:
        made.append(_text("remarks", "**Remarks of the grader**\n\n" + literal("\n".join(remarks))))
    number = 0
    for place, cell in enumerate(cells):
        name = f"cell-{place}" if cell.mark is None else str(cell.mark["grade_id"])
        metadata = {} if cell.mark is None else {"nbgrader": cell.mark}
        if not cell.code:
            made.append(_text(name, cell.source if cell.trusted else literal(cell.source), metadata))
            continue
        shown = CellOutput()
        if cell.run:
            shown = outputs.get(number, shown)
            number += 1
        made.append(
            {
                "cell_type": "code",
                "id": name,
                "metadata": metadata,
                "execution_count": None,
                "source": _CONTROL.sub("", cell.source.replace("\r", "\n")),
                "outputs": _outputs(shown),
            }
        )
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _text(name: str, source: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": metadata or {}, "source": source}


def _outputs(shown: CellOutput) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    text = _CONTROL.sub("", shown.out)
    if shown.error is not None and shown.error.startswith("stopped"):
        text += f"\n[{shown.error}]\n"
    if text:
        made.append({"output_type": "stream", "name": "stdout", "text": text})
    for data in shown.images:
        if (image := picture(data)) is not None:
            made.append({"output_type": "display_data", "metadata": {}, "data": {"image/png": image}})
    return made
