"""The charts of training draw what the package computes, the browser's formulas included."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.evidence.experiments import demonstrations
from precsim.training.ptq import GPTQ
from precsim.view.numbers import gptq_pair
from precsim.view.training import straight_through

VIEW = ps.view
TITLES = {"p": "precision [bits]", "gap": "gap [nats/token]", "mode": "rounding", "rate": "rate [1/step]"}


def data(spec: dict, *columns: str) -> list[dict]:
    """The inline data set of a chart that has these columns."""
    found = spec.get("data", {}).get("values")
    if found and set(columns) <= set(found[0]):
        return found
    for part in (*spec.get("layer", ()), *spec.get("vconcat", ())):
        if rows := data(part, *columns):
            return rows
    return []


def evaluate(expression: str, **names: float) -> float:
    """A Vega expression of numbers; away from ties, where JavaScript and Python round differently."""
    return eval(expression, {"__builtins__": {}}, {"round": round, "pow": pow, **names})


@pytest.mark.parametrize("h", [0.5, 1.0, 2.0])
def test_the_slope_that_is_drawn_is_the_gradient_that_jax_takes(h, rng):
    """The grid of INT4, seven steps of h, set by a second weight at its end."""
    quantize = ps.Quantizer(ps.INT4, ps.PerTensor())

    def loss(w, target):
        return 0.5 * (quantize(jnp.stack([w, jnp.float32(7 * h)]))[0] - target) ** 2

    both = jax.jit(jax.value_and_grad(loss))
    for w, target in rng.uniform(-3, 3, (20, 2)).tolist():
        value, slope = both(jnp.float32(w), target)
        names = {"w": w, "h": h, "target": target}
        assert evaluate(straight_through.SLOPE, **names) == pytest.approx(
            float(slope), rel=1e-5, abs=1e-6
        )  # in float32
        assert evaluate(straight_through.LOSS.format(straight_through.ROUNDED), **names) == pytest.approx(
            float(value), rel=1e-5
        )


def test_two_weights_are_rounded_as_gptq_rounds_them(rng):
    """A third weight without correlation sets the scale of the column to one."""
    grid = ps.Quantizer(ps.INT4, ps.PerChannel(axis=-1))
    for a, b, rho in rng.uniform(-0.95, 0.95, (40, 3)) * [1.5, 1.5, 1.0]:
        moment = np.array([[1, rho, 0], [rho, 1, 0], [0, 0, 1]])
        expected = GPTQ(damping=1e-9).weights(np.array([[a], [b], [7.0]]), moment, grid)[:2, 0]
        got = [evaluate(text, a=a, b=b, rho=rho) for text in (gptq_pair.FIRST, gptq_pair.SECOND)]
        assert got == expected.tolist()
        error = np.array([a, b]) - expected
        loss = 0.5 * error @ moment[:2, :2] @ error
        assert evaluate(gptq_pair.LOSS.format(*expected), a=a, b=b, rho=rho) == pytest.approx(loss)


def test_the_mean_of_a_trained_rounded_weight_is_what_the_sum_of_its_steps_says():
    target, rate = 0.3, 0.2
    rows = demonstrations.straight_through_descent(0.9, target, step=1.0, rates=[rate], steps=50)
    constant = [row for row in rows if row["schedule"] == "constant"]
    last = constant[-1]
    # the mean over the first T steps, from where the weight went
    expected = target + (constant[0]["weight"] - last["weight"]) / (rate * 50)
    assert np.mean([row["rounded"] for row in constant[:-1]]) == pytest.approx(expected)
    drawn = data(VIEW.descent(rows, target=target).to_dict(), "rate", "mean")
    assert len(drawn) == len(rows)


def table(**changes) -> pd.DataFrame:
    rows = [
        {"p": p, "gap": 1 / p + 0.01 * seed, "mode": mode, "rate": rate, "seed": seed}
        for p, mode, rate, seed in itertools.product((2, 4, 8), ("nearest", "stochastic"), (0.1, 0.01), range(2))
    ]
    return pd.DataFrame(rows).assign(**changes)


def test_trials_draw_every_row_and_the_mean_of_all_that_are_finite():
    spoiled = table()
    spoiled.loc[0, "gap"] = math.nan
    chart = VIEW.trials(spoiled, x="p", color="mode", choose="rate", titles=TITLES).to_dict()
    drawn = data(chart, "shown", "fate")
    assert len(drawn) == len(spoiled)
    assert [row["fate"] for row in drawn].count("diverged") == 1
    assert all(row["exact"] == row["shown"] for row in drawn if row["fate"] == "seen")
    assert next(row for row in drawn if row["fate"] == "diverged")["exact"] is None
    line = next(layer for layer in chart["layer"] if layer["mark"]["type"] == "line")
    assert {"aggregate": [{"op": "mean", "field": "exact", "as": "mean"}]}.items() <= line["transform"][2].items()


def test_trials_on_a_log_axis_show_what_is_not_positive_without_leaving_it_out_of_the_mean():
    signed = table()
    signed.loc[1, "gap"] = -0.5
    drawn = data(VIEW.trials(signed, x="p", color="mode", titles=TITLES, log_y=True).to_dict(), "shown", "fate")
    below = [row for row in drawn if row["fate"] == "below the axis"]
    assert [row["exact"] for row in below] == [-0.5]
    assert 0 < below[0]["shown"] <= min(row["shown"] for row in drawn)


def test_a_field_of_bits_has_the_means_of_its_cells():
    rows = [{"W": w, "A": a, "gap": g} for w, a, g in ((2.0, 3.0, 0.1), (2.0, 3.0, 0.3), (2.0, math.inf, 0.05))]
    titles = {"W": "W [bits]", "A": "A [bits]"}
    chart = VIEW.bit_map(pd.DataFrame(rows), x="W", y="A", titles=titles, choose={"gap": "gap [nats]"}, digits=2)
    fields = {(row["x"], row["y"]): (row["mean"], row["models"]) for row in data(chart.to_dict(), "heat")}
    assert fields == {("2", "3"): ("0.20", 2), ("2", "full"): ("0.05", 1)}


def test_pairs_are_formed_by_seed():
    rows = [{"recipe": r, "seed": s, "gap": g + s} for r, g in (("a", 0.0), ("b", 0.25)) for s in (3, 1, 2)]
    drawn = data(VIEW.paired_runs(pd.DataFrame(rows)).to_dict(), "kind", "difference")
    assert {row["difference"] for row in drawn if row["kind"] == "same seed"} == {0.25}
    assert sorted(row["difference"] for row in drawn if row["kind"] == "unequal seeds") == [-1.75, 1.25, 1.25]


def test_scales_of_a_column_are_not_moved_by_the_other_columns(rng):
    matrix = rng.standard_normal((6, 5)).astype(np.float32)
    groups = {"one": ps.PerTensor(), "each": ps.PerChannel(axis=-1)}
    drawn = data(VIEW.scale_groups(matrix, ps.INT4, groups, spreads=[0, 4]).to_dict(), "sqnr")
    for j in range(5):
        each = {row["spread"]: row["sqnr"] for row in drawn if row["scaling"] == "each" and row["column"] == j}
        assert each[0] == pytest.approx(each[4], abs=0.01)  # the factors are rounded to float32
    one = [row["sqnr"] for row in drawn if row["scaling"] == "one" and row["column"] == 0]
    assert one[1] < one[0]


def test_joint_penalties_are_counted_above_and_below_the_sum():
    row = {"W": 3.0, "A": 3.0, "scale": "s", "sum": 0.02, "product": 0.021}
    chart = VIEW.joint_penalties([{**row, "observed": v} for v in (0.01, 0.03, -0.001)])
    assert "above it in 1, below in 1. 1 pairs" in chart.description


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VIEW.trials(table(), x="q", color="mode", titles=TITLES), "no column q"),
        (lambda: VIEW.trials(table(), x="p", color="mode", titles={}), "title with its unit for p, gap, mode"),
        (lambda: VIEW.trials(table(gap=math.nan), x="p", color="mode", titles=TITLES), "finite gap"),
        (lambda: VIEW.bit_map(table(gap=math.nan), x="p", y="rate", titles=TITLES, choose={"gap": ""}), "finite gap"),
        (lambda: VIEW.paired_runs(table(recipe="one")), "two recipes with the same seeds"),
        (lambda: VIEW.descent([], target=0.3), "received 0 rows"),
        (lambda: VIEW.joint_penalties([]), "positive penalties; received 0"),
        (lambda: VIEW.scale_groups(np.zeros((3, 3)), ps.INT4, {"a": ps.PerTensor()}, spreads=[0, 1]), "zeros"),
        (lambda: VIEW.scale_groups(np.ones((3, 3)), ps.INT4, {}, spreads=[0, 1]), "1 to 8 scalings"),
    ],
)
def test_bad_input_is_refused_with_what_was_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()
