"""Charts of laws: every observation a mark, units on axes, a description in words, and numbers of the package."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.fitting import BySize, Groups, profile
from precsim.laws.optima import implied_factor
from precsim.laws.published import KUMAR_2024
from precsim.planning import Choice, design
from precsim.view.laws.contours import _contour

VIEW = ps.view
TRUTH = (
    ps.laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    | ps.laws.Saturating(ps.laws.WEIGHTS, c=8.0, gamma=1.2)
    | ps.laws.Saturating(ps.laws.ACTIVATIONS, c=12.0, gamma=1.3)
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    widths = [(math.inf, math.inf), (3.0, math.inf), (4.0, math.inf), (6.0, math.inf)]
    widths += [(math.inf, 3.0), (math.inf, 4.0), (math.inf, 6.0), (4.0, 4.0)]
    rows = []
    for N, D, (w, a) in itertools.product(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 5e10, 3), widths):
        loss = float(TRUTH(N, D, weights=w, activations=a)) * math.exp(0.004 * rng.standard_normal())
        rows.append({"N": N, "D": D, "weights": w, "activations": a, "post": math.inf, "loss": loss})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def fitted(table):
    return ps.fit(TRUTH.blank(), table)


@pytest.fixture(scope="module")
def draws(fitted):
    return ps.bootstrap(fitted, n=80, rng=np.random.default_rng(5))


@pytest.fixture(scope="module")
def proposed():
    cells = design.candidates(
        np.geomspace(3e7, 2.2e8, 4),
        np.geomspace(1e9, 2.6e10, 3),
        [Choice(), Choice(weights=3), Choice(weights=4), Choice(activations=3), Choice(activations=4), Choice(4, 4)],
    )
    return design.propose(TRUTH, cells, budget=1e21, noise=0.005, max_runs=30)


@pytest.fixture(scope="module")
def compared(table):
    low = ps.laws.Saturating(ps.laws.WEIGHTS) | ps.laws.Saturating(ps.laws.ACTIVATIONS)
    forms = [ps.laws.Chinchilla() | low, ps.laws.Tied() | low]
    return ps.compare(forms, table, split=Groups("D"), rng=np.random.default_rng(1), n=200)


@pytest.fixture(scope="module")
def charts(table, fitted, draws, proposed, compared) -> dict:
    return {
        "iso_loss": VIEW.iso_loss(fitted.law, table, N=(8e6, 1.2e9), D=(8e8, 6e10)),
        "iso_loss_bits": VIEW.iso_loss(fitted.law, table, N=(8e6, 1.2e9), D=1e10, bits=(2, 8)),
        "effective_parameters": VIEW.effective_parameters(fitted.law, table, draws=draws),
        "profile_likelihood": VIEW.profile_likelihood(fitted, "gamma_w"),
        "regret_curve": VIEW.regret_curve(ps.plan(draws, compute=1e22)),
        "design_map": VIEW.design_map(proposed, table),
        "held_out_error": VIEW.held_out_error(compared),
    }


NAMES = list(
    "iso_loss iso_loss_bits effective_parameters profile_likelihood regret_curve design_map held_out_error".split()
)


def marks(chart, kind: str) -> list[dict]:
    """The data of every mark of a kind."""
    spec = chart.to_dict()
    found = []
    for layer in spec["layer"]:
        if (layer["mark"]["type"] if isinstance(layer["mark"], dict) else layer["mark"]) == kind:
            source = layer.get("data", spec.get("data"))
            found += spec["datasets"][source["name"]] if "name" in source else source["values"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_a_description_and_is_json(charts, name):
    spec = charts[name].to_dict()
    json.dumps(spec, allow_nan=False)
    assert len(spec["description"]) >= 60
    assert "nan" not in spec["description"]


@pytest.mark.parametrize("name", NAMES)
def test_axes_have_titles_with_units(charts, name):
    titles = {
        encoding["title"]
        for layer in charts[name].to_dict()["layer"]
        for channel, encoding in layer.get("encoding", {}).items()
        if channel in ("x", "y") and "title" in encoding
    }
    assert len(titles) >= (1 if name == "held_out_error" else 2)
    words = ("[", "parameters", "tokens", "bits", "f =", "noise", "gamma_w")
    assert all(any(word in title for word in words) for title in titles), titles


@pytest.mark.parametrize("name", NAMES)
def test_vega_lite_5_draws_it(charts, name):
    import vl_convert

    spec = {**charts[name].to_dict(), "$schema": "https://vega.github.io/schema/vega-lite/v5.json", "width": 330}
    assert "<svg" in vl_convert.vegalite_to_svg(json.dumps(spec), vl_version="5.20")


# -- lines of equal loss ------------------------------------------------------------


def test_the_law_has_the_same_loss_along_a_line(charts, fitted):
    """Every end of every segment, put into the law: off by less than the interpolation across a cell of the grid."""
    for name, bits in (("iso_loss", False), ("iso_loss_bits", True)):
        segments = marks(charts[name], "rule")
        N = np.array([s["N"] for s in segments])
        loss = np.array([s["loss"] for s in segments])
        other = np.array([s["bits" if bits else "D"] for s in segments])
        law = fitted.law(N, 1e10, weights=other) if bits else fitted.law(N, other)
        assert len(set(loss)) >= 5
        assert np.max(np.abs(law - loss)) < 3e-3


def test_contours_of_a_plane_are_straight():
    x, y = np.linspace(0, 1, 9), np.linspace(0, 2, 7)
    z = x[None, :] + y[:, None]
    ends = [end for segment in _contour(x, y, z, 1.2345, log_y=False) for end in segment]
    assert len(ends) > 10
    assert all(math.log(u) + v == pytest.approx(1.2345, abs=1e-12) for u, v in ends)


def test_every_run_is_a_point(charts, table):
    assert len(marks(charts["iso_loss"], "point")) == len(table)
    points = marks(charts["iso_loss_bits"], "point")
    assert len(points) == len(table)
    assert sum(p["width"] == "full" for p in points) == np.isinf(table["weights"]).sum()
    assert "stand at the upper end" in charts["iso_loss_bits"].description


# -- effective parameters ------------------------------------------------------------


def test_the_line_is_the_law_and_lies_in_its_band(charts, fitted):
    lines = marks(charts["effective_parameters"], "line")
    assert {line["part"] for line in lines} == {"weights", "activations"}
    for line in lines:
        bits = {line["part"]: line["bits"]}
        assert line["f"] == pytest.approx(float(fitted.law.n_eff(1.0, **bits)), rel=1e-9)
        assert line["low"] <= line["f"] <= line["high"]


def test_points_stand_at_the_share_that_gives_their_loss(charts, fitted, table):
    points = marks(charts["effective_parameters"], "point")
    single = (np.isfinite(table["weights"]).astype(int) + np.isfinite(table["activations"]).astype(int)) == 1
    assert len(points) == single.sum() == 72
    for p in points:
        assert float(fitted.law.base.loss(p["f"] * p["N"], p["D"])) == pytest.approx(p["loss"], rel=1e-9)
    assert "24 rows with nothing or several parts quantized are not drawn" in charts["effective_parameters"].description


def test_an_implied_share_inverts_the_base_and_says_where_it_cannot():
    N = np.geomspace(1e6, 1e9, 7)
    share = np.linspace(0.01, 1.5, 7)
    assert implied_factor(TRUTH, N, 1e9, TRUTH.base.loss(share * N, 1e9)) == pytest.approx(share, rel=1e-12)
    assert np.isnan(implied_factor(TRUTH, 1e8, 1e9, 1.0))  # below the limit of infinite N
    with pytest.raises(ValueError, match="has none"):
        implied_factor(ps.laws.KumarDegradation(), 1.0, 1.0, 1.0)


# -- profile, regret, design, comparison ------------------------------------------------------------


def test_the_profile_has_its_least_at_the_estimate_and_names_its_interval(charts, fitted):
    points = marks(charts["profile_likelihood"], "point")
    least = min(points, key=lambda p: p["excess"])
    assert least["gamma_w"] == pytest.approx(fitted.law.gamma_w, rel=0.01)
    _, _, found = profile(fitted, "gamma_w")
    assert f"95% profile interval {found.low:.4g} to {found.high:.4g}" in charts["profile_likelihood"].description


def test_the_regret_curve_has_every_option(draws, charts):
    plan = ps.plan(draws, compute=1e22)
    points = marks(charts["regret_curve"], "point")
    assert [p["widths"] for p in points] == [o.choice.label for o in plan.options]
    assert [p["choice"] for p in points][:2] == ["3", "4"]
    assert min(p["regret"] for p in points) == 0.0
    assert "95% bootstrap percentile" in charts["regret_curve"].description


def test_regret_names_choices_without_a_prediction():
    plan = ps.plan(KUMAR_2024, compute=1e23, choices=[Choice.tied(3), Choice.tied(8), Choice(8, 8, 8, 4)])
    chart = VIEW.regret_curve(plan)
    assert "W3A3KV3 is left out: the law has no prediction there" in chart.description
    assert [p["choice"] for p in marks(chart, "point")] == ["8", "8>4"]


def test_the_map_has_every_cell_with_its_repeats(charts, proposed):
    points = [p for p in marks(charts["design_map"], "point") if "runs" in p]
    assert sum(p["runs"] for p in points) == proposed.runs
    assert {(p["N"], p["D"], p["choice"]) for p in points} == {(c.N, c.D, c.choice.label) for c in proposed.cells}
    places = {(round(math.log(p["x"]), 6), round(math.log(p["y"]), 6)) for p in points}
    assert len(places) == len(points), "no mark hides another"
    assert all(abs(math.log(p["x"] / p["N"])) < 0.5 for p in points)


def test_held_out_errors_are_those_of_the_comparison(charts, compared):
    points = marks(charts["held_out_error"], "point")
    folds = [p for p in points if "fold" in p]
    means = [p for p in points if "low" in p]
    assert len(folds) == sum(len(s.folds) for s in compared.scores) == 6
    assert {p["law"]: p["error"] for p in means} == {s.form.label: 100 * s.held_out for s in compared.scores}


# -- tables ------------------------------------------------------------


def test_the_table_of_parameters_has_value_interval_level_and_method(fitted, draws):
    with_draws, without = VIEW.parameter_table(fitted, draws), VIEW.parameter_table(fitted, level=0.9)
    assert [row[0] for row in with_draws.rows] == list(fitted.parameters)
    assert with_draws.head[2] == "95% interval"
    assert "bootstrap percentile, 80 resamples" in with_draws.caption
    assert without.head[2] == "90% interval"
    assert "sandwich" in without.caption
    alpha = ps.interval(draws, lambda law: law.alpha)
    row = next(row for row in with_draws.rows if row[0] == "alpha")
    assert row[2] == f"{alpha.low:.4g} to {alpha.high:.4g}"
    text = str(with_draws)
    assert text.count("\n| ") == len(with_draws.rows) + 1
    page = with_draws._repr_html_()
    assert page.count("<tr>") == len(with_draws.rows) + 1
    assert page.count('scope="col"') == 4


def test_given_and_tied_parameters_are_named(table):
    found = ps.fit(
        ps.laws.Chinchilla(E=1.7), table[np.isinf(table.weights) & np.isinf(table.activations)], tie=[("alpha", "beta")]
    )
    rows = {row[0]: row for row in VIEW.parameter_table(found).rows}
    assert rows["beta"][2] == "equal to alpha"
    assert rows["E"][2] == "given"


def test_the_table_of_a_comparison_gives_the_verdict(compared):
    found = VIEW.comparison_table(compared)
    assert len(found.rows) == 2
    assert ("cannot tell" in found.caption) == (compared.verdict is None)
    assert " \\| " in str(found)


def test_the_table_of_a_plan_leaves_out_empty_intervals(draws):
    assert len(VIEW.plan_table(ps.plan(TRUTH, compute=1e21)).head) == 6
    assert len(VIEW.plan_table(ps.plan(draws, compute=1e21)).head) == 8


def test_a_page_escapes_what_it_shows(charts):
    text = VIEW.page("<b>", [("a & b", "</pre><script>"), ("chart", charts["regret_curve"])])
    assert "<b>" not in text.partition("</style>")[2].partition("<pre>")[0]
    assert "&lt;/pre&gt;&lt;script&gt;" in text
    assert text.count("</script>") == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, f: VIEW.iso_loss(f.law, N=(1e7, 1e9), D=1e9), "exactly one of D and bits"),
        (lambda t, f: VIEW.iso_loss(f.law, N=(1e7, 1e9), D=(1e8, 1e9), bits=(2, 8)), "exactly one of D and bits"),
        (lambda t, f: VIEW.iso_loss(f.law, N=(1e9, 1e7), D=(1e8, 1e9)), r"N must be \(low, high\)"),
        (lambda t, f: VIEW.iso_loss(f.law, N=(1e7, 1e9), D=(1e8, 1e9), part="nose"), "part must be one of"),
        (lambda t, f: VIEW.iso_loss(f.form, N=(1e7, 1e9), D=(1e8, 1e9)), "values for E, A, B"),
        (lambda t, f: VIEW.iso_loss(f.law, t[["N"]], N=(1e7, 1e9), D=(1e8, 1e9)), "no column D, loss"),
        (lambda t, f: VIEW.iso_loss(f.law, t, N=(1e2, 1e3), D=(1e8, 1e9)), "none of the 96 rows"),
        (lambda t, f: VIEW.iso_loss(KUMAR_2024, N=(1e7, 1e9), D=1e9, bits=(0.1, 0.2), part="kv"), "no prediction"),
        (lambda t, f: VIEW.effective_parameters(f.law.base), "no factor of"),
        (lambda t, f: VIEW.effective_parameters(f.law, parts=["post"]), "got post"),
        (lambda t, f: VIEW.effective_parameters(f.law, bits=(8, 2)), "low < high"),
        (lambda t, f: VIEW.effective_parameters(f.law, level=95), "between 0 and 1, got 95"),
        (lambda t, f: VIEW.effective_parameters(f.law, t[t.weights > 99].assign(activations=math.inf)), "exactly one"),
        (lambda t, f: VIEW.profile_likelihood(f, "gamma_kv"), "'gamma_kv' was not estimated"),
        (lambda t, f: VIEW.profile_likelihood(f, "E", level=2), "between 0 and 1, got 2"),
        (lambda t, f: VIEW.parameter_table(f, level=0), "between 0 and 1, got 0"),
        (lambda t, f: VIEW.Table(("a", "b"), (("1",),), ""), "one cell for each of a, b"),
    ],
)
def test_bad_input_is_refused_with_what_was_received(table, fitted, call, message):
    with pytest.raises(ValueError, match=message):
        call(table, fitted)


def test_by_size_is_one_fold(table):
    found = ps.compare([TRUTH.blank()], table, split=BySize(0.3), rng=np.random.default_rng(1), n=50)
    assert "1 laws" in VIEW.held_out_error(found).description
