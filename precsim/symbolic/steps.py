"""A derivation as a value: what is said, what SymPy is told to do, and what it gives, step by step to the last line.

A derivation is written as a function that yields (sentence, result) for each step. Calling it returns the last result,
so the formula that the package computes with *is* the end of the derivation, and no other copy of it exists. The calls
that a page can unfold are the lines of the function itself.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import sympy as sp

__all__ = ["Derivation", "Step", "collected"]

Steps = Iterator[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a sentence, the code that was executed for it, and the expression or equation that came out."""

    says: str
    call: str
    result: Any

    @property
    def latex(self) -> str:
        """The result as a formula in LaTeX."""
        return sp.latex(self.result)


class Derivation:
    """Steps that SymPy executes, made from a function that yields (sentence, result); calling it gives the last result.

    Parameters
    ----------
    write : callable
        Takes no arguments; its docstring states what is derived, under which assumptions. Each ``yield`` is a
        statement of its body, in no loop or branch, so that the lines between two of them are the call of a step.

    Attributes
    ----------
    name : str
        Module and function: ``teacher.loss``.
    statement : str
        The first line of the docstring.

    Raises
    ------
    ValueError
        If a yield stands elsewhere, yields no pair, or there is none.

    Examples
    --------
    >>> from precsim.symbolic import roundoff
    >>> roundoff.uniform_variance()
    h**2/12
    >>> for step in roundoff.uniform_variance.steps:
    ...     print(step.call, "->", step.result)
    x**2 / h -> x**2/h
    sp.integrate(x**2 / h, (x, -h / 2, h / 2)) -> h**2/12
    """

    def __init__(self, write: Callable[[], Steps]) -> None:
        functools.update_wrapper(self, write)
        self._write = write
        self.name = f"{write.__module__.rpartition('.')[2]}.{write.__name__}"
        self.statement = (write.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")

    def __repr__(self) -> str:
        return f"<derivation {self.name}>"

    @functools.cached_property
    def steps(self) -> tuple[Step, ...]:
        """Every step, executed once in a process; the source is read here, not at import, which it would double."""
        found = zip(self._write(), _calls(self._write), strict=True)
        return tuple(Step(says, call, result) for (says, result), call in found)

    def __call__(self) -> Any:
        """Return the result of the last step."""
        return self.steps[-1].result


def _calls(write: Callable[[], Steps]) -> tuple[str, ...]:
    """The source lines of each step: what stands between one yield and the next, and what is yielded."""
    source = textwrap.dedent(inspect.getsource(write))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    text = lambda node: textwrap.dedent(ast.get_source_segment(source, node, padded=True) or "")  # noqa: E731
    calls, since = [], []
    for statement in function.body[1:]:
        is_step = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield)
        if not is_step:
            if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(statement)):
                raise ValueError(f"{write.__name__}: a step is yielded by a statement of the body, not inside another")
            since.append(text(statement))
            continue
        pair = statement.value.value  # pyright: ignore[reportAttributeAccessIssue]
        if not (isinstance(pair, ast.Tuple) and len(pair.elts) == 2):
            raise ValueError(f"{write.__name__}: a step yields a sentence and a result")
        calls.append("\n".join([*since, text(pair.elts[1])]).strip())
        since = []
    if not calls or since:
        raise ValueError(f"{write.__name__}: a derivation ends with the step that yields its result")
    return tuple(calls)


def collected(*modules: ModuleType) -> Mapping[str, Derivation]:
    """Every derivation that these modules define, by name, in the order of the source."""
    found = [one for module in modules for one in vars(module).values() if isinstance(one, Derivation)]
    return {one.name: one for one in found}
