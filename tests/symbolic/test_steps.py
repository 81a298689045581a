"""Derivations: every closed form is the end of one, and what a page shows as a step is what was executed."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest
import sympy as sp

from precsim import symbolic
from precsim.symbolic import (
    DERIVATIONS,
    Derivation,
    derivation,
    emergence,
    largest,
    propagation,
    roundoff,
    tails,
    teacher,
    truncation,
    widths,
)

# Functions that state no formula: they act on an expression that is given, or return numbers.
GIVEN = {
    "elasticity",
    "best_step",
    "sum_spread",
    "serving_optimum",
    "mean_square",
    "predicted_damage",
    "damage_constant",
    "largest_of",
    "error",
}


@pytest.mark.parametrize("one", DERIVATIONS.values(), ids=list(DERIVATIONS))
def test_every_step_is_what_its_call_gives(one):
    """The calls of a derivation, executed as plain code one after the other, give the results that it shows."""
    letters = dict(vars(sys.modules[one.__module__]))
    for step in one.steps:
        *before, last = ast.parse(step.call).body
        exec(compile(ast.Module(before, []), one.name, "exec"), letters)
        assert isinstance(last, ast.Expr)
        result = eval(compile(ast.Expression(last.value), one.name, "eval"), letters)
        assert str(result) == str(step.result)
        assert step.says.strip()
    assert one() == one.steps[-1].result
    assert len(one.steps) >= 2


def test_no_closed_form_is_typed_without_a_derivation():
    """A public function of these modules is a derivation, or a combination of some, or takes what it works on."""
    for module in (emergence, largest, propagation, roundoff, tails, teacher, truncation, widths):
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, (Derivation, sp.Basic, tails.Tails)) or name in GIVEN:
                continue
            if value is tails.Tails:
                continue  # holds a density, and integrates it
            used = {node.id for node in ast.walk(ast.parse(inspect.getsource(value))) if isinstance(node, ast.Name)}
            assert used & {key.split(".")[1] for key in DERIVATIONS}, f"{module.__name__}.{name}"


def test_a_derivation_is_found_by_its_name():
    assert derivation("teacher.loss") is teacher.loss
    assert symbolic.derivation("widths.sun_best_bits")() == widths.sun_best_bits()
    with pytest.raises(ValueError, match=r"no derivation 'loss'; there are .*teacher\.loss"):
        derivation("loss")


def hidden():
    """A step inside a loop has no call of its own."""
    for number in range(2):
        yield "again", sp.Integer(number)


def lonely():
    """A step is a sentence and a result."""
    yield sp.Integer(1)


def unfinished():
    """The last statement is no step."""
    x = sp.Integer(1)
    yield "one", x
    del x


@pytest.mark.parametrize(
    ("write", "message"),
    [(hidden, "not inside another"), (lonely, "a sentence and a result"), (unfinished, "ends with the step")],
)
def test_what_has_no_steps_to_show_is_refused(write, message):
    with pytest.raises(ValueError, match=message):
        _ = Derivation(write).steps


def test_a_page_shows_every_step_and_folds_its_call():
    from precsim.view import derivation as shown

    html = shown(teacher.capacity_constant)._repr_html_()
    assert html.count("<li>") == html.count("<details>") == len(teacher.capacity_constant.steps)
    assert "<code>optimal_factor</code>" in html  # names in a sentence are set as code
    assert "sp.limit(sp.exp(sp.loggamma(n + 1) / n) / n, n, sp.oo)" in html
    assert html.count("mathjax_process") == len(teacher.capacity_constant.steps)
    assert "&gt;" not in shown(teacher.loss)._repr_html_().split("<details>")[0]
