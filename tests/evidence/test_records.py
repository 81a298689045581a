"""Records of public tables: what the book says of them is what the tables give; the rows of tuned runs."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from support.places import PUBLIC

from precsim import laws
from precsim.data import TABLES
from precsim.evidence import records
from precsim.evidence.public_fits import MAKERS, quartet2_plain_rows, quartet_rows, quest_rows, quest_weights_rows
from precsim.fitting import fit
from precsim.laws import Law
from precsim.runs.envelope import undominated

_FOLDERS = {"quartet-mxfp4": "quartet1_mxfp4", "step-law": "steplaw_lr_bsz"}


def table(name):
    place = PUBLIC / _FOLDERS.get(name, name.replace("-", "_"))
    if not (place / "data.csv").exists():
        pytest.skip(f"issue 6: the public table {name} is not at ../shared/data")
    from precsim.data import load_folder

    return load_folder(name, place)


def leaves(value, path=""):
    """(path, value) of every number, text and truth value in nested JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{i}]")
    else:
        yield path, value


def test_every_maker_has_a_record_that_names_its_source():
    assert set(records.names()) == set(MAKERS) <= set(TABLES)
    for name in records.names():
        source = records.record(name)["source"]
        assert source["commit"] == TABLES[name].commit
        assert source["content_sha256"] == TABLES[name].sha256
        assert TABLES[name].repository in records.provenance(name)
    with pytest.raises(ValueError, match="no record 'x'; there are chinchilla-epoch"):
        records.record("x")


# One minute and four: made again by hand. What CI sees of them are the tests of their fits below.
_LONG = {"quartet-mxfp4", "quest-qat"}

# The book prints three digits. Where rows hardly determine a form (BetaOfN on a roll-out), two machines that sum in
# another order stop 2e-5 apart in its error, and one resample in a hundred more or fewer has a minimum, which moves
# the ends of an interval by some percent.
_CLOSE = 1e-3
_CLOSE_ENDS = 0.05
# No form holds the backward passes of Quartet II (a third of the resamples have no minimum): what these forms say of
# rows they have not seen came out 6e-3 apart in a fold.
_CLOSE_HELD_OUT = 1e-2
_HELD_OUT = re.compile(r"^/passes/backward/judged/.*/(held_out_error|folds/[^/]+)$")
_ENDS = re.compile(r"/(intervals?|standard_errors|draws|range|low|high|expected_if_true|tokens_per_parameter)\b")
_COUNT = re.compile(r"^\d+(?= of \d+ resamples)")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.weekly if n in _LONG else pytest.mark.slow) for n in sorted(MAKERS)],
)
def test_a_record_is_what_its_table_gives(name):
    needed, make = MAKERS[name]
    again = json.loads(json.dumps(make({n: table(n) for n in needed})))
    stored = records.record(name)
    for (path, new), (where, old) in zip(leaves(again), leaves(stored), strict=True):
        assert path == where
        if isinstance(old, float) or path.endswith("/draws"):
            close = _CLOSE_ENDS if _ENDS.search(path) else _CLOSE_HELD_OUT if _HELD_OUT.search(path) else _CLOSE
            assert new == pytest.approx(old, rel=close, abs=1e-9), path
        elif isinstance(old, str) and _COUNT.match(old):
            assert _COUNT.sub("", new) == _COUNT.sub("", old), path
            assert int(_COUNT.match(new)[0]) == pytest.approx(int(_COUNT.match(old)[0]), rel=0.02), path
        else:
            assert new == old, path


def test_the_fits_of_the_quartet_record_are_what_its_table_gives():
    stored = records.record("quartet-mxfp4")["factor"]["fits"]
    rows = quartet_rows({n: table(n) for n in MAKERS["quartet-mxfp4"][0]})
    for base in (laws.Chinchilla(), laws.OuterExponent()):
        for factor in (laws.PerScheme(("QuEST",)), laws.Drifting(laws.PerScheme(("QuEST",)))):
            found = fit(base | factor, rows, strict=False)
            assert found.stages[0].objective == pytest.approx(stored[found.form.label]["objective"], rel=_CLOSE)
            assert found.status.name == stored[found.form.label]["status"]


def test_the_fits_of_the_longest_record_are_what_its_table_gives():
    stored = records.record("quest-qat")["fits"]
    rows = quest_rows({n: table(n) for n in MAKERS["quest-qat"][0]})
    for base in (laws.Chinchilla(), laws.OuterExponent(), laws.BetaOfN()):
        found = fit(base | laws.Saturating(laws.WEIGHTS) | laws.Saturating(laws.ACTIVATIONS), rows, strict=False)
        assert found.stages[0].objective == pytest.approx(stored[base.label]["objective"], rel=_CLOSE)
        assert found.status.name == stored[base.label]["status"]


@pytest.mark.parametrize(
    ("name", "of", "few"),
    [
        ("quartet-mxfp4", quartet_rows, 21),
        ("quartet2-nvfp4", quartet2_plain_rows, 21),
        ("quest-qat", quest_weights_rows, 12),
    ],
)
def test_the_bends_of_public_tables_are_what_the_tables_give(name, of, few):
    stored = records.record(name)["bends"]
    rows = of({n: table(n) for n in MAKERS[name][0]})
    assert (
        (len(rows), int(np.isfinite(rows["weights"]).sum()))
        == (stored["runs"], few)
        == (len(rows), stored["in few bits"])
    )
    for base in (laws.Chinchilla(), laws.OuterExponent()):
        found = fit(base | laws.Bent(laws.SecondOrderDegradation()), rows, strict=False)
        assert found.stages[0].objective == pytest.approx(stored[base.label]["fit"]["objective"], rel=_CLOSE)
        (score,) = (s for s in stored[base.label]["sizes"]["scores"] if "Bent(" in s["form"])
        assert score["rmse"] == pytest.approx(np.sqrt((found.residuals**2).mean()), rel=_CLOSE)


