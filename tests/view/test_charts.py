"""Charts: every observation a mark, units on axes, a description in words, and agreement with the package."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim.laws.published import KUMAR_2024
from precsim.view import book, theme
from precsim.view.numbers import number_line

VIEW = ps.view


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Losses of the published law, with reproducible seed noise, as a tidy table of runs."""
    rng = np.random.default_rng(7)
    rows = []
    cells = itertools.product(
        (3e7, 2.2e8), 1.5e9 * 4.0 ** np.arange(3), (4.0, 8.0, math.inf), (3.0, 5.0, math.inf), (0, 1)
    )
    for N, D, weights, post, seed in cells:
        delta = 0.0 if math.isinf(post) else float(KUMAR_2024.delta(N, D, weights=weights, post=post))
        loss = float(KUMAR_2024(N, D, weights=weights)) + 0.003 * rng.normal() + delta
        rows.append({"N": N, "D": D, "weights": weights, "post": post, "seed": seed, "loss": loss, "delta": delta})
    return pd.DataFrame(rows)


def all_charts(table: pd.DataFrame) -> dict:
    full = table[np.isinf(table.weights)]
    return {
        "number_line": VIEW.number_line(ps.FP8_E4M3, ps.INT4, x=[0.3, 2.6], span=(0, 4)),
        "relative_error": VIEW.relative_error(ps.FP8_E4M3, ps.INT4),
        "rounding_slider": VIEW.rounding_slider(ps.FP4_E2M1, span=(0, 6)),
        "loss_against_bits": VIEW.loss_against_bits(table[np.isinf(table.post)]),
        "delta_against_tokens": VIEW.delta_against_tokens(full, KUMAR_2024),
        "loss_against_tokens": VIEW.loss_against_tokens(full),
        "predicted_against_observed": VIEW.predicted_against_observed(KUMAR_2024, table),
        "how_many_bits": VIEW.how_many_bits(KUMAR_2024, N=(1e7, 1e10), D=(1e9, 1e13)),
        **numbers_charts(),
    }


def numbers_charts() -> dict:
    """The charts of the chapters on numbers and arithmetic."""
    rng = np.random.default_rng(3)
    bf16 = ps.arithmetic.Accumulator(ps.BF16)
    rows = [{"n": 2**k, "p": p, "error": 0.01 * k, "name": "naive", "bound": 0.1 * k} for k in range(5) for p in (4, 6)]
    return {
        "mode_slider": VIEW.mode_slider(ps.FP4_E2M1, ps.Rounding.NEAREST_EVEN, ps.Rounding.DOWN, span=(-3, 3)),
        "stochastic_bias": VIEW.stochastic_bias(bits=(1, 2), steps=12),
        "format_builder": VIEW.format_builder(),
        "loss_scaling": VIEW.loss_scaling(rng.normal(size=200) * 1e-6, ps.FP16, exponents=range(0, 13, 4)),
        "block_scale": VIEW.block_scale(rng.normal(size=16).astype(np.float32), ps.FP4_E2M1),
        "running_sum": VIEW.running_sum({"BF16": bf16}, exponents=range(-9, -5), n=32),
        "error_curves": VIEW.error_curves(rows, slider="p"),
        "alignment": VIEW.alignment({"three": ([3, 0.25], [-2, 0.5], 96.0)}, ps.arithmetic.H100_FP8),
        "unit_error_curves": VIEW.unit_error_curves(
            {"name": name, "n": 2**k, "error": 0.01 * k, "bias": (4 - k) / 1e3}
            for k in (5, 6, 7)
            for name in ("a", "b")
        ),
        "weight_distribution": VIEW.weight_distribution([1, 3, 1], [-3, -1, 1, 3], {"INT4": ps.INT4}, outlier=2.5),
    }


NAMES = [
    "number_line",
    "relative_error",
    "rounding_slider",
    "loss_against_bits",
    "delta_against_tokens",
    "loss_against_tokens",
    "predicted_against_observed",
    "how_many_bits",
    "mode_slider",
    "stochastic_bias",
    "format_builder",
    "loss_scaling",
    "block_scale",
    "running_sum",
    "error_curves",
    "alignment",
    "unit_error_curves",
    "weight_distribution",
]
# Numbers of a format have no unit.
PURE = {"number_line", "relative_error", "rounding_slider", "mode_slider", "format_builder", "block_scale"}


def marks(spec: dict, inherited: dict | None = None) -> list[dict]:
    """All single views of a chart, each with the data that it draws."""
    here = spec.get("data", inherited)
    parts = spec.get("layer") or spec.get("vconcat")
    return [mark for part in parts for mark in marks(part, here)] if parts else [{**spec, "data": here}]


