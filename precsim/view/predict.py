"""A question that the reader answers before the page does: a choice, or a number on a scale, then what was found."""

from __future__ import annotations

import hashlib
import html
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from precsim.view.widget import Widget


@dataclass(frozen=True, slots=True)
class Guess(Widget):
    """A question with its answer, which is shown once the reader has locked in a guess, or passes.

    The guess stays in the reader's browser and nowhere else. Without a script the answer is folded below the question.

    Parameters
    ----------
    question : str
    because : str
        What is said with the answer, in a sentence or two.
    options : tuple of str
        To choose from; empty: a number is asked for.
    right : int
        Which option.
    answer, low, high : float
        The number, and the ends of its scale.
    unit : str
    log : bool
        Whether the scale is logarithmic; errors are then factors.

    Raises
    ------
    ValueError
        Fewer than two options, or no such one; a scale that does not hold the answer; no question or reason.
    """

    question: str
    because: str
    options: tuple[str, ...] = ()
    right: int = 0
    answer: float = 0.0
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    log: bool = False

    module: ClassVar[str] = "predict"

    def __post_init__(self) -> None:
        if not (self.question.strip() and self.because.strip()):
            raise ValueError(f"a prediction needs a question and a reason, not {self.question!r} and {self.because!r}")
        if self.options:
            if len(self.options) < 2 or not 0 <= self.right < len(self.options):
                raise ValueError(f"{self.right} is none of at least two options {self.options}")
        elif not (self.low < self.high and self.low <= self.answer <= self.high and math.isfinite(self.high)):
            raise ValueError(f"the scale from {self.low:g} to {self.high:g} does not hold the answer {self.answer:g}")
        elif self.log and self.low <= 0:
            raise ValueError(f"a logarithmic scale begins above zero, not at {self.low:g}")

    @property
    def said(self) -> str:
        """The answer in words, with its unit."""
        return self.options[self.right] if self.options else f"{self.answer:.3g} {self.unit}".strip()

    @property
    def text(self) -> str:
        """The question with its answer and the reason."""
        return f"{self.question} Answer: {self.said}. {self.because}"

    @property
    def static(self) -> str:
        """The question, and the answer folded."""
        choices = "".join(f"<li>{html.escape(one)}</li>" for one in self.options)
        listed = f"<ul>{choices}</ul>" if choices else ""
        answer = f"<strong>{html.escape(self.said)}</strong>. {html.escape(self.because)}"
        return f"<p>{html.escape(self.question)}</p>{listed}<details><summary>Answer</summary><p>{answer}</p></details>"

    @property
    def description(self) -> str:
        """What the reader is asked to do, in words."""
        return f"A question to answer before you read on: {self.question}"

    @property
    def state(self) -> dict[str, Any]:
        """Question, answer and the name under which the browser keeps the reader's guess."""
        kept = hashlib.sha256(f"{self.question}{self.options}".encode()).hexdigest()[:12]
        names = ("question", "because", "options", "right", "answer", "low", "high", "unit", "log")
        return {"key": kept, **{name: getattr(self, name) for name in names}, "options": list(self.options)}


def predict(question: str, options: dict[str, bool], because: str) -> Guess:
    """Ask for one of some options before the page answers.

    Parameters
    ----------
    question : str
    options : dict of str to bool
        What can be chosen, and whether it is right: computed on the page; exactly one is.
    because : str
        What is said with the answer.

    Raises
    ------
    ValueError
        None of the options is right, or several are.

    Examples
    --------
    >>> predict("Is 2 + 2 four?", {"yes": 2 + 2 == 4, "no": 2 + 2 != 4}, "It was counted.").said
    'yes'
    """
    if sum(map(bool, options.values())) != 1:
        raise ValueError(f"exactly one option is right, not {[name for name, holds in options.items() if holds]}")
    right = next(n for n, holds in enumerate(options.values()) if holds)
    return Guess(question, because, options=tuple(options), right=right)


def predict_number(
    question: str, answer: float, because: str, *, low: float, high: float, unit: str = "", log: bool = False
) -> Guess:
    """Ask for a number on a scale before the page gives it.

    Parameters
    ----------
    question : str
    answer : float
        Computed on the page.
    because : str
        What is said with the answer.
    low, high : float
        Ends of the scale.
    unit : str
    log : bool
        A logarithmic scale, on which errors are factors.

    Raises
    ------
    ValueError
        The scale does not hold the answer, or a logarithmic one begins at zero.

    Examples
    --------
    >>> predict_number("What is 2 to the 10?", 2**10, "It doubles ten times.", low=10, high=1e4, log=True).said
    '1.02e+03'
    """
    return Guess(question, because, answer=float(answer), low=float(low), high=float(high), unit=unit, log=log)
