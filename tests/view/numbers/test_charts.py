"""The charts of numbers and sums draw what the package computes, and refuse what cannot be drawn."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import precsim as ps
from precsim.numerics import Accumulator
from precsim.numerics.arithmetic import total
from precsim.view.numbers import ranges, rounding_modes

VIEW = ps.view
DETERMINISTIC = [mode for mode in ps.Rounding if not mode.is_stochastic]


def rows(spec: dict, *columns: str) -> list[dict]:
    """The data set of a chart that has these columns."""
    return (
        next(d for d in spec["datasets"].values() if set(columns) <= set(d[0]))
        if "datasets" in spec
        else _inline(spec, set(columns))
    )


def _inline(spec: dict, columns: set[str]) -> list[dict]:
    found = spec.get("data", {}).get("values")
    if found and columns <= set(found[0]):
        return found
    for part in (*spec.get("layer", ()), *spec.get("vconcat", ())):
        if found := _inline(part, columns):
            return found
    return []


@pytest.mark.parametrize("mode", DETERMINISTIC, ids=lambda m: m.name)
@pytest.mark.parametrize("fmt", [ps.FP4_E2M1, ps.FP6_E3M2, ps.INT4], ids=str)
def test_the_mode_slider_picks_what_round_to_picks(fmt, mode, rng):
    grid = fmt.values()
    cells = rounding_modes._cells(fmt, mode, grid)
    numbers = np.concatenate([rng.uniform(grid[0], grid[-1], 300), (grid[1:] + grid[:-1]) / 2, grid])
    for x, rounded in zip(numbers.tolist(), ps.round_to(numbers, fmt, mode).tolist(), strict=True):
        hit = {
            c["value"] for c in cells
            if c["low"] < x < c["high"] or (x == c["low"] and c["low_in"]) or (x == c["high"] and c["high_in"])
        }  # fmt: skip
        assert hit == {rounded}, x


def test_the_means_of_stochastic_rounding_are_those_of_the_standard():
    """P3109's three rules, in exact rationals."""
    found = rows(VIEW.stochastic_bias(bits=(1, 2, 3), steps=48).to_dict(), "variant", "mean")
    for row in found:
        scaled = Fraction(row["fraction"]).limit_denominator(48) * 2 ** row["N"]
        cut, rest = divmod(scaled, 1)
        up = {
            "A": cut,
            "B": cut + (rest >= Fraction(1, 2)),
            "C": cut + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and cut % 2 == 1)),
        }[row["variant"]]
        assert row["mean"] == up / 2 ** row["N"], row


@pytest.mark.parametrize("exponent_bits", [2, 3, 5])
@pytest.mark.parametrize("trailing", [0, 2, 4])
@pytest.mark.parametrize("ieee", [True, False])
def test_the_built_format_has_the_values_of_the_format(exponent_bits, trailing, ieee):
    """The formulas that the browser evaluates, evaluated here."""
    names = {"pow": pow, "floor": math.floor, "min": min, "max": max}
    names |= {"w": exponent_bits, "m": trailing, "specials": ieee}
    count = eval(ranges._COUNT, {"__builtins__": {}}, names)
    got = [eval(ranges.VALUE, {"__builtins__": {}}, {**names, "c": c}) for c in range(count)]
    specials = ps.Specials.IEEE if ieee and trailing else ps.Specials.NONE
    fmt = ps.Format(name="built", exponent_bits=exponent_bits, precision=trailing + 1, specials=specials)
    assert got == [v for v in fmt.values().tolist() if v >= 0]


def test_scaled_numbers_are_counted_once_and_by_their_fate(rng):
    x = rng.normal(size=500) * 1e-7
    found = rows(VIEW.loss_scaling(x, ps.FP16, exponents=range(0, 41, 8)).to_dict(), "fate", "top")
    for k in range(0, 41, 8):
        here = [row for row in found if row["k"] == k]
        assert sum(row["top"] - row["foot"] for row in here) == pytest.approx(100)
        with np.errstate(over="ignore"):
            rounded = np.float16(np.ldexp(np.abs(x), k))  # NumPy's own conversion
        zero = sum(row["top"] - row["foot"] for row in here if row["fate"] == "zero")
        assert zero == pytest.approx(100 * np.mean(rounded == 0))
        lost = sum(row["top"] - row["foot"] for row in here if row["fate"] == "overflow")
        assert lost == pytest.approx(100 * np.mean(np.isinf(rounded)))