def data(spec: dict, mark: dict) -> list[dict]:
    source = mark["data"]
    return spec["datasets"][source["name"]] if "name" in source else source["values"]


@pytest.fixture(scope="module")
def specs(table) -> dict[str, dict]:
    return {name: chart.to_dict() for name, chart in all_charts(table).items()}


# Modules whose charts are tested in tests/view/{laws,numbers,planning,training} and tests/evidence/paper.
ELSEWHERE = set(
    "budgets by_hand contours decisions derivations effective_parameters explorer formula_and_numbers gptq_pair hero "
    "paired_runs paper_and_ours planner predict report scale_groups straight_through table tables trials".split()
)


def test_every_chart_of_the_module_is_tested_here(table):
    drawn = {
        name
        for name in VIEW.__all__
        if name not in {"Bits", "bit_flipper", "captioned", "drawings", "enable", "finish", "format_table"}
        and getattr(VIEW, name).__module__.rpartition(".")[2] not in ELSEWHERE
    }
    assert drawn == set(all_charts(table)) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_has_a_description_in_words(specs, name):
    assert len(specs[name]["description"]) >= 40
    assert "nan" not in specs[name]["description"]


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_says_how_it_is_read(specs, name):
    assert specs[name]["usermeta"]["caption"]["reading"].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_json_without_infinities(specs, name):
    json.dumps(specs[name], allow_nan=False)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in PURE])
def test_axes_carry_units(specs, name):
    titles = {
        mark["encoding"][axis].get("title")
        for mark in marks(specs[name])
        for axis in ("x", "y")
        if axis in mark.get("encoding", {}) and mark["encoding"][axis].get("title")
    }
    assert titles
    assert all(any(unit in t for unit in ("[", "tokens", "residual")) for t in titles), titles


def points(spec: dict) -> list[dict]:
    """Rows behind the round point marks, which stand for observations."""
    kinds = [m for m in marks(spec) if (m["mark"] if isinstance(m["mark"], str) else m["mark"]["type"]) == "point"]
    return data(spec, next(m for m in kinds if isinstance(m["mark"], str) or "shape" not in m["mark"]))


def test_every_observation_is_a_mark(specs, table):
    full = table[np.isinf(table.weights)]
    wanted = {
        "loss_against_bits": table[np.isinf(table.post)].loss,
        "delta_against_tokens": full[~np.isinf(full.post)].delta,
        "loss_against_tokens": full.loss,
    }
    for name, column in wanted.items():
        assert sorted(row[column.name] for row in points(specs[name])) == sorted(column)
    assert sorted(row["observed"] for row in points(specs["predicted_against_observed"])) == sorted(table.loss)


def test_residuals_are_observed_minus_predicted_by_the_law(specs, table):
    rows = points(specs["predicted_against_observed"])
    for row, (_, run) in zip(rows, table.iterrows(), strict=True):
        predicted = float(KUMAR_2024(run.N, run.D, weights=run.weights, post=run.post))
        assert row["predicted"] == predicted
        assert row["residual"] == run.loss - predicted


def test_damages_of_many_sizes_have_a_logarithmic_axis_through_zero(table):
    rows = table[np.isinf(table.weights) & ~np.isinf(table.post)].copy()
    rows.loc[rows.index[0], "delta"] = -1e-4
    spec = VIEW.predicted_against_observed(KUMAR_2024, rows, column="delta").to_dict()
    scales = [
        m["encoding"][a]["scale"] for m in marks(spec) for a in "xy" if "scale" in m.get("encoding", {}).get(a, {})
    ]
    assert {s["type"] for s in scales} == {"symlog"}
    assert {tuple(s["domain"]) for s in scales} == {(-1e-4, rows.delta.max())}


def test_diverged_runs_are_counted_in_words(table):
    worse = pd.concat([table, table.iloc[:3].assign(loss=math.nan)])
    assert "3 rows without a finite loss" in VIEW.loss_against_bits(worse).description


def test_where_more_data_hurts_is_said_and_marked():
    tokens = 1e9 * 2.0 ** np.arange(6)
    rows = [
        {"N": 3e7, "D": d, "post": p, "loss": float(KUMAR_2024(3e7, d, post=p))} for d in tokens for p in (3.0, 8.0)
    ]
    chart = VIEW.loss_against_tokens(pd.DataFrame(rows))
    turn = min((row for row in rows if row["post"] == 3), key=lambda row: row["loss"])["D"]
    assert f"at 3 bits and 30M parameters beyond {turn / 1e9:.0f}G tokens" in chart.description
    assert "8 bits" not in chart.description.split("More data hurts")[1]