def test_the_bend_foretells_a_width_of_quests_that_was_left_out():
    """By hand: two widths fitted, the third predicted, against the factor of as many constants in bits."""
    rows, errors = quest_weights_rows({n: table(n) for n in MAKERS["quest-qat"][0]}), {}
    for part in (laws.Saturating(laws.WEIGHTS), laws.Bent(laws.SecondOrderDegradation())):
        off = []
        for bits in (2.0, 3.0, 4.0):
            out = rows["weights"].eq(bits)
            law = fit(laws.Chinchilla() | part, rows[~out], strict=False).law
            off += list(np.abs(np.log(law(rows[out]["N"], rows[out]["D"], weights=bits) / rows[out]["loss"])))
        errors[part.title] = np.mean(off)
    scores = {
        s["form"]: s["held_out_error"] for s in records.record("quest-qat")["bends"]["Chinchilla"]["widths"]["scores"]
    }
    assert errors["Bent(SecondOrderDegradation)"] < errors["Saturating(weights)"] / 5
    for title, error in errors.items():
        assert error == pytest.approx(scores[f"Chinchilla | {title}"], rel=_CLOSE_HELD_OUT)


@pytest.mark.parametrize("name", ["chinchilla-epoch", "kyo-llm"])
def test_the_usual_fit_of_a_record_is_what_its_table_gives(name):
    rows, stored = table(name), records.record(name)["fits"]["usual"]
    if "holdout" in rows:
        rows = rows[~rows["holdout"]]
    again = fit(laws.Chinchilla(), rows, delta=1e-3)
    assert again.objective == pytest.approx(stored["objective"], rel=1e-9)
    law = Law.from_json(json.dumps(stored["law"]))
    assert again.law.parameters == pytest.approx(law.parameters, rel=1e-5)


@pytest.mark.parametrize("name", ["kyo-llm", "gemstones", "step-law", "quartet-mxfp4"])
def test_the_form_chosen_without_the_largest_runs_predicts_them_as_a_true_form_would(name):
    """The bar of 0.65 % on the largest 30 % of compute; Epoch's points, read off a figure, miss it and are left out."""
    tuned = records.record(name)["roll_out"]["undominated rows"]
    chosen = next(s for s in tuned["scores"] if s["form"] == tuned["chosen_without_held_out_rows"])
    assert chosen["held_out_error"] <= 0.0065
    low, high = tuned["expected_if_true"]["range"]
    assert low <= chosen["held_out_error"] <= high


def test_the_published_fit_is_not_the_optimum_but_near_the_limit_of_a_small_knee():
    record = records.record("chinchilla-epoch")
    usual = record["fits"]["usual"]
    assert usual["objective"] == pytest.approx(1.0182740178006e-3, rel=1e-9)
    assert record["printed"]["Epoch 2024"]["objective"] > usual["objective"] * 1.004
    least = record["knees"][0]
    printed = Law.from_json(json.dumps(record["printed"]["Epoch 2024"]["law"]))
    for name, value in printed.parameters.items():
        assert least[name] == pytest.approx(value, rel=3e-3)


def test_a_law_of_tuned_runs_predicts_them_where_one_of_all_runs_cannot():
    """Gemstones has many shapes of equal size: even a fit that has seen the large rows is further off than the bar."""
    both = records.record("gemstones")["roll_out"]
    of_all = {s["form"]: s for s in both["all rows"]["scores"]}
    assert min(s["in_sample"] for s in of_all.values()) > 0.0065
    assert max(s["in_sample"] for s in both["undominated rows"]["scores"]) < max(
        s["in_sample"] for s in of_all.values()
    )


@pytest.mark.slow
def test_the_command_makes_a_record_from_a_fetched_table_and_says_what_is_missing(tmp_path, capsys):
    table("step-law").to_csv(tmp_path / "step-law.csv", index=False)
    (tmp_path / "out").mkdir()
    assert records.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["step-law.json"]
    assert "precsim data fetch kyo-llm --out" in capsys.readouterr().err
    (tmp_path / "kyo-llm.csv").write_text("N,D,loss\n1,2,3\n")
    with pytest.raises(ValueError, match="is not the table kyo-llm"):
        records.table("kyo-llm", tmp_path)


# -- undominated rows ------------------------------------------------------------------------------------------------


def test_a_law_without_noise_dominates_nothing(rng):
    law = laws.Chinchilla(E=1.7, A=400.0, B=2000.0, alpha=0.35, beta=0.37)
    N, D = 10 ** rng.uniform(6, 9, 60), 10 ** rng.uniform(8, 11, 60)
    assert undominated({"N": N, "D": D, "loss": law(N, D)}, slack=1.0).all()


def test_rows_are_compared_at_equal_bits_only():
    runs = {"N": [1e6, 1e6], "D": [1e8, 1e8], "loss": [3.0, 3.2], "weights": [np.inf, 4.0]}
    assert undominated(runs).tolist() == [True, True]
    assert undominated({**runs, "weights": [4.0, 4.0]}).tolist() == [True, False]


@pytest.mark.parametrize(
    ("runs", "slack", "message"),
    [({"N": [1.0], "D": [1.0]}, 1.1, "no column loss"), ({"N": [1], "D": [1], "loss": [1]}, 0.9, "at least 1")],
)
def test_bad_envelopes(runs, slack, message):
    with pytest.raises(ValueError, match=message):
        undominated(runs, slack=slack)
