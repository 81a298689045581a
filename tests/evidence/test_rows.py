"""Every named selection of the open table, against pandas queries; and quantities that two pages print."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import precsim as ps
from precsim import laws
from precsim.evidence import findings, fitted, paper, resampling, rows
from precsim.evidence.paper import effective_parameters, our_fits, robustness, verdicts, what_to_buy
from precsim.runs import slices

INF = np.inf
END = "step == steps and not diverged"
FULL_PRECISION = "weights == inf and activations == inf and kv == inf"
AS_TRAINED = f"{END} and post_method == 'none'"
ROUNDED = f"{END} and post_method == 'rtn' and post_scaling == 'channel' and post_activations == inf and post_kv == inf"
INTEGERS = {b: [f"INT{i}" for i in b] for b in ((3, 4, 5, 6), (2, 3, 4, 5, 6), (2, 3, 4), (3, 4), (4,), (3,))}
KEYS = ["job", "step", "post_format", "post_scaling", "post_method", "post_activations", "post_kv"]


@pytest.fixture(scope="module")
def table():
    return rows.open_table()


def same(found, expected):
    """The same evaluations, in any order."""
    assert len(found) == len(expected) > 0
    lines = [pd.MultiIndex.from_frame(t[KEYS].astype(str)) for t in (found, expected)]
    assert lines[0].is_unique
    assert set(lines[0]) == set(lines[1])


def rounded(table, bits, *, batch, where=FULL_PRECISION):
    some = table.query(f"{ROUNDED} and {where} and batch in @batch", local_dict={"batch": batch, "inf": INF})
    return some[some["post_format"].isin(INTEGERS[bits])]


def query(table, text):
    return table.query(text, local_dict={"inf": INF})


def test_the_open_table_is_read_once_and_is_the_one_that_pages_load(table):
    assert rows.open_table() is table
    pd.testing.assert_frame_equal(table, ps.load_runs("precsim-2026"))


def test_rows_of_laws(table):
    large = query(table, "N >= 24000")
    both = ("main", "repeats")
    same(
        rows.full_precision(table), query(large, f"{AS_TRAINED} and {FULL_PRECISION} and batch in ['main', 'repeats']")
    )
    free = query(large, "not holdout")
    same(rows.damage(table), rounded(free, (3, 4, 5, 6), batch=both))
    same(rows.damage(table, bits=(4,)), rounded(free, (4,), batch=both))
    same(rows.late(rows.damage(table)), query(rounded(free, (3, 4, 5, 6), batch=both), "D >= 60 * N"))
    same(rows.turning(table), rounded(large, (2, 3, 4), batch=(*both, "brief")))
    integers = large[large["weights_format"].isin(["", *(f"INT{b}" for b in range(2, 9))])]
    weights = query(integers, f"{AS_TRAINED} and activations == inf and kv == inf and batch == 'main'")
    same(rows.trained_weights(table), weights)
    pair = "weights in [3, 4, 5, 6, 8, inf] and activations == inf and kv == inf and post < weights"
    same(
        rows.trained_and_rounded(table),
        rounded(query(integers, "not holdout"), (2, 3, 4, 5, 6), batch=("main",), where=pair),
    )
    where = pair.replace("post < weights", "weights >= 3")
    same(
        rows.served_like_trained(table, 3), rounded(query(integers, "not holdout"), (3,), batch=("main",), where=where)
    )
    repeated = "activations == inf and kv == inf and batch in ['main', 'repeats']"
    same(rows.repeated(table), query(integers, f"{AS_TRAINED} and {repeated}"))
    gptq = query(free, f"post_method == 'gptq' and post_scaling == 'channel' and {FULL_PRECISION} and batch == 'main'")
    same(rows.damage(table, method="gptq"), gptq)


def test_rows_with_predicted_damage_are_in_the_course_of_training_too(table):
    text = f"post_method == 'rtn' and post_scaling == 'channel' and {FULL_PRECISION} and delta > 0 and not holdout"
    plain = query(table, f"{text} and N >= 24000 and second_order == second_order")
    plain = plain[plain["post_format"].isin(INTEGERS[3, 4, 5, 6])]
    same(rows.curved(table), query(plain, "batch in ['main', 'repeats']"))
    course = rows.curved(table, "schedules")
    same(course, query(plain, "batch == 'schedules'"))
    assert (course["step"] < course["steps"]).any()


def test_rows_of_parts_and_formats(table):
    same(rows.parts(table), query(table, f"{AS_TRAINED} and batch == 'parts'"))
    any_training = "weights == weights"
    same(rows.parts_rounded(table), rounded(table, (3, 4), batch=("parts",), where=any_training))
    after = query(table, "batch in ['main', 'repeats'] and weights == inf and post_method == 'rtn' and N >= 24000")
    after = query(after, "not holdout and D >= 60 * N and post_activations == inf and post_kv == inf")
    same(rows.formats_after_training(table), after)
    ours, full = rows.formats_in_training(table)
    cells = set(query(table, "batch == 'formats'").set_index(["N", "D", "language_seed", "seed"]).index)
    assert set(ours["batch"]) == {"formats", "main"}
    assert set(ours.set_index(["N", "D", "language_seed", "seed"]).index) == cells
    assert np.isinf(full[["weights", "activations", "kv"]]).all(axis=None)
    some = rows.methods(table)
    assert (some.groupby(["job", "post"])["post_method"].agg(set) == {"rtn", "gptq", "awq"}).all()
    assert some["job"].nunique() == query(table, "post_method == 'gptq' and not holdout")["job"].nunique()
    treated = query(
        table, f"{END} and batch == 'main' and weights == inf and post_scaling == 'channel' and not holdout"
    )
    treated = treated[treated["post_format"].str.match(r"INT\d+$") & np.isinf(treated["post_activations"])]
    same(rows.treatments(table), treated)


def test_parts_are_named_from_the_tables_columns(table):
    """Before, jobs were built again to name them, which needs JAX; the names and penalties are those of the jobs."""
    from precsim.evidence.experiments.open_table import parts

    found = rows.penalties_of_parts(table).set_index("job")
    recipes = {job.key: job.recipe for job in parts()}
    full = query(table, f"{AS_TRAINED} and batch == 'parts' and {FULL_PRECISION}")
    gap = full.set_index(["N", "D", "language_seed", "seed"])["gap"]
    words = {"weights": "weights", "activations": "activations", "kv": "KV cache"}
    for job, row in found.iterrows():
        used = {name: rule for name in words if (rule := getattr(recipes[job], name)) is not None}
        part = "all three" if len(used) == 3 else words[next(iter(used))]
        if "activations" in used and type(used["activations"].scaling).__name__ == "PerToken":
            part += ", per token"
        assert len(used) in (1, 3)
        assert row["part"] == part
        assert {float(rule.format.bits) for rule in used.values()} == {row["bits"]}
        assert row["penalty"] == row["gap"] - gap[row["N"], row["D"], row["language_seed"], row["seed"]]
    equal = query(table, f"{AS_TRAINED} and batch == 'parts'")[["weights", "activations", "kv"]]
    low = np.isfinite(equal)
    alike = equal.max(axis=1).where(low.all(axis=1)) == equal.min(axis=1)
    assert len(found) == ((low.sum(axis=1) == 1) | alike).sum()


def test_rows_of_other_settings(table):
    same(rows.schedules(table), rounded(table, (4,), batch=("schedules",)))
    some = rows.controls(table)
    trained = query(table, f"{AS_TRAINED} and {FULL_PRECISION} and batch == 'controls'")
    same(some, pd.concat([trained, rounded(table, (4,), batch=("controls",))]))
    assert some.groupby("budget")["D"].agg(lambda D: D.max() / D.min()).max() < 1.02
    for batch in ("facts", "text"):
        trained, after = rows.elsewhere(table, batch)
        same(trained, query(table, f"{AS_TRAINED} and batch == '{batch}'"))
        same(after, rounded(table, (3, 4, 5, 6), batch=(batch,)))


def test_single_networks_are_those_of_20_tokens_a_parameter(table):
    ends = query(table, f"{END} and N >= 24000 and D >= 20 * N")
    same(rows.networks(table), query(ends, "batch == 'main' and not holdout"))
    same(rows.networks_held_out(table), query(ends, "batch == 'main' and holdout"))
    same(rows.networks_on_text(table), query(ends, "batch == 'text'"))
    some = rows.networks(table)
    assert (some["loss"] == some["gap"]).all()
    assert (some["entropy"] == 0).all()
    nearest = rows.rounded(rows.in_full(some))
    same(nearest, query(rounded(query(ends, "not holdout"), (3, 4, 5, 6), batch=("main",)), "delta > 0"))
    same(rows.untreated(some), query(some, "post_method == 'none'"))


@pytest.mark.parametrize("batch", ["controls", "formats"])
def test_pairs_differ_in_their_bits_alone(table, batch):
    found = rows.paired(rows.beside(table, batch))
    every = query(table, AS_TRAINED).drop_duplicates("job").set_index("job")
    partner = every.loc[found["partner"]]
    for column in rows.CELL:
        assert (found[column].to_numpy() == partner[column].to_numpy()).all(), column
    assert np.isinf(partner[["weights", "activations", "kv"]]).all(axis=None)
    np.testing.assert_allclose(found["penalty"], found["gap"] - partner["gap"].to_numpy(), atol=1e-12)
    treatment = ["weights_format", "weights_scaling", "activations_format", "activations_scaling", "kv"]
    assert not found.duplicated([*rows.CELL, *treatment]).any()
    own = query(table, f"{AS_TRAINED} and batch == '{batch}' and D >= 20 * N and weights < inf")["job"]
    assert set(own) <= set(found["job"])


def test_activations_and_weights_served_in_4_bits_are_of_full_precision(table):
    activations, weights = rows.served_in_few_bits(table)
    for some in (activations, weights):
        assert np.isinf(some[["weights", "activations", "kv"]]).all(axis=None)
    assert set(activations["post_activations"]) == {4.0}
    assert (activations["D"] >= 20 * activations["N"]).all()
    assert set(weights["post_format"]) == {"INT4"}
    assert set(weights["post_scaling"]) == {"tensor"}


def test_a_ratio_to_full_precision_is_that_of_a_merge(table):
    some = rows.parts(table)
    low = np.isfinite(some[["weights", "activations", "kv"]]).any(axis=1)
    found = rows.against_full(some[low], some[~low]).set_index("job")["ratio"]
    both = some[low].merge(some[~low], on=["N", "D", "language_seed", "seed"], suffixes=("", "_full"))
    expected = both.set_index("job").eval("gap / gap_full")
    np.testing.assert_allclose(found, expected.loc[found.index])


# -- one answer --------------------------------------------------------------------------------------------------------


def test_constants_of_damage_are_one_fit_wherever_they_are_printed(table):
    """Once 0.0026 or 0.0018 for C_T, by the page: cells or single runs, with a cut in D/N or without."""
    chapter = ps.fit(laws.KumarDegradation(), slices.cells(rows.damage(table)), strict=False).law.parameters
    for found in (fitted.damage(table), our_fits.damage_fit(), fitted.served(table), our_fits.served_fit()):
        for name in ("C_T", "gamma_D", "gamma_N", "gamma_post"):
            assert found.law.parameters[name] == pytest.approx(chapter[name], rel=1e-9), name
    gamma_D, gamma_N = (resampling.parameter(our_fits.served_fit(), f"gamma_{x}") for x in "DN")
    assert f"γ_D {gamma_D:.2f}, γ_N {gamma_N:.2f}" in paper.exhibit("F2").compare().ours
    assert f"γ_D {gamma_D:.2f}, γ_N {gamma_N:.2f}" in paper.exhibit("F11").compare().ours
    assert f"γ_D {gamma_D:.2f}, γ_N {gamma_N:.2f}" in paper.exhibit("T2").compare().ours
    assert f"RTN {gamma_D:.2f}" in verdicts.methods().evidence


def test_constants_of_the_base_are_one_fit_wherever_they_are_printed(table):
    chapter = ps.fit(laws.Chinchilla(), slices.cells(rows.full_precision(table))).law.parameters
    for found in (fitted.base(table), our_fits.served_fit()):
        for name in ("A", "B", "alpha", "beta"):
            assert found.law.parameters[name] == pytest.approx(chapter[name], rel=1e-6), name


def test_shares_of_parameters_and_best_bits_are_of_one_law(table):
    form = laws.Chinchilla() | laws.Saturating(laws.WEIGHTS)
    chapter = ps.fit(form, slices.cells(rows.trained_weights(table)), strict=False).law
    for bits in (3.0, 4.0, 6.0):
        assert effective_parameters.factor(bits).value == pytest.approx(float(chapter.n_eff(1.0, weights=bits)))
    f = {b: effective_parameters.factor(float(b)) for b in (4, 6, 8)}
    words = ", ".join(f"{v:.2f} at {b} bits" for b, v in f.items())
    assert words in paper.exhibit("F3").compare().ours
    best = what_to_buy.best_bits()["weights alone"]
    assert best.value == pytest.approx(chapter.best_bits())
    assert f"weights alone {best:.1f}" in paper.exhibit("F6").compare().ours
    assert f"weights alone {best:.1f}" in verdicts.press().evidence
    four = findings.remaining(table, findings.Part.KV, bits=(4.0,))[0]
    assert f"KV cache {four:.2f}" in paper.exhibit("F3").compare().ours


def test_turns_are_the_chapters(table):
    """Once 55 [50, 61] or 51 [50, 52] tokens a parameter for the same turn."""
    (turn,) = (t for t in findings.turns(table, bits=(3,), law=fitted.served(table)) if t.N == 98304)
    assert turn == next(t for t in our_fits.turns() if (t.N, t.bits) == (98304, 3))
    said = f"D/N = {turn.tokens / 98304:.0f} [{turn.low / 98304:.0f}, {turn.high / 98304:.0f}]"
    said += f" (law {turn.predicted.value / 98304:.0f}"
    assert said in paper.exhibit("F1").compare().ours
    assert said in verdicts.critical().evidence


def test_robustness_is_the_chapters(table):
    answers = {f.question: f for f in findings.robustness(table)}
    for width, less in our_fits.lessened().items():
        chapter = answers[f"δ at 3 bits, trained at {width:.0f} over trained in full precision"]
        assert less == (chapter.value, chapter.low, chapter.high)
    four = f"{our_fits.lessened()[4.0]:.2f} after"
    assert four in paper.exhibit("F7").compare().ours
    assert four in verdicts.made_robust().evidence
    gain = resampling.parameter(fitted.robust(table), "C_w")
    assert f"C_w {gain:.2f}" in paper.exhibit("F7").compare().ours
    assert robustness.explained()[0] == findings.unified_law(table)[0]


def test_damage_rises_and_falls_as_often_in_every_place(table):
    up, down = findings.damage_rises(table), findings.damage_falls(table)
    said = f"rises in {up.value:.0%} of the steps of D, falls in {down.value:.0%} of the steps of N"
    assert said in verdicts.law_of_damage().evidence
