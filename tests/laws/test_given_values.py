"""Values that a user or a file gives to a law: type, sign and size are checked, and nothing ends in a traceback."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest

from precsim.cli import main
from precsim.laws import (
    ACTIVATIONS,
    WEIGHTS,
    Chinchilla,
    Drifting,
    KumarDegradation,
    Law,
    Saturating,
    critical_tokens,
    published,
)

KUMAR = published.KUMAR_2024
FORMS = [entry.law for entry in published.CATALOG] + [
    Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    | Drifting(Saturating(WEIGHTS, c=6.0, gamma=1.3), drift_D=0.1, drift_N=0.2)
    | Saturating(ACTIVATIONS, c=9.0, gamma=1.1)
    | KumarDegradation(C_T=0.06, gamma_D=0.5, gamma_N=0.3, gamma_post=0.6)
]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"E": -100.0}, "E must be 0 or more, got -100"),
        ({"A": float("nan")}, "A must be finite, got nan"),
        ({"B": float("inf")}, "B must be finite, got inf"),
        ({"alpha": "0.5"}, "alpha must be a number, got '0.5'"),
        ({"alpha": True}, "alpha must be a number, got True"),
        ({"beta": [0.5]}, "beta must be a number"),
        ({"gamma_post": 0.0}, "gamma_post must be greater than 0"),
        ({"gamma_w": -1.0}, "gamma_w must be greater than 0"),
        ({"A": 10**400}, "A must be finite, got inf"),
    ],
)
def test_a_loss_of_minus_a_hundred_cannot_be_asked_for(change, message):
    """`E=-100` gave a loss of −99.9, and values of the wrong type ended in tracebacks."""
    with pytest.raises(ValueError, match=message):
        KUMAR.replace(**change).checked()
    written = json.loads(KUMAR.to_json())
    for part, made in zip(written, KUMAR.parts, strict=True):
        for own, flat in made.names.items():
            if flat in change:
                part[own] = change[flat]
    with pytest.raises(ValueError, match=message.partition(",")[0].partition("_")[0].split()[0]):
        Law.from_json(json.dumps(written))


def test_what_is_right_passes_unchanged():
    for law in FORMS:
        assert law.checked() is law
        assert Law.from_json(law.to_json()) == law
    assert Chinchilla(E=0.0).checked().free  # a gap has no floor, and what is not fitted yet is not judged
    assert KUMAR.replace(b=-1.0).checked().b == -1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"kind": "Chinchilla", "E": 1, "A": 1, "B": 1, "alpha": 1, "delta": 1}]', "has the fields E, A, B"),
        ('[{"kind": "Saturating", "c": 1, "gamma": 1}]', "has the fields tensor"),
        ('[{"kind": "Saturating", "tensor": "weights"}]', "tensor must be one of WEIGHTS"),
        ('[{"kind": "Saturating", "tensor": 3}]', "tensor must be one of WEIGHTS"),
        ('[{"kind": "Saturating", "tensor": "KV", "on": "L"}]', "on must be one of N, D"),
        ('[{"kind": ["Chinchilla"]}]', "no part of a law is called"),
        ('[{"kind": "PerScheme", "schemes": "W4A4", "values": [1]}]', "schemes must be a list of names"),
        ('[{"kind": "PerScheme", "schemes": [1], "values": [1]}]', "schemes must be a list of names"),
        ('[{"kind": "PerScheme", "schemes": ["a"], "values": {"a": 1}}]', "values must be a list of numbers"),
        ('[{"kind": "PerScheme", "schemes": ["a"], "values": [-1]}]', "f_a must be 0 or more"),
        ('[{"kind": "Drifting", "inner": 3}]', "no part of a law is called"),
        ('[{"kind": "Drifting", "inner": {"kind": "Chinchilla"}}]', "inner must be a factor"),
        ('[{"kind": "Drifting"}]', "no part of a law is called"),
        ('[{"kind": "BetaOfN", "N0": 0}]', "N0 must be greater than 0"),
        ('[{"kind": "BetaOfN", "N0": "a"}]', "N0 must be a number"),
    ],
)
def test_a_record_of_the_wrong_shape_is_refused_with_a_reason(text, message):
    with pytest.raises(ValueError, match=message):
        Law.from_json(text)


_STRANGE = [
    None,
    "x",
    "",
    -1,
    0,
    -1e9,
    1e308,
    1e-300,
    True,
    [],
    [1],
    {},
    {"a": 1},
    math.nan,
    math.inf,
    10**400,
    "Offset",
]


def mutated(rng: np.random.Generator) -> str:
    """The JSON of a law with one or two places replaced, removed, renamed or doubled."""
    record = json.loads(FORMS[rng.integers(len(FORMS))].to_json())
    for _ in range(rng.integers(1, 3)):
        parts = [part for part in record if isinstance(part, dict) and part]
        if not parts:
            break
        part = parts[rng.integers(len(parts))]
        if isinstance(part.get("inner"), dict) and part["inner"] and rng.random() < 0.5:
            part = part["inner"]
        name = list(part)[rng.integers(len(part))]
        action = rng.integers(8)
        value = copy.deepcopy(_STRANGE[rng.integers(len(_STRANGE))])
        if action == 0:
            del part[name]
        elif action == 1:
            part[name + "x"] = part.pop(name)
        elif action == 2:
            record.append(copy.deepcopy(part))
        elif action >= 5 and (numbers := [n for n in part if isinstance(part[n], float)]):
            part[numbers[rng.integers(len(numbers))]] *= float(rng.choice([-1, 0.01, 0.3, 3, 100, 1e6]))
        elif isinstance(part[name], list) and part[name] and rng.random() < 0.7:
            part[name][rng.integers(len(part[name]))] = value
        else:
            part[name] = value
    return json.dumps(record)


@pytest.mark.parametrize("many", [60, pytest.param(2000, marks=pytest.mark.weekly)])
def test_mutated_laws_end_in_a_plan_or_a_reason(tmp_path, capsys, many):
    """97 of 3,140 random laws ended in tracebacks."""
    rng = np.random.default_rng(3)
    planned = 0
    for k in range(many):
        path = tmp_path / f"{k}.json"
        path.write_text(mutated(rng))
        status = main(["plan", "--law", str(path), "--compute", "1e21"])
        out, err = capsys.readouterr()
        assert status in (0, 2), path.read_text()
        assert out if status == 0 else err.startswith("precsim plan: "), path.read_text()
        planned += status == 0
    assert 0.1 < planned / many < 0.9


def test_critical_tokens_are_not_known_where_the_law_is_not():
    """The factor of activations is not positive at 3 bits: `critical_tokens` answered 1.0."""
    assert np.isnan(KUMAR(8e9, 1e12, activations=3, post=2))
    assert np.isnan(critical_tokens(KUMAR, 8e9, 2, activations=3))
    many = critical_tokens(KUMAR, 8e9, 4, activations=np.array([3.0, 8.0]))
    assert np.isnan(many[0])
    assert many[1] == pytest.approx(critical_tokens(KUMAR, 8e9, 4, activations=8))
