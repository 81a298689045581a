"""The command line: what it computes equals the package, and no input makes it crash."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from support.commands import call, table_in

import precsim as ps
from precsim.cli.law_words import form, published, slug
from precsim.laws.published import CATALOG, KUMAR_2024
from precsim.planning import H100


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return table_in(tmp_path_factory.mktemp("table"))


# -- words for laws ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("chinchilla", ps.laws.Chinchilla()),
        ("tied+offset:tied", ps.laws.Tied() | ps.laws.Offset(ps.laws.TIED)),
        ("outer+saturating:kv:D", ps.laws.OuterExponent() | ps.laws.Saturating(ps.laws.KV, on=ps.laws.Effective.D)),
        ("beta-of-n+drifting:plain:weights", ps.laws.BetaOfN() | ps.laws.Drifting(ps.laws.Plain(ps.laws.WEIGHTS))),
        ("kaplan+per-scheme:W4A4,FP4", ps.laws.Kaplan() | ps.laws.PerScheme(("W4A4", "FP4"))),
        ("chinchilla+chen:tied", ps.laws.Chinchilla() | ps.laws.ChenDegradation(ps.laws.TIED)),
        ("ouyang", ps.laws.OuyangDegradation()),
        ("kumar-2024", KUMAR_2024),
    ],
)
def test_words_make_the_law_that_they_say(text, law):
    assert form(text) == law


def test_every_part_that_can_be_composed_has_a_word():
    words = "chinchilla tied outer beta-of-n kaplan kumar robust ouyang second-order sun per-scheme:a chen:tied".split()
    words += "frontier mixed phase repeated-tokens excess-parameters experts".split()
    words += [f"{w}:weights" for w in "saturating plain offset powered gaussian drifting:saturating".split()]
    words += ["bent:kumar", "bent-power:kumar", "bent-ridge:kumar"]
    assert {type(form(word)).__name__ for word in words} == _kinds()


def _kinds() -> set[str]:
    from precsim.laws import Part

    return {name for name, kind in Part.kinds.items() if not getattr(kind, "__abstractmethods__", None)}


def test_every_published_law_has_a_name():
    assert len(published()) == len(CATALOG)
    assert all(form(slug(entry.name)) == entry.law for entry in CATALOG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no part of a law"),
        ("chinchila", "(?s)'chinchila'.*bases .*chinchilla"),
        ("chinchilla:weights", "takes nothing after it"),
        ("saturating", "needs a tensor"),
        ("saturating:weight", "needs a tensor: saturating:weights"),
        ("saturating:weights:E", "may have :N"),
        ("drifting:chinchilla", "needs a factor"),
        ("per-scheme", "needs the schemes"),
        ("chinchilla+tied", "one base"),
        ("saturating:weights+offset:weights", "share the parameters"),
        ("nowhere.json", "no file nowhere.json"),
    ],
)
def test_a_law_that_is_not_understood_is_refused_with_what_would_be(text, message):
    with pytest.raises(ValueError, match=message):
        form(text)


# -- fit, compare, plan ------------------------------------------------------------------------------------------------


def test_fit_prints_what_the_package_computes(capsys, table, tmp_path):
    words = (
        "fit",
        table,
        "--law",
        "chinchilla+saturating:weights+kumar",
        "--bootstrap",
        60,
        "--by",
        "job",
        "--seed",
        3,
    )
    status, out, _ = call(capsys, *words, "--json", "--save", tmp_path / "fit.json")
    assert status == 0
    record = json.loads(out)
    assert record == json.loads((tmp_path / "fit.json").read_text())
    law = ps.laws.Chinchilla() | ps.laws.Saturating(ps.laws.WEIGHTS) | ps.laws.KumarDegradation()
    found = ps.fit(law, ps.load_runs(table))
    draws = ps.bootstrap(found, n=60, rng=np.random.default_rng(3), by="job")
    assert {name: p["value"] for name, p in record["parameters"].items()} == found.parameters
    alpha = ps.interval(draws, lambda law: law.alpha)
    assert (record["parameters"]["alpha"]["low"], record["parameters"]["alpha"]["high"]) == (alpha.low, alpha.high)
    assert form(str(tmp_path / "fit.json")) == found.law


def test_a_fit_can_be_planned_with_its_draws(capsys, table, tmp_path):
    saved = tmp_path / "fit.json"
    words = ("fit", table, "--law", "chinchilla+saturating:weights", "--bootstrap", 40, "--save", saved)
    assert call(capsys, *words)[0] == 0
    status, out, _ = call(capsys, "plan", "--law", saved, "--compute", 1e21, "--json")
    assert status == 0
    record = json.loads(out)
    assert all(len(option["regret_interval"]) == 2 for option in record["options"])
    low, high = record["options"][0]["loss_interval"]
    assert low < record["options"][0]["loss"] < high


def test_fix_tie_only_and_suspicious(capsys, table):
    status, out, _ = call(
        capsys,
        "fit",
        table,
        "--law",
        "chinchilla",
        "--only",
        "weights=inf",
        "--fix",
        "E=1.7",
        "--tie",
        "alpha=beta",
        "--json",
    )
    assert status == 0
    values = json.loads(out)["parameters"]
    assert "E" not in values
    assert values["alpha"]["value"] == values["beta"]["value"]
    assert json.loads(out)["stages"][0]["rows"] == 20


def test_intervals_with_misfit_say_so(capsys, table):
    words = ["fit", table, "--law", "chinchilla", "--only", "weights=inf", "--bootstrap", "30"]
    _, plain, _ = call(capsys, *words)
    assert "they assume the form" in plain
    status, out, _ = call(capsys, *words, "--misfit")
    assert status == 0
    assert "smooth part" in out
    record = json.loads(call(capsys, *words, "--misfit", "--json")[1])
    assert record["interval"]["method"] == "bootstrap percentile with misfit"
    assert record["misfit"][0]["noise"] == pytest.approx(0.002, rel=0.4)


def test_a_degradation_can_be_compared_and_a_failure_is_explained(capsys, table):
    low = ["--only", "post=3,4", "--split", "data"]
    status, out, _ = call(capsys, "compare", table, "--law", "kumar", "--law", "ouyang", *low)
    assert status == 0
    assert "inf" not in out
    forms = ["--law", "chinchilla+saturating:weights", "--law", "chinchilla+saturating:kv"]
    assert "inf: Chinchilla | Saturating(kv): " in call(capsys, "compare", table, *forms, "--split", "data")[1]


def test_a_plan_says_which_widths_its_law_does_not_read(capsys, table, tmp_path):
    saved = tmp_path / "fit.json"
    call(capsys, "fit", table, "--law", "chinchilla+saturating:weights", "--save", saved)
    out = call(capsys, "plan", "--law", saved, "--compute", "1e20")[1]
    assert "does not read the bits of activations: held at 16" in out
    assert "W3A16KV16" in out
    assert "W3A3KV3" not in out
    record = json.loads(call(capsys, "plan", "--law", saved, "--compute", "1e20", "--json")[1])
    runs = json.loads(saved.read_text())["runs"]
    assert record["runs"] == runs  # the file of a fit says where it was learned, and the plan how far outside it is
    best = next(option for option in record["options"] if option["choice"] == record["choice"])
    for name, (low, high) in (("N", runs["N"]), ("D", runs["D"])):
        assert best["beyond"].get(name, 1.0) == pytest.approx(max(low / best[name], best[name] / high, 1.0))
    assert json.loads(call(capsys, "plan", "--compute", "1e20", "--json")[1])["unseen"] == []


def test_a_plan_says_which_widths_its_device_does_not_multiply(capsys):
    out = call(capsys, "plan", "--compute", "1e23", "--hardware", "h100", "--bits", "4,8,16")[1]
    assert "H100 SXM has no products of 4 bits: they pay for 8" in out
    record = json.loads(call(capsys, "plan", "--compute", "1e23", "--hardware", "b200", "--bits", "4,8", "--json")[1])
    assert record["lacking"] == {}


def test_a_published_law_can_be_refitted(capsys, table):
    assert call(capsys, "fit", table, "--law", "hoffmann-2022")[2].startswith("precsim fit: every parameter")
    status, out, _ = call(capsys, "fit", table, "--law", "hoffmann-2022", "--refit", "--only", "weights=inf", "--json")
    assert status == 0
    assert abs(json.loads(out)["parameters"]["alpha"]["value"] - 0.35) < 0.02


def test_compare_says_what_the_package_says(capsys, table):
    words = ["compare", table, "--law", "chinchilla+saturating:weights", "--law", "chinchilla", "--split", "size"]
    status, out, _ = call(capsys, *words, "--json")
    assert status == 0
    record = json.loads(out)
    assert record["verdict"] == record["preferred"] == "chinchilla+saturating:weights"
    assert [score["law"] for score in record["scores"]] == ["chinchilla+saturating:weights", "chinchilla"]
    status, out, _ = call(capsys, *words[:-1], "group:weights=3,4")
    assert status == 0
    assert "verdict" in out


def test_compare_keeps_a_parameter_in_every_form_that_has_it(capsys, table):
    words = ["compare", table, "--law", "chinchilla", "--law", "outer", "--split", "compute", "--json"]
    free = json.loads(call(capsys, *words)[1])
    kept = json.loads(call(capsys, *words, "--fix", "E=1.7")[1])
    assert [s["parameters"] for s in kept["scores"]] == [s["parameters"] - 1 for s in free["scores"]]
    assert kept["refused"] == []
    status, _, error = call(capsys, *words, "--fix", "gamma_D=1")
    assert status == 2
    assert "none of these forms has a parameter 'gamma_D'" in error


def test_plan_gives_the_reference_answer(capsys):
    status, out, _ = call(capsys, "plan", "--compute", "1e23")
    assert status == 0
    assert "W7A7KV7: N = 5.345e+10" in out
    assert "2.81187" in out
    status, out, _ = call(capsys, "plan", "--compute", "1e23", "--hardware", "h100", "--json")
    record = json.loads(out)
    assert record["choice"] == "W8A8KV8"  # a FLOP at 7 bits costs what one at 8 costs
    expected = ps.plan(KUMAR_2024, compute=1e23, hardware=H100)
    assert record["loss"] == expected.loss
    assert [option["choice"] for option in record["options"]] == [o.choice.label for o in expected.options]


def test_a_plan_with_choices_of_its_own(capsys):
    words = ("plan", "--dollars", 1e6, "--dollars-per-hour", 2, "--hardware", "h200", "--memory", 16e9)
    status, out, _ = call(capsys, *words, "--choice", "full,full,full,4", "--choice", "8,8,8", "--json")
    assert status == 0
    record = json.loads(out)
    assert {option["choice"] for option in record["options"]} == {"W16A16KV16>4", "W8A8KV8"}
    assert record["options"][0]["bits"]["weights"] == "Infinity"
    assert record["binding"] == "PARAMETERS"


def test_a_law_without_precision_is_planned_at_full_precision_only(capsys):
    """It sees no harm in few bits, so the cheapest width would look best."""
    status, out, _ = call(capsys, "plan", "--law", "hoffmann-2022", "--compute", "1e22", "--json")
    assert status == 0
    assert [option["choice"] for option in json.loads(out)["options"]] == ["W16A16KV16"]
    status, _, err = call(capsys, "plan", "--law", "hoffmann-2022", "--compute", "1e22", "--bits", "4,16")
    assert status == 2
    assert "says nothing of low precision" in err


@pytest.mark.parametrize("command", ["fit", "compare", "plan"])
def test_a_report_is_one_page_that_asks_no_other_host(capsys, table, tmp_path, command):
    page = tmp_path / "report.html"
    words = {
        "fit": ("fit", table, "--law", "chinchilla+saturating:weights+kumar"),
        "compare": ("compare", table, "--law", "chinchilla+saturating:weights", "--law", "tied", "--split", "compute"),
        "plan": ("plan", "--compute", 1e21),
    }[command]
    status, _, err = call(capsys, *words, "--html", page)
    assert (status, err) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert (
        text.count("<figure")
        == text.count('<script type="application/json">')
        >= {"fit": 10, "compare": 2, "plan": 2}[command]
    )
    assert 'src="' not in text.partition("<script")[0]
    assert "<link" not in text
    assert "<script src" not in text


# -- pairs of runs -----------------------------------------------------------------------------------------------------


PAIRS = "N,D,weights,seed,loss\n" + "".join(
    f"125000000,2500000000,{w},{seed},{3.2 + gap + seed / 100}\n"
    for w, gap in (("", 0), (4, 0.03))
    for seed in (0, 1, 2)
)


def test_gaps_says_what_the_package_says_and_fit_leads_there(capsys, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(PAIRS)
    rc, _, error = call(capsys, "fit", str(path), "--law", "chinchilla+saturating:weights")
    assert rc == 2
    assert "precsim gaps" in error
    options = ["--law", "hoffmann-2022", "--json"]
    rc, out, _ = call(capsys, "gaps", str(path), *options)
    (row,) = json.loads(out)["gaps"]
    want = ps.fitting.gaps(ps.load_runs(path), law=ps.laws.published.HOFFMANN_2022).rows[0]
    assert rc == 0
    assert {name: row[name] for name in ("gap", "pairs", "share")} == {
        name: getattr(want, name) for name in ("gap", "pairs", "share")
    }
    assert "6 rows read, 6 used" in call(capsys, "gaps", str(path))[1]
    assert call(capsys, "gaps", str(path), "--fix", "A=1")[0] == 2


def test_a_table_of_compute_alone_is_led_to_the_words_that_fit_it(capsys, tmp_path):
    path = tmp_path / "compute.csv"
    path.write_text("flops,loss\n" + "".join(f"{10.0**k},{1.7 + 900 * 10.0 ** (-0.15 * k)}\n" for k in range(17, 24)))
    rc, _, error = call(capsys, "fit", str(path), "--law", "chinchilla")
    assert rc == 2
    words = re.search(r"\((--law frontier .*)\)", error).group(1)
    rc, out, _ = call(capsys, "fit", path, *shlex.split(words), "--json")
    assert rc == 0
    assert json.loads(out)["parameters"]["alpha"]["value"] == pytest.approx(0.15, rel=1e-6)
