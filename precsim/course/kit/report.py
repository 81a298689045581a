"""How a class did: states, and for each item how many had it right and whether it tells good work from bad.

An item is a group of inputs of an exercise, whose points are given whole or not at all. Its *share right* is the mean
of right (1) and wrong (0); its *discrimination* is the correlation of that with the points of the rest of the set, so
that an item does not correlate with itself. Near 0 an item tells nothing, below 0 good students fail it: read it.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from precsim.course.grading.classroom import Classroom
from precsim.course.grading.marking import grade_rows
from precsim.course.grading.records import Record, State, kept


@dataclass(frozen=True, slots=True)
class Item:
    """One group of inputs: how many were judged, the share that had it right, its discrimination or None."""

    name: str
    exercise: str
    group: str
    points: int
    students: int
    right: float
    discrimination: float | None


def items(made: Classroom, name: str) -> list[Item]:
    """The items of a problem set, from the records of what was graded with the key that the class has now."""
    key = made.key(name)
    records = [kept(made.folder / "graded", name, student) for student in made.submissions(name)[0]]
    judged = [r for r in records if r is not None and r.state is not State.FAILED and r.key == key.digest()]
    found = []
    for exercise in key.exercises:
        for group in exercise.groups:
            right = [_right(record, exercise.name, group.name) for record in judged]
            rest = [(record.score or 0) - group.points * got for record, got in zip(judged, right, strict=True)]
            share = sum(right) / len(right) if right else math.nan
            found.append(
                Item(name, exercise.name, group.name, group.points, len(right), share, correlation(right, rest))
            )
    return found


def _right(record: Record, exercise: str, group: str) -> bool:
    return any(mark.exercise == exercise and mark.groups.get(group, False) for mark in record.marks)


def correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Pearson's correlation; None where one of the two does not vary.

    Examples
    --------
    >>> correlation([0, 0, 1, 1], [1, 2, 3, 4]), correlation([1, 1], [0, 3])
    (0.894..., None)
    """
    if len(x) < 2 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    both = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return both / math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))


def item_rows(found: Sequence[Item]) -> list[dict[str, object]]:
    """The items as a table."""
    return [
        {
            "set": item.name,
            "exercise": item.exercise,
            "group": item.group,
            "points": item.points,
            "judged": item.students,
            "share_right": None if math.isnan(item.right) else round(item.right, 3),
            "discrimination": None if item.discrimination is None else round(item.discrimination, 3),
        }
        for item in found
    ]


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}"
    "th,td{padding:.25rem .75rem;border-bottom:1px solid #8888;text-align:left}td.n{text-align:right}"
)


def page(made: Classroom) -> str:
    """The report as one HTML page that needs nothing else; for the instructor: it names students."""
    rows = grade_rows(made)
    parts = ["<h1>Class report</h1>"]
    for name in made.sets:
        mine = [row for row in rows if row["set"] == name]
        states = Counter(str(row["state"]) for row in mine)
        finals = [float(str(row["final"])) for row in mine if row["final"] is not None]
        parts.append(f"<h2>{html.escape(name)}</h2><p>" + ", ".join(f"{n} {s}" for s, n in states.items()))
        if finals:
            mean, points = sum(finals) / len(finals), made.key(name).points
            parts[-1] += f"; mean {mean:.2f} of {points} points over {len(finals)} judged"
        parts[-1] += ".</p>"
        listed = [row for row in item_rows(items(made, name)) if row["judged"]]
        parts += [_table(listed)] if listed else []
        watch = [{k: row[k] for k in ("student", "state", "flags", "reason")} for row in mine if _to_read(row)]
        parts += ["<h3>To be read</h3>", _table(watch)] if watch else []
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Class report</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _to_read(row: dict[str, object]) -> bool:
    return row["state"] in ("flagged", "failed")


def _table(rows: Sequence[dict[str, object]]) -> str:
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(_cell(value) for value in row.values()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="n">{value:g}</td>'
    return f"<td>{'' if value is None else html.escape(str(value))}</td>"