def test_a_block_at_the_scale_of_a_rule_is_what_the_quantizer_makes(rng):
    block = rng.normal(size=32).astype(np.float32)
    spec = VIEW.block_scale(block, ps.FP4_E2M1).to_dict()
    scales = {name: r["log_s"] for r in rows(spec, "rule") for name in r["rule"].split(", ")}
    for rule in ps.ScaleRule:
        expected = ps.Quantizer(ps.FP4_E2M1, ps.PerBlock(32, scale_format=ps.E8M0, rule=rule))(block)
        drawn = [r["quantized"] for r in rows(spec, "quantized") if r["log_s"] == scales[rule.name]]
        assert drawn == expected.tolist()


def test_the_alignment_shows_the_bits_of_the_instruction():
    unit, a, b, start = ps.arithmetic.H100_FP8, [1.875, -0.0625, 3.5], [208.0, 0.0234375, 0.00390625], 17.5
    found = rows(VIEW.alignment({"one": (a, b, start)}, unit).to_dict(), "place", "bit")
    steps = ps.arithmetic.instruction(a, b, unit, start)

    def total(row, step):
        seen = [c for c in found if c["row"] == row and c["first"] <= step <= c["last"]]
        return sum(Fraction(2) ** c["place"] * int(c["bit"]) for c in seen)

    assert [total(i, 1) for i in range(4)] == [abs(t) for t in steps.terms]
    assert [total(i, 3) for i in range(4)] == [abs(t) for t in steps.kept]
    assert total(4, 3) == steps.total
    assert total(5, 4) == Fraction(steps.result)
    cut = [c for c in found if c["row"] == 4 and c["first"] == 4 and c["look"] == "kept"]
    assert sum(Fraction(2) ** c["place"] * int(c["bit"]) for c in cut) == Fraction(steps.result)


def test_the_running_sum_is_the_sum():
    accumulators = {"BF16": Accumulator(ps.BF16), "FP32": Accumulator(ps.FP32)}
    found = rows(VIEW.running_sum(accumulators, exponents=range(-9, -5), n=64).to_dict(), "sum", "arrived")
    for row in found:
        terms = np.concatenate([[1.0], np.full(row["terms"], 2.0 ** row["k"])])
        assert row["value"] == total(terms, accumulators[row["sum"]])
    assert all(row["arrived"] == row["terms"] for row in found if row["sum"] == "FP32")
    assert all(row["arrived"] == 0 for row in found if row["sum"] == "BF16" and row["k"] <= -8)


def test_errors_of_zero_are_marked_and_empty_bounds_left_out():
    given = [
        {"n": 2, "error": 0.0, "name": "a", "bound": 0.1},
        {"n": 4, "error": 0.25, "name": "a", "bound": math.inf},
    ]
    spec = VIEW.error_curves(given).to_dict()
    drawn = rows(spec, "shown")
    assert [(row["error"], row["exact"]) for row in drawn] == [(0.0, True), (0.25, False)]
    assert 0 < drawn[0]["shown"] < 0.25
    bounds = [m for m in spec["layer"] if m["encoding"]["y"].get("field") == "bound"]
    assert len(bounds) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VIEW.mode_slider(ps.FP4_E2M1, span=(-1, 1)), "one or more"),
        (lambda: VIEW.mode_slider(ps.FP4_E2M1, ps.Rounding.STOCHASTIC, span=(-1, 1)), "deterministic"),
        (lambda: VIEW.mode_slider(ps.FP4_E2M1, ps.Rounding.UP, span=(0, 7)), r"between -6 and 6.*\(0, 7\)"),
        (lambda: VIEW.mode_slider(ps.FP16, ps.Rounding.UP, span=(0, 1)), "FP16 has 15361 values"),
        (lambda: VIEW.stochastic_bias(bits=(1, 3)), r"consecutive.*\(1, 3\)"),
        (lambda: VIEW.stochastic_bias(steps=10), "multiple of 3; received 10"),
        (lambda: VIEW.loss_scaling([0.0], ps.FP16, exponents=range(3)), "not all zero"),
        (lambda: VIEW.loss_scaling([1.0], ps.FP4_E2M1, exponents=range(3)), "FP4_E2M1"),
        (lambda: VIEW.block_scale(np.zeros(4, np.float32), ps.FP4_E2M1), "not all zero"),
        (lambda: VIEW.running_sum({}, exponents=range(3)), "1 to 8 accumulators"),
        (lambda: VIEW.error_curves([{"n": 1}]), "columns n, error, name"),
        (lambda: VIEW.alignment({}, ps.arithmetic.H100_FP8), "at most eight products"),
        (lambda: VIEW.unit_error_curves([]), "1 to 8 names"),
        (lambda: VIEW.error_curves([{"n": 1, "error": 0.0, "name": "a"}]), "above zero"),
        (lambda: VIEW.error_curves([{"n": 1, "error": 1.0, "name": "a", "p": 1}], slider="p"), "evenly spaced"),
    ],
)
def test_bad_input_is_refused_with_what_was_received(call, message):
    with pytest.raises(ValueError, match=message):
        call()
