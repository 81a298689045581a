"""What is handed out and what assistants work with, in Markdown: syllabus, objectives matrix, rubrics, guide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from precsim.course.grading.late import Policy
from precsim.course.kit.chapters import Chapter
from precsim.course.kit.schedule import Pace, Period
from precsim.course.kit.sets import ProblemSet, Task
from precsim.course.kit.troubles import TROUBLES


def hours(minutes: int) -> str:
    """Minutes as hours and minutes.

    Examples
    --------
    >>> hours(210), hours(45), hours(120)
    ('3 h 30 min', '45 min', '2 h')
    """
    whole, rest = divmod(minutes, 60)
    return " ".join(part for part in (f"{whole} h" * bool(whole), f"{rest} min" * bool(rest)) if part) or "0 min"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; bars within a cell are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def syllabus(chapters: Sequence[Chapter], periods: Sequence[Period], pace: Pace, policy: Policy) -> str:
    """The syllabus: what is learnt, read, handed in and counted, with the sums of what the sets state."""
    sets = [one for period in periods for one in period.sets]
    points, minutes = sum(one.points for one in sets), sum(one.minutes for one in sets)
    titles = {one.name: one.title for one in chapters}
    order = list(titles)
    rows = []
    for period in periods:
        read = sorted({name for one in period.sets for name in one.chapters}, key=order.index)
        rows.append(
            (
                period.number,
                f"{period.release:%a %d %b %Y}",
                "; ".join(titles[name] for name in read),
                ", ".join(one.name for one in period.sets),
                hours(period.minutes),
                sum(one.points for one in period.sets),
                f"{period.due:%a %d %b %H:%M}",
            )
        )
    served = {goal for one in sets for task in one.tasks for goal in task.objectives}
    outcomes = [goal for chapter in chapters for goal in chapter.objectives if goal in served]
    parts = [
        f"# Precision scaling laws: a course of {pace.name}",
        "How many bits should a language model be trained in, stored in and served in? Problem sets are notebooks with "
        "functions to write; the book is read for them.",
        f"**Work**: {len(sets)} problem sets, {sum(len(one.tasks) for one in sets)} exercises, {points} points, "
        f"{hours(minutes)} for the exercises as they state it. Reading is not counted in that.",
        "**You need**: Python at the level of functions and lists, logarithms and derivatives. Neither a GPU nor "
        "experience with neural networks.",
        f"## {pace.period.capitalize()}s",
        table(("", "begins", "chapters", "sets", "exercises", "points", "due"), rows),
        "## Outcomes\n\nAfter the course you will be able to",
        ";\n".join(f"- {goal.words} (*{titles[goal.chapter]}*)" for goal in outcomes) + ".",
        "## Grades",
        f"The points of all sets are added: {points}. An exercise gives its points by named groups of inputs, each "
        "whole or not at all, and the comment on it names the groups. The grader runs each submission with other "
        "inputs than those of the check in the notebook.",
        lateness(policy),
        "**Accommodation.** Longer times are given for each student and set, in advance where that is possible.",
        "**Working together.** Talk about ideas with everybody; write every function yourself, and name whom you "
        "talked to and which programs helped. Submissions are read as well as run.",
    ]
    return "\n\n".join(parts) + "\n"


def lateness(policy: Policy) -> str:
    """The late policy in words."""
    if not policy.percent_per_day:
        return "**Late work** is noted and costs nothing."
    return (
        f"**Late work.** {policy.grace_minutes} minutes after the due time cost nothing. After them each day that was "
        f"begun costs {policy.percent_per_day} % of the score; after {policy.days} days nothing is left of it."
    )


def matrix(sets: Sequence[ProblemSet], chapters: Sequence[Chapter]) -> list[dict[str, object]]:
    """Objective by exercise by chapter: a row for each pair, and one for each objective that no exercise serves."""
    rows: list[dict[str, object]] = []
    for chapter in chapters:
        for goal in chapter.objectives:
            about: dict[str, object] = {
                "objective": goal.identity,
                "chapter": chapter.name,
                "part": chapter.part,
                "words": goal.words,
            }
            served = [(one, task) for one in sets for task in one.tasks if goal in task.objectives]
            rows += [
                about | {"set": one.name, "exercise": task.name, "points": task.points, "minutes": task.minutes}
                for one, task in served
            ]
            if not served:
                rows.append(about | {"set": None, "exercise": None, "points": None, "minutes": None})
    return rows


def rubric(one: ProblemSet) -> str:
    """What a set's points are given for, and the known mistakes: for instructors, since hints tell much."""
    parts = [
        f"# {one.title}: rubric",
        f"{one.points} points, {hours(one.minutes)}. The grader gives the points of a group whole or not at all. A "
        "point given by hand, in formgrader, stays when the set is graded again.",
    ]
    for number, task in enumerate(one.tasks, 1):
        goals = "; ".join(f"{goal.words} ({goal.chapter})" for goal in task.objectives)
        parts += [
            f"## {number}. {task.title}: `{task.name}`, {task.points} points, {task.minutes} minutes",
            f"Objective: {goals}.",
            table(("given for", "points"), [(share.name, share.points) for share in task.shares]),
            table(("known mistake", "what the student is told"), [(m.name, m.hint) for m in task.mistakes]),
        ]
    return "\n\n".join(parts) + "\n"


def guide(sets: Sequence[ProblemSet]) -> str:
    """The guide for assistants: what to do each time, what to say to whom, what may go wrong."""
    parts = [
        "# Guide for assistants",
        "## Each time",
        "1. `precsim course grade FOLDER`. What was not changed is not graded again.\n"
        "2. Read what is *flagged*, in `autograded/` or formgrader, never in `submitted/`: a flag says what to look "
        "at, and changes no score.\n"
        "3. *Failed* has a reason. Write to the student; a new notebook in `submitted/` is graded by the next run.\n"
        "4. A score that you give by hand in formgrader counts and stays. Say why in the comment.\n"
        "5. `precsim course feedback FOLDER`, `precsim course report FOLDER`, then the file for your platform.",
        "## In the office hour",
        "Ask first for the input on which the check stops, and for its value by hand. The hints below are what the "
        "check says; say the next one only after the student has tried the last.",
    ]
    for one in sets:
        parts.append(f"### {one.title}")
        parts += [_office(number, task) for number, task in enumerate(one.tasks, 1)]
    rows = [(trouble.symptom, trouble.cause, trouble.remedy) for trouble in TROUBLES]
    parts += ["## What may go wrong", table(("what you see", "why", "what helps"), rows)]
    return "\n\n".join(parts) + "\n"


def _office(number: int, task: Task) -> str:
    hints = "\n".join(f"- *{mistake.name}*: {mistake.hint}" for mistake in task.mistakes)
    return f"**{number}. {task.title}** (`{task.name}`, {task.minutes} minutes)\n\n{hints}"
