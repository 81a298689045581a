"""A derivation on a page: each step's sentence and formula, and its SymPy call, folded."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from precsim.symbolic.steps import Derivation

__all__ = ["Derived", "derivation"]


@dataclass(frozen=True, slots=True)
class Derived:
    """What `derivation` draws: text in a terminal, a numbered list with formulas below a cell."""

    of: Derivation

    def __str__(self) -> str:
        lines = [self.of.statement]
        for number, step in enumerate(self.of.steps, start=1):
            call = step.call.replace("\n", "\n          ")
            lines += [f"{number}. {step.says}", f"     {step.result}", f"   SymPy: {call}"]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        formula = (
            '<div class="ps-scroll mathjax_process" tabindex="0">'  # the class by which MathJax finds it in a page
        )
        steps = "".join(
            f"<li><p>{_words(step.says)}</p>{formula}\\[{html.escape(step.latex)}\\]</div>"
            f"<details><summary>SymPy</summary><pre><code>{html.escape(step.call)}</code></pre></details></li>"
            for step in self.of.steps
        )
        return f'<div class="ps-steps"><p>{_words(self.of.statement)}</p><ol>{steps}</ol></div>'


def derivation(of: Derivation) -> Derived:
    """Show a derivation step by step: a sentence, what SymPy gives, and, folded, what it was told.

    Parameters
    ----------
    of : Derivation
        Such as `precsim.symbolic.teacher.loss`.

    Examples
    --------
    >>> from precsim.symbolic import roundoff
    >>> print(derivation(roundoff.uniform_variance))
    Variance of the error of nearest rounding to spacing h, the number uniform within a cell: h²/12.
    1. A number lies anywhere in a cell of width h with the same density; its squared error, times that:
         x**2/h
       SymPy: x**2 / h
    2. Over the cell, whose value is in the middle:
         h**2/12
       SymPy: sp.integrate(x**2 / h, (x, -h / 2, h / 2))
    """
    return Derived(of)


def _words(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))