def test_damages_below_zero_are_drawn(table):
    full = table[np.isinf(table.weights)].copy()
    full.loc[full.index[0], "delta"] = -0.01
    full.loc[full.index[0], "post"] = 5.0
    spec = VIEW.delta_against_tokens(full).to_dict()
    assert -0.01 in [row["delta"] for row in points(spec)]
    assert marks(spec)[0]["encoding"]["y"]["scale"]["type"] == "symlog"


@pytest.mark.parametrize("fmt", [ps.FP4_E2M1, ps.FP6_E3M2, ps.FP8_E4M3, ps.FP8_E5M2, ps.INT4], ids=str)
def test_the_slider_picks_the_value_that_round_to_picks(fmt, rng):
    """The browser's rule, spelled out, against the package: random numbers and every tie."""
    span = (float(fmt.minimum), float(fmt.maximum))
    cells = number_line._cells(fmt, 0, span)
    values = fmt.values()
    numbers = np.concatenate([rng.uniform(*span, size=200), (values[1:] + values[:-1]) / 2, values])
    for x, rounded in zip(numbers.tolist(), ps.round_to(numbers, fmt, saturate=True).tolist(), strict=True):
        hit = [
            c["value"] for c in cells
            if c["low"] < x < c["high"] or (x == c["low"] and c["low_in"]) or (x == c["high"] and c["high_in"])
        ]  # fmt: skip
        assert hit == [rounded], x


def test_number_line_marks_each_value_once_and_its_kind(specs):
    rows = [row for row in data(specs["number_line"], marks(specs["number_line"])[0]) if row["format"] == "FP8_E4M3"]
    grid = ps.FP8_E4M3.values()
    shown = grid[(grid >= 0) & (grid <= 4)]
    assert [row["value"] for row in rows] == shown.tolist()
    small = shown < ps.FP8_E4M3.smallest_normal
    assert [row["kind"] != "normal" for row in rows] == small.tolist()


@pytest.mark.parametrize("fmt", [ps.FP4_E2M1, ps.FP8_E4M3, ps.FP8_E5M2, ps.INT8], ids=str)
def test_no_number_has_a_larger_relative_error_than_the_curve(fmt, rng):
    rows = data(spec := VIEW.relative_error(fmt).to_dict(), marks(spec)[0])
    x, error = (np.array([row[name] for row in rows]) for name in ("x", "error"))
    numbers = np.exp(rng.uniform(np.log(x.min()), np.log(x.max()), size=2000))
    seen = np.abs(ps.round_to(numbers, fmt, saturate=True) - numbers) / numbers
    grid = fmt.values()[fmt.values() > 0]
    inside = (numbers > grid[0]) & (numbers < grid[-1])
    worst = error[np.searchsorted(grid, numbers[inside], side="right") + 3]  # four points stand left of the grid
    assert np.all(seen[inside] <= worst * (1 + 1e-12))  # one division in each
    assert seen[inside].max() > 0.98 * error[(x > grid[0]) & (x < grid[-1])].max()


def test_a_table_has_the_same_cells_in_markdown_and_html():
    table = VIEW.Table(("what", "a|b"), (("x < y", "2^-4"), ("y", "2^k")), "Numbers & units.")
    lines = table.to_markdown().splitlines()
    assert lines[0] == "| what | a\\|b |"  # a bar would end the cell
    assert lines[2:4] == ["| x < y | 2^-4 |", "| y | 2^k |"]
    assert lines[-1] == "Numbers & units."
    page = table._repr_html_()
    assert "x &lt; y" in page
    assert "<td>2<sup>-4</sup></td>" in page
    assert "<td>2^k</td>" in page
    assert "<caption>Numbers &amp; units.</caption>" in page
    assert "<caption>" not in VIEW.Table(("a",), (("1",),))._repr_html_()


