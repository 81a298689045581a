"""Charts of budgets, rivals, floors and knees: the browser's expressions are the package's laws, numbers and all."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim import laws
from precsim.evidence import records
from precsim.laws import published
from precsim.laws.published import KUMAR_2024, SARDANA_2024

VIEW = ps.view
RIVALS = {
    "served": (KUMAR_2024, {"post": 4}),
    "groups": (published.CHEN_2025_W4A4, {"weights": 4, "activations": 4, "group": 128}),
    "floats": (published.SUN_2025, {"exponent_bits": 2, "significand_bits": 1, "block": 128}),
    "delta alone": (published.OUYANG_2024, {"post": 4}),
}


def table() -> pd.DataFrame:
    N, D = map(np.ravel, np.meshgrid([1e6, 1e7, 1e8], np.geomspace(1e8, 1e10, 4)))
    law = laws.Chinchilla(E=2.0, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    return pd.DataFrame({"N": N, "D": D, "loss": law(N, D)})


CHARTS = {
    "iso_flop": lambda: VIEW.iso_flop(KUMAR_2024, N=(1e8, 1e12), C=(1e20, 1e25)),
    "fixed_model": lambda: VIEW.fixed_model(KUMAR_2024, N=(1e9, 1e12), D=(1e10, 1e15)),
    "serving_cost": lambda: VIEW.serving_cost(SARDANA_2024, N=(2e9, 8e10), served=(1e10, 1e14)),
    "added_loss": lambda: VIEW.added_loss(RIVALS, N=(3e7, 1e12), D=(1e9, 1e14)),
    "straighten": lambda: VIEW.straighten(table()),
    "knee_sweep": lambda: VIEW.knee_sweep(
        records.record("chinchilla-epoch")["knees"],
        {"alpha": 0.3478, "beta": 0.3658},
        records.record("chinchilla-epoch")["fits"]["usual"]["intervals"],
    ),
    "factor_forms": lambda: VIEW.factor_forms(
        [{"bits": p["bits"][0], **{k: p[k] for k in ("f", "low", "high", "scheme")}}
         for p in records.record("quest-qat")["free"]]
    ),
}  # fmt: skip


def transforms(spec) -> list[dict]:
    """Every transform of a chart and its layers, in order."""
    found = list(spec.get("transform", []))
    for part in spec.get("layer", []) + spec.get("vconcat", []):
        found += transforms(part)
    return found


def calculated(spec, name: str) -> str:
    return next(t["calculate"] for t in transforms(spec) if t.get("as") == name)


def browser(expression: str, **names: float) -> float:
    """A Vega expression evaluated here; a condition at the outside only."""
    scope = {"pow": pow, "exp": math.exp, **{n: v for n, v in names.items() if not n.startswith("datum_")}}
    text = expression
    for n, v in names.items():
        if n.startswith("datum_"):
            text = text.replace(f"datum.{n.removeprefix('datum_')}", repr(v))
    if " ? " in text:
        condition, rest = text[1:-1].split(" ? ", 1)
        value, _ = rest.rsplit(" : ", 1)
        if not eval(condition.replace("&&", "and"), {"__builtins__": {}}, scope):
            return math.nan
        text = value
    return float(eval(text, {"__builtins__": {}}, scope))


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_has_a_description_units_and_plain_json(name):
    spec = CHARTS[name]().to_dict()
    assert len(spec["description"]) >= 40
    assert "nan" not in spec["description"]
    text = str(spec)
    assert any(unit in text for unit in ("nats/token", "[FLOP]", "N_eff / N", "knee"))
    assert spec["params"], "something must move"


@pytest.mark.parametrize("bits", [4, 6, 8, 16])
def test_the_iso_flop_lines_are_the_law_at_the_papers_price(bits):
    line = calculated(CHARTS["iso_flop"]().to_dict(), f"c{bits}")
    for N, log_C in ((3e8, 20.5), (5e10, 23.0), (4e11, 24.7)):
        expected = KUMAR_2024(N, 10**log_C * 16 / (6 * N * bits), weights=bits, activations=bits, kv=bits)
        assert browser(line, log_C=log_C, datum_N=N) == pytest.approx(float(expected), rel=1e-12)


def test_a_fixed_model_is_the_law_and_has_no_value_where_a_factor_is_negative():
    line = calculated(CHARTS["fixed_model"]().to_dict(), "loss")
    for P in (4.0, 7.3, 13.5):
        expected = KUMAR_2024(8e9, 15e12 * 16 / P, weights=P, activations=P, kv=P)
        found = browser(line, log_N=math.log10(8e9), log_D=math.log10(15e12), datum_P=P)
        assert found == pytest.approx(float(expected), rel=1e-9)
    assert math.isnan(browser(line, log_N=9.0, log_D=12.0, datum_P=3.0))


def test_the_served_model_reaches_the_loss_it_says():
    spec = CHARTS["serving_cost"]().to_dict()
    left, tokens = calculated(spec, "left"), calculated(spec, "D")
    said = float(spec["description"].split("loss of ")[1].split()[0])
    for N in (4e9, 1.3e10, 6e10):
        D = browser(tokens, datum_left=browser(left, datum_N=N))
        assert float(SARDANA_2024(N, D)) == pytest.approx(said, abs=6e-5)


@pytest.mark.parametrize("name", RIVALS)
def test_what_a_rival_adds_is_its_loss_minus_that_of_its_base(name):
    place = list(RIVALS).index(name)
    line = calculated(CHARTS["added_loss"]().to_dict(), f"c{place}")
    law, low = RIVALS[name]
    N, D = 7e9, 2e12
    base = 0.0 if law.base is None else float(law.base(N, D))
    assert browser(line, log_N=math.log10(N), datum_D=D) == pytest.approx(float(law(N, D, **low)) - base, rel=1e-6)


def test_the_forms_of_the_factor_are_those_of_the_package():
    spec = CHARTS["factor_forms"]().to_dict()
    log_c, gamma, P = 1.2, 1.7, 3.5
    expected = [
        laws.Saturating(laws.WEIGHTS, c=math.exp(log_c), gamma=gamma).of_bits(P),
        laws.Offset(laws.WEIGHTS, n=log_c, gamma=gamma).of_bits(P),
        laws.Plain(laws.WEIGHTS, gamma=gamma).of_bits(P),
    ]
    for i, value in enumerate(expected):
        assert browser(calculated(spec, f"f{i}"), log_c=log_c, gamma=gamma, datum_P=P) == pytest.approx(float(value))


def test_every_setting_is_a_point_and_the_slider_ends_below_the_least_loss():
    runs = table()
    spec = VIEW.straighten(runs, along="N").to_dict()
    ends = spec["params"][0]["bind"]
    assert ends["max"] < runs["loss"].min() < ends["max"] + 0.003
    assert f"{len(runs)} settings" in spec["description"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VIEW.iso_flop(published.EPOCH_2024, N=(1.0, 2.0), C=(1.0, 2.0)), "base and factors"),
        (lambda: VIEW.iso_flop(KUMAR_2024, N=(2.0, 1.0), C=(1.0, 2.0)), "N must be"),
        (lambda: VIEW.fixed_model(KUMAR_2024, N=(1.0, 2.0), D=(0.0, 2.0)), "D must be"),
        (lambda: VIEW.serving_cost(KUMAR_2024, N=(1.0, 2.0), served=(1.0, 2.0)), "Chinchilla's form"),
        (lambda: VIEW.added_loss({}, N=(1.0, 2.0), D=(1.0, 2.0)), "no laws"),
        (lambda: VIEW.added_loss({"a": (laws.Chinchilla(), {})}, N=(1.0, 2.0), D=(1.0, 2.0)), "have no value"),
        (lambda: VIEW.straighten(table(), along="bits"), "along must be"),
        (lambda: VIEW.straighten(table().drop(columns="loss")), "no column loss"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_plan_shows_its_regret_in_money_and_that_it_is_an_extrapolation():
    plan = ps.plan(KUMAR_2024, compute=1e23)
    table, chart = VIEW.plan_table(plan), VIEW.regret_curve(plan)
    money = table.head.index("compute to equal the best")
    assert [row[money] for row in table.rows if row[0] in ("W4A4KV4", "W7A7KV7")] == ["+122 %", "0"]
    assert "lies N ×243, D ×27.4 outside the runs" in table.caption
    assert "Extrapolation: N ×243, D ×27.4 outside the runs" in chart.description
    assert "W16A16KV16 +70.3 %" in chart.description
    small = ps.plan(KUMAR_2024, compute=1e19)
    assert "xtrapolation" not in VIEW.plan_table(small).caption + VIEW.regret_curve(small).description
    assert "outside the runs" not in VIEW.plan_table(small).head


def test_a_plan_that_leaves_compute_over_says_so():
    plan = ps.plan(KUMAR_2024, compute=1e24, parameters=8e9, choices=[ps.Choice(post=3), ps.Choice(post=4)])
    assert "more data would hurt this model" in VIEW.plan_table(plan).caption
    assert "of the budget" in VIEW.plan_table(plan).caption
    assert VIEW.plan_table(plan).rows[0][5] == "no budget"
