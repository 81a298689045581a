"""Records that hold what was not measured are equal when they say the same; so are those that hold arrays or tables."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pickle
import pkgutil

import numpy as np
import pandas as pd
import pytest

import precsim
from precsim.equality import Record, same
from precsim.fitting import Draws, fit
from precsim.laws import Chinchilla
from precsim.runs import Evaluation, Run


def records() -> list[type]:
    """Every record of the package."""
    for module in pkgutil.walk_packages(precsim.__path__, "precsim."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, new = [], [Record]
    while new:
        kinds = [kind for kind in new.pop().__subclasses__() if kind.__module__.startswith("precsim.")]
        found += kinds
        new += kinds
    return sorted({kind for kind in found if dataclasses.is_dataclass(kind)}, key=lambda kind: kind.__name__)


def filled(kind: type, **given: object) -> Record:
    """A record whose every field is a NaN of its own, but for those given."""
    made = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(made, field.name, given.get(field.name, float("nan")))
    return made


RECORDS = records()


def test_what_holds_measured_values_is_a_record():
    names = {kind.__name__ for kind in RECORDS}
    assert {"Run", "Evaluation", "Finding", "Interval", "Draws", "Plan", "Option", "Fit", "Stage", "Score"} <= names


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_nothing_measured_equals_nothing_measured(kind):
    assert filled(kind) == filled(kind)
    assert hash(filled(kind)) == hash(filled(kind))
    name = next(field.name for field in dataclasses.fields(kind) if field.compare)
    assert filled(kind) != filled(kind, **{name: 1.0})
    assert kind.__eq__ is Record.__eq__  # a dataclass without eq=False would put its own in its place


def test_two_runs_with_what_was_not_measured_are_equal_in_any_python():
    look = {"step": 1, "loss": 3.0, "gap": float("nan"), "delta": 0.0, "delta_se": 0.0}
    made = {"job": "a", "model": "MLP", "N": 1, "D": 1, "entropy": 2.0, "steps": 1}
    first, second = (Run(**made, evaluations=(Evaluation(**look, curvature=float("nan")),)) for _ in range(2))
    assert first == second == pickle.loads(pickle.dumps(first))
    assert len({first, second}) == 1
    assert first != dataclasses.replace(first, entropy=math.nan)
    assert first != dataclasses.replace(first, evaluations=())


def test_arrays_and_tables_are_compared_by_value():
    law = Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    values = {"E": np.array([1.7, np.nan])}
    assert Draws(law, values) == Draws(law, {"E": np.array([1.7, np.nan])})
    assert Draws(law, values) != Draws(law, {"E": np.array([1.7, 1.8])})
    assert Draws(law, values) != Draws(law, {"A": np.array([1.7, np.nan])})
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4)))
    table = pd.DataFrame({"N": N, "D": D, "loss": law(N, D)})
    first, second = fit(Chinchilla(), table), fit(Chinchilla(), table.copy())
    assert first == second
    assert first != dataclasses.replace(second, message="other")


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (math.nan, float("nan"), True),
        (np.float32("nan"), float("nan"), True),
        (math.nan, 0.0, False),
        (math.nan, None, False),
        ((1, math.nan), (1, float("nan")), True),
        ((1, 2), [1, 2], False),
        ((1, 2), (1, 2, 3), False),
        ({"a": math.nan}, {"a": float("nan")}, True),
        ({"a": 1}, {"b": 1}, False),
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([1.0]), np.array([1.0, 1.0]), False),
        (np.array(["a"]), np.array(["a"]), True),
        (np.array([1.0]), 1.0, False),
        (pd.DataFrame({"a": [math.nan]}), pd.DataFrame({"a": [math.nan]}), True),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [2.0]}), False),
        ("a", "a", True),
        (1, 1.0, True),
    ],
)
def test_same_values(a, b, equal):
    assert same(a, b) is equal
    assert same(b, a) is equal


def test_a_record_of_another_class_is_another():
    kinds = RECORDS[:2]
    assert filled(kinds[0]) != filled(kinds[1])
    assert filled(kinds[0]) != math.nan