def test_the_table_of_formats_is_html_with_headings():
    text = VIEW.format_table(ps.FP8_E4M3, ps.INT4)._repr_html_()
    assert text.count("<tr>") == 3
    assert "2<sup>-4</sup>" in text
    assert '<th scope="row">FP8_E4M3</th>' in text
    with pytest.raises(ValueError, match="needs a format"):
        VIEW.format_table()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VIEW.number_line(), "needs a format"),
        (lambda: VIEW.number_line(ps.FP4_E2M1, x=[math.nan]), "x must be finite .* got nan"),
        (lambda: VIEW.number_line(ps.FP4_E2M1, span=(1, 1)), r"low < high.*got \(1, 1\)"),
        (lambda: VIEW.number_line(ps.FP16, span=(0, 1)), "FP16 has 15361 values from 0 to 1; at most 1200"),
        (lambda: VIEW.number_line(ps.FP32, span=(0, 1)), "FP32"),
        (lambda: VIEW.loss_against_bits(pd.DataFrame({"N": [1.0]})), "no column D, loss, weights; it has N"),
        (lambda: VIEW.how_many_bits(ps.laws.Chinchilla(), N=(1, 2), D=(1, 2)), "needs a law"),
        (lambda: VIEW.how_many_bits(KUMAR_2024, N=(1e9, 1e7), D=(1, 2)), r"N must be \(low, high\)"),
        (lambda: VIEW.Bits(ps.FP32), "FP32 has 32 bits; at most 16"),
        (lambda: VIEW.Bits(ps.FP4_E2M1, 16), "codes 0 to 15; received 16"),
        (lambda: theme.values([{"loss": math.inf}]), "cannot place loss = inf"),
        (lambda: book.chart_html({"mark": "bar"}), "description in words"),
    ],
)
def test_bad_input_is_refused_with_what_was_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unfitted_law_is_refused(table):
    free = ps.laws.Chinchilla() | ps.laws.KumarDegradation()
    with pytest.raises(ValueError, match="fit the law first"):
        VIEW.how_many_bits(free, N=(1e6, 1e7), D=(1e8, 1e9))


def test_the_page_gets_the_law_itself():
    """The formulas that the browser evaluates, evaluated here in Python, equal the law."""
    from precsim.view.laws import how_many_bits

    formulas = how_many_bits._formulas(KUMAR_2024)
    for N, D, P in ((3e7, 1e10, 3.0), (8e9, 15e12, 6.5)):
        names = {"N": N, "D": D, "P": P, "pow": pow, "exp": math.exp}
        got = {name: eval(text, {"__builtins__": {}}, names) for name, text in formulas.items()}
        assert got[how_many_bits.TRAINED] == pytest.approx(
            float(KUMAR_2024(N, D, weights=P)), rel=1e-12
        )  # order of a sum
        assert got[how_many_bits.AFTER] == pytest.approx(float(KUMAR_2024(N, D, post=P)), rel=1e-12)
        assert got[how_many_bits.FULL] == pytest.approx(float(KUMAR_2024(N, D)), rel=1e-12)


def test_notebooks_get_a_type_that_jupyterlab_draws_offline():
    import altair as alt

    chart = VIEW.number_line(ps.FP4_E2M1)
    assert alt.renderers.active == "precsim"
    bundle = chart._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    spec = bundle["application/vnd.vegalite.v5+json"]
    assert spec["$schema"].endswith("v5.json")
    assert spec["width"] == theme.WIDTH
    assert bundle["text/plain"] == chart.description


@pytest.mark.parametrize("name", NAMES)
def test_vega_lite_5_compiles_what_altair_6_wrote(specs, name):
    """JupyterLab draws with version 5; the book with the version that Altair writes for."""
    import vl_convert

    spec = {**specs[name], "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
    assert "<svg" in vl_convert.vegalite_to_svg(json.dumps(spec), vl_version="5.20")


def test_page_data_cannot_end_its_script_element():
    text = book.chart_html({"description": 'a "quoted" </script><b> description', "title": "</script>"})
    assert text.count("</script>") == 1
    assert "&quot;quoted&quot;" in text


def test_the_widget_has_a_static_view_and_state_of_plain_types():
    bundle = VIEW.Bits(ps.FP8_E5M2, 0x3C)._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    page = bundle[theme.WIDGET]
    json.dumps(page, allow_nan=False)
    assert page["static"] == bundle["text/plain"] == "FP8_E5M2: code 60 = 0 01111 00 in bits has the value 1."
    assert "application/vnd.jupyter.widget-view+json" in bundle  # anywidget is installed here


def test_a_widget_says_what_to_install_where_anywidget_is_not(monkeypatch):
    from precsim.view import widget

    monkeypatch.setattr(widget, "_live", lambda module, names: None)
    bundle = VIEW.Bits(ps.FP8_E5M2)._repr_mimebundle_()
    assert set(bundle) == {theme.WIDGET, "text/html", "text/plain"}
    for kind in ("text/html", "text/plain"):
        assert "precsim[widgets]" in bundle[kind]
    assert "precsim[widgets]" not in bundle[theme.WIDGET]["static"]  # the page of the book is live without it
