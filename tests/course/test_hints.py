"""Hints of the statements that name a function: what they say works, for every input and in every form of an answer."""

from __future__ import annotations

import math
import re

import pytest
import scipy.integrate
import sympy as sp
from support.places import ROOT

import precsim as ps
from precsim.course.checking import exercises_of
from precsim.course.grading.keys import group_inputs
from precsim.course.notebooks import Role, read
from precsim.course.values import equal


def asked(name: str, exercise: str):
    """The exercise, its statement's set as text, and all its inputs, hidden ones too."""
    cells = read(ROOT / "exercises" / "src" / f"{name}.py")
    found = next(e for e in exercises_of(name) if e.name == exercise)
    hidden = [args for c in cells if c.role is Role.GROUP and c.exercise == exercise for args in group_inputs(c, cells)]
    return found, "\n".join(c.text for c in cells if c.role is Role.TEXT), [*found.inputs(), *hidden]


@pytest.mark.parametrize(
    "condition",
    [
        lambda f, P: P * sp.diff(sp.log(f), P) - 1,
        lambda f, P: sp.diff(sp.log(f) - sp.log(P), P),
        lambda f, P: sp.diff(f / P, P),
    ],
)
def test_the_call_of_nsolve_that_the_statement_gives_finds_the_best_bits(condition):
    exercise, text, inputs = asked("ps7", "best_bits")
    call = re.search(r"`(sp\.nsolve\(.*?\))`", text)
    assert call
    P = sp.Symbol("P", positive=True)
    for gamma, parts in inputs:
        found = eval(
            call[1], {"sp": sp, "P": P, "gamma": gamma, "condition": condition((1 - sp.exp(-P / gamma)) ** parts, P)}
        )
        assert equal(round(float(found), 6), exercise.truth(gamma, parts), exercise.tolerance)


def test_the_integral_that_the_statement_gives_is_accurate_enough():
    exercise, text, inputs = asked("ps7", "largest_square")
    assert "scipy.integrate.quad" in text
    for (n,) in inputs:
        got, _ = scipy.integrate.quad(lambda y, n=n: 2 * y * (1 - math.erf(y / math.sqrt(2)) ** n), 0, math.inf)
        assert equal(got, exercise.truth(n), exercise.tolerance)


def test_the_rounding_that_the_statement_gives_saturates():
    _, text, _ = asked("ps2", "mx_value")
    assert "`ps.round_to(x, ps.FP4_E2M1)`" in text
    assert [float(ps.round_to(x, ps.FP4_E2M1)) for x in (0.3, 100.0, -7.0, 2.5)] == [0.5, 6.0, -6.0, 2.0]
